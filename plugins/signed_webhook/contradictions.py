"""What a body says beside its action, in fields of other services that bots send along. Pure.

Such fields are ignored, unless one contradicts the action: a mark that an order only reduces beside
an entry, a part in so many words beside a close, another side than ``side``. An entry is refused
also beside what would be lost: a yes of a test, a stop, a target or a limit's price under a name
that is not read. They are found inside other objects as
well (``order.reduceOnly``), but not inside one that is named after a stop or target, nor in a list
of several objects: those are orders that stand beside an entry.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from rexalgo import (
    InvalidValue,
    PositionSide,
    is_test_mode,
    names_level,
    names_limit_price,
    names_test,
    percents_of,
    squashed,
)

_FLAGS: Final = frozenset(("reduceonly", "closeonly", "closeposition", "closeontrigger"))
_REDUCES: Final = _FLAGS | frozenset(
    ("reduce", "reduceposition", "closeall", "closeorder", "flatten", "liquidate", "exit", "close")
)
"""Names of fields with which other services say that an order only closes. The ``_FLAGS`` also
stand as values, in a list of flags.
"""
_PRICES: Final = frozenset(("close", "exit"))
"""Of these, the ones that are prices inside another object; a price may be 1."""
_STANDS: Final = frozenset(
    (
        "position",
        "marketposition",
        "sentiment",
        "positionafter",
        "positionsize",
        "marketpositionsize",
        "newposition",
    )
)
"""Names of fields with which other services state the position after the order."""
_YES: Final = frozenset(("true", "yes", "y", "on"))
_FRACTIONS: Final = frozenset(
    ("size.fraction", "fraction", "closefraction", "exitfraction", "reducefraction")
)
_PERCENTS: Final = frozenset(percents_of("close", "exit", "reduce")) | {"percenttoclose"}
"""With the ``_FRACTIONS``, the only names of fields that state a part of a position beyond doubt. A
bare ``percent`` or ``quantity`` may be a profit, or what every message of a bot carries.
"""
_AFTER: Final = frozenset(("positionafter", "newposition"))
"""Of the ``_STANDS``, those that cannot mean the position before the order."""
_ORDER_TYPES: Final = ("stop", "stopmarket", "takeprofit", "takeprofitmarket", "trailingstopmarket")
_TRIGGERS: Final = frozenset(("triggerprice",))
_OF_TARGETS: Final = ("tp", "take", "target", "profit")
_SIDES: Final = frozenset(("positionside", "posside", "holdside"))
_BOTH: Final = frozenset(("", "both", "net"))
_STATED: Final = {each.value.lower(): each for each in PositionSide}
_PROTECTS: Final = ("stop", "target", "profit", "protect", "sl", "tp")


def refuse_marks_of_exits(fields: Mapping[str, object]) -> None:
    """Refuse an entry beside a field that says it only reduces, or that the strategy ends flat. One
    of the two is wrong.
    """
    for path, value in _members(fields):
        name, said, is_inner = _name(path), _said(value), path not in fields
        is_yes = said in _YES or (_number(said) == 1 and not (is_inner and name in _PRICES))
        reduces = (name.removeprefix("is") in _REDUCES and is_yes) or squashed(said) in _FLAGS
        is_flat = said == "flat" or _number(said) == 0
        if reduces or (is_flat and name in _STANDS and not is_inner):
            raise InvalidValue(
                path,
                'none of it beside an entry, or "action": "close": it says that something is '
                "closed",
                value,
            )


def refuse_other_side(
    fields: Mapping[str, object], side: PositionSide | None, *, turns: bool
) -> None:
    """Refuse an entry beside a position after it on the other side: by its word, or by the sign of
    its size. Where it ``turns``, only a name that cannot mean the position before counts.
    """
    for name, value in fields.items():
        form, said = squashed(name), _said(value)
        stated = _STATED.get(said) if form in _STANDS else None
        number = _number(said) if form in _STANDS else None
        if number is not None and (number < 0 or form == "positionafter"):
            stated = PositionSide.SHORT if number < 0 else PositionSide.LONG
        is_read = side is not None and (not turns or form in _AFTER)
        if is_read and stated not in (None, side):
            raise InvalidValue(
                name, "the side of the entry, below 0 for a short, or none of it", value
            )


def refuse_tests(fields: Mapping[str, object]) -> None:
    """Refuse an entry that another field says is not to be traded."""
    for path, value in _members(fields):
        name, said = _name(path), _said(value)
        is_yes = said in _YES or _number(said) == 1
        if (names_test(name) and is_yes) or is_test_mode(name, said):
            raise InvalidValue(
                path, '"test": true, if nothing is to be traded, or none of it', value
            )


def refuse_unread(
    fields: Mapping[str, object], *, has_type: bool, has_stop: bool, has_target: bool
) -> None:
    """Refuse an entry beside a type, a limit's price, a stop or a target under a name that is not
    read, unless the field that is read stands beside it.
    """
    for path, value in _members(fields):
        name, said = path.removeprefix("order."), squashed(_said(value))
        is_other = name == "type" and ("limit" in said or said in _ORDER_TYPES)
        is_price = names_limit_price(name) or squashed(name) in _TRIGGERS
        if not has_type and (is_other or (path == name and is_price and _asks(value))):
            raise InvalidValue(path, "order_type MARKET, or LIMIT with its price in price", value)
    for name, value in fields.items():
        is_there = has_target if squashed(name).startswith(_OF_TARGETS) else has_stop
        if names_level(name) and not is_there and _asks(value):
            raise InvalidValue(
                name,
                "stop_loss and take_profit as one price each: percents, amounts, several targets "
                "and trailing stops are not read",
            )


def _asks(value: object) -> bool:
    """Return whether a value is a yes or a number other than 0, or contains one and is not off."""
    if isinstance(value, list):
        return any(_asks(each) for each in value)
    if isinstance(value, dict):
        form = {squashed(name): each for name, each in value.items()}
        is_off = any(form.get(each) is False for each in ("enabled", "active"))
        return not is_off and any(_asks(each) for each in form.values())
    said = _said(value)
    return said in _YES or _number(said.removesuffix("%")) not in (None, 0)


def refuse_parts(fields: Mapping[str, object]) -> None:
    """Refuse a close beside what states a part in so many words, because it may be meant as a
    reduce. Anything else is ignored: a close must not be lost to a bystander.
    """
    said = {squashed(path): _said(value) for path, value in _members(fields)}
    for path, value in _members(fields):
        if _is_part(squashed(path), _said(value), said):
            raise InvalidValue(
                path,
                "nothing beside close that states a part, because close closes everything: to "
                'close a part, send "action": "reduce" with "size": {"mode": "fraction", '
                '"fraction": "0.25"}',
                value,
            )


def read_sides(
    fields: Mapping[str, object], side: PositionSide | None, *, is_entry: bool
) -> PositionSide | None:
    """Return the side of the position that a signal means: its own ``side``, or the one that a
    field such as ``positionSide`` names. Refuse two that differ, and beside an entry one that
    cannot be read.
    """
    for path, value in _members(fields):
        name, stated = _name(path), _STATED.get(_said(value))
        if name not in _SIDES or (stated is None and (not is_entry or names_side(name, value))):
            continue
        if stated is None or side not in (None, stated):
            raise InvalidValue(path, "the same side as in side, or only one of the two", value)
        side = stated
    return side


def names_side(name: str, value: object) -> bool:
    """Return whether a field states the side of a position in a word that is read."""
    said = _said(value)
    is_read = value is None or said in _STATED or said in _BOTH
    return is_read and squashed(name) in _SIDES


def _members(fields: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Yield the path and the value of every plain field, also of inner objects."""
    for name, value in fields.items():
        members = value if isinstance(value, list) else [value]
        for each in members:
            if not isinstance(each, dict):
                yield above + name, each
            elif not _protects(name) and sum(isinstance(it, dict) for it in members) == 1:
                yield from _members(each, f"{above}{name}.")


def _protects(name: str) -> bool:
    form = squashed(name)
    return form.startswith(_PROTECTS) or form.endswith(_PROTECTS)


def _is_part(path: str, told: str, said: Mapping[str, str]) -> bool:
    """Return whether a close's field states a part; ``path`` and those of ``said`` are squashed."""
    name = path.removeprefix("order.")
    if name == "size.mode" and told == "fraction":
        beside = said.get(path.removesuffix("mode") + "fraction", "")
        return _number(beside.removesuffix("%")) != _whole(beside, 1)
    if name in _PERCENTS:
        return _is_below(told, 100) and _number(told) != 1  # 1 may be a fraction: all of it
    return (name in _FRACTIONS or (name == "size" and "%" in told)) and _is_below(told, 1)


def _is_below(told: str, whole: int) -> bool:
    return 0 < (_number(told.removesuffix("%")) or 0) < _whole(told, whole)


def _whole(told: str, whole: int) -> int:
    return 100 if told.endswith("%") else whole


def _name(path: str) -> str:
    return squashed(path.rpartition(".")[2])


def _said(value: object) -> str:
    return str(value).strip().lower()


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
