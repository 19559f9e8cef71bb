"""Wire the engine: ledger, vault, plugins, feeds, followers, streams, control socket; return its
interfaces.

What always holds: one engine per folder (the lock); nothing is claimed before the claims of an
earlier run are owned as UNKNOWN; the engine runs in its own nursery beside the web server, never
inside it. Stopping means: no new claims at once; the orders in flight get their answers, for at
most 8.5 s, and those without one by then are recorded UNKNOWN; then everything ends.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, Final

import trio

from engine.actors.account import Account, Opening, read_openings
from engine.actors.account_tasks import AccountTasks
from engine.actors.alert_delivery import tell
from engine.actors.backups import make_backups
from engine.actors.bookkeeping import Bookkeeping
from engine.actors.breakers import Breakers
from engine.actors.callbacks import Callbacks
from engine.actors.clock import SystemClock
from engine.actors.clock_watch import watch_clock
from engine.actors.exchange_session import ExchangeSession
from engine.actors.flattening import Flattening
from engine.actors.follower import Follower
from engine.actors.heartbeat import beat
from engine.actors.loop_turns import LoopTurns
from engine.actors.place_watch import watch_place
from engine.actors.price_recording import record_prices
from engine.actors.shared import Pace, Shared
from engine.actors.streams import StrategyStream, run_stream
from engine.actors.supervisor import Vitals
from engine.actors.telling import OUTBOX, Telling
from engine.actors.unsent import Unsent
from engine.commands import Commands, chosen_notifiers
from engine.commands.session_keys import note_session_keys
from engine.context import EngineContext
from engine.control import FolderLock
from engine.control.link import Greeting
from engine.control.server import serve_control
from engine.control.to_web import WebServer
from engine.decisions.circuit import Circuit
from engine.decisions.learned_rate import LearnedRate
from engine.decisions.measuring import Measured
from engine.domain.account import AccountReport, Environment
from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import AccountId, EndpointId, StrategyId, Symbol
from engine.ingress import Ingress, chosen_limiter, open_ingress
from engine.ingress.endpoints import read_endpoints
from engine.keys.key_file import NO_ROOT_KEYS
from engine.keys.keyring import Keyring
from engine.keys.sealed_secrets import EndpointKey, account_credentials, endpoint_keys
from engine.keys.vault import VaultError
from engine.ledger import Database, Ledger
from engine.ledger.alerts import know_channels
from engine.ledger.attempts import stopped_entries
from engine.ledger.audit import audit_end
from engine.ledger.codec import to_us
from engine.ledger.copies import begin_run
from engine.ledger.database import is_copy, take_into_use
from engine.ledger.freeze import EVERYBODY, freeze, read_freezes
from engine.ledger.lineage import read_end
from engine.ledger.open_shares import symbols_held
from engine.ledger.people import (
    KIND_ALGO,
    AccountRow,
    StrategyRow,
    account,
    accounts,
    endpoints,
    strategies,
    subscription,
)
from engine.ledger.pulse import newest_sequence
from engine.ledger.reports import switches
from engine.ledger.resolving import orphan_claims
from engine.ledger.schema import MIGRATIONS
from engine.live import EngineCounts
from engine.market.feed import MarketFeed
from engine.monitor import Monitor, Running
from engine.plugin.host import Plugins, load_plugins
from engine.ports.clock import Clock
from engine.ports.exchange import AccountLogin
from engine.ports.secret import Secret
from engine.provisioning.exchange_setup import exchange_context, why_refused
from engine.recording import Recorder
from engine.recovery.ledger_place import MarkKeeper, open_place
from engine.recovery.restoring import finish_restore
from engine.services import Services, open_services
from engine.settings.config import Config
from engine.settings.files import make_folder
from engine.transport import HttpClientFactory

_LOG = logging.getLogger("rexalgo.run")
STOP_WITHIN_S: Final = 8.5
SWITCHES_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The interfaces of a running engine: for bots, for probes and pages, for people at pages, and
    for operators.
    """

    ingress: Ingress
    monitor: Monitor
    services: Services | None
    commands: Commands
    stop_claiming: Callable[[], None]
    """Claim no new order from now on: the first step of stopping. Signals are still recorded, for
    the next start.
    """


