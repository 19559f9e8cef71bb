"""Read the attempts to carry out a leg: what is open, what ended, which exchange order ids are
ours.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from engine.decisions.order_lifecycle import AttemptState
from engine.domain.amounts import Money, Quantity
from engine.domain.identifiers import AccountId, CopyId, StrategyId, Symbol
from engine.domain.order import OrderIntent
from engine.domain.signal import OrderKey
from engine.domain.subscription import Mode
from engine.ledger.codec import from_us, read_intent, read_policy, to_us
from engine.ledger.outcomes import write_event
from engine.ledger.query import Database, Row, fetch_all, fetch_one, in_list


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt as the ledger has it; ``held_before`` as in its claim."""

    id: int
    copy: CopyId
    leg: int
    number: int
    kind: str
    account: AccountId
    strategy: StrategyId
    state: AttemptState
    intent: OrderIntent
    notional: Money
    margin: Money
    claimed_at: datetime
    filled: Quantity
    cause: str
    witness: tuple[str, ...]
    price: str
    exchange_order_id: str | None
    held_before: Quantity | None

    @property
    def is_entry(self) -> bool:
        """Return whether this attempt can raise exposure."""
        return self.kind == "entry"


_ATTEMPT = (
    "SELECT id, copy_id, leg, number, kind, account_id, strategy_id, state, intent, notional, "
    "margin, claimed_us, filled, cause, witness,"
    " price, exchange_order_id, held_before, client_order_id, symbol"
    " FROM attempt"
)
_OPEN_ATTEMPT = (
    _ATTEMPT
    + (  # the index selects what is open; named, so that no plan walks an account's history instead
        " INDEXED BY attempt_open WHERE state IN ('claimed', 'unknown', 'placed', "
        "'partially_filled', 'not_confirmed')"
    )
)


def _attempt(row: Row) -> Attempt:
    return Attempt(
        id=row[0],
        copy=CopyId(row[1]),
        leg=row[2],
        number=row[3],
        kind=row[4],
        account=AccountId(row[5]),
        strategy=StrategyId(row[6]),
        state=AttemptState(row[7]),
        intent=read_intent(row[8], row[18], row[19]),
        notional=Money(Decimal(row[9])),
        margin=Money(Decimal(row[10])),
        claimed_at=from_us(row[11]),
        filled=Quantity(Decimal(row[12])),
        cause=row[13],
        witness=tuple(json.loads(row[14])),
        price=row[15] or "?",
        exchange_order_id=row[16],
        held_before=None if row[17] is None else Quantity(Decimal(row[17])),
    )


def read_attempt(db: Database, attempt_id: int) -> Attempt:
    """Read one attempt."""
    row = fetch_one(db, _ATTEMPT + " WHERE id = ?", (attempt_id,))
    if row is None:
        raise LookupError(f"the ledger has no attempt {attempt_id}")
    return _attempt(row)


def open_attempts(db: Database, account: AccountId) -> list[Attempt]:
    """Read the account's attempts whose fate is open: claimed, unknown, placed, partially filled,
    not confirmed.
    """
    return [
        _attempt(row)
        for row in fetch_all(db, _OPEN_ATTEMPT + " AND account_id = ? ORDER BY id", (account,))
    ]


def accounts_with_open_attempts(db: Database) -> frozenset[AccountId]:
    """Read which accounts have an attempt whose fate is open."""
    rows = fetch_all(
        db,
        "SELECT DISTINCT account_id FROM attempt INDEXED BY attempt_open WHERE state IN "
        "('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed')",
    )
    return frozenset(AccountId(row[0]) for row in rows)


def open_entries(db: Database, account: AccountId) -> list[Attempt]:
    """Read the account's entries that may be at the exchange and count as held: those without trace
    only until their symbol is freed.
    """
    where = (
        " AND account_id = ? AND kind = 'entry' AND (state != 'not_confirmed' OR freed = 0) ORDER "
        "BY id"
    )
    return [_attempt(row) for row in fetch_all(db, _OPEN_ATTEMPT + where, (account,))]


@dataclass(frozen=True, slots=True)
class RestingEntry:
    """An entry that the exchange took and that may still fill; ``proven_at`` is when ``filled`` or
    the acceptance was recorded.
    """

    copy: CopyId
    exchange_order_id: str
    filled: Quantity
    proven_at: datetime


def resting_entries(db: Database, account: AccountId) -> list[RestingEntry]:
    """Read the account's entries that the exchange took and that may still fill."""
    rows = fetch_all(
        db,
        "SELECT copy_id, exchange_order_id, filled, ended_us FROM attempt INDEXED BY attempt_open "
        "WHERE account_id = ? AND state IN ('claimed', 'unknown', 'placed', 'partially_filled', "
        "'not_confirmed') AND state IN ('placed', 'partially_filled') AND kind = 'entry' AND "
        "exchange_order_id IS NOT NULL AND ended_us IS NOT NULL",
        (account,),
    )
    return [
        RestingEntry(CopyId(copy), order, Quantity(Decimal(filled)), from_us(at_us))
        for copy, order, filled, at_us in rows
    ]


