"""What EngineService hands to the web and the command line: plain frozen values that list what may be shown, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class ReceptionKind(Enum):
    """How a delivery was received; the web maps each to one HTTP status."""

    ACCEPTED = "accepted"  # 202
    DUPLICATE = "duplicate"  # 200
    CONFLICT = "conflict"  # 409
    NOT_AUTHENTIC = "not_authentic"  # 401, one body for every cause
    MALFORMED = "malformed"  # 400: not JSON
    INVALID = "invalid"  # 422: JSON, but a field does not fit
    GONE = "gone"  # 410
    LIMITED = "limited"  # 429 + Retry-After
    UNAVAILABLE = "unavailable"  # 503 + Retry-After


@dataclass(frozen=True, slots=True)
class Reception:
    """Answer one delivery. ``field`` and ``expected`` are set for MALFORMED and INVALID; nothing of the input is repeated.

    ``mirrored`` is False with a ``reason`` when entries are switched off or the entry came too late: its copies exist and end so.
    """

    kind: ReceptionKind
    signal_id: str | None = None
    receipt_id: str | None = None
    mirrored: bool = True
    reason: str | None = None
    field: str | None = None
    expected: str | None = None
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """Tell a sender what became of a signal, never who the followers are. ``open`` counts copies without a final outcome."""

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


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """Show one change of one copy's outcome; ``sequence`` is the ledger's event number (the live stream's event id)."""

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
    """Say whether the process works at all: cheap, no ledger access."""

    ok: bool
    version: str
    uptime_s: float
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadinessView:
    """Say whether orders can flow: ledger open, actors started, each account's first reconcile done or visibly failed."""

    ready: bool
    ledger: bool
    accounts: int
    accounts_reconciled: int
    accounts_failed: Mapping[str, str] = field(default_factory=dict)
