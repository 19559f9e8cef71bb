"""The first sentence of the operator's page: well only if everything is, otherwise what needs
attention, the worst first.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.commands import needs
from engine.commands.needs import how_it_is, how_old
from web.operators.overview import NEEDS

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)


def switch(scope: str, target: str, *, is_owners: bool = False) -> dict[str, Any]:
    return {"scope": scope, "target": target, "person": "", "role": "", "is_owners": is_owners}


def seen(**changes: Any) -> dict[str, Any]:
    """Return the answer of ``status`` when all is well, with changes."""
    engine = {
        "running": True,
        "silent": None,
        "ledger_healthy": True,
        "accounts_read": 3,
        "troubled": {},
        "failing": {},
        "exchanges_in_trouble": {},
    }
    told = {
        "engine": engine,
        "accounts": {"paper": 2, "live": 1},
        "open_orders": {},
        "switches": [],
        "alerts": [],
        "untold": [],
        "still": [],
        "refused": [],
        "late": [],
        "queue": [],
        "entry_age_s": 10,
        "loop_turns": {"turns": 900, "p99_ms": 4.0, "longest_ms": 20.0},
        "backup": {"overdue": False, "age_hours": 3.0, "every_hours": 24},
        "missed": {"late": 0, "since": None, "overtaken": 0},
    }
    engine |= changes.pop("engine", {})
    return told | changes


SINCE = "2026-11-25T02:41:07+00:00"
REFUSED: dict[str, Any] = {
    "strategy": "trend",
    "reads_exit": True,
    "count": 1,
    "at": "2026-11-25T02:58:12+00:00",
    "kind": "invalid",
    "place": "action",
    "expected": "open or close",
    "held": 3,
}


def alert(age: timedelta, *, wakes: bool = True) -> dict[str, Any]:
    return {
        "at": (NOW - age).isoformat(),
        "wakes": wakes,
        "code": "exit_refused",
        "subject": "other",
    }


def set_back(age: timedelta) -> dict[str, Any]:
    sentence = "The clock of this installation was set back by 50 s."
    return alert(age, wakes=False) | {"code": "clock_stepped", "sentence": sentence}


def test_all_is_well_names_what_was_looked_at() -> None:
    assert how_it_is(seen(), 0, NOW) == (
        "All is well: 3 of 3 accounts are read, no order waits, no order is unknown, new entries "
        "are taken everywhere, the newest backup is 3 h old.",
        [],
    )


def waiting(count: int, age_s: float, kind: str = "entry") -> dict[str, Any]:
    since = (NOW - timedelta(seconds=age_s)).isoformat()
    return {"kind": kind, "count": count, "since": since}


def test_the_sentence_names_what_waits_under_load_and_the_backup_that_is_not_there() -> None:
    well, needs = how_it_is(seen(queue=[waiting(300, 1.2), waiting(2, 0.5, "exit")]), 0, NOW)
    assert needs == []
    assert "302 orders wait, the oldest for 1.2 s" in well
    for every_hours, told in ((24, "there is no backup yet"), (0, "no backup is made")):
        backup = {"overdue": False, "age_hours": None, "every_hours": every_hours}
        assert told in how_it_is(seen(backup=backup), 0, NOW)[0]


@pytest.mark.parametrize(
    ("age_s", "entry_age_s", "late"),
    [(4.9, 10, False), (5.0, 10, True), (1.4, 3, False), (1.5, 3, True)],
)
def test_entries_are_getting_late_at_half_of_their_age(
    age_s: float, entry_age_s: int, late: bool
) -> None:
    _, needs = how_it_is(seen(queue=[waiting(7, age_s)], entry_age_s=entry_age_s), 0, NOW)
    assert [each["code"] for each in needs] == (["slow"] if late else [])
    _, needs = how_it_is(seen(queue=[waiting(7, age_s, "exit")], entry_age_s=entry_age_s), 0, NOW)
    assert needs == [], "an exit does not expire"


def test_what_was_frozen_asks_for_nobody_once_it_is_confirmed() -> None:
    one = alert(timedelta(minutes=1)) | {"code": "stands_still", "subject": "this installation"}
    assert how_it_is(seen(alerts=[one]), 0, NOW)[1] == []


def test_a_refused_exit_is_told_once() -> None:
    one = alert(timedelta(minutes=1))
    _, needs = how_it_is(seen(refused=[REFUSED], alerts=[one | {"subject": "trend"}]), 0, NOW)
    assert [each["code"] for each in needs] == ["refused"]
    _, needs = how_it_is(seen(refused=[REFUSED], alerts=[one]), 0, NOW)
    assert [each["code"] for each in needs] == ["refused", "alerts"], "of another strategy"


@pytest.mark.parametrize(
    ("hours", "told"), [(0.0, "less than a minute old"), (0.1, "6 min old"), (3.4, "3 h old")]
)
def test_an_age_is_told_in_the_unit_that_people_use(hours: float, told: str) -> None:
    assert how_old(hours) == told


def test_accounts_that_are_not_read_yet_are_not_called_well() -> None:
    assert how_it_is(seen(engine={"accounts_read": 2}), 0, NOW)[0].startswith(
        "Nothing is wrong so far: 2 of 3"
    )


def test_entries_that_a_later_signal_overtook_at_once_are_told_beside_the_sentence() -> None:
    well, needs = how_it_is(seen(missed={"late": 0, "since": None, "overtaken": 40}), 0, NOW)
    assert needs == []
    assert well.endswith(
        " In the last hour later signals overtook 40 entries within seconds: not sent."
    )


def test_an_order_that_the_engine_looks_up_needs_nobody_and_is_told() -> None:
    assert "1 order is being looked up" in how_it_is(seen(open_orders={"unknown": 1}), 0, NOW)[0]


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"engine": {"running": False}}, "engine", "does not run"),
        (
            {"engine": {"silent": {"what": "rexalgo serve", "pid": 7, "since": SINCE}}},
            "engine",
            f"the engine runs (rexalgo serve, process 7, since {SINCE}) and does not answer",
        ),
        ({"engine": {"ledger_healthy": False}}, "ledger", "disk space"),
        (
            {"still": [{"account": "", "cause": "it is old"}]},
            "still",
            "this installation is frozen, no order of any kind is sent: it is old",
        ),
        (
            {"still": [{"account": each, "cause": "it is old"} for each in "ab"]},
            "still",
            "a, b are frozen",
        ),
        ({"still": [{"account": "a", "cause": "it is old"}]}, "still", "a is frozen"),
        ({"open_orders": {"not_confirmed": 2}}, "unknowns", "2 orders are not confirmed"),
        (
            {"engine": {"troubled": {"a": {"quarantined": True}}}},
            "quarantine",
            "1 account is in quarantine: a",
        ),
        (
            {"engine": {"troubled": {each: {"quarantined": False} for each in "abcde"}}},
            "troubled",
            "a, b, c and 2 more",
        ),
        (
            {"engine": {"failing": {"flattening": "WriteRefused: no"}}},
            "failing",
            "flattening keeps failing and is restarted: WriteRefused",
        ),
        (
            {"engine": {"exchanges_in_trouble": {"mudrex": "timed out"}}},
            "exchange",
            "mudrex cannot be read: timed out",
        ),
        (
            {"switches": [switch("all", ""), switch("account", "x")]},
            "switches",
            "everything, account x",
        ),
        (
            {"late": [{"kind": "exit", "count": 1, "since": SINCE}]},
            "late",
            "1 exit waits to be sent, since 02:41:07 UTC",
        ),
        (
            {
                "late": [
                    {"kind": "entry", "count": 900, "since": SINCE},
                    {"kind": "exit", "count": 2, "since": "2026-11-25T02:50:00+00:00"},
                ]
            },
            "late",
            "900 entries, 2 exits wait to be sent, the oldest since 02:41:07 UTC",
        ),
        (
            {"missed": {"late": 900, "since": SINCE, "overtaken": 3}},
            "missed",
            "900 entries of the last hour waited too long and were not sent, since 02:41 UTC",
        ),
        ({"alerts": [alert(timedelta(minutes=5))]}, "alerts", "1 new alert asks"),
        ({"alerts": [set_back(timedelta(minutes=5))]}, "clock", "was set back by 50 s, at 02:55"),
        ({"alerts": [set_back(timedelta(minutes=-5))]}, "clock", "was set back by 50 s, at 03:05"),
        (
            {"untold": [{"channel": "ntfy", "waiting": 1, "since": SINCE}]},
            "channels",
            "1 alert is not told to ntfy, since 02:41:07 UTC: nobody may be reached",
        ),
        (
            {"untold": [{"channel": "ntfy", "waiting": 3, "since": SINCE}]},
            "channels",
            "3 alerts are not told to ntfy, the oldest since 02:41:07 UTC",
        ),
        (
            {"refused": [REFUSED]},
            "refused",
            "an exit of strategy trend was refused once, at 02:58 UTC (action: expected open",
        ),
        (
            {"refused": [{**REFUSED, "reads_exit": False, "count": 4}]},
            "refused",
            "a message of strategy trend was refused 4 times",
        ),
        ({"refused": [{**REFUSED, "kind": "conflict"}]}, "refused", "(its id was used before)"),
    ],
)
def test_each_need_is_named_with_its_code_and_all_is_not_well(
    changes: dict[str, Any], code: str, word: str
) -> None:
    well, needs = how_it_is(seen(**changes), 0, NOW)
    assert (well, [each["code"] for each in needs]) == ("", [code])
    assert word in needs[0]["what"]
    assert needs[0]["do"].startswith("rexalgo ")
    assert needs[0]["is_wrong"] is (code not in ("switches", "wishes"))


@pytest.mark.parametrize(
    ("switches", "do"),
    [
        ([("all", "")], "rexalgo resume entries --all"),
        ([("strategy", "trend")], "rexalgo resume entries --strategy trend"),
        ([("all", ""), ("account", "x")], "rexalgo doctor"),
    ],
)
def test_the_command_that_resumes_can_be_typed_as_it_stands(
    switches: list[tuple[str, str]], do: str
) -> None:
    told = seen(switches=[switch(*each) for each in switches])
    assert [each["do"] for each in how_it_is(told, 0, NOW)[1]] == [do]


def test_what_an_owner_stopped_needs_no_operator() -> None:
    assert not how_it_is(seen(switches=[switch("account", "x", is_owners=True)]), 0, NOW)[1]


def test_an_alert_on_its_way_is_not_missed_and_without_an_engine_only_the_engine_is() -> None:
    """A channel has a minute; and who starts the engine need not look for why nothing is told."""
    just_now = (NOW - timedelta(seconds=59)).isoformat()
    untold = [{"channel": "ntfy", "waiting": 3, "since": just_now}]
    assert how_it_is(seen(untold=untold), 0, NOW)[1] == []
    silent = {"silent": {"what": "rexalgo serve", "pid": 7, "since": SINCE}}
    for engine in ({"running": False}, silent):
        told = seen(untold=[{**untold[0], "since": SINCE}], engine=engine)
        assert [each["code"] for each in how_it_is(told, 0, NOW)[1]] == ["engine"]


def test_an_alert_that_wakes_nobody_or_is_old_needs_nobody_now() -> None:
    assert (
        how_it_is(
            seen(
                alerts=[
                    alert(timedelta(hours=2)),
                    alert(timedelta(0), wakes=False),
                    set_back(timedelta(hours=1)),
                ]
            ),
            0,
            NOW,
        )[1]
        == []
    )


def test_the_worst_stands_first_and_a_wish_last() -> None:
    told = seen(
        engine={"ledger_healthy": False},
        open_orders={"not_confirmed": 1},
        switches=[switch("all", "")],
    )
    assert [each["code"] for each in how_it_is(told, 1, NOW)[1]] == [
        "ledger",
        "unknowns",
        "switches",
        "wishes",
    ]


def test_every_need_leads_to_a_page() -> None:
    source = Path(needs.__file__).read_text(encoding="utf-8")
    codes = set(re.findall(r'(?:yield|yield \()\s*"(\w+)"', source)) - {
        "engine"
    }  # where no engine runs, no page is served
    assert codes == set(NEEDS)
