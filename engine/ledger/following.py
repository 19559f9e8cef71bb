"""Read what one person follows: their accounts, subscriptions, copies and orders; and write what
they agree to.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.decisions.missed import EntryOutcome
from engine.domain.identifiers import AccountId, PersonId, StrategyId, Symbol
from engine.domain.leg import LegState
from engine.domain.moves import require_move
from engine.domain.outcome import EXPLANATIONS, Outcome, OutcomeCode
from engine.domain.signal import Signal, SignalDraft
from engine.domain.strategy import StrategyState
from engine.domain.subscription import (
    SUBSCRIPTION_MOVES,
    CopyPolicy,
    Mode,
    SubscriptionState,
)
from engine.ledger.codec import from_us, read_draft, read_policy, read_what, to_us, write_policy
from engine.ledger.locking import Held, lock
from engine.ledger.people import SHOWN_AS, AccountRow, account
from engine.ledger.query import Database, Row, fetch_all, fetch_one, run


def accounts_of(db: Database, person: PersonId) -> list[AccountRow]:
    """Read a person's connected accounts, by name."""
    rows = fetch_all(
        db,
        "SELECT id FROM account WHERE person_id = ? AND disconnected_us IS NULL ORDER BY name",
        (person,),
    )
    return [account(db, AccountId(row[0])) for row in rows]


def former_accounts_of(db: Database, person: PersonId) -> list[AccountRow]:
    """Read the accounts that a person disconnected, the most recent first: their history stays
    readable to that person.
    """
    rows = fetch_all(
        db,
        "SELECT id FROM account WHERE person_id = ? AND disconnected_us IS NOT NULL ORDER BY "
        "disconnected_us DESC, id",
        (person,),
    )
    return [account(db, AccountId(row[0])) for row in rows]


