"""What a follower agreed to: how copies are sized, which leverage and symbols, which limits. Every
value is a ceiling.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from engine.domain.amounts import (
    Money,
    Quantity,
    Ratio,
    parse_money,
    parse_quantity,
    parse_ratio,
    plain,
)
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import AccountId, StrategyId, Symbol, parse_symbol


class Mode(Enum):
    """LIVE sends orders; WATCH plans fully and ends in SKIPPED(watch_only) with the size it would
    have had.
    """

    LIVE = "live"
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class FixedMargin:
    """``margin`` of the account's own money for every entry: quantity = margin x leverage / price."""

    margin: Money


@dataclass(frozen=True, slots=True)
class FixedNotional:
    """A position worth ``notional`` for every entry: quantity = notional / price."""

    notional: Money


@dataclass(frozen=True, slots=True)
class FixedQuantity:
    """The same quantity for every entry."""

    quantity: Quantity


@dataclass(frozen=True, slots=True)
class Multiplier:
    """``factor`` x the quantity that the master's signal names."""

    factor: Ratio


@dataclass(frozen=True, slots=True)
class EquityShare:
    """``share`` of the account's equity as margin for every entry: quantity = share x equity x
    leverage / price. At most 1.
    """

    share: Ratio


@dataclass(frozen=True, slots=True)
class StopDistance:
    """A loss of ``risk`` of the account's equity if the signal's stop is hit: quantity = risk x
    equity / |price - stop|. At most 1.
    """

    risk: Ratio


Sizing = FixedMargin | FixedNotional | FixedQuantity | Multiplier | EquityShare | StopDistance


class LeverageMode(Enum):
    """How the master's leverage is applied."""

    CAPPED = "capped"
    """The signal's leverage, at most ``value``."""
    FOLLOW = "follow"
    """The signal's leverage; above ``value`` the entry is denied."""
    FIXED = "fixed"
    """Always ``value``."""


@dataclass(frozen=True, slots=True)
class LeveragePolicy:
    """The leverage of an entry; ``value`` is the ceiling that the follower agreed to (or the fixed
    leverage).
    """

    mode: LeverageMode
    value: Ratio


_MONEY_LIMITS = (
    "order_notional",
    "symbol_notional",
    "account_notional",
    "account_margin",
    "daily_loss",
)
_COUNT_LIMITS = {
    "open_positions": 86_400,
    "entry_age_s": 86_400,
    "drawdown_percent": 100,
    "slippage_bps": 10_000,
}


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Caps on what one account may carry; None means no cap. The strictest of operator, master and
    follower holds.

    ``order_notional``: one entry. ``symbol_notional``: everything this engine holds in one symbol,
    orders in flight included. ``account_notional``: everything this engine holds.
    ``account_margin``: initial margin of everything this engine holds. ``daily_loss``: equity lost
    since the trading day began. ``open_positions``: symbols held at the same time. ``entry_age_s``:
    an entry older than this is EXPIRED. ``drawdown_percent``: equity below its peak.
    ``slippage_bps``: how much worse, in basis points, the price of a market entry may be than the
    price that the signal names.
    """

    order_notional: Money | None = None
    symbol_notional: Money | None = None
    account_notional: Money | None = None
    account_margin: Money | None = None
    open_positions: int | None = None
    entry_age_s: int | None = None
    daily_loss: Money | None = None
    drawdown_percent: int | None = None
    slippage_bps: int | None = None

    def __post_init__(self) -> None:
        for name, most in _COUNT_LIMITS.items():
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise InvalidValue(f"limits.{name}", f"a whole number from 1 to {most}", value)

    @property
    def limits_losses(self) -> bool:
        """Return whether the daily loss or the drawdown has a cap."""
        return self.daily_loss is not None or self.drawdown_percent is not None


class BelowMinimum(Enum):
    """What to do when the computed size is below what the exchange accepts."""

    SKIP = "skip"
    LIFT = "lift"


@dataclass(frozen=True, slots=True)
class CopyPolicy:
    """Everything one follower agreed to for one strategy.

    An empty ``symbols`` means that no symbol is agreed: the caller writes out all symbols of the
    strategy at the time of subscribing. ``allow_own_position`` permits entries where the owner has
    a position of their own.
    """

    mode: Mode
    sizing: Sizing
    leverage: LeveragePolicy
    symbols: frozenset[Symbol]
    limits: RiskLimits = RiskLimits()
    below_minimum: BelowMinimum = BelowMinimum.SKIP
    allow_own_position: bool = False


class SubscriptionState(Enum):
    """Whether a subscription takes entries now. Exits are copied in every state."""

    ACTIVE = "active"
    PAUSED = "paused"
    """The follower paused this strategy."""
    LEFT = "left"
    """The follower left; what the strategy opened may be held until it is closed."""
    CONSENT = "consent"
    """The master changed the terms, and the follower has not agreed to them yet."""
    STRATEGY_PAUSED = "strategy_paused"
    """The master paused, retired or withdrew the strategy."""


_S = SubscriptionState

SUBSCRIPTION_MOVES: Final[Mapping[SubscriptionState, frozenset[SubscriptionState]]] = {
    _S.ACTIVE: frozenset({_S.PAUSED, _S.LEFT}),
    _S.PAUSED: frozenset({_S.ACTIVE, _S.LEFT}),
    # Agreed to anew, or paused at once.
    _S.LEFT: frozenset({_S.ACTIVE, _S.PAUSED}),
    # Never stored: the strategy says so while the agreement is active.
    _S.CONSENT: frozenset(),
    _S.STRATEGY_PAUSED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One account's subscription to one strategy under a policy."""

    id: str
    account: AccountId
    strategy: StrategyId
    policy: CopyPolicy
    state: SubscriptionState = SubscriptionState.ACTIVE


