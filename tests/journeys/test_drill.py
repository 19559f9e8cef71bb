"""Drills: they are listed, and one of them is played to its end."""

import json
from pathlib import Path

from journey_place import run_cli


def test_the_drills_are_listed_and_a_wrong_name_says_which_there_are(tmp_path: Path) -> None:
    assert set(json.loads(run_cli("drill", "--json", cwd=tmp_path))["drills"]) == {
        "flatten",
        "storm",
        "lost-answers",
        "restart",
        "restore",
    }
    run_cli("drill", "nonsense", cwd=tmp_path, code=2)


def test_a_server_that_is_stopped_with_orders_out_ends_in_time_and_looks_them_up(
    tmp_path: Path,
) -> None:
    told = json.loads(run_cli("drill", "restart", "--followers", "5", "--json", cwd=tmp_path))
    assert told["passed"], told
    assert told["environment"] == "simulated"
    assert list(tmp_path.iterdir()) == []
