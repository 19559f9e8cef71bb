"""The cost of an order behind a long history, beside its cost in an empty ledger.

Two installations run, each with its own exchange; one ledger is empty, the other has a history
(``bench/past.py``). They take turns, signal by signal, and report the CPU time of their loop's
thread and of their writer's: everything that a signal causes, until three seconds after its last
outcome (fills, books, readings). Wall time would include other work of the machine. Besides the
medians there is the median of the ratios, signal by signal, which is what the aim is about: what
slows the machine for a while slows both. Then come the periodic looks and readings, and the CPU
time while idle.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio

from bench.options import Options
from bench.past import write_past
from bench.place import Place, exchange, place
from bench.rows import Aim, Row, middle
from engine.domain.identifiers import AccountId
from engine.ledger import Database
from engine.ledger.alerts import undelivered_alerts
from engine.ledger.attempts import accepted_foreign, bound_order_ids, unsettled_symbols
from engine.ledger.breakers import busy_strategies, refused_accounts
from engine.ledger.copies import is_exiting, waiting, waiting_legs
from engine.ledger.database import open_database
from engine.ledger.folding import unfolded_episodes
from engine.ledger.holdings import read_holdings
from engine.ledger.open_shares import held_shares, still_open
from engine.ledger.people import accounts
from engine.ledger.pulse import concerns_person, newest_sequence

FOLLOWERS: Final = 100
ROUNDS: Final = 5
AIM: Final = 1.10
SETTLES_S: Final = 3.0
IDLE_S: Final = 4.0
TICKS: Final = 200
CACHE_KIB: Final = 800_000
THREADS: Final = ("loop", "writer")
SIGNALS: Final[Mapping[str, Mapping[str, object]]] = {"open": {"side": "LONG"}, "close": {}}
Seen = dict[tuple[str, str], tuple[list[float], list[float]]]
"""Of an action and a thread, what the empty and what the full place used, signal by signal."""


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


async def used(at: Place, action: str) -> dict[str, float]:
    """Send one signal; return what its place used for it, by thread."""
    before = await at.clocks()
    await at.wait_outcomes(await at.send("trend", action, **SIGNALS[action]))
    await trio.sleep(SETTLES_S)
    after = await at.clocks()
    return {each: after[f"{each}_us"] - before[f"{each}_us"] for each in THREADS}


async def in_turn(places: tuple[Place, Place], followers: int, rounds: int) -> Seen:
    """Let both places copy the same signals in turn; return CPU microseconds per order."""
    seen: Seen = {}
    for number in range(rounds + 1):
        for action in SIGNALS:
            for index in (0, 1) if number % 2 else (1, 0):
                told = await used(places[index], action)
                for thread, us in told.items() if number else ():  # the first round warms up
                    seen.setdefault((action, thread), ([], []))[index].append(us / followers)
    return seen


async def idle(at: Place) -> dict[str, float]:
    """Return CPU milliseconds per second of a place that has nothing to do, by thread."""
    before = await at.clocks()
    await trio.sleep(IDLE_S)
    after = await at.clocks()
    return {each: (after[f"{each}_us"] - before[f"{each}_us"]) / 1e3 / IDLE_S for each in THREADS}


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield a row for each action and thread, and one for each periodic work."""
    followers = options.followers[0] if options.followers else FOLLOWERS
    rounds = options.rounds or ROUNDS
    async with AsyncExitStack() as stack:
        places = []
        for outcomes in (0, options.outcomes):
            venue = await stack.enter_async_context(exchange())
            past = partial(fill, outcomes)
            groups = {"trend": followers, "swing": followers}
            places.append(await stack.enter_async_context(place(venue, groups, past=past)))
        empty, full = places
        for (action, thread), us in (await in_turn((empty, full), followers, rounds)).items():
            yield order_row(f"{options.outcomes:,} outcomes, {action}, {thread}", us)
        looks = [{name: tick_us(look) for name, look in ticks(at.db).items()} for at in places]
        for name, least in looks[0].items():
            yield Row(
                scenario="history",
                case=f"{options.outcomes:,} outcomes, {name}",
                figure="CPU of a periodic look",
                unit="us",
                value=looks[1][name],
                floor=least,
            )
        resting = [[await idle(at) for at in places] for _ in range(rounds)]
        for thread in THREADS:
            yield Row(
                scenario="history",
                case=f"{options.outcomes:,} outcomes, idle, {thread}",
                figure="CPU per second",
                unit="ms",
                value=min(each[1][thread] for each in resting),
                floor=min(each[0][thread] for each in resting),
            )


def order_row(case: str, us: tuple[list[float], list[float]]) -> Row:
    """Return the row of one action and thread."""
    empty, full = us
    ratios = sorted(theirs / ours for ours, theirs in zip(empty, full, strict=True))
    return Row(
        scenario="history",
        case=case,
        figure="CPU per order",
        unit="us",
        value=middle(full),
        floor=middle(empty),
        beside={"least ratio": ratios[0], "most ratio": ratios[-1]},
        aims=(Aim(what="x an empty ledger, signal by signal", limit=AIM, found=middle(ratios)),),
    )
