"""What a follower costs who does nothing: resident memory with a warm connection, and CPU.

The floor of the memory is the same installation without followers; the figure is the difference per
follower. CPU is the share of one core that loop and writer use, readings of accounts included.
"""

from collections.abc import AsyncIterator
from typing import Final

import trio

from bench.options import Options
from bench.place import exchange, place
from bench.rows import Aim, Row

FOLLOWERS: Final = (1_000, 10_000)
SECONDS: Final = 60.0
AIM_KIB: Final = 32.0


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield a row for each number of followers."""
    seconds = options.seconds or SECONDS
    async with exchange() as venue, place(venue, {"trend": 0}) as at:
        await at.settle(options.quiet_s)
        empty = await at.memory_kib()
    for followers in options.followers or FOLLOWERS:
        async with exchange() as venue, place(venue, {"trend": followers}) as at:
            await at.settle(options.quiet_s)
            before = await at.clocks()
            await trio.sleep(seconds)
            after = await at.clocks()
            full, warm = await at.memory_kib(), (await venue.stats())["connections"]
            each = (full - empty) / followers
            share = {
                name: (after[name] - before[name]) / 1e4 / seconds
                for name in ("loop_us", "writer_us")
            }
            yield Row(
                scenario="idle",
                case=f"{followers:,} followers",
                figure="memory per follower",
                unit="KiB",
                value=each,
                memory_kib=full,
                beside={
                    "without followers MiB": empty / 1024,
                    "loop % of a core": share["loop_us"],
                    "writer % of a core": share["writer_us"],
                    "warm connections": float(warm),
                },
                aims=(
                    Aim(what="KiB per follower", limit=AIM_KIB, found=each),
                    Aim(
                        what="warm connections of each",
                        limit=1.0,
                        found=warm / followers,
                        at_least=True,
                    ),
                ),
            )
