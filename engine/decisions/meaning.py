"""What terms mean now, and terms to begin with: the size of an entry in each contract, the margin of
one in each, the most margin in use, and presets. Pure.

What always holds: sizes are computed by the functions that plan. A preset never asks for more
leverage than the strategy does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from engine.decisions.portfolio import percent_of
from engine.decisions.preflight import SymbolNeed
from engine.decisions.risk import equity, total
from engine.decisions.sizing import smallest_quantity
from engine.decisions.terms import TermsFacts, size_now
from engine.domain.amounts import (
    EXACT,
    Money,
    Quantity,
    Ratio,
    floor_to_step,
    initial_margin,
    notional,
)
from engine.domain.identifiers import Symbol
from engine.domain.subscription import (
    BelowMinimum,
    CopyPolicy,
    EquityShare,
    FixedMargin,
    LeverageMode,
    LeveragePolicy,
    Mode,
    RiskLimits,
    strictest,
)
from engine.views import Lack

_WHOLE: Final = Decimal(1)
_UNREAD_MARGIN: Final = Money(Decimal(50))


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryNow:
    """What an entry into one contract would be at the current price.

    ``smallest`` is the value of the smallest order that the exchange takes. ``value`` and ``margin``
    are None where the size is not known, and ``lacks`` says why; ``percent`` is the margin in
    percent of the account. ``trades`` is False where the size is below the smallest and skipped.
    """

    symbol: str
    price: Decimal | None = None
    smallest: Decimal | None = None
    value: Decimal | None = None
    margin: Decimal | None = None
    percent: Decimal | None = None
    trades: bool = True
    lacks: Lack | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneEach:
    """The margin of one entry in each contract, in as many as may be open at once; ``margin`` is
    the largest of them. Each ``add`` is one more entry.

    ``percent`` is ``total`` in percent of the account, None if it is not read yet.
    """

    positions: int
    margin: Decimal
    total: Decimal
    percent: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MostInUse:
    """The most margin that entries put in use, which a limit alone can say. ``percent`` as above."""

    total: Decimal
    percent: Decimal | None


def entries_now(facts: TermsFacts) -> list[EntryNow]:
    """Return what an entry into each agreed contract would be now."""
    return [_entry(need, facts) for need in facts.needs]


def _entry(need: SymbolNeed, facts: TermsFacts) -> EntryNow:
    contract, quote = need.instrument, need.quote
    if contract is None or quote is None:
        lacks = Lack.CONTRACT if contract is None else Lack.PRICE
        last = None if quote is None else quote.last
        return EntryNow(symbol=need.symbol, price=last, lacks=lacks)
    price = quote.last
    least = smallest_quantity(contract, price)
    smallest, sized = notional(price, least), size_now(contract, price, facts)
    if sized is None:
        is_unread = facts.report is None and isinstance(facts.policy.sizing, EquityShare)
        lacks = Lack.READING if is_unread else Lack.SIGNAL
        return EntryNow(symbol=need.symbol, price=price, smallest=smallest, lacks=lacks)
    is_below = sized.quantity < least
    is_lifted = is_below and facts.policy.below_minimum is BelowMinimum.LIFT
    quantity: Quantity = least if is_lifted else sized.quantity
    margin = initial_margin(price, quantity, sized.leverage)
    return EntryNow(
        symbol=need.symbol,
        price=price,
        smallest=smallest,
        value=notional(price, quantity),
        margin=margin,
        percent=_percent(margin, facts),
        trades=is_lifted or not is_below,
    )


def one_each(facts: TermsFacts, entries: Sequence[EntryNow]) -> OneEach | None:
    """Return the margin of one entry in each contract that trades, at today's prices and the
    strategy's leverage; None if the size of one is not known, or nothing trades.
    """
    margins = [each.margin for each in entries if each.trades]
    known = [margin for margin in margins if margin is not None]
    if not known or len(known) < len(margins):
        return None
    allowed = strictest(facts.operator, facts.policy.limits).open_positions
    largest = sorted(known, reverse=True)[:allowed]
    sum_of_all = total(*largest)
    return OneEach(
        positions=len(largest),
        margin=largest[0],
        total=sum_of_all,
        percent=_percent(sum_of_all, facts),
    )


def most_in_use(facts: TermsFacts) -> MostInUse | None:
    """Return the most margin that entries put in use, None without a limit of margin: each ``add``
    of the master's is one more entry.
    """
    cap = strictest(facts.operator, facts.policy.limits).account_margin
    return None if cap is None else MostInUse(total=cap, percent=_percent(cap, facts))


def _percent(margin: Decimal, facts: TermsFacts) -> Decimal | None:
    return None if facts.report is None else percent_of(margin, equity(facts.report))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preset:
    """The parts of an account that a preset risks; ``margin`` is behind one entry."""

    margin: Decimal
    all_margin: Decimal
    daily_loss: Decimal
    positions: int
    drawdown_percent: int
    slippage_bps: int
    leverage_max: Decimal | None


_PRESETS: Final[Mapping[str, _Preset]] = {
    "careful": _Preset(
        margin=Decimal("0.02"),
        all_margin=Decimal("0.2"),
        daily_loss=Decimal("0.02"),
        positions=3,
        drawdown_percent=10,
        slippage_bps=50,
        leverage_max=Decimal(3),
    ),
    "balanced": _Preset(
        margin=Decimal("0.05"),
        all_margin=Decimal("0.5"),
        daily_loss=Decimal("0.05"),
        positions=5,
        drawdown_percent=20,
        slippage_bps=100,
        leverage_max=None,
    ),
}
PRESETS: Final = tuple(_PRESETS)


def preset_terms(
    name: str,
    *,
    symbols: frozenset[Symbol],
    asked: Ratio,
    worth: Money | None,
    entry_age_s: int,
    mode: Mode = Mode.WATCH,
) -> CopyPolicy:
    """Return the terms of a preset for an account that is worth ``worth`` (None: not read yet), and
    a strategy that asks for at most this leverage.

    Money is rounded down to whole units, and to at least one. Without ``worth`` there are no limits
    in money.
    """
    preset = _PRESETS[name]
    leverage = asked if preset.leverage_max is None else min(asked, Ratio(preset.leverage_max))
    is_read = worth is not None and worth >= 1
    return CopyPolicy(
        mode=mode,
        sizing=FixedMargin(_part(worth, preset.margin) or _UNREAD_MARGIN),
        leverage=LeveragePolicy(LeverageMode.CAPPED, leverage),
        symbols=symbols,
        limits=RiskLimits(
            account_margin=_part(worth, preset.all_margin) if is_read else None,
            daily_loss=_part(worth, preset.daily_loss) if is_read else None,
            open_positions=preset.positions,
            drawdown_percent=preset.drawdown_percent,
            slippage_bps=preset.slippage_bps,
            entry_age_s=entry_age_s,
        ),
    )


def _part(worth: Money | None, part: Decimal) -> Money | None:
    if worth is None or worth <= 0:
        return None
    return Money(max(_WHOLE, floor_to_step(EXACT.multiply(worth, part), _WHOLE)))
