"""The first command that anybody runs: a bot and an algorithm side by side, on paper."""

import json
from pathlib import Path

from journey_place import run_cli


def test_the_demo_ends_with_an_outcome_for_every_copy_of_both_strategies(tmp_path: Path) -> None:
    told = json.loads(
        run_cli("demo", "--once", "--json", "--followers", 3, "--signals", 2, cwd=tmp_path)
    )
    assert (told["complete"], told["environment"]) == (True, "paper")
    assert told["copies"] == sum(told["outcomes"].values()) == 6
    algo = told["algo"]
    assert (algo["strategy"], algo["source"]) == ("cross", "crossover")
    assert algo["signals"] == sum(algo["outcomes"].values()) >= 1
    assert list(tmp_path.iterdir()) == []
