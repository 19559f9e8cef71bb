"""A share of ``make crash`` in every test run: the real server, killed at the worst moments,
checked against the simulator's own record.
"""

from pathlib import Path

from tests.faults.crash import Schedule, crash

WHERE_IT_HURTS = ("commit_after", "order_before", "order_half", "order_written", "order_answered")


def test_killed_at_commits_and_sends_nothing_is_lost_doubled_or_told_wrongly(
    tmp_path: Path,
) -> None:
    schedule, findings = crash(
        len(WHERE_IT_HURTS), tmp_path, Schedule(1, WHERE_IT_HURTS, first=3), lambda line: None
    )
    assert findings.violations == []
    assert schedule.kills.total() >= len(WHERE_IT_HURTS)
    assert findings.orders > len(WHERE_IT_HURTS)
