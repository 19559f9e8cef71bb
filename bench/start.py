"""From the start of the process until orders can flow: CPU of the process, and wall time.

The floor is the same installation without followers: Python, imports, and an empty ledger. A folder
is served once before it is measured, because a first start makes files. An engine that has not read
every account within 30 s is ready without them: such accounts are counted. The last case starts
once with 10,000 copies that have no outcome: entries that became too old while nothing ran.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic_ns
from typing import Final

import trio

from bench.options import Options
from bench.past import record_open
from bench.place import Folder, exchange, provisioned
from bench.rows import Aim, Row, middle
from engine.ledger.database import open_database
from engine.ledger.query import fetch_all

FOLLOWERS: Final = (1_000, 5_000)
ROUNDS: Final = 3
SIGNALS: Final = 10
AIM_CPU_S: Final = 4.0
AIM_FOLLOWERS: Final = 5_000
WITHIN_S: Final = 300.0
LOOKS_EVERY_S: Final = 0.05


def leave_open(signals: int, path: Path) -> None:
    """Record signals of an hour ago, whose copies wait."""
    db = open_database(str(path))
    begin = datetime.now(UTC) - timedelta(hours=1)
    for number in range(signals):
        with db:
            record_open(db, number, begin + timedelta(seconds=number))
    db.close()


async def started(folder: Folder) -> dict[str, float]:
    """Serve the folder until it is ready and every copy has an outcome; return the seconds."""
    async with folder.served() as at:
        ready = (at.ready["ready_ns"] - at.started_ns) / 1e9
        with trio.fail_after(WITHIN_S):
            while fetch_all(at.db, "SELECT 1 FROM copy WHERE code IS NULL LIMIT 1"):  # noqa: ASYNC110 - another process writes it
                await trio.sleep(LOOKS_EVERY_S)
        concluded = (monotonic_ns() - at.started_ns) / 1e9
        return {
            "cpu": at.ready["cpu_s"],
            "wall": ready,
            "concluded": concluded,
            "unread": at.ready["unread"],
            "memory_kib": await at.memory_kib(),
        }


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield a row for each number of followers, and one with open copies."""
    sizes, rounds = options.followers or FOLLOWERS, options.rounds or ROUNDS
    async with exchange() as venue, provisioned(venue, {"trend": 0}) as empty:
        await started(empty)
        for followers in sizes:
            async with provisioned(venue, {"trend": followers}) as folder:
                await started(folder)
                floor, seen = [], []
                for _ in range(rounds):
                    floor.append(await started(empty))
                    seen.append(await started(folder))
                yield row_of(f"{followers:,} followers", seen, floor, followers)
        past = partial(leave_open, SIGNALS)
        async with provisioned(venue, {"trend": sizes[0]}, past=past) as folder:
            floor, seen = [await started(empty)], [await started(folder)]
            case = f"{sizes[0]:,} followers, {SIGNALS * sizes[0]:,} open copies, a first start"
            yield row_of(case, seen, floor, sizes[0])


def row_of(
    case: str, seen: list[dict[str, float]], floor: list[dict[str, float]], followers: int
) -> Row:
    """Return the row of one case."""
    cpu = middle([each["cpu"] for each in seen])
    unread = max(each["unread"] for each in seen)
    aims = [Aim(what="accounts not read when ready", limit=0, found=unread)]
    if followers == AIM_FOLLOWERS:
        aims.append(Aim(what="CPU s", limit=AIM_CPU_S, found=cpu))
    return Row(
        scenario="start",
        case=case,
        figure="CPU until ready",
        unit="s",
        value=cpu,
        floor=middle([each["cpu"] for each in floor]),
        memory_kib=middle([each["memory_kib"] for each in seen]),
        beside={
            "wall s": middle([each["wall"] for each in seen]),
            "every copy concluded s": middle([each["concluded"] for each in seen]),
        },
        aims=tuple(aims),
    )
