"""From the fields of an alert to what it asks for. Pure.

*After* and *before* are where the strategy stands after and before the order. They decide where
they are told; the word (buy, sell ...) decides alone only where they are not. The first row that
applies:

| the alert                                                     | becomes                                                          |
|---------------------------------------------------------------|------------------------------------------------------------------|
| says that the strategy ends flat, whatever else it says       | close                                                            |
| close, exit, flatten ...; close_long, cover ...               | close (of that side); reduce, where the sizes say that a part is left or a part is stated (``stated_part``) |
| says that it only reduces (reduce_only, close_position ...)   | close of the side that was sold or bought back, or reduce likewise; else refused |
| reduce                                                        | reduce, where a part is stated or the sizes tell it; else refused |
| cancel; set_protection                                        | the same                                                         |
| enters a side, and ends there: before flat                    | open                                                             |
| the same: before on that side                                 | add                                                              |
| the same: before on the other side                            | reverse                                                          |
| the same: before not told                                     | reverse; open_long, enter_long ...: open; add: add               |
| sells and ends long, buys and ends short                      | reduce by the part that was closed; without the sizes refused    |
| after not told, before flat                                   | open                                                             |
| after not told, before on its own side                        | add                                                              |
| open_long, enter_short ...; reverse, add with a side          | the same                                                         |
| buy, sell, long, short and nothing else                       | reverse where the address turns; else sell: close of the long; open |

A position, a size of one, or a mark of reduce-only that cannot be read refuses whatever would
enter, reduce or guess. A close by its word or by ending flat does not need them, and is taken. A
buy or sell that does not tell where the strategy ends, beside a field that names it an exit
(``"comment": "Exit Short"``, see ``exit_marks``), closes the side that it reduces, as with
reduce-only; beside a part of the position that it states (``close_percent``), it reduces that side.
In doubt it is refused, and neither closes nor enters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Context
from typing import Final

from plugins.tradingview.exit_marks import ExitMark, clear_or_all, exit_marks, has_levels
from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.notices import refuse_notices
from plugins.tradingview.stated_part import read_part, stated_parts
from plugins.tradingview.stated_position import (
    FLAT,
    Stand,
    only_reduces,
    read_after,
    read_before,
    read_size,
)
from plugins.tradingview.words import (
    ACTION_EXPECTED,
    ACTIONS,
    AFTER,
    FALSE,
    HEDGED,
    KINDS_OF_MESSAGES,
    KINDS_OF_ORDERS,
    LONG,
    POSITION_INDEX,
    QUANTITIES,
    REDUCE_ONLY,
    SHORT,
    SIDES,
    SIGNALS,
    SIGNED_SIZES,
    SIZES,
    UNFILLED,
    WORDS,
    Verb,
    Word,
)
from rexalgo import Action, InvalidValue, PositionSide, Ratio, parse_fraction, squashed

EXACT: Final = Context(prec=60, rounding=ROUND_DOWN)
_SIDE_EXPECTED: Final = "LONG or SHORT"
_ORDER_EXPECTED: Final = (
    "close_long or close_short if it is an exit; for an entry no word of an exit beside it, or "
    "market_position"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """The request of an alert. The facts at the end are those of ``AlertFacts``."""

    action: Action
    side: PositionSide | None = None
    fraction: Ratio | None = None
    came_from: PositionSide | None = None
    is_bare: bool = False
    was_flat: bool = False
    seems_from: PositionSide | None = None


def read_meaning(fields: Fields, *, turns: bool) -> Meaning:
    """Return what an alert asks for. Raise InvalidValue.

    With ``turns``, a bare order of the other side turns the position.
    """
    if _ends_flat(fields):
        return _flat(fields)
    word = _word(fields)
    if word.verb is Verb.CLOSE:
        return _closed(fields, word)
    after = read_after(fields)
    reduces = only_reduces(fields)
    before = read_before(fields, after, word.side if word.verb is Verb.ORDER else None)
    fields.refuse_lookalikes()
    if word.verb in (Verb.CANCEL, Verb.PROTECT):
        return Meaning(
            action=Action.CANCEL if word.verb is Verb.CANCEL else Action.SET_PROTECTION,
            side=word.side,
        )
    if word.verb is Verb.REDUCE:
        return _reduced(fields, word, after, before)
    if reduces:
        return _only_reduced(fields, word, after, before)
    _refuse_both_sides(fields)
    meaning = _entered(fields, word=word, after=after, before=before, turns=turns)
    marks = () if after is not None else exit_marks(fields)
    if not meaning.action.is_entry:
        is_sure = any(each.is_clear for each in marks)
        return _parted(meaning, read_part(fields, is_sure=is_sure))
    if word.verb not in (Verb.ORDER, Verb.BE):
        marks = [each for each in marks if each.is_clear]
    elif after is None and (before is None or before.side not in (None, meaning.side)):
        marks = clear_or_all((*marks, *_marks_of_parts(fields)))
    if marks:
        return _parted(_named_exit(fields, marks, word), read_part(fields))
    if after is None:
        _refuse_other_side(fields, meaning.side)
    refuse_notices(fields, is_bare=after is None and word.verb in (Verb.ORDER, Verb.BE))
    _refuse_strange_quantities(fields)
    return replace(
        meaning, came_from=None if before is None else before.side, was_flat=before == FLAT
    )


# What closes


def closes(fields: Fields) -> bool:
    """Return whether an alert closes by its word or by ending flat, whatever else it says."""
    try:
        return _ends_flat(fields) or _word(fields).verb is Verb.CLOSE
    except InvalidValue:
        return False


def _ends_flat(fields: Fields) -> bool:
    """Return whether the strategy ends flat. That decides, whatever else cannot be read."""
    try:
        after = read_after(fields)
    except InvalidValue:
        # the order's own word may still say that it closes; if not, the same fault is raised later
        return False
    if after is None:
        return any(squashed(each.text or "") == "flat" for each in fields.present(HEDGED))
    return after == FLAT


def _flat(fields: Fields) -> Meaning:
    """Return a close for a strategy that ends flat. Unreadable fields beside it do not matter."""
    try:
        word = _word(fields)
    except InvalidValue:
        word = Word(Verb.CLOSE)
    side = word.side if word.verb is Verb.CLOSE else None
    ordered = word.side if word.verb is Verb.ORDER else None
    seems_from = None if ordered is None else ordered.opposite
    return Meaning(
        action=Action.CLOSE,
        side=side,
        came_from=side or _came_from(fields, ordered),
        seems_from=seems_from,
    )


def _came_from(fields: Fields, ordered: PositionSide | None) -> PositionSide | None:
    try:
        before = read_before(fields, FLAT, ordered)
    except InvalidValue:
        return None
    return None if before is None else before.side


def _closed(fields: Fields, word: Word) -> Meaning:
    try:
        after = read_after(fields)
        before = read_before(fields, after, None)
    except InvalidValue:
        after = before = None
    if after is not None and word.side in (None, after.side):
        part = _part(after, before)
        if part is not None:
            return Meaning(action=Action.REDUCE, side=after.side, fraction=part)
    came_from = word.side or (None if before is None else before.side)
    whole = Meaning(
        action=Action.CLOSE,
        side=word.side,
        came_from=came_from,
        is_bare=word.side is None and after is None,
    )
    return _parted(whole, read_part(fields))


def _parted(meaning: Meaning, part: Ratio | None) -> Meaning:
    """Return a close of the stated part only."""
    if part is None or part == 1 or meaning.action is not Action.CLOSE:
        return meaning
    return Meaning(action=Action.REDUCE, side=meaning.side, fraction=part)


def _part(after: Stand, before: Stand | None) -> Ratio | None:
    """Return the part that was closed, or None if the sizes do not tell it."""
    if (
        before is None
        or before.side is not after.side
        or before.size is None
        or after.size is None
        or not after.size < before.size
    ):
        return None
    return parse_fraction(
        EXACT.divide(EXACT.subtract(before.size, after.size), before.size), "size_after"
    )


def _reduced(fields: Fields, word: Word, after: Stand | None, before: Stand | None) -> Meaning:
    stated = read_part(fields, is_asked=True)
    if stated is not None:
        return _parted(Meaning(action=Action.CLOSE, side=word.side), stated)
    part = None if after is None else _part(after, before)
    if part is None or after is None:
        raise InvalidValue(
            "size",
            "which part to close: a fraction below 1, a percent of the position, or position, "
            "size_before and size_after",
            None,
        )
    return Meaning(action=Action.REDUCE, side=after.side, fraction=part)


def _only_reduced(fields: Fields, word: Word, after: Stand | None, before: Stand | None) -> Meaning:
    """Read an order that only reduces: a sell closes a long. A ``long`` or a similar word has no
    clear meaning there: it closes what was held, or is refused.
    """
    side_held = word.side.opposite if word.side is not None and word.verb is Verb.ORDER else None
    if after is not None and side_held is not None and after.side is not side_held:
        raise InvalidValue(
            _where_told(fields), "flat or the side that the order reduces, because it only reduces"
        )
    part = None if after is None else _part(after, before)
    if part is not None and after is not None:
        return Meaning(action=Action.REDUCE, side=after.side, fraction=part)
    if side_held is None and word.verb is Verb.BE and before is not None:
        side_held = before.side
    if side_held is None:
        mark = next(fields.present(REDUCE_ONLY))
        raise InvalidValue(mark.shown, _ORDER_EXPECTED, mark.text)
    whole = Meaning(action=Action.CLOSE, side=side_held, came_from=side_held)
    return _parted(whole, read_part(fields))


def _named_exit(fields: Fields, marks: Sequence[ExitMark], word: Word) -> Meaning:
    """Read an order that another field names an exit: a buy closes a short, as with reduce-only. It
    never enters. A side that is no action (``"side": "long"``) is the side that is closed.
    """
    side = word.side
    if side is not None and word.verb is Verb.ORDER:
        side = side.opposite
    names_side = word.verb is Verb.ORDER or (
        word.verb is Verb.BE and fields.first((*ACTIONS, *SIGNALS)) is None
    )
    for each in marks:
        fits = each.side is side or (each.side is None and names_side)
        is_exit = each.is_clear and fits and word.verb in (Verb.ORDER, Verb.BE)
        is_sure = not each.is_worded or (each.is_whole and word.verb is Verb.ORDER)
        if not is_exit or (not is_sure and has_levels(fields)):
            field = each.field
            raise InvalidValue(
                field.shown if field.shown != "body" else "action", _ORDER_EXPECTED, field.text
            )
    return Meaning(action=Action.CLOSE, side=side, came_from=side)


def _marks_of_parts(fields: Fields) -> Iterator[ExitMark]:
    """Yield what states a part of the position. ``close`` in % may be the change of a price."""
    for each in stated_parts(fields):
        yield ExitMark(each, is_clear=each.name != "close", is_worded=True)


# What enters


def _entered(
    fields: Fields, word: Word, after: Stand | None, before: Stand | None, turns: bool
) -> Meaning:
    side = word.side or (None if after is None else after.side)
    if side is None:
        raise InvalidValue(
            "side", f"{_SIDE_EXPECTED}, or the position after the order, beside this action"
        )
    if after is None:
        return _untold(word, side, before, turns)
    if after.side is not side:
        return _part_closed(fields, word=word, side=side, after=after, before=before)
    return Meaning(action=_entry(word.verb, side, before), side=side)


def _entry(verb: Verb, side: PositionSide, before: Stand | None) -> Action:
    """Return the action of an order that ends on its own side."""
    if before is None:
        by_verb = {Verb.ENTER: Action.OPEN, Verb.ADD: Action.ADD}
        return by_verb.get(verb, Action.REVERSE)
    if before == FLAT:
        return Action.OPEN
    return Action.ADD if before.side is side else Action.REVERSE


def _untold(word: Word, side: PositionSide, before: Stand | None, turns: bool) -> Meaning:
    """Read an order that does not tell the position after it."""
    by_verb = {Verb.ENTER: Action.OPEN, Verb.ADD: Action.ADD, Verb.REVERSE: Action.REVERSE}
    if word.verb in by_verb:
        return Meaning(action=by_verb[word.verb], side=side)
    if before is not None and before.side in (None, side):
        return Meaning(action=_entry(word.verb, side, before), side=side)
    if turns:
        return Meaning(action=Action.REVERSE, side=side, is_bare=True)
    if word == Word(Verb.ORDER, SHORT):
        return Meaning(action=Action.CLOSE, side=LONG, came_from=LONG, is_bare=before is None)
    if before is not None and word.verb is Verb.ORDER:
        return Meaning(action=Action.CLOSE, side=side.opposite, came_from=side.opposite)
    if before is not None:
        return Meaning(action=Action.REVERSE, side=side)
    return Meaning(action=Action.OPEN, side=side, is_bare=word.verb is Verb.ORDER)


def _part_closed(
    fields: Fields, word: Word, side: PositionSide, after: Stand, before: Stand | None
) -> Meaning:
    """Read an order that leaves a part of the other side. It is never an entry of that side."""
    part = _part(after, before) if word.verb is Verb.ORDER else None
    if part is None:
        expected = (
            f"flat or {side.value.lower()}; where a part was closed: size_before and a smaller "
            "size_after, or contracts"
        )
        raise InvalidValue(_where_told(fields), expected)
    return Meaning(action=Action.REDUCE, side=after.side, fraction=part)


def _where_told(fields: Fields) -> str:
    """Return the name of the field that tells the position after the order."""
    return next(
        (each.shown for each in fields.present((*AFTER, *SIGNED_SIZES, *SIZES))), "position"
    )


def _refuse_other_side(fields: Fields, side: PositionSide | None) -> None:
    """Refuse an entry beside the kind of an order that buys, sells or enters the other side: is
    ``"type": "sell", "side": "long"`` the exit of a long?
    """
    for each in fields.named(("order", *KINDS_OF_ORDERS, *KINDS_OF_MESSAGES)):
        word = WORDS.get(squashed(each.text or ""))
        if word is not None and word.side not in (None, side):
            raise InvalidValue(
                each.shown,
                "the side that the action names, or close_long or close_short",
                each.text,
            )


def _refuse_strange_quantities(fields: Fields) -> None:
    """Refuse an entry whose own quantity is not a number. Followers have their own sizes, but half
    a message is not read.
    """
    for each in fields.named(QUANTITIES):
        try:
            read_size(
                Field(
                    each.path, each.name, None if each.text is None else each.text.removesuffix("%")
                )
            )
        except InvalidValue:
            raise InvalidValue(
                each.shown, "the quantity of the order as a number, or none", each.text
            ) from None


# The word


def _word(fields: Fields) -> Word:
    """Read the order: its action, with the side beside it. Raise InvalidValue if two of them
    differ. A signal is read last, and may be any text where another field tells the order.
    """
    word = None
    for each in (*fields.named(ACTIONS), *fields.named(SIDES), *fields.named(SIGNALS)):
        closes = word is not None and word.verb is Verb.CLOSE
        is_lenient = closes or (word is not None and each.name in SIGNALS)
        said = _one_word(each, is_lenient=is_lenient)
        word = said if word is None else word if said is None else _joined(word, said, each)
    if word is None:
        empty = fields.present((*ACTIONS, *SIDES, *SIGNALS))
        is_unfilled = any(each.is_unfilled for each in empty)
        raise InvalidValue("action", UNFILLED if is_unfilled else ACTION_EXPECTED)
    for each in fields.present(HEDGED):
        word = _hedged(word, each)
    return word


def _refuse_both_sides(fields: Fields) -> None:
    """Refuse an order for one of two positions that an account holds on both sides."""
    for each in fields.present(POSITION_INDEX):
        if each.text not in FALSE:
            raise InvalidValue(
                each.shown, "0: positions of both sides at once are not read", each.text
            )


def _one_word(field: Field, *, is_lenient: bool = False) -> Word | None:
    word = WORDS.get(squashed(field.text or ""))
    if word is None and not is_lenient:
        raise InvalidValue(
            "action" if field.name in ACTIONS else field.shown, ACTION_EXPECTED, field.text
        )
    return word


def _joined(word: Word, said: Word, field: Field) -> Word:
    """Combine what two fields say: an order (open, close ...) and its side, or one order twice."""
    sides = (Verb.ORDER, Verb.BE)
    if word.verb in sides and said.verb not in sides:
        word, said = said, word
    if said == word:
        return word
    differs = InvalidValue(field.shown, "what the action says, or only one of the two", field.text)
    if said.verb not in sides:
        raise differs
    if word.verb in (Verb.CLOSE, Verb.REDUCE):
        named = (
            said.side if said.verb is Verb.BE else None
        )  # is a close with a sell the close of a long, or the close of a short?
        if word.side is not None and named not in (None, word.side):
            raise differs
        return Word(word.verb, word.side or named)
    if word.side not in (None, said.side):
        raise differs
    return Word(word.verb, said.side)


def _hedged(word: Word, field: Field) -> Word:
    """Return the order with the position side of a hedged account, for a plain buy or sell."""
    said = squashed(field.text or "")
    if said in ("both", "net", "flat"):
        return word
    if said not in ("long", "short"):
        if word.verb is Verb.CLOSE:
            return word
        raise InvalidValue(field.shown, "LONG, SHORT, BOTH or NET", field.text)
    side = LONG if said == "long" else SHORT
    if word.verb is Verb.ORDER:
        return Word(Verb.ENTER if word.side is side else Verb.CLOSE, side)
    if word.side not in (None, side):
        raise InvalidValue(field.shown, "the side that the action names", field.text)
    return Word(word.verb, side)
