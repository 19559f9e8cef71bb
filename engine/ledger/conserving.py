"""Read what the last check compares an order with: its own claim, other orders in flight, the
share, and the fills that explain it.
"""

from decimal import Decimal

from engine.decisions.conservation import OnRecord
from engine.decisions.order_lifecycle import AttemptState
from engine.domain.amounts import ZERO, Quantity
from engine.domain.holding import Holding
from engine.ledger.attempts import read_attempt
from engine.ledger.codec import read_quantity
from engine.ledger.holdings import read_holding
from engine.ledger.query import Database, fetch_all, fetch_one


def read_on_record(db: Database, attempt_id: int) -> OnRecord:
    """Read everything about one claimed attempt; raises LookupError if there is none."""
    own = read_attempt(db, attempt_id)
    out, closing = 0, ZERO
    rows = fetch_all(
        db,
        "SELECT id, copy_id, leg, kind, state, intent, filled FROM attempt INDEXED BY "
        "attempt_open WHERE account_id = ? AND symbol = ?"
        " AND state IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed')",
        (own.account, own.intent.symbol),
    )
    for number, copy, leg, kind, state, intent, filled in rows:
        # An exit without trace may be tried again if the whole position is ours; an entry never is.
        counts = kind == "entry" or state != AttemptState.NOT_CONFIRMED.value
        out += counts and (copy, leg) == (own.copy, own.leg)
        if counts and kind == "exit" and number != attempt_id:
            closing += read_quantity(intent) - Decimal(filled)
    holding = read_holding(db, own.account, own.intent.symbol)
    opened, closed = (None, None) if holding is None or holding.share == 0 else _fills(db, holding)
    return OnRecord(
        claimed=own.intent,
        state=own.state,
        orders_out=out,
        strategy=None if holding is None else holding.strategy,
        side=None if holding is None else holding.side,
        share=Quantity(ZERO) if holding is None else holding.share,
        closing=Quantity(closing),
        opened=opened,
        closed=closed,
    )


def _fills(db: Database, holding: Holding) -> tuple[Quantity, Quantity] | tuple[None, None]:
    """Sum the fills of the entries and exits since the contract was entered; (None, None) if no
    entry of ours opened it.

    Entries count whoever sent them: from the opening one on, and earlier ones that were without
    trace, freed, and found since. Exits count from the opening entry on, each at most with what it
    was to close, because closing a whole position also takes what its owner added.
    """
    opening = fetch_one(
        db,
        "SELECT attempt.id, attempt.claimed_us FROM holding JOIN attempt ON attempt.id = "
        "holding.opened_by"
        " JOIN leg ON leg.copy_id = attempt.copy_id AND leg.number = attempt.leg AND "
        "leg.order_key = holding.entry_key"
        " WHERE holding.account_id = ? AND holding.symbol = ? AND attempt.kind = 'entry'",
        (holding.account, holding.symbol),
    )
    if opening is None:
        return None, None
    rows = fetch_all(
        db,
        "SELECT id, kind, strategy_id, filled, intent FROM attempt WHERE account_id = ?1 AND "
        "symbol = ?2 AND id >= ?3 AND filled != '0'"
        " UNION ALL SELECT id, kind, strategy_id, filled, intent FROM attempt WHERE account_id = "
        "?1 AND symbol = ?2 AND freed = 1"
        " AND ended_us >= ?4 AND id < ?3 AND filled != '0'",
        (holding.account, holding.symbol, *opening),
    )
    opened = sum((Decimal(filled) for _, kind, _, filled, _ in rows if kind == "entry"), start=ZERO)
    closed = sum(
        (
            min(Decimal(filled), read_quantity(intent))
            for number, kind, strategy, filled, intent in rows
            if kind == "exit" and strategy == holding.strategy and number > opening[0]
        ),
        start=ZERO,
    )
    return Quantity(opened), Quantity(closed)
