"""The circuit of an exchange: it opens after failures of several accounts in a row, closes with any
answer, and saves retries.
"""

from datetime import UTC, datetime, timedelta

from engine.decisions.circuit import PAUSE_MAX, Circuit

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def failing(circuit: Circuit, count: int, accounts: int, at: datetime = NOW) -> None:
    for index in range(count):
        circuit.failed(f"a{index % accounts}", "ReadTimeout", at)


def test_it_opens_for_several_accounts_and_not_for_one() -> None:
    alone, several = Circuit(), Circuit()
    failing(alone, 20, 1)
    failing(several, 5, 2)
    assert alone.wait_s(NOW) == several.wait_s(NOW) == 0
    failing(several, 1, 1)
    assert several.wait_s(NOW) == 2
    assert several.wait_s(NOW + timedelta(seconds=2)) == 0
    assert several.openings == 1


def test_old_failures_do_not_count_and_anything_that_works_starts_anew() -> None:
    circuit = Circuit()
    failing(circuit, 5, 2)
    failing(circuit, 1, 1, NOW + timedelta(seconds=21))
    assert circuit.wait_s(NOW + timedelta(seconds=21)) == 0
    circuit.worked("well")
    failing(circuit, 5, 3, NOW + timedelta(seconds=22))
    assert circuit.openings == 0


def test_it_stays_open_longer_each_time_up_to_a_minute() -> None:
    circuit, at, pauses = Circuit(), NOW, []
    for _ in range(8):
        failing(circuit, 6, 2, at)
        pauses.append(circuit.wait_s(at))
        at += timedelta(seconds=circuit.wait_s(at))
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert timedelta(seconds=60) == PAUSE_MAX
    circuit.worked("well")
    assert circuit.wait_s(at) == 0


def test_retries_are_kept_to_a_share_of_what_is_new() -> None:
    circuit = Circuit()
    assert sum(circuit.may_retry() for _ in range(1_000)) == 50
    for _ in range(100):
        circuit.began()
    assert sum(circuit.may_retry() for _ in range(1_000)) in (
        19,
        20,
    )  # a fifth each, in binary fractions


def test_accounts_that_fail_beside_others_that_work_open_it_for_nobody() -> None:
    circuit = Circuit()
    failing(circuit, 2, 2)
    circuit.worked("well")
    failing(circuit, 100, 2)
    assert circuit.wait_s(NOW) == 0
    circuit.worked("a0")  # answered itself: its next failures are news
    circuit.worked("a1")
    failing(circuit, 6, 2)
    assert circuit.wait_s(NOW) == 2
