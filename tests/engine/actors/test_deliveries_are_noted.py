"""Deliveries are noted for their owner: together, at once where an alert hangs on it, and at the end."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from engine_world import BTC, World, world
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.decisions.admission import Scope
from engine.domain.identifiers import StrategyId
from engine.domain.signal import Action, SignalDraft
from engine.ingress import Ingress
from engine.ingress.endpoints import Endpoint
from engine.ingress.notes import AGAIN_AFTER_S, NOTED_AFTER_S
from engine.keys.sealed_secrets import EndpointKey
from engine.ledger import DiskRefused, WriteRefused
from engine.ledger.deliveries import NewDelivery
from engine.ledger.query import Database, fetch_all
from engine.ledger.refused import note_and_alert
from engine.ports.rate_limiter import RateLimit
from engine.ports.signal_source import Delivery
from engine.recording import Recorder
from engine.views import ReceptionKind
from plugins.gcra import GcraLimiter
from plugins.signed_webhook import SignedWebhook
from rexalgo import sign_a

SOURCE = SignedWebhook()
SECRET = SOURCE.new_secret()
ENDPOINT = "one"
AN_EXIT_NOBODY_CAN_READ = {"action": "close", "symbol": "BTCUSDT", "size": {"mode": "fraction"}}


class Door:
    """One endpoint of a strategy, and what is noted of it."""

    def __init__(self, house: World, ingress: Ingress) -> None:
        self.house = house
        self.ingress = ingress

    async def send(self, key: str, **body: object) -> ReceptionKind:
        """Send one signed delivery."""
        fields = {"idempotency_key": key, "symbol": "BTCUSDT", **body}
        content, now = json.dumps(fields).encode(), self.house.shared.clock.now()
        headers = tuple((a.lower(), b) for a, b in sign_a(SECRET, content, now).items())
        delivery = Delivery(content, headers, "203.0.113.9", now)
        return (await self.ingress.receive(ENDPOINT, delivery)).kind

    def noted(self) -> list[str]:
        """Return the kinds that are noted, oldest first."""
        rows = fetch_all(self.house.ledger.db, "SELECT kind FROM delivery ORDER BY id")
        return [row[0] for row in rows]


def open_door(house: World, nursery: trio.Nursery) -> Door:
    """Open an endpoint of the strategy."""
    house.ledger.db.execute(
        "INSERT INTO endpoint (id, strategy_id, source) VALUES ('one', 's', 'signed_webhook')"
    )
    ingress = Ingress(
        ledger=house.ledger,
        clock=house.shared.clock,
        recording=Recorder(house.shared, house.account_tasks, nursery),
        nursery=nursery,
        limiter=GcraLimiter(),
        webhook_limit=RateLimit(100, 1.0, 100),
        default_source=SOURCE,
    )
    one = Endpoint(
        id=ENDPOINT,
        strategy=StrategyId("s"),
        strategy_name="s",
        scope=Scope(symbols=frozenset({BTC})),
        source=SOURCE,
        keys=(EndpointKey("k", SECRET, None),),
        is_deleted=False,
    )
    ingress.use_endpoints([one])
    return Door(house, ingress)


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Door]:
    async with world(folder, followers=1) as house, trio.open_nursery() as nursery:
        yield open_door(house, nursery)
        nursery.cancel_scope.cancel()


async def test_no_signal_is_one_too_many_because_the_clock_was_set_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with door(tmp_path) as here:
        for key, step_s in (("a", -50), ("b", -3600), ("c", 0)):
            assert await here.send(key, action="close") is ReceptionKind.ACCEPTED
            here.house.clock.step(step_s)


async def test_deliveries_of_one_moment_share_a_transaction(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def noting(db: Database, rows: Sequence[NewDelivery]) -> None:
        written.append(len(rows))
        note_and_alert(db, rows)

    monkeypatch.setattr("engine.recording.note_and_alert", noting)
    async with door(tmp_path) as here:
        taken = [await here.send(f"k-{n}", action="close") for n in range(3)]
        assert taken == [ReceptionKind.ACCEPTED] * 3
        assert await here.send("k-2", action="close") is ReceptionKind.DUPLICATE
        assert here.noted() == []
        await trio.sleep(2 * NOTED_AFTER_S)
        assert here.noted() == ["accepted", "accepted", "accepted", "duplicate"]
        assert written == [4]


async def test_an_exit_that_was_refused_is_told_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with door(tmp_path) as here:
        await here.send("k-1", action="close")
        assert await here.send("k-2", **AN_EXIT_NOBODY_CAN_READ) is ReceptionKind.INVALID
        with trio.fail_after(NOTED_AFTER_S / 2):
            await wait_all_tasks_blocked()
        assert here.noted() == ["accepted", "invalid"]
        rows = fetch_all(here.house.ledger.db, "SELECT code FROM alert")
        assert ("exit_refused",) in rows


def raises(source: object, delivery: Delivery, proof: object) -> object:
    raise KeyError("whsec")


def returns_nothing(source: object, delivery: Delivery, proof: object) -> object:
    return None


def names_a_float(source: object, delivery: Delivery, proof: object) -> object:
    return SignalDraft("k-1", Action.CLOSE, BTC, price=65_000.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("parse", [raises, returns_nothing, names_a_float])
async def test_a_source_that_fails_on_a_delivery_is_told_and_the_sender_may_try_again(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, parse: object
) -> None:
    async with door(tmp_path) as here:
        with monkeypatch.context() as broken:
            broken.setattr(SignedWebhook, "parse", parse)
            assert await here.send("k-1", action="close") is ReceptionKind.UNAVAILABLE
        await wait_all_tasks_blocked()
        ((code, why),) = fetch_all(
            here.house.ledger.db,
            "SELECT alert.code, json_extract(data, '$.details.why') FROM alert JOIN event ON kind = 'alert'",
        )
        assert code == "exit_refused"
        assert why.startswith("its signal source signed_webhook failed on it (")
        assert "whsec" not in why
        assert await here.send("k-1", action="close") is ReceptionKind.ACCEPTED
        await trio.sleep(2 * NOTED_AFTER_S)
        assert here.noted() == ["unavailable", "accepted"]


async def test_an_exit_that_was_refused_on_a_full_disk_is_told_once_there_is_room(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_full = True

    def noting(db: Database, rows: Sequence[NewDelivery]) -> None:
        if is_full:
            raise DiskRefused("the ledger could not be written: database or disk is full")
        if len(rows) > 1 and any(each.kind == "accepted" for each in rows):
            raise WriteRefused("one of them breaks a rule")
        note_and_alert(db, rows)

    monkeypatch.setattr("engine.recording.note_and_alert", noting)
    async with door(tmp_path) as here:
        assert await here.send("k-1", **AN_EXIT_NOBODY_CAN_READ) is ReceptionKind.INVALID
        await trio.sleep(3)
        is_full = False
        await here.send("k-2", action="close")
        await trio.sleep(2 * AGAIN_AFTER_S)
        assert here.noted() == ["invalid", "accepted"]
        rows = fetch_all(here.house.ledger.db, "SELECT code FROM alert")
        assert ("exit_refused",) in rows


async def test_what_waits_is_noted_when_the_engine_stops(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        async with trio.open_nursery() as nursery:
            here = open_door(house, nursery)
            await here.send("k-1", action="close")
            assert here.noted() == []
            nursery.cancel_scope.cancel()
        assert here.noted() == ["accepted"]
