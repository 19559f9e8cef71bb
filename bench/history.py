"""The cost of an order behind a long history, beside its cost in an empty ledger: ``python -m
bench.history --outcomes 1000000``.

Two installations run, each as a process with its own exchange; one ledger is empty, the other has a
history (``bench/past.py``). They take turns, signal by signal, and report the CPU time of their
loop's thread and of their writer's: everything that a signal causes, until three seconds after its
last outcome (fills, books, readings). Wall time would include other work of the machine. The result
is the median of the ratios, signal by signal; the aim is 1.1. Below it are the periodic looks and
readings, and the loop's whole CPU time while idle.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import trio

from bench.fanout import LATENCY_MS, one, place
from bench.past import write_past
from engine.domain.identifiers import AccountId
from engine.ledger import Database
from engine.ledger.alerts import undelivered_alerts
from engine.ledger.attempts import accepted_foreign, bound_order_ids, unsettled_symbols
from engine.ledger.breakers import busy_strategies, refused_accounts
from engine.ledger.copies import is_exiting, waiting, waiting_legs
from engine.ledger.database import open_database, open_reader
from engine.ledger.folding import unfolded_episodes
from engine.ledger.holdings import read_holdings
from engine.ledger.open_shares import held_shares, still_open
from engine.ledger.people import accounts
from engine.ledger.pulse import concerns_person, newest_sequence

AIM: Final = 1.10
SETTLES_S: Final = 3.0
IDLE_S: Final = 4.0
TICKS: Final = 200
CACHE_KIB: Final = 800_000


# One place, a process of its own


def fill(outcomes: int, path: Path) -> None:
    """Write the history without syncing: it can be made again."""
    db = open_database(str(path))
    db.execute(f"PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB}")
    write_past(db, outcomes, datetime.now(UTC))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def ticks(db: Database) -> Mapping[str, Callable[[], object]]:
    """Return the periodic looks of the loop, and those of each account reading, by name."""
    now, account = datetime.now(UTC), accounts(db)[0]
    person, sequence = account.person, newest_sequence(db)

    def breakers() -> None:
        busy_strategies(db, now - timedelta(minutes=1), 30)
        refused_accounts(db, now - timedelta(minutes=10), 5)

    def reading() -> None:
        unsettled_symbols(db, account.id, now - timedelta(seconds=5))
        for each in read_holdings(db, account.id):
            is_exiting(db, account.id, each.symbol)
        seen = [f"o{number}" for number in range(5)]
        assert not bound_order_ids(db, AccountId("nobody"), seen) | accepted_foreign(
            db, account.id, seen
        )

    return {
        "breakers": breakers,
        "reading an account": reading,
        "the queue": lambda: (waiting(db), waiting_legs(db, [account.id])),
        "bookkeeping": lambda: unfolded_episodes(db, 20),
        "flattening": lambda: (held_shares(db), still_open(db)),
        "alerts to send": lambda: undelivered_alerts(db, "log", 20),
        "a live page": lambda: concerns_person(db, person, sequence - 50),
    }


def tick_us(look: Callable[[], object]) -> float:
    """Return the least CPU time of a look in microseconds."""
    seen = []
    for _ in range(TICKS):
        began = time.thread_time_ns()
        look()
        seen.append(time.thread_time_ns() - began)
    return min(seen) / 1000


def writer_clock() -> int:
    """Return the clock that counts the CPU time of the ledger's writer."""
    return next(
        time.pthread_getcpuclockid(each.ident)
        for each in threading.enumerate()
        if each.name == "ledger-writer" and each.ident
    )


