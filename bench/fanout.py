"""Time and cost of one signal for N followers, from its POST to their orders and outcomes.

Each round opens, adds, reverses and closes on N accounts, and sends a wave on the floor's own
connections before each of the four. The first open after the start is cold; it and its round are
in no median. Two more rounds follow: one counts statements, one times the turns of the loop.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bench.floor import Floor, Wave
from bench.options import Options
from bench.place import Exchange, Place, exchange, place
from bench.rows import Aim, Row, middle
from engine.domain.outcome import OutcomeCode

FOLLOWERS: Final = (10, 100, 1_000, 5_000)
ROUNDS: Final = 5
ROUND: Final[tuple[tuple[str, Mapping[str, object]], ...]] = (
    ("open", {"side": "LONG"}),
    ("add", {"side": "LONG"}),
    ("reverse", {"side": "SHORT"}),
    ("close", {}),
)
ORDERS: Final = {"open": 1, "add": 1, "reverse": 2, "close": 1}
"""Orders of each follower; the closing and the opening half of a reverse are one each."""

AIM_FLOORS: Final = 4.0
AIM_CPU_US: Final = 400.0
AIM_OPENS: Final = 1.3
AIM_LINEAR: Final = 1.1
AIM_TURN_MS: Final = 5.0
AIM_FOLLOWERS: Final = 1_000
LINEAR: Final = (100, 5_000)
BUSY: Final = 0.8
TURNS: Final = ("wall_p50_ms", "wall_p99_ms", "wall_max_ms", "cpu_p99_ms", "step_p99_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One signal: milliseconds since its POST, CPU in microseconds per order, and the copies that
    were not filled, by outcome. With such copies the figures of orders mean nothing.
    """

    answered: float
    first: float
    last: float
    outcome: float
    loop_us: float
    writer_us: float
    settled_us: float
    exchange_busy: float
    unfilled: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Case:
    """One place under measurement."""

    place: Place
    exchange: Exchange
    followers: int
    quiet_s: float
    strategy: str = "trend"


async def signal(case: Case, action: str, fields: Mapping[str, object]) -> Told:
    """Send one signal, wait for every outcome and for the quiet after it. Raises RuntimeError if
    all copies are filled and the exchange has another number of orders.
    """
    at = case.place
    await case.exchange.reset()
    before, stats = await at.clocks(), await case.exchange.stats()
    sent = await at.send(case.strategy, action, **fields)
    view = await at.wait_outcomes(sent)
    after, seen = await at.clocks(), await case.exchange.stats()
    outcome = sent.since(at.last_outcome_ns(sent))
    settled = await at.settle(case.quiet_s)
    unfilled = {code: n for code, n in view.outcomes.items() if code != OutcomeCode.FILLED.value}
    expected = case.followers * ORDERS[action]
    if not unfilled and (view.copies, seen["orders"]) != (case.followers, expected):
        raise RuntimeError(f"expected {expected} orders, found {seen} and {view}")
    return Told(
        answered=sent.answered,
        first=sent.since(seen["first_ns"]),
        last=sent.since(seen["last_ns"]),
        outcome=outcome,
        loop_us=(after["loop_us"] - before["loop_us"]) / expected,
        writer_us=(after["writer_us"] - before["writer_us"]) / expected,
        settled_us=sum(settled[each] - before[each] for each in ("loop_us", "writer_us"))
        / expected,
        exchange_busy=(seen["cpu_ns"] - stats["cpu_ns"]) / 1e6 / outcome,
        unfilled=unfilled,
    )


async def rounds(case: Case, floor: Floor, count: int) -> tuple[dict[str, list[Told]], list[Wave]]:
    """Measure the cold open and ``count`` warm rounds; a floor's wave precedes each signal."""
    seen: dict[str, list[Told]] = {"cold open": []}
    waves = []
    for number in range(count + 1):
        for action, fields in ROUND:
            waves.append(await floor.wave())
            told = await signal(case, action, fields)
            if number:
                seen.setdefault(action, []).append(told)
            elif action == "open":
                seen["cold open"].append(told)
    return seen, waves[1:]


