"""What people are told of an outcome, and when a digest is due: once a day, never twice."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.calendar import DaySum
from engine.decisions.messages import (
    LINES_MAX,
    digest_day,
    digest_due,
    digest_span,
    digest_words,
    outcome_kind,
    outcome_title,
    outcome_words,
)
from engine.domain.message import MessageKind
from engine.domain.outcome import Outcome, OutcomeCode

ORDERS, MISSED = MessageKind.ORDERS, MessageKind.MISSED


@pytest.mark.parametrize(
    ("action", "code", "kind"),
    [
        ("open", OutcomeCode.FILLED, ORDERS),
        ("close", OutcomeCode.FILLED, ORDERS),
        ("open", OutcomeCode.PLACED, None),
        ("open", OutcomeCode.DENIED_BALANCE, MISSED),
        ("add", OutcomeCode.DENIED_DAILY_LOSS, MISSED),
        ("open", OutcomeCode.SKIPPED_WATCH_ONLY, None),
        ("open", OutcomeCode.SKIPPED_ALREADY_OPEN, None),
        ("open", OutcomeCode.UNKNOWN, None),
        ("open", OutcomeCode.CANCELLED, MISSED),
        ("close", OutcomeCode.CANCELLED, None),
        ("close", OutcomeCode.SKIPPED_NOTHING_TO_CLOSE, None),
    ],
)
def test_what_an_outcome_is_told_as(
    action: str, code: OutcomeCode, kind: MessageKind | None
) -> None:
    outcome = Outcome(code)
    assert outcome_kind(action, outcome, is_test=False, is_of_copy=True) is kind
    assert outcome_kind(action, outcome, is_test=True, is_of_copy=True) is None


def test_what_an_exit_of_a_reverse_met_is_no_missed_entry() -> None:
    for code in OutcomeCode:
        told = outcome_kind("reverse", Outcome(code), is_test=False, is_of_copy=False)
        assert told is (ORDERS if code is OutcomeCode.FILLED else None)


def test_an_order_that_filled_in_part_was_not_missed() -> None:
    for code in (OutcomeCode.CANCELLED, OutcomeCode.REJECTED):
        outcome = Outcome(code, {"filled": "0.001"})
        assert outcome_kind("open", outcome, is_test=False, is_of_copy=True) is ORDERS
        assert title(outcome) == "bob: open BTCUSDT partly filled"
    open_still = Outcome(OutcomeCode.PARTIALLY_FILLED, {"filled": "0.001"})
    assert outcome_kind("open", open_still, is_test=False, is_of_copy=True) is None


def test_every_outcome_has_words() -> None:
    for code in OutcomeCode:
        assert outcome_words("trend", Outcome(code)).startswith("trend: ")


def title(
    outcome: Outcome, environment: str = "live", action: str = "open", *, is_of_copy: bool = True
) -> str:
    return outcome_title(
        environment=environment,
        account="bob",
        action=action,
        symbol="BTCUSDT",
        outcome=outcome,
        is_of_copy=is_of_copy,
    )


def test_the_closing_half_of_a_reverse_is_not_told_as_the_reverse() -> None:
    """Its entry may not be copied: then the account is flat."""
    filled = Outcome(OutcomeCode.FILLED, {"filled": "1"})
    assert title(filled, action="reverse") == "bob: reverse BTCUSDT filled"
    half = title(filled, action="reverse", is_of_copy=False)
    assert half == "bob: close to reverse BTCUSDT filled"
    assert title(filled, action="close", is_of_copy=False) == "bob: close BTCUSDT filled"


def test_an_account_without_real_money_is_labelled_first() -> None:
    denied = Outcome(OutcomeCode.DENIED_BALANCE)
    assert title(denied, "paper") == "PAPER bob: open BTCUSDT not copied"
    assert title(denied) == "bob: open BTCUSDT not copied"
    assert title(Outcome(OutcomeCode.FILLED, {"filled": "1"})) == "bob: open BTCUSDT filled"


def test_a_digest_says_what_was_closed_and_how_much_more_there_is() -> None:
    words = digest_words(
        [f"line {number}" for number in range(LINES_MAX)],
        LINES_MAX + 3,
        {
            "live": DaySum(2, 1, Decimal("12.50")),
            "paper": DaySum(1, 0, Decimal("-3"), unreconciled=1),
            "testnet": DaySum(unreconciled=1),
            "simulated": DaySum(),
        },
        digest_span("Asia/Kolkata", "2026-11-27", "2026-11-30"),  # two days late
    ).splitlines()
    span = "from 27 Nov 08:00 to 30 Nov 08:00"
    assert words[0] == f"LIVE: 2 trades closed {span}, +12.50 USDT net of fees"
    assert words[1] == f"PAPER: 2 trades closed {span}, -3.00 USDT net of fees, 1 not settled yet"
    assert words[2] == f"TESTNET: 1 trade closed {span}, 1 not settled yet"
    assert words[-1] == "and 3 more"
    assert len(words) == LINES_MAX + 4


zones = st.sampled_from(sorted(available_timezones()))
times = st.integers(0, 10 * 365 * 86_400).map(
    lambda seconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(times, zones, st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_a_day_has_one_digest_from_eight_o_clock_on(
    begins: datetime, zone: str, hours: list[int]
) -> None:
    now, newest, sent = begins, digest_day(begins, zone, ""), list[str]()
    told_until = digest_span(zone, "", newest)[1]
    for each in hours:
        now += timedelta(hours=each)
        day = digest_day(now, zone, newest)
        if day:
            sent.append(day)
            since, until = digest_span(zone, newest, day)
            assert since == told_until  # a closed trade is in one digest, however late one comes
            told_until = until
            newest = day
        local = now.astimezone(ZoneInfo(zone))
        if local.hour >= 9:  # an hour of slack for the nights on which clocks are set
            assert newest == local.date().isoformat()
    assert sent == sorted(set(sent))


@given(times, zones)
def test_a_digest_is_due_from_the_moment_on_that_it_has_a_day(begins: datetime, zone: str) -> None:
    newest = digest_day(begins, zone, "")
    due = digest_due(zone, newest)
    assert begins < due <= begins + timedelta(hours=50)  # some places left out a day
    assert digest_day(due, zone, newest) > newest
    assert digest_day(due - timedelta(seconds=1), zone, newest) == ""