@asynccontextmanager
async def run_engine(
    config: Config,
    *,
    clock: Clock | None = None,
    extra_modules: Mapping[str, Any] | None = None,
    what: str = "rexalgo serve",
    beside_web: bool = False,
) -> AsyncIterator[Engine]:
    """Run the engine of one folder while the block runs; raises RexAlgoError for what must be fixed
    before it can start.

    ``what`` tells others who holds the folder. ``extra_modules``: see ``load_plugins``.
    ``beside_web``: a web process of its own is served over the control socket.
    """
    key = config.secrets.encryption_key
    if beside_web:
        config.secrets.require_jwt_secret()
    if key is None:
        raise RexAlgoError(NO_ROOT_KEYS)
    make_folder(config.data_dir)
    clock = clock or SystemClock()
    with FolderLock(config.data_dir, what, clock.now()):
        plugins = load_plugins(config.plugins.enabled, config.plugin_settings, extra_modules or {})
        finish_restore(config)
        ledger = open_place(config)
        try:
            keyring = Keyring(ledger, clock, config.key_place, key)
            await keyring.open()
            _LOG.info("the audit ends at %s", audit_end(ledger.db))
            engine = await _Engine.begin(
                config, plugins=plugins, ledger=ledger, keyring=keyring, clock=clock
            )
            engine.beside_web = beside_web
            async with engine.running() as doors:
                yield doors
            engine.mark.keep(clock.now())
            _LOG.info("the audit ends at %s", audit_end(ledger.db))
        finally:
            await ledger.aclose()


