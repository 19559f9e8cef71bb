"""What a body says beside its action, in fields of other services that bots send along. Pure.

Such fields are ignored, unless one contradicts the action: a mark that an order only reduces beside
an entry, a part beside a close, another side than ``side``. They are found inside other objects as
well (``order.reduceOnly``), but not inside one that is named after a stop or target, nor in a list
of several objects: those are orders that stand beside an entry.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from rexalgo import InvalidValue, PositionSide, squashed

_FLAGS: Final = frozenset(("reduceonly", "closeonly", "closeposition", "closeontrigger"))
_REDUCES: Final = _FLAGS | {"reduce", "reduceposition", "closeall", "flatten", "exit", "close"}
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
_PARTS: Final[Mapping[str, int]] = {
    "fraction": 1,
    "portion": 1,
    "percent": 100,
    "percentage": 100,
    "pct": 100,
}
"""Names of fields that state a part, each with the number that is everything."""
_OF_PARTS: Final = (
    "",
    "order",
    "size",
    "quantity",
    "qty",
    "amount",
    "position",
    "close",
    "exit",
    "reduce",
)
"""What stands before such a name in one word, or around it as an object. Inside any other object,
such as ``pnl.percent``, it is no part of a position.
"""
_WHOLE: Final = {before + name: whole for before in _OF_PARTS for name, whole in _PARTS.items()}
_AMOUNTS: Final = frozenset(("quantity", "qty", "amount", "contracts", "value"))
_EVERYTHING: Final = frozenset(("", "follower", "all", "full", "everything", "max", "100%"))
_SIDES: Final = frozenset(("positionside", "posside", "holdside"))
_BOTH: Final = frozenset(("", "both", "net"))
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


def refuse_parts(fields: Mapping[str, object]) -> None:
    """Refuse a close beside anything that states a part, because it may be meant as a reduce."""
    for path, value in _members(fields):
        if value is not None and _is_part(squashed(path), _said(value), fields.get("size")):
            raise InvalidValue(
                path,
                "nothing beside close that states a part, because close closes everything: to "
                'close a part, send "action": "reduce" with "size": {"mode": "fraction", '
                '"fraction": "0.25"}',
                value,
            )


def read_sides(fields: Mapping[str, object], side: PositionSide | None) -> PositionSide | None:
    """Return the side of the position that a signal means: its own ``side``, or the one that a
    field such as ``positionSide`` names. Refuse two that differ.
    """
    for path, value in _members(fields):
        said = _said(value)
        if not is_side(_name(path)) or value is None or said in _BOTH:
            continue
        stated = next((each for each in PositionSide if each.value.lower() == said), None)
        if stated is None or side not in (None, stated):
            raise InvalidValue(path, "the same side as in side, or only one of the two", value)
        side = stated
    return side


def is_side(name: str) -> bool:
    """Return whether a field of this name states the side of a position."""
    return squashed(name) in _SIDES


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


def _is_part(path: str, said: str, size: object) -> bool:
    """Return whether a close's field states a part; ``path`` is squashed."""
    if path == "positionafter":
        return (_number(said) or 0) != 0
    if path == "size.mode" and said == "fraction" and isinstance(size, dict):
        return size.get("fraction") is None  # if it is there, it decides
    if path in ("size", "size.mode"):
        return said not in _EVERYTHING
    name = _name(path)
    whole = _WHOLE.get(path.replace(".", "") if name in _PARTS else name)
    if whole is None:
        return path.startswith("size.") and name in _AMOUNTS and said != ""
    return said != "" and _number(said.removesuffix("%")) != (100 if "%" in said else whole)


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