def strategies_copied(db: Database, person: PersonId) -> list[str]:
    """Read the names of all strategies that a person ever agreed to, including those on
    disconnected accounts.
    """
    rows = fetch_all(
        db,
        "SELECT DISTINCT strategy.name FROM subscription JOIN account ON account.id = account_id"
        " JOIN strategy ON strategy.id = strategy_id WHERE account.person_id = ? ORDER BY "
        "strategy.name",
        (person,),
    )
    return [row[0] for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRow:
    """One subscription as its follower sees it."""

    id: str
    account: AccountId
    account_name: str
    environment: str
    strategy: StrategyId
    strategy_name: str
    state: SubscriptionState
    strategy_state: StrategyState
    needs_consent: bool
    policy: CopyPolicy

    @property
    def mode(self) -> str:
        """Return live or watch."""
        return self.policy.mode.value

    @property
    def takes_entries(self) -> bool:
        """Return whether entries of its strategy are copied under the current agreement."""
        return (
            self.policy.mode is Mode.LIVE
            and self.state is SubscriptionState.ACTIVE
            and self.strategy_state.takes_entries
            and not self.needs_consent
        )


def agreements_of(db: Database, person: PersonId) -> list[AgreementRow]:
    """Read a person's subscriptions on any account, without those that were left, by strategy and
    account.
    """
    rows = fetch_all(
        db,
        "SELECT subscription.id, account.id, account.name, account.environment, strategy.id, "
        "strategy.name, subscription.state,"
        " strategy.state, subscription.policy, agreed_us < terms_us FROM subscription JOIN "
        "account ON account.id = account_id"
        " JOIN strategy ON strategy.id = strategy_id WHERE account.person_id = ? AND "
        "disconnected_us IS NULL"
        " AND subscription.state != 'left' ORDER BY strategy.name, account.name",
        (person,),
    )
    return [
        AgreementRow(
            id=row[0],
            account=AccountId(row[1]),
            account_name=row[2],
            environment=row[3],
            strategy=StrategyId(row[4]),
            strategy_name=row[5],
            state=SubscriptionState(row[6]),
            strategy_state=StrategyState(row[7]),
            needs_consent=bool(row[9]),
            policy=read_policy(row[8]),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRow:
    """One copy with its newest outcome; ``code`` is None while it waits to be planned, ``numbers``
    are those of its sentence as JSON. ``has_closed``: the exit of a reverse closed what it was to
    close; the outcome is the entry's.
    """

    number: int
    at: datetime
    signal_id: str
    strategy_id: str
    strategy: str
    account: str
    environment: str
    action: str
    symbol: str
    side: str | None
    is_test: bool
    code: str | None
    numbers: str
    settled_at: datetime | None
    has_closed: bool

    @property
    def sentence(self) -> str:
        """Return what became of it in one sentence; made when asked, because most rows that a page
        reads are only counted or passed over.
        """
        if self.code is None:
            said = "It is not done yet; its page says what it waits for."
        else:
            said = Outcome(OutcomeCode(self.code), json.loads(self.numbers)).sentence
        is_half = self.has_closed and self.code != OutcomeCode.FILLED.value
        return f"The old position was closed. The entry: {said}" if is_half else said

    @property
    def move(self) -> str:
        """Return who can act on it, empty while it waits."""
        return "" if self.code is None else EXPLANATIONS[OutcomeCode(self.code)].move.value

    @property
    def setting(self) -> str | None:
        """Return the setting that made this outcome, None if none did."""
        return None if self.code is None else EXPLANATIONS[OutcomeCode(self.code)].setting


COPIES: Final = (
    "SELECT copy.signal_number, signal.received_us, signal.id, strategy.id, strategy.name, "
    "account.name, account.environment,"
    " signal.draft, copy.code, copy.numbers, copy.outcome_us, CASE WHEN signal.action = 'reverse' "
    "THEN (SELECT state FROM leg WHERE copy_id = copy.id AND number = 1 AND kind = 'exit') END "
    "FROM copy JOIN signal ON signal.number = copy.signal_number"
    " JOIN strategy ON strategy.id = signal.strategy_id JOIN account ON account.id = "
    "copy.account_id"
)


def copies_of(db: Database, accounts: Sequence[AccountId], limit: int) -> list[CopyRow]:
    """Read the newest ``limit`` copies of some accounts, newest first; each account is read by
    itself along its index.
    """
    copies = [
        copy_row(row)
        for account_id in accounts
        for row in fetch_all(
            db,
            COPIES + " WHERE copy.account_id = ? ORDER BY copy.signal_number DESC LIMIT ?",
            (account_id, limit),
        )
    ]
    return sorted(copies, key=lambda each: (-each.number, each.account))[:limit]


def entry_outcomes(
    db: Database, account: AccountRow, limit: int, before: int
) -> tuple[list[EntryOutcome], int | None]:
    """Read what became of the entry signals among an account's newest ``limit`` settled copies of
    signals before a number, and the number before which the next page begins; None at the end.
    """
    rows = fetch_all(
        db,
        "SELECT copy.outcome_us, copy.code, copy.numbers, strategy.id, strategy.name, "
        "signal.action, signal.is_test, copy.signal_number FROM copy JOIN signal ON signal.number = "
        "copy.signal_number JOIN strategy ON strategy.id = signal.strategy_id WHERE "
        "copy.account_id = ? AND copy.signal_number < ? AND copy.code IS NOT NULL ORDER BY "
        "copy.signal_number DESC LIMIT ?",
        (account.id, before, limit),
    )
    entries = [
        EntryOutcome(
            signal=row[7],
            at=from_us(row[0]),
            outcome=Outcome(OutcomeCode(row[1]), json.loads(row[2] or "{}")),
            account=account.name,
            environment=account.environment,
            strategy_id=row[3],
            strategy=row[4],
        )
        for row in rows
        if row[5] in ("open", "add", "reverse") and not row[6]
    ]
    return entries, rows[-1][7] if len(rows) == limit else None


def copy_row(row: Row) -> CopyRow:
    """Read a row of ``COPIES``."""
    action, symbol, side, is_test = read_what(row[7])
    return CopyRow(
        number=row[0],
        at=from_us(row[1]),
        signal_id=row[2],
        strategy_id=row[3],
        strategy=row[4],
        account=row[5],
        environment=row[6],
        action=action,
        symbol=symbol,
        side=side,
        is_test=is_test,
        code=row[8],
        numbers=row[9] or "{}",
        settled_at=None if row[10] is None else from_us(row[10]),
        has_closed=row[11] == LegState.FILLED.value,
    )


def unproven_count(db: Database, identifier: AccountId) -> int:
    """Count the orders of an account that stayed without trace and wait for a person."""
    row = fetch_one(
        db,
        "SELECT count(*) FROM attempt INDEXED BY attempt_open WHERE account_id = ? AND state IN "
        "('claimed', 'unknown', 'placed',"
        " 'partially_filled', 'not_confirmed') AND state = 'not_confirmed' AND freed = 0",
        (identifier,),
    )
    return 0 if row is None else int(row[0])


def signal_of_copy(db: Database, signal: str, account_name: str, person: PersonId) -> bool:
    """Return whether a signal reached an account of this person."""
    row = fetch_one(
        db,
        "SELECT 1 FROM copy JOIN signal ON signal.number = copy.signal_number JOIN account ON "
        "account.id = copy.account_id"
        " WHERE signal.id = ? AND account.name = ? AND account.person_id = ?",
        (signal, account_name, person),
    )
    return row is not None


def last_entries(db: Database, strategy: StrategyId, limit: int) -> list[Signal]:
    """Read a strategy's newest entries, newest first, for a preview."""
    rows = fetch_all(
        db,
        "SELECT id, number, draft, order_key, decided_us, received_us FROM signal WHERE "
        "strategy_id = ? ORDER BY number DESC LIMIT ?",
        (strategy, limit * 6),
    )
    entries: list[Signal] = []
    for row in rows:
        draft: SignalDraft = read_draft(row[2])
        if draft.action.is_entry and len(entries) < limit:
            entries.append(
                Signal(
                    id=row[0],
                    number=row[1],
                    strategy=strategy,
                    draft=draft,
                    order_key=row[3],
                    decided_at=from_us(row[4]),
                    received_at=from_us(row[5]),
                )
            )
    return entries


# What a person agrees to


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyTerms:
    """The terms that a strategy asks a follower to agree to."""

    id: StrategyId
    name: str
    master: str
    state: StrategyState
    about: str
    kind: str
    symbols: frozenset[Symbol]
    leverage: str
    terms_at: datetime
    is_mine: bool


_TERMS: Final = (
    "SELECT strategy.id, strategy.name, master.name, state, about, kind, symbols, leverage, "
    "terms_us, master.person_id = ?2"
    f" FROM strategy JOIN master ON master.id = master_id WHERE strategy.id = ?1 AND ({SHOWN_AS} "
    "IN ('published', 'by_link')"
    " OR master.person_id = ?2 OR EXISTS (SELECT 1 FROM subscription JOIN account ON account.id = "
    "account_id"
    " WHERE strategy_id = strategy.id AND account.person_id = ?2 AND subscription.state != 'left'))"
)


def strategy_terms(db: Database, identifier: str, person: PersonId) -> StrategyTerms | None:
    """Read a strategy that a person may see: published, by link, theirs, or followed by them; None
    for any other.
    """
    row = fetch_one(db, _TERMS, (identifier, person))
    if row is None:
        return None
    symbols = frozenset(map(Symbol, json.loads(row[6])))
    return StrategyTerms(
        id=StrategyId(row[0]),
        name=row[1],
        master=row[2],
        state=StrategyState(row[3]),
        about=row[4],
        kind=row[5],
        symbols=symbols,
        leverage=row[7],
        terms_at=from_us(row[8]),
        is_mine=bool(row[9]),
    )


def agree(
    db: Database,
    identifier: str,
    account_id: AccountId,
    strategy: StrategyId,
    policy: CopyPolicy,
    at: datetime,
) -> None:
    """Write what a person agrees to: a new subscription, or new terms of the existing one. A paused
    one stays paused.
    """
    db.execute(
        "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us, state, "
        "agreed_us) VALUES (?1, ?2, ?3, ?4, ?5, 'active',"
        " ?5) ON CONFLICT (account_id, strategy_id) DO UPDATE SET policy = ?4, agreed_us = ?5,"
        " state = CASE WHEN subscription.state = 'paused' THEN 'paused' ELSE 'active' END",
        (identifier, account_id, strategy, write_policy(policy), to_us(at)),
    )


def set_agreement_state(db: Database, identifier: str, state: SubscriptionState) -> bool:
    """Write active, paused or left; return False if it was so already. Raises InvalidMove for a
    state that is never stored.
    """
    lock(db, Held.AGREEMENT, identifier)
    row = fetch_one(db, "SELECT state FROM subscription WHERE id = ?", (identifier,))
    before = state if row is None else SubscriptionState(row[0])
    if before is state:
        return False
    require_move(SUBSCRIPTION_MOVES, before, state, "an agreement")
    return (
        run(
            db,
            "UPDATE subscription SET state = ?1 WHERE id = ?2 AND state != ?1",
            (state.value, identifier),
        )
        > 0
    )


def consent(db: Database, identifier: str, at: datetime) -> None:
    """Record that a person agrees to the strategy's current terms."""
    db.execute("UPDATE subscription SET agreed_us = ? WHERE id = ?", (to_us(at), identifier))
