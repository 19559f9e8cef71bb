"""The alert rules of deploy/prometheus, played by the real promtool over series of metrics.

``storm_of_429.json`` is a recording: what a real server showed every 15 s while its exchange
refused every request for ten minutes, and for six minutes after. ``REXALGO_STORM`` names the file to
which ``test_metrics.py`` records another.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RECORDING = Path(__file__).with_name("storm_of_429.json")
STEP_S = 15
CALM = 120
"""Steps of calm before what is told begins: half an hour."""

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]


def promtool() -> str:
    """Return the command; without it the test is skipped."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed here (apt-get install prometheus)")
    return found


def samples(text: str) -> Samples:
    """Return every sample of a scrape."""
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def series_name(name: str, labels: Labels = ()) -> str:
    """Return a series as PromQL writes it."""
    return f"{name}{{" + ",".join(f'{key}="{value}"' for key, value in labels) + "}"


def rules() -> dict[str, dict[str, Any]]:
    """Return every rule by name."""
    (group,) = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]
    return {each["alert"]: each for each in group["rules"]}


def words(expression: str) -> set[str]:
    """Return the names of our metrics in an expression."""
    return set(re.findall(r"\brexalgo_[a-z0-9_]+", expression))


def recorded() -> dict[str, list[float | None]]:
    """Return the recording: the values of each series, one each step, None before it appeared."""
    read: dict[str, list[float | None]] = json.loads(RECORDING.read_text())
    return read


def record(scrapes: Sequence[Samples], to: Path) -> None:
    """Write what the rules refer to."""
    wanted = set().union(*(words(each["expr"]) for each in rules().values()))
    keys = sorted({key for each in scrapes for key in each if key[0] in wanted})
    told = {series_name(*key): [each.get(key) for each in scrapes] for key in keys}
    lines = (f" {json.dumps(name)}: {json.dumps(values)}" for name, values in told.items())
    to.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def firing(
    folder: Path, stories: Sequence[tuple[Mapping[str, str], int, set[str]]]
) -> "subprocess.CompletedProcess[str]":
    """Play the rules over each story: its series in promtool's notation, a step, and the names of
    exactly the alerts that fire then.
    """
    tests = [
        {
            "interval": f"{STEP_S}s",
            "input_series": [
                {"series": name.replace("{", '{job="rexalgo",instance="here",', 1), "values": told}
                for name, told in series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": 'count(ALERTS{alertstate="firing"}) by (alertname)',
                    "eval_time": f"{step * STEP_S}s",
                    "exp_samples": [
                        {"labels": f'{{alertname="{each}"}}', "value": 1} for each in sorted(fire)
                    ],
                }
            ],
        }
        for series, step, fire in stories
    ]
    file = folder / "stories.yaml"
    file.write_text(
        json.dumps(
            {
                "rule_files": [str(FOLDER / "rules.yaml")],
                "evaluation_interval": f"{STEP_S}s",
                "tests": tests,
            }
        )
    )
    return subprocess.run(
        [promtool(), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        timeout=120,
        check=False,
    )


def constant(value: float | None) -> str:
    """Return a value that stays, in promtool's notation."""
    return "_x400" if value is None else f"{value}x400"


def between_calm(values: Sequence[float | None]) -> str:
    """Return half an hour of the first value, the values, and half an hour of the last one, in
    promtool's notation.
    """
    first, *told, last = ("_" if value is None else str(value) for value in values)
    return " ".join((f"{first}x{CALM - 1}", first, *told, f"{last}x{CALM}"))
