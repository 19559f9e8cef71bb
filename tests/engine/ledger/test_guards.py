"""The ledger's own guards of money, each alone: unique keys, the claim, the lane, the goal key.
Weakening one fails here.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Final, cast

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.decisions.order_lifecycle import AttemptState
from engine.domain.amounts import ZERO, Money, Price, Quantity, Ratio, plain
from engine.domain.booking import Cause
from engine.domain.errors import InvalidMove
from engine.domain.holding import FLATTEN_ORIGIN, Holding
from engine.domain.identifiers import (
    AccountId,
    ClientOrderId,
    CopyId,
    ReceiptId,
    SignalId,
    StrategyId,
    Symbol,
)
from engine.domain.order import (
    OrderIntent,
    OrderReport,
    OrderSide,
    OrderStatus,
    OrderType,
    ProtectionOrder,
)
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, OrderKey, PositionSide, SignalDraft
from engine.domain.subscription import CopyPolicy, Mode, parse_leverage, parse_sizing
from engine.ledger import Database
from engine.ledger.attempts import read_attempt
from engine.ledger.books import Change, change_share, differences, tell_fill
from engine.ledger.claims import Claim, NotClaimed, claim
from engine.ledger.codec import write_policy
from engine.ledger.conserving import read_on_record
from engine.ledger.database import open_memory
from engine.ledger.holdings import attach, read_holding, want_protection, write_holding
from engine.ledger.open_shares import has_unconfirmed_exit
from engine.ledger.outcomes import write_outcome
from engine.ledger.query import fetch_all
from engine.ledger.resolving import (
    back_to_new,
    close_again,
    complete,
    decide_done,
    decide_none,
    end,
    free_symbol,
    orphan_claims,
    unknown_outcome,
)
from engine.ledger.signals import (
    DedupeConflict,
    NewSignal,
    read_signal,
    record_signal,
    signal_count,
    signals_since,
)
from tests.faults.sums_of_orders import wrong_sums

BTC = Symbol("BTCUSDT")
LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
numbers = count(1)


@pytest.fixture
def db() -> Iterator[Database]:
    made = world()
    yield made
    assert wrong_sums(made) == []


def world() -> Database:
    made = open_memory()
    policy = write_policy(
        CopyPolicy(
            Mode.LIVE,
            parse_sizing({"mode": "fixed_margin", "margin": "50"}),
            parse_leverage("5"),
            frozenset([BTC]),
        )
    )
    made.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped)"
        " VALUES ('p', 'p', 0, x'00', 'k', x'00'); INSERT INTO master VALUES ('m', 'm', 'p')"
    )
    made.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0)"
    )
    for account in ("a", "b"):
        made.execute(
            "INSERT INTO account (id, name, person_id, exchange, environment, sealed, "
            "row_version, created_us)"
            " VALUES (?, ?, 'p', 'paper', 'paper', x'00', 1, 0)",
            (account, account),
        )
        made.execute(
            "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) VALUES "
            "(?, ?, 's', ?, 0)",
            (f"sub-{account}", account, policy),
        )
    return made


def new(
    key: str, action: Action = Action.OPEN, body: bytes = b"one", at: datetime = NOW
) -> NewSignal:
    side = PositionSide.LONG if action is Action.OPEN else None
    number = next(numbers)
    return NewSignal(
        id=SignalId(f"sig-{number}"),
        receipt=ReceiptId(f"rcp-{number}"),
        new_copy_id=lambda: CopyId(f"cp-{number}-{next(numbers)}"),
        strategy=StrategyId("s"),
        origin="ep",
        draft=SignalDraft(key, action, BTC, side),
        body_hash=body,
        decided_at=at,
        received_at=at,
    )


def wanted(db: Database, signal: str, account: str = "a") -> Claim:
    copy, leg, key = fetch_all(
        db,
        "SELECT leg.copy_id, leg.number, leg.order_key FROM leg JOIN copy ON copy.id = "
        "leg.copy_id JOIN signal ON signal.number ="
        " copy.signal_number WHERE signal.id = ? AND leg.account_id = ?",
        (signal, account),
    )[0]
    intent = OrderIntent(
        client_order_id=ClientOrderId(f"rx{copy}"),
        symbol=BTC,
        side=OrderSide.BUY,
        position_side=PositionSide.LONG,
        quantity=Quantity(Decimal("0.003")),
        order_type=OrderType.MARKET,
        leverage=Ratio(Decimal(5)),
    )
    hundred = Money(Decimal(100))
    return Claim(
        copy=CopyId(copy),
        leg=leg,
        number=1,
        kind="entry",
        account=AccountId(account),
        strategy=StrategyId("s"),
        epoch=1,
        order_key=OrderKey(key),
        intent=intent,
        notional=hundred,
        margin=hundred,
        witness=(),
        at=NOW,
    )


def test_the_same_delivery_is_one_signal_and_another_body_is_a_conflict(db: Database) -> None:
    first, again = record_signal(db, new("k")), record_signal(db, new("k"))
    assert (again.id, again.receipt, again.is_new) == (first.id, first.receipt, False)
    assert fetch_all(db, "SELECT count(*) FROM copy") == [(2,)]
    with pytest.raises(DedupeConflict):
        record_signal(db, new("k", body=b"two"))


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("signal", "origin, dedupe_key"),
        ("copy", "signal_number, account_id"),
        ("attempt", "copy_id, leg, number"),
    ],
)
def test_what_leads_to_an_order_has_a_unique_key_in_the_database_itself(
    db: Database, table: str, columns: str
) -> None:
    indexes = [
        name for _, name, unique, *_ in fetch_all(db, f"PRAGMA index_list({table})") if unique
    ]
    keys = {
        ", ".join(row[2] for row in fetch_all(db, f"PRAGMA index_info({name})")) for name in indexes
    }
    assert columns in keys


def test_a_leg_is_claimed_once(db: Database) -> None:
    signal = record_signal(db, new("k")).id
    asked = wanted(db, signal)
    assert isinstance(claim(db, asked), int)
    db.execute(
        "UPDATE holding SET entries_open = 0"
    )  # so that the leg's own state alone stands between
    assert claim(db, replace(asked, number=2)) == NotClaimed(None)
    assert fetch_all(db, "SELECT count(*) FROM attempt") == [(1,)]


def test_a_lane_has_one_claim_at_a_time(db: Database) -> None:
    first, second = (record_signal(db, new(key)).id for key in ("k1", "k2"))
    claim(db, wanted(db, first))
    refused = claim(db, wanted(db, second))
    assert isinstance(refused, NotClaimed)
    assert refused.outcome is not None
    assert refused.outcome.code is OutcomeCode.SKIPPED_ALREADY_OPEN
    db.execute("UPDATE holding SET entries_open = 0")
    with pytest.raises(
        apsw.ConstraintError
    ):  # and the database refuses what the code might let through
        claim(db, wanted(db, second))


def test_an_entry_that_is_not_later_than_the_goal_is_never_claimed(db: Database) -> None:
    signal = record_signal(db, new("open")).id
    asked = wanted(db, signal)
    record_signal(db, new("close", Action.CLOSE, at=NOW + timedelta(seconds=1)))
    assert fetch_all(
        db,
        "SELECT DISTINCT copy.code FROM copy JOIN leg ON leg.copy_id = copy.id WHERE leg.kind = "
        "'entry'",
    ) == [(OutcomeCode.SKIPPED_SUPERSEDED.value,)]
    db.execute("UPDATE leg SET state = 'new'")  # as if the exit had not ended it
    refused = claim(db, asked)
    assert isinstance(refused, NotClaimed)
    assert refused.outcome is not None
    assert refused.outcome.code is OutcomeCode.SKIPPED_SUPERSEDED


def test_a_late_redelivered_open_does_not_pass_a_close(db: Database) -> None:
    record_signal(db, new("close", Action.CLOSE, at=NOW))
    late = record_signal(db, new("open", at=NOW - timedelta(seconds=5))).id
    refused = claim(db, wanted(db, late))
    assert isinstance(refused, NotClaimed)
    assert refused.outcome is not None
    assert refused.outcome.code is OutcomeCode.SKIPPED_SUPERSEDED


def test_an_entry_is_not_claimed_before_the_exit_before_it_has_ended(db: Database) -> None:
    """It was planned before the exit was recorded with an earlier time, and comes to the claim
    after.
    """
    record_signal(db, new("close", Action.CLOSE, at=NOW - timedelta(seconds=1)))
    asked = wanted(db, record_signal(db, new("open")).id)
    assert claim(db, asked) == NotClaimed(None)
    db.execute("UPDATE leg SET state = 'skipped' WHERE kind = 'exit'")
    assert isinstance(claim(db, asked), int)


def entries_open(db: Database) -> int:
    return int(fetch_all(db, "SELECT entries_open FROM holding WHERE account_id = 'a'")[0][0])


def filled_entry(db: Database) -> None:
    """Claim an entry and fill it whole."""
    entry, _ = claimed(db, "open")
    complete(
        db,
        attempt_id=entry,
        report=report_of(entry, db),
        outcome=Outcome(OutcomeCode.FILLED),
        at=NOW,
    )


def lost_exit(db: Database) -> tuple[int, Claim]:
    """Claim the exit of a filled entry, and lose its answer."""
    filled_entry(db)
    exit_id, asked = closing(db, "close")
    end(
        db,
        attempt_id=exit_id,
        state=AttemptState.UNKNOWN,
        outcome=unknown_outcome(asked.intent, "timeout"),
        cause="timeout",
        at=NOW,
    )
    return exit_id, asked


def lost_entry(db: Database, key: str) -> int:
    """Claim an entry and give it up: sent, looked up for long, no trace, its symbol free again."""
    asked = wanted(db, record_signal(db, new(key)).id)
    attempt = claim(db, asked)
    assert isinstance(attempt, int)
    end(db, attempt, AttemptState.UNKNOWN, unknown_outcome(asked.intent, "timeout"), "timeout", NOW)
    end(db, attempt, AttemptState.NOT_CONFIRMED, Outcome(OutcomeCode.NOT_CONFIRMED), "timeout", NOW)
    assert entries_open(db) == 1
    free_symbol(db, attempt)
    return attempt


def report_of(attempt: int, db: Database) -> OrderReport:
    intent = read_attempt(db, attempt).intent
    return OrderReport(
        "ex-1",
        intent.client_order_id,
        BTC,
        intent.side,
        intent.quantity,
        OrderStatus.FILLED,
        intent.quantity,
        Price(Decimal(65000)),
        Money(Decimal(0)),
        NOW,
    )


def test_a_symbol_that_was_freed_is_not_freed_again_under_a_newer_entry(db: Database) -> None:
    """A restart forgets what was freed: freeing again must not take the count of an entry that came
    after.
    """
    lost = lost_entry(db, "lost")
    assert isinstance(claim(db, wanted(db, record_signal(db, new("newer")).id)), int)
    free_symbol(db, lost)
    assert entries_open(db) == 1


def test_late_proof_of_a_freed_entry_counts_its_fill_and_leaves_the_newer_entry_open(
    db: Database,
) -> None:
    lost = lost_entry(db, "lost")
    assert isinstance(claim(db, wanted(db, record_signal(db, new("newer")).id)), int)
    complete(db, lost, report_of(lost, db), Outcome(OutcomeCode.FILLED), NOW)
    assert entries_open(db) == 1
    assert fetch_all(db, "SELECT share FROM holding") == [("0.003",)]


def test_late_proof_of_a_freed_entry_leaves_the_name_of_the_position_that_a_newer_entry_opened(
    db: Database,
) -> None:
    """Its own position is gone; were ours called by that name, the record of its close would take
    the share that stands now.
    """
    lost = lost_entry(db, "lost")
    newer = claim(db, wanted(db, record_signal(db, new("newer")).id))
    assert isinstance(newer, int)
    complete(
        db, newer, replace(report_of(newer, db), position_id="P2"), Outcome(OutcomeCode.FILLED), NOW
    )
    late = replace(report_of(lost, db), exchange_order_id="ex-0", position_id="P1")
    complete(db, lost, late, Outcome(OutcomeCode.FILLED), NOW)
    assert fetch_all(db, "SELECT position_id, share FROM holding") == [("P2", "0.006")]


@pytest.mark.parametrize(
    ("newer", "left", "booked"),
    [
        ("0.001", (LONG, "0.002"), [(0, "0.001", "0.01"), (1, "0.002", "0.02")]),
        ("0.003", None, [(0, "0.003", "0.03")]),
        ("0.005", (SHORT, "0.002"), [(0, "0.003", "0.03")]),
    ],
)
def test_late_proof_of_a_freed_entry_nets_with_the_other_side_that_a_newer_entry_opened(
    db: Database,
    newer: str,
    left: tuple[PositionSide, str] | None,
    booked: list[tuple[int, str, str]],
) -> None:
    """The exchange nets: the entry closes the other side first, and only what is beyond it opens."""
    lost = lost_entry(db, "lost")
    turned = replace(new("newer"), draft=SignalDraft("newer", Action.OPEN, BTC, SHORT))
    asked = wanted(db, record_signal(db, turned).id)
    quantity = Quantity(Decimal(newer))
    intent = replace(asked.intent, side=OrderSide.SELL, position_side=SHORT, quantity=quantity)
    short = claim(db, replace(asked, intent=intent))
    assert isinstance(short, int)
    filled = replace(report_of(short, db), exchange_order_id="ex-2")
    complete(db, short, filled, Outcome(OutcomeCode.FILLED), NOW)
    late = replace(report_of(lost, db), fee=Money(Decimal("0.03")))
    complete(db, lost, late, Outcome(OutcomeCode.FILLED), NOW)
    after = held(db)
    assert (after and (after.side, str(after.share))) == left
    assert (
        fetch_all(
            db, "SELECT is_entry, quantity, fee FROM fill WHERE attempt_id = ? ORDER BY id", (lost,)
        )
        == booked
    )


def test_an_order_found_after_its_symbol_was_freed_is_held_by_its_strategy_again(
    db: Database,
) -> None:
    """It had been filled at the exchange and was nobody's: no exit closed it, and people were told
    that the next one would.
    """
    lost = lost_entry(db, "lost")
    assert fetch_all(db, "SELECT 1 FROM holding") == []
    complete(db, lost, report_of(lost, db), Outcome(OutcomeCode.FILLED), NOW)
    held = read_holding(db, AccountId("a"), BTC)
    assert held is not None
    assert (held.strategy, held.side, held.share, held.entries_open) == (
        "s",
        PositionSide.LONG,
        Decimal("0.003"),
        0,
    )
    closing = record_signal(db, new("close", Action.CLOSE, at=NOW + timedelta(seconds=1)))
    key = fetch_all(db, "SELECT order_key FROM signal WHERE id = ?", (closing.id,))[0][0]
    assert key > held.entry_key
    assert read_on_record(db, lost).opened == Decimal("0.003")


def test_an_entry_where_its_owner_closed_counts_only_its_own_orders(db: Database) -> None:
    """What was filled before would explain a share that nobody ordered."""
    first, _ = claimed(db, "open")
    complete(db, first, report_of(first, db), Outcome(OutcomeCode.FILLED), NOW)
    db.execute("UPDATE holding SET share = '0', detached = 1")
    second, _ = claimed(db, "newer")
    report = part(second, db, OrderStatus.PARTIALLY_FILLED, "0.001")
    complete(db, second, report, Outcome(OutcomeCode.PARTIALLY_FILLED), NOW)
    assert read_on_record(db, second).opened == Decimal("0.001")


def test_a_person_may_decide_that_there_is_no_order(db: Database) -> None:
    asked = wanted(db, record_signal(db, new("lost")).id)
    attempt = claim(db, asked)
    assert isinstance(attempt, int)
    end(db, attempt, AttemptState.UNKNOWN, unknown_outcome(asked.intent, "timeout"), "timeout", NOW)
    decide_none(db, attempt, "looked at the exchange", "op", NOW)
    assert fetch_all(db, "SELECT code FROM copy WHERE account_id = 'a'") == [
        (OutcomeCode.NOT_EXECUTED.value,)
    ]
    assert fetch_all(db, "SELECT count(*) FROM holding") == [(0,)]
    with pytest.raises(InvalidMove):
        decide_none(db, attempt, "again", "op", NOW)


def test_a_person_may_decide_that_an_exit_was_done(db: Database) -> None:
    exit_id, asked = lost_exit(db)
    decide_done(db, exit_id, NOW)
    done = read_attempt(db, exit_id)
    assert (done.state, done.filled) == (AttemptState.FILLED, asked.intent.quantity)
    after = held(db)
    assert after is None or after.share == 0
    # Its price and fee are not known: nobody told them.
    assert fetch_all(db, "SELECT price, fee FROM fill ORDER BY id DESC LIMIT 1") == [(None, None)]
    with pytest.raises(InvalidMove, match="a closing order that is unknown"):
        decide_done(db, exit_id, NOW)


@pytest.mark.parametrize(
    ("seen", "seen_after_s", "is_explained", "left", "bound"),
    [
        ("0.001", 60, False, "0.002", ["0.001"]),  # the reading saw the exit, and nothing else
        ("0.001", 60, True, "0.002", []),  # whose row was taken as the owner's
        ("0.002", 60, False, "0.001", []),  # and something else: the row is not the exit's alone
        ("0.0004", 60, False, "0.002", ["0.0006", "0.0004"]),  # the owner's part hid the rest
        ("0.0004", 60, True, "0.002", ["0.0006"]),  # and what was seen was explained
        (None, 60, False, "0.002", ["0.001"]),  # the owner's own part hid it whole
        ("0.001", -60, False, "0.001", ["0.001"]),  # it was gone before the exit was sent
    ],
)
def test_what_a_reading_saw_go_is_not_taken_again_by_the_late_proof_of_an_exit(
    db: Database,
    seen: str | None,
    seen_after_s: int,
    is_explained: bool,
    left: str,
    bound: list[str],
) -> None:
    """The exit of a third is given up without trace, and a person finds it at the exchange."""
    filled_entry(db)
    exit_id, asked = closing(db, "close", quantity="0.001")
    for state in (AttemptState.UNKNOWN, AttemptState.NOT_CONFIRMED):
        end(db, exit_id, state, unknown_outcome(asked.intent, "timeout"), "timeout", NOW)
    if seen is not None:
        holding = held(db)
        assert holding is not None
        at = NOW + timedelta(seconds=seen_after_s)
        change_share(db, holding, Change(is_entry=False, quantity=Quantity(Decimal(seen)), at=at))
        if is_explained:
            [(fill,)] = fetch_all(db, "SELECT max(id) FROM fill")
            price, fee = Decimal("60000"), Decimal("0.01")
            tell_fill(db, fill, price=price, fee=fee, cause=Cause.OWNER, order_id="ex-9")
    decide_done(db, exit_id, NOW + timedelta(seconds=120))
    after = held(db)
    assert after is not None
    assert str(after.share) == left
    assert fetch_all(db, "SELECT 1 FROM fill WHERE exchange_order_id = ''") == []
    rows = fetch_all(
        db, "SELECT quantity FROM fill WHERE attempt_id = ? ORDER BY id DESC", (exit_id,)
    )
    assert [row[0] for row in rows] == bound
    assert differences(db) == []


def test_an_exit_that_fills_after_a_reading_saw_a_part_go_takes_that_part_over(
    db: Database,
) -> None:
    filled_entry(db)
    exit_id, _ = closing(db, "close")
    holding = held(db)
    assert holding is not None
    gone = Change(is_entry=False, quantity=Quantity(Decimal("0.001")), at=NOW)
    change_share(db, holding, gone)
    complete(db, exit_id, report_of(exit_id, db), Outcome(OutcomeCode.FILLED), NOW)
    assert held(db) is None
    rows = fetch_all(db, "SELECT quantity FROM fill WHERE attempt_id = ? ORDER BY id", (exit_id,))
    assert rows == [("0.001",), ("0.002",)]
    assert differences(db) == []


# Each end of a claim


def claimed(db: Database, key: str) -> tuple[int, Claim]:
    asked = wanted(db, record_signal(db, new(key)).id)
    attempt = claim(db, asked)
    assert isinstance(attempt, int)
    return attempt, asked


def held(db: Database) -> Holding | None:
    return read_holding(db, AccountId("a"), BTC)


def closing(db: Database, key: str, quantity: str = "0.003") -> tuple[int, Claim]:
    """Claim the exit of a close, unless told otherwise of the whole share."""
    signal = record_signal(db, new(key, Action.CLOSE, at=NOW + timedelta(seconds=1)))
    asked = wanted(db, signal.id)
    intent = replace(
        asked.intent,
        side=OrderSide.SELL,
        reduce_only=True,
        quantity=Quantity(Decimal(quantity)),
    )
    asked = replace(asked, kind="exit", intent=intent, leave=Quantity(Decimal(0)))
    attempt = claim(db, asked)
    assert isinstance(attempt, int)
    return attempt, asked


def test_an_addition_is_claimed_only_where_its_strategy_holds_that_side_and_no_entry_is_under_way(
    db: Database,
) -> None:
    def add(key: str, **changes: Any) -> int | NotClaimed:
        return claim(db, replace(wanted(db, record_signal(db, new(key)).id), adds=True, **changes))

    nothing = add("nothing held")
    assert isinstance(nothing, NotClaimed)
    assert nothing.outcome is not None
    assert nothing.outcome.code is OutcomeCode.SKIPPED_NOT_OPEN
    attempt, _ = claimed(db, "open")
    assert add("while it opens") == NotClaimed(None)  # it waits
    complete(db, attempt, report_of(attempt, db), Outcome(OutcomeCode.FILLED), NOW)
    other = add("of another", strategy=StrategyId("t"))
    assert isinstance(other, NotClaimed)
    assert other.outcome is not None
    assert other.outcome.code is OutcomeCode.SKIPPED_SYMBOL_HELD
    assert isinstance(add("after it opened"), int)


def test_an_order_that_fills_bit_by_bit_moves_the_share_by_what_it_grew(db: Database) -> None:
    attempt, _ = claimed(db, "open")
    whole = report_of(attempt, db)
    first = replace(
        whole,
        status=OrderStatus.PARTIALLY_FILLED,
        filled_quantity=Quantity(Decimal("0.001")),
        average_price=None,
    )
    for report, share in (
        (first, "0.001"),
        (first, "0.001"),
        (replace(first, filled_quantity=Quantity(Decimal("0.002"))), "0.002"),
    ):
        complete(db, attempt, report, Outcome(OutcomeCode.PARTIALLY_FILLED), NOW)
        assert fetch_all(db, "SELECT share, entries_open FROM holding") == [(share, 1)]
    complete(db, attempt, whole, Outcome(OutcomeCode.FILLED), NOW)
    assert fetch_all(db, "SELECT share, entries_open FROM holding") == [("0.003", 0)]


def test_claims_of_an_earlier_run_become_unknown_and_those_of_this_run_stay(db: Database) -> None:
    attempt, _ = claimed(db, "open")
    assert orphan_claims(db, 1, NOW) == 0
    assert orphan_claims(db, 2, NOW) == 1
    assert read_attempt(db, attempt).state is AttemptState.UNKNOWN
    assert orphan_claims(db, 2, NOW) == 0
    with pytest.raises(LookupError, match="no attempt 999"):
        read_attempt(db, 999)


def test_an_exit_without_trace_is_opened_again_once_and_only_while_something_is_held(
    db: Database,
) -> None:
    attempt, _ = claimed(db, "open")
    complete(db, attempt, report_of(attempt, db), Outcome(OutcomeCode.FILLED), NOW)
    exit_, asked = closing(db, "close")
    assert not close_again(db, exit_, NOW)  # nobody gave it up
    end(db, exit_, AttemptState.UNKNOWN, unknown_outcome(asked.intent, "timeout"), "timeout", NOW)
    end(db, exit_, AttemptState.NOT_CONFIRMED, Outcome(OutcomeCode.NOT_CONFIRMED), "timeout", NOW)
    assert close_again(db, exit_, NOW)
    assert fetch_all(db, "SELECT state FROM leg WHERE kind = 'exit' AND account_id = 'a'") == [
        ("new",)
    ]
    assert fetch_all(db, "SELECT code FROM copy WHERE id = ?", (asked.copy,)) == [(None,)]
    assert not close_again(db, exit_, NOW)  # it was opened already


def exit_tried_twice(db: Database) -> tuple[int, int, Claim]:
    """Claim an exit that leaves no trace, and claim it again; return both attempts."""
    first, asked = lost_exit(db)
    end(db, first, AttemptState.NOT_CONFIRMED, Outcome(OutcomeCode.NOT_CONFIRMED), "timeout", NOW)
    assert close_again(db, first, NOW)
    again = replace(asked.intent, client_order_id=ClientOrderId("rx-again"))
    second = claim(db, replace(asked, number=2, intent=again))
    assert isinstance(second, int)
    return first, second, asked


def filled_report(attempt: int, db: Database) -> OrderReport:
    return replace(report_of(attempt, db), exchange_order_id=f"ex-{attempt}", reduce_only=True)


def told_of(db: Database, asked: Claim) -> tuple[str, str | None, list[str]]:
    """Read the state of a claim's leg, the outcome of its copy, and all that was told of it."""
    [(state,)] = fetch_all(
        db, "SELECT state FROM leg WHERE copy_id = ? AND number = ?", (asked.copy, asked.leg)
    )
    [(code,)] = fetch_all(db, "SELECT code FROM copy WHERE id = ?", (asked.copy,))
    told = fetch_all(
        db, "SELECT subject FROM event WHERE copy_id = ? ORDER BY sequence", (asked.copy,)
    )
    return state, code, [each[0] for each in told]


