"""What an exchange plugin implements: one adapter per exchange, one connection per account, and
three honest errors.

The one rule behind this file: **a timeout is not a no.** An adapter raises ``NotExecuted`` only
with proof that nothing was executed, and ``Rejected`` only when the exchange refused. Any other
exception is taken as *unknown*: the order is looked up by reading, never sent again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Protocol

from engine.domain.account import AccountReport, ClosedPositions, Environment, UnreadableRow
from engine.domain.amounts import Money, Ratio
from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import AccountId, Symbol
from engine.domain.order import ClosedBy, OrderIntent, OrderReport, OrderSide, ProtectionOrder
from engine.domain.text import for_people, require_text
from engine.ports.clock import Clock
from engine.ports.http import HttpClients
from engine.ports.market_data import MarketData
from engine.ports.rate_limiter import RateLimit
from engine.ports.secret import Secret


class ExchangeError(RexAlgoError):
    """The base of what an adapter raises on purpose. ``text`` is for people: no secret, no raw body
    above 200 characters.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = for_people(text[:200])


class NotExecuted(ExchangeError):
    """Raised with proof that nothing was executed (connect failed, refused locally, 429, 423): the
    engine may try again.

    ``retry_after_s`` is the delay in seconds that the exchange asked for, None if it named none.
    """

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class TooManyRequests(NotExecuted):
    """Raised when the exchange refused a call because too much was sent (HTTP 429).

    The engine uses a lower rate for the whole exchange from then on, and forgets it within minutes.
    """


class RejectionKind(Enum):
    """Why the exchange refused, as far as the engine must distinguish the cases."""

    OTHER = "other"
    BALANCE = "balance"
    CREDENTIALS = "credentials"
    POSITION_NOT_OPEN = "position_not_open"
    BELOW_MINIMUM = "below_minimum"


class Rejected(ExchangeError):
    """Raised when the exchange itself refused the order for good: it will never execute."""

    def __init__(self, text: str, kind: RejectionKind = RejectionKind.OTHER) -> None:
        super().__init__(text)
        self.kind = kind


