"""Time from the signed POST to the last follower's order at the exchange, beside the floor of the
same run.

``make bench`` (or ``python -m bench.fanout --followers 10,100,1000 --rounds 5``). The engine runs
in this process with its web server, a real ledger file and the bench-only HTTP exchange adapter.
The exchange is a separate process that answers each order in 20 ms. The floor is a bare trio + h11
loop that sends the same number of requests on open connections. The result is the ratio.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic_ns

import httpx
import trio

from bench import http_exchange
from bench.floor import measure
from engine.domain.outcome import OutcomeCode
from engine.keys.vault import new_root_key
from engine.run import Engine, run_engine
from engine.settings.config import load_config
from rexalgo import Secret, sign_a
from web.app import create_app
from web.server import ServerConfig, serve_web
from web.settings import WebSettings

LATENCY_MS = 20


@dataclass
class Round:
    """One signal's times in milliseconds since its POST began."""

    answered: float
    last_order: float


async def run(port: int, followers: int, rounds: int) -> None:
    """Measure one number of followers and print its line."""
    floors, seen = [], []
    async with (
        place(port, followers) as (engine, url, secret),
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        ask = partial(client.post, f"http://127.0.0.1:{port}/__reset")
        for number in range(rounds):
            floors.append(await measure(port, followers) * 1000)
            action = {"action": "open", "side": "LONG"} if number % 2 == 0 else {"action": "close"}
            await ask()
            seen.append(
                await one(
                    client,
                    engine,
                    url,
                    secret,
                    followers,
                    port,
                    {"idempotency_key": f"bench-{number}", **action},
                )
            )
    floor = statistics.median(floors)
    answered = statistics.median(each.answered for each in seen)
    last = statistics.median(each.last_order for each in seen)
    early = sum(each.answered < each.last_order for each in seen)
    print(
        f"{followers:>9} {floor:>10.1f} {answered:>12.1f} {last:>14.1f} {last / followers:>13.3f} "
        f"{last / floor:>9.2f}   {early}/{rounds}",
        flush=True,
    )


async def one(
    client: httpx.AsyncClient,
    engine: Engine,
    url: str,
    secret: Secret,
    followers: int,
    port: int,
    body: dict[str, str],
) -> Round:
    """Send one signal, wait until every follower has its outcome, and return the times by the
    exchange's clock (CLOCK_MONOTONIC).
    """
    content = json.dumps({**body, "symbol": "BTCUSDT"}).encode()
    began = monotonic_ns()
    answer = await client.post(
        url, content=content, headers=sign_a(secret, content, datetime.now(UTC))
    )
    answered = (monotonic_ns() - began) / 1e6
    if answer.status_code != 202:
        raise RuntimeError(f"expected 202, found {answer.status_code}: {answer.text}")
    answer_body = answer.json()
    while True:
        receipt = await engine.monitor.receipt(answer_body["receipt"].rpartition("/")[2])
        if receipt is not None and receipt.open == 0:
            break
        await trio.sleep(
            0.25
        )  # seldom, because counting a thousand copies takes the engine's own time
    if dict(receipt.outcomes) != {OutcomeCode.FILLED.value: followers}:
        raise RuntimeError(f"expected {followers} filled, found {dict(receipt.outcomes)}")
    stats = (await client.get(f"http://127.0.0.1:{port}/__stats")).json()
    if stats["orders"] != followers:
        raise RuntimeError(f"expected {followers} orders at the exchange, found {stats['orders']}")
    return Round(answered, (stats["last_ns"] - began) / 1e6)


@asynccontextmanager
async def place(
    port: int, followers: int, *, beside: int = 0, past: Callable[[Path], None] | None = None
) -> AsyncIterator[tuple[Engine, str, Secret]]:
    """Run a new installation with that many followers; yield engine, webhook address and secret.

    ``beside`` more accounts follow another strategy; ``past`` fills the ledger before the engine
    runs.
    """
    with tempfile.TemporaryDirectory(prefix="rexalgo-bench-") as folder:
        settings = f"""
[plugins]
enabled = ["bench_http", "signed_webhook", "gcra", "log"]
[plugin.bench_http]
base_url = "http://127.0.0.1:{port}"
"""
        (Path(folder) / "rexalgo.toml").write_text(settings, encoding="utf-8")
        config = load_config(Path(folder), {"ENCRYPTION_KEY": new_root_key()})
        running = partial(
            run_engine, config, extra_modules={"bench_http": http_exchange}, what="bench"
        )
        async with running() as engine:
            made = (
                await engine.commands.run(
                    "provision", {"table": people(followers, beside), "file": "bench"}
                )
            )["strategies"][0]
        if past is not None:
            past(config.ledger.path)
        async with running() as engine:
            stop = trio.Event()
            async with trio.open_nursery() as nursery:
                app = create_app(replace(engine, services=None), WebSettings())
                bound = await nursery.start(
                    partial(serve_web, app, ServerConfig(port=0), shutdown_trigger=stop.wait)
                )
                while not engine.monitor.readiness().ready:  # noqa: ASYNC110 - asked as by any probe; there is no event
                    await trio.sleep(0.05)
                yield (
                    engine,
                    bound.url + "/api/" + made["webhook_url"].partition("/api/")[2],
                    Secret(made["secret"]),
                )
                stop.set()


def people(followers: int, beside: int = 0) -> dict[str, object]:
    """Return one master, a strategy with its followers, and a second one with others."""
    terms = {"exchange": "bench_http", "sizing": {"mode": "fixed_margin", "margin": "50"}}
    groups = (("trend", "f", followers), ("swing", "g", beside))
    return {
        "master": [{"name": "alpha"}],
        "strategy": [
            {"name": name, "master": "alpha", "symbols": ["BTCUSDT"], "leverage": "5"}
            for name, _, _ in groups
        ],
        "follower": [
            {
                "name": letter + "{n:05}",
                "count": count,
                "secret": f"{name}-{count}-{monotonic_ns()}-{{n}}",
                "strategy": name,
                **terms,
            }
            for name, letter, count in groups
            if count
        ],
    }


def main() -> None:
    """Start the exchange process, measure, and stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--followers", default="10,100,1000")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    command = [sys.executable, "-m", "bench.exchange_server", "--latency-ms", str(LATENCY_MS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            port = json.loads(server.stdout.readline())["port"]
            print(
                f"exchange answers in {LATENCY_MS} ms (simulated); medians of {options.rounds} "
                "signals, milliseconds since the POST began"
            )
            heads = (
                f"{'followers':>9} {'floor':>10} {'POST answer':>12} {'last order':>14} "
                f"{'per follower':>13} {'x floor':>9}"
            )
            print(f"{heads}   answered first", flush=True)
            for followers in map(int, options.followers.split(",")):
                trio.run(run, port, followers, options.rounds)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