Step = Callable[[Database, int], None]


def by_a_person(db: Database, attempt: int) -> None:
    decide_none(db, attempt, "looked at the exchange", "op", NOW)


def by_a_refusal(db: Database, attempt: int) -> None:
    refused = replace(
        filled_report(attempt, db), status=OrderStatus.REJECTED, filled_quantity=Quantity(ZERO)
    )
    complete(db, attempt, refused, Outcome(OutcomeCode.REJECTED), NOW)


def by_another_close(db: Database, attempt: int) -> None:
    outcome = Outcome(OutcomeCode.REJECTED)
    end(db, attempt, AttemptState.REJECTED, outcome, "closed by a stop", NOW, retry_at=NOW)


def by_a_fill(db: Database, attempt: int) -> None:
    complete(db, attempt, filled_report(attempt, db), Outcome(OutcomeCode.FILLED), NOW)


@pytest.mark.parametrize("ends", [by_a_person, by_a_refusal, by_another_close])
def test_an_attempt_that_another_replaced_says_nothing_of_its_leg(db: Database, ends: Step) -> None:
    first, second, asked = exit_tried_twice(db)
    by_a_fill(db, second)
    before = told_of(db, asked)
    assert before == ("filled", "filled", ["unknown", "not_confirmed", "filled"])
    ends(db, first)
    assert read_attempt(db, first).state is AttemptState.REJECTED
    assert told_of(db, asked) == before


