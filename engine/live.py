"""What pages and commands may read and ask of running accounts. The actors' tasks answer; callers
do not know them.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from engine.decisions.books_check import Examined
from engine.decisions.explaining import LaneNow
from engine.decisions.reconciliation import Correction, Plan
from engine.domain.account import AccountReport, UnreadableRow
from engine.domain.identifiers import AccountId, CopyId, StrategyId, Symbol
from engine.domain.preflight import Preflight
from engine.domain.readiness import Readiness
from engine.ledger import Database


@dataclass(frozen=True, slots=True)
class EngineCounts:
    """Plain numbers that a running engine keeps: deliveries by answer (asked of the web process, if
    that is another one; None if it is away), failed calls by exchange and class of the error, and
    how often each task was restarted (accounts together).
    """

    deliveries: Callable[[], Awaitable[Mapping[str, int] | None]]
    errors: Mapping[str, Mapping[str, int]]
    restarts: Callable[[], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class TurnTimes:
    """The turns of the loop in the last one to two minutes, in milliseconds: 99 of 100 took at most
    ``p99_ms``. See ``actors/loop_turns.py``.
    """

    turns: int
    p99_ms: float
    longest_ms: float


class KnownAccount(Protocol):
    """What is currently known of an account; see ``actors/account.py``."""

    @property
    def id(self) -> AccountId:
        """Its id in the ledger."""

    @property
    def name(self) -> str:
        """Its name, unique among connected accounts."""

    @property
    def exchange(self) -> str:
        """The exchange it is at."""

    @property
    def environment(self) -> str:
        """``paper``, ``live``, or what the exchange calls it."""

    @property
    def problem(self) -> str:
        """Why the account cannot be read; empty if it can."""

    @property
    def readiness(self) -> Readiness:
        """The result of the account's newest reading."""

    @property
    def foreign(self) -> frozenset[str]:
        """Ids of orders with our mark that the ledger lacks."""

    @property
    def report(self) -> AccountReport | None:
        """The newest report; None while the account cannot be read."""

    @property
    def last_report(self) -> AccountReport | None:
        """The newest report, kept while the account cannot be read: for people only."""

    @property
    def read_at(self) -> datetime | None:
        """When the newest report arrived, UTC."""

    @property
    def clock_offset_s(self) -> float | None:
        """How far the exchange's clock is ahead of ours; None if not known."""

    @property
    def why_held(self) -> str:
        """Why no order may leave the account; empty if one may."""

    async def wait_read(self) -> None:
        """Wait until the first reading has arrived or has failed."""

    def unread(self, symbol: Symbol) -> UnreadableRow | None:
        """Return a row of the newest reading that may concern a symbol and cannot be read."""

    def exits_wait(self, strategy: StrategyId) -> bool:
        """Return whether closing orders wait for a person."""

    def may_precede_fill(self, symbol: Symbol) -> bool:
        """Return whether the newest report may not show yet the newest fill of ours in a symbol."""

    def not_compared(self) -> frozenset[Symbol]:
        """Return the contracts that a reading made now cannot judge."""


class LiveAccount(Protocol):
    """The task of one account; see ``actors/follower.py``."""

    @property
    def account(self) -> KnownAccount:
        """What is known of the account."""

    @property
    def is_quarantined(self) -> bool:
        """Whether the task failed so often that the account takes no entries."""

    def check_now(self) -> Preflight | None:
        """Return what the newest reading comes to, without ``passing_items``; None before the first
        check.
        """

    @property
    def shown_plan(self) -> str:
        """The digest of the plan that was last shown to a person; empty if none was shown since the
        start.
        """

    def note_shown(self, digest: str) -> None:
        """Remember which plan was shown to a person."""

    def in_lane(self, copy: CopyId) -> LaneNow:
        """Return what the task knows of a copy that the ledger does not."""

    async def examine(self, since: datetime) -> Examined:
        """Read at the exchange what the books are compared with; changes nothing."""

    async def read_now(self) -> None:
        """Read the account now; on failure, it cannot be read until a later reading succeeds."""

    async def plan_corrections(self) -> Plan:
        """Read the account and return what differs from the ledger; changes nothing."""

    async def apply_corrections(
        self, by: str, also: Callable[[Database, tuple[Correction, ...]], None]
    ) -> Plan:
        """Read the account and correct the ledger; return what differed."""

    def write_plan(self, plan: Plan, by: str, at: datetime, db: Database) -> None:
        """Write a confirmed plan to the ledger; raises Changed if the ledger moved since it was
        made.
        """

    def go_on(self) -> None:
        """Record that a person let orders out again."""

    async def bind(
        self, attempt_id: int, exchange_order_id: str, also: Callable[[Database], None]
    ) -> None:
        """Prove an attempt by the order that a person names; raises NothingThere if the exchange has
        no such order.
        """


class LiveAccounts(Protocol):
    """Every account's task of one process; see ``actors/account_tasks.py``."""

    @property
    def accounts(self) -> Sequence[KnownAccount]:
        """What is known of each account."""

    def tasks(self) -> Sequence[LiveAccount]:
        """Return every task."""

    def named(self, name: str) -> LiveAccount | None:
        """Return the task of the account with this name."""

    async def check(self, name: str) -> Preflight:
        """Check an account at its exchange now; raises LookupError if no task has it."""

    async def plans(self, accounts: Collection[LiveAccount]) -> dict[LiveAccount, Plan | str]:
        """Return what differs from the ledger in each account, or why it cannot be read."""

    def vitals(self, names: Collection[str] | None = None) -> dict[str, dict[str, object]]:
        """Return by account name how each task is doing."""

    def checks(self) -> dict[str, int]:
        """Count accounts by the level of their last check."""

    def troubled(self) -> list[str]:
        """Return the names of accounts that need somebody."""

    def failing(self) -> dict[str, str]:
        """Return which tasks that serve every account failed lately, and why."""

    def exchange_problems(self) -> dict[str, str]:
        """Return by exchange why its market data cannot be read, if so."""

    def wake(self) -> None:
        """Wake the accounts: a signal was recorded."""

    def unquarantine(self, name: str) -> None:
        """End an account's quarantine."""

    def released(self, account: AccountId, copy: CopyId) -> None:
        """Release a copy's order: a person decided that it does not exist."""
