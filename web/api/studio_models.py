"""What the API answers to masters: their strategies, signals, deliveries and refusals. Followers
appear in counts alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.domain.account import Environment
from engine.domain.signal import OrderType, SignalDraft
from engine.domain.strategy import StrategyState
from engine.domain.subscription import SubscriptionState
from engine.services.outcomes import Heard
from engine.services.read_models import (
    Audience,
    CallbackRow,
    DeliveryRow,
    SignalOutcomes,
    StudioSignal,
    StudioStrategy,
)
from engine.services.refused import RefusedNow
from engine.services.studio_setup import Step as SetupStep
from web.api.models import Amount, Time, Warned, amount_or_none, rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnStrategy:
    """One strategy of yours; ``signals`` were ever recorded."""

    id: str
    name: str
    kind: str
    state: StrategyState
    about: str
    symbols: tuple[str, ...]
    leverage: Amount
    source: str
    created_at: Time
    signals: int
    last_signal_at: Time | None


def own_strategy_of(row: StudioStrategy) -> OwnStrategy:
    """Return one strategy."""
    return OwnStrategy(
        id=row.id,
        name=row.name,
        kind=row.kind,
        state=row.state,
        about=row.about,
        symbols=row.symbols,
        leverage=row.leverage,
        source=row.source,
        created_at=row.created_at,
        signals=row.signals,
        last_signal_at=row.last_signal_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Deliveries of a strategy that were verified, refused and still matter: how many, and the newest
    one. ``is_exit``: it reads like an exit. ``held`` counts positions of followers. ``instead`` is a
    message to send in its place, empty if there is none.
    """

    strategy: str
    strategy_name: str
    source: str
    is_exit: bool
    count: int
    at: Time
    kind: str
    field: str | None
    expected: str | None
    held: int
    instead: str