async def alone(case: Case, begin: str, end: str) -> dict[str, dict[str, float]]:
    """Run one round between two requests to the measured process, until each last outcome; return
    its answers by action, with the number of orders.
    """
    seen = {}
    for action, fields in ROUND:
        await case.exchange.reset()
        await case.place.worker.ask(begin)
        sent = await case.place.send(case.strategy, action, **fields)
        await case.place.wait_outcomes(sent)
        seen[action] = await case.place.worker.ask(end)
        seen[action]["orders"] = (await case.exchange.stats())["orders"]
        await case.place.settle(case.quiet_s)
    return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What an action costs in the rounds of their own, and the memory after all of them."""

    counts: Mapping[str, Mapping[str, float]]
    turns: Mapping[str, Mapping[str, float]]
    memory_kib: float
    followers: int


def row_of(name: str, action: str, told: list[Told], waves: list[Wave], costs: Costs) -> Row:
    """Return the row of one action, without aims."""

    whole = [each for each in told if not each.unfilled]

    def mid(figure: str) -> float:
        return middle([float(getattr(each, figure)) for each in whole or told])

    kind = action.removeprefix("cold ")
    floor_busy, is_warm = middle([each.exchange_busy for each in waves]), action == kind
    beside = {"POST answer ms": mid("answered"), "last outcome ms": mid("outcome")}
    if whole:
        beside |= {
            "first order ms": mid("first"),
            "least ms": min(each.last for each in whole),
            "most ms": max(each.last for each in whole),
            "CPU us until quiet": mid("settled_us"),
        }
    beside |= {
        "exchange busy": mid("exchange_busy"),
        "floor's last answer ms": middle([each.answered for each in waves]),
        "floor's exchange busy": floor_busy,
    }
    if is_warm:
        turns = costs.turns[kind]
        beside |= {f"turn {each.removesuffix('_ms')} ms": turns[each] for each in TURNS}
    counts = costs.counts[kind]
    is_counted = is_warm and counts["orders"] == ORDERS[kind] * costs.followers
    return Row(
        scenario="fanout",
        case=f"{name}, {'warm' if is_warm else 'cold'} {kind}",
        figure="POST to last order",
        unit="ms",
        value=mid("last") if whole else None,
        floor=middle([each.last for each in waves]),
        loop_us=mid("loop_us") if whole else None,
        writer_us=mid("writer_us") if whole else None,
        statements=(counts["loop"] + counts["writer"]) / counts["orders"] if is_counted else None,
        commits=counts["commits"] / counts["orders"] if is_counted else None,
        memory_kib=costs.memory_kib,
        beside=beside,
        notes=notes_of(told, mid("exchange_busy"), floor_busy),
    )


def notes_of(told: list[Told], busy: float, floor_busy: float) -> tuple[str, ...]:
    """Return what a reader must know before comparing the figures."""
    unfilled = Counter[str]()
    for each in told:
        unfilled.update(each.unfilled)
    notes = []
    if unfilled:
        codes = ", ".join(f"{count} {code}" for code, count in unfilled.items())
        rounds = sum(not each.unfilled for each in told)
        notes.append(f"only {rounds} of {len(told)} signals were filled whole: {codes}")
    notes += [
        f"the bench's exchange bounds {what}: it computed {share:.0%} of the time"
        for what, share in (("the figure", busy), ("the floor", floor_busy))
        if share > BUSY
    ]
    return tuple(notes)


async def measured(followers: int, options: Options, *, tls: bool) -> AsyncIterator[Row]:
    """Measure one number of followers; yield a row for each action."""
    async with (
        exchange(tls=tls) as venue,
        place(venue, {"trend": followers}) as served,
    ):
        case = Case(served, venue, followers, options.quiet_s)
        floor = await venue.floor(followers)
        seen, waves = await rounds(case, floor, options.rounds or ROUNDS)
        await floor.aclose()
        costs = Costs(
            counts=await alone(case, "count", "counted"),
            turns=await alone(case, "turns", "turned"),
            memory_kib=await served.memory_kib(),
            followers=followers,
        )
    name = f"{followers:,} followers, {'TLS' if tls else 'plain'}"
    opened = None
    for action, told in seen.items():
        row = row_of(name, action, told, waves, costs)
        opened = row.value if action == "open" else opened
        unfilled = sum(sum(each.unfilled.values()) for each in told)
        aims = [Aim(what="copies not filled", limit=0, found=float(unfilled))]
        if followers == AIM_FOLLOWERS and action in ORDERS:
            aims += aims_of(row, action, opened, is_open=action == "open" and not tls)
            turn = costs.turns[action]["wall_p99_ms"]
            aims.append(Aim(what="turn p99 ms", limit=AIM_TURN_MS, found=turn))
        yield replace(row, aims=tuple(aims))


def aims_of(row: Row, action: str, opened: float | None, *, is_open: bool) -> list[Aim]:
    """Return the aims of a row of 1,000 followers; one that could not be measured is missed."""
    if is_open:
        is_measured = row.loop_us is not None and row.writer_us is not None
        cpu = (row.loop_us or 0.0) + (row.writer_us or 0.0) if is_measured else None
        return [
            Aim(what="x floor", limit=AIM_FLOORS, found=row.ratio),
            Aim(what="CPU us per order", limit=AIM_CPU_US, found=cpu),
        ]
    if action == "open":
        return []
    per_order = row.value / ORDERS[action] / opened if row.value and opened else None
    return [Aim(what="x the open, per order", limit=AIM_OPENS, found=per_order)]


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield the rows of every number of followers over plain connections."""
    opens: dict[int, float] = {}
    for followers in options.followers or FOLLOWERS:
        async for row in measured(followers, options, tls=False):
            if row.case.endswith("warm open") and row.value is not None:
                opens[followers] = row.value / followers
                if followers == LINEAR[1] and LINEAR[0] in opens:
                    found = opens[followers] / opens[LINEAR[0]]
                    linear = Aim(what="per follower, x 100's", limit=AIM_LINEAR, found=found)
                    row = replace(row, aims=(*row.aims, linear))
            yield row


async def measure_tls(options: Options) -> AsyncIterator[Row]:
    """Yield the rows of the same over TLS, its floor too."""
    for followers in options.followers or (AIM_FOLLOWERS,):
        async for row in measured(followers, options, tls=True):
            yield row
