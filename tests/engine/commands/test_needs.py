"""The sentence at the top of the operator's page: well only where everything is, and otherwise what needs a person, the worst first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.commands.needs import how_it_is

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)


def seen(**changes: Any) -> dict[str, Any]:
    """Return what ``status`` tells of a place where all is well, with changes."""
    engine = {"running": True, "ledger_healthy": True, "accounts_read": 3, "troubled": {}, "exchanges_in_trouble": {}}
    told = {"engine": engine, "accounts": {"paper": 2, "live": 1}, "open_orders": {}, "switches": [], "alerts": [], "still": []}
    engine |= changes.pop("engine", {})
    return told | changes


def alert(age: timedelta, *, wakes: bool = True) -> dict[str, Any]:
    return {"at": (NOW - age).isoformat(), "wakes": wakes}


def test_all_is_well_names_what_was_looked_at() -> None:
    assert how_it_is(seen(), 0, NOW) == (
        "All is well: 3 of 3 accounts are read, every order is proven, new entries are taken everywhere.", [],
    )  # fmt: skip


def test_accounts_that_are_not_read_yet_are_not_called_well() -> None:
    assert how_it_is(seen(engine={"accounts_read": 2}), 0, NOW)[0].startswith("Nothing is wrong so far: 2 of 3")


def test_an_order_that_the_engine_looks_up_needs_nobody_and_is_told() -> None:
    assert "1 order is being looked up" in how_it_is(seen(open_orders={"unknown": 1}), 0, NOW)[0]


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"engine": {"running": False}}, "engine", "does not run"),
        ({"engine": {"ledger_healthy": False}}, "ledger", "disk space"),
        ({"still": [{"account": "", "cause": "it is old"}]}, "still", "this place stands still, no order of any kind leaves: it is old"),
        ({"still": [{"account": each, "cause": "it is old"} for each in "ab"]}, "still", "a, b stand still"),
        ({"still": [{"account": "a", "cause": "it is old"}]}, "still", "a stands still"),
        ({"open_orders": {"not_confirmed": 2}}, "unknowns", "2 orders are not confirmed"),
        ({"engine": {"troubled": {"a": {"quarantined": True}}}}, "quarantine", "1 account is in quarantine: a"),
        ({"engine": {"troubled": {each: {"quarantined": False} for each in "abcde"}}}, "troubled", "a, b, c and 2 more"),
        ({"engine": {"exchanges_in_trouble": {"mudrex": "timed out"}}}, "exchange", "mudrex cannot be read: timed out"),
        ({"switches": [{"scope": "all", "target": ""}, {"scope": "account", "target": "x"}]}, "switches", "everything, account x"),
        ({"alerts": [alert(timedelta(minutes=5))]}, "alerts", "1 new alert asks"),
    ],
)
def test_each_need_is_named_with_its_code_and_all_is_not_well(changes: dict[str, Any], code: str, word: str) -> None:
    well, needs = how_it_is(seen(**changes), 0, NOW)
    assert (well, [each["code"] for each in needs]) == ("", [code])
    assert word in needs[0]["what"]
    assert needs[0]["do"].startswith("rexalgo ")
    assert needs[0]["is_wrong"] is (code not in ("switches", "wishes"))


def test_an_alert_that_wakes_nobody_or_is_old_needs_nobody_now() -> None:
    assert how_it_is(seen(alerts=[alert(timedelta(hours=2)), alert(timedelta(0), wakes=False)]), 0, NOW)[1] == []


def test_the_worst_stands_first_and_a_wish_last() -> None:
    told = seen(engine={"ledger_healthy": False}, open_orders={"not_confirmed": 1}, switches=[{"scope": "all", "target": ""}])
    assert [each["code"] for each in how_it_is(told, 1, NOW)[1]] == ["ledger", "unknowns", "switches", "wishes"]
