"""The cost of the pages beside the health route of the same run, and their size.

The ledger has 1,000,000 outcomes: of 1,000 followers, and once more of ten, whose own histories are
a hundred times as long. Every account's task runs and holds an open position; the looking follower
also watches a second strategy, whose prices were recorded for a month; some orders are unknown; the
audit has 100,000 rows. Each page is requested in turn with the health route, so that both run under
the same load; what they are compared by is the least CPU time of the loop, which load changes least.
The first request of a page compiles its template and finds nothing kept, so it stands apart.
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Final

import httpx

from bench import history
from bench.options import Options
from bench.place import Paper, Place, place
from bench.rows import Aim, Row, middle, percentile
from engine.decisions.recorded_prices import BLOCK_S, PriceBlock, Samples, pack
from engine.domain.amounts import Price
from engine.domain.identifiers import StrategyId, Symbol
from engine.domain.subscription import Mode
from engine.ledger import Database
from engine.ledger.codec import read_policy
from engine.ledger.database import open_database
from engine.ledger.following import agree
from engine.ledger.people import account_named, strategy_named
from engine.ledger.prices import write_blocks
from engine.ledger.query import fetch_one

FOLLOWERS: Final = (1_000, 10)
ROUNDS: Final = 15
FILE_ROUNDS: Final = 2
LOOKS: Final = 3
"""Statements and turns of the loop are those of the least of so many requests: tasks run beside."""
AIM: Final = 5.0
WEIGHT_KIB_MAX: Final = 64
"""Of a page as it is sent, compressed."""
TURN_MS_MAX: Final = 10.0
"""CPU time of the longest turn of the loop while a page or file is made: orders wait that long."""
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
LOOKER: Final = "f00001"
WATCHED: Final = "swing"
PRICE_DAYS: Final = 31
AUDIT_ROWS: Final = 100_000
UNKNOWNS: Final = 20
PAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "": ("/", "/sign-in", "/sign-in/recovery", "/sign-in/exchange", "/join"),
    f"follower:{LOOKER}": (
        "/home",
        "/home?range=1D",
        "/home?range=All",
        "/strategies",
        "/strategies?view=table&days=all",
        "/strategies/<identifier>",
        "/strategies/<identifier>?days=30",
        "/strategies/<watched>",
        "/strategies/<identifier>/follow",
        "/strategies/<identifier>/follow?preset=balanced",
        "/strategies/<identifier>/leave?account=<name>",
        "/signals",
        "/signals?find=no-such-thing",
        "/signals?from=2026-01-01&sort=oldest",
        "/signals/missed",
        "/signals/<signal>/<account>",
        "/positions",
        "/accounts/<name>/positions/<symbol>",
        "/accounts/<name>/positions/<symbol>/close",
        "/accounts/<name>/positions/<symbol>/take-over",
        "/accounts/<name>/flatten",
        "/orders",
        "/orders?find=no-such-thing",
        "/trades",
        "/trades?find=no-such-thing",
        "/performance/trades/<trade>",
        "/funding",
        "/funding?find=no-such-thing",
        "/calendar",
        "/calendar?month=<month>",
        "/performance",
        "/performance?by=month",
        "/signals.csv",
        "/orders.csv",
        "/trades.csv",
        "/funding.csv",
        "/performance.csv",
        "/performance/funding.csv",
        "/year.zip",
        "/accounts",
        "/accounts/connect",
        "/accounts/<name>",
        "/accounts/<name>/rename",
        "/accounts/<name>/disconnect",
        "/notifications",
        "/channels",
        "/security",
        "/security/password",
        "/security/second-factor",
        "/security/passkeys/new",
        "/security/tokens",
    ),
    "master:alpha": (
        "/studio",
        "/studio/copy-trading/new",
        "/studio/strategies/<identifier>",
        "/studio/strategies/<identifier>/signals",
        "/studio/strategies/<identifier>/signals?before=<before>",
        "/studio/strategies/<identifier>/signals/<signal>",
        "/studio/strategies/<identifier>/deliveries",
        "/studio/strategies/<identifier>/close",
        "/studio/strategies/<identifier>/endpoints/<endpoint>/delete",
        "/studio/strategies/<identifier>/callback",
        "/studio/debugger",
    ),
    "operator": (
        "/operate",
        "/operate?search=f00",
        "/operate/accounts/<name>",
        "/operate/accounts/<name>?before_order=<order>&before_signal=<before>",
        "/operate/unknowns",
        "/operate/people",
        "/operate/people?search=f00",
        "/operate/people/<person>",
        "/operate/alerts",
        "/operate/webhooks",
        "/operate/audit",
        "/operate/audit?search=no-such-thing",
        "/operate/plugins",
        "/operate/system",
        "/operate/switches",
    ),
}
"""Of each person the addresses as their routes have them, with what is asked."""
LEFT_OUT: Final[Mapping[str, str]] = {
    "/welcome/<token>": "a link that works once",
    "/security/password/codes": "shown once, to who made them",
    "/security/passkeys/to-add": "an answer to a script",
    "/security/passkeys/to-confirm": "an answer to a script",
    "/sign-in/passkey/to-sign": "an answer to a script",
    "/security/tokens/new": "shown once, to who made it",
    "/strategies/<identifier>/confirm": "shown once, after the terms",
    "/studio/strategies/<identifier>/secret": "shown once, to who made it",
    "/studio/strategies/<identifier>/addresses/<source>": "no source here has such addresses",
    "/operate/switches/flatten": "shown once, to who asks for it",
    "/accounts/<name>/key": "paper has no key",
}


def is_file(path: str) -> bool:
    """Return whether an address answers with a file, which is written while it is sent."""
    return path.partition("?")[0].endswith((".csv", ".zip"))


def fill(outcomes: int, path: Path) -> None:
    """Write the history, and beside it what the pages show besides."""
    history.fill(outcomes, path)
    db, now = open_database(str(path)), datetime.now(UTC)
    with db:
        _watch(db, now)
        for symbol, price in zip(SYMBOLS, (6_500_000, 350_000), strict=True):
            _record_prices(db, Symbol(symbol), price, now)
        _leave_unknown(db)
        _write_audit(db)
    db.close()


def _watch(db: Database, now: datetime) -> None:
    account, strategy = account_named(db, LOOKER), strategy_named(db, WATCHED)
    stored = fetch_one(db, "SELECT policy FROM subscription LIMIT 1")
    assert account is not None
    assert strategy is not None
    assert stored is not None
    policy = replace(read_policy(stored[0]), mode=Mode.WATCH)
    agree(db, f"sub_{secrets.token_hex(16)}", account.id, StrategyId(strategy.id), policy, now)


def _record_prices(db: Database, symbol: Symbol, ticks: int, now: datetime) -> None:
    """Record a price each two seconds for a month; it goes up and down by a tick."""
    end = int(now.timestamp()) // BLOCK_S * BLOCK_S
    begins = range(end - PRICE_DAYS * 86_400, end, BLOCK_S)
    for begin, after in pairwise([*begins, end]):
        seconds = range(begin, after, 2)
        moved = [ticks + (second // 2) % 2 + (begin // BLOCK_S) % 7 for second in seconds]
        samples = Samples(list(seconds), moved, 2)
        low, high = (Price(Decimal(each) / 100) for each in (min(moved), max(moved)))
        block = PriceBlock(begin, after, low, high, lambda found=samples: found)  # type: ignore[misc]
        write_blocks(db, "paper", symbol, [(block, pack(samples))])


def _leave_unknown(db: Database) -> None:
    """Let some refused entries of others be without proof instead."""
    db.execute(
        "UPDATE attempt SET state = 'not_confirmed' WHERE id IN (SELECT attempt.id FROM attempt "
        "JOIN account ON account.id = account_id WHERE attempt.state = 'rejected' AND "
        "account.name != ? GROUP BY account_id ORDER BY attempt.id DESC LIMIT ?)",
        (LOOKER, UNKNOWNS),
    )


def _write_audit(db: Database) -> None:
    """Write audit rows whose seals nobody verifies."""
    db.execute(
        "WITH RECURSIVE turn (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM turn WHERE n < ?1)"
        " INSERT INTO audit (at_us, by, address, act, subject, data, kid, seal) SELECT "
        "1700000000000000 + n * 1000000, 'operator', '127.0.0.1', 'account_viewed', 'f' || n % "
        "1000, '{}', (SELECT max(kid) FROM audit), randomblob(32) FROM turn",
        (AUDIT_ROWS,),
    )


def values(db: Database) -> dict[str, str]:
    """Return what stands for the parts of an address that are of this ledger."""

    def one(sql: str, *given: object) -> str:
        row = fetch_one(db, sql, given)
        assert row is not None, sql
        return str(row[0])

    mine = "account_id = (SELECT id FROM account WHERE name = ?)"
    trade = f"SELECT {{}} FROM trade WHERE {mine} ORDER BY id DESC LIMIT 1"
    strategy = one("SELECT id FROM strategy WHERE name != ? ORDER BY name LIMIT 1", WATCHED)
    return {
        "identifier": strategy,
        "watched": one("SELECT id FROM strategy WHERE name = ?", WATCHED),
        "name": LOOKER,
        "account": LOOKER,
        "person": one(
            "SELECT person.name FROM person JOIN account ON person.id = person_id WHERE "
            "account.name = ?",
            LOOKER,
        ),
        "symbol": SYMBOLS[0],
        "signal": one(
            "SELECT signal.id FROM copy JOIN signal ON number = signal_number WHERE "
            f"{mine} AND code IS NOT NULL ORDER BY number DESC LIMIT 1",
            LOOKER,
        ),
        "before": one("SELECT max(number) / 2 FROM signal WHERE strategy_id = ?", strategy),
        "order": one(f"SELECT max(id) / 2 FROM attempt WHERE {mine}", LOOKER),
        "trade": one(trade.format("id"), LOOKER),
        "month": one(trade.format("strftime('%Y-%m', closed_us / 1e6, 'unixepoch')"), LOOKER),
        "endpoint": one("SELECT id FROM endpoint WHERE strategy_id = ?", strategy),
    }


async def timed(client: httpx.AsyncClient, path: str) -> tuple[float, int]:
    """Send one request; return milliseconds and bytes as sent. Raises httpx.HTTPStatusError."""
    began = perf_counter()
    answer = await client.get(path)
    took = (perf_counter() - began) * 1000
    answer.raise_for_status()
    return took, answer.num_bytes_downloaded


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield a row for each page, for each number of followers."""
    for followers in options.followers or FOLLOWERS:
        groups = {"trend": followers, WATCHED: 1}
        past = partial(fill, options.outcomes)
        async with place(Paper(), groups, past=past, symbols=SYMBOLS, pages=True) as served:
            async for row in rows(served, options.rounds or ROUNDS):
                yield replace(row, case=f"{followers:,} followers, {row.case}")