@pytest.mark.parametrize("ends", [by_a_person, by_a_refusal, by_another_close])
def test_a_leg_stays_with_the_attempt_that_is_under_way(db: Database, ends: Step) -> None:
    """Opened again, it would be sent a second time beside the first."""
    first, second, asked = exit_tried_twice(db)
    ends(db, first)
    assert told_of(db, asked) == ("claimed", None, ["unknown", "not_confirmed"])
    by_a_fill(db, second)
    assert told_of(db, asked)[:2] == ("filled", "filled")


def test_a_late_fill_is_told_and_leaves_the_leg_to_the_attempt_under_way(db: Database) -> None:
    first, second, asked = exit_tried_twice(db)
    by_a_fill(db, first)
    assert told_of(db, asked) == ("claimed", None, ["unknown", "not_confirmed", "filled"])
    by_a_refusal(db, second)
    assert told_of(db, asked)[:2] == ("filled", "filled")  # all was closed, by the first


def test_a_late_fill_is_the_outcome_of_a_leg_whose_later_attempts_brought_nothing(
    db: Database,
) -> None:
    first, second, asked = exit_tried_twice(db)
    end(db, second, AttemptState.REJECTED, Outcome(OutcomeCode.RESIDUE), "nothing there", NOW)
    assert told_of(db, asked)[:2] == ("rejected", "residue")
    by_a_fill(db, first)
    assert told_of(db, asked)[:2] == ("filled", "filled")


