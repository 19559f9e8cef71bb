"""Authenticated and refused deliveries cause alerts: exits at once, grouped and bounded, without
the sender's own text, until settled.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import apsw
import pytest

from engine.domain.alert import AlertCode
from engine.domain.holding import FLATTEN_ORIGIN
from engine.domain.identifiers import CopyId, EndpointId, ReceiptId, SignalId, StrategyId, Symbol
from engine.domain.signal import Action, PositionSide, SignalDraft
from engine.ingress import FIRST_BODY
from engine.ledger import Ledger
from engine.ledger.alerts import newest_alerts
from engine.ledger.deliveries import NewDelivery, deliveries
from engine.ledger.refused import (
    TOLD_AN_HOUR,
    holds_short,
    note_and_alert,
    place_of,
    unsettled_refusals,
)
from engine.ledger.signals import NewSignal, record_signal

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    opened = Ledger.in_memory().db
    opened.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 0, x'00', 'k', x'00');"
        "INSERT INTO master VALUES ('m', 'm', 'p');"
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0),"
        " ('t', 'other', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0);"
        "INSERT INTO endpoint (id, strategy_id, source) VALUES ('one', 's', 'signed_webhook'), "
        "('two', 't', 'tradingview')"
    )
    yield opened
    opened.close()


def refuse(
    db: apsw.Connection,
    *,
    minutes: float = 0,
    reads_exit: bool = True,
    field: str | None = "action",
    endpoint: str = "one",
    kind: str = "invalid",
    expected: str | None = "one of open, close",
) -> None:
    at = NOW + timedelta(minutes=minutes)
    note_and_alert(
        db,
        [
            NewDelivery(
                endpoint=EndpointId(endpoint),
                at=at,
                kind=kind,
                field=field,
                expected=expected,
                signal_id=None,
                dialect="A",
                offset_ms=12,
                peer="203.0.113.9",
                took_us=900,
                reads_exit=reads_exit,
            )
        ],
    )


def hold(db: apsw.Connection, side: str = "LONG", account: str = "a") -> None:
    db.execute(
        "INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, "
        "created_us)"
        " VALUES (?1, ?1, 'p', 'paper', 'paper', x'00', 1, 0);",
        (account,),
    )
    db.execute(
        "INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, "
        "entry_key)"
        " VALUES (?, 'BTCUSDT', 's', ?, '0.1', 0, '')",
        (account, side),
    )


def take(
    db: apsw.Connection,
    action: str,
    minutes: float,
    *,
    is_test: bool = False,
    origin: str = "endpoint:one",
) -> None:
    at, key = NOW + timedelta(minutes=minutes), f"{action}-{minutes}-{is_test}"
    side = PositionSide.LONG if action == "open" else None
    draft = SignalDraft(key, Action(action), Symbol("BTCUSDT"), side, is_test=is_test)
    new = NewSignal(
        id=SignalId(key),
        receipt=ReceiptId(key),
        new_copy_id=lambda: CopyId(key),
        strategy=StrategyId("s"),
        origin=origin,
        draft=draft,
        body_hash=b"",
        decided_at=at,
        received_at=at,
    )
    record_signal(db, new)


def told(db: apsw.Connection) -> list[tuple[AlertCode, str]]:
    return [
        (each.code, each.sentence)
        for each in reversed(newest_alerts(db, NOW - timedelta(days=1), 1_000))
    ]


def test_a_refused_exit_wakes_and_says_where_the_fault_is(db: apsw.Connection) -> None:
    hold(db)
    refuse(db)
    (alert,) = newest_alerts(db, NOW, 10)
    assert (alert.code, alert.wakes, alert.subject) == (AlertCode.EXIT_REFUSED, True, "trend")
    assert alert.sentence.endswith(
        "a verified message that reads like an exit was refused: action: expected one of open, close."
    )
    assert alert.done.endswith("Open positions of the strategy: 1.")
    assert len(deliveries(db, EndpointId("one"), 9)) == 1


def test_another_message_wakes_nobody(db: apsw.Connection) -> None:
    refuse(db, reads_exit=False)
    (alert,) = newest_alerts(db, NOW, 10)
    assert (alert.code, alert.wakes) == (AlertCode.SIGNAL_REFUSED, False)


def test_a_storm_is_folded_by_fault_and_bounded(db: apsw.Connection) -> None:
    for second in range(600):
        refuse(db, minutes=second / 60)
    assert len(told(db)) == 1
    for number in range(200):
        refuse(
            db,
            minutes=11,
            field=f"{'abcdefghij'[number % 10]}{'abcdefghijklmnopqrst'[number // 10]}",
        )
    assert len(told(db)) == TOLD_AN_HOUR + 1
    refuse(db, minutes=11, endpoint="two")
    assert len(told(db)) == TOLD_AN_HOUR + 2, "another strategy's sender has its own bound"
    refuse(db, minutes=75)
    assert told(db)[-1][1].endswith("(600 times within an hour)")


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("action", "action"),
        ("size.quantity", "size.quantity"),
        ("orders[0].side", "orders[0].side"),
        ("market_position", "market_position"),
        (None, "body"),
        ("hunter2-my-passphrase", "body"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "body"),
        ("a" * 33, "body"),
        ("two words", "body"),
        ("", "body"),
        ("<script>", "body"),
    ],
)
def test_a_name_that_may_be_a_secret_is_not_told(
    db: apsw.Connection, field: str | None, shown: str
) -> None:
    assert place_of(field) == shown
    refuse(db, field=field)
    assert told(db)[0][1].endswith(f"refused: {shown}: expected one of open, close.")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("limited", "too many came, and this one is not sent again."),
        ("unavailable", "it could not be recorded here, and is not sent again."),
    ],
)
def test_an_alert_that_was_not_taken_is_not_sent_again(
    db: apsw.Connection, kind: str, why: str
) -> None:
    refuse(db, kind=kind, field=None, expected=None, endpoint="two")
    assert told(db)[0][1].endswith(why)


def test_an_id_that_was_used_before_is_told_as_such(db: apsw.Connection) -> None:
    refuse(db, kind="conflict", field=None, expected=None)
    assert told(db)[0][1].endswith("its id was used before, with another body.")


def test_a_repetition_of_what_is_recorded_is_told_as_that_and_wakes_nobody(
    db: apsw.Connection,
) -> None:
    refuse(db, kind="conflict", field=None, expected=FIRST_BODY, reads_exit=False)
    assert told(db)[0][0] is AlertCode.SIGNAL_REFUSED
    assert told(db)[0][1].endswith(f"with another body, expected {FIRST_BODY}.")


def test_it_is_unsettled_until_a_later_exit_is_taken_or_nothing_is_held(
    db: apsw.Connection,
) -> None:
    hold(db)
    refuse(db)
    refuse(db, minutes=1, endpoint="two", reads_exit=False)
    refuse(db, minutes=2)

    def seen(minutes: float, strategy: str | None = None) -> list[tuple[str, bool, int, int]]:
        found = unsettled_refusals(db, NOW + timedelta(minutes=minutes), strategy)
        return [(each.strategy, each.reads_exit, each.count, each.held) for each in found]

    assert seen(3) == [("trend", True, 2, 1), ("other", False, 1, 0)]
    assert seen(3, "t") == [("other", False, 1, 0)]
    assert seen(300) == [("trend", True, 2, 1)], (
        "an exit that was lost matters while something is held"
    )
    assert seen(24 * 60 + 3) == []
    take(db, "open", 4)
    take(db, "close", 4, is_test=True)
    take(db, "close", 4.5, origin=FLATTEN_ORIGIN)  # it may be of one account alone
    assert seen(5, "s") == [("trend", True, 2, 1)]
    take(db, "close", 6)
    assert seen(7, "s") == []
    refuse(db, minutes=8)
    assert seen(9, "s") == [("trend", True, 3, 1)]
    db.execute("UPDATE holding SET share = '0'")
    assert seen(9, "s") == [("trend", True, 3, 0)], "within the hour it is told whatever is held"
    assert seen(100, "s") == []


def test_a_short_of_another_strategy_makes_no_buy_an_exit(db: apsw.Connection) -> None:
    hold(db)
    assert not holds_short(db, StrategyId("s"))
    hold(db, "SHORT", "b")
    assert (holds_short(db, StrategyId("s")), holds_short(db, StrategyId("t"))) == (True, False)
