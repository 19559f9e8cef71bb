"""Durable webhooks per second beside a bare Quart-Trio route, and the answers of one strategy while
another one fans out.

Deliveries are signed and are opens of a strategy that nobody follows: each is recorded in a
transaction before its 202, and causes nothing else. Senders wait for each answer before they send
again; the bare route gets the same bytes, and takes turns with ours.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Final

import trio

from bench.options import Options
from bench.place import Place, exchange, provisioned, send
from bench.rows import Aim, Row, middle, percentile
from bench.wire import Wire
from bench.worker import Worker

ROUNDS: Final = 5
SECONDS: Final = 3.0
AT_LEAST: Final = {1: 0.45, 32: 0.75}
"""Senders, and the share of the bare route's rate that is aimed at."""
FOLLOWERS: Final = 1_000
BETWEEN_S: Final = 0.02
AIM_BESIDE: Final = 8.0
AIM_TWO_ROLES: Final = 3.0
SIGNALS: Final[Mapping[str, Mapping[str, object]]] = {"open": {"side": "LONG"}, "close": {}}
Post = Callable[[Wire], Awaitable[object]]


@dataclass(slots=True)
class Load:
    """What some senders saw: milliseconds of each answer, and seconds in all."""

    answers: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Return answers per second."""
        return len(self.answers) / self.seconds


async def load(url: str, senders: int, seconds: float, post: Post) -> Load:
    """Let that many senders post for so long."""
    seen = Load()
    began = trio.current_time()

    async def sender() -> None:
        wire = Wire(url)
        await wire.open()
        while trio.current_time() - began < seconds:
            at = monotonic_ns()
            await post(wire)
            seen.answers.append((monotonic_ns() - at) / 1e6)
        await wire.aclose()

    async with trio.open_nursery() as nursery:
        for _ in range(senders):
            nursery.start_soon(sender)
    seen.seconds = trio.current_time() - began
    return seen


def ours(at: Place, strategy: str) -> Post:
    """Return one signed delivery of a new open."""
    bot = at.bot(strategy)

    async def post(wire: Wire) -> None:
        await send(wire, bot, at.body("open", side="LONG"))

    return post


def bare(at: Place, strategy: str) -> Post:
    """Return the same bytes for the bare route, signed as well."""
    bot = at.bot(strategy)

    async def post(wire: Wire) -> None:
        content = at.body("open", side="LONG")
        status, _ = await wire.exchange(
            wire.request("POST", "/api/bare", content, bot.headers(content))
        )
        assert status == 202, status

    return post


async def deliveries(at: Place, url: str, senders: int, options: Options, roles: str = "") -> Row:
    """Return the row of that many senders; ``roles`` is added to its name."""
    seconds = options.seconds or SECONDS
    mine, floor, loop, writer = [], [], [], []
    for number in range((options.rounds or ROUNDS) + 1):
        floors = await load(url, senders, seconds, bare(at, "swing"))
        before = await at.clocks()
        told = await load(at.url, senders, seconds, ours(at, "swing"))
        after = await at.clocks()
        if number:  # the first round warms up
            floor.append(floors)
            mine.append(told)
            loop.append((after["loop_us"] - before["loop_us"]) / len(told.answers))
            writer.append((after["writer_us"] - before["writer_us"]) / len(told.answers))
    await at.worker.ask("count")
    extra = await load(at.url, senders, seconds, ours(at, "swing"))
    counts = await at.worker.ask("counted")
    answers = [each for one in mine for each in one.answers]
    bares = [each for one in floor for each in one.answers]
    rate, base = middle([each.rate for each in mine]), middle([each.rate for each in floor])
    return Row(
        scenario="ingress",
        case=f"{senders} senders{roles}",
        figure="durable webhooks",
        unit="per s",
        value=rate,
        floor=base,
        loop_us=middle(loop),
        writer_us=middle(writer),
        statements=(counts["loop"] + counts["writer"]) / len(extra.answers),
        commits=counts["commits"] / len(extra.answers),
        memory_kib=await at.memory_kib(),
        beside={
            "answer p50 ms": percentile(answers, 50),
            "answer p99 ms": percentile(answers, 99),
            "bare p50 ms": percentile(bares, 50),
            "bare p99 ms": percentile(bares, 99),
        },
        aims=(
            Aim(
                what="of the bare route",
                limit=AT_LEAST.get(senders, min(AT_LEAST.values())),
                found=rate / base,
                at_least=True,
            ),
        ),
    )


async def answers(at: Place, seen: list[float], until: trio.CancelScope) -> None:
    """Send an open of the other strategy every 20 ms until the scope is cancelled; note the
    milliseconds of each answer. A late answer delays none of the next, and none is left out.
    """
    bot, free = at.bot("swing"), [at.wire()]

    async def one() -> None:
        wire = free.pop() if free else at.wire()
        due = monotonic_ns()
        sent = await send(wire, bot, at.body("open", side="LONG"))
        seen.append((sent.began_ns - due) / 1e6 + sent.answered)
        free.append(wire)

    async with trio.open_nursery() as nursery:
        with until:
            while True:
                nursery.start_soon(one)
                await trio.sleep(BETWEEN_S)
    for each in free:
        await each.aclose()


async def beside(
    at: Place, followers: int, options: Options, roles: str = "", aim: float = AIM_BESIDE
) -> Row:
    """Return the row of the answers of one strategy during the fan-out of another; ``roles`` is
    added to its name.
    """
    idle: list[float] = []
    busy: list[float] = []
    took: list[float] = []
    for number in range((options.rounds or ROUNDS) + 1):
        if number == 1:  # the first round warms up
            idle.clear()
            busy.clear()
            took.clear()
        for action, fields in SIGNALS.items():
            async with trio.open_nursery() as nursery:
                until = trio.CancelScope()
                nursery.start_soon(answers, at, idle, until)
                await trio.sleep(options.seconds or SECONDS)
                until.cancel()
            async with trio.open_nursery() as nursery:
                until = trio.CancelScope()
                nursery.start_soon(answers, at, busy, until)
                sent = await at.send("trend", action, **fields)
                await at.wait_outcomes(sent)
                took.append(sent.since(at.last_outcome_ns(sent)))
                until.cancel()
            await at.settle(options.quiet_s)
    base, found = percentile(idle, 99), percentile(busy, 99)
    return Row(
        scenario="ingress",
        case=f"another strategy, during a fan-out to {followers:,}{roles}",
        figure="answer p99",
        unit="ms",
        value=found,
        floor=base,
        beside={
            "answer p50 ms": percentile(busy, 50),
            "answer max ms": max(busy),
            "idle p50 ms": percentile(idle, 50),
            "answers": float(len(busy)),
            "fan-out ms": middle(took),
        },
        aims=(Aim(what="x idle", limit=aim, found=found / base),),
    )


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield the rows of 1 and 32 senders, and of the answers beside a fan-out: of one process, then
    of two on the same folder.
    """
    followers = options.followers[0] if options.followers else FOLLOWERS
    async with (
        exchange() as venue,
        provisioned(venue, {"trend": followers, "swing": 0}) as folder,
    ):
        for two, roles, aim in ((False, "", AIM_BESIDE), (True, ", two roles", AIM_TWO_ROLES)):
            async with folder.served(two_roles=two) as at:
                worker = Worker("bench.bare_route")
                try:
                    url = (await worker.read())["url"]
                    for senders in AT_LEAST:
                        yield await deliveries(at, url, senders, options, roles)
                finally:
                    await trio.to_thread.run_sync(worker.end)
                await at.settle(options.quiet_s)
                yield await beside(at, followers, options, roles, aim)