class _Engine:
    """The wired parts, so that provisioning can add to them while the engine runs."""

    def __init__(
        self,
        config: Config,
        plugins: Plugins,
        ledger: Ledger,
        keyring: Keyring,
        clock: Clock,
        epoch: int,
        mark: MarkKeeper,
    ) -> None:
        self._config = config
        self._plugins = plugins
        self._ledger = ledger
        self._keyring = keyring
        self._clock = clock
        self._limiter = chosen_limiter(config, plugins)
        self._notifiers = chosen_notifiers(config, plugins)
        self._contexts = {
            name: exchange_context(config, plugins, name, clock) for name in plugins.exchanges
        }
        self._feeds = {
            name: MarketFeed(adapter, self._contexts[name], clock)
            for name, adapter in plugins.exchanges.items()
        }
        self._feeding: set[str] = set()
        self._streaming: set[StrategyId] = set()
        self._versions: dict[AccountId, int] = {}
        self._account_tasks = AccountTasks(seed=epoch, ledger=ledger)
        self.mark = mark
        self._shared = Shared(
            ledger=ledger,
            clock=clock,
            pace=_pace(config),
            limits=config.limits,
            epoch=epoch,
            feeds=self._feeds,
            unsent={name: Unsent(config.engine.claims_unsent_max) for name in plugins.exchanges},
            read_subscription=partial(subscription, ledger.db),
            reach=config.outgoing.reach,
        )
        self._flattening = Flattening(self._shared, self._account_tasks.wake)
        self._loop_turns = LoopTurns()
        self._errors = {name: Counter[str]() for name in plugins.exchanges}
        self._rates = {name: LearnedRate() for name in plugins.exchanges}
        self.beside_web = False
        self._web: WebServer | None = None
        self._breakers = Breakers(
            self._shared, {name: Circuit() for name in plugins.exchanges}, config.engine
        )

    @classmethod
    async def begin(
        cls, config: Config, plugins: Plugins, ledger: Ledger, keyring: Keyring, clock: Clock
    ) -> "_Engine":
        """Start a new ownership epoch and own what an earlier run left behind; a ledger that may be
        old starts frozen.
        """
        now, mark = clock.now(), MarkKeeper(config, ledger.db)
        mark.keep(
            now
            # before the first run: from then on a ledger without a mark is one that was separated
            # from it
        )

        channels = [OUTBOX, *(each.name for each in chosen_notifiers(config, plugins))]

        def start(db: Database) -> tuple[int, int]:
            know_channels(db, channels)  # they are told a freeze of this start too
            if mark.old:
                freeze(db, account=EVERYBODY, name="", cause=mark.old, at=now)
            if is_copy(db):
                take_into_use(db)
            epoch = begin_run(db, to_us(now))
            return epoch, orphan_claims(db, epoch, now)

        epoch, orphans = await ledger.write(start)
        ledger.know_id()
        for frozen in read_freezes(ledger.db):
            _LOG.critical(
                "%s is frozen, no order of any kind is sent: %s",
                frozen.name or "this installation",
                frozen.cause,
            )
        if orphans:
            _LOG.warning(
                "%d orders were being sent when the last run ended: they are unknown now and are "
                "looked up",
                orphans,
            )
        return cls(
            config,
            plugins=plugins,
            ledger=ledger,
            keyring=keyring,
            clock=clock,
            epoch=epoch,
            mark=mark,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        """Run everything while the block runs."""
        with self._loop_turns.watched():
            async with self._closing_feeds(), self._tasks() as engine:
                yield engine

    @asynccontextmanager
    async def _tasks(self) -> AsyncIterator[Engine]:
        async with trio.open_nursery() as outer:
            async with trio.open_nursery() as nursery:
                recorder = Recorder(self._shared, self._account_tasks, nursery)
                ingress = self._ingress(nursery, recorder)
                monitor = self._monitor()
                reload = partial(self._reload, nursery, ingress, recorder)
                context = self._context(reload, ingress)
                commands, services = Commands(context), open_services(context)
                await note_session_keys(context)
                await reload()
                unsent = self._shared.unsent.values()
                nursery.start_soon(self._account_tasks.route, self._ledger.db, unsent)
                self.mark.keep(self._clock.now())
                nursery.start_soon(watch_place, self._shared, self.mark, self._notifiers)
                nursery.start_soon(self._watch_switches)
                self._account_tasks.keep_running(
                    nursery, "clock", partial(watch_clock, self._shared)
                )
                self._account_tasks.keep_running(nursery, "timetable", self._shared.timetable.run)
                self._account_tasks.keep_running(
                    nursery, "kept alerts", self._shared.record_kept_alerts
                )
                self._account_tasks.keep_running(nursery, "flattening", self._flattening.run)
                self._account_tasks.keep_running(nursery, "breakers", self._breakers.run)
                self._account_tasks.keep_running(
                    nursery, "bookkeeping", Bookkeeping(self._shared, self._account_tasks).run
                )
                self._account_tasks.keep_running(
                    nursery, "backups", partial(make_backups, self._shared, self._config)
                )
                telling = Telling(
                    self._shared,
                    self._plugins.channels,
                    self._keyring.open,
                    self._config.web.public_url,
                )
                self._account_tasks.keep_running(nursery, "telling", telling.run)
                callbacks = Callbacks(self._shared, self._keyring.open)
                self._account_tasks.keep_running(nursery, "callbacks", callbacks.run)
                self._account_tasks.keep_running(
                    nursery, "prices", partial(record_prices, self._shared)
                )
                for notifier in self._notifiers:
                    nursery.start_soon(tell, self._shared, notifier)
                if self._config.operator.heartbeat_url:
                    nursery.start_soon(
                        beat,
                        self._config.operator.heartbeat_url,
                        lambda: self._ledger.healthy,
                        self._config.outgoing.reach,
                    )
                if self.beside_web:
                    self._web = WebServer(
                        recorder=recorder,
                        services=services,
                        commands=commands,
                        monitor=monitor,
                        ledger=self._ledger,
                        keys=self._endpoint_keys,
                        greeting=Greeting(version("rexalgo"), len(MIGRATIONS)),
                        nursery=nursery,
                    )
                serve_web = None if self._web is None else self._web.serve
                await nursery.start(serve_control, self._config.data_dir, commands.run, serve_web)
                try:
                    yield Engine(
                        ingress=ingress,
                        monitor=monitor,
                        services=services,
                        commands=commands,
                        stop_claiming=self._shared.stop,
                    )
                finally:
                    self._shared.stop()
                    ingress.notes.close()
                    monitor.close()
                    outer.start_soon(self._cut_sends)
                    nursery.cancel_scope.cancel()
            outer.cancel_scope.cancel()

    @asynccontextmanager
    async def _closing_feeds(self) -> AsyncIterator[None]:
        """Close at the end what was opened to read an exchange that has no account here yet."""
        try:
            yield
        finally:
            for feed in self._feeds.values():
                await feed.aclose()

    def _context(self, reload: Callable[[], Awaitable[None]], ingress: Ingress) -> EngineContext:
        return EngineContext(
            config=self._config,
            ledger=self._ledger,
            clock=self._clock,
            plugins=lambda: self._plugins,
            open_vault=self._keyring.open,
            changed=reload,
            live=self._account_tasks,
            web=self._where_the_web_is,
            try_login=self._try_login,
            receive=ingress.receive,
            keyring=self._keyring,
            mark=self.mark,
            feeds=self._feeds,
            rates=self._rates,
            loop_turns=self._loop_turns.times,
            counts=EngineCounts(
                partial(self._deliveries, ingress), self._errors, self._account_tasks.restarts
            ),
            measured=Measured(
                after=newest_sequence(self._ledger.db),
                after_signal=read_end(self._ledger.db).numbers.get("signal", 0),
            ),
        )

    async def _deliveries(self, ingress: Ingress) -> Mapping[str, int] | None:
        """Return how deliveries were answered, by whichever process verifies them."""
        if not self.beside_web:
            return ingress.answers
        return None if self._web is None else await self._web.answers()

    def _where_the_web_is(self) -> str:
        if not self.beside_web:
            return "in this process"
        return "connected" if self._web is not None and self._web.is_connected else "away"

    async def _try_login(self, exchange: str, credentials: Mapping[str, Secret]) -> AccountReport:
        """Read an account whose credentials are not stored yet, with a connection that ends with
        this call.
        """
        login = AccountLogin(AccountId("trying"), credentials)
        session = ExchangeSession(
            self._plugins.exchanges[exchange],
            login=login,
            context=self._contexts[exchange],
            limiter=self._limiter,
            send_deadline_s=self._shared.pace.send_deadline_s,
            why_held=lambda: "an account that is only tried sends nothing",
        )
        try:
            await session.open()
            return await session.fetch_account()
        finally:
            await session.aclose()

    def _ingress(self, nursery: trio.Nursery, recorder: Recorder) -> Ingress:
        return open_ingress(
            self._config,
            self._plugins,
            ledger=self._ledger,
            clock=self._clock,
            recording=recorder,
            nursery=nursery,
            limiter=self._limiter,
        )

    def _monitor(self) -> Monitor:
        running = Running(self._shared, self._account_tasks, version("rexalgo"))
        return Monitor(self._ledger, running)

    async def _cut_sends(self) -> None:
        """Cut off what is in flight 8.5 s after the stop began: each order is recorded UNKNOWN and
        looked up at the next start.
        """
        await trio.sleep_until((self._shared.stopping_since or trio.current_time()) + STOP_WITHIN_S)
        for scope in tuple(self._shared.sends):
            scope.cancel()

    async def _watch_switches(self) -> None:
        """Adopt switches that another process wrote: the last way in if the control socket does not
        answer.
        """
        while True:
            self._use_switches()
            await trio.sleep(SWITCHES_EVERY_S)

    def _use_switches(self) -> None:
        current = switches(self._ledger.db)
        if current != self._shared.switches:
            self._shared.switches = current
            for each in self._account_tasks.followers.values():
                each.account.look_at_all()
            self._flattening.wake()

    # What provisioning and commands change

    async def _reload(self, nursery: trio.Nursery, ingress: Ingress, recorder: Recorder) -> None:
        """Adopt what the ledger says: switches, strategies, endpoints, subscriptions, new accounts
        and streams.
        """
        db = self._ledger.db
        plans = strategies(db)
        self._shared.strategy_names = {each.id: each.name for each in plans}
        self._use_switches()
        self._shared.forget_subscriptions()
        for account_id, attempt_id in stopped_entries(db):
            if account_id in self._account_tasks.followers:
                self._account_tasks.followers[account_id].account.look_now(attempt_id)
        ingress.use_endpoints(read_endpoints(db, self._plugins, self._keys))
        if self._web is not None:
            await self._web.endpoints_changed()
        wanted = frozenset(symbol for each in plans for symbol in each.symbols) | symbols_held(db)
        environments = {
            name: adapter.environment(self._contexts[name])
            for name, adapter in self._plugins.exchanges.items()
        }
        rows = accounts(db)
        for exchange in {each.exchange for each in rows}:
            if exchange in self._feeds:
                self._start_feed(nursery, exchange, wanted)
        for gone in set(self._account_tasks.followers) - {each.id for each in rows}:
            self._account_tasks.part(gone)
        joining = {each.id for each in rows} - set(self._account_tasks.followers)
        openings = read_openings(db, joining)
        for index, row in enumerate(rows):
            if row.id not in self._account_tasks.followers:
                self._join(nursery, row, environments.get(row.exchange), openings[row.id])
            elif self._versions[row.id] != row.row_version:
                self._versions[row.id] = row.row_version
                self._account_tasks.followers[row.id].account.renew_session()
            if index % 50 == 49:
                await trio.lowlevel.checkpoint()
        for plan in plans:
            if plan.kind == KIND_ALGO and plan.id not in self._streaming:
                self._start_stream(nursery, recorder, plan, wanted)
        self._account_tasks.wake()

    def _endpoint_keys(self) -> dict[str, tuple[EndpointKey, ...]]:
        """Open the secrets of every enabled endpoint, for the process that verifies deliveries."""
        return {row.id: self._keys(row.id) for row in endpoints(self._ledger.db) if row.enabled}

    def _keys(self, endpoint: EndpointId) -> tuple[EndpointKey, ...]:
        """Open an endpoint's secrets; return none if one does not open: its deliveries are refused,
        and everything else goes on.
        """
        try:
            return endpoint_keys(self._ledger.db, self._keyring.vault, endpoint, self._clock.now())
        except VaultError as error:
            _LOG.error(
                "endpoint %s takes no deliveries until its secret is replaced (rexalgo secret "
                "rotate --strategy NAME --revoke-now): %s",
                endpoint,
                error,
            )
            return ()

    def _join(
        self,
        nursery: trio.Nursery,
        row: AccountRow,
        environment: Environment | None,
        opening: Opening,
    ) -> None:
        if environment is None:
            raise RexAlgoError(
                f"account {row.name} is at exchange {row.exchange}, and no enabled plugin "
                "registers it: enable the plugin again, its exits "
                "would never be sent"
            )
        if environment is Environment.LIVE and row.environment != Environment.LIVE.value:
            raise RexAlgoError(
                f"account {row.name} was connected when exchange {row.exchange} was "
                f"{row.environment.upper()}, and the settings make it "
                "LIVE now: nobody agreed to that; restore the setting, or declare a new follower"
            )
        refused = why_refused(self._config, self._plugins, row.exchange, environment)
        if refused:
            raise RexAlgoError(f"account {row.name}: expected {refused}")
        state = Account(
            row.id,
            name=row.name,
            exchange=row.exchange,
            environment=environment.value,
            shared=self._shared,
            new_session=partial(self._new_session, row.id, row.exchange),
            opening=opening,
        )
        self._account_tasks.join(nursery, Follower(state))
        self._versions[row.id] = row.row_version

    def _start_feed(self, nursery: trio.Nursery, exchange: str, wanted: frozenset[Symbol]) -> None:
        if exchange in self._feeding:
            self._feeds[exchange].want(wanted)
        else:
            self._feeding.add(exchange)
            nursery.start_soon(self._feeds[exchange].run, wanted)

    def _new_session(self, identifier: AccountId, exchange: str) -> ExchangeSession:
        row = account(self._ledger.db, identifier)
        login = AccountLogin(
            identifier, account_credentials(self._ledger.db, self._keyring.vault, row)
        )
        return ExchangeSession(
            self._plugins.exchanges[exchange],
            login=login,
            context=self._contexts[exchange],
            limiter=self._limiter,
            send_deadline_s=self._shared.pace.send_deadline_s,
            sends=self._shared.sends,
            circuit=self._breakers.circuits[exchange],
            rate=self._rates[exchange],
            errors=self._errors[exchange],
            why_held=partial(self._shared.why_held, identifier),
        )

    def _start_stream(
        self, nursery: trio.Nursery, recorder: Recorder, row: StrategyRow, wanted: frozenset[Symbol]
    ) -> None:
        source = self._plugins.stream_sources.get(row.source)
        if source is None:
            _LOG.error(
                "the stream source %s of strategy %s is not enabled: it sends no signals",
                row.source,
                row.name,
            )
            return
        self._streaming.add(row.id)
        for exchange in self._feeds:
            self._start_feed(nursery, exchange, wanted)
        http = HttpClientFactory(reach=self._config.outgoing.reach)
        record = partial(recorder.emit, row.id, row.source, row.symbols)
        context = StrategyStream(
            strategy=row.name,
            symbols=row.symbols,
            params=row.params,
            clock=self._clock,
            http=http,
            feeds=tuple(self._feeds.values()),
            record=record,
        )
        nursery.start_soon(
            run_stream, self._shared, source, context, Vitals(f"strategy {row.name}"), http
        )


def _pace(config: Config) -> Pace:
    engine = config.engine
    return Pace(
        entry_age_s=engine.entry_age_s,
        price_age_s=engine.price_age_s,
        send_deadline_s=engine.send_deadline_s,
        reconcile_active_s=engine.reconcile_active_s,
        reconcile_idle_s=engine.reconcile_idle_s,
        not_confirmed_after_s=engine.not_confirmed_after_s,
        resting_entry_s=engine.resting_entry_s,
        unprotected_s=engine.unprotected_s,
        trading_day_zone=engine.trading_day_zone,
    )
