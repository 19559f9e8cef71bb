"""Missed entries by week: from Monday in the reader's zone, and only what could have been copied."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.missed import EntryOutcome, missed_by_week
from engine.domain.outcome import Outcome, OutcomeCode

SUNDAY_NIGHT = datetime(2026, 11, 29, 23, tzinfo=UTC)


def entry(
    code: OutcomeCode, at: datetime = SUNDAY_NIGHT, strategy: str = "trend", filled: str = "0"
) -> EntryOutcome:
    return EntryOutcome(
        signal=1,
        at=at,
        outcome=Outcome(code, {"filled": filled}),
        account="bob",
        environment="live",
        strategy_id=f"str_{strategy}",
        strategy=strategy,
    )


def test_a_week_begins_on_monday_in_the_readers_zone() -> None:
    entries = [entry(OutcomeCode.EXPIRED)]
    assert [each.monday for each in missed_by_week(entries, "UTC")] == [date(2026, 11, 23)]
    assert [each.monday for each in missed_by_week(entries, "Asia/Kolkata")] == [date(2026, 11, 30)]


def test_reasons_are_counted_the_most_frequent_first() -> None:
    denied, expired = OutcomeCode.DENIED_BALANCE, OutcomeCode.EXPIRED
    (week,) = missed_by_week(
        [entry(expired), entry(denied), entry(denied), entry(denied, strategy="other")]
        + [entry(OutcomeCode.FILLED)] * 4,
        "UTC",
    )
    assert (week.copied, week.missed) == (4, 4)
    assert [(each.code, each.strategy, each.count) for each in week.reasons] == [
        (denied, "trend", 2),
        (denied, "other", 1),
        (expired, "trend", 1),
    ]


def test_what_is_known_of_missed_entries_is_added_up() -> None:
    missed = [replace(entry(OutcomeCode.EXPIRED), signal=number) for number in (1, 2, 3)]
    results = {("bob", 1): Decimal("1.5"), ("bob", 3): Decimal(-4), ("eve", 2): Decimal(100)}
    (reason,) = missed_by_week(missed, "UTC", results)[0].reasons
    assert (reason.count, reason.known, reason.result) == (3, 2, Decimal("-2.5"))
    (reason,) = missed_by_week(missed, "UTC")[0].reasons
    assert (reason.known, reason.result) == (0, None), "not known is not nothing"


def test_what_could_not_be_missed_is_not_counted() -> None:
    for code in (
        OutcomeCode.SKIPPED_TEST,
        OutcomeCode.SKIPPED_ALREADY_OPEN,
        OutcomeCode.UNKNOWN,
        OutcomeCode.NOT_CONFIRMED,
    ):
        assert missed_by_week([entry(code)], "UTC") == []
    in_part = entry(OutcomeCode.CANCELLED, filled="0.001")
    (week,) = missed_by_week([entry(OutcomeCode.FILLED), in_part], "UTC")
    assert (week.copied, week.missed, week.reasons) == (2, 0, ())
    (week,) = missed_by_week([entry(OutcomeCode.CANCELLED)], "UTC")
    assert (week.copied, week.missed) == (0, 1)


@given(st.lists(st.tuples(st.sampled_from(list(OutcomeCode)), st.integers(0, 60)), max_size=40))
def test_reasons_add_up_to_what_was_missed_and_weeks_go_back(
    drawn: list[tuple[OutcomeCode, int]],
) -> None:
    weeks = missed_by_week(
        [entry(code, SUNDAY_NIGHT - timedelta(days=days)) for code, days in drawn], "UTC"
    )
    assert [each.missed for each in weeks] == [
        sum(reason.count for reason in each.reasons) for each in weeks
    ]
    mondays = [each.monday for each in weeks]
    assert mondays == sorted(set(mondays), reverse=True)
    assert {each.weekday() for each in mondays} <= {0}