def stopped_entries(db: Database, account: AccountId | None = None) -> list[tuple[AccountId, int]]:
    """Read the entries, of one account or of all, that the exchange took and that may still fill
    though who decides it takes no new ones: the account's owner paused it, its follower paused or left
    the strategy or only watches it, or its master stopped it. Also one that is no longer shown.
    """
    rows = fetch_all(
        db,
        "SELECT attempt.account_id, attempt.id, subscription.policy, subscription.state IN "
        "('paused', 'left') OR strategy.state IN ('draft', 'paused', 'retired') OR EXISTS (SELECT 1 "
        "FROM switch WHERE switch.scope = 'account' AND switch.target = account.name AND "
        "switch.is_owners = 1) FROM attempt INDEXED BY attempt_open JOIN account ON account.id = "
        "attempt.account_id JOIN subscription ON subscription.account_id = attempt.account_id AND "
        "subscription.strategy_id = attempt.strategy_id JOIN strategy ON strategy.id = "
        "attempt.strategy_id WHERE attempt.state IN ('claimed', 'unknown', 'placed', "
        "'partially_filled', 'not_confirmed') AND attempt.exchange_order_id IS NOT NULL AND "
        "attempt.kind = 'entry'" + ("" if account is None else " AND attempt.account_id = ?"),
        () if account is None else (account,),
    )
    return [
        (AccountId(row[0]), row[1])
        for row in rows
        if row[3] or read_policy(row[2]).mode is Mode.WATCH
    ]


def unsettled_symbols(
    db: Database, account: AccountId, since: datetime, *, working: bool = True
) -> frozenset[Symbol]:
    """Read the symbols with an attempt whose fate is open, or which filled and ended at or after
    ``since``: no reading from then can judge them. Without ``working``, entries are left out that the
    exchange took and that changed nothing since.

    One statement, so that an attempt which another task ends meanwhile is seen open or ended, never
    neither.
    """
    rows = fetch_all(
        db,
        "SELECT symbol FROM attempt INDEXED BY attempt_open WHERE account_id = ?1 AND state IN "
        "('claimed', 'unknown', 'placed',"
        " 'partially_filled', 'not_confirmed') AND (state != 'not_confirmed' OR (kind = 'entry' "
        "AND freed = 0)) AND (?3 = 1 OR kind != 'entry' OR ended_us >= ?2 OR state NOT IN "
        "('placed', 'partially_filled'))"
        " UNION ALL SELECT symbol FROM attempt INDEXED BY attempt_ended WHERE account_id = ?1 AND "
        "ended_us >= ?2 AND filled != '0'",
        (account, to_us(since), int(working)),
    )
    return frozenset(Symbol(row[0]) for row in rows)


def last_exits(db: Database, account: AccountId, since: datetime) -> dict[Symbol, datetime]:
    """Read when our newest exit that closed something ended, for each symbol with one at or after
    ``since``.
    """
    rows = fetch_all(
        db,
        "SELECT symbol, max(ended_us) FROM attempt WHERE account_id = ? AND ended_us >= ? AND "
        "kind = 'exit' AND filled != '0'"
        " GROUP BY symbol",
        (account, to_us(since)),
    )
    return {Symbol(symbol): from_us(ended_us) for symbol, ended_us in rows}


def entries_before(
    db: Database, account: AccountId, strategy: StrategyId, symbol: Symbol, before: OrderKey
) -> list[Attempt]:
    """Read a strategy's entry attempts that may be working at the exchange and whose leg has an
    earlier order key; of those that were given up, only those that the exchange had accepted.
    """
    where = (
        " AND account_id = ? AND strategy_id = ? AND symbol = ? AND kind = 'entry' AND (state != "
        "'not_confirmed' OR exchange_order_id IS NOT NULL)"
        " AND (SELECT order_key FROM leg WHERE leg.copy_id = attempt.copy_id AND leg.number = "
        "attempt.leg) < ?"
    )
    return [
        _attempt(row)
        for row in fetch_all(db, _OPEN_ATTEMPT + where, (account, strategy, symbol, before))
    ]


def taken_back_since(
    db: Database, account: AccountId, strategy: StrategyId, symbol: Symbol, since: datetime
) -> int:
    """Count a strategy's entries that ended cancelled at or after ``since``."""
    row = fetch_one(
        db,
        "SELECT count(*) FROM attempt WHERE account_id = ? AND strategy_id = ? AND symbol = ? AND "
        "kind = 'entry' AND state = 'cancelled'"
        " AND ended_us >= ?",
        (account, strategy, symbol, to_us(since)),
    )
    return 0 if row is None else int(row[0])


def newest_claim(db: Database, account: AccountId) -> datetime | None:
    """Read when the newest attempt of an account was claimed."""
    row = fetch_one(
        db,
        "SELECT claimed_us FROM attempt WHERE account_id = ? ORDER BY id DESC LIMIT 1",
        (account,),
    )
    return None if row is None else from_us(row[0])