async def rows(served: Place, rounds: int) -> AsyncIterator[Row]:
    """Open a position on every account, and yield a row for each page of each person."""
    await served.wait_outcomes(await served.send("trend", "open", side="LONG"))
    known = values(served.db)
    for person, patterns in PAGES.items():
        async with httpx.AsyncClient(base_url=served.url, trust_env=False, timeout=600) as client:
            if person:
                await client.post(f"/demo/{person}", headers={"Origin": served.url})
            for pattern in patterns:
                path = pattern
                for name, value in known.items():
                    path = path.replace(f"<{name}>", value)
                yield await page_row(served, client, (pattern, path), rounds)


async def page_row(
    served: Place, client: httpx.AsyncClient, page: tuple[str, str], rounds: int
) -> Row:
    """Return the row of one page, which has a name and an address."""
    case, path = page
    first, first_us, _ = await cost(served, client, path)
    floor, seen, weight = [], [], 0
    for _ in range(FILE_ROUNDS if is_file(path) else rounds):
        floor.append((await cost(served, client, "/api/health"))[:2])
        took, us, weight = await cost(served, client, path)
        seen.append((took, us))
    counts = [await looked(served, client, path, "count", "counted") for _ in range(LOOKS)]
    turns = [await looked(served, client, path, "turns", "turned") for _ in range(LOOKS)]
    longest = min(each["cpu_max_ms"] for each in turns)
    cpu, base_cpu = (min(us["loop_us"] for _, us in each) for each in (seen, floor))
    times, kib = [took for took, _ in seen], weight / 1024
    base = middle([took for took, _ in floor])
    aims = [Aim(what="ms of the longest turn", limit=TURN_MS_MAX, found=longest)]
    if not is_file(path):
        aims = [
            Aim(what="x health route", limit=AIM, found=middle(times) / base),
            Aim(what="KiB", limit=WEIGHT_KIB_MAX, found=kib),
            *aims,
        ]
    return Row(
        scenario="pages",
        case=case,
        figure="answer p50",
        unit="ms",
        value=middle(times),
        floor=base,
        loop_us=cpu,
        statements=min(each["loop"] for each in counts),
        commits=min(each["commits"] for each in counts),
        beside={
            "p95 ms": percentile(times, 95),
            "x health route, CPU": cpu / base_cpu,
            "first ms": first,
            "first CPU us": first_us["loop_us"],
            "CPU us of other threads": min(
                us["process_us"] - us["loop_us"] - us["writer_us"] for _, us in seen
            ),
            "SQL steps": min(each["steps"] for each in counts),
            "KiB": kib,
        },
        aims=tuple(aims),
    )


async def cost(
    served: Place, client: httpx.AsyncClient, path: str
) -> tuple[float, dict[str, float], int]:
    """Send one request; return milliseconds, CPU time of the installation and bytes."""
    before = await served.clocks()
    took, weight = await timed(client, path)
    after = await served.clocks()
    return took, {name: after[name] - before[name] for name in after}, weight


async def looked(
    served: Place, client: httpx.AsyncClient, path: str, begin: str, end: str
) -> Mapping[str, float]:
    """Send one request between two words to the measured process; return what it tells."""
    await served.worker.ask(begin)
    await timed(client, path)
    return await served.worker.ask(end)
