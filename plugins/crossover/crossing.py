"""From candles to a signal: the last cross of the fast average and the slow one, and the strategy's
signal for it. Pure.

The same candles always give the same signal with the same key. So whoever reads them again after a
restart repeats a signal and never makes a second one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from plugins.crossover.settings import HISTORY, Rule, Sides
from rexalgo import (
    Action,
    Candle,
    PositionSide,
    SignalDraft,
    SignalSize,
    SizeMode,
    plain,
)


@dataclass(frozen=True, slots=True)
class Cross:
    """The candle at whose close the fast average moved to another side of the slow one: LONG above
    it, SHORT below it.
    """

    candle: Candle
    side: PositionSide


def keep_closed(
    kept: Sequence[Candle], candles: Iterable[Candle], now: datetime, rule: Rule
) -> tuple[Candle, ...]:
    """Return the newest closed candles of the rule's contract and length, oldest first, each once.

    Candles may come in any order and more than once; the first version of a candle counts. A candle
    that has not closed at ``now`` is left out.
    """
    by_time: dict[datetime, Candle] = {each.opened_at: each for each in kept}
    for each in candles:
        fits = each.symbol == rule.symbol and each.interval_s == rule.interval_s
        if fits and each.opened_at + rule.interval <= now:
            by_time.setdefault(each.opened_at, each)
    return tuple(by_time[at] for at in sorted(by_time)[-HISTORY:])


def newest_cross(candles: Sequence[Candle], rule: Rule) -> Cross | None:
    """Return the newest cross in closed candles, oldest first, or None if there is none.

    Equal averages count as on their former side. At most ``missing_max`` missing candles in a row
    count as candles without a trade, at the close before them; after a longer gap the averages
    begin again.
    """
    closes: list[Decimal] = []
    stood: PositionSide | None = None
    newest: Cross | None = None
    for index, candle in enumerate(candles):
        if index:
            missing = (candle.opened_at - candles[index - 1].opened_at) // rule.interval - 1
            if missing > rule.missing_max:
                closes.clear()
            closes += closes[-1:] * missing
        closes.append(candle.close)
        side = _side(closes, rule)
        if side is not None and stood not in (None, side):
            newest = Cross(candle, side)
        stood = side or stood
    return newest


def _side(closes: Sequence[Decimal], rule: Rule) -> PositionSide | None:
    """Return the side of the fast average, or None if both are equal or closes are too few."""
    if len(closes) < rule.slow:
        return None
    fast, slow = sum(closes[-rule.fast :]) * rule.slow, sum(closes[-rule.slow :]) * rule.fast
    if fast == slow:
        return None
    return PositionSide.LONG if fast > slow else PositionSide.SHORT


def signal_of(cross: Cross, rule: Rule) -> SignalDraft:
    """Return the strategy's signal for a cross.

    The candle identifies the signal: ``dedupe_key`` names it, ``seq`` and ``sent_at`` are its close
    (seconds since the epoch, UTC). ``position_after`` is the strategy's own position, negative when
    it is short.
    """
    opened = cross.candle.opened_at.astimezone(UTC)
    closed = opened + rule.interval
    action, side, size, position = _said(cross.side, rule)
    return SignalDraft(
        dedupe_key=f"{rule.symbol}-{rule.interval_s}s-{opened:%Y%m%dT%H%M%SZ}",
        action=action,
        symbol=rule.symbol,
        side=side,
        price=cross.candle.close,
        sent_at=closed,
        size=size,
        seq=int(closed.timestamp()),
        position_after=plain(position),
    )


def _said(
    crossed_to: PositionSide, rule: Rule
) -> tuple[Action, PositionSide | None, SignalSize, Decimal]:
    if rule.sides is not Sides.BOTH and crossed_to.value.lower() != rule.sides.value:
        return Action.CLOSE, None, SignalSize(), Decimal(0)
    action = Action.REVERSE if rule.sides is Sides.BOTH else Action.OPEN
    size = SignalSize(SizeMode.QUANTITY, rule.quantity)
    signed = rule.quantity if crossed_to is PositionSide.LONG else -rule.quantity
    return action, crossed_to, size, signed
