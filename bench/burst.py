"""Ten strategies send a hundred signals each, as fast as they are answered.

Each strategy has one follower and one sender. The first signal opens and the others add, so every
copy is expected to be filled: any other outcome, and any order too many or too few at the exchange,
is false. The floor is the p99 of the same senders at strategies that nobody follows.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import trio

from bench.options import Options
from bench.place import Place, Sent, exchange, place, send
from bench.rows import Aim, Row, percentile
from engine.domain.outcome import OutcomeCode
from engine.ledger.query import fetch_all

STRATEGIES: Final = 10
AIM_P99_MS: Final = 100.0


async def burst(at: Place, strategies: Sequence[str], signals: int) -> list[Sent]:
    """Let each strategy send its signals; return all of them."""
    sent: list[Sent] = []

    async def sender(strategy: str) -> None:
        wire, bot = at.wire(), at.bot(strategy)
        for number in range(signals):
            action = "add" if number else "open"
            sent.append(await send(wire, bot, at.body(action, side="LONG")))
        await wire.aclose()

    async with trio.open_nursery() as nursery:
        for each in strategies:
            nursery.start_soon(sender, each)
    return sent


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield one row."""
    followed = {f"trend-{number}": 1 for number in range(STRATEGIES)}
    alone = {f"alone-{number}": 0 for number in range(STRATEGIES)}
    async with exchange() as venue, place(venue, {**followed, **alone}) as at:
        floor = await burst(at, list(alone), options.signals)
        await at.settle(options.quiet_s)
        await venue.reset()
        before = await at.clocks()
        sent = await burst(at, list(followed), options.signals)
        await at.wait_outcomes(*sent)
        after, stats = await at.clocks(), await venue.stats()
        codes: dict[str, int] = dict(
            fetch_all(at.db, "SELECT code, count(*) FROM copy GROUP BY code ORDER BY count(*) DESC")
        )
        orders, filled = len(sent), codes.get(OutcomeCode.FILLED.value, 0)
        false = sum(codes.values()) - filled + abs(stats["orders"] - orders)
        others = [f"{code}: {count}" for code, count in codes.items() if code != "filled"]
        p99 = percentile([each.answered for each in sent], 99)
        yield Row(
            scenario="burst",
            case=f"{STRATEGIES} strategies, {options.signals} signals each",
            figure="answer p99",
            unit="ms",
            value=p99,
            floor=percentile([each.answered for each in floor], 99),
            loop_us=(after["loop_us"] - before["loop_us"]) / orders,
            writer_us=(after["writer_us"] - before["writer_us"]) / orders,
            memory_kib=await at.memory_kib(),
            beside={
                "answer p50 ms": percentile([each.answered for each in sent], 50),
                "last answer ms": max(each.began_ns / 1e6 + each.answered for each in sent)
                - sent[0].began_ns / 1e6,
                "last order ms": sent[0].since(stats["last_ns"]),
            },
            aims=(
                Aim(what="p99 ms", limit=AIM_P99_MS, found=p99),
                Aim(what="false outcomes", limit=0, found=float(false)),
            ),
            notes=tuple(others),
        )
