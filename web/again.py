"""A deed that lowers risk and met a session that had ended: it was not done, and is offered again
as soon as somebody has signed in.

Theory. Nothing is done for a browser without a session: another site could have sent the form. So
the address of the deed and the few fields that it declares go through signing in as the page to go
on to, and that page asks for one press, with the token of the new session. What may be secret is in
none of these fields. The same page answers a form whose token belongs to an earlier session.

An offer stands above every page of its person until it is done or declined, wherever they are led
or look in between.
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
    """Say how a deed is offered again: ``words`` make its sentence from the parts of its address
    and its ``fields``; empty: not offered.
    """

    words: Words
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """Hold a deed to be offered: its sentence, its address, and the fields of its form."""

    sentence: str
    address: str
    fields: Mapping[str, str]

    @property
    def page(self) -> str:
        """Return the address of the page that offers it."""
        return f"{PAGE}?{urlencode({'to': self.address, **self.fields})}"

    def is_done_by(self, path: str, form: MultiDict[str, str]) -> bool:
        """Tell whether a form asks for this deed."""
        return path == self.address and all(
            form.get(name, "")[:_FIELD_MAX] == value for name, value in self.fields.items()
        )


class OpenOffers:
    """Hold by person what is offered and neither done nor declined: the newest few, of the newest
    few hundred people.
    """

    def __init__(self) -> None:
        self._of: OrderedDict[str, dict[str, Offer]] = OrderedDict()

    def of(self, person: str) -> tuple[Offer, ...]:
        """Return what a person is offered, the newest last."""
        return tuple(self._of.get(person, {}).values())

    def open(self, person: str, offer: Offer) -> None:
        """Keep an offer."""
        mine = self._of.setdefault(person, {})
        mine.pop(offer.page, None)
        mine[offer.page] = offer
        if len(mine) > _OFFERS_MAX:
            del mine[next(iter(mine))]
        self._of.move_to_end(person)
        if len(self._of) > _PEOPLE_MAX:
            self._of.popitem(last=False)

    def end(self, person: str, page: str) -> None:
        """Forget an offer that was done or declined."""
        mine = self._of.get(person, {})
        mine.pop(page, None)
        if not mine:
            self._of.pop(person, None)


def address_of_offer(
    again: Again, parts: Mapping[str, str], path: str, form: MultiDict[str, str]
) -> str:
    """Return the address of the page that offers a deed which was not done; empty where there is
    nothing to offer.
    """
    fields = {name: form[name][:_FIELD_MAX] for name in again.fields if form.get(name)}
    if not again.words({**dict.fromkeys(again.fields, ""), **fields, **parts}):
        return ""
    return f"{PAGE}?{urlencode({'to': path, **fields})}"


def read_offer(routes: Map, declared: Mapping[str, Again], query: MultiDict[str, str]) -> Offer:
    """Read which deed a page is to offer; raises NothingThere for anything that is not declared to
    be offered.
    """
    path = query.get("to", "")
    try:
        endpoint, parts = routes.bind("").match(path, method="POST")
    except HTTPException:
        raise NothingThere("there is no such deed") from None
    again = declared.get(str(endpoint))
    if again is None:
        raise NothingThere("this deed is not offered again")
    fields = {name: query[name][:_FIELD_MAX] for name in again.fields if query.get(name)}
    sentence = again.words({**dict.fromkeys(again.fields, ""), **fields, **parts})
    if not sentence:
        raise NothingThere("this deed is not offered again")
    return Offer(sentence, path, fields)
