"""The adapter and the account connections of the paper exchange.

There is one venue per data folder. It opens at its first use and closes with its last user. The
account key at the venue is a hash of the secret; the secret itself is not stored.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import trio

from plugins.paper.market import PAST_CANDLE_LENGTHS_S, PaperMarketData, make_prices
from plugins.paper.rules import check_contract
from plugins.paper.settings import PaperSettings, parse_balance
from plugins.paper.venue import Venue
from rexalgo import (
    AccountLogin,
    AccountReport,
    ClosedPositions,
    CredentialField,
    Environment,
    ExchangeConnection,
    ExchangeContext,
    ExchangeTraits,
    InvalidValue,
    MarketData,
    Money,
    OrderHistory,
    OrderIntent,
    OrderReport,
    ProtectionOrder,
    RateLimit,
    Rejected,
    RejectionKind,
    Symbol,
)

SECRET_FIELD = CredentialField(
    name="secret",
    label="Paper account name",
    help="Any text: the same text is the same account. paper:500:anything starts it with 500 USDT.",
)


def account_key(secret: str) -> str:
    """Return the account key of a secret, as the venue and its journal use it."""
    return hashlib.sha256(f"rexalgo/paper/account/v1|{secret}".encode()).hexdigest()[:24]


def starting_balance(secret: str, default: Money) -> Money:
    """Return the balance that a secret asks for (``paper:BALANCE:anything``), otherwise the
    default.

    Raise Rejected of kind CREDENTIALS for an empty secret, one that starts with ``bad-``, or an
    unreadable balance.
    """
    if not secret or secret.startswith("bad-"):
        raise Rejected("the paper exchange does not know this key", RejectionKind.CREDENTIALS)
    if not secret.startswith("paper:"):
        return default
    try:
        return parse_balance(secret.split(":")[1], "BALANCE")
    except InvalidValue:
        text = (
            "expected paper:BALANCE:anything with a balance above 0 and at most 10^12, such as "
            "paper:500:small"
        )
        raise Rejected(text, RejectionKind.CREDENTIALS) from None


@dataclass(slots=True)
class _Shared:
    venue: Venue
    users: int = 0


class PaperAdapter:
    """The adapter of the paper exchange.

    Traits come from the settings at the start, everything else from the settings in the context.
    """

    name = "paper"
    title = "Paper exchange"
    credential_fields: Sequence[CredentialField] = (SECRET_FIELD,)

    def __init__(self, settings: PaperSettings) -> None:
        self.traits = ExchangeTraits(
            reads_client_order_id=True,
            protects_with_entry=True,
            order_limit=RateLimit(settings.orders_per_s, 1.0, settings.orders_per_s),
            read_limit=RateLimit(settings.reads_per_s, 1.0, settings.reads_per_s),
            visible_within_s=0.0,
            refuses_repeated_ids=settings.dedupe_client_order_ids,
            sets_protection=True,
            names_positions=True,
            reports_closed_positions=True,
            taker_fee_bps=settings.fee_bps,
            past_candle_lengths_s=PAST_CANDLE_LENGTHS_S,
            reserves_for_resting=True,
        )
        self._shared: dict[str, _Shared] = {}

    def environment(self, context: ExchangeContext) -> Environment:
        """Return PAPER, whatever the settings say."""
        return Environment.PAPER

    async def market_data(self, context: ExchangeContext) -> MarketData:
        """Open the simulated market. Raise JournalDamaged already here, so that a bad journal is
        known at the start.
        """
        await trio.lowlevel.checkpoint()
        venue = self._use(context).venue
        return PaperMarketData(venue.prices, venue.clock, self._release_of(context))

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> ExchangeConnection:
        """Open one account. Raise Rejected of kind CREDENTIALS, or NotExecuted if a write fails."""
        settings = PaperSettings.parse(context.settings)
        secret = login.credentials.get(SECRET_FIELD.name)
        text = "" if secret is None else secret.reveal()
        balance = starting_balance(text, settings.starting_balance)
        venue = self._use(context).venue
        try:
            await venue.open_account(account_key(text), balance)
        except BaseException:
            self._give_back(context.data_dir)
            raise
        return PaperConnection(
            login,
            key=account_key(text),
            venue=venue,
            settings=settings,
            release=self._release_of(context),
        )

    def _release_of(self, context: ExchangeContext) -> Callable[[], None]:
        return partial(self._give_back, context.data_dir)

    def _give_back(self, data_dir: str) -> None:
        """Release one use of the folder's venue. The last release closes it."""
        shared = self._shared[data_dir]
        shared.users -= 1
        if shared.users == 0:
            del self._shared[data_dir]
            shared.venue.close()

    def _use(self, context: ExchangeContext) -> _Shared:
        shared = self._shared.get(context.data_dir)
        if shared is None:
            settings = PaperSettings.parse(context.settings)
            venue = Venue.open(
                Path(context.data_dir), make_prices(settings), context.clock, settings
            )
            shared = self._shared[context.data_dir] = _Shared(venue)
        shared.users += 1
        return shared


class PaperConnection:
    """A connection for one account. ``hang_for``, ``raise_for`` match the engine's account id."""

    def __init__(
        self,
        login: AccountLogin,
        key: str,
        venue: Venue,
        settings: PaperSettings,
        release: Callable[[], None],
    ) -> None:
        self._key = key
        self._venue = venue
        self._release = release
        self._latency_s = settings.latency_ms / 1000
        self._hangs = login.account.startswith(settings.hang_for)
        self._raises = login.account.startswith(settings.raise_for)

    async def prepare_entry(self, order: OrderIntent) -> None:
        """Check contract, leverage and step. The venue needs no other preparation."""
        await trio.lowlevel.checkpoint()
        check_contract(order)

    async def place_order(self, order: OrderIntent) -> OrderReport:
        """Place the order. It is accepted once its line is durable in the journal."""
        await self._delay()
        return await self._venue.place(self._key, order)

    async def fetch_account(self) -> AccountReport:
        """Read the account."""
        if self._raises:
            raise RuntimeError("raised by the drill raise_for")
        return await self._venue.report(self._key)

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        """Read every order of the symbol since a time, newest first; always complete."""
        return await self._venue.history(self._key, symbol, since)

    async def closed_positions(
        self, since: datetime, position_ids: Collection[str] = ()
    ) -> ClosedPositions:
        """Read every position closed since a time; always complete."""
        return await self._venue.closed_positions(self._key, since)

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        """Cancel a resting order. Raise Rejected for an unknown id."""
        await self._delay()
        await self._venue.cancel(self._key, exchange_order_id)

    async def set_protection(self, protection: ProtectionOrder) -> None:
        """Set the position's stop and target."""
        await self._delay()
        await self._venue.protect(self._key, protection)

    async def aclose(self) -> None:
        """Release the venue."""
        self._release()
        await trio.lowlevel.checkpoint()

    async def _delay(self) -> None:
        if self._hangs:
            await trio.sleep_forever()
        if self._latency_s:
            await trio.sleep(self._latency_s)
