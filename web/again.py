"""Forms that lower risk and were sent after the session had ended: not done, and offered again as
soon as the user has signed in.

Nothing is done for a browser without a session: another site could have sent the form. So the
address of the form and the few fields that it declares pass through signing in as the page to go on
to, and that page asks for one press, with the token of the new session. None of these fields may be
secret. The same page answers a form whose token belongs to an earlier session.

An offer is shown above every page of its person until it is done or declined.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from engine.domain.errors import NothingThere

PAGE: Final = "/again"
DECLINE: Final = "/again/decline"
_FIELD_MAX: Final = 200
_OFFERS_MAX: Final = 10
_PEOPLE_MAX: Final = 500
Words = Callable[[Mapping[str, str]], str]


@dataclass(frozen=True, slots=True)
class Again:
    """How a form is offered again.

    ``words`` writes the sentence of the offer from the parts of the address and from ``fields``; an
    empty sentence means that the form is not offered again.
    """

    words: Words
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A form that is offered again: its sentence, its address and its fields."""

    sentence: str
    address: str
    fields: Mapping[str, str]

    @property
    def page(self) -> str:
        """Return the address of the page that shows the offer."""
        return f"{PAGE}?{urlencode({'to': self.address, **self.fields})}"

    def is_done_by(self, path: str, form: MultiDict[str, str]) -> bool:
        """Return whether a form does what is offered."""
        return path == self.address and all(
            form.get(name, "")[:_FIELD_MAX] == value for name, value in self.fields.items()
        )


class OpenOffers:
    """Each person's offers that are neither done nor declined.

    Bounded: the newest offers of the people who got one last.
    """

    def __init__(self) -> None:
        self._by_person: OrderedDict[str, dict[str, Offer]] = OrderedDict()

    def of(self, person: str) -> tuple[Offer, ...]:
        """Return the offers of a person, the newest last."""
        return tuple(self._by_person.get(person, {}).values())

    def open(self, person: str, offer: Offer) -> None:
        """Keep an offer."""
        offers = self._by_person.setdefault(person, {})
        offers.pop(offer.page, None)
        offers[offer.page] = offer
        if len(offers) > _OFFERS_MAX:
            del offers[next(iter(offers))]
        self._by_person.move_to_end(person)
        if len(self._by_person) > _PEOPLE_MAX:
            self._by_person.popitem(last=False)

    def end(self, person: str, page: str) -> None:
        """Forget an offer that was done or declined."""
        offers = self._by_person.get(person, {})
        offers.pop(page, None)
        if not offers:
            self._by_person.pop(person, None)


def offer_address(
    again: Again, parts: Mapping[str, str], path: str, form: MultiDict[str, str]
) -> str:
    """Return the address of the page that offers a form again; empty where it is not offered."""
    fields = {name: form[name][:_FIELD_MAX] for name in again.fields if form.get(name)}
    return f"{PAGE}?{urlencode({'to': path, **fields})}" if _sentence(again, fields, parts) else ""


def read_offer(routes: Map, declared: Mapping[str, Again], query: MultiDict[str, str]) -> Offer:
    """Read the offer from the query of its page; raises NothingThere where nothing is offered.

    ``declared``: the forms that may be offered, by the endpoint of their route.
    """
    path = query.get("to", "")
    try:
        endpoint, parts = routes.bind("").match(path, method="POST")
    except HTTPException:
        raise NothingThere("there is no such form") from None
    again = declared.get(str(endpoint))
    if again is None:
        raise NothingThere("this form is not offered again")
    fields = {name: query[name][:_FIELD_MAX] for name in again.fields if query.get(name)}
    sentence = _sentence(again, fields, parts)
    if not sentence:
        raise NothingThere("this form is not offered again")
    return Offer(sentence, path, fields)


def _sentence(again: Again, fields: Mapping[str, str], parts: Mapping[str, str]) -> str:
    return again.words({**dict.fromkeys(again.fields, ""), **fields, **parts})
