"""Read which followers a signal reaches when it is recorded: who takes entries, and whether
anything is held that an exit would close.
"""

from engine.decisions.mirroring import Reach
from engine.domain.identifiers import StrategyId, Symbol
from engine.domain.signal import OrderKey
from engine.domain.subscription import Mode
from engine.ledger.codec import read_policy_of_entries
from engine.ledger.query import Database, fetch_each, fetch_one


def reach_of(
    db: Database,
    strategy: StrategyId,
    symbol: Symbol,
    key: OrderKey,
    copies: int,
    age_s: float,
    *,
    is_on: bool,
    is_late: bool,
) -> Reach:
    """Read which followers a signal with this order key reaches, before anything of it is carried
    out; ``is_on``: its strategy sends.
    """
    takes, at_age = _takes(db, strategy, symbol, age_s) if copies else (False, False)
    holds = _holds(db, strategy, symbol, None)
    before = holds and _holds(db, strategy, symbol, key)
    return Reach(
        copies=copies,
        is_on=is_on,
        takes_entries=takes,
        holds=holds,
        is_before=holds and not before,
        is_late=is_late,
        takes_at_age=at_age,
    )


def _takes(db: Database, strategy: StrategyId, symbol: Symbol, age_s: float) -> tuple[bool, bool]:
    """Return whether some subscription copies live entries in a contract now, and whether one does
    whose own limit permits this age.
    """
    takes = False
    for (text,) in fetch_each(
        db,
        "SELECT policy FROM subscription JOIN strategy ON strategy.id = strategy_id WHERE "
        "strategy_id = ? AND subscription.state = 'active' AND agreed_us >= terms_us",
        (strategy,),
    ):
        mode, symbols, limit_s = read_policy_of_entries(text)
        if mode is Mode.LIVE and symbol in symbols:
            takes = True
            if limit_s is None or limit_s >= age_s:
                return True, True
    return takes, False


def _holds(db: Database, strategy: StrategyId, symbol: Symbol, before: OrderKey | None) -> bool:
    """Return whether any account holds something, or is about to enter; with ``before`` only what
    was entered before that key.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM holding WHERE strategy_id = ?1 AND symbol = ?2 AND (share != '0' OR "
        "entries_open > 0)"
        + ("" if before is None else " AND entry_key < ?3")
        + " UNION ALL SELECT 1 FROM leg WHERE strategy_id = ?1 AND symbol = ?2 AND state = 'new'"
        " AND kind = 'entry'" + ("" if before is None else " AND order_key < ?3") + " LIMIT 1",
        (strategy, symbol, *(() if before is None else (before,))),
    )
    return row is not None
