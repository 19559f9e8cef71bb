"""Whether an alert names its order an exit, though its action is only a buy, a sell or a side. Pure.

| the field                                                      | says                                          |
|----------------------------------------------------------------|-----------------------------------------------|
| ``close``, ``exit``, ``reduce`` ... with yes or a part of it   | an exit; with an object in doubt              |
| an id or a comment that TradingView gives to its own exits     | an exit                                       |
| any field that is a known order to close (``Exit Short``)      | that exit; a bare ``close`` only in a label,  |
|                                                                | nothing as the choice of a price              |
|                                                                | (``"source": "close"``), else in doubt        |
| an id or a comment with a word of an exit, a side, numbers and | an exit, of the side that it names            |
| words that say little (``Short TP1 hit``)                      |                                               |
| the same with any other word (``RSI exits oversold``), or with | in doubt: it may be an entry                  |
| two sides or a price, or a ``type`` that is a kind of stop     |                                               |
| a status with a word of an exit: ``closed`` is filled or ended | in doubt                                      |
| the reason of an exit (``exit_reason``) in any other words     | in doubt                                      |

Words alone may stand beside an entry too: beside a stop, a target or a leverage each is in doubt
(``has_levels``), unless the whole field is an order to close one side (``Exit Short``) and the action
buys or sells. The close of a candle (``bar_close``, ``on close``) is no word of an exit.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.unread import is_protection
from plugins.tradingview.words import (
    EXIT_SWITCHES,
    FALSE,
    KINDS_OF_ORDERS,
    LABELS,
    LEVERAGES,
    LONG,
    ORDER_WORDS,
    PRICE_CHOICES,
    REASONS_OF_EXITS,
    REDUCE_ONLY,
    SAYS_EXIT,
    SAYS_LITTLE,
    SEEMS_EXIT,
    SHORT,
    STATUSES,
    STOPS,
    TARGETS,
    TRUE,
    WORDS,
    Verb,
)
from rexalgo import PositionSide, squashed

_OWN_NAME: Final = re.compile(r"closeentry\(s\)order.*|closepositionorder|margincall")
"""The names that TradingView gives to the orders of ``strategy.close`` (the entry's id follows),
``strategy.close_all`` and of a liquidation.
"""
_CANDLE: Final = r"(?:bar|candle|candlestick|kline)s?"
_CANDLE_CLOSES: Final = re.compile(
    rf"{_CANDLE}[\W_]*clos(?:e[sd]?|ing)(?![a-z])"
    rf"|(?<![a-z])clos(?:ed?|ing)[\W_]*(?:of[\W_]*)?(?:the[\W_]*)?{_CANDLE}(?![a-z])"
    r"|(?<![a-z])(?:on|at)[\W_]*close[\W_]*$",
    re.IGNORECASE,
)
_PHRASES: Final = (
    (_CANDLE_CLOSES, " "),
    (re.compile(r"take[\W_]*profit", re.IGNORECASE), " tp "),
    (re.compile(r"stop[\W_]*loss", re.IGNORECASE), " sl "),
)
_TOKEN: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9][0-9.,]*|[^\W0-9_A-Za-z]+|[<>=]+")
_LABEL_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class ExitMark:
    """A field that names the order an exit, and the side that it names; not ``is_clear`` where it
    may mean something else. ``is_worded``: it says so in words, which an entry may carry too;
    ``is_whole``: the whole field is an order to close one side.
    """

    field: Field
    side: PositionSide | None = None
    is_clear: bool = True
    is_worded: bool = False
    is_whole: bool = False


def exit_marks(fields: Fields) -> Sequence[ExitMark]:
    """Return the fields that name the order an exit: the clear ones, or else those in doubt."""
    marks = [mark for each in fields.own for mark in [_mark(fields, each)] if mark is not None]
    return clear_or_all(marks)


def clear_or_all(marks: Sequence[ExitMark]) -> Sequence[ExitMark]:
    """Return the clear ones, or all of them where none is clear."""
    return [each for each in marks if each.is_clear] or marks


def has_levels(fields: Fields) -> bool:
    """Return whether the order has a stop, a target or a leverage, as entries do."""
    return any(
        is_protection(fields, each)
        or (each.name in (*STOPS, *TARGETS, *LEVERAGES) and each.has_number)
        for each in fields.own
    )


def _mark(fields: Fields, field: Field) -> ExitMark | None:
    said = squashed(field.text or "")
    if _is_exit_object(fields, field):
        return ExitMark(field, is_clear=False)
    if _is_switched_on(field, said):
        by_name = WORDS.get(field.name.removeprefix("is"))
        return ExitMark(field, None if by_name is None else by_name.side)
    if any(each in said for each in REDUCE_ONLY):
        return ExitMark(field)
    is_label = field.name in LABELS
    word = WORDS.get(said)
    if word is not None and word.verb is Verb.CLOSE:
        is_clear = is_label or said != "close"
        if not is_clear and PRICE_CHOICES.fullmatch(field.name):
            return None
        return ExitMark(field, word.side, is_clear, is_worded=True, is_whole=word.side is not None)
    if field.name in STATUSES:
        mark = _labelled(field)
        return None if mark is None else replace(mark, is_clear=False)
    if not is_label or _is_order_type(field):
        return None
    if _OWN_NAME.fullmatch(said):
        return ExitMark(field)
    is_reason = field.name in REASONS_OF_EXITS and field.is_told and said not in FALSE
    return _labelled(field) or (ExitMark(field, is_clear=False) if is_reason else None)


def _is_exit_object(fields: Fields, field: Field) -> bool:
    """Return whether an object that is not switched off stands under a name that closes."""
    is_named = field.text is None and field.name.removeprefix("is") in EXIT_SWITCHES
    return is_named and fields.is_object(field) and not fields.is_switched_off(field)


def _is_order_type(field: Field) -> bool:
    return field.name in KINDS_OF_ORDERS and (field.text or "").upper() in ORDER_WORDS


def _is_switched_on(field: Field, said: str) -> bool:
    """Return whether a yes or a part stands under a name that closes; ``close`` may be a price."""
    is_one = field.name != "close" and (said == "1" or said.endswith("%"))
    is_named = field.name.removeprefix("is") in EXIT_SWITCHES
    return is_named and (is_one or (said in TRUE and said != "1"))


def _labelled(field: Field) -> ExitMark | None:
    """Read an id or a comment of several words."""
    text = (field.text or "")[:_LABEL_MAX]
    for phrase, token in _PHRASES:
        text = phrase.sub(token, text)
    tokens = [each.lower() for each in _TOKEN.findall(text)]
    orders = [WORDS[each] for each in tokens if each in WORDS]
    closes = [each for each in orders if each.verb is Verb.CLOSE]
    says, seems = SAYS_EXIT.intersection(tokens), SEEMS_EXIT.intersection(tokens)
    if not (says or seems or closes):
        return None
    sides = {each.side for each in orders if each.verb in (Verb.BE, Verb.CLOSE) and each.side}
    sides |= {side for side, token in ((LONG, "longs"), (SHORT, "shorts")) if token in tokens}
    is_clear = (
        len(sides) < 2
        and len(field.text or "") <= _LABEL_MAX
        and not _tells_price(tokens)
        and all(_leaves_clear(each) for each in tokens)
        and bool(says or sides or field.name not in KINDS_OF_ORDERS)
    )
    return ExitMark(field, sides.pop() if len(sides) == 1 else None, is_clear, is_worded=True)


def _leaves_clear(token: str) -> bool:
    """Return whether a token is a word of an exit, a number, or says little."""
    word = WORDS.get(token)
    closes = word is not None and word.verb is Verb.CLOSE
    return closes or token in SAYS_EXIT | SEEMS_EXIT | SAYS_LITTLE or token[0].isdigit()


def _tells_price(tokens: Sequence[str]) -> bool:
    """Return whether a label lists the levels of an entry, as in ``TP 70000 SL 60000``."""
    return {"tp", "sl"} <= set(tokens) or any(
        token in SEEMS_EXIT and behind[0].isdigit() and len(behind) > 2
        for token, behind in pairwise(tokens)
    )
