"""Several orders in one message: which of them is read. Pure.

An order is an object, or a line of a text, with an action or a side in it. Objects inside one
another describe one order, and so do two beside each other that agree; the members of a list
are orders of their own. Only one signal comes of a message: what would enter is refused, and a close
is taken without the others.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.words import ACTIONS, SIDES, SIGNALS, SYMBOLS, WORDS, Verb
from rexalgo import squashed

_INDEX: Final = re.compile(r"\[[0-9]+\]\.\Z")


def orders_of(fields: Fields) -> tuple[Fields, ...]:
    """Return the fields of each order, with those that all of them share; of one order, all."""
    told = tuple(_told(fields))
    places = dict.fromkeys(each.place for each in told)
    inner = [
        place
        for place in places
        if not any(each != place and each.startswith(place) for each in places)
    ]
    are_listed = len({_INDEX.sub("", place) for place in inner}) < len(inner)
    if len(inner) < 2 or (_agree(told) and not are_listed):
        return (fields,)
    return tuple(
        _without(fields, tuple(other for other in inner if other != place)) for place in inner
    )


def _told(fields: Fields) -> Iterator[Field]:
    """Yield what names an order: a signal may be any text."""
    yield from fields.named((*ACTIONS, *SIDES))
    yield from (each for each in fields.named(SIGNALS) if squashed(each.text or "") in WORDS)


def _agree(told: tuple[Field, ...]) -> bool:
    """Return whether all of them may tell one order: one word, or one side and no other order beside
    a close.
    """
    words = {WORDS.get(squashed(each.text or "")) for each in told}
    known = [each for each in words if each is not None]
    sides = {each.side for each in known if each.side is not None}
    others = {each.verb for each in known} - {Verb.CLOSE, Verb.BE}
    has_close = any(each.verb is Verb.CLOSE for each in known)
    return len(words) == 1 or (len(sides) < 2 and not (has_close and others))


def _without(fields: Fields, places: tuple[str, ...]) -> Fields:
    """Return the fields without what stands in other orders, but for the contract if only they name
    one.
    """
    has_contract = any(not each.place.startswith(places) for each in fields.named(SYMBOLS))
    kept = () if has_contract else SYMBOLS
    return Fields(
        tuple(
            replace(each, is_own=False)
            if each.place.startswith(places) and each.name not in kept
            else each
            for each in fields.all
        ),
        tuple(each for each in fields.twice if not each.place.startswith(places)),
    )