def all_unknown(db: Database) -> list[Attempt]:
    """Read every attempt, of any account, that is unknown or not confirmed; oldest first."""
    return [
        _attempt(row)
        for row in fetch_all(
            db, _OPEN_ATTEMPT + " AND state IN ('unknown', 'not_confirmed') ORDER BY id"
        )
    ]


def attempts_of(db: Database, copy: CopyId) -> list[Attempt]:
    """Read the attempts of one copy, oldest first."""
    return [
        _attempt(row) for row in fetch_all(db, _ATTEMPT + " WHERE copy_id = ? ORDER BY id", (copy,))
    ]


def filled_attempts(db: Database, copy: CopyId, leg: int) -> list[Attempt]:
    """Read the attempts of one leg that executed something, oldest first."""
    return [
        _attempt(row)
        for row in fetch_all(
            db,
            _ATTEMPT + " WHERE copy_id = ? AND leg = ? AND filled != '0' ORDER BY id",
            (copy, leg),
        )
    ]


def bound_order_ids(db: Database, account: AccountId, among: Iterable[str]) -> frozenset[str]:
    """Return those of these exchange order ids that are bound to an attempt of the account."""
    wanted = list(among)
    if not wanted:
        return frozenset()
    rows = fetch_all(
        db,
        "SELECT exchange_order_id FROM attempt WHERE account_id = ? AND exchange_order_id IN "
        + in_list(wanted),
        (account, *wanted),
    )
    return frozenset(row[0] for row in rows)


@dataclass(frozen=True, slots=True)
class BoundElsewhere:
    """A container of the exchange order ids that are bound to the account's attempts, without
    ``but``; asked one id at a time.
    """

    db: Database
    account: AccountId
    but: str | None

    def __contains__(self, exchange_order_id: object) -> bool:
        return exchange_order_id != self.but and bool(
            bound_order_ids(self.db, self.account, [str(exchange_order_id)])
        )


def accepted_foreign(db: Database, account: AccountId, among: Iterable[str]) -> frozenset[str]:
    """Return those of these exchange order ids that somebody accepted as not this ledger's, though
    they carry our mark.
    """
    wanted = list(among)
    if not wanted:
        return frozenset()
    rows = fetch_all(
        db,
        "SELECT exchange_order_id FROM foreign_order WHERE account_id = ? AND is_accepted = 1"
        " AND exchange_order_id IN " + in_list(wanted),
        (account, *wanted),
    )
    return frozenset(row[0] for row in rows)


def met_foreign(db: Database, account: AccountId) -> frozenset[str]:
    """Read the orders with our mark that the ledger lacks and nobody accepted: they stop the
    account's entries, resting or not.
    """
    rows = fetch_all(
        db,
        "SELECT exchange_order_id FROM foreign_order INDEXED BY foreign_met WHERE account_id = ? "
        "AND is_accepted = 0",
        (account,),
    )
    return frozenset(row[0] for row in rows)


def all_met_foreign(db: Database) -> dict[AccountId, frozenset[str]]:
    """Read the same of every account that has any."""
    rows = fetch_all(
        db,
        "SELECT account_id, exchange_order_id FROM foreign_order INDEXED BY foreign_met WHERE "
        "is_accepted = 0",
    )
    met: dict[AccountId, set[str]] = {}
    for account, exchange_order_id in rows:
        met.setdefault(AccountId(account), set()).add(exchange_order_id)
    return {account: frozenset(ids) for account, ids in met.items()}


def meet_foreign(db: Database, account: AccountId, exchange_order_ids: Iterable[str]) -> None:
    """Record orders with our mark that the ledger lacks: entries stop until somebody accepts them."""
    db.executemany(
        "INSERT INTO foreign_order (account_id, exchange_order_id, is_accepted) VALUES (?, ?, 0) "
        "ON CONFLICT (account_id, exchange_order_id) DO NOTHING",
        [(account, each) for each in exchange_order_ids],
    )


def accept_foreign(
    db: Database,
    account: AccountId,
    name: str,
    exchange_order_ids: Sequence[str],
    by: str,
    at: datetime,
) -> None:
    """Record that somebody accepted these orders as not this ledger's."""
    db.executemany(
        "INSERT INTO foreign_order (account_id, exchange_order_id, is_accepted) VALUES (?, ?, 1) "
        "ON CONFLICT (account_id, exchange_order_id) DO UPDATE SET is_accepted = 1",
        [(account, each) for each in exchange_order_ids],
    )
    write_event(
        db,
        kind="decision",
        subject=name,
        data={"foreign": list(exchange_order_ids), "by": by},
        at=at,
    )


def knows_client_order_id(db: Database, client_order_id: str) -> bool:
    """Return whether an attempt with this client order id may be at the exchange.

    Not one that is proven never to have left: if the exchange has its order, a later ledger sent it.
    """
    return (
        fetch_one(
            db,
            "SELECT 1 FROM attempt WHERE client_order_id = ? AND state != 'new'",
            (client_order_id,),
        )
        is not None
    )