def gone(db: Database, attempt: int) -> None:
    """Lose an attempt and give it up."""
    intent = read_attempt(db, attempt).intent
    end(db, attempt, AttemptState.UNKNOWN, unknown_outcome(intent, "timeout"), "timeout", NOW)
    end(db, attempt, AttemptState.NOT_CONFIRMED, Outcome(OutcomeCode.NOT_CONFIRMED), "", NOW)


def test_what_was_lost_twice_and_filled_once_is_filled_whatever_a_person_says(
    db: Database,
) -> None:
    first, second, asked = exit_tried_twice(db)
    gone(db, second)
    by_a_fill(db, first)
    assert told_of(db, asked)[:2] == ("not_confirmed", "filled")
    told = told_of(db, asked)[2]
    by_a_person(db, second)
    assert told_of(db, asked) == ("filled", "filled", told)


def test_a_copy_is_filled_though_a_later_attempt_of_it_is_given_up(db: Database) -> None:
    first, second, asked = exit_tried_twice(db)
    by_a_fill(db, first)
    gone(db, second)
    assert not close_again(db, second, NOW)
    assert told_of(db, asked)[:2] == ("not_confirmed", "filled")
    assert has_unconfirmed_exit(db, asked.account, BTC)


@pytest.mark.parametrize("ends", [by_a_refusal, by_another_close])
@pytest.mark.parametrize("is_seen_working", [False, True])
def test_what_became_of_an_attempt_repeats_no_later_one_that_stayed_without_trace(
    db: Database, ends: Step, is_seen_working: bool
) -> None:
    """It may have executed: a reading says whether another would close the owner's own part."""
    first, second, asked = exit_tried_twice(db)
    gone(db, second)
    if is_seen_working:
        report = part(first, db, OrderStatus.OPEN, "0")
        complete(db, first, report, Outcome(OutcomeCode.PLACED), NOW)
        assert told_of(db, asked)[:2] == ("placed", "placed")
        report = part(first, db, OrderStatus.CANCELLED, "0")
        complete(db, first, report, Outcome(OutcomeCode.CANCELLED), NOW)
    else:
        ends(db, first)
    assert told_of(db, asked)[:2] == ("not_confirmed", "not_confirmed")
    assert close_again(db, second, NOW)


