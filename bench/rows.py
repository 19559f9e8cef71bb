"""One measured row, its aims, and how rows are printed and kept."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

HOLDS: Final = {True: "holds", False: "MISSED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A limit that a row should keep. ``at_least``: the figure may not be below the limit. A figure
    that could not be measured keeps none.
    """

    what: str
    limit: float
    found: float | None
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Return whether the row keeps the limit."""
        if self.found is None:
            return False
        return self.found >= self.limit if self.at_least else self.found <= self.limit

    def text(self) -> str:
        """Return the aim, what was found, and whether it holds."""
        sign = ">=" if self.at_least else "<="
        found, limit = shown(self.found), shown(self.limit)
        return f"{self.what} {found} ({sign} {limit}: {HOLDS[self.holds]})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case of a scenario.

    ``value`` and ``floor`` are medians of the same run in ``unit``; a row without a value measured
    something else than it should have, and its notes say what. CPU is thread time in
    microseconds per order (per delivery in ``ingress``), until the last outcome. Statements and
    commits are counted in a round of their own. ``memory_kib`` is the resident memory of the
    measured process. ``load`` is the machine's load average of one minute before and after.
    ``beside`` holds further figures, whose names end with their unit.
    """

    scenario: str
    case: str
    figure: str
    unit: str
    value: float | None
    floor: float | None = None
    loop_us: float | None = None
    writer_us: float | None = None
    statements: float | None = None
    commits: float | None = None
    memory_kib: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    aims: tuple[Aim, ...] = ()
    notes: tuple[str, ...] = ()
    load: tuple[float, float] = (0.0, 0.0)
    measured_at: str = ""

    @property
    def ratio(self) -> float | None:
        """Return the figure in units of its floor."""
        return None if self.value is None or not self.floor else self.value / self.floor

    def stored(self) -> dict[str, Any]:
        """Return the row as JSON values, with what is derived from it."""
        aims = [asdict(each) | {"holds": each.holds} for each in self.aims]
        return asdict(self) | {"ratio": self.ratio, "aims": aims}

    @staticmethod
    def read(stored: Mapping[str, Any]) -> "Row":
        """Return a stored row."""
        fields = dict(stored)
        fields.pop("ratio")
        names = ("what", "limit", "found", "at_least")
        aims = tuple(Aim(**{name: each[name] for name in names}) for each in fields.pop("aims"))
        notes, load = tuple(fields.pop("notes")), tuple(fields.pop("load"))
        return Row(**fields, aims=aims, notes=notes, load=load)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the nearest-rank percentile; raises IndexError without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def middle(values: Sequence[float]) -> float:
    """Return the median; raises StatisticsError without values."""
    return median(values)


def shown(value: float | None) -> str:
    """Return a number with three digits that matter, or a dash."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def printed(row: Row) -> str:
    """Return the row's lines for a terminal."""
    cells = [f"{row.figure} {shown(row.value)} {row.unit}"]
    if row.floor is not None:
        cells.append(f"floor {shown(row.floor)}, x {shown(row.ratio)}")
    if row.loop_us is not None or row.writer_us is not None:
        cells.append(f"CPU us loop {shown(row.loop_us)} writer {shown(row.writer_us)}")
    if row.statements is not None:
        cells.append(f"SQL {shown(row.statements)} commits {shown(row.commits)}")
    if row.memory_kib is not None:
        cells.append(f"{shown(row.memory_kib / 1024)} MiB")
    cells.append(f"load {row.load[0]:.1f} to {row.load[1]:.1f}")
    lines = [f"{row.scenario}: {row.case}", "    " + " | ".join(cells)]
    if row.beside:
        lines.append("    " + ", ".join(f"{name} {shown(row.beside[name])}" for name in row.beside))
    lines += [f"    aim: {each.text()}" for each in row.aims]
    lines += [f"    note: {each}" for each in row.notes]
    return "\n".join(lines)


def keep(file: Path, machine: Mapping[str, object], rows: Sequence[Row]) -> None:
    """Write the rows as JSON; the folder is created if missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    stored = {"machine": machine, "rows": [each.stored() for each in rows]}
    file.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def kept(file: Path) -> tuple[Mapping[str, object], list[Row]]:
    """Read what ``keep`` wrote; raises OSError and ValueError."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    return stored["machine"], [Row.read(each) for each in stored["rows"]]


def table(machine: Mapping[str, object], rows: Sequence[Row]) -> str:
    """Return the rows as Markdown, one table for each scenario."""
    heads = (
        "case",
        "figure",
        "floor",
        "ratio",
        "CPU us: loop",
        "writer",
        "SQL",
        "commits",
        "MiB",
        "load",
        "aims",
        "beside",
    )
    lines = ["Measured on " + ", ".join(f"{name} {machine[name]}" for name in machine) + "."]
    for scenario in dict.fromkeys(each.scenario for each in rows):
        lines += ["", f"### {scenario}", ""]
        lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
        lines += [
            "| " + " | ".join(_cells(each)) + " |" for each in rows if each.scenario == scenario
        ]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    beside = [f"{name} {shown(value)}" for name, value in row.beside.items()]
    return (
        row.case,
        f"{row.figure} {shown(row.value)} {row.unit}",
        shown(row.floor),
        shown(row.ratio),
        shown(row.loop_us),
        shown(row.writer_us),
        shown(row.statements),
        shown(row.commits),
        shown(None if row.memory_kib is None else row.memory_kib / 1024),
        f"{row.load[0]:.1f} to {row.load[1]:.1f}",
        "; ".join(each.text() for each in row.aims),
        "; ".join((*beside, *row.notes)),
    )
