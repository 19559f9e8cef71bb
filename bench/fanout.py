"""Time and cost of one signal for N followers, from its POST to their orders and outcomes.

Each round opens, adds, reverses and closes on N accounts, and sends a wave on the floor's own
connections before each of the four. The first open after the start is cold; it and its round are
in no median. Two more rounds follow: one counts statements, one times the turns of the loop.
"""

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
AIM_LINEAR: Final = 1.0
AIM_TURN_MS: Final = 5.0
AIM_FOLLOWERS: Final = 1_000
LINEAR: Final = (100, 5_000)
BUSY: Final = 0.8
TURNS: Final = ("wall_p50_ms", "wall_p99_ms", "wall_max_ms", "cpu_p99_ms", "step_p99_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One signal: milliseconds since its POST, CPU in microseconds per order, and what is wrong."""

    answered: float
    first: float
    last: float
    outcome: float
    loop_us: float
    writer_us: float
    settled_us: float
    exchange_busy: float
    unfilled: int


@dataclass(frozen=True, slots=True)
class Case:
    """One place under measurement."""

    place: Place
    exchange: Exchange
    followers: int
    quiet_s: float
    strategy: str = "trend"


async def signal(case: Case, action: str, fields: Mapping[str, object]) -> Told:
    """Send one signal, wait for every outcome and for the quiet after it."""
    at, orders = case.place, case.followers * ORDERS[action]
    await case.exchange.reset()
    before, stats = await at.clocks(), await case.exchange.stats()
    sent = await at.send(case.strategy, action, **fields)
    view = await at.wait_outcomes(sent)
    after, seen = await at.clocks(), await case.exchange.stats()
    outcome = sent.since(at.last_outcome_ns(sent))
    settled = await at.settle(case.quiet_s)
    unfilled = view.copies - view.outcomes.get(OutcomeCode.FILLED.value, 0)
    if not unfilled and (view.copies, seen["orders"]) != (case.followers, orders):
        raise RuntimeError(f"expected {orders} orders of {case.followers}, found {seen} for {view}")
    return Told(
        answered=sent.answered,
        first=sent.since(seen["first_ns"]),
        last=sent.since(seen["last_ns"]),
        outcome=outcome,
        loop_us=(after["loop_us"] - before["loop_us"]) / orders,
        writer_us=(after["writer_us"] - before["writer_us"]) / orders,
        settled_us=sum(settled[each] - before[each] for each in ("loop_us", "writer_us")) / orders,
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


async def counted(case: Case) -> dict[str, dict[str, float]]:
    """Run one round that only counts; return statements and commits per order by action, until
    the last outcome.
    """
    seen = {}
    for action, fields in ROUND:
        await case.place.worker.ask("count")
        sent = await case.place.send(case.strategy, action, **fields)
        await case.place.wait_outcomes(sent)
        told = await case.place.worker.ask("counted")
        orders = case.followers * ORDERS[action]
        seen[action] = {name: number / orders for name, number in told.items()}
        await case.place.settle(case.quiet_s)
    return seen


async def turned(case: Case) -> dict[str, dict[str, float]]:
    """Run one round that only times the turns of the loop, until the last outcome."""
    seen = {}
    for action, fields in ROUND:
        await case.place.worker.ask("turns")
        sent = await case.place.send(case.strategy, action, **fields)
        await case.place.wait_outcomes(sent)
        seen[action] = await case.place.worker.ask("turned")
        await case.place.settle(case.quiet_s)
    return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What an action costs in the rounds of their own, and the memory after all of them."""

    counts: Mapping[str, Mapping[str, float]]
    turns: Mapping[str, Mapping[str, float]]
    memory_kib: float


def row_of(name: str, action: str, told: list[Told], waves: list[Wave], costs: Costs) -> Row:
    """Return the row of one action, without aims."""

    def mid(figure: str) -> float:
        return middle([float(getattr(each, figure)) for each in told])

    kind = action.removeprefix("cold ")
    counts = costs.counts.get(kind, {})
    cold, turns = action != kind, costs.turns.get(kind, {})
    busy, floor_busy = mid("exchange_busy"), middle([each.exchange_busy for each in waves])
    notes = [
        f"the bench's exchange bounds {what}: it computed {share:.0%} of the time"
        for what, share in (("the figure", busy), ("the floor", floor_busy))
        if share > BUSY
    ]
    beside = {
        "POST answer ms": mid("answered"),
        "first order ms": mid("first"),
        "last outcome ms": mid("outcome"),
        "least ms": min(each.last for each in told),
        "most ms": max(each.last for each in told),
        "floor's last answer ms": middle([each.answered for each in waves]),
        "exchange busy": busy,
        "CPU us until quiet": mid("settled_us"),
    }
    if not cold:
        beside |= {f"turn {each.removesuffix('_ms')} ms": turns[each] for each in TURNS}
    return Row(
        scenario="fanout",
        case=f"{name}, {'cold' if cold else 'warm'} {kind}",
        figure="POST to last order",
        unit="ms",
        value=mid("last"),
        floor=middle([each.last for each in waves]),
        loop_us=mid("loop_us"),
        writer_us=mid("writer_us"),
        statements=None if cold else counts["loop"] + counts["writer"],
        commits=None if cold else counts["commits"],
        memory_kib=costs.memory_kib,
        beside=beside,
        notes=tuple(notes),
    )


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
            counts=await counted(case),
            turns=await turned(case),
            memory_kib=await served.memory_kib(),
        )
    name = f"{followers:,} followers, {'TLS' if tls else 'plain'}"
    opened = middle([each.last for each in seen["open"]])
    for action, told in seen.items():
        row = row_of(name, action, told, waves, costs)
        aims = []
        if followers == AIM_FOLLOWERS and action in ORDERS:
            if action != "open":
                per_order = row.value / ORDERS[action] / opened
                aims = [Aim(what="x the open, per order", limit=AIM_OPENS, found=per_order)]
            elif not tls:
                cpu = (row.loop_us or 0.0) + (row.writer_us or 0.0)
                aims = [
                    Aim(what="x floor", limit=AIM_FLOORS, found=row.value / (row.floor or 1.0)),
                    Aim(what="CPU us per order", limit=AIM_CPU_US, found=cpu),
                ]
            turn = costs.turns[action]["wall_p99_ms"]
            aims.append(Aim(what="turn p99 ms", limit=AIM_TURN_MS, found=turn))
        unfilled = float(sum(each.unfilled for each in told))
        aims.append(Aim(what="copies not filled", limit=0, found=unfilled))
        yield replace(row, aims=tuple(aims))


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield the rows of every number of followers over plain connections."""
    opens: dict[int, float] = {}
    for followers in options.followers or FOLLOWERS:
        async for row in measured(followers, options, tls=False):
            if row.case.endswith("warm open"):
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
