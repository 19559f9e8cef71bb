"""From candles to a signal: where the fast average last crossed the slow one, and what the strategy
says there. Pure.

The same candles always give the same signal with the same key, so that whoever reads them again
after a restart repeats a signal and never makes a second one.
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
    """The candle at whose close the fast average came to stand on another side of the slow one:
    LONG above it, SHORT below it.
    """

    candle: Candle
    side: PositionSide


def keep_closed(
    kept: Sequence[Candle], told: Iterable[Candle], now: datetime, rule: Rule
) -> tuple[Candle, ...]:
    """Return the newest closed candles of the rule's contract and length, oldest first, each once.

    Candles may be told in any order and again; what was told first about a candle stands. One that
    has not closed at ``now`` is left out.
    """
    by_time: dict[datetime, Candle] = {each.opened_at: each for each in kept}
    for each in told:
        fits = each.symbol == rule.symbol and each.interval_s == rule.interval_s
        if fits and each.opened_at + rule.interval <= now:
            by_time.setdefault(each.opened_at, each)
    return tuple(by_time[at] for at in sorted(by_time)[-HISTORY:])


def newest_cross(candles: Sequence[Candle], rule: Rule) -> Cross | None:
    """Find the newest cross in closed candles, oldest first; None where there is none.

    Averages that are equal stand where they stood before. At most ``missing_max`` missing candles
    in a row count as candles without a trade, at the close before them; behind a longer gap the
    averages begin anew.
    """
    closes: list[Decimal] = []
    stood: PositionSide | None = None
    found: Cross | None = None
    for index, candle in enumerate(candles):
        if index:
            missing = (candle.opened_at - candles[index - 1].opened_at) // rule.interval - 1
            if missing > rule.missing_max:
                closes.clear()
            closes += closes[-1:] * missing
        closes.append(candle.close)
        side = _side(closes, rule)
        if side is not None and stood not in (None, side):
            found = Cross(candle, side)
        stood = side or stood
    return found


def _side(closes: Sequence[Decimal], rule: Rule) -> PositionSide | None:
    """Tell where the fast average stands; None where both are equal or closes are too few."""
    if len(closes) < rule.slow:
        return None
    fast, slow = sum(closes[-rule.fast :]) * rule.slow, sum(closes[-rule.slow :]) * rule.fast
    if fast == slow:
        return None
    return PositionSide.LONG if fast > slow else PositionSide.SHORT


def signal_of(cross: Cross, rule: Rule) -> SignalDraft:
    """Return what the strategy says at a cross.

    The candle is what the signal is known by: ``dedupe_key`` names it, ``seq`` and ``sent_at`` are
    its close (seconds since the epoch, UTC). ``position_after`` is the strategy's own position,
    negative where it is short.
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
