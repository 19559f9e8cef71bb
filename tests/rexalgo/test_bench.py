"""The benchmark suite runs in its smallest form, so that it is there when it is needed. Its figures
are not judged here.
"""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

from bench.__main__ import SCENARIOS, parsed
from bench.pages import LEFT_OUT
from bench.pages import PAGES as MEASURED
from bench.rows import Aim, Row, percentile, printed, table
from web.app import PAGES

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> str:
    """Run the suite's command; return its output."""
    told = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def test_the_smallest_fan_out_gives_a_whole_row_for_each_action(tmp_path: Path) -> None:
    file = tmp_path / "build" / "bench.json"
    said = bench("fanout", "--followers", "3", "--rounds", "1", "--quiet", "0", "--json", str(file))
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    cases = [f"3 followers, plain, {each}" for each in ("cold open", "warm open", "warm add")]
    cases += [f"3 followers, plain, {each}" for each in ("warm reverse", "warm close")]
    assert [each["case"] for each in rows] == cases
    for row in rows:
        beside = row["beside"]
        assert 0 < beside["first order ms"] <= row["value"] <= beside["last outcome ms"], row
        assert row["floor"] > 0
        assert math.isclose(row["ratio"], row["value"] / row["floor"])
        assert min(row["loop_us"], row["writer_us"], row["memory_kib"]) > 0
        assert [each["what"] for each in row["aims"]] == ["copies not filled"]
        assert row["aims"][0]["holds"], row
        if "warm" in row["case"]:
            assert row["statements"] > row["commits"] > 0
            assert 0 < beside["turn wall_p50 ms"] <= beside["turn wall_max ms"]
    assert "5 rows in" in said
    shown = bench("--table", str(file))
    assert all(f"| {case} |" in shown for case in cases)


def test_without_a_choice_every_scenario_runs() -> None:
    assert parsed([]).scenario == list(SCENARIOS)
    assert parsed(["burst", "idle"]).scenario == ["burst", "idle"]
    assert parsed(["--followers", "10,1000"]).followers == (10, 1000)


def test_every_page_is_measured_or_left_out_with_a_reason() -> None:
    def bare(addresses: list[str]) -> set[str]:
        return {re.sub(r"<\w+>", "<>", each.partition("?")[0]) for each in addresses}

    measured = bare([each for pages in MEASURED.values() for each in pages])
    left_out = bare(list(LEFT_OUT))
    assert measured | left_out == bare([each.address for each in PAGES if each.method == "GET"])
    assert not measured & left_out


def row_of(**fields: object) -> Row:
    given = {"scenario": "s", "case": "c", "figure": "f", "unit": "ms", "value": 30.0}
    return Row(**given | fields)  # type: ignore[arg-type]


def test_a_row_says_whether_its_aims_hold() -> None:
    most = Aim(what="x floor", limit=4, found=4)
    over = Aim(what="x floor", limit=4, found=4.1)
    least = Aim(what="of the bare route", limit=0.75, found=0.7, at_least=True)
    unknown = Aim(what="x floor", limit=4, found=None)
    assert [each.holds for each in (most, over, least, unknown)] == [True, False, False, False]
    row = row_of(floor=10.0, aims=(over, least))
    assert row.ratio == 3
    assert printed(row).count("MISSED") == 2
    assert Row.read(json.loads(json.dumps(row.stored()))) == row
    bare = row_of(value=None, floor=10.0, aims=(unknown,), notes=("3 copies were not filled",))
    assert (bare.ratio, Row.read(json.loads(json.dumps(bare.stored())))) == (None, bare)
    assert "(<= 4.00: MISSED)" in printed(bare)
    assert "3.00" in table({"cores": 2}, [row])


def test_percentiles_are_ranks() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile(range(1, 101), 99) == 99
    assert percentile([7], 99) == 7