class OutcomeUnknown(ExchangeError):
    """Raised when the request may have been executed. Any exception other than the two above means
    the same.
    """


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One thing a person must paste to connect an account, for forms and for ``rexalgo provision``.

    ``help`` says what it is and what it permits, ``where`` where to get it. Its lifetime is
    ``credentials_last_days`` of the traits.
    """

    name: str
    label: str
    help: str
    secret: bool = True
    where: str = ""


@dataclass(frozen=True, slots=True)
class ExchangeTraits:
    """What the exchange can do, as facts that the engine plans with.

    ``reads_client_order_id``: orders read back carry the client order id that was sent.
    ``protects_with_entry``: stop and target are sent with the entry order. ``order_limit`` and
    ``read_limit``: what one account may send; the limiter plugin counts. ``visible_within_s``: how
    long after acceptance an order may still be missing from reads. ``exits_carry_client_order_id``:
    False if exits use a close call that takes no id; they are then proven by what happened to the
    position. ``account_requests`` and ``exit_requests``: how many requests one reading of an
    account and one exit take, for the limiter. ``refuses_repeated_ids``: a client order id that was
    used before never makes a second order (the engine does not rely on it). ``sets_protection``:
    its connections are ``ProtectionConnection`` too, so stop and target of a position can be set
    and moved. ``reports_funds``: its connections are ``FundsConnection`` too.
    ``credentials_last_days``: the age at which the exchange stops accepting a key, None if it names
    none. ``reports_fees``: its connections are ``FeesConnection`` too, and fees are taken from
    there alone, never from order reports. ``client_order_id_per_account``: its connections are
    ``OrderIdConnection`` too, and each answers for itself what ``reads_client_order_id`` answers
    for all. ``counts_unmapped_errors``: the adapter is an ``ErrorCountingAdapter`` too.
    ``names_positions``: positions carry their id, and orders that opened, grew or closed a position
    carry it as ``position_id``. ``reports_closed_positions``: its connections are
    ``ClosedPositionsConnection`` too. ``taker_fee_bps``: what a market order costs, in basis points
    of its value, for shadow books; None if it differs between accounts.
    ``past_candle_lengths_s``: the lengths of candles, in seconds and ascending, of which any past
    time can be read; its market data are ``PastCandlesMarketData`` then, and without one its
    positions and trades have no price chart. ``reserves_for_resting``: the free balance of a
    reading lacks what the resting orders in it may cost; False charges them against it once more.

    These decide how an exit is proven: by its client order id (``exits_carry_client_order_id``),
    else by the row that names the position it closed (``names_positions``), else by the closed
    position (``reports_closed_positions``), else by a later reading without the position.
    """

    reads_client_order_id: bool
    protects_with_entry: bool
    order_limit: RateLimit
    read_limit: RateLimit
    visible_within_s: float = 5.0
    exits_carry_client_order_id: bool = True
    account_requests: int = 1
    exit_requests: int = 1
    refuses_repeated_ids: bool = False
    sets_protection: bool = False
    reports_funds: bool = False
    credentials_last_days: int | None = None
    reports_fees: bool = False
    client_order_id_per_account: bool = False
    counts_unmapped_errors: bool = False
    names_positions: bool = False
    reports_closed_positions: bool = False
    taker_fee_bps: Decimal | None = None
    past_candle_lengths_s: tuple[int, ...] = ()
    reserves_for_resting: bool = False


@dataclass(frozen=True, slots=True)
class FundsElsewhere:
    """Money that the engine cannot trade with; ``where`` is a few words for people, such as ``the
    spot wallet``.
    """

    where: str
    amount: Money
    currency: str


class FeeKind(Enum):
    """The kind of a payment in the fee history."""

    TRADE = "trade"
    FUNDING = "funding"
    REBATE = "rebate"


@dataclass(frozen=True, slots=True)
class FeeReport:
    """One row of the exchange's fee history: ``amount`` is what the wallet paid, tax included;
    below 0 it was received.

    ``tax`` is the part of ``amount`` that is tax. ``side`` and ``traded`` (quantity x price) are
    set for trades and their rebates if the exchange reports them: they tie a row to an order.
    ``closed_by`` is what closed the position, if the row says so.
    """

    id: str
    symbol: Symbol
    kind: FeeKind
    amount: Money
    tax: Money
    currency: str
    at: datetime
    side: OrderSide | None = None
    traded: Money | None = None
    closed_by: ClosedBy | None = None

    def __post_init__(self) -> None:
        require_text(self.id, "id")


@dataclass(frozen=True, slots=True)
class FeeHistory:
    """Rows of the fee history, newest first. ``complete`` is True only if the reading reaches back
    past the requested time.
    """

    rows: tuple[FeeReport, ...]
    complete: bool
    unreadable: tuple[UnreadableRow, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """Orders read back, newest first. ``complete`` is True only if the reading reaches back past
    the requested time.

    An unreadable row is in ``unreadable``; if it could belong to the requested symbol and time, the
    reading is not complete.
    """

    orders: tuple[OrderReport, ...]
    complete: bool
    unreadable: tuple[UnreadableRow, ...] = ()


@dataclass(frozen=True, slots=True)
class ExchangeContext:
    """Everything that a plugin gets from the engine: its own config section, a clock, HTTP clients,
    and a folder of its own.

    ``http`` makes clients over the engine's transport (one warm connection each, no redirects, no
    retries, no proxy environment, answers of at most 1 MiB); the engine closes them. ``data_dir`` is private to the plugin and survives restarts.
    """

    settings: Mapping[str, object]
    clock: Clock
    http: HttpClients
    data_dir: str


@dataclass(frozen=True, slots=True)
class AccountLogin:
    """The account that is connecting: its id (for the adapter's own bookkeeping) and its
    credentials by field name.
    """

    account: AccountId
    credentials: Mapping[str, Secret] = field(default_factory=dict)


class ExchangeConnection(Protocol):
    """A connection of one account. The engine calls every method under a total deadline and sends
    each order exactly once.

    Reading methods may be cancelled. The engine does not cancel ``place_order`` except at its
    deadline.
    """

    async def prepare_entry(self, order: OrderIntent) -> None:
        """Do what must be set before the entry (such as the leverage) and cannot execute anything;
        called before the claim.

        Raise ``NotExecuted`` to be called again, ``Rejected`` if the exchange refuses the setting.
        """
        ...

    async def place_order(self, order: OrderIntent) -> OrderReport:
        """Send the order once and return what the exchange reported about it. Never retry, never
        follow a redirect.

        Raises ``NotExecuted``, ``Rejected`` or ``OutcomeUnknown`` (any other exception counts as
        the last).
        """
        ...

    async def fetch_account(self) -> AccountReport:
        """Read balance, positions and open orders, all of them, or raise."""
        ...

    async def find_orders(self, symbol: Symbol, since: datetime) -> OrderHistory:
        """Read open and past orders of ``symbol`` created at or after ``since`` (exchange clock,
        UTC).
        """
        ...

    async def cancel_order(self, symbol: Symbol, exchange_order_id: str) -> None:
        """Ask the exchange to cancel a resting order; an order that is already done is no error."""
        ...

    async def aclose(self) -> None:
        """Release all resources; called once."""
        ...


class ProtectionConnection(ExchangeConnection, Protocol):
    """A connection of one account at an exchange whose traits say ``sets_protection``."""

    async def set_protection(self, protection: ProtectionOrder) -> None:
        """Make the open position's stop and target exactly these: create, move or remove. Repeating
        it does no harm.

        Raises ``Rejected`` (POSITION_NOT_OPEN if there is no such position), or anything else to be
        called again.
        """
        ...


class FundsConnection(ExchangeConnection, Protocol):
    """A connection of one account at an exchange whose traits say ``reports_funds``."""

    async def funds_elsewhere(self) -> Sequence[FundsElsewhere]:
        """Read the owner's money that the engine cannot trade with, so that a missing balance can
        be explained.
        """
        ...


class FeesConnection(ExchangeConnection, Protocol):
    """A connection of one account at an exchange whose traits say ``reports_fees``."""

    async def fees(self, since: datetime) -> FeeHistory:
        """Read what was paid and received at or after ``since`` (exchange clock, UTC)."""
        ...


class ClosedPositionsConnection(ExchangeConnection, Protocol):
    """A connection of one account at an exchange whose traits say ``reports_closed_positions``."""

    async def closed_positions(
        self, since: datetime, position_ids: Collection[str] = ()
    ) -> ClosedPositions:
        """Read the positions that were closed at or after ``since`` (exchange clock, UTC), without
        partial closes.

        ``position_ids`` are looked for beyond the first page, if the exchange does not list the
        newest closed first.
        """
        ...


class OrderIdConnection(ExchangeConnection, Protocol):
    """A connection of one account at an exchange whose traits say ``client_order_id_per_account``."""

    @property
    def reads_client_order_id(self) -> bool:
        """Return whether this account's entries, read back, carry our client order id; it never
        changes while the connection is open.
        """
        ...


class ExchangeAdapter(Protocol):
    """The adapter of one exchange. ``register_exchanges`` makes it once at start; making it must
    not connect anywhere.
    """

    @property
    def name(self) -> str:
        """Return the short name used in files and on pages, such as ``paper``."""
        ...

    @property
    def title(self) -> str:
        """Return the name people see."""
        ...

    @property
    def traits(self) -> ExchangeTraits:
        """Return what the exchange can do."""
        ...

    @property
    def credential_fields(self) -> Sequence[CredentialField]:
        """Return what a person must paste, in order; provisioning's ``secret`` fills the first
        secret field.
        """
        ...

    def environment(self, context: ExchangeContext) -> Environment:
        """Return paper, simulated (a loopback address) or live under these settings."""
        ...

    async def market_data(self, context: ExchangeContext) -> MarketData:
        """Open the exchange's public data; called once."""
        ...

    async def connect(self, login: AccountLogin, context: ExchangeContext) -> ExchangeConnection:
        """Open one account's connection; raise ``Rejected`` of kind CREDENTIALS for a key that the
        exchange refuses.
        """
        ...


class ErrorCountingAdapter(ExchangeAdapter, Protocol):
    """The adapter of an exchange whose traits say ``counts_unmapped_errors``."""

    def unmapped_errors(self) -> Mapping[str, int]:
        """Return the error texts that the adapter met and does not know, with their count since the
        start.
        """
        ...


__all__ = [
    "AccountLogin",
    "ClosedPositionsConnection",
    "CredentialField",
    "ErrorCountingAdapter",
    "ExchangeAdapter",
    "ExchangeConnection",
    "ExchangeContext",
    "ExchangeError",
    "ExchangeTraits",
    "FeeHistory",
    "FeeKind",
    "FeeReport",
    "FeesConnection",
    "FundsConnection",
    "FundsElsewhere",
    "NotExecuted",
    "OrderHistory",
    "OrderIdConnection",
    "OutcomeUnknown",
    "ProtectionConnection",
    "Ratio",
    "Rejected",
    "RejectionKind",
    "TooManyRequests",
]
