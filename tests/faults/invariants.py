"""What must be true at the end, checked against the exchange's own record, for stories and for
killed processes alike.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from engine.decisions.wallet import TOLERANCE, Line, change_told
from engine.domain.identifiers import AccountId
from engine.ledger.books import differences
from engine.ledger.query import fetch_all
from engine.ledger.wallet import fills_since, is_busy, open_costs, sums
from tests.faults.evidence import Evidence
from tests.faults.sums_of_orders import wrong_sums

EVER: Final = datetime(2020, 1, 1, tzinfo=UTC)
NEVER_SENT: Final = ("skipped", "denied", "expired", "killed")


@dataclass(frozen=True, slots=True)
class Invariant:
    """One promise and the way to see it broken; ``check`` returns a line for each violation."""

    name: str
    promise: str
    check: Callable[[Evidence], list[str]]


def _nothing_lost(seen: Evidence) -> list[str]:
    rows = fetch_all(
        seen.db,
        "SELECT signal.dedupe_key, count(copy.id) FROM signal LEFT JOIN copy ON "
        "copy.signal_number = signal.number GROUP BY 1",
    )
    copies = dict(rows)
    return [
        f"lost: {key} has {copies.get(key, 0)} of {count} copies"
        for key, count in seen.sent.items()
        if copies.get(key, 0) < count
    ]


def _every_copy_ends(seen: Evidence) -> list[str]:
    rows = fetch_all(
        seen.db,
        "SELECT id, code FROM copy WHERE code IS NULL OR code IN ('unknown', 'placed', "
        "'partially_filled')",
    )
    found = [f"lost: copy {copy} ended {code}" for copy, code in rows]
    rows = fetch_all(
        seen.db,
        "SELECT id, state FROM attempt WHERE state IN ('claimed', 'unknown', 'placed', "
        "'partially_filled')",
    )
    return found + [f"lost: order attempt {number} ended {state}" for number, state in rows]


def _no_order_twice(seen: Evidence) -> list[str]:
    named = Counter(
        (each.account, each.client_order_id)
        for each in seen.orders
        if each.client_order_id is not None
    )
    return [
        f"doubled: {cid} was accepted {count} times for {account}"
        for (account, cid), count in named.items()
        if count > 1
    ]


def _one_copy_per_signal(seen: Evidence) -> list[str]:
    rows = fetch_all(
        seen.db,
        "SELECT signal.dedupe_key, copy.account_id, count(*) FROM copy JOIN signal ON "
        "signal.number = copy.signal_number"
        " GROUP BY signal.origin, 1, 2 HAVING count(*) > 1",
    )
    return [f"doubled: {key} became {count} copies for {account}" for key, account, count in rows]


def _outcomes_are_true(seen: Evidence) -> list[str]:
    filled = {each.client_order_id: each.filled for each in seen.orders if not each.by_owner}
    found = []
    rows = fetch_all(
        seen.db,
        "SELECT client_order_id, state, filled, copy_id FROM attempt WHERE kind = 'entry' AND "
        "state != 'new'",
    )
    for cid, state, said, copy in rows:
        there = filled.get(cid)
        if state in ("filled", "cancelled") and (there is None or there != Decimal(said)):
            found.append(f"untrue: {copy} says {state} {said}, the exchange has {there}")
        elif state in ("not_confirmed", "rejected", *NEVER_SENT) and there:
            found.append(f"untrue: {copy} says {state}, the exchange filled {there}")
    known = {row[0] for row in fetch_all(seen.db, "SELECT client_order_id FROM attempt")}
    found += [
        f"foreign: {cid} was never claimed"
        for cid, quantity in filled.items()
        if cid is not None and quantity and cid not in known
    ]
    return found


def _nobody_is_told_a_wrong_loss(seen: Evidence) -> list[str]:
    filled = {each.client_order_id for each in seen.orders if each.filled}
    rows = fetch_all(
        seen.db,
        "SELECT attempt.client_order_id, event.copy_id FROM event JOIN attempt ON attempt.copy_id "
        "= event.copy_id"
        " WHERE event.kind = 'outcome' AND event.subject = 'not_confirmed' AND attempt.kind = "
        # What was told before a reverse's entry was claimed was told of its exit.
        "'entry' AND attempt.claimed_us <= event.at_us",
    )
    return [
        f"untrue: {copy} was called not confirmed, and the exchange had filled it"
        for cid, copy in rows
        if cid in filled
    ]


def _no_entry_passes_a_close(seen: Evidence) -> list[str]:
    """Compare turns (see ``turns.py``). Times are taken before a commit, so a stop that was
    received earlier may be recorded later.
    """
    rows = fetch_all(
        seen.db,
        "SELECT attempt.copy_id, closing.dedupe_key FROM attempt"
        " JOIN leg ON leg.copy_id = attempt.copy_id AND leg.number = attempt.leg"
        " JOIN signal AS closing ON closing.strategy_id = attempt.strategy_id AND closing.symbol "
        "= attempt.symbol"
        " JOIN copy AS closed ON closed.signal_number = closing.number AND closed.account_id = "
        "attempt.account_id"
        " JOIN turn AS recorded ON recorded.what = 'signal' AND recorded.row = closing.number"
        " JOIN turn AS claimed ON claimed.what = 'claim' AND claimed.row = attempt.id"
        " WHERE attempt.kind = 'entry' AND json_extract(closing.draft, '$.action') IN ('close', "
        "'reverse', 'cancel')"
        " AND closing.order_key > leg.order_key AND recorded.number < claimed.number",
    )
    return [f"passed: {copy} was claimed after the later {key} was recorded" for copy, key in rows]


def _no_entry_is_lost_to_an_exit_under_way(seen: Evidence) -> list[str]:
    rows = fetch_all(
        seen.db,
        "SELECT copy.id, copy.code, closing.dedupe_key FROM copy JOIN leg ON leg.copy_id = "
        "copy.id AND leg.kind = 'entry'"
        " JOIN leg AS exit ON exit.account_id = leg.account_id AND exit.strategy_id = "
        "leg.strategy_id AND exit.symbol = leg.symbol"
        " AND exit.kind = 'exit' AND exit.order_key < leg.order_key"
        " JOIN copy AS closed ON closed.id = exit.copy_id JOIN signal AS closing ON "
        "closing.number = closed.signal_number"
        " WHERE copy.code IN ('skipped.already_open', 'skipped.opposite_held', "
        "'skipped.own_position')"
        " AND closing.number < copy.signal_number AND json_extract(closing.draft, '$.action') = "
        "'close' AND (SELECT max(sequence) FROM"
        " event WHERE copy_id = closed.id) > (SELECT max(sequence) FROM event WHERE copy_id = "
        "copy.id)"
        " AND NOT EXISTS (SELECT 1 FROM event WHERE copy_id = closed.id AND subject = "
        "'not_confirmed')",
    )
    return [
        f"flip: {copy} ended {code} while the close {key} before it was under way"
        for copy, code, key in rows
    ]


def _told_residues(seen: Evidence) -> dict[tuple[str, str], Decimal]:
    """Return the residues that people got an alert about."""
    rows = fetch_all(
        seen.db,
        "SELECT subject, json_extract(data, '$.details.symbol'), json_extract(data, "
        "'$.details.quantity') FROM event"
        " WHERE kind = 'alert' AND json_extract(data, '$.code') = 'residue'",
    )
    return {(account, symbol): Decimal(quantity) for account, symbol, quantity in rows}


def _residues_were_refused(seen: Evidence) -> list[str]:
    told = sorted(set(_told_residues(seen)) - seen.refused_exits)
    return [
        f"residue: {account} {symbol} was called a residue, and the exchange never refused to "
        "close it"
        for account, symbol in told
    ]


def _goals_are_reached(seen: Evidence) -> list[str]:
    found, residues = [], _told_residues(seen)
    for place in sorted({*seen.positions, *seen.own}):
        there, own = seen.positions.get(place, Decimal(0)), seen.own.get(place, Decimal(0))
        if abs(there - own) not in (0, residues.get(place)) and not _waits_for_a_person(
            seen, *place
        ):
            found.append(
                f"goal: {place[0]} {place[1]} has {there} at the end, {own} is the owner's"
            )
    return found


def _waits_for_a_person(seen: Evidence, account: str, symbol: str) -> bool:
    """Return whether a closing order without trace was left to a person, because the owner has a
    part in the position.
    """
    rows = fetch_all(
        seen.db,
        "SELECT 1 FROM leg WHERE account_id = ? AND symbol = ? AND kind = 'exit' AND state = "
        "'not_confirmed'",
        (account, symbol),
    )
    return bool(rows) and (account, symbol) in seen.own


def _shares_are_conserved(seen: Evidence) -> list[str]:
    rows, residues = (
        fetch_all(seen.db, "SELECT account_id, symbol, share FROM holding WHERE share != '0'"),
        _told_residues(seen),
    )
    return [
        f"conserved: {account} {symbol} still has a share of {share}"
        for account, symbol, share in rows
        if residues.get((account, symbol)) != Decimal(share)
    ]


def _exits_never_exceed(seen: Evidence) -> list[str]:
    opened: Counter[tuple[str, str, str]] = Counter()
    found = []
    for each in seen.orders:
        if each.by_owner:
            continue
        if not each.reduce_only:
            opened[each.account, each.symbol, each.side] += each.filled  # type: ignore[assignment]  # counts in Decimal
            continue
        place = (each.account, each.symbol, "SELL" if each.side == "BUY" else "BUY")
        opened[place] -= each.filled  # type: ignore[assignment]
    for (account, symbol, side), left in opened.items():
        if left < 0:
            found.append(
                f"exceeded: {account} {symbol}: our exits closed {-left} more than our {side} "
                "entries had filled"
            )
    return found


def _people_were_told(seen: Evidence) -> list[str]:
    attempts = fetch_all(
        seen.db, "SELECT count(*) FROM event WHERE kind = 'outcome' AND subject = 'not_confirmed'"
    )[0][0]
    alerts = fetch_all(
        seen.db,
        "SELECT count(*) FROM event WHERE kind = 'alert' AND data LIKE '%order_not_confirmed%'",
    )[0][0]
    return (
        [] if alerts >= attempts else [f"untold: {attempts} orders not confirmed, {alerts} alerts"]
    )


def _books_have_the_shares(seen: Evidence) -> list[str]:
    told = fetch_all(
        seen.db, "SELECT data FROM event WHERE kind = 'alert' AND data LIKE '%books_differ%'"
    )
    found = [
        f"books: {each.account} {each.symbol} has {each.booked} in the books, {each.share} held"
        for each in differences(seen.db)
    ]
    found += [f"books: sums of orders: {each}" for each in wrong_sums(seen.db)]
    return found + [f"books: told on the way: {data}" for (data,) in told]


def _wallets_are_explained(seen: Evidence) -> list[str]:
    found = []
    for name, earned in seen.earned.items():
        account = AccountId(name)
        if is_busy(seen.db, account):
            found.append(f"wallet: the books of {name} were never completed")
        elif not open_costs(
            seen.db, account
        ):  # what is open stands at cost on one side and at the exchange's average on the other
            told = change_told(sums(seen.db, account))
            if abs(earned - told) > TOLERANCE * fills_since(seen.db, account, EVER):
                found.append(
                    f"wallet: {name} has {earned} more than it began with, and the books explain "
                    f"{told}"
                )
            untold = fetch_all(
                seen.db,
                "SELECT 1 FROM fill WHERE account_id = ? AND price IS NULL AND strategy_id != ''",
                (name,),
            )
            results, ours = (
                sums(seen.db, account).get(Line.RESULTS, Decimal(0)),
                seen.ours.get(name, Decimal(0)),
            )
            if not untold and abs(results - ours) > TOLERANCE * fills_since(seen.db, account, EVER):
                found.append(
                    f"wallet: our fills in {name} brought {ours}, and its trades came to {results}"
                )
    return found


def _nothing_seen_on_the_way(seen: Evidence) -> list[str]:
    return list(dict.fromkeys(seen.problems))


INVARIANTS: Final = (
    Invariant(
        "on the way", "at every moment: one order out per lane, caps kept", _nothing_seen_on_the_way
    ),
    Invariant(
        "no loss", "what was acknowledged has a copy for every subscribed account", _nothing_lost
    ),
    Invariant(
        "totality",
        "every copy has one final outcome, and no attempt is left open",
        _every_copy_ends,
    ),
    Invariant(
        "one copy",
        "one copy for each account of what the sender sent, however often it was delivered",
        _one_copy_per_signal,
    ),
    Invariant(
        "no duplicate",
        "the exchange accepted at most one order of each client order id",
        _no_order_twice,
    ),
    Invariant(
        "truth",
        "what the ledger says of each entry is what the exchange has; no NOT_CONFIRMED that it "
        "holds",
        _outcomes_are_true,
    ),
    Invariant(
        "no wrong loss",
        "no order was ever called NOT_CONFIRMED that the exchange had accepted and filled",
        _nobody_is_told_a_wrong_loss,
    ),
    Invariant(
        "flip",
        "an entry is not lost to an exit that came before it and is under way",
        _no_entry_is_lost_to_an_exit_under_way,
    ),
    Invariant(
        "order",
        "no entry is claimed once a later close, reverse or cancel of its strategy is recorded",
        _no_entry_passes_a_close,
    ),
    Invariant(
        "goals",
        "after the last close nothing of ours is open, and what is the owner's is untouched",
        _goals_are_reached,
    ),
    Invariant(
        "residue",
        "only what the exchange itself refused to close is called a residue",
        _residues_were_refused,
    ),
    Invariant("conservation", "the ledger holds no share of what is closed", _shares_are_conserved),
    Invariant(
        "no excess", "our exits closed no more than our entries had filled", _exits_never_exceed
    ),
    Invariant(
        "books",
        "the open quantity of the books is the share, at every moment and in the end",
        _books_have_the_shares,
    ),
    Invariant(
        "wallet",
        "results, fees, funding and visible rows are the change of the wallet",
        _wallets_are_explained,
    ),
    Invariant("told", "every NOT_CONFIRMED was alerted", _people_were_told),
)


def violations(seen: Evidence) -> list[str]:
    """Return every violation."""
    return [line for each in INVARIANTS for line in each.check(seen)]
