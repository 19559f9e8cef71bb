"""Run the benchmark suite: ``python -m bench [scenario ...]``, or ``make bench ARGS="..."``.

Prints each row as soon as it is measured, and keeps all of them as JSON. Exit code 0 means that
everything was measured, whether aims hold or not.
"""

import argparse
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw
import trio

from bench import (
    burst,
    fanout,
    history,
    idle,
    ingress,
    isolation,
    migration,
    mudrex,
    pages,
    records,
    start,
)
from bench.options import Options, Scenario
from bench.rows import Row, keep, kept, printed, table

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "fanout": fanout.measure,
    "tls": fanout.measure_tls,
    "history": history.measure,
    "ingress": ingress.measure,
    "isolation": isolation.measure,
    "burst": burst.measure,
    "idle": idle.measure,
    "start": start.measure,
    "mudrex": mudrex.measure,
    "pages": pages.measure,
    "records": records.measure,
    "migration": migration.measure,
}
FILE: Final = Path("build/bench.json")
TOGETHER_S: Final = 0.5
"""Rows that follow each other faster were measured together, and have the same load."""


def machine() -> dict[str, object]:
    """Return what a reader must know of this machine."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_GiB": round(pages / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "SQLite": apsw.sqlite_lib_version(),
    }


async def run(names: list[str], options: Options, file: Path, rows: list[Row]) -> None:
    """Measure the scenarios; print and keep each row."""
    for name in names:
        load, at = (os.getloadavg()[0],) * 2, trio.current_time()
        async for measured in SCENARIOS[name](options):
            if trio.current_time() - at > TOGETHER_S:
                load = (load[1], os.getloadavg()[0])
            at = trio.current_time()
            now = datetime.now(UTC).isoformat(timespec="seconds")
            rows.append(replace(measured, load=load, measured_at=now))
            print(printed(rows[-1]), flush=True)
            keep(file, machine(), rows)


def numbers(text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them."""
    return tuple(int(each) for each in text.split(","))


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; what is not chosen of the options is absent."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, argument_default=argparse.SUPPRESS
    )
    names = ", ".join(SCENARIOS)
    parser.add_argument(
        "scenario", nargs="*", default=list(SCENARIOS), help=f"any of {names}; none: all"
    )
    parser.add_argument("--followers", type=numbers, help="such as 10,100,1000")
    parser.add_argument("--rounds", type=int, help="warm rounds of each case")
    parser.add_argument("--seconds", type=float, help="of each timed part of ingress and idle")
    parser.add_argument("--outcomes", type=int, help="of the history and the pages")
    parser.add_argument("--signals", type=int, help="of each strategy in the burst")
    parser.add_argument("--quiet", dest="quiet_s", type=float, help="seconds between two signals")
    parser.add_argument("--json", type=Path, default=FILE, metavar="FILE", help=f"default {FILE}")
    parser.add_argument(
        "--keep", action="store_true", default=False, help="keep other scenarios' rows in the file"
    )
    parser.add_argument(
        "--table", type=Path, metavar="FILE", default=None, help="only print a file as Markdown"
    )
    chosen = parser.parse_args(arguments)
    if unknown := [each for each in chosen.scenario if each not in SCENARIOS]:
        parser.error(f"expected scenarios among {names}, found {unknown[0]}")
    return chosen


def main(arguments: list[str]) -> None:
    """Run the chosen scenarios, or print the table of an earlier run."""
    chosen = parsed(arguments)
    if chosen.table is not None:
        print(table(*kept(chosen.table)))
        return
    known = {each.name for each in fields(Options)}
    options = Options(**{name: value for name, value in vars(chosen).items() if name in known})
    rows = []
    if chosen.keep and chosen.json.exists():
        rows = [each for each in kept(chosen.json)[1] if each.scenario not in chosen.scenario]
    trio.run(run, chosen.scenario, options, chosen.json, rows)
    missed = [each for each in rows if not all(aim.holds for aim in each.aims)]
    print(f"{len(rows)} rows in {chosen.json}; an aim is missed in {len(missed)} of them")


if __name__ == "__main__":
    main(sys.argv[1:])
