"""``python tests/journeys/month_serve.py [serve options]``: a month passes with a trade a day, and
then the real ``rexalgo serve`` shows it, with a clock that is that month ahead.

The real engine lives through the month: signals come in at its door, are planned for everybody who
follows or watches, and are traded on the paper exchange. Only time is ours. The clock skips from
hour to hour, and to each signal; the exchange's prices stand still within a minute, so that how long
an order takes on this machine decides nothing.
"""

import json
import os
import random
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

import trio

import engine.actors.clock
import plugins.paper.market
import web.app
from engine.context import EngineContext
from engine.decisions.signatures import sign_a
from engine.domain.identifiers import EndpointId, Symbol
from engine.keys.sealed_secrets import endpoint_keys
from engine.ledger.query import fetch_all
from engine.ports.secret import Secret
from engine.ports.signal_source import Delivery
from engine.run import Engine, run_engine
from engine.settings.config import load_config
from engine.views import ReceptionKind
from plugins.paper.market import BLOCK_S, SimulatedPrices

MONTH: Final = timedelta(days=31)
BTC: Final = Symbol("BTCUSDT")
DAYS: Final = range(1, 30)
"""Those that are whole 30 days later too, at whatever time this runs."""
HOUR: Final = timedelta(hours=1)
UNSETTLED: Final = "SELECT 1 FROM copy WHERE code IS NULL OR code IN ('placed', 'partially_filled')"


class Later(datetime):
    """The machine's clock, a month ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        """Return the time in a month."""
        return datetime.now(tz) + MONTH


class ByMinute(SimulatedPrices):
    """The paper exchange's prices, each of which is that of its whole minute."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        of_second = self.price
        self.price = lambda symbol, second: of_second(symbol, second - second % BLOCK_S)  # type: ignore[assignment]
        self.block = lambda symbol, number: (self.price(symbol, number * BLOCK_S),) * 2  # type: ignore[assignment]


class Skipping:
    """The machine's clock, ahead by what was skipped."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC) + self._ahead

    def skip_to(self, moment: datetime) -> None:
        """Let it be a later time from now on."""
        self._ahead = moment - datetime.now(UTC)


@dataclass
class Month:
    """A master's bot, and the time that passes between its signals."""

    engine: Engine
    context: EngineContext
    clock: Skipping
    endpoint: EndpointId
    secret: Secret

    def __post_init__(self) -> None:
        self._committed = trio.Event()
        self.context.ledger.on_commit(self._wake)

    def _wake(self) -> None:
        self._committed.set()
        self._committed = trio.Event()

    async def pass_to(self, moment: datetime) -> None:
        """Let time pass, and let the engine see the price once an hour and at the end."""
        feed = self.context.feeds["paper"]
        while (now := self.clock.now()) < moment:
            self.clock.skip_to(min(now + HOUR, moment))
            quote = await feed.quote(BTC, 2)
            assert quote is not None, feed.problem
            feed.tape.note([quote])

    async def sends(self, action: str, **said: object) -> None:
        """Send a signal, and wait until every copy of it is settled."""
        now = self.clock.now()
        body = {"idempotency_key": f"{now:%d-%H-%M}", "action": action, "symbol": BTC, **said}
        content = json.dumps(body).encode()
        headers = tuple(
            (name.lower(), value) for name, value in sign_a(self.secret, content, now).items()
        )
        delivery = Delivery(content, headers, "127.0.0.1", now)
        told = await self.engine.ingress.receive(self.endpoint, delivery)
        assert told.kind is ReceptionKind.ACCEPTED, told
        while fetch_all(self.context.ledger.db, UNSETTLED):
            await self._committed.wait()

    async def passes(self) -> None:
        """Trade once a day, each trade in a way of its own."""
        midnight = datetime.combine(self.clock.now().date() + timedelta(days=1), time(), UTC)
        draw = random.Random("a month")
        for day in DAYS:
            begins = midnight + timedelta(days=day, minutes=60 + draw.randrange(300), seconds=1)
            side = draw.choice(["LONG", "SHORT"])
            await self.pass_to(begins)
            if day % 10 == 9:
                sent_at = (begins - timedelta(minutes=1)).isoformat()
                await self.sends("open", side=side, leverage="5", sent_at=sent_at)
                continue
            await self.sends("open", side=side, leverage="5")
            if day % 4 == 1:
                await self.pass_to(begins + 2 * HOUR)
                await self.sends("add", side=side, leverage="5")
            if day % 5 == 2:
                await self.pass_to(begins + 3 * HOUR)
                half = {"mode": "fraction", "fraction": "0.5"}
                await self.sends("reduce", size=half)
            await self.pass_to(begins + (4 + draw.randrange(12)) * HOUR)
            await self.sends("close")
        await self.pass_to(midnight + timedelta(days=DAYS.stop))


async def live_through_it() -> None:
    """Let the month pass in the folder of this process."""
    clock = Skipping()
    async with run_engine(load_config(Path.cwd(), os.environ), clock=clock) as running:
        assert running.services is not None
        context = running.services.context
        [[found]] = fetch_all(
            context.ledger.db,
            "SELECT endpoint.id FROM endpoint JOIN strategy ON strategy.id = strategy_id WHERE "
            "name = 'trend'",
        )
        endpoint, vault = EndpointId(found), await context.open_vault()
        secret = endpoint_keys(context.ledger.db, vault, endpoint, clock.now())[0].secret
        await Month(running, context, clock, endpoint, secret).passes()


def main() -> None:
    """Let the month pass, and serve."""
    plugins.paper.market.SimulatedPrices = ByMinute  # type: ignore[misc]
    trio.run(live_through_it)
    plugins.paper.market.SimulatedPrices = SimulatedPrices  # type: ignore[misc]
    engine.actors.clock.datetime = web.app.datetime = Later  # type: ignore[misc]
    from rexalgo.cli import main as rexalgo

    sys.argv = ["rexalgo", "serve", *sys.argv[1:]]
    rexalgo()


if __name__ == "__main__":
    main()
