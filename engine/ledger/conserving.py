"""Read what the last check compares an order with: its own claim, other orders in flight, the
share, and the fills that explain it.
"""

from decimal import Decimal
from typing import Final

from engine.decisions.conservation import OnRecord
from engine.decisions.order_lifecycle import AttemptState
from engine.domain.amounts import ZERO, Quantity
from engine.domain.holding import Holding
from engine.domain.identifiers import AccountId, Symbol
from engine.ledger.codec import read_intent, read_quantity
from engine.ledger.holdings import read_holding
from engine.ledger.query import Database, fetch_all, fetch_one

_ROW: Final = (
    "SELECT id, account_id, symbol, copy_id, leg, kind, state, intent, filled, "
    "client_order_id FROM attempt"
)
_ON_RECORD: Final = (
    f"{_ROW} WHERE id = ?1 UNION ALL {_ROW} INDEXED BY attempt_open"
    " WHERE account_id = (SELECT account_id FROM attempt WHERE id = ?1)"
    " AND symbol = (SELECT symbol FROM attempt WHERE id = ?1) AND id != ?1"
    " AND state IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed')"
)
"""One attempt, and the account's others in the same symbol whose fate is open, in one statement: it
is asked for each order between its claim and its write.
"""


def read_on_record(db: Database, attempt_id: int) -> OnRecord:
    """Read everything about one claimed attempt; raises LookupError if there is none."""
    rows = fetch_all(db, _ON_RECORD, (attempt_id,))
    own = next((row for row in rows if row[0] == attempt_id), None)
    if own is None:
        raise LookupError(f"the ledger has no attempt {attempt_id}")
    _, account, symbol, *own_leg, _, own_state, own_intent, _, client_order_id = own
    out, closing = 0, ZERO
    for number, _, _, copy, leg, kind, state, intent, filled, _ in rows:
        # An exit without trace may be tried again if the whole position is ours; an entry never is.
        found = AttemptState(state)
        counts = found.is_open or (kind == "entry" and found is AttemptState.NOT_CONFIRMED)
        out += counts and [copy, leg] == own_leg
        if counts and kind == "exit" and number != attempt_id:
            closing += read_quantity(intent) - Decimal(filled)
    holding = read_holding(db, AccountId(account), Symbol(symbol))
    opened, closed = (None, None) if holding is None or holding.share == 0 else _fills(db, holding)
    return OnRecord(
        claimed=read_intent(own_intent, client_order_id, symbol),
        state=AttemptState(own_state),
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
