"""How bad accounts slow the orders of the others: an account that hangs, fails or floods beside 999
good ones.

Two installations take turns, signal by signal; all accounts of one are well. In the other, one more
account turns bad before each round, because the engine sends little to one that is bad already. The
figure is the p99 of the good accounts' orders at the exchange, since the POST. *hangs*: no order is
answered. *fails*: every request is answered 500. *floods*: every answer has 8 MiB more. The first row
compares two well installations: its ratio is the noise of the others.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import trio

from bench.options import Options
from bench.place import Exchange, Place, exchange, place
from bench.rows import Aim, Row, middle, percentile
from engine.ledger.query import fetch_all

FOLLOWERS: Final = 1_000
ROUNDS: Final = 5
AIM: Final = 1.10
FAULTS: Final[Mapping[str, str]] = {
    "": "like them",
    "hang": "that hangs",
    "fail": "that fails",
    "flood": "that floods",
}
SIGNALS: Final[Mapping[str, Mapping[str, object]]] = {"open": {"side": "LONG"}, "close": {}}
OTHERS: Final = (
    "SELECT count(*) FROM copy JOIN signal ON number = signal_number JOIN account ON account.id = "
    "copy.account_id WHERE receipt_id = ? AND coalesce(code, '') {} AND account.name > ?"
)
"""The good accounts: those after the last one that turns bad."""
WITHIN_S: Final = 120.0
LOOKS_EVERY_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two installations; its first ``bad`` accounts are left out of every figure."""

    place: Place
    venue: Exchange
    bad: int

    async def signal(self, action: str) -> tuple[float, int]:
        """Send one signal; return the p99 of the good accounts' orders in milliseconds, and how
        many of their copies were not filled.
        """
        await self.venue.reset()
        sent = await self.place.send("trend", action, **SIGNALS[action])
        values = (sent.receipt_id, f"f{self.bad:05}")
        with trio.fail_after(WITHIN_S):
            while fetch_all(self.place.db, OTHERS.format("= ''"), values)[0][0]:  # noqa: ASYNC110 - another process writes it
                await trio.sleep(LOOKS_EVERY_S)
        false = fetch_all(self.place.db, OTHERS.format("!= 'filled'"), values)[0][0]
        arrivals, last = await self.venue.arrivals(), self.venue.secret.format(n=self.bad)
        good = [sent.since(at_ns) for name, at_ns in arrivals.items() if name > last]
        return percentile(good, 99), int(false)


async def compared(followers: int, fault: str, options: Options) -> Row:
    """Return the row of one fault."""
    rounds = (options.rounds or ROUNDS) + 1  # the first one warms up
    async with AsyncExitStack() as stack:
        sides = []
        for _ in range(2):
            venue = await stack.enter_async_context(exchange())
            at = await stack.enter_async_context(
                place(venue, {"trend": followers}, engine="send_deadline_s = 2")
            )
            sides.append(Side(at, venue, rounds))
        ill = sides[1]
        p99: tuple[list[float], list[float]] = ([], [])
        false = 0
        for number in range(rounds):
            await ill.venue.fault(ill.venue.secret.format(n=number + 1), fault)
            for action in SIGNALS:
                for index in (0, 1) if number % 2 else (1, 0):
                    found, wrong = await sides[index].signal(action)
                    if number:
                        p99[index].append(found)
                    false += wrong
                    await sides[index].place.settle(options.quiet_s)
        memory = await ill.place.memory_kib()
    base, found = middle(p99[0]), middle(p99[1])
    ratio = middle([theirs / ours for ours, theirs in zip(*p99, strict=True)])
    aims = [Aim(what="good copies not filled", limit=0, found=float(false))]
    if fault:
        aims.append(Aim(what="x without it, signal by signal", limit=AIM, found=ratio))
    return Row(
        scenario="isolation",
        case=f"{followers - rounds} good accounts, one {FAULTS[fault]}",
        figure="order p99",
        unit="ms",
        value=found,
        floor=base,
        memory_kib=memory,
        beside={"added p99 ms": found - base, "x signal by signal": ratio},
        aims=tuple(aims),
    )


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield a row for each fault."""
    for fault in FAULTS:
        followers = options.followers[0] if options.followers else FOLLOWERS
        yield await compared(followers, fault, options)
