"""1,000 accounts at the simulated Mudrex, with its limit of requests for each key switched on.

The simulator accepts an order and fills it 0.2 to 0.8 s later, so outcomes take their time. It has
no floor: nobody knows how fast it can be, and it is not the bench's own. The row shows whether one
signal reaches every account within its age, and how many requests met the limit.
"""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bench.options import Options
from bench.place import Place, Sent, place
from bench.rows import Aim, Row, middle
from bench.wire import Wire
from engine.domain.outcome import OutcomeCode
from engine.ledger.query import fetch_all

FOLLOWERS: Final = 1_000
ROUNDS: Final = 2
PER_SECOND: Final = 10
SIGNALS: Final[Mapping[str, Mapping[str, object]]] = {"open": {"side": "LONG"}, "close": {}}


@dataclass(frozen=True, slots=True)
class Simulator:
    """The simulator's addresses, as a venue."""

    base_url: str
    control: Wire
    plugin: str = "mudrex"
    secret: str = "sim-{n:04}"

    def settings(self) -> str:
        """Return the adapter's section."""
        return f'[plugin.mudrex]\nbase_url = "{self.base_url}"'

    def arguments(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    async def counts(self) -> dict[str, int]:
        """Return how often it gave each answer."""
        return dict(await self.control.ask("GET", "/__control/counts"))


@contextmanager
def simulator(accounts: int) -> Iterator[Simulator]:
    """Run `rexalgo simulate mudrex`."""
    options = ("--json", "--per-second", str(PER_SECOND), "--accounts", str(accounts))
    command = [sys.executable, "-m", "rexalgo", "simulate", "mudrex", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        head = ""
        while not head.endswith("}\n"):
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the simulator ended before it said where it is")
            head += line
        told = json.loads(head)
        try:
            yield Simulator(told["base_url"], Wire(told["control"]))
        finally:
            process.send_signal(signal.SIGTERM)


def last_claim_ms(at: Place, sent: Sent) -> float:
    """Return the milliseconds from the POST until the last order was claimed, by the ledger."""
    rows = fetch_all(
        at.db,
        "SELECT max(claimed_us) FROM attempt JOIN copy ON copy.id = copy_id JOIN signal ON "
        "signal.number = signal_number WHERE receipt_id = ?",
        (sent.receipt_id,),
    )
    return sent.since(at.monotonic_ns_of(rows[0][0] or 0))


async def measure(options: Options) -> AsyncIterator[Row]:
    """Yield a row for the opens and one for the closes."""
    followers = options.followers[0] if options.followers else FOLLOWERS
    with simulator(followers) as venue:
        async with place(venue, {"trend": followers}) as at:
            ready_s = (at.ready["ready_ns"] - at.started_ns) / 1e9
            told: dict[str, list[dict[str, float]]] = {each: [] for each in SIGNALS}
            for _ in range(options.rounds or ROUNDS):
                for action in SIGNALS:
                    told[action].append(await signalled(at, venue, action))
                    await at.settle(options.quiet_s)
            memory = await at.memory_kib()
        await venue.control.aclose()
        for action, seen in told.items():
            mid = {name: middle([each[name] for each in seen]) for name in seen[0]}
            false = sum(each["false"] for each in seen)
            limited = sum(each["limited"] for each in seen)
            yield Row(
                scenario="mudrex",
                case=f"{followers:,} accounts, {PER_SECOND} requests/s each, {action}",
                figure="POST to last outcome",
                unit="ms",
                value=mid["outcome"],
                loop_us=mid["loop"] / followers,
                writer_us=mid["writer"] / followers,
                memory_kib=memory,
                beside={
                    "last claim ms": mid["claim"],
                    "POST answer ms": mid["answered"],
                    "start to ready s": ready_s,
                    "answers 429": limited,
                },
                aims=(Aim(what="false outcomes", limit=0, found=false),),
            )


async def signalled(at: Place, venue: Simulator, action: str) -> dict[str, float]:
    """Send one signal, wait for every outcome; return times in milliseconds, CPU in microseconds,
    and counts.
    """
    before, counts = await at.clocks(), await venue.counts()
    sent = await at.send("trend", action, **SIGNALS[action])
    view = await at.wait_outcomes(sent)
    after, counted = await at.clocks(), await venue.counts()
    return {
        "outcome": sent.since(at.last_outcome_ns(sent)),
        "claim": last_claim_ms(at, sent),
        "answered": sent.answered,
        "loop": after["loop_us"] - before["loop_us"],
        "writer": after["writer_us"] - before["writer_us"],
        "false": float(view.copies - view.outcomes.get(OutcomeCode.FILLED.value, 0)),
        "limited": float(counted.get("429", 0) - counts.get("429", 0)),
    }