def test_the_fill_of_the_rest_is_told_though_later_attempts_filled_and_were_refused(
    db: Database,
) -> None:
    first, second, asked = exit_tried_twice(db)
    complete(
        db,
        second,
        part(second, db, OrderStatus.CANCELLED, "0.001"),
        Outcome(OutcomeCode.CANCELLED),
        NOW,
    )
    third = claim(
        db,
        replace(asked, number=3, intent=replace(asked.intent, client_order_id=ClientOrderId("3"))),
    )
    assert isinstance(third, int)
    end(db, third, AttemptState.REJECTED, Outcome(OutcomeCode.RESIDUE), "too small", NOW)
    assert told_of(db, asked)[:2] == ("rejected", "residue")
    complete(
        db,
        first,
        part(first, db, OrderStatus.CANCELLED, "0.002"),
        Outcome(OutcomeCode.CANCELLED),
        NOW,
    )
    assert told_of(db, asked)[1] == "filled"


def test_the_exit_of_a_reverse_is_not_told_with_what_its_entry_filled(db: Database) -> None:
    first, second, asked = exit_tried_twice(db)
    by_a_fill(db, second)
    db.execute(  # the entry of the same copy
        "INSERT INTO leg (copy_id, number, kind, account_id, strategy_id, symbol, order_key, state) "
        "SELECT copy_id, number + 1, 'entry', account_id, strategy_id, symbol, order_key, 'filled' "
        "FROM leg WHERE copy_id = ?",
        (asked.copy,),
    )
    write_outcome(db, asked.copy, 2, Outcome(OutcomeCode.FILLED, {"symbol": "ENTRY"}), NOW)
    complete(db, first, part(first, db, OrderStatus.OPEN, "0"), Outcome(OutcomeCode.PLACED), NOW)
    cancelled = part(first, db, OrderStatus.CANCELLED, "0")
    complete(db, first, cancelled, Outcome(OutcomeCode.CANCELLED), NOW)
    told = fetch_all(db, "SELECT count(*) FROM event WHERE data LIKE '%ENTRY%'")
    assert told == [(1,)]


