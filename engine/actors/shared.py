"""What every account's task shares: the ledger, the market, the switches, and the cap on unsent
claims at each exchange.

Built once by ``run``; it holds no trading rule. Caches here hold only what the ledger has, and are
dropped when it changes.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import trio

from engine.actors.unsent import Unsent
from engine.actors.wakeup import Timetable
from engine.decisions.routing import concerning
from engine.domain.alert import AlertCode
from engine.domain.holding import Switch
from engine.domain.identifiers import AccountId, StrategyId
from engine.domain.network import PUBLIC, Reach
from engine.domain.signal import Signal
from engine.domain.subscription import RiskLimits, Subscription
from engine.ledger import Database, DiskRefused, Ledger
from engine.ledger.alerts import raise_alert
from engine.ledger.freeze import why_frozen
from engine.ledger.signals import read_signal
from engine.market.feed import MarketFeed
from engine.ports.clock import Clock

CALM_AFTER_S: Final = 3.0
"""How long others wait once no order begins or ends any more: one may hang at its exchange."""
CALM_WITHIN_S: Final = 10.0
"""How long they wait at most, while orders begin and end. After 3 s of a fan-out to 5,000, readings
took so much of the loop that a fifth of the entries became too old to be sent.
"""
READING_EVERY_S: Final = 0.004
"""The pause between two readings after a fan-out: a reading takes a millisecond of the loop, and
whoever answers a webhook meanwhile must not wait for a thousand of them.
"""
READING_WITHIN_S: Final = 20.0

KEPT_ALERTS_MAX: Final = 1_000
"""How many alerts are kept while the disk takes none; the oldest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The engine's own durations, in seconds."""

    entry_age_s: int
    price_age_s: int
    send_deadline_s: float
    reconcile_active_s: float
    reconcile_idle_s: float
    not_confirmed_after_s: float
    resting_entry_s: float = 86_400.0
    unprotected_s: float = 30.0
    trading_day_zone: str = "UTC"


@dataclass(slots=True)
class Shared:
    """What the accounts of one process share."""

    ledger: Ledger
    clock: Clock
    pace: Pace
    limits: RiskLimits
    epoch: int
    feeds: Mapping[str, MarketFeed]
    unsent: Mapping[str, Unsent]
    read_subscription: Callable[[str], Subscription]
    reach: Reach = PUBLIC
    switches: tuple[Switch, ...] = ()
    strategy_names: Mapping[StrategyId, str] = field(default_factory=dict)
    stopping_since: float | None = None
    sends: set[trio.CancelScope] = field(default_factory=set)
    timetable: Timetable = field(default_factory=Timetable)
    _sending: int = 0
    _moved_at: float = 0.0
    _calm: trio.Event = field(default_factory=trio.Event)
    _reading_at: float = 0.0
    _signals: dict[int, Signal] = field(default_factory=dict)
    _subscriptions: dict[str, Subscription] = field(default_factory=dict)
    _kept_alerts: deque[Callable[[Database], None]] = field(
        default_factory=lambda: deque(maxlen=KEPT_ALERTS_MAX)
    )
    _kept: trio.Event = field(default_factory=trio.Event)

    @property
    def stopping(self) -> bool:
        """Return whether no new order may begin."""
        return self.stopping_since is not None

    def stop(self) -> None:
        """Begin no new order from now on; the first call starts the deadline of what is in flight."""
        if self.stopping_since is None:
            self.stopping_since = trio.current_time()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Count an order in flight to the exchange while the block runs."""
        self._sending += 1
        self._moved_at = trio.current_time()
        try:
            yield
        finally:
            self._sending -= 1
            self._moved_at = trio.current_time()
            if not self._sending:
                self._calm.set()
                self._calm = trio.Event()

    async def calm(self, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait for orders in flight: until none began or ended for 3 s, and 10 s in all. Reading can
        wait, and in a fan-out it costs what they need. ``unless`` is asked at least every 3 s.
        """
        ends_at = trio.current_time() + CALM_WITHIN_S
        while self._sending and not unless():
            left_s = min(ends_at, self._moved_at + CALM_AFTER_S) - trio.current_time()
            if left_s <= 0:
                return
            with trio.move_on_after(left_s):
                await self._calm.wait()

    @property
    def is_sending(self) -> bool:
        """Return whether an order is in flight."""
        return self._sending > 0

    def next_reading_at(self) -> float:
        """Return a turn for a reading after a fan-out, on trio's clock: 4 ms after the last one, at
        most 20 s from now.
        """
        now = trio.current_time()
        self._reading_at = min(max(self._reading_at, now) + READING_EVERY_S, now + READING_WITHIN_S)
        return self._reading_at

    def signal(self, number: int) -> Signal:
        """Return a recorded signal; the newest ones are cached, because every follower asks for the
        same.
        """
        cached = self._signals.get(number)
        if cached is None:
            if len(self._signals) > 500:
                self._signals.clear()
            cached = self._signals[number] = read_signal(self.ledger.db, number)
        return cached

    def subscription(self, identifier: str) -> Subscription:
        """Return what a follower agreed to."""
        cached = self._subscriptions.get(identifier)
        if cached is None:
            cached = self._subscriptions[identifier] = self.read_subscription(identifier)
        return cached

    def forget_subscriptions(self) -> None:
        """Drop cached subscriptions after they were changed."""
        self._subscriptions.clear()

    def switches_for(
        self, account_id: str, account_name: str, strategy: StrategyId, exchange: str
    ) -> tuple[Switch, ...]:
        """Return the switches that are on and apply to this account, strategy or exchange."""
        if not self.switches:
            return ()
        name = self.strategy_names.get(strategy, "")
        return tuple(
            concerning(
                self.switches,
                account_id=account_id,
                account_name=account_name,
                strategy_id=strategy,
                strategy_name=name,
                exchange=exchange,
            )
        )

    def why_held(self, account: AccountId) -> str:
        """Return why no order may leave an account, empty if one may: the one guard that every
        exchange session asks (see ``engine.ledger.freeze``).
        """
        return self.ledger.unusable or why_frozen(self.ledger.db, account)

    async def alert(
        self, code: AlertCode, subject: str, sameness: str = "", **details: str
    ) -> None:
        """Record an alert; the notifiers deliver it from the ledger. ``sameness``: see
        ``raise_alert``. One that the disk does not take is kept, and recorded once it does: whoever
        raises an alert has told it.
        """
        at = self.clock.now()

        def write(db: Database) -> None:
            raise_alert(db, code=code, subject=subject, details=details, at=at, sameness=sameness)

        try:
            await self.ledger.write(write)
        except DiskRefused:
            self._kept_alerts.append(write)
            self._kept.set()

    async def record_kept_alerts(self) -> None:
        """Record the alerts that the disk did not take, until cancelled; one task does."""
        while True:
            if not self._kept_alerts:
                self._kept = trio.Event()
                await self._kept.wait()
            await self.ledger.writable()
            first = self._kept_alerts[0]
            await self.ledger.write(first)
            with suppress(ValueError):  # the oldest may have gone meanwhile
                self._kept_alerts.remove(first)
