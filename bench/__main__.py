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

from bench import burst, fanout, history, idle, ingress, isolation, mudrex, pages, start
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
}
FILE: Final = Path("build/bench.json")


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
        before = os.getloadavg()[0]
        async for measured in SCENARIOS[name](options):
            after = os.getloadavg()[0]
            row = replace(
                measured,
                load=(before, after),
                measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            rows.append(row)
            print(printed(row), flush=True)
            keep(file, machine(), rows)
            before = after


def numbers(text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them."""
    return tuple(int(each) for each in text.split(","))


def main(arguments: list[str]) -> None:
    """Choose the scenarios and run them, or print the table of an earlier run."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, argument_default=argparse.SUPPRESS
    )
    parser.add_argument("scenario", nargs="*", help=f"any of {', '.join(SCENARIOS)}; none: all")
    parser.add_argument("--followers", type=numbers, help="such as 10,100,1000")
    parser.add_argument("--rounds", type=int, help="warm rounds of each case")
    parser.add_argument("--seconds", type=float, help="of each timed part of ingress and idle")
    parser.add_argument("--outcomes", type=int, help="of the history")
    parser.add_argument("--signals", type=int, help="of each strategy in the burst, of the pages")
    parser.add_argument("--quiet", dest="quiet_s", type=float, help="seconds between two signals")
    parser.add_argument("--json", type=Path, default=FILE, metavar="FILE", help=f"default {FILE}")
    parser.add_argument(
        "--keep", action="store_true", default=False, help="keep other scenarios' rows in the file"
    )
    parser.add_argument(
        "--table", type=Path, metavar="FILE", default=None, help="only print a file as Markdown"
    )
    chosen = parser.parse_args(arguments)
    if chosen.table is not None:
        print(table(*kept(chosen.table)))
        return
    names = chosen.scenario or list(SCENARIOS)
    if unknown := [each for each in names if each not in SCENARIOS]:
        parser.error(f"expected scenarios among {', '.join(SCENARIOS)}, found {unknown[0]}")
    known = {each.name for each in fields(Options)}
    options = Options(**{name: value for name, value in vars(chosen).items() if name in known})
    rows = []
    if chosen.keep and chosen.json.exists():
        rows = [each for each in kept(chosen.json)[1] if each.scenario not in names]
    trio.run(run, names, options, chosen.json, rows)
    missed = [each for each in rows if not all(aim.holds for aim in each.aims)]
    print(f"{len(rows)} rows in {chosen.json}; an aim is missed in {len(missed)} of them")


if __name__ == "__main__":
    main(sys.argv[1:])