async def serve(port: int, followers: int, outcomes: int) -> None:
    """Run one installation; each input line is a request, and is answered with one line of JSON."""
    files: list[Path] = []

    def past(path: Path) -> None:
        files.append(path)
        fill(outcomes, path)

    async with (
        place(port, followers, beside=followers, past=past) as (engine, url, secret),
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        clock, ask, number = (
            writer_clock(),
            partial(client.post, f"http://127.0.0.1:{port}/__reset"),
            0,
        )
        reply: dict[str, Any] = {"ready": True}
        while True:
            print(json.dumps(reply), flush=True)
            asked = (await trio.to_thread.run_sync(sys.stdin.readline)).strip()
            loop, writer = time.thread_time(), time.clock_gettime(clock)
            if asked in ("open", "close"):
                await ask()
                number += 1
                body = (
                    {"action": "open", "side": "LONG"} if asked == "open" else {"action": "close"}
                )
                await one(
                    client,
                    engine,
                    url,
                    secret,
                    followers,
                    port,
                    {"idempotency_key": f"history-{number}", **body},
                )
                await trio.sleep(SETTLES_S)
            elif asked == "idle":
                await trio.sleep(IDLE_S)
            elif asked == "ticks":
                db = open_reader(str(files[0]))
                reply = {name: tick_us(look) for name, look in ticks(db).items()}
                db.close()
                continue
            else:
                return
            reply = {
                "loop": (time.thread_time() - loop) * 1e6,
                "writer": (time.clock_gettime(clock) - writer) * 1e6,
            }


# Both of them, taking turns


class Place:
    """The two processes of one installation."""

    def __init__(self, followers: int, outcomes: int) -> None:
        server = [sys.executable, "-m", "bench.exchange_server", "--latency-ms", str(LATENCY_MS)]
        self.outcomes = outcomes
        self._exchange = subprocess.Popen(server, stdout=subprocess.PIPE, text=True)
        port = str(self._line(self._exchange)["port"])
        command = [
            sys.executable,
            "-m",
            "bench.history",
            "--serve",
            port,
            "--followers",
            str(followers),
            "--outcomes",
            str(outcomes),
        ]
        self._engine = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def wait_ready(self) -> None:
        """Wait until the server accepts signals."""
        self._line(self._engine)

    def ask(self, what: str) -> dict[str, float]:
        """Send one request, and return the measurement."""
        assert self._engine.stdin is not None
        self._engine.stdin.write(what + "\n")
        self._engine.stdin.flush()
        return self._line(self._engine)

    def _line(self, process: "subprocess.Popen[str]") -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{process.args!r} ended; its output is above")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def end(self) -> None:
        """End both processes."""
        for each in (self._engine, self._exchange):
            each.terminate()
            each.wait()


def measure(places: tuple[Place, Place], followers: int, rounds: int) -> bool:
    """Ask both in turn, print rows, and return whether an order costs the same."""
    seen: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for number in range(rounds + 1):
        for action in ("open", "close"):
            for index in (0, 1) if number % 2 else (1, 0):
                replies = places[index].ask(action)
                for thread, us in replies.items() if number else ():  # the first round warms up
                    seen.setdefault((action, thread), ([], []))[index].append(us / followers)
    within = True
    print(
        f"{'CPU us per order':<24} {'empty':>10} {f'{places[1].outcomes:,}':>10} {'ratio':>7} "
        f"{'from':>7} {'to':>7}"
    )
    for (action, thread), (empty, full) in seen.items():
        # Of both places one signal after the other: what slows the machine for a while slows both.
        ratios = sorted(theirs / ours for ours, theirs in zip(empty, full, strict=True))
        ratio = statistics.median(ratios)
        within &= ratio <= AIM or thread != "loop"
        mark = "  ABOVE THE AIM" if ratio > AIM else ""
        shown = (
            f"{statistics.median(empty):10.0f} {statistics.median(full):10.0f} {ratio:7.2f} "
            f"{ratios[0]:7.2f} {ratios[-1]:7.2f}"
        )
        print(f"{f'{action}, {thread}':<24} {shown}{mark}", flush=True)
    print("CPU us each time, or ms per idle second")
    rows = [each.ask("ticks") for each in places]
    idle = [[each.ask("idle") for each in places] for _ in range(rounds)]
    for thread in ("loop", "writer"):
        for index, row in enumerate(rows):
            row[f"idle, {thread} (ms)"] = (
                min(replies[index][thread] for replies in idle) / 1000 / IDLE_S
            )
    for name, empty_us in rows[0].items():
        print(
            f"{name:<24} {empty_us:10.1f} {rows[1][name]:10.1f} "
            f"{rows[1][name] / max(empty_us, 0.1):7.2f}"
        )
    return within


def main() -> None:
    """Run one installation, or both and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    parser.add_argument("--followers", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        trio.run(serve, options.serve, options.followers, options.outcomes)
        return
    began = time.monotonic()
    places = Place(options.followers, 0), Place(options.followers, options.outcomes)
    try:
        for each in places:
            each.wait_ready()
        print(
            f"{options.followers} followers, {options.rounds} signals each way; writing the "
            f"history took {time.monotonic() - began:.0f} s"
        )
        within = measure(places, options.followers, options.rounds)
        print(
            f"an order behind the history costs at most {AIM} times as much"
            if within
            else f"an order behind the history costs more than {AIM} times as much"
        )
    finally:
        for each in places:
            each.end()


if __name__ == "__main__":
    main()
