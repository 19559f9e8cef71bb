"""What metrics count: each event of the ledger once, and times by stage."""

from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.measuring import BOUNDS_S, Histogram, Measured, Recorded

RECEIVED = 1_000_000


def outcome(sequence: int, code: str = "filled", **times: int | None) -> Recorded:
    return Recorded(
        sequence=sequence,
        at_us=RECEIVED + 600_000,
        kind="outcome",
        code=code,
        **{"received_us": RECEIVED, "claimed_us": None, "ended_us": None} | times,
    )


def test_an_event_is_counted_once_by_its_kind() -> None:
    measured = Measured(after=3)
    for each in (
        outcome(3),
        outcome(4),
        outcome(4),
        outcome(5, "unknown"),
        Recorded(sequence=6, at_us=1, kind="alert", code="test"),
        Recorded(sequence=7, at_us=1, kind="switch", code="all"),
    ):
        measured.add(each)
    assert (measured.after, dict(measured.outcomes)) == (7, {"filled": 1, "unknown": 1})
    assert dict(measured.alerts) == {"test": 1}


def test_the_copies_of_a_signal_are_counted_once() -> None:
    measured = Measured(after_signal=3)
    for signal, number in ((3, 9), (4, 2), (4, 2), (7, 5)):
        measured.add_copies(signal, number)
    assert (measured.after_signal, measured.copies) == (7, 7)


def test_only_an_order_that_is_over_has_times() -> None:
    measured = Measured()
    measured.add(outcome(1))
    measured.add(outcome(2, claimed_us=RECEIVED + 20_000))
    measured.add(outcome(3, claimed_us=RECEIVED + 20_000, ended_us=RECEIVED + 520_000))
    sums = {stage: round(each.sum_s, 6) for stage, each in measured.stages.items()}
    assert sums == {"queue": 0.02, "exchange": 0.5, "total": 0.6}
    assert {sum(each.counts) for each in measured.stages.values()} == {1}


@given(st.lists(st.floats(-5, 500)))
def test_a_histogram_counts_every_time_under_the_bounds_that_it_fits(times: list[float]) -> None:
    histogram = Histogram()
    for each in times:
        histogram.add(each)
    rows = histogram.cumulative()
    assert rows[-1] == ("+Inf", len(times))
    for (bound, count), number in zip(rows, BOUNDS_S, strict=False):
        assert (float(bound), count) == (number, sum(each <= number for each in times))
