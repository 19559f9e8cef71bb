"""Repetitions for a limited time: the text of an alert without an id."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import apsw
import pytest

from engine.decisions.mirroring import Circumstances
from engine.domain.amounts import Price, Ratio
from engine.domain.identifiers import CopyId, ReceiptId, SignalId, StrategyId, Symbol
from engine.domain.signal import (
    FIRST_ORDER_KEY,
    Action,
    AlertFacts,
    PositionSide,
    SignalDraft,
    SignalSize,
    SizeMode,
)
from engine.ledger import Ledger
from engine.ledger.codec import read_draft, write_draft
from engine.ledger.forced_close import forced_close
from engine.ledger.signals import (
    DedupeConflict,
    NewSignal,
    Recorded,
    new_signal,
    record_signal,
    turns,
)
from engine.ledger.studio import signals_of

BEGINNING = datetime(2026, 11, 24, 10, 0, 59, tzinfo=UTC)
EARLIER, LATER = BEGINNING - timedelta(seconds=3), BEGINNING + timedelta(seconds=3)


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    opened = Ledger.in_memory().db
    opened.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 0, x'00', 'k', x'00')"
    )
    opened.execute("INSERT INTO master VALUES ('m', 'm', 'p')")
    opened.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'tradingview', '{}', 0)"
    )
    yield opened
    opened.close()


def came(
    db: apsw.Connection,
    later_s: float,
    key: str = "tv-text",
    origin: str = "endpoint:one",
    action: Action = Action.CLOSE,
    side: PositionSide | None = None,
    **said: Any,
) -> Recorded:
    at = BEGINNING + timedelta(seconds=later_s)
    draft = SignalDraft(key, action, Symbol("BTCUSDT"), side, repeats_s=60, **said)
    name = f"{later_s}-{key}-{origin}"
    new = NewSignal(
        id=SignalId(f"sig-{name}"),
        receipt=ReceiptId(f"rcp-{name}"),
        new_copy_id=lambda: CopyId("c"),
        strategy=StrategyId("s"),
        origin=origin,
        draft=draft,
        body_hash=b"h",
        decided_at=at,
        received_at=at,
    )
    return record_signal(db, new)


@pytest.mark.parametrize("later_s", [0.001, 2, 59.9, 60, -1])
def test_what_comes_again_within_its_time_is_one_signal_over_the_minute_too(
    db: apsw.Connection, later_s: float
) -> None:
    first, again = came(db, 0), came(db, later_s)
    assert (first.is_new, again.is_new) == (True, False)
    assert (again.id, again.receipt) == (first.id, first.receipt)


def test_the_same_words_later_are_a_new_signal_whose_repetition_counts_from_itself(
    db: apsw.Connection,
) -> None:
    first, second, again = came(db, 0), came(db, 60.001), came(db, 100)
    assert second.is_new
    assert (again.is_new, again.id) == (False, second.id)
    assert first.id != second.id


def test_other_words_and_other_addresses_repeat_nothing(db: apsw.Connection) -> None:
    came(db, 0)
    assert came(db, 1, key="tv-text2").is_new
    assert came(db, 1, origin="endpoint:another").is_new


LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
HALF = SignalSize(SizeMode.FRACTION, fraction=Ratio(Decimal("0.5")))
STOP = Price(Decimal(60_000))


@pytest.mark.parametrize("entry", [Action.OPEN, Action.ADD, Action.REVERSE])
def test_the_same_close_again_after_an_entry_is_the_close_of_that(
    db: apsw.Connection, entry: Action
) -> None:
    came(db, 0)
    assert came(db, 1, "tv-in", action=entry, side=LONG).is_new
    again = came(db, 2)
    assert again.is_new
    assert came(db, 3).id == again.id


def test_a_close_of_the_other_side_is_still_a_repetition(db: apsw.Connection) -> None:
    first = came(db, 0, "tv-exit-long", side=LONG)
    came(db, 1, "tv-in", action=Action.OPEN, side=SHORT)
    assert came(db, 2, "tv-exit-long", side=LONG).id == first.id


def test_an_entry_again_is_a_repetition_whatever_came_between(db: apsw.Connection) -> None:
    first = came(db, 0, "tv-in", action=Action.OPEN, side=LONG)
    came(db, 1)
    assert came(db, 2, "tv-in", action=Action.OPEN, side=LONG).id == first.id


def test_a_turn_that_comes_again_after_the_turn_back_closes_and_enters_nothing(
    db: apsw.Connection,
) -> None:
    came(db, 0, "tv-long", action=Action.REVERSE, side=LONG)
    came(db, 1, "tv-short", action=Action.REVERSE, side=SHORT)
    again = came(db, 2, "tv-long", action=Action.REVERSE, side=LONG)
    draft = read_draft(
        db.execute("SELECT draft FROM signal WHERE id = ?", (again.id,)).fetchall()[0][0]
    )
    assert (again.is_new, draft.action, draft.side) == (True, Action.CLOSE, SHORT)


def test_it_is_written_and_read_with_the_draft() -> None:
    draft = SignalDraft("k", Action.CLOSE, Symbol("BTCUSDT"), repeats_s=60)
    assert read_draft(write_draft(draft)) == draft


def as_recorded(db: apsw.Connection, recorded: Recorded) -> tuple[Action, PositionSide | None]:
    draft = read_draft(
        db.execute("SELECT draft FROM signal WHERE id = ?", (recorded.id,)).fetchall()[0][0]
    )
    return draft.action, draft.side


def alert(
    db: apsw.Connection,
    later_s: float,
    action: Action,
    side: PositionSide | None = None,
    **said: Any,
) -> Recorded:
    """Record an alert that states no position; each has another text."""
    return came(
        db, later_s, f"tv-{later_s}", action=action, side=side, **{"alert": AlertFacts(), **said}
    )


def test_an_open_turns_what_is_held_though_one_account_flattened_it(db: apsw.Connection) -> None:
    alert(db, 0, Action.OPEN, LONG)
    record_signal(
        db,
        forced_close(
            "flatten",
            StrategyId("s"),
            Symbol("BTCUSDT"),
            frozenset(),
            BEGINNING + timedelta(seconds=60),
        ),
    )
    assert as_recorded(db, alert(db, 120, Action.OPEN, SHORT)) == (Action.REVERSE, SHORT)


@pytest.mark.parametrize("is_test", [False, True])
def test_an_open_turns_what_is_held_whatever_its_stop_did_and_whatever_was_tried_since(
    db: apsw.Connection, is_test: bool
) -> None:
    alert(db, 0, Action.OPEN, LONG)
    for step in range(1, 20):
        alert(
            db,
            60 * step,
            Action.CLOSE if is_test else Action.SET_PROTECTION,
            is_test=is_test,
            stop_loss=STOP,
        )
    assert as_recorded(db, alert(db, 2_000, Action.OPEN, SHORT)) == (Action.REVERSE, SHORT)


def test_the_same_reduce_again_after_an_entry_is_of_that(db: apsw.Connection) -> None:
    first = came(db, 0, "tv-half", action=Action.REDUCE, side=LONG, size=HALF)
    assert came(db, 1, "tv-half", action=Action.REDUCE, side=LONG, size=HALF).id == first.id
    came(db, 2, "tv-in", action=Action.ADD, side=LONG)
    assert came(db, 3, "tv-half", action=Action.REDUCE, side=LONG, size=HALF).is_new


def test_an_entry_of_before_alerts_told_facts_is_what_the_first_close_closed(
    db: apsw.Connection,
) -> None:
    bare = AlertFacts(is_bare=True)
    alert(db, 0, Action.OPEN, LONG, alert=None)
    alert(db, 3_600, Action.CLOSE, LONG, alert=bare)
    again = alert(db, 7_200, Action.OPEN, LONG, alert=bare)
    assert db.execute(
        "SELECT order_key > ? FROM signal WHERE id = ?", (FIRST_ORDER_KEY, again.id)
    ).fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"side": SHORT, "alert": AlertFacts()}, True),
        ({"side": SHORT, "alert": AlertFacts(is_bare=True)}, True),
        ({"side": LONG, "alert": AlertFacts()}, False),
        ({"side": SHORT}, False),
        ({"side": SHORT, "alert": AlertFacts(), "is_test": True}, False),
    ],
)
def test_which_opens_will_turn_is_known_before_they_are_recorded(
    db: apsw.Connection, said: dict[str, Any], expected: bool
) -> None:
    alert(db, 0, Action.OPEN, LONG)
    assert (
        turns(
            db,
            StrategyId("s"),
            SignalDraft("k", Action.OPEN, Symbol("BTCUSDT"), repeats_s=60, **said),
        )
        is expected
    )


def streamed(db: apsw.Connection, *, stop: str = "60000", content: bytes | None = None) -> Recorded:
    return record_signal(db, said(stop, content))


def said(stop: str, content: bytes | None) -> NewSignal:
    draft = SignalDraft(
        "k1", Action.OPEN, Symbol("BTCUSDT"), LONG, stop_loss=Price(Decimal(stop)), seq=7
    )
    return new_signal(
        StrategyId("s"),
        origin="stream:algo:s",
        draft=draft,
        content=content,
        sent_at=None,
        received=BEGINNING,
    )


def test_a_stream_repeats_a_signal_by_what_it_says_however_it_is_written(
    db: apsw.Connection,
) -> None:
    first, again = streamed(db), streamed(db, stop="60000.00")
    assert (first.is_new, again.is_new) == (True, False)
    assert again.id == first.id
    with pytest.raises(DedupeConflict):
        streamed(db, stop="59000")


def test_what_a_stream_said_before_drafts_were_hashed_by_their_words_is_found_again(
    db: apsw.Connection,
) -> None:
    now = said("60000", None)
    former = replace(now, body_hash=sha256(repr(now.draft).encode()).digest())
    first = record_signal(db, former)
    assert (first.is_new, streamed(db).id) == (True, first.id)
    with pytest.raises(DedupeConflict):
        streamed(db, stop="59000")


def test_a_delivery_is_told_by_its_bytes(db: apsw.Connection) -> None:
    first = streamed(db, content=b"a")
    assert streamed(db, content=b"a").id == first.id
    with pytest.raises(DedupeConflict):
        streamed(db, content=b"b")


def delivered(db: apsw.Connection, content: bytes, **said: Any) -> Recorded:
    draft = SignalDraft("k1", said.pop("action", Action.CLOSE), Symbol("BTCUSDT"), **said)
    return record_signal(
        db,
        new_signal(
            StrategyId("s"),
            origin="endpoint:e",
            draft=draft,
            content=content,
            sent_at=draft.sent_at,
            received=BEGINNING,
        ),
    )


@pytest.mark.parametrize(
    ("first", "again", "entered", "is_done"),
    [
        ({}, {"sent_at": LATER}, None, True),
        ({"side": LONG}, {"side": LONG, "sent_at": LATER, "seq": 9}, None, True),
        ({"side": LONG}, {"side": SHORT, "sent_at": LATER}, None, False),
        ({"side": LONG}, {"sent_at": LATER}, None, False),
        ({"is_test": True}, {"sent_at": LATER}, None, False),
        ({}, {"sent_at": LATER}, LONG, False),
        ({"side": LONG}, {"side": LONG, "sent_at": LATER}, SHORT, True),
        ({"action": Action.OPEN, "side": LONG}, {"sent_at": LATER}, None, False),
        (
            {"action": Action.ADD, "side": LONG},
            {"action": Action.ADD, "side": LONG, "sent_at": LATER},
            None,
            True,
        ),
        (
            {"action": Action.ADD, "side": LONG},
            {"action": Action.ADD, "side": LONG, "sent_at": LATER, "seq": 2},
            None,
            False,
        ),
        (
            {"action": Action.REDUCE, "side": LONG, "size": HALF},
            {"action": Action.REDUCE, "side": LONG, "size": HALF, "sent_at": LATER},
            None,
            True,
        ),
    ],
)
def test_a_conflict_names_the_recorded_signal_and_whether_it_asked_for_the_same(
    db: apsw.Connection,
    first: dict[str, Any],
    again: dict[str, Any],
    entered: PositionSide | None,
    is_done: bool,
) -> None:
    recorded = delivered(db, b"a", **first)
    if entered is not None:
        came(db, 1, "in", action=Action.OPEN, side=entered)
    with pytest.raises(DedupeConflict) as caught:
        delivered(db, b"b", **again)
    assert (caught.value.recorded, caught.value.is_done) == (
        replace(recorded, is_new=False),
        is_done,
    )


def follow(db: apsw.Connection) -> None:
    db.execute(
        "INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, "
        "created_us)"
        " VALUES ('a', 'a', 'p', 'paper', 'paper', x'00', 1, 0)"
    )
    policy = {"mode": "live", "symbols": ["BTCUSDT"]}
    db.execute(
        "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) VALUES ('u', "
        "'a', 's', ?, 0)",
        (json.dumps(policy),),
    )


def test_why_a_signal_reaches_nobody_is_told_again_when_it_is_repeated_and_to_its_master(
    db: apsw.Connection,
) -> None:
    now = Circumstances(entries_off=False, entry_age_s=10)
    early = replace(said("60000", None), circumstances=now)
    first = record_signal(db, early)
    assert first.not_mirrored == "nobody follows the strategy"
    follow(db)
    again = record_signal(db, early)
    assert (again.is_new, again.copies, again.not_mirrored) == (False, 0, first.not_mirrored)
    followed = replace(early, id=SignalId("sig-2"), receipt=ReceiptId("rcp-2"), origin="another")
    second = record_signal(db, followed)
    assert (second.is_new, second.copies, second.not_mirrored) == (True, 1, None)
    assert record_signal(db, followed).not_mirrored is None
    shown = signals_of(db, StrategyId("s"), 10, None, lambda number: None)
    assert [each.not_mirrored for each in shown] == [None, first.not_mirrored]


def test_a_signal_s_time_is_its_sender_s_unless_that_lies_ahead() -> None:
    for told, decided in ((None, BEGINNING), (EARLIER, EARLIER), (LATER, BEGINNING)):
        new = new_signal(
            StrategyId("s"),
            origin="o",
            draft=SignalDraft("k", Action.CLOSE, Symbol("BTCUSDT")),
            content=b"",
            sent_at=told,
            received=BEGINNING,
        )
        assert (new.decided_at, new.is_told) == (decided, told is not None)