SIZING_FIELD = {
    "fixed_margin": "margin",
    "fixed_notional": "notional",
    "fixed_quantity": "quantity",
    "multiplier": "factor",
    "equity_share": "share",
    "stop_distance": "risk",
}
"""The one field that each sizing mode has besides ``mode``."""


def parse_sizing(table: object, field: str = "sizing") -> Sizing:
    """Read ``{mode = "fixed_margin", margin = "50"}`` and its siblings; raises InvalidValue naming
    the field.
    """
    if not isinstance(table, Mapping):
        raise InvalidValue(field, 'a table such as { mode = "fixed_margin", margin = "50" }', table)
    mode = table.get("mode")
    wanted = SIZING_FIELD.get(mode) if isinstance(mode, str) else None
    if wanted is None:
        raise InvalidValue(f"{field}.mode", "one of " + ", ".join(SIZING_FIELD), mode)
    _only(table, {"mode", wanted}, field)
    value = table.get(wanted)
    path = f"{field}.{wanted}"
    match mode:
        case "fixed_margin":
            return FixedMargin(parse_money(value, path))
        case "fixed_notional":
            return FixedNotional(parse_money(value, path))
        case "fixed_quantity":
            return FixedQuantity(parse_quantity(value, path))
        case "multiplier":
            return Multiplier(parse_ratio(value, path))
        case "equity_share":
            return EquityShare(_parse_part(value, path))
        case _:
            return StopDistance(_parse_part(value, path))


def _parse_part(value: object, field: str) -> Ratio:
    part = parse_ratio(value, field)
    if part > 1:
        raise InvalidValue(
            field, 'a part of the equity above 0 and at most 1, such as "0.05"', value
        )
    return part


def write_sizing(sizing: Sizing) -> dict[str, str]:
    """Write a sizing in the form that ``parse_sizing`` reads."""
    match sizing:
        case FixedMargin(margin):
            return {"mode": "fixed_margin", "margin": plain(margin)}
        case FixedNotional(notional):
            return {"mode": "fixed_notional", "notional": plain(notional)}
        case FixedQuantity(quantity):
            return {"mode": "fixed_quantity", "quantity": plain(quantity)}
        case Multiplier(factor):
            return {"mode": "multiplier", "factor": plain(factor)}
        case EquityShare(share):
            return {"mode": "equity_share", "share": plain(share)}
        case StopDistance(risk):
            return {"mode": "stop_distance", "risk": plain(risk)}


def parse_leverage(value: object, field: str = "leverage") -> LeveragePolicy:
    """Read ``"5"`` (capped at 5) or ``{mode = "follow" | "capped" | "fixed", value = "5"}``."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return LeveragePolicy(LeverageMode.CAPPED, parse_ratio(value, field))
    if not isinstance(value, Mapping):
        raise InvalidValue(field, '"5" or a table such as { mode = "capped", value = "5" }', value)
    _only(value, {"mode", "value"}, field)
    try:
        mode = LeverageMode(value.get("mode"))
    except ValueError:
        raise InvalidValue(
            f"{field}.mode", "one of " + ", ".join(m.value for m in LeverageMode), value.get("mode")
        ) from None
    return LeveragePolicy(mode, parse_ratio(value.get("value"), f"{field}.value"))


def write_leverage(policy: LeveragePolicy) -> dict[str, str]:
    """Write a leverage policy in the form that ``parse_leverage`` reads."""
    return {"mode": policy.mode.value, "value": plain(policy.value)}


def parse_limits(table: object, field: str = "limits") -> RiskLimits:
    """Read a table of risk limits; refuse unknown names. An absent name means no cap."""
    if not isinstance(table, Mapping):
        raise InvalidValue(field, 'a table such as { order_notional = "500" }', table)
    _only(table, {*_MONEY_LIMITS, *_COUNT_LIMITS}, field)
    money = {
        name: parse_money(table[name], f"{field}.{name}") for name in _MONEY_LIMITS if name in table
    }
    counts: dict[str, int] = {}
    for name in _COUNT_LIMITS:
        if name in table:
            value = table[name]
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidValue(f"{field}.{name}", "a whole number", value)
            counts[name] = value
    return RiskLimits(**money, **counts)  # type: ignore[arg-type]  # two dicts of different value types, checked above


def write_limits(limits: RiskLimits) -> dict[str, str | int]:
    """Write risk limits in the form that ``parse_limits`` reads; absent caps are left out."""
    table: dict[str, str | int] = {}
    for name in _MONEY_LIMITS:
        cap = getattr(limits, name)
        if cap is not None:
            table[name] = plain(cap)
    for name in _COUNT_LIMITS:
        count = getattr(limits, name)
        if count is not None:
            table[name] = count
    return table


def strictest(*limits: RiskLimits) -> RiskLimits:
    """Combine several sets of limits: for each cap the smallest one that is set."""
    chosen = {}
    for name in (*_MONEY_LIMITS, *_COUNT_LIMITS):
        values = [value for each in limits if (value := getattr(each, name)) is not None]
        chosen[name] = min(values) if values else None
    return RiskLimits(**chosen)


def parse_symbols(value: object, field: str = "symbols") -> frozenset[Symbol]:
    """Read a non-empty list of contract names."""
    if not isinstance(value, list | tuple) or not value:
        raise InvalidValue(field, 'a list such as ["BTCUSDT"]', value)
    return frozenset(parse_symbol(each, f"{field}[{index}]") for index, each in enumerate(value))


def _only(table: Mapping[str, object], allowed: set[str], field: str) -> None:
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise InvalidValue(
            f"{field}.{unknown[0]}", "one of " + ", ".join(sorted(allowed)), unknown[0]
        )