def test_an_entry_under_way_does_not_open_a_finished_close_again(db: Database) -> None:
    first, second, asked = exit_tried_twice(db)
    by_a_fill(db, second)
    later = record_signal(db, new("later", at=NOW + timedelta(seconds=2)))
    assert isinstance(claim(db, wanted(db, later.id)), int)
    complete(db, first, part(first, db, OrderStatus.OPEN, "0"), Outcome(OutcomeCode.PLACED), NOW)
    complete(
        db, first, part(first, db, OrderStatus.CANCELLED, "0"), Outcome(OutcomeCode.CANCELLED), NOW
    )
    assert told_of(db, asked)[:2] == ("filled", "filled")


def test_a_close_is_filled_though_an_entry_may_still_bring_something(db: Database) -> None:
    first, second, asked = exit_tried_twice(db)
    db.execute(  # an addition that was given up before the close
        "UPDATE attempt SET state = 'not_confirmed', filled = '0' WHERE kind = 'entry'; "
        "UPDATE holding SET opened = '0'"
    )
    by_a_fill(db, first)
    assert entries_open(db) == 1
    by_a_person_lost(db, second)
    assert told_of(db, asked)[1] == "filled"


def test_the_end_of_an_earlier_order_says_nothing_while_a_later_one_works(db: Database) -> None:
    first, second, asked = exit_tried_twice(db)
    for each in (first, second):
        complete(db, each, part(each, db, OrderStatus.OPEN, "0"), Outcome(OutcomeCode.PLACED), NOW)
    before = told_of(db, asked)
    assert before[:2] == ("placed", "placed")
    by_a_refusal(db, first)
    assert told_of(db, asked) == before


def part(attempt: int, db: Database, status: OrderStatus, filled: str) -> OrderReport:
    report = filled_report(attempt, db)
    return replace(report, status=status, filled_quantity=Quantity(Decimal(filled)))


