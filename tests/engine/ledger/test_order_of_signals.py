"""The order key of a recorded signal. Later comparisons use that text alone."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.amounts import Price, Ratio
from engine.domain.identifiers import AccountId, CopyId, ReceiptId, SignalId, StrategyId, Symbol
from engine.domain.signal import (
    FIRST_ORDER_KEY,
    Action,
    PositionSide,
    SignalDraft,
    SignalSize,
    SizeMode,
)
from engine.ledger.codec import write_draft
from engine.ledger.database import MEMORY, open_memory
from engine.ledger.migrating import let_add_up
from engine.ledger.query import fetch_all, fetch_one
from engine.ledger.schema import MIGRATIONS
from engine.ledger.signals import NewSignal, record_signal

T = datetime(2026, 11, 28, 12, 0, 5, 250_000, tzinfo=UTC)
BTC = Symbol("BTCUSDT")
ENTRIES = (Action.OPEN, Action.ADD, Action.REVERSE)


def fresh() -> apsw.Connection:
    db = open_memory()
    people(db)
    return db


def people(db: apsw.Connection) -> None:
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 0, x'00', 'k', x'00')"
    )
    db.execute("INSERT INTO master VALUES ('m', 'm', 'p')")
    db.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0)"
    )
    db.execute(
        "INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, "
        "created_us)"
        " VALUES ('a', 'a', 'p', 'paper', 'paper', x'00', 1, 0)"
    )
    db.execute(
        "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) VALUES ('u', "
        "'a', 's', '{}', 0)"
    )


@dataclass(frozen=True)
class Sent:
    """A signal of a sender. ``signed`` are the seconds at which it was signed, or None; ``sent`` is
    the time in the body.
    """

    action: Action
    seq: int | None = None
    sent: float | None = None
    signed: float | None = None
    sender: str = "bot"


_number = count(100)


def record(db: apsw.Connection, each: Sent, received: float) -> str:
    """Record a delivery and return the key; times are seconds after T."""
    number, now = next(_number), T + timedelta(seconds=received)
    sent_at = None if each.sent is None else T + timedelta(seconds=each.sent)
    signed_at = (
        None if each.signed is None else (T + timedelta(seconds=each.signed)).replace(microsecond=0)
    )
    told = sent_at or signed_at
    more: dict[str, Any] = {}
    if each.action is Action.SET_PROTECTION:
        more["stop_loss"] = Price(Decimal(1))
    if each.action is Action.REDUCE:
        more["size"] = SignalSize(SizeMode.FRACTION, fraction=Ratio(Decimal("0.5")))
    side = PositionSide.LONG if each.action in ENTRIES else None
    draft = SignalDraft(f"k{number}", each.action, BTC, side, sent_at=sent_at, seq=each.seq, **more)
    new = NewSignal(
        id=SignalId(f"sig{number}"),
        receipt=ReceiptId(f"r{number}"),
        new_copy_id=lambda: CopyId(f"c{number}"),
        strategy=StrategyId("s"),
        origin=each.sender,
        draft=draft,
        body_hash=b"h",
        decided_at=now if told is None else min(told, now),
        received_at=now,
        is_told=told is not None,
    )
    record_signal(db, new)
    row = fetch_one(db, "SELECT order_key FROM signal WHERE id = ?", (f"sig{number}",))
    assert row is not None
    return str(row[0])


def alerts(db: apsw.Connection) -> list[str]:
    return [
        row[0]
        for row in fetch_all(
            db, "SELECT json_extract(data, '$.code') FROM event WHERE kind = 'alert'"
        )
    ]


OPEN, C, R = Action.OPEN, Action.CLOSE, Action.REVERSE


@pytest.mark.parametrize(
    "entry_then_exit",
    [
        (
            Sent(OPEN, 57, signed=0),
            Sent(C, 1, signed=0.4),
        ),  # the bot began anew, in the same second
        (Sent(OPEN, 57, signed=0), Sent(C, 1, signed=30)),
        (Sent(OPEN, 57, sent=0, signed=0), Sent(C, 1, sent=0.3, signed=0.3)),
        (Sent(OPEN, sent=0.4), Sent(C, signed=0.4)),  # microseconds, and whole seconds
        (Sent(OPEN, sent=0.4), Sent(C, sent=-0.25)),
        (Sent(OPEN), Sent(C, sent=-1.5)),  # an entry without a time, an exit whose clock is behind
        (Sent(OPEN), Sent(C, sent=-120)),
        (Sent(OPEN, 5, sent=0), Sent(C, sent=-2)),
        (Sent(OPEN, sent=0), Sent(C, 5, sent=-2)),
        (Sent(OPEN, 7, sent=0), Sent(C, 3, sent=-2, sender="other")),
        (Sent(R, 7, sent=0), Sent(C, sent=-2)),
    ],
)
def test_an_exit_that_came_after_an_entry_closes_it(entry_then_exit: tuple[Sent, Sent]) -> None:
    db = fresh()
    entered, left = record(db, entry_then_exit[0], 0.5), record(db, entry_then_exit[1], 31)
    assert left > entered + ".1"


@pytest.mark.parametrize(
    "action", [Action.CLOSE, Action.REDUCE, Action.CANCEL, Action.SET_PROTECTION]
)
def test_an_exit_stands_before_an_entry_that_its_own_numbers_put_behind_it(action: Action) -> None:
    db = fresh()
    first = record(db, Sent(OPEN, 1, sent=0), 0)
    newer = record(db, Sent(OPEN, 4, sent=3), 3)
    older = record(db, Sent(action, 3, sent=2), 4)
    between = record(db, Sent(action, 2, sent=1), 5)
    assert first < between < newer
    assert first < older < newer


@pytest.mark.parametrize(
    "exit_then_entry",
    [
        (Sent(C, 7, signed=0), Sent(OPEN, 6, signed=0)),
        (Sent(C, 7, signed=0), Sent(OPEN, 6, signed=20)),  # signed anew when it was sent again
        (Sent(C, 7, sent=0), Sent(OPEN, 6, sent=-0.1)),
        (Sent(C, sent=0), Sent(OPEN, sent=-1)),
        (Sent(C, signed=0), Sent(OPEN, sent=-3)),
        (Sent(C, sent=0, sender="person"), Sent(OPEN, 1, sent=-3)),
        (Sent(R, sent=0), Sent(Action.ADD, sent=-1)),
        (Sent(Action.CANCEL, sent=0), Sent(OPEN, sent=-1)),
    ],
)
def test_an_entry_that_was_sent_before_an_exit_and_came_after_it_is_sent_nowhere(
    exit_then_entry: tuple[Sent, Sent],
) -> None:
    db = fresh()
    left, entered = record(db, exit_then_entry[0], 0), record(db, exit_then_entry[1], 25)
    assert entered < left
    code = fetch_one(db, "SELECT code FROM copy ORDER BY signal_number DESC")
    assert code == ("skipped.superseded",)
    assert alerts(db) == []


@pytest.mark.parametrize(
    "exit_then_entry",
    [
        (Sent(C, 57, sent=0), Sent(OPEN, 1, sent=0.3)),
        (Sent(C, 57, signed=0), Sent(OPEN, 1, signed=61)),
        (Sent(C, sent=0.1), Sent(OPEN, signed=0.1)),  # the entry has whole seconds
        (Sent(C), Sent(OPEN, sent=-2)),  # a clock that is behind, and an exit that told no time
        (Sent(C, sent=0), Sent(OPEN)),
        (Sent(C, 3, sent=5, sender="other"), Sent(OPEN, 1, sent=5)),
        (Sent(C, 3, sent=2), Sent(OPEN, 4, sent=1)),  # the number says more than the time
        (Sent(Action.SET_PROTECTION, sent=2), Sent(OPEN, sent=1)),
    ],
)
def test_an_entry_that_follows_an_exit_is_not_superseded(
    exit_then_entry: tuple[Sent, Sent],
) -> None:
    db = fresh()
    left, entered = record(db, exit_then_entry[0], 0.4), record(db, exit_then_entry[1], 62)
    assert entered > left
    assert fetch_one(db, "SELECT code FROM copy ORDER BY signal_number DESC") == (None,)


def test_a_numbering_that_falls_back_is_told_once_an_hour() -> None:
    db = fresh()
    record(db, Sent(OPEN, 57, sent=0), 0)
    for number in range(3):
        record(db, Sent(C, 1, sent=10 + 10 * number), 10 + 10 * number)
    assert alerts(db) == ["numbering_restarted"]
    data = fetch_all(db, "SELECT subject, data FROM event WHERE kind = 'alert'")[0]
    assert data[0] == "trend"
    assert '"greatest":"57"' in data[1]


def test_after_a_restart_the_new_numbers_count_and_a_late_one_of_the_old_ones_does_not_undo_a_close() -> (
    None
):
    db = fresh()
    record(db, Sent(OPEN, 57, sent=0), 0)
    closed = record(db, Sent(C, 1, sent=10), 10)
    assert record(db, Sent(OPEN, 58, sent=5), 11) < closed
    opened = record(db, Sent(OPEN, 2, sent=12), 12)
    assert opened > closed
    assert record(db, Sent(C, 3, sent=13), 13) > opened


def test_what_an_account_leaves_or_flattens_supersedes_nothing_of_the_others() -> None:
    db = fresh()
    record(db, Sent(OPEN, sent=0), 0)
    new = NewSignal(
        id=SignalId("flat"),
        receipt=ReceiptId("flat"),
        new_copy_id=lambda: CopyId("flat"),
        strategy=StrategyId("s"),
        origin="operator:flatten",
        draft=SignalDraft("flat", C, BTC),
        body_hash=b"h",
        decided_at=T + timedelta(seconds=60),
        received_at=T + timedelta(seconds=60),
        only=frozenset({AccountId("a")}),
    )
    record_signal(db, new)
    opened = record(db, Sent(OPEN, sent=30), 61)
    assert opened != FIRST_ORDER_KEY


def test_an_old_protection_does_not_undo_a_newer_one_and_stands_behind_the_entry() -> None:
    db = fresh()
    opened, moved = (
        record(db, Sent(OPEN, sent=0), 0),
        record(db, Sent(Action.SET_PROTECTION, sent=9), 9),
    )
    assert opened < record(db, Sent(Action.SET_PROTECTION, sent=5), 10) < moved
    assert record(db, Sent(OPEN, sent=11), 11) < record(db, Sent(Action.SET_PROTECTION, sent=8), 12)


def test_keys_of_an_old_ledger_stand_before_new_ones() -> None:
    db = fresh()
    old = record(db, Sent(OPEN, sent=0), 0)
    as_it_was = "0000000000000000057.0001795867205000000.000000000001"
    db.execute("UPDATE signal SET order_key = ?, numbering = NULL", (as_it_was,))
    assert old < as_it_was
    assert record(db, Sent(C, sent=1), 1) > as_it_was
    assert record(db, Sent(OPEN, sent=2), 2) > as_it_was


def test_a_ledger_from_before_is_compared_with_as_if_its_exits_were_told_now() -> None:
    db, mine = (
        apsw.Connection(MEMORY),
        next(number for number, each in enumerate(MIGRATIONS) if "newest_told" in each),
    )
    for migration in MIGRATIONS[:mine]:
        db.execute(migration)
    people(db)
    for number, (action, seq) in enumerate(
        [("open", 3), ("close", 4), ("close", None), ("set_protection", None)], start=1
    ):
        moves = {"stop_loss": Price(Decimal(1))} if action == "set_protection" else {}
        draft = write_draft(
            SignalDraft(f"k{number}", Action(action), BTC, PositionSide.LONG, seq=seq, **moves)
        )
        values = (
            number,
            f"s{number}",
            f"r{number}",
            f"k{number}",
            draft,
            seq or 4,
            f"{seq or 4:019d}.{number:019d}.{number:012d}",
            number,
        )
        db.execute(
            "INSERT INTO signal (number, id, receipt_id, dedupe_key, draft, seq, order_key, "
            "decided_us, received_us, strategy_id, origin,"
            " body_hash, symbol) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 's', 'bot', x'00', 'BTCUSDT')",
            values,
        )
    let_add_up(db)
    for migration in MIGRATIONS[mine:]:
        db.execute(migration)
    told = fetch_all(
        db,
        "SELECT kind, numbering, seq, numbered_us, other_us, order_key FROM newest_told ORDER BY "
        "kind",
    )
    assert [row[:5] for row in told] == [
        ("exits", 0, 4, 2, 3),
        ("protections", None, None, None, 4),
    ]
    assert fetch_all(db, "SELECT numbering FROM signal ORDER BY number") == [
        (0,),
        (0,),
        (None,),
        (None,),
    ]
    assert record(db, Sent(OPEN, 5, sent=0), 0) > max(row[5] for row in told)


actions = st.sampled_from([OPEN, C, R, Action.ADD, Action.CANCEL])
kinds = st.lists(actions, min_size=1, max_size=8)


@settings(max_examples=150)
@given(kinds, st.randoms(use_true_random=False), st.sampled_from([1.0, 0.001, 0.1]), st.booleans())
def test_numbers_of_one_numbering_order_exits_and_entries_however_they_arrive(
    sent: list[Action], random: Random, gap: float, is_sent: bool
) -> None:
    db = fresh()
    record(db, Sent(C, 0, sent=0 if is_sent else None, signed=0), 0)
    made = [(each, seq) for seq, each in enumerate(sent, start=1)]
    random.shuffle(made)
    kept: list[tuple[Action, int, str]] = []
    for delay, (action, seq) in enumerate(made):
        sent_s = seq * gap if is_sent else None
        key = record(db, Sent(action, seq, sent=sent_s, signed=seq * gap), 20 + delay / 10)
        later_exits = [
            known for kind, known, _ in kept if kind in (C, R, Action.CANCEL) and known > seq
        ]
        if action in (OPEN, Action.ADD):
            assert (key == FIRST_ORDER_KEY) == bool(later_exits)
        kept.append((action, seq, key))
    keys = [key for _, _, key in kept if key != FIRST_ORDER_KEY]
    assert len(set(keys)) == len(keys)
    for kind, seq, key in kept:
        for other, other_seq, other_key in kept:
            if (
                kind in (C, Action.CANCEL)
                and other in (OPEN, Action.ADD)
                and other_key != FIRST_ORDER_KEY
            ):
                assert (key > other_key) == (seq > other_seq)
    assert alerts(db) == []


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(actions, st.booleans(), st.floats(-300, 0, allow_nan=False)),
        min_size=2,
        max_size=8,
    )
)
def test_without_numbers_an_exit_closes_every_entry_that_was_recorded_before_it(
    sent: list[tuple[Action, bool, float]],
) -> None:
    db = fresh()
    entered: list[str] = []
    for number, (action, is_told, behind_s) in enumerate(sent):
        key = record(db, Sent(action, sent=number + behind_s if is_told else None), number)
        if action in (C, R, Action.CANCEL):
            assert all(key > each for each in entered)
        if action in ENTRIES:
            entered.append(key)


@settings(max_examples=100)
@given(st.lists(st.tuples(actions, st.booleans()), min_size=2, max_size=10))
def test_a_sender_that_begins_anew_now_and_then_loses_nothing(
    sent: list[tuple[Action, bool]],
) -> None:
    db, seq, newest = fresh(), 40, ""
    for number, (action, restarts) in enumerate(sent):
        seq = 1 if restarts else seq + 1
        key = record(db, Sent(action, seq, sent=number * 2.0), number * 2.0 + 0.1)
        assert key > newest
        newest = key + ".1"
