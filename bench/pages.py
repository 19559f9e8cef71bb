"""The time of the pages beside the health route of the same run, and their size: ``python -m
bench.pages``.

The ledger has 1,000 followers and 100,000 outcomes. The engine runs in this process with every
account's task and its web server. Each page is requested in turn with the health route, so that
both run under the same load. The result is the ratio of the medians; the aim is 5.
"""

import argparse
import secrets
import statistics
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import perf_counter

import httpx
import trio

from engine.control import call
from engine.domain.identifiers import CopyId, ReceiptId, SignalId, StrategyId, copy_id
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, PositionSide, SignalDraft
from engine.keys.vault import new_root_key
from engine.ledger import Database, Ledger
from engine.ledger.outcomes import conclude
from engine.ledger.people import strategies
from engine.ledger.query import fetch_all
from engine.ledger.signals import NewSignal, record_signal
from engine.run import run_engine
from engine.settings.config import Config, load_config
from web.app import create_app
from web.server import ServerConfig, serve_web
from web.settings import WebSettings

AIM = 5.0
WEIGHT_KIB_MAX = 100
PEOPLE = (("follower:f0001", "trader"), ("master:alpha", "master"), ("operator", "operator"))
PAGES = {
    "follower:f0001": (
        "/home",
        "/strategies",
        "/strategies/{strategy}",
        "/strategies/{strategy}/follow",
        "/signals",
        "/positions",
        "/orders",
        "/performance",
        "/accounts",
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
        "/operate/accounts/f0001",
    ),
}


def table(followers: int) -> dict[str, object]:
    """Return the provisioning table."""
    terms = {"sizing": {"mode": "fixed_margin", "margin": "50"}, "strategy": "trend"}
    return {
        "master": [{"name": "alpha"}],
        "strategy": [
            {
                "name": "trend",
                "master": "alpha",
                "kind": "copy_trading",
                "symbols": ["BTCUSDT", "ETHUSDT"],
                "leverage": "5",
            }
        ],
        "follower": [
            {
                "name": "f{n:04}",
                "count": followers,
                "exchange": "paper",
                "secret": "paper-{n:04}",
                **terms,
            }
        ],
    }


def fill(db: Database, number: int, at: datetime) -> None:
    """Record one signal and conclude each of its copies."""
    strategy = StrategyId(strategies(db)[0].id)
    draft = SignalDraft(f"bench-{number}", Action.OPEN, "BTCUSDT", PositionSide.LONG)  # type: ignore[arg-type]  # a contract's name
    new = NewSignal(
        id=SignalId(f"sig_{secrets.token_hex(16)}"),
        receipt=ReceiptId(f"rcp_{secrets.token_hex(16)}"),
        new_copy_id=lambda: copy_id(at, secrets.token_bytes(9)),
        strategy=strategy,
        origin="endpoint:bench",
        draft=draft,
        body_hash=secrets.token_bytes(32),
        decided_at=at,
        received_at=at,
    )
    record_signal(db, new)
    filled = Outcome(
        OutcomeCode.FILLED,
        {"side": "BUY", "filled": "0.003", "symbol": "BTCUSDT", "price": "65000"},
    )
    below = Outcome(
        OutcomeCode.SKIPPED_BELOW_MINIMUM,
        {"quantity": "0.0001", "symbol": "BTCUSDT", "notional": "6", "minimum": "0.001"},
    )
    rows = fetch_all(
        db,
        "SELECT copy.id FROM copy JOIN signal ON number = signal_number WHERE signal.id = ?",
        (new.id,),
    )
    for index, row in enumerate(rows):
        conclude(
            db, CopyId(row[0]), 1, filled if index % 3 else below, at + timedelta(milliseconds=20)
        )


async def prepare(config: Config, followers: int, signals: int) -> None:
    """Write people and outcomes into the ledger."""
    await call(config, "provision", {"table": table(followers), "file": "the bench's own table"})
    await call(config, "operator_create", {"name": "operator", "by": "the bench"})
    ledger = Ledger.open(config.ledger.path, inline=True)
    begin = datetime.now(UTC) - timedelta(days=3)
    for number in range(signals):
        await ledger.write(partial(fill, number=number, at=begin + timedelta(minutes=30 * number)))
    await ledger.aclose()


async def timed(client: httpx.AsyncClient, path: str) -> tuple[float, int]:
    """Send one request; return milliseconds and bytes."""
    began = perf_counter()
    answer = await client.get(path)
    took = (perf_counter() - began) * 1000
    assert answer.status_code == 200, (path, answer.status_code)
    return took, len(answer.content)


async def measure(url: str, rounds: int) -> bool:
    """Measure every page beside the health route; return whether all are within the aims."""
    within = True
    print(f"{'page':<46} {'p50 ms':>8} {'health':>8} {'ratio':>6} {'KiB':>6}")
    for person, paths in PAGES.items():
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
            await client.post(f"/demo/{person}", headers={"Origin": url})
            listed = (await client.get("/strategies")).text
            strategy = listed.partition('href="/strategies/')[2].partition('"')[0]
            for pattern in paths:
                path = pattern.format(strategy=strategy)
                await timed(client, path)  # the first request compiles the template
                seen, floor, weight = [], [], 0
                for _ in range(rounds):
                    floor.append((await timed(client, "/api/health"))[0])
                    took, weight = await timed(client, path)
                    seen.append(took)
                p50, base = statistics.median(seen), statistics.median(floor)
                fits = p50 / base <= AIM and weight <= WEIGHT_KIB_MAX * 1024
                within &= fits
                mark = "" if fits else "  ABOVE THE AIM"
                print(
                    f"{pattern:<46} {p50:8.2f} {base:8.2f} {p50 / base:6.1f} "
                    f"{weight / 1024:6.1f}{mark}"
                )
    return within


async def main(followers: int, signals: int, rounds: int) -> None:
    """Create an installation in a temporary folder, and measure it."""
    with tempfile.TemporaryDirectory(prefix="rexalgo-bench-") as folder:
        environ = {"ENCRYPTION_KEY": new_root_key(), "JWT_SECRET": secrets.token_urlsafe(48)}
        config = load_config(Path(folder), environ)
        await prepare(config, followers, signals)
        async with run_engine(config, what="bench") as engine, trio.open_nursery() as nursery:
            settings = WebSettings(demo_people=PEOPLE)
            app, never = create_app(engine, settings), trio.Event()
            bound = await nursery.start(
                partial(serve_web, app, ServerConfig(port=0), shutdown_trigger=never.wait)
            )
            while not engine.monitor.readiness().ready:  # noqa: ASYNC110 - readiness is asked, as by any probe; it has no event
                await trio.sleep(0.1)
            print(f"{followers} followers, {signals * followers} outcomes; medians of {rounds}")
            within = await measure(bound.url, rounds)
            print(
                "all within the aims"
                if within
                else f"not all are within the aims (ratio {AIM}, {WEIGHT_KIB_MAX} KiB)"
            )
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--followers", type=int, default=1_000)
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    trio.run(main, asked.followers, asked.signals, asked.rounds)