@pytest.mark.parametrize("filled", ["0", "0.001"])
def test_an_earlier_order_found_working_takes_the_leg_and_opens_it_again_at_its_end(
    db: Database, filled: str
) -> None:
    first, second, asked = exit_tried_twice(db)
    by_another_close(db, second)
    assert told_of(db, asked)[0] == "new"
    working = OrderStatus.OPEN if filled == "0" else OrderStatus.PARTIALLY_FILLED
    report = part(first, db, working, filled)
    complete(db, first, report, Outcome(OutcomeCode.PLACED), NOW)
    assert told_of(db, asked)[0] == ("placed" if filled == "0" else "partially_filled")
    third = replace(
        asked, number=3, intent=replace(asked.intent, client_order_id=ClientOrderId("3"))
    )
    assert claim(db, third) == NotClaimed(None)
    report = part(first, db, OrderStatus.CANCELLED, filled)
    complete(db, first, report, Outcome(OutcomeCode.CANCELLED), NOW)
    assert told_of(db, asked)[:2] == ("new", None)
    assert isinstance(claim(db, third), int)


@pytest.mark.parametrize("ends", [back_to_new, by_another_close])
def test_a_leg_is_not_opened_again_while_an_earlier_order_works(db: Database, ends: Any) -> None:
    first, second, asked = exit_tried_twice(db)
    complete(db, first, part(first, db, OrderStatus.OPEN, "0"), Outcome(OutcomeCode.PLACED), NOW)
    assert told_of(db, asked)[0] == "claimed"
    if ends is back_to_new:
        back_to_new(db, second, "nothing left", NOW, NOW)
    else:
        ends(db, second)
    assert told_of(db, asked)[:2] == ("placed", None)
    by_a_fill(db, first)
    assert told_of(db, asked)[:2] == ("filled", "filled")


def by_a_person_lost(db: Database, attempt: int) -> None:
    intent = read_attempt(db, attempt).intent
    end(db, attempt, AttemptState.UNKNOWN, unknown_outcome(intent, "timeout"), "timeout", NOW)
    by_a_person(db, attempt)


MOVES_OF_AN_EXIT: Final = (
    "claim",
    "placed",
    "part",
    "filled",
    "cancelled",
    "refused",
    "lost",
    "given up",
    "close again",
    "not sent",
    "decided none",
    "decided done",
)


@settings(max_examples=300)
@example(
    [
        ("lost", 0),
        ("given up", 0),
        ("close again", 0),
        ("claim", 0),
        ("part", 1),
        ("cancelled", 1),
        ("claim", 0),
        ("lost", 2),
        ("decided none", 2),
        ("filled", 0),
    ]
)
@given(st.lists(st.tuples(st.sampled_from(MOVES_OF_AN_EXIT), st.integers(0, 3)), max_size=25))
def test_however_its_attempts_end_a_leg_says_what_is_true_of_them(
    moves: list[tuple[str, int]],
) -> None:
    db = world()
    filled_entry(db)
    _, asked = closing(db, "close")
    for move, which in moves:
        tries = [each[0] for each in fetch_all(db, TRIES, (asked.copy,))]
        attempt = tries[min(which, len(tries) - 1)]
        awaited = told_of(db, asked)[0] == read_attempt(db, attempt).state.value
        if not tried(db, move, attempt, asked, len(tries) + 1):
            continue
        assert wrong_sums(db) == []
        state, code, _ = told_of(db, asked)
        now = [(AttemptState(each[1]), each[2]) for each in fetch_all(db, TRIES, (asked.copy,))]
        working = [each.value for each, _ in now if each.is_open]
        holding = held(db)
        is_held = holding is not None and holding.share > 0
        if working:
            assert state == working[-1]
        elif is_held and awaited and move in ("filled", "cancelled", "refused"):
            newest = [each for each, _ in now if each is not AttemptState.NEW][-1]
            waits = newest is AttemptState.NOT_CONFIRMED  # for a reading
            assert state == "new" or (waits and state == "not_confirmed"), move
        if not working and not is_held and state != "new":
            assert code == "filled", (move, state, code)


TRIES: Final = (
    "SELECT id, state, filled FROM attempt WHERE copy_id = ? AND kind = 'exit' ORDER BY id"
)


def tried(db: Database, move: str, attempt: int, asked: Claim, number: int) -> bool:
    """Make a move of one attempt if its state allows it; return whether it was made."""
    client = ClientOrderId(f"rx-{number}")
    again = replace(asked, number=number, intent=replace(asked.intent, client_order_id=client))
    before = read_attempt(db, attempt).filled
    state = read_attempt(db, attempt).state
    holding = held(db)
    most = before if holding is None else Quantity(before + holding.share)
    try:
        match move:
            case "claim":
                return isinstance(claim(db, again), int)
            case "close again":
                return close_again(db, attempt, NOW)
            case "placed":
                report = part(attempt, db, OrderStatus.OPEN, "0")
                complete(db, attempt, report, Outcome(OutcomeCode.PLACED), NOW)
            case "part" if most > before:
                some = plain(Quantity((before + most) / 2))
                report = part(attempt, db, OrderStatus.PARTIALLY_FILLED, some)
                complete(db, attempt, report, Outcome(OutcomeCode.PARTIALLY_FILLED), NOW)
            case "filled" if most > before:
                by_a_fill(db, attempt)
            case "cancelled":
                report = part(attempt, db, OrderStatus.CANCELLED, plain(before))
                complete(db, attempt, report, Outcome(OutcomeCode.CANCELLED), NOW)
            case "refused":
                by_a_refusal(db, attempt)
            case "lost":
                cause = unknown_outcome(asked.intent, "timeout")
                end(db, attempt, AttemptState.UNKNOWN, cause, "timeout", NOW)
            case "given up":
                given_up = Outcome(OutcomeCode.NOT_CONFIRMED)
                end(db, attempt, AttemptState.NOT_CONFIRMED, given_up, "timeout", NOW)
            case "not sent":
                back_to_new(db, attempt, "nothing left", NOW, NOW)
            case "decided none":
                by_a_person(db, attempt)
            case "decided done":
                decide_done(db, attempt, NOW)
            case _:
                return False
    except InvalidMove:
        return False
    after = read_attempt(db, attempt)
    return (after.state, after.filled) != (state, before)  # the same again is no move


