"""Read what the last check compares an order with: its own claim, other orders in flight, the
share, and the fills that explain it.

The fills of orders that ended are kept as two sums with the holding, each order counted once, when
it ends. Those of orders whose fate is open are read from the orders themselves.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from engine.decisions.conservation import OnRecord
from engine.decisions.order_lifecycle import AttemptState
from engine.domain.amounts import EXACT, ZERO, Quantity, plain
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.domain.signal import PositionSide
from engine.ledger.codec import read_intent, read_quantity
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, fetch_all, fetch_one

_ROW: Final = (
    "SELECT id, kind, strategy_id, filled, intent, freed, ended_us, state, copy_id, leg, "
    "client_order_id, symbol, CASE WHEN kind = 'exit' AND state = 'not_confirmed' AND "
    "exchange_order_id IS NOT NULL AND EXISTS (SELECT 1 FROM leg WHERE leg.copy_id = "
    "attempt.copy_id AND leg.number = attempt.leg AND leg.state = 'not_confirmed') THEN 1 ELSE 0 "
    "END FROM attempt"
)
_ON_RECORD: Final = (
    f"{_ROW} WHERE id = ?1 UNION ALL {_ROW} INDEXED BY attempt_open"
    " WHERE account_id = (SELECT account_id FROM attempt WHERE id = ?1)"
    " AND symbol = (SELECT symbol FROM attempt WHERE id = ?1) AND id != ?1"
    " AND state IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed')"
    " UNION ALL SELECT 0, holding.side, holding.strategy_id, holding.share, holding.opened, "
    "opening.id, opening.claimed_us, holding.closed, '', 0, '', holding.symbol, 0 FROM holding LEFT "
    "JOIN attempt AS opening ON opening.id = holding.opened_by AND opening.kind = 'entry' AND "
    "EXISTS (SELECT 1 FROM leg WHERE leg.copy_id = opening.copy_id AND leg.number = opening.leg AND "
    "leg.order_key = holding.entry_key)"
    " WHERE holding.account_id = (SELECT account_id FROM attempt WHERE id = ?1)"
    " AND holding.symbol = (SELECT symbol FROM attempt WHERE id = ?1)"
)
"""One attempt, the account's others in the same symbol whose fate is open, and what is held (its id is
0), in one statement: it is asked for each order between its claim and its write, and an order that
ends meanwhile must not be counted twice.
"""


def read_on_record(db: Database, attempt_id: int) -> OnRecord:
    """Read everything about one claimed attempt; raises LookupError if there is none."""
    rows = fetch_all(db, _ON_RECORD, (attempt_id,))
    own = next((row for row in rows if row[0] == attempt_id), None)
    if own is None:
        raise LookupError(f"the ledger has no attempt {attempt_id}")
    _, _, _, _, own_intent, _, _, own_state, *own_leg, client_order_id, symbol, _ = own
    out, closing, unseen = 0, ZERO, ZERO
    held: Row | None = None
    in_flight: list[Row] = []
    for row in rows:
        number, kind, _, filled, intent, _, _, state, *leg = row[:10]
        if number == 0:
            held = row
            continue
        # An exit without trace may be tried again if the whole position is ours; an entry never is.
        found = AttemptState(state)
        counts = found.is_open or (kind == "entry" and found is AttemptState.NOT_CONFIRMED)
        out += counts and leg == own_leg
        if counts and kind == "exit" and number != attempt_id:
            closing += read_quantity(intent) - Decimal(filled)
        elif row[12]:
            unseen += read_quantity(intent) - Decimal(filled)
        if not found.is_terminal:
            in_flight.append(row[:7])
    share = Quantity(ZERO if held is None else Decimal(held[3]))
    opened, closed = (None, None) if held is None or share == 0 else _fills(held, in_flight)
    return OnRecord(
        claimed=read_intent(own_intent, client_order_id, symbol),
        state=AttemptState(own_state),
        orders_out=out,
        strategy=None if held is None else StrategyId(held[2]),
        side=None if held is None else PositionSide(held[1]),
        share=share,
        closing=Quantity(closing),
        unseen=Quantity(unseen),
        opened=opened,
        closed=closed,
    )


def _fills(held: Row, in_flight: Iterable[Row]) -> tuple[Quantity, Quantity] | tuple[None, None]:
    """Sum the fills of the entries and exits since the contract was entered; (None, None) if no
    entry of ours opened it.
    """
    _, _, strategy, _, opened, opening, opened_us, closed, *_ = held
    if opening is None:
        return None, None
    more, less = _sums(strategy, opening, opened_us, in_flight)
    return Quantity(EXACT.add(Decimal(opened), more)), Quantity(EXACT.add(Decimal(closed), less))


def _sums(
    strategy: str, opening: int, opened_us: int, rows: Iterable[Row]
) -> tuple[Decimal, Decimal]:
    """Sum what orders filled since an opening entry: what entries opened, and what exits closed.

    Entries count whoever sent them: from the opening one on, and earlier ones that were without
    trace, freed, and found since. Exits count from the opening entry on, each at most with what it
    was to close, because closing a whole position also takes what its owner added.
    """
    opened = closed = ZERO
    for number, kind, of, filled, intent, freed, ended_us in rows:
        if kind == "entry":
            is_late = freed and ended_us is not None and ended_us >= opened_us
            if number >= opening or is_late:
                opened = EXACT.add(opened, Decimal(filled))
        elif of == strategy and number > opening:
            closed = EXACT.add(closed, min(Decimal(filled), read_quantity(intent)))
    return opened, closed


def count_since_opened(db: Database, account: AccountId, symbol: Symbol) -> None:
    """Count the orders that ended since an entry opened a contract; call it when another entry
    opens one.
    """
    lock(db, Held.ACCOUNT, account)
    opening = fetch_one(
        db,
        "SELECT attempt.id, attempt.claimed_us, holding.strategy_id FROM holding JOIN attempt ON "
        "attempt.id = holding.opened_by WHERE holding.account_id = ? AND holding.symbol = ?",
        (account, symbol),
    )
    assert opening is not None, "the entry that opens a contract is recorded with its holding"
    number, opened_us, strategy = opening
    rows = fetch_all(
        db,
        "SELECT id, kind, strategy_id, filled, intent, freed, ended_us, state FROM attempt WHERE "
        "account_id = ?1 AND symbol = ?2 AND id >= ?3 AND filled != '0'"
        " UNION ALL SELECT id, kind, strategy_id, filled, intent, freed, ended_us, state FROM "
        "attempt WHERE account_id = ?1 AND symbol = ?2 AND freed = 1"
        " AND ended_us >= ?4 AND id < ?3 AND filled != '0'",
        (account, symbol, number, opened_us),
    )
    ended = [row[:7] for row in rows if AttemptState(row[7]).is_terminal]
    opened, closed = _sums(strategy, number, opened_us, ended)
    _keep(db, account, symbol, opened, closed)


def count_ended(db: Database, attempt_id: int) -> None:
    """Count an order that has just ended, if its contract is held."""
    lock(db, Held.ACCOUNT_OF_ATTEMPT, attempt_id)
    row = fetch_one(
        db,
        "SELECT holding.account_id, holding.symbol, holding.opened, holding.closed, "
        "holding.strategy_id, opening.id, opening.claimed_us, attempt.id, attempt.kind, "
        "attempt.strategy_id, attempt.filled, attempt.intent, attempt.freed, attempt.ended_us"
        " FROM attempt JOIN holding ON holding.account_id = attempt.account_id AND "
        "holding.symbol = attempt.symbol JOIN attempt AS opening ON opening.id = "
        "holding.opened_by WHERE attempt.id = ?",
        (attempt_id,),
    )
    if row is None:
        return
    account, symbol, opened, closed, strategy, opening, opened_us = row[:7]
    more, less = _sums(strategy, opening, opened_us, [row[7:]])
    _keep(db, account, symbol, EXACT.add(Decimal(opened), more), EXACT.add(Decimal(closed), less))


def _keep(
    db: Database, account: AccountId, symbol: Symbol, opened: Decimal, closed: Decimal
) -> None:
    db.execute(
        "UPDATE holding SET opened = ?, closed = ? WHERE account_id = ? AND symbol = ?",
        (plain(opened), plain(closed), account, symbol),
    )
