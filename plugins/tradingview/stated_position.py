"""The position of the strategy that an alert states, after its order and before it. Pure.

A size under a name that TradingView signs tells the side: 0 is flat, below 0 short, above 0 long.
If a word beside it says short, the size is unsigned.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.words import (
    AFTER,
    BEFORE,
    CONTRACTS,
    FALSE,
    LONG,
    REDUCE_ONLY,
    SHORT,
    SIGNED_SIZES,
    SIZES,
    SIZES_BEFORE,
    STANDS,
    TRUE,
)
from rexalgo import InvalidValue, PositionSide, read_number

NOISE: Final = Decimal("1e-10")
"""A smaller size is a rounding error of zero."""
_EXPONENT_MAX: Final = 40
_STAND: Final = "long, short or flat, as {{strategy.market_position}} tells it"


@dataclass(frozen=True, slots=True)
class Stand:
    """A stated position: ``side`` is None when flat; ``size`` is above zero, or None if it is not
    told.
    """

    side: PositionSide | None
    size: Decimal | None = None


FLAT: Final = Stand(None)


def read_after(fields: Fields) -> Stand | None:
    """Read the position after the order; None if no field tells it. Raise InvalidValue."""
    stated = fields.agreed(fields.present(AFTER), _stand)
    if stated is not None and stated.side is None:
        return FLAT
    signed = fields.agreed(fields.present(SIGNED_SIZES), _signed)
    unsigned = fields.agreed(fields.present(SIZES), read_size)
    by_sign = None if signed is None else _by_sign(signed)
    if stated is None:
        return FLAT if by_sign is None and unsigned == 0 else by_sign
    if by_sign is not None and by_sign.side not in (stated.side, LONG):
        raise InvalidValue(
            next(fields.present(SIGNED_SIZES)).shown, "the side that the position tells", signed
        )
    if unsigned == 0:
        raise InvalidValue(
            next(fields.present(SIZES)).shown, "a size above 0 where the position is not flat", 0
        )
    return Stand(
        stated.side, stated.size or unsigned or (None if by_sign is None else by_sign.size)
    )


def read_before(fields: Fields, after: Stand | None, ordered: PositionSide | None) -> Stand | None:
    """Read the position before the order; None if no field tells it. Raise InvalidValue.

    ``ordered`` is what was bought or sold.
    """
    stated = fields.agreed(fields.present(BEFORE), _stand)
    size = fields.agreed(fields.present(SIZES_BEFORE), read_size)
    if stated is not None:
        return Stand(stated.side, None if stated.side is None else stated.size or size or None)
    if size == 0:
        return FLAT
    if size is not None:
        return (
            Stand(after.side, size)
            if after is not None and after.side is not None and ordered is not after.side
            else None
        )
    return _by_order(fields, after, ordered)


def _by_order(fields: Fields, after: Stand | None, ordered: PositionSide | None) -> Stand | None:
    """Compute the position before from the one after and the order."""
    contracts = fields.agreed(fields.named(CONTRACTS), read_size)
    if (
        after is None
        or ordered is None
        or contracts is None
        or (after.side is not None and after.size is None)
    ):
        return None
    signed = (after.size or Decimal(0)) * (1 if after.side is LONG else -1)
    before = signed - contracts * (1 if ordered is LONG else -1)
    if abs(before) < max(NOISE, contracts * NOISE):
        return FLAT
    return Stand(LONG if before > 0 else SHORT, abs(before))


def only_reduces(fields: Fields) -> bool:
    """Return whether the alert says that it only reduces or closes. Raise InvalidValue for an
    unreadable mark.
    """
    marks = [
        _flag(each) for each in fields.present(REDUCE_ONLY)
    ]  # read all of them, so that an unreadable one is refused beside a readable one
    return any(marks)


def _flag(field: Field) -> bool:
    said = (field.text or "").lower()
    if said not in TRUE and said not in FALSE:
        raise InvalidValue(field.shown, "true or false", field.text)
    return said in TRUE


def _stand(field: Field) -> Stand:
    said = (field.text or "").lower()
    if said in STANDS:
        return Stand(STANDS[said])
    try:
        return _by_sign(_signed(field))
    except InvalidValue:
        raise InvalidValue(field.shown, _STAND, field.text) from None


def _by_sign(size: Decimal) -> Stand:
    return FLAT if abs(size) < NOISE else Stand(LONG if size > 0 else SHORT, abs(size))


def _signed(field: Field) -> Decimal:
    """Read a size with as many digits as a float may leave. Only its sign, and its ratio to another
    size, are used.
    """
    text = (field.text or "").strip()
    try:
        size = (
            Decimal(text)
            if text.isascii() and "," not in text and "_" not in text
            else read_number(text, field.shown)
        )
    except InvalidOperation:
        size = Decimal("NaN")
    if not size.is_finite() or abs(size.adjusted()) > _EXPONENT_MAX:
        raise InvalidValue(field.shown, "the size of a position", field.text)
    return size


def read_size(field: Field) -> Decimal:
    """Read a size of the master's own, whatever its sign."""
    return abs(_signed(field))