def test_a_decision_does_not_take_back_an_exit_that_was_opened_again(db: Database) -> None:
    first, asked = lost_exit(db)
    end(db, first, AttemptState.NOT_CONFIRMED, Outcome(OutcomeCode.NOT_CONFIRMED), "timeout", NOW)
    assert close_again(db, first, NOW)
    by_a_person(db, first)
    assert told_of(db, asked) == ("new", None, ["unknown", "not_confirmed"])


def test_an_exit_whose_strategy_holds_nothing_any_more_is_done(db: Database) -> None:
    attempt, _ = claimed(db, "open")
    complete(db, attempt, report_of(attempt, db), Outcome(OutcomeCode.FILLED), NOW)
    exit_, asked = closing(db, "close")
    end(db, exit_, AttemptState.UNKNOWN, unknown_outcome(asked.intent, "timeout"), "timeout", NOW)
    db.execute("DELETE FROM holding")
    end(db, exit_, AttemptState.NOT_CONFIRMED, Outcome(OutcomeCode.NOT_CONFIRMED), "timeout", NOW)
    assert not close_again(db, exit_, NOW)
    complete(
        db, exit_, replace(report_of(exit_, db), reduce_only=True), Outcome(OutcomeCode.FILLED), NOW
    )
    assert held(db) is None  # what an exit closed makes nobody hold anything


def test_only_an_entry_without_trace_frees_its_symbol_and_protection_is_noted_only_where_something_is_held(
    db: Database,
) -> None:
    attempt, _ = claimed(db, "open")
    free_symbol(db, attempt)
    assert entries_open(db) == 1
    wants = ProtectionOrder(BTC, PositionSide.LONG, Price(Decimal(60000)), None)
    want_protection(db, account=AccountId("a"), wanted=wants)
    want_protection(db, account=AccountId("b"), wanted=wants)
    found = held(db)
    assert found is not None
    assert found.stop_loss == Decimal(60000)
    assert read_holding(db, AccountId("b"), BTC) is None


def test_what_is_compared_at_the_last_line_is_what_the_ledger_has(db: Database) -> None:
    attempt, asked = claimed(db, "open")
    statements: list[str] = []
    cast(apsw.Connection, db).exec_trace = lambda _, sql, __: statements.append(sql) or True
    seen = read_on_record(db, attempt)
    cast(apsw.Connection, db).exec_trace = None
    assert len(statements) == 1  # an order that ended between two would be counted twice
    assert (seen.claimed, seen.state, seen.orders_out) == (asked.intent, AttemptState.CLAIMED, 1)
    assert (seen.share, seen.closing, seen.opened, seen.closed) == (0, 0, None, None)
    complete(db, attempt, report_of(attempt, db), Outcome(OutcomeCode.FILLED), NOW)
    exit_, _ = closing(db, "close")
    seen = read_on_record(db, exit_)
    assert (seen.share, seen.closing, seen.opened, seen.closed) == (
        Decimal("0.003"),
        0,
        Decimal("0.003"),
        0,
    )
    part = replace(
        report_of(exit_, db),
        status=OrderStatus.PARTIALLY_FILLED,
        filled_quantity=Quantity(Decimal("0.001")),
    )
    complete(db, exit_, part, Outcome(OutcomeCode.PARTIALLY_FILLED), NOW)
    seen = read_on_record(
        db, attempt
    )  # from another order's side: the exit may still close the rest
    assert (seen.share, seen.closing, seen.opened, seen.closed) == (
        Decimal("0.002"),
        Decimal("0.002"),
        Decimal("0.003"),
        Decimal("0.001"),
    )
    db.execute("UPDATE holding SET entry_key = 'no such key'")
    assert read_on_record(db, exit_).opened is None
    for read in (read_signal, read_on_record):
        with pytest.raises(LookupError):
            read(db, 999)


def test_signals_of_a_strategy_are_counted_and_read_since_a_time_without_closes_of_one_account(
    db: Database,
) -> None:
    assert (signal_count(db, StrategyId("s")), signal_count(db, StrategyId("none"))) == (0, 0)
    assert signals_since(db, StrategyId("s"), NOW, 10) == []
    keys = ["first", "second", "third", "of one account"]
    for number, key in enumerate(keys):
        at = NOW + timedelta(seconds=number)
        origin = FLATTEN_ORIGIN if key == keys[-1] else "ep"
        record_signal(db, replace(new(key, at=at), origin=origin))
    assert signal_count(db, StrategyId("s")) == 4
    second = NOW + timedelta(seconds=1)

    def read(since: datetime, limit: int) -> list[str]:
        found = signals_since(db, StrategyId("s"), since, limit)
        return [each.draft.dedupe_key for each in found]

    assert read(NOW, 10) == keys[:3]
    assert read(second, 10) == keys[1:3]
    assert read(NOW, 1) == ["third"]


def test_a_symbol_is_given_back_to_its_strategy_only_when_nothing_of_it_is_open(
    db: Database,
) -> None:
    attach(db, AccountId("a"), BTC)
    assert held(db) is None
    filled_entry(db)
    opened = held(db)
    assert opened is not None
    write_holding(db, replace(opened, detached=True))
    attach(db, AccountId("a"), BTC)
    assert held(db) == replace(opened, detached=True)


def test_an_exit_called_done_takes_over_what_a_reading_had_seen_leave(db: Database) -> None:
    exit_id, _ = lost_exit(db)
    open_share = held(db)
    assert open_share is not None
    seen_gone = Change(is_entry=False, quantity=open_share.share, at=NOW, since=NOW)
    write_holding(db, change_share(db, open_share, seen_gone))
    by = "SELECT attempt_id FROM fill WHERE NOT is_entry"
    assert fetch_all(db, by) == [(None,)]
    decide_done(db, exit_id, NOW)
    assert fetch_all(db, by) == [(exit_id,)]
