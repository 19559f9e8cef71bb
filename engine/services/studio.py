"""The master's service: strategies, their webhook endpoints and secrets, test signals, what was
delivered and what became of it.

What always holds: a master sees followers in aggregate only; a secret is shown once; a test signal
takes the same path as any other and cannot reach an exchange; what lowers risk needs no
confirmation, what reveals something or raises risk needs a factor.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import trio

from engine.context import OWN_PAGE, EngineContext
from engine.decisions.ready_messages import StepTaken, what_orders_do
from engine.decisions.signature_debugger import (
    Finding,
    NamedKey,
    debug_delivery,
    pasted_body,
    read_headers,
)
from engine.decisions.signatures import WINDOW_A_S, sign_a
from engine.decisions.terms import Listed, TermsWarning, warn_of_strategy
from engine.domain.account import LIVE_FIRST
from engine.domain.alert import Alert, AlertCode
from engine.domain.amounts import Ratio, parse_ratio, plain
from engine.domain.errors import InvalidValue, NothingThere
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import StrategyId, Symbol, parse_name
from engine.domain.person import Role
from engine.domain.signal import SignalDraft
from engine.domain.strategy import StrategyState, lets_entries_in
from engine.domain.token import Once, TokenScope
from engine.keys.sealed_secrets import ended_endpoint_keys, endpoint_keys
from engine.ledger import Database, studio
from engine.ledger.alerts import alerts_about
from engine.ledger.deliveries import DeliveryRow, deliveries
from engine.ledger.people import (
    KIND_COPY_TRADING,
    EndpointRow,
    StrategyRow,
    expire_secrets,
    insert_strategy,
    master_of,
    secrets_in_use,
    strategy_named,
)
from engine.ledger.reports import receipt, set_switch
from engine.ledger.results import newest_entries
from engine.ledger.studio import (
    Audience,
    OpenShares,
    SignalOutcomes,
    StudioEndpoint,
    StudioSignal,
    StudioStrategy,
)
from engine.market.comparing import listed_now, read_contracts
from engine.ports.secret import Secret
from engine.ports.signal_source import (
    AddressSource,
    Authenticated,
    Delivery,
    DescribedSource,
    ExampleSource,
    ReadyMessage,
    WebhookSource,
)
from engine.services.asking import asked, for_tokens
from engine.services.auditing import audited
from engine.services.endpoints import make_capability, make_endpoint, rotate_secret
from engine.services.outcomes import Heard, OutcomeCounts, Settled, heard_of
from engine.services.studio_forms import read_address_scope, read_description, read_test_body
from engine.services.studio_setup import Step, asks_operator, steps_of
from engine.services.user import FormErrors, LookFirst, User
from engine.views import ReceiptView, Reception

PAGE: Final = 50
SIGNALS: Final = 10
ENDED_SECRETS: Final = 5
OVERLAP: Final = timedelta(hours=24)
ALERTS_KEPT: Final = timedelta(hours=24)
ENTRIES_COUNTED: Final = 20
_SHARES_AT_ONCE: Final = 200
_REFUSED_WHATEVER: Final = ("limited", "unavailable")
"""Refusals that no other message would have changed."""
_NOTHING_TO_PAUSE: Final = "No entry of this strategy is copied: it is a draft, or was retired."
ABOUT_SENDERS: Final = (AlertCode.NUMBERING_RESTARTED, AlertCode.PLUGIN_TASK_FAILED)


@dataclass(frozen=True, slots=True)
class SecretInUse:
    """One secret of an endpoint, never its text."""

    is_newest: bool
    valid_until: datetime | None
    last_used: datetime | None
    last_used_from: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """An address with a secret that is shown only this once."""

    url: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class MadeAddress:
    """One address of a source, with ``chosen``: the words of each of its settings."""

    endpoint: StudioEndpoint
    chosen: Sequence[str]


class StudioService:
    """The service for masters."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._outcomes = OutcomeCounts(context)
        self._settled = Settled[StudioSignal](context.clock)

    @property
    def _db(self) -> Database:
        return self._context.ledger.db

    @property
    def signed_source(self) -> str:
        """Return the name of the source of the addresses that bots sign for."""
        return self._context.config.plugins.webhook_source

    def _signed_source(self) -> WebhookSource | None:
        return self._context.plugins().webhook_sources.get(self.signed_source)

    def strategies(self, user: User) -> Sequence[StudioStrategy]:
        """Read the user's strategies."""
        return studio.strategies_of(self._db, user.id)

    def strategy(self, user: User, identifier: str) -> StudioStrategy:
        """Read one of the user's strategies; raises NothingThere."""
        strategy = studio.strategy_of(self._db, user.id, identifier)
        if strategy is None:
            raise NothingThere("there is no such strategy of yours")
        return strategy

    # Making and changing

    @asked
    async def create(self, user: User, given: Mapping[str, str]) -> tuple[StrategyId, Shown]:
        """Create a strategy as a draft, with an endpoint and its secret; raises FormErrors, or
        LookFirst.
        """
        errors: dict[str, str] = {}
        name = given.get("name", "")
        try:
            parse_name(name)
            if strategy_named(self._db, name) is not None:
                errors["name"] = "expected a name that no strategy here has"
        except InvalidValue as error:
            errors["name"] = f"expected {error.expected}"
        about, symbols, leverage = read_description(given, errors)
        master = master_of(self._db, user.id)
        if master is None or not user.person.is_a(Role.MASTER):
            errors[""] = "Only masters publish strategies: ask to become one on your security page."
        source = self._signed_source()
        if source is None:
            errors[""] = "The operator has not enabled signed webhooks here."
        if errors:
            raise FormErrors(errors)
        assert master is not None
        assert source is not None
        await self._look_first(symbols, leverage, given)
        vault, now = await self._context.open_vault(), self._context.clock.now()
        row = StrategyRow(
            id=StrategyId(f"str_{secrets.token_hex(16)}"),
            name=name,
            master=master,
            kind=KIND_COPY_TRADING,
            symbols=symbols,
            leverage=leverage,
            source=source.name,
            params={},
        )

        def change(db: Database) -> Shown:
            insert_strategy(db, row, now)
            studio.describe_strategy(
                db,
                identifier=row.id,
                about=about,
                symbols=symbols,
                leverage=plain(leverage),
                terms_at=None,
            )
            studio.set_strategy_state(db, row.id, StrategyState.DRAFT)
            endpoint, secret = make_endpoint(
                db, vault=vault, strategy=row.id, source=source, now=now
            )
            return Shown(self._address(endpoint), secret)

        shown = await audited(
            self._context,
            user=user,
            act="strategy_made",
            subject=name,
            data={"symbols": sorted(symbols)},
            change=change,
        )
        await self._context.changed()
        return row.id, shown

    @asked
    async def describe(self, user: User, identifier: str, given: Mapping[str, str]) -> bool:
        """Change a strategy's description; return whether followers must agree again. Raises
        FormErrors, or LookFirst.
        """
        row, errors = self.strategy(user, identifier), dict[str, str]()
        about, symbols, leverage = read_description(given, errors)
        if errors:
            raise FormErrors(errors)
        asks = symbols != frozenset(row.symbols) or plain(leverage) != row.leverage
        if asks:
            await self._look_first(symbols, leverage, given)
        now = self._context.clock.now()
        data = {
            "before": {"symbols": sorted(row.symbols), "leverage": row.leverage},
            "now": {"symbols": sorted(symbols), "leverage": plain(leverage)},
            "asks_for_consent": asks,
        }
        await audited(
            self._context,
            user=user,
            act="strategy_changed",
            subject=row.name,
            data=data,
            change=lambda db: studio.describe_strategy(
                db,
                identifier=row.id,
                about=about,
                symbols=symbols,
                leverage=plain(leverage),
                terms_at=now if asks else None,
            ),
        )
        await self._context.changed()
        return asks

    async def _look_first(
        self, symbols: frozenset[Symbol], leverage: Ratio, given: Mapping[str, str]
    ) -> None:
        """Raise LookFirst for what is absurd, unless exactly this was shown with its warnings and
        is sent again.
        """
        confirmed = f"{plain(leverage)} {' '.join(sorted(symbols))}"
        if given.get("confirmed") != confirmed:
            await read_contracts(self._context.feeds.values(), min(symbols))
            if warnings := warn_of_strategy(leverage, listed_now(self._context.feeds, symbols)):
                raise LookFirst(warnings, confirmed)

    @asked
    async def warnings(self, row: StudioStrategy) -> Sequence[TermsWarning]:
        """Return what is absurd about a strategy, by what the exchanges have reported so far."""
        return warn_of_strategy(
            parse_ratio(row.leverage, "leverage"), listed_now(self._context.feeds, row.symbols)
        )

    @asked
    async def contracts(self, row: StudioStrategy) -> Sequence[Listed]:
        """Return a strategy's contracts as each exchange here lists them; an exchange that has not
        been read is left out. Exchanges are read only if none was: one that is away must not hold up
        the page.
        """
        feeds = self._context.feeds
        if not any(each.knows_contracts for each in feeds.values()):
            await read_contracts(feeds.values(), row.symbols[0])
        titles = {name: feed.title for name, feed in feeds.items()}
        return [
            replace(each, exchange=titles[each.exchange]) for each in listed_now(feeds, row.symbols)
        ]

    async def setup(
        self,
        row: StudioStrategy,
        deliveries: Sequence[DeliveryRow],
        signals: Sequence[StudioSignal],
    ) -> Sequence[Step]:
        """Return the way of a strategy from nothing to a settled signal, given its newest deliveries
        and signals.
        """
        webhook = self.webhook(row)
        url = "" if webhook is None else webhook[1]
        return steps_of(row, url, await self.contracts(row), deliveries, signals)

    def is_public(self) -> bool:
        """Return whether senders on other machines can reach this installation's address."""
        return not asks_operator(self._context.webhook_address)

    @asked
    async def set_state(self, user: User, identifier: str, state: str) -> None:
        """Publish, hide, pause or retire a strategy; raises FormErrors."""
        row = self.strategy(user, identifier)
        try:
            wanted = StrategyState(state)
        except ValueError:
            states = ", ".join(each.value for each in StrategyState)
            raise FormErrors({"state": f"expected one of {states}"}) from None
        if lets_entries_in(row.state, wanted):
            user.require_fresh(self._context.clock.now())
        await self._set_state(user, row, wanted)

    @asked
    @for_tokens(TokenScope.PAUSE)
    async def pause(self, user: User, identifier: str, *, once: Once | None = None) -> None:
        """Pause a strategy for every follower; asks for no confirmation, because it lowers risk.
        Raises FormErrors for one that has ended or is a draft. For ``once`` see ``audited``.
        """
        row = self.strategy(user, identifier)
        if not row.state.takes_entries and row.state is not StrategyState.PAUSED:
            raise FormErrors({"": _NOTHING_TO_PAUSE})
        await self._set_state(user, row, StrategyState.PAUSED, once)

    async def _set_state(
        self, user: User, row: StudioStrategy, wanted: StrategyState, once: Once | None = None
    ) -> None:
        await audited(
            self._context,
            user=user,
            act=f"strategy_{wanted.value}",
            subject=row.name,
            data={"before": row.state.value},
            change=lambda db: studio.set_strategy_state(db, row.id, wanted),
            once=once,
        )
        await self._context.changed()

    @asked
    async def close_everything(self, user: User, identifier: str) -> None:
        """Close what this strategy opened for every follower, and take no new entries, until the
        operator resumes.
        """
        row, now = self.strategy(user, identifier), self._context.clock.now()
        switch = Switch(
            scope=SwitchScope.STRATEGY,
            target=row.name,
            note="by its master",
            set_by=user.person.called,
            set_at=now,
            level=SwitchLevel.FLATTEN,
        )
        await audited(
            self._context,
            user=user,
            act="switched_on",
            subject=switch.label,
            data={"level": "flatten"},
            change=lambda db: set_switch(db, switch),
        )
        await self._context.changed()

    # Endpoints

    def _address(self, endpoint: str) -> str:
        return f"{self._context.webhook_address}/api/webhooks/copy-trading/{endpoint}"

    def endpoints(self, row: StudioStrategy) -> Sequence[StudioEndpoint]:
        """Read a strategy's endpoints."""
        return studio.endpoints_of(self._db, row.id)

    def webhook(self, row: StudioStrategy) -> tuple[StudioEndpoint, str] | None:
        """Read a strategy's signed endpoint and its address, None if it has none."""
        endpoint = next(
            (each for each in self.endpoints(row) if each.source == self.signed_source), None
        )
        return None if endpoint is None else (endpoint, self._address(endpoint.id))

    def _webhook(self, row: StudioStrategy) -> StudioEndpoint:
        endpoint = self.webhook(row)
        if endpoint is None:
            raise NothingThere("this strategy has no signed webhook")
        return endpoint[0]

    def secrets(self, row: StudioStrategy) -> Sequence[SecretInUse]:
        """Read which secrets of a strategy's endpoint are still valid, newest first."""
        now, endpoint = self._context.clock.now(), self.webhook(row)
        rows = [] if endpoint is None else secrets_in_use(self._db, endpoint[0].id)
        valid = [each for each in rows if each[1] is None or each[1] > now]
        return [
            SecretInUse(index == 0, until, used, where)
            for index, (_, until, used, where) in enumerate(valid)
        ]

    @asked
    async def rotate(self, user: User, identifier: str) -> Shown:
        """Renew the secret; the old one stays valid for 24 hours. Raises NeedsConfirmation."""
        now, row = self._context.clock.now(), self.strategy(user, identifier)
        user.require_fresh(now)
        endpoint = self._webhook(row)
        source = self._context.plugins().webhook_sources[endpoint.source]
        endpoint_row = EndpointRow(
            id=endpoint.id,
            strategy=row.id,
            source=endpoint.source,
            enabled=endpoint.enabled,
            is_deleted=False,
        )
        secret = await rotate_secret(
            self._context,
            endpoint=endpoint_row,
            strategy=row.name,
            source=source,
            until=now + OVERLAP,
            by=user.person.name,
            address=user.address,
        )
        return Shown(self._address(endpoint.id), secret)

    @asked
    async def make_webhook(self, user: User, identifier: str) -> Shown:
        """Create a signed endpoint after the previous one was deleted; raises FormErrors,
        NeedsConfirmation.
        """
        row, now = self.strategy(user, identifier), self._context.clock.now()
        user.require_fresh(now)
        source = self._signed_source()
        if row.kind != KIND_COPY_TRADING or self.webhook(row) is not None:
            raise FormErrors(
                {
                    "": "This strategy needs no other address: it has one, or runs inside this installation."
                }
            )
        if source is None:
            raise FormErrors({"": "The operator has not enabled signed webhooks here."})
        vault = await self._context.open_vault()

        def change(db: Database) -> Shown:
            endpoint, secret = make_endpoint(
                db, vault=vault, strategy=row.id, source=source, now=now
            )
            return Shown(self._address(endpoint), secret)

        shown = await audited(
            self._context,
            user=user,
            act="endpoint_made",
            subject=row.name,
            data={"source": source.name},
            change=change,
        )
        await self._context.changed()
        return shown

    @asked
    async def revoke_old(self, user: User, identifier: str) -> None:
        """Expire every secret but the newest now."""
        row, now = self.strategy(user, identifier), self._context.clock.now()
        endpoint = self._webhook(row)
        newest = secrets_in_use(self._db, endpoint.id)[0][0]
        await audited(
            self._context,
            user=user,
            act="old_secrets_revoked",
            subject=row.name,
            data={},
            change=lambda db: expire_secrets(db, endpoint.id, now, but=newest),
        )
        await self._context.changed()

    @asked
    async def set_enabled(self, user: User, identifier: str, endpoint: str, enabled: bool) -> None:
        """Disable or enable an endpoint; enabling needs a factor."""
        row = self.strategy(user, identifier)
        target = self._endpoint(row, endpoint)
        if enabled:
            user.require_fresh(self._context.clock.now())
        act = "endpoint_enabled" if enabled else "endpoint_disabled"
        await audited(
            self._context,
            user=user,
            act=act,
            subject=row.name,
            data={"endpoint": target.id},
            change=lambda db: studio.set_endpoint_enabled(db, target.id, enabled),
        )
        await self._context.changed()

    @asked
    async def delete(self, user: User, identifier: str, endpoint: str) -> None:
        """Delete an endpoint for good."""
        row, now = self.strategy(user, identifier), self._context.clock.now()
        target = self._endpoint(row, endpoint)
        await audited(
            self._context,
            user=user,
            act="endpoint_deleted",
            subject=row.name,
            data={"endpoint": target.id},
            change=lambda db: studio.delete_endpoint(db, target.id, now),
        )
        await self._context.changed()

    def _endpoint(self, row: StudioStrategy, endpoint: str) -> StudioEndpoint:
        owned = next((each for each in self.endpoints(row) if each.id == endpoint), None)
        if owned is None:
            raise NothingThere("there is no such endpoint of yours")
        return owned

    # Addresses that are the proof

    def address_sources(self) -> Sequence[AddressSource]:
        """Return the enabled sources that have addresses for senders that cannot sign, by name."""
        found = self._context.plugins().webhook_sources
        return [each for _, each in sorted(found.items()) if isinstance(each, AddressSource)]

    def address_source(self, name: str) -> AddressSource:
        """Return one of these sources; raises NothingThere."""
        for each in self.address_sources():
            if each.name == name:
                return each
        raise NothingThere("no enabled source of addresses has this name")

    def addresses(self, row: StudioStrategy, source: AddressSource) -> Sequence[MadeAddress]:
        """Read a strategy's addresses for a source, each with the words of its settings."""
        return [
            MadeAddress(
                each,
                [one.chosen(each.settings.get(one.name))[1] for one in source.endpoint_settings],
            )
            for each in self.endpoints(row)
            if each.has_token and each.source == source.name
        ]

    def ready_messages(
        self, row: StudioStrategy, source: AddressSource
    ) -> Sequence[tuple[ReadyMessage, Sequence[StepTaken]]]:
        """Return messages to paste, each with what every order will do."""
        now = self._context.clock.now()

        def read(body: bytes) -> SignalDraft:
            return source.parse(Delivery(body, (), OWN_PAGE, now), Authenticated(0, None))

        ready = source.ready_messages(row.symbols[0])
        return [(each, what_orders_do(each, read)) for each in ready]

    @asked
    async def make_address(
        self, user: User, identifier: str, name: str, given: Mapping[str, str]
    ) -> str:
        """Create an address of a source; return it, the only time that it is shown. Raises
        FormErrors, NeedsConfirmation.
        """
        row, now = self.strategy(user, identifier), self._context.clock.now()
        user.require_fresh(now)
        source = self.address_source(name)
        settings = read_address_scope(given, row, source.endpoint_settings, now)
        return await make_capability(
            self._context,
            strategy=row.id,
            name=row.name,
            source=source,
            settings=settings,
            by=user.person.name,
            address=user.address,
        )

    # Test signals, deliveries, the debugger

    def body_schema(self) -> Mapping[str, object] | None:
        """Return the JSON Schema of the bodies that bots sign; None if their source describes none."""
        name = self._context.config.plugins.webhook_source
        source = self._context.plugins().webhook_sources.get(name)
        return source.body_schema() if isinstance(source, DescribedSource) else None

    @asked
    async def test_signal(self, user: User, identifier: str, given: Mapping[str, str]) -> Reception:
        """Send a signal with ``"test": true`` through the same path as any bot; it cannot reach an
        exchange. Raises FormErrors.
        """
        row = self.strategy(user, identifier)
        endpoint = self._webhook(row)
        now = self._context.clock.now()
        keys = endpoint_keys(self._db, await self._context.open_vault(), endpoint.id, now)
        if not keys or not endpoint.enabled or self._context.receive is None:
            raise FormErrors(
                {
                    "": (
                        "The endpoint is disabled or has no secret that holds: enable it, or "
                        "renew the secret."
                    )
                }
            )
        body = json.dumps(read_test_body(given, row)).encode()
        headers = tuple(
            (name.lower(), value) for name, value in sign_a(keys[0].secret, body, now).items()
        )
        return await self._context.receive(endpoint.id, Delivery(body, headers, OWN_PAGE, now))

    def receipt(self, identifier: str | None) -> ReceiptView | None:
        """Read what became of a signal."""
        return None if identifier is None else receipt(self._db, identifier)

    def deliveries(self, row: StudioStrategy, before: int | None = None) -> Sequence[DeliveryRow]:
        """Read the deliveries to a strategy's endpoints, newest first."""
        rows = [
            replace(each, instead=self._instead(row, endpoint.source, each))
            for endpoint in self.endpoints(row)
            for each in deliveries(self._db, endpoint.id, PAGE, before)
        ]
        return sorted(rows, key=lambda each: -each.id)[:PAGE]

    def _instead(self, row: StudioStrategy, source: str, refused: DeliveryRow) -> str:
        """Return a message to send in place of a refused one, empty if none would be taken."""
        found = self._context.plugins().webhook_sources.get(source)
        if (
            refused.reads_exit is None
            or refused.kind in _REFUSED_WHATEVER
            or not isinstance(found, ExampleSource)
        ):
            return ""
        return found.example(row.symbols[0], is_exit=bool(refused.reads_exit))

    async def signals(
        self, row: StudioStrategy, before: int | None = None
    ) -> Sequence[StudioSignal]:
        """Read a strategy's signals with their outcomes, newest first."""
        found = list[StudioSignal]()
        for each in studio.signals_of(self._db, row.id, SIGNALS, before, self._settled.get):
            found.append(each)
            if each.is_settled:
                self._settled.keep(each.number, each)
            await trio.lowlevel.checkpoint()  # orders go first: a signal has a copy per follower
        return found

    def signal(self, row: StudioStrategy, identifier: str) -> SignalOutcomes:
        """Read one of a strategy's signals with what became of its copies; raises NothingThere."""
        found = studio.signal_outcomes(self._db, row.id, identifier)
        if found is None:
            raise NothingThere("there is no such signal of this strategy")
        return found

    async def heard(self, row: StudioStrategy) -> Sequence[Heard]:
        """Read what became of the newest entry signals at followers who copy live, by environment,
        live first.
        """
        entries = newest_entries(self._db, row.id, ENTRIES_COUNTED)
        counts = await self._outcomes.of(entries)
        return [heard for each in LIVE_FIRST if (heard := heard_of(each, counts)).wanted]

    def alerts(self, row: StudioStrategy) -> Sequence[Alert]:
        """Read the alerts of one day about a strategy's sender, newest first."""
        since = self._context.clock.now() - ALERTS_KEPT
        return [
            each
            for each in alerts_about(self._db, [row.name], PAGE)
            if each.code in ABOUT_SENDERS and each.at >= since
        ]

    def open_shares(self, row: StudioStrategy) -> OpenShares:
        """Count what followers hold of a strategy, by environment and contract."""
        return studio.open_shares_of(self._db, row.id)

    async def audience(self, row: StudioStrategy) -> Audience:
        """Read a strategy's followers in aggregate; orders go between parts of them."""
        followers = studio.followers_of(self._db, row.id)
        await trio.lowlevel.checkpoint()
        shares = self.open_shares(row)
        costs = list[studio.OpenCost]()
        page, after = studio.open_costs_of(self._db, row.id, _SHARES_AT_ONCE)
        while after is not None:
            costs += page
            await trio.lowlevel.checkpoint()
            page, after = studio.open_costs_of(self._db, row.id, _SHARES_AT_ONCE, after)
        return studio.audience_of(followers, shares, costs + page)

    @asked
    async def debug(
        self, user: User, identifier: str, headers: str, body: str
    ) -> Sequence[Finding]:
        """Return which part of a pasted delivery is wrong, against the secrets of one of the user's
        endpoints.
        """
        row, now = self.strategy(user, identifier), self._context.clock.now()
        endpoint, vault = self._webhook(row), await self._context.open_vault()
        named = [
            NamedKey(
                "the current secret" if index == 0 else "an older secret that still holds",
                key.secret,
            )
            for index, key in enumerate(endpoint_keys(self._db, vault, endpoint.id, now))
        ]
        named += [
            NamedKey("an older secret", key.secret, key.valid_until)
            for key in ended_endpoint_keys(
                self._db, vault=vault, endpoint=endpoint.id, now=now, limit=ENDED_SECRETS
            )
        ]
        window = (
            self._context.plugins()
            .provider("signal source", endpoint.source)
            .settings.get("window_a_s", WINDOW_A_S)
        )
        read = read_headers(headers)
        return debug_delivery(
            read,
            body=pasted_body(read, body, named, now),
            keys=named,
            now=now,
            window_a_s=int(str(window)),
        )
