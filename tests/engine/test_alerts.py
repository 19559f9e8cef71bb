"""Alerts: a closed set with texts for each; equal alerts within an hour are one with a count."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from engine.domain.alert import ALERTS, Alert, AlertCode
from engine.ledger.alerts import (
    ChannelState,
    channel_state,
    delivered,
    know_channels,
    newest_alerts,
    raise_alert,
    undelivered_alerts,
)
from engine.ledger.database import open_memory

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize("code", list(AlertCode))
def test_every_alert_has_all_its_words_and_says_them_with_its_numbers(code: AlertCode) -> None:
    words = ALERTS[code]
    named = {
        name
        for text in (words.sentence, words.done, words.do, words.otherwise)
        for name in re.findall(r"\{(\w+)\}", text)
    }
    alert = Alert(1, code, "ann", NOW, dict.fromkeys(named - {"subject"}, "7"))
    for text in (alert.sentence, alert.done, alert.do, alert.otherwise):
        assert text
        assert "?" not in text
        assert "{" not in text


def test_an_alert_is_told_again_after_the_clock_was_set_back_by_more_than_an_hour() -> None:
    db = open_memory()
    told = [
        raise_alert(db, AlertCode.EXIT_FAILING, "ann", {}, NOW + timedelta(minutes=minutes))
        for minutes in (0, -30, -61, -31)
    ]
    assert told == [True, False, True, False]


def test_equal_alerts_within_an_hour_are_one_with_a_count() -> None:
    db = open_memory()
    know_channels(db, ["log"])
    details = {"problem": "timeout"}
    assert raise_alert(db, AlertCode.ACCOUNT_QUARANTINED, "ann", details, NOW)
    for minute in range(1, 60):
        assert not raise_alert(
            db,
            AlertCode.ACCOUNT_QUARANTINED,
            "ann",
            {"problem": "other words"},
            NOW + timedelta(minutes=minute),
        )
    assert raise_alert(db, AlertCode.ACCOUNT_QUARANTINED, "bob", details, NOW)
    assert raise_alert(db, AlertCode.RESIDUE, "ann", details, NOW, "BTCUSDT")
    assert raise_alert(db, AlertCode.RESIDUE, "ann", details, NOW, "ETHUSDT")
    assert raise_alert(
        db, AlertCode.ACCOUNT_QUARANTINED, "ann", details, NOW + timedelta(minutes=61)
    )
    told = [(each.code, each.subject, each.count) for each in undelivered_alerts(db, "log", 20)]
    assert told[0] == (AlertCode.ACCOUNT_QUARANTINED, "ann", 1)
    assert told[-1] == (AlertCode.ACCOUNT_QUARANTINED, "ann", 60)
    assert len(told) == 5
    assert "60 times" in newest_alerts(db, NOW, 1)[0].sentence


def test_an_alert_is_told_although_a_later_one_was_told_before_it() -> None:
    db = open_memory()
    know_channels(db, ["log", "other"])
    for name in ("ann", "bob"):
        assert raise_alert(db, AlertCode.RESIDUE, name, {}, NOW)
    first, second = undelivered_alerts(db, "log", 20)
    delivered(db, "log", second.number)  # its number is greater: only its commit came first
    assert undelivered_alerts(db, "log", 20) == [first]
    assert channel_state(db, "log") == ChannelState(told=second.number, waiting=1, since=NOW)
    know_channels(db, ["log", "other"])  # after a restart: nothing is told twice
    assert undelivered_alerts(db, "log", 20) == [first]
    assert undelivered_alerts(db, "other", 20) == [first, second]
    delivered(db, "log", first.number)
    assert channel_state(db, "log").waiting == 0
    assert channel_state(db, "other").waiting == 2


def test_a_new_channel_is_told_what_is_raised_from_then_on_and_a_former_one_is_forgotten() -> None:
    db = open_memory()
    know_channels(db, ["log", "former"])
    raise_alert(db, AlertCode.RESIDUE, "ann", {}, NOW)
    know_channels(db, ["log", "new"])
    assert [channel_state(db, each).waiting for each in ("log", "former", "new")] == [1, 0, 0]
    raise_alert(db, AlertCode.RESIDUE, "bob", {}, NOW)
    assert [channel_state(db, each).waiting for each in ("log", "former", "new")] == [2, 0, 1]
    assert [each.subject for each in undelivered_alerts(db, "new", 20)] == ["bob"]
    know_channels(db, ["log", "former"])  # it is new again
    assert [channel_state(db, each).waiting for each in ("log", "former", "new")] == [2, 0, 0]


def test_an_alert_about_an_account_without_real_money_says_so_first() -> None:
    db = open_memory()
    know_channels(db, ["log"])
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 0, x'00', 'k', x'00')"
    )
    for name, environment in (("ann", "paper"), ("bob", "simulated"), ("carl", "live")):
        db.execute(
            "INSERT INTO account (id, name, person_id, exchange, environment, sealed, "
            "row_version, created_us) VALUES"
            " (?1, ?1, 'p', 'x', ?2, x'00', 1, 0)",
            (name, environment),
        )
        raise_alert(
            db,
            AlertCode.RESIDUE,
            name,
            {"quantity": "1", "symbol": "BTCUSDT", "cause": "too small"},
            NOW,
        )
    scoped = {"scope": "account ann", "flags": "--account ann", "cause": "too many"}
    raise_alert(db, AlertCode.BREAKER_TRIPPED, "ann", scoped, NOW)
    raise_alert(db, AlertCode.NUMBERING_RESTARTED, "ann", {}, NOW)  # a strategy of the same name
    told = [each.sentence for each in undelivered_alerts(db, "log", 20)]
    begins = [
        "PAPER ann: 1 BTCUSDT",
        "SIMULATED bob: 1 BTCUSDT",
        "carl: 1 BTCUSDT",
        "PAPER account ann: new entries",
        "Strategy ann: ",
    ]
    assert all(sentence.startswith(begin) for sentence, begin in zip(told, begins, strict=True)), (
        told
    )
