"""Read which followers a signal reaches when it is recorded: who takes entries, and whether
anything is held that an exit would close.
"""

from engine.decisions.mirroring import Reach
from engine.domain.identifiers import StrategyId, Symbol
from engine.domain.signal import OrderKey
from engine.ledger.query import Database, fetch_one


def reach_of(
    db: Database,
    strategy: StrategyId,
    symbol: Symbol,
    key: OrderKey,
    copies: int,
    age_s: float,
    *,
    is_late: bool,
) -> Reach:
    """Read which followers a signal with this order key reaches, before anything of it is carried
    out.
    """
    row = fetch_one(
        db,
        "SELECT state NOT IN ('draft', 'paused', 'retired') FROM strategy WHERE id = ?",
        (strategy,),
    )
    at_age = _takes(db, strategy, symbol, age_s)
    takes = at_age or _takes(db, strategy, symbol, None)
    holds, before = _holds(db, strategy, symbol, None), _holds(db, strategy, symbol, key)
    return Reach(
        copies=copies,
        is_on=bool(row and row[0]),
        takes_entries=takes,
        holds=holds,
        is_before=holds and not before,
        is_late=is_late,
        takes_at_age=at_age,
    )


def _takes(db: Database, strategy: StrategyId, symbol: Symbol, age_s: float | None) -> bool:
    """Return whether some subscription copies live entries in a contract now; with ``age_s`` only
    if its own limit permits that age.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM subscription JOIN strategy ON strategy.id = strategy_id WHERE strategy_id "
        "= ?1 AND subscription.state = 'active'"
        " AND agreed_us >= terms_us AND json_extract(policy, '$.mode') = 'live'"
        " AND (?3 IS NULL OR coalesce(json_extract(policy, '$.limits.entry_age_s'), ?3) >= ?3)"
        " AND EXISTS (SELECT 1 FROM json_each(policy, '$.symbols') WHERE value = ?2) LIMIT 1",
        (strategy, symbol, age_s),
    )
    return row is not None


def _holds(db: Database, strategy: StrategyId, symbol: Symbol, before: OrderKey | None) -> bool:
    """Return whether any account holds something, or is about to enter; with ``before`` only what
    was entered before that key.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM holding WHERE strategy_id = ?1 AND symbol = ?2 AND (share != '0' OR "
        "entries_open > 0)"
        " AND (?3 IS NULL OR entry_key < ?3) UNION ALL SELECT 1 FROM leg WHERE strategy_id = ?1 "
        "AND symbol = ?2 AND state = 'new'"
        " AND kind = 'entry' AND (?3 IS NULL OR order_key < ?3) LIMIT 1",
        (strategy, symbol, before),
    )
    return row is not None
