"""Count what a stop would touch: accounts, strategies, entries that wait or rest, and open positions.

Everything is counted of what is there and open now, of one account or of all; the rules of who is
concerned are ``decisions.routing``'s.
"""

from dataclasses import dataclass

from engine.domain.identifiers import AccountId, StrategyId
from engine.ledger.query import Database, Row, fetch_all


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is open: an exchange and a strategy, and how often it is open there."""

    exchange: str
    environment: str
    strategy: StrategyId
    strategy_name: str
    count: int


_PLACE = "account.exchange, account.environment, strategy.id, strategy.name"


def _place(row: Row) -> Place:
    return Place(row[0], row[1], StrategyId(row[2]), row[3], row[4])


def connected(db: Database) -> dict[tuple[str, str], int]:
    """Count connected accounts by exchange and environment."""
    rows = fetch_all(
        db,
        "SELECT exchange, environment, count(*) FROM account WHERE disconnected_us IS NULL GROUP "
        "BY 1, 2 ORDER BY 1, 2",
    )
    return {(row[0], row[1]): row[2] for row in rows}


def followed(db: Database, account: AccountId | None = None) -> list[Place]:
    """Count the connected accounts that follow each strategy, without those that left it."""
    rows = fetch_all(
        db,
        f"SELECT {_PLACE}, count(*) FROM subscription JOIN account ON account.id = "
        "subscription.account_id JOIN strategy ON strategy.id = subscription.strategy_id WHERE "
        "subscription.state != 'left' AND account.disconnected_us IS NULL"
        + ("" if account is None else " AND account.id = ?")
        + f" GROUP BY {_PLACE}",
        () if account is None else (account,),
    )
    return [_place(row) for row in rows]


def waiting_entries(db: Database, account: AccountId | None = None) -> list[Place]:
    """Count entries that wait to be sent."""
    rows = fetch_all(
        db,
        f"SELECT {_PLACE}, count(*) FROM leg INDEXED BY leg_new JOIN account ON account.id "
        "= leg.account_id JOIN strategy ON strategy.id = leg.strategy_id WHERE leg.state = 'new' "
        "AND leg.kind = 'entry'"
        + ("" if account is None else " AND account.id = ?")
        + f" GROUP BY {_PLACE}",
        () if account is None else (account,),
    )
    return [_place(row) for row in rows]


def resting_entries(db: Database, account: AccountId | None = None) -> list[Place]:
    """Count entries that rest at the exchange."""
    rows = fetch_all(
        db,
        f"SELECT {_PLACE}, count(*) FROM attempt INDEXED BY attempt_open JOIN account ON "
        "account.id = attempt.account_id JOIN strategy ON strategy.id = attempt.strategy_id WHERE "
        "attempt.state IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed') "
        "AND attempt.state IN ('placed', 'partially_filled') AND attempt.kind = 'entry'"
        + ("" if account is None else " AND account.id = ?")
        + f" GROUP BY {_PLACE}",
        () if account is None else (account,),
    )
    return [_place(row) for row in rows]


def held(db: Database, account: AccountId | None = None) -> list[Place]:
    """Count a strategy's open shares of positions."""
    rows = fetch_all(
        db,
        f"SELECT {_PLACE}, count(*) FROM holding JOIN account ON account.id = "
        "holding.account_id JOIN strategy ON strategy.id = holding.strategy_id WHERE "
        "holding.share != '0'"
        + ("" if account is None else " AND account.id = ?")
        + f" GROUP BY {_PLACE}",
        () if account is None else (account,),
    )
    return [_place(row) for row in rows]


def has_filled_order(db: Database) -> bool:
    """Return whether an order of ours was ever filled here."""
    return bool(
        fetch_all(db, "SELECT 1 FROM attempt WHERE filled != '0' ORDER BY attempt.id LIMIT 1")
    )