def refusal_of(each: RefusedNow) -> Refusal:
    """Return one refusal."""
    told = each.told
    return Refusal(
        strategy=told.strategy_id,
        strategy_name=told.strategy,
        source=told.source,
        is_exit=told.reads_exit,
        count=told.count,
        at=told.at,
        kind=told.kind,
        field=told.field,
        expected=told.expected,
        held=told.held,
        instead=each.instead,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnStrategies:
    """Your strategies by name, and what was refused and still matters, exits first."""

    strategies: tuple[OwnStrategy, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followers:
    """How many accounts of one environment follow in one way."""

    environment: Environment
    mode: str
    state: SubscriptionState
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBy:
    """How many accounts of one environment hold a contract for the strategy."""

    environment: Environment
    symbol: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedShare:
    """How many copies of the newest 20 entries were copied: their order filled, if only in part, or
    still rests. ``wanted`` are those of followers who copy live, without what they held already and
    orders whose result is not known; ``others`` counts the rest by outcome.
    """

    environment: Environment
    wanted: int
    copied: int
    copied_percent: Amount
    others: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step from nothing to a settled signal."""

    title: str
    is_done: bool
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """The address that is called when a signal has settled; ``due`` calls are not over."""

    url: str
    taken_at: Time | None
    problem: str
    failing_since: Time | None
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioView:
    """One strategy of yours. ``margin`` in what is open, and how many positions are ``unvalued`` in
    it, are by environment. ``is_enabled``: its signed address takes deliveries; null without one.
    """

    strategy: OwnStrategy
    is_enabled: bool | None
    followers: tuple[Followers, ...]
    held: tuple[HeldBy, ...]
    margin: Mapping[str, Amount]
    unvalued: Mapping[str, int]
    copied: tuple[CopiedShare, ...]
    warnings: tuple[Warned, ...]
    steps: tuple[Step, ...]
    refused: tuple[Refusal, ...]
    callback: Callback | None


def followers_of(audience: Audience) -> tuple[Followers, ...]:
    """Return the followers in counts."""
    return tuple(
        Followers(environment=Environment(environment), mode=mode, state=state, count=count)
        for environment, mode, state, count in audience.counts
    )


def held_of(audience: Audience) -> tuple[HeldBy, ...]:
    """Return what followers hold in counts."""
    return tuple(
        HeldBy(environment=Environment(environment), symbol=symbol, count=count)
        for environment, symbol, count in audience.open_shares
    )


def copied_of(heard: Heard) -> CopiedShare:
    """Return the copied share in one environment."""
    return CopiedShare(
        environment=Environment(heard.environment),
        wanted=heard.wanted,
        copied=heard.copied,
        copied_percent=rounded(heard.copied_percent),
        others=dict(heard.others),
    )


def step_of(step: SetupStep) -> Step:
    """Return one step."""
    return Step(title=step.title, is_done=step.is_done, said=tuple(step.said))


def callback_of(row: CallbackRow | None) -> Callback | None:
    """Return the address that is called."""
    if row is None:
        return None
    return Callback(
        url=row.url,
        taken_at=row.taken_at,
        problem=row.problem,
        failing_since=row.failing_since,
        due=row.due,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSignal:
    """One signal of yours with counts of its copies by family of outcome, and within how many
    milliseconds half and 95 % of them were over. ``not_mirrored`` is why no order of it reaches any
    exchange.
    """

    signal: str
    receipt: str
    at: Time
    action: str
    symbol: str
    side: str | None
    is_test: bool
    origin: str
    copies: int
    outcomes: Mapping[str, int]
    p50_ms: int | None
    p95_ms: int | None
    not_mirrored: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSignals:
    """A page of signals, newest first; see ``Signals`` for ``next``."""

    signals: tuple[SentSignal, ...]
    next: str | None


def sent_signal_of(each: StudioSignal) -> SentSignal:
    """Return one signal."""
    return SentSignal(
        signal=each.id,
        receipt=each.receipt,
        at=each.at,
        action=each.action,
        symbol=each.symbol,
        side=each.side,
        is_test=each.is_test,
        origin=each.origin,
        copies=each.copies,
        outcomes=each.outcomes,
        p50_ms=None if each.p50_ms is None else round(each.p50_ms),
        p95_ms=None if each.p95_ms is None else round(each.p95_ms),
        not_mirrored=each.not_mirrored,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a signal asked for; null where it named nothing. ``fraction`` is the part to close, ``id``
    its sender's own.
    """

    order_type: OrderType
    price: Amount | None
    leverage: Amount | None
    quantity: Amount | None
    fraction: Amount | None
    stop_loss: Amount | None
    take_profit: Amount | None
    removes_stop: bool
    removes_target: bool
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Became:
    """How many copies in one environment ended so; ``code`` is null for those that are not over."""

    environment: Environment
    code: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSignalView:
    """One signal of yours: what it asked for, and the outcomes of its copies. ``sender_delay_ms`` is
    from its sender's own time to its receipt here.
    """

    signal: SentSignal
    asked: Asked
    sender_delay_ms: int
    became: tuple[Became, ...]


def sent_signal_view(told: SignalOutcomes) -> SentSignalView:
    """Return one signal with what became of it."""
    late = told.signal.at - told.decided_at
    return SentSignalView(
        signal=sent_signal_of(told.signal),
        asked=_asked(told.draft),
        sender_delay_ms=round(late.total_seconds() * 1000),
        became=tuple(
            Became(environment=Environment(environment), code=code, count=count)
            for environment, code, count in told.counts
        ),
    )


def _asked(draft: SignalDraft) -> Asked:
    return Asked(
        order_type=draft.order_type,
        price=amount_or_none(draft.price),
        leverage=amount_or_none(draft.leverage),
        quantity=amount_or_none(draft.size.quantity),
        fraction=amount_or_none(draft.size.fraction),
        stop_loss=amount_or_none(draft.stop_loss),
        take_profit=amount_or_none(draft.take_profit),
        removes_stop=draft.no_stop_loss,
        removes_target=draft.no_take_profit,
        id=draft.dedupe_key,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery to an address of a strategy; ``kind`` is how it was received. ``field`` and
    ``expected`` say what was wrong with it, ``clock_ms`` is how far its sender's clock is ahead, and
    ``answered_us`` how long the answer took. ``instead`` is a message to send in its place, empty if there is none.
    """

    at: Time
    kind: str
    field: str | None
    expected: str | None
    signal: str | None
    dialect: str
    clock_ms: int | None
    sender: str
    answered_us: int
    not_mirrored: str | None
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """A page of deliveries, newest first; see ``Signals`` for ``next``."""

    deliveries: tuple[Delivery, ...]
    next: str | None


def delivery_of(row: DeliveryRow) -> Delivery:
    """Return one delivery."""
    return Delivery(
        at=row.at,
        kind=row.kind,
        field=row.field,
        expected=row.expected,
        signal=row.signal_id,
        dialect=row.dialect,
        clock_ms=row.offset_ms,
        sender=row.peer,
        answered_us=row.took_us,
        not_mirrored=row.not_mirrored,
        instead=row.instead,
    )
