"""What the engine returns to the web and the command line: plain frozen values that list what may
be shown, nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum

from engine.domain.booking import Cause
from engine.domain.signal import SignalDraft


class ReceptionKind(Enum):
    """How a delivery was received; the web maps each value to one HTTP status."""

    ACCEPTED = "accepted"  # 202
    DUPLICATE = "duplicate"  # 200
    DRY_RUN = "dry_run"  # 200: no signal was recorded
    CONFLICT = "conflict"  # 409
    NOT_AUTHENTIC = "not_authentic"  # 401, one body for every cause
    MALFORMED = "malformed"  # 400: not JSON
    INVALID = "invalid"  # 422: JSON, but a field does not fit
    GONE = "gone"  # 410
    LIMITED = "limited"  # 429 + Retry-After
    UNAVAILABLE = "unavailable"  # 503 + Retry-After


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """The answer to one delivery. ``field`` and ``expected`` are set for MALFORMED and INVALID;
    nothing of the input is repeated.

    ``ignored_fields`` counts the unknown fields of the body. ``mirrored`` is False with a
    ``reason`` if no order of the signal will reach any exchange: its copies exist and end so.

    Of a dry run ``would`` counts the ``copies`` by what would become of them, and ``is_known`` says
    that this signal was recorded before. Of a CONFLICT the ids are those of the signal recorded under
    its id, and ``is_known`` says that it asked for the same.
    """

    kind: ReceptionKind
    signal_id: str | None = None
    receipt_id: str | None = None
    mirrored: bool = True
    reason: str | None = None
    field: str | None = None
    expected: str | None = None
    retry_after_s: int | None = None
    ignored_fields: int = 0
    copies: int = 0
    would: Mapping[str, int] | None = None
    is_known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptView:
    """What became of a signal, as its sender may see it: never who the followers are. ``open``
    counts copies without a final outcome.
    """

    signal_id: str
    action: str
    symbol: str
    received_at: datetime
    copies: int
    open: int
    outcomes: Mapping[str, int]
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    environments: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRow:
    """One change of one copy's outcome; ``sequence`` is the ledger's event number (the live
    stream's event id).
    """

    sequence: int
    at: datetime
    signal_id: str
    strategy: str
    action: str
    symbol: str
    side: str | None
    account: str
    environment: str
    code: str
    sentence: str
    setting: str | None
    move: str
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class HealthView:
    """Whether the process works and takes signals; cheap. ``problems`` also include that nothing is
    sent, though signals are taken.
    """

    ok: bool
    version: str
    uptime_s: float
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessView:
    """Whether orders can flow: ledger open, actors started, each account's first reconcile done or
    visibly failed.
    """

    ready: bool
    ledger: bool
    accounts: int
    accounts_reconciled: int
    accounts_failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One order attempt of a copy.

    ``kind``: the leg that it was for, ``entry`` or ``exit``. ``price`` and ``fee`` (net of rebates)
    are what the books know by now, which may be reported after the order ended; None is not known
    yet, or nothing filled.
    """

    number: int
    kind: str
    state: str
    side: str
    quantity: str
    client_order_id: str
    exchange_order_id: str | None
    filled: str
    price: str | None
    fee: str | None
    cause: str
    claimed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FillView:
    """One fill of a position; ``price`` is None until it is known. ``signal`` is the one that it
    answers, which arrived at ``received_at``; None if a person, a stop or a target did it.
    """

    at: datetime
    is_entry: bool
    quantity: Decimal
    price: Decimal | None
    fee: Decimal | None
    cause: Cause | None
    signal: SignalDraft | None
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class WhyEvent:
    """One step in a copy's history."""

    at: datetime
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class TurnView:
    """When a copy had its turn: as which of the signal's ``copies`` that have sent so far (1 is the
    first), and how long after the signal was received.
    """

    turn: int
    copies: int
    waited_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyView:
    """The explanation of one copy: what became of it with numbers, sentence, the setting that would
    change it, and who has to act.

    ``code`` is None while the copy waits. ``now`` is what its strategy still has open at the
    moment, empty if there is nothing more to say. ``turn`` is None until an order of it was
    claimed.
    """

    signal_id: str
    action: str
    symbol: str
    strategy_id: str
    strategy: str
    account: str
    environment: str
    received_at: datetime
    code: str | None
    numbers: Mapping[str, str]
    sentence: str
    setting: str | None
    move: str
    history: tuple[WhyEvent, ...]
    attempts: tuple[AttemptView, ...]
    turn: TurnView | None = None
    now: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownView:
    """One order whose fate is not proven: ``state`` is unknown (being looked up) or not_confirmed
    (the exchange does not show it). ``opens``: it may open or add to a position; else it only closes.
    """

    signal_id: str
    account: str
    exchange: str
    environment: str
    opens: bool
    symbol: str
    side: str
    quantity: str
    state: str
    cause: str
    client_order_id: str
    claimed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchView:
    """One switch that is on; ``level`` is entries, reduce or flatten. ``is_owners``: the owner of the
    account set it, and nobody else resumes it.
    """

    scope: str
    target: str
    note: str
    set_by: str
    set_at: datetime
    level: str
    person: str = ""
    role: str = ""
    is_owners: bool = False


@dataclass(frozen=True, slots=True)
class StillOpenView:
    """One share, or entry in flight, that is still open; ``why`` is a plain sentence, ``is_asked``
    whether an exit was requested.
    """

    account_id: str
    account: str
    environment: str
    exchange: str
    strategy_id: str
    strategy: str
    symbol: str
    side: str
    share: str
    entries_open: int
    why: str
    is_asked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingView:
    """One entry that rests at the exchange since ``since``, and opens a position if its price comes;
    ``is_ending``: it is being cancelled.
    """

    account: str
    environment: str
    strategy_id: str
    strategy: str
    symbol: str
    side: str
    quantity: Decimal
    filled: Decimal
    limit_price: Decimal
    since: datetime
    is_ending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertView:
    """One alert."""

    at: datetime
    code: str
    subject: str
    sentence: str
    do: str
    wakes: bool
    count: int


@dataclass(frozen=True, slots=True)
class HoldingView:
    """What a strategy holds in one symbol of an account; ``share`` is in units of the base asset."""

    symbol: str
    side: str
    share: str
    strategy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRowView:
    """One account: how many symbols strategies hold, how many orders wait to be planned, how many
    are unproven.
    """

    name: str
    exchange: str
    environment: str
    held: int
    waiting: int
    unproven: int
    holdings: tuple[HoldingView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """The status of this installation, from the ledger alone. Counts of copies and alerts cover the
    last 24 hours.
    """

    accounts: Mapping[str, int]
    strategies: int
    copies: Mapping[str, int]
    waiting: int
    open_orders: Mapping[str, int]
    positions: int
    switches: tuple[SwitchView, ...]
    alerts: tuple[AlertView, ...]


class Lack(Enum):
    """Why the size of an entry is not known now."""

    CONTRACT = "contract"
    """The exchange does not list the contract."""
    PRICE = "price"
    """The contract has no fresh price."""
    READING = "reading"
    """The account was not read yet."""
    SIGNAL = "signal"
    """Only a signal decides."""
