"""The time of the pages beside the health route of the same run, and their size.

The ledger has 1,000 followers and 100,000 outcomes, and every account's task runs. Each page is
requested in turn with the health route, so that both run under the same load.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import httpx

from bench.options import Options
from bench.past import conclude_open
from bench.place import Paper, place
from bench.rows import Aim, Row, middle
from engine.ledger.database import open_database

FOLLOWERS: Final = 1_000
ROUNDS: Final = 15
AIM: Final = 5.0
WEIGHT_KIB_MAX: Final = 64
"""Of a page as it is sent, compressed."""
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
PAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "follower:f00001": (
        "/home",
        "/strategies",
        "/strategies/{strategy}",
        "/strategies/{strategy}/follow",
        "/signals",
        "/positions",
        "/orders",
        "/performance",
        "/trades",
        "/calendar",
        "/accounts",
        "/accounts/f00001",
        "/notifications",
        "/security",
    ),
    "master:alpha": (
        "/studio",
        "/studio/copy-trading",
        "/studio/strategies/{strategy}",
        "/studio/strategies/{strategy}/signals",
        "/studio/strategies/{strategy}/deliveries",
        "/studio/debugger",
    ),
    "operator": (
        "/operate",
        "/operate/switches",
        "/operate/unknowns",
        "/operate/people",
        "/operate/alerts",
        "/operate/webhooks",
        "/operate/audit",
        "/operate/plugins",
        "/operate/system",
        "/operate/accounts/f00001",
    ),
}


def fill(signals: int, path: Path) -> None:
    """Record that many signals and conclude each of their copies."""
    db = open_database(str(path))
    begin = datetime.now(UTC) - timedelta(days=3)
    for number in range(signals):
        with db:
            conclude_open(db, number, begin + timedelta(minutes=30 * number))
    db.close()


async def timed(client: httpx.AsyncClient, path: str) -> tuple[float, int]:
    """Send one request; return milliseconds and bytes as sent. Raises httpx.HTTPStatusError."""
    began = perf_counter()
    answer = await client.get(path)
    took = (perf_counter() - began) * 1000
    answer.raise_for_status()
    return took, answer.num_bytes_downloaded


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield a row for each page."""
    followers = options.followers[0] if options.followers else FOLLOWERS
    groups, past = {"trend": followers}, partial(fill, options.signals)
    async with place(Paper(), groups, past=past, symbols=SYMBOLS, pages=True) as served:
        for person, patterns in PAGES.items():
            async with httpx.AsyncClient(
                base_url=served.url, trust_env=False, timeout=60
            ) as client:
                await client.post(f"/demo/{person}", headers={"Origin": served.url})
                listed = (await client.get("/strategies")).text
                strategy = listed.partition('href="/strategies/')[2].partition('"')[0]
                for pattern in patterns:
                    path = pattern.format(strategy=strategy)
                    yield await page_row(client, pattern, path, options.rounds or ROUNDS)


async def page_row(client: httpx.AsyncClient, pattern: str, path: str, rounds: int) -> Row:
    """Return the row of one page."""
    await timed(client, path)  # the first request compiles the template
    seen, floor, weight = [], [], 0
    for _ in range(rounds):
        floor.append((await timed(client, "/api/health"))[0])
        took, weight = await timed(client, path)
        seen.append(took)
    took, base = middle(seen), middle(floor)
    return Row(
        scenario="pages",
        case=pattern,
        figure="answer p50",
        unit="ms",
        value=took,
        floor=base,
        aims=(
            Aim(what="x health route", limit=AIM, found=took / base),
            Aim(what="KiB", limit=WEIGHT_KIB_MAX, found=weight / 1024),
        ),
    )
