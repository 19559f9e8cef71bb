"""The Mudrex adapter: its traits, its credential, and how connections open."""

from collections.abc import Mapping, Sequence

from plugins.mudrex.connection import MudrexConnection
from plugins.mudrex.entry_api import Choices, choose
from plugins.mudrex.errors import unmapped
from plugins.mudrex.limits import ACCOUNT_REQUESTS, EXIT_REQUESTS, limit_of
from plugins.mudrex.market import AGGREGATIONS, MudrexMarket
from plugins.mudrex.requests import CURRENCY
from plugins.mudrex.settings import EntryApi, MudrexSettings
from plugins.mudrex.shared import Shared
from rexalgo import (
    AccountLogin,
    CredentialField,
    Environment,
    ExchangeConnection,
    ExchangeContext,
    ExchangeTraits,
    MarketData,
    is_loopback,
)

KEY_LASTS_DAYS = 90
SECRET_FIELD = CredentialField(
    name="secret",
    label="API secret",
    help=(
        "A key that can trade futures and move money between your own wallets there; it cannot "
        "withdraw. Shown once."
    ),
    where="mudrex.com/pro-trading on a computer, API keys; needs finished KYC and two-factor sign-in",
)


class MudrexAdapter:
    """The adapter of Mudrex futures."""

    name = "mudrex"
    title = "Mudrex"
    credential_fields: Sequence[CredentialField] = (SECRET_FIELD,)

    def __init__(self, settings: MudrexSettings) -> None:
        self._settings = settings
        self._shared = Shared()
        self._choices: Choices | None = None
        self.traits = ExchangeTraits(
            reads_client_order_id=settings.entry_api is not EntryApi.V1,
            protects_with_entry=True,
            order_limit=limit_of(settings.orders_per_s),
            read_limit=limit_of(settings.reads_per_s),
            visible_within_s=5.0,
            exits_carry_client_order_id=False,
            account_requests=ACCOUNT_REQUESTS,
            exit_requests=EXIT_REQUESTS,
            refuses_repeated_ids=settings.entry_api is not EntryApi.V1,
            sets_protection=True,
            reports_funds=True,
            credentials_last_days=KEY_LASTS_DAYS,
            reports_fees=True,
            client_order_id_per_account=True,
            counts_unmapped_errors=True,
            names_positions=True,
            reports_closed_positions=True,
            past_candle_lengths_s=tuple(AGGREGATIONS),
        )

    def environment(self, context: ExchangeContext) -> Environment:
        """Return simulated for an address of this machine, else live."""
        return Environment.SIMULATED if is_loopback(self._settings.base_url) else Environment.LIVE

    def unmapped_errors(self) -> Mapping[str, int]:
        """Return the error texts that are in no table, with their count since the start."""
        return dict(unmapped)

    async def market_data(self, context: ExchangeContext) -> MarketData:
        """Open the market data. It reads contracts and prices with the keys of connected accounts,
        in turn.
        """
        return MudrexMarket(self._shared, context.http(self._settings.base_url), context.clock)

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> ExchangeConnection:
        """Open one account's connection, check its key, and decide which entry call it uses."""
        headers = {
            "X-Authentication": login.credentials["secret"].reveal(),
            "Content-Type": "application/json",
        }
        http = context.http(self._settings.base_url, headers)
        if self._choices is None:
            self._choices = Choices(context.data_dir)
        entry_api = await choose(self._settings.entry_api, login.account, http, self._choices)
        connection = MudrexConnection(http, context.clock, self._shared, entry_api)
        await connection.read("/v1/futures/funds", trade_currency=CURRENCY)
        self._shared.readers.append(http)
        return connection
