"""A deed that lowers risk and met a session that had ended: it was not done, and is offered again as soon as somebody has signed in.

Theory. Nothing is done for a browser without a session: another site could have sent the form. So the address of the deed and the few
fields that it declares go through signing in as the page to go on to, and that page asks for one press, with the token of the new session.
What may be secret is in none of these fields. The same page answers a form whose token belongs to an earlier session.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from engine.office import NothingThere

PAGE: Final = "/again"
_FIELD_MAX: Final = 200
Words = Callable[[Mapping[str, str]], str]


@dataclass(frozen=True, slots=True)
class Again:
    """Say how a deed is offered again: ``words`` make its sentence from the parts of its address and its ``fields``; empty: not offered."""

    words: Words
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """Hold a deed to be offered: its sentence, its address, and the fields of its form."""

    sentence: str
    address: str
    fields: Mapping[str, str]


def address_of_offer(again: Again, parts: Mapping[str, str], path: str, form: MultiDict[str, str]) -> str:
    """Return the address of the page that offers a deed which was not done; empty where there is nothing to offer."""
    fields = {name: form[name][:_FIELD_MAX] for name in again.fields if form.get(name)}
    if not again.words({**dict.fromkeys(again.fields, ""), **fields, **parts}):
        return ""
    return f"{PAGE}?{urlencode({'to': path, **fields})}"


def read_offer(routes: Map, declared: Mapping[str, Again], query: MultiDict[str, str]) -> Offer:
    """Read which deed a page is to offer; raises NothingThere for anything that is not declared to be offered."""
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
