"""What must be true when a story has ended, judged by the exchange's own record. Each is a function from a story to violations."""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from engine.ledger.query import fetch_all
from tests.faults.fault_exchange import SYMBOLS
from tests.faults.scenario import Story

NEVER_SENT: Final = ("skipped", "denied", "expired", "killed")


def every_copy_ends(story: Story) -> list[str]:
    """Totality: every copy has one final outcome."""
    rows = fetch_all(
        story.ledger.db,
        "SELECT copy.id, copy.code FROM copy WHERE code IS NULL OR code IN ('unknown', 'placed', 'partially_filled')",
    )
    return [f"lost: copy {copy} ended {code}" for copy, code in rows]


def no_order_twice(story: Story) -> list[str]:
    """No duplicate: the exchange accepted at most one order of each entry's client order id."""
    entries = Counter(row.client_order_id for row in story.exchange.rows if not row.reduce_only and row.client_order_id)
    return [f"doubled: {cid} was accepted {count} times" for cid, count in entries.items() if count > 1]


def one_copy_per_signal(story: Story) -> list[str]:
    """One copy for each account of what the sender sent, however often he sent it."""
    rows = fetch_all(
        story.ledger.db,
        "SELECT signal.dedupe_key, copy.account_id, count(*) FROM copy JOIN signal ON signal.number = copy.signal_number"
        " WHERE signal.origin = 'test' GROUP BY 1, 2 HAVING count(*) > 1",
    )
    return [f"doubled: {key} became {count} copies for {account}" for key, account, count in rows]


def outcomes_are_true(story: Story) -> list[str]:
    """No loss and truth: what the ledger says about each entry is what the exchange has."""
    filled = {row.client_order_id: row.filled for row in story.exchange.rows}
    found = []
    rows = fetch_all(story.ledger.db, "SELECT client_order_id, state, filled, copy_id FROM attempt WHERE kind = 'entry' AND state != 'new'")
    for cid, state, said, copy in rows:
        there = filled.get(cid)
        if state in ("filled", "cancelled") and (there is None or there != Decimal(said)):
            found.append(f"untrue: {copy} says {state} {said}, the exchange has {there}")
        elif state in ("not_confirmed", "rejected", *NEVER_SENT) and there:
            found.append(f"untrue: {copy} says {state}, the exchange filled {there}")
    claimed = {cid for cid, *_ in rows}
    found += [f"foreign: {cid} was never claimed" for cid, q in filled.items() if q and cid not in claimed and not _is_exit(story, cid)]
    return found


def _is_exit(story: Story, cid: object) -> bool:
    return any(row.reduce_only for row in story.exchange.rows if row.client_order_id == cid)


def nobody_is_told_a_wrong_loss(story: Story) -> list[str]:
    """Truth: no order was called *not confirmed* that the exchange had accepted and filled."""
    filled = {row.client_order_id for row in story.exchange.rows if row.filled}
    rows = fetch_all(
        story.ledger.db,
        "SELECT attempt.client_order_id, event.copy_id FROM event JOIN attempt ON attempt.copy_id = event.copy_id"
        " WHERE event.kind = 'outcome' AND event.subject = 'not_confirmed' AND attempt.kind = 'entry'",
    )
    return [f"untrue: {copy} was called not confirmed, and the exchange had filled it" for cid, copy in rows if cid in filled]


def no_entry_passes_a_close(story: Story) -> list[str]:
    """No entry is claimed once a later close, reverse or cancel of its strategy is recorded."""
    rows = fetch_all(
        story.ledger.db,
        "SELECT attempt.copy_id, closing.dedupe_key FROM attempt"
        " JOIN leg ON leg.copy_id = attempt.copy_id AND leg.number = attempt.leg"
        " JOIN signal AS closing ON closing.strategy_id = attempt.strategy_id AND closing.symbol = attempt.symbol"
        " WHERE attempt.kind = 'entry' AND json_extract(closing.draft, '$.action') IN ('close', 'reverse', 'cancel')"
        " AND closing.order_key > leg.order_key AND closing.received_us < attempt.claimed_us",
    )
    return [f"passed: {copy} was claimed after the later {key} was recorded" for copy, key in rows]


def goals_are_reached(story: Story) -> list[str]:
    """After the last close nothing of ours is open, and what the owner has is untouched."""
    found = []
    for account in story.accounts:
        for symbol in SYMBOLS:
            held = story.exchange.positions.get((account, symbol))
            there = Decimal(0) if held is None else held[1]
            own = story.exchange.own.get((account, symbol), Decimal(0))
            if there != own and not _waits_for_a_person(story, account, symbol):
                found.append(f"goal: {account} {symbol} has {there} at the end, {own} is the owner's")
    return found


def _waits_for_a_person(story: Story, account: str, symbol: str) -> bool:
    """Tell whether a closing order without trace was left to a person, because the owner has a part in the position."""
    rows = fetch_all(
        story.ledger.db,
        "SELECT 1 FROM leg WHERE account_id = ? AND symbol = ? AND kind = 'exit' AND state = 'not_confirmed'",
        (account, symbol),
    )
    return bool(rows) and (account, symbol) in story.exchange.own


def shares_are_conserved(story: Story) -> list[str]:
    """The ledger holds nothing once everything is closed, and no share is ever below zero."""
    rows = fetch_all(story.ledger.db, "SELECT account_id, symbol, share, entries_open FROM holding WHERE share != '0'")
    return [f"conserved: {account} {symbol} still has a share of {share}" for account, symbol, share, _ in rows]


def exits_never_exceed(story: Story) -> list[str]:
    """At no moment did our exits close more than our entries had filled."""
    found = []
    for account in story.accounts:
        for symbol in SYMBOLS:
            for side in ("BUY", "SELL"):
                opened = Decimal(0)
                closed = Decimal(0)
                for row in story.exchange.rows:
                    if row.account == account and row.symbol == symbol:
                        if not row.reduce_only and row.side.value == side:
                            opened += row.filled
                        elif row.reduce_only and row.side.value != side:
                            closed += row.filled
                if closed > opened:
                    found.append(f"exceeded: {account} {symbol}: closed {closed} of {opened}")
    return found


def people_were_told(story: Story) -> list[str]:
    """Every NOT_CONFIRMED was alerted."""
    attempts = fetch_all(story.ledger.db, "SELECT count(*) FROM event WHERE kind = 'outcome' AND subject = 'not_confirmed'")[0][0]
    alerts = fetch_all(story.ledger.db, "SELECT count(*) FROM event WHERE kind = 'alert' AND data LIKE '%order_not_confirmed%'")[0][0]
    return [] if alerts >= attempts else [f"untold: {attempts} orders not confirmed, {alerts} alerts"]


INVARIANTS: Final[tuple[Callable[[Story], list[str]], ...]] = (
    every_copy_ends,
    one_copy_per_signal,
    no_order_twice,
    outcomes_are_true,
    nobody_is_told_a_wrong_loss,
    no_entry_passes_a_close,
    goals_are_reached,
    shares_are_conserved,
    exits_never_exceed,
    people_were_told,
)


def violations(story: Story) -> list[str]:
    """Return everything that does not hold, what was seen while it ran included."""
    return [*dict.fromkeys(story.problems), *(each for check in INVARIANTS for each in check(story))]
