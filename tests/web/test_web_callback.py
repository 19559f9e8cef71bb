"""A master's bot is called when a signal has settled: signed, again until it is taken, under one id."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import h11
import pytest
import trio
from test_web_dry_run import bot_of
from test_web_home import SETTINGS, follow, held
from web_place import PASSWORD, WebPlace, web_place

import engine.actors.callbacks
import engine.run
from engine.actors.callbacks import RETRY_S, Callbacks
from engine.decisions.signatures import verify_signatures
from engine.domain.identifiers import Symbol
from engine.domain.network import LOOPBACK
from engine.domain.person import Role
from engine.ledger.callbacks import (
    call_failed,
    call_taken,
    callback_of,
    claim_call,
    due_calls,
)
from engine.ledger.forced_close import forced_close
from engine.ledger.query import fetch_all
from engine.ledger.signals import record_signal
from engine.ports.signal_source import Delivery


@dataclass
class Receiver:
    """A master's own server: it keeps what it is sent, and answers with the next status (200)."""

    address: str = ""
    statuses: list[int] = field(default_factory=list)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    reached: trio.Event = field(default_factory=trio.Event)
    answers: trio.Event | None = None

    async def serve(self, stream: trio.SocketStream) -> None:
        connection, body, headers = h11.Connection(h11.SERVER), b"", dict[str, str]()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(65_536))
            elif isinstance(event, h11.Request):
                headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        self.came.append((headers, body))
        self.reached.set()
        if self.answers is not None:
            await self.answers.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        head = h11.Response(
            status_code=status, headers=[("content-length", "0"), ("connection", "close")]
        )
        await stream.send_all(
            (connection.send(head) or b"") + (connection.send(h11.EndOfMessage()) or b"")
        )


@asynccontextmanager
async def receiving(*statuses: int) -> AsyncIterator[Receiver]:
    receiver = Receiver(statuses=list(statuses))
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(trio.serve_tcp, receiver.serve, 0, host="127.0.0.1")
        )
        port = listener.socket.getsockname()[1]
        receiver.address = f"http://127.0.0.1:{port}/settled?bot=1"
        try:
            yield receiver
        finally:
            nursery.cancel_scope.cancel()


async def set_callback(place: WebPlace, ada: Any, strategy: str, url: str) -> None:
    page = f"/studio/strategies/{strategy}/callback"
    await ada.get(page)
    await ada.post(page, url=url, factor=PASSWORD)
    assert ada.path == page, ada.words


async def test_a_settled_signal_is_called_until_it_is_taken_under_one_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # only public addresses are called; this one is on this machine
    monkeypatch.setattr(engine.run, "Callbacks", partial(Callbacks, reach=LOOPBACK))
    monkeypatch.setattr(engine.actors.callbacks, "REST_S", (0,))
    async with receiving(500, 302) as receiver, web_place(tmp_path, SETTINGS) as place:
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada)
        bob = await place.person("bob", balance="1000")
        await follow(bob, strategy, "bob", "BTCUSDT")
        await place.signal(strategy, action="close", symbol="BTCUSDT")  # before it was set
        await set_callback(place, ada, strategy, receiver.address)
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
        await place.until(lambda: held(place) == [("bob", "BTCUSDT")])
        for tried in (1, 2, 3):
            await place.until(lambda tried=tried: len(receiver.came) >= tried)
            place.clock.passed += timedelta(seconds=RETRY_S[tried - 1])
        db = place.context.ledger.db
        await place.until(lambda: not fetch_all(db, "SELECT 1 FROM callback_due"))
        assert len(receiver.came) == 3
        assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 1
        bot = await bot_of(place)
        for headers, body in receiver.came:
            told = Delivery(body, tuple(headers.items()), "127.0.0.1", place.clock.now())
            proof = verify_signatures(told, [bot.secret], place.clock.now(), 60)
            assert proof.dedupe_key == headers["webhook-id"]
        settled = json.loads(receiver.came[-1][1])
        assert settled["type"] == "signal.settled"
        assert settled["data"]["outcomes"] == {"filled": 1}
        assert "bob" not in str(settled)
        await ada.get(f"/studio/strategies/{strategy}/callback")
        assert "Accepted" in ada.words
        back = await place.engine.ingress.receive(bot.endpoint, told)
        assert back.kind.value == "invalid", "sent back to us, it is no signal"

        await place.signal(strategy, action="close", symbol="BTCUSDT")
        await place.until(lambda: len(receiver.came) == 4)
        limit: dict[str, Any] = {"side": "LONG", "order_type": "LIMIT", "price": "60000"}
        await place.signal(strategy, action="open", symbol="BTCUSDT", **limit)
        await place.until(lambda: fetch_all(db, "SELECT 1 FROM copy WHERE code = 'placed'"))
        postponed = "SELECT 1 FROM callback_due JOIN signal ON number = signal_number WHERE "
        await place.until(lambda: fetch_all(db, postponed + "next_us > received_us"))
        assert len(receiver.came) == 4, "a resting order has not settled"
        await place.signal(strategy, action="cancel", symbol="BTCUSDT")
        place.clock.passed += timedelta(seconds=2)
        await place.until(lambda: len(receiver.came) == 6)
        told = [json.loads(body)["data"] for _, body in receiver.came[4:]]
        assert {each["action"]: [*each["outcomes"]] for each in told}["open"] == ["cancelled"]
        await set_callback(place, ada, strategy, "")
        assert fetch_all(db, "SELECT 1 FROM callback_due") == []
        assert fetch_all(db, "SELECT 1 FROM callback") == []


async def test_a_receiver_that_hangs_holds_its_slot_for_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.run, "Callbacks", partial(Callbacks, reach=LOOPBACK))
    monkeypatch.setattr(engine.actors.callbacks, "AT_ONCE", 1)
    monkeypatch.setattr(engine.actors.callbacks, "REST_S", (3_600,))  # no machine is that slow
    async with (
        receiving(500) as hanging,
        receiving() as other,
        web_place(tmp_path, SETTINGS) as place,
    ):
        hanging.answers = trio.Event()
        ada, eve = [await place.person(name, Role.MASTER) for name in ("ada", "eve")]
        first, second = await place.strategy(ada), await place.strategy(eve, name="second")
        await set_callback(place, ada, first, hanging.address)
        await set_callback(place, eve, second, other.address)
        for _ in range(3):
            await place.signal(first, action="close", symbol="BTCUSDT")
        with trio.fail_after(60):
            await hanging.reached.wait()
        await place.signal(second, action="close", symbol="BTCUSDT")
        hanging.answers.set()
        await place.until(lambda: other.came)
        assert len(hanging.came) == 1, "after a failed call its strategy rests"
        place.clock.passed += timedelta(hours=2)
        await place.signal(second, action="close", symbol="BTCUSDT")
        await place.until(lambda: len(other.came) == 2)
        assert len(hanging.came) == 1, "no wall clock ends a rest, nor makes it longer"
        monkeypatch.setattr(engine.actors.callbacks, "REST_S", (0,))
        await place.until(lambda: len(hanging.came) == 4)

        # what waits behind calls that fail is given up when a day has passed
        monkeypatch.setattr(engine.actors.callbacks, "REST_S", (3_600,))
        hanging.statuses.append(500)
        for _ in range(3):
            await place.signal(first, action="close", symbol="BTCUSDT")
        db = place.context.ledger.db
        await place.until(lambda: fetch_all(db, "SELECT 1 FROM callback WHERE problem != ''"))
        place.clock.passed += timedelta(hours=25)
        monkeypatch.setattr(engine.actors.callbacks, "REST_S", (0,))
        await place.until(lambda: not fetch_all(db, "SELECT 1 FROM callback_due"))
        assert len(hanging.came) == 5, "they are not made"


async def test_what_is_not_public_is_not_called_and_the_page_says_so(tmp_path: Path) -> None:
    async with receiving() as receiver, web_place(tmp_path, SETTINGS) as place:
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada)
        page = f"/studio/strategies/{strategy}/callback"
        for url in (
            "http://bot.example/x",
            "ftp://bot.example",
            "https://",
            "https://u:p@bot.example",
            "https://bot.example/#a",
            "https://bot.example:99999/",
            "https://bot.example/ä",
            "https://[::1",
            "javascript:alert(1)",
            "https://bot.example/" + "x" * 500,
        ):
            await ada.get(page)
            await ada.post(page, 422, url=url, factor=PASSWORD)
            assert "expected an address such as" in ada.words, url
        await set_callback(place, ada, strategy, receiver.address)
        await place.signal(strategy, action="close", symbol="BTCUSDT")
        db = place.context.ledger.db
        await place.until(lambda: fetch_all(db, "SELECT 1 FROM callback WHERE problem != ''"))
        await ada.get(page)
        assert "not a public address" in ada.words
        assert receiver.came == []
        eve = await place.person("eve", Role.MASTER)
        await eve.get(page, 404)


async def test_a_call_is_claimed_once_and_given_up_in_the_end(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada)
        await set_callback(place, ada, strategy, "https://bot.invalid/x")
        db, write = place.context.ledger.db, place.context.ledger.write
        [(row,)] = fetch_all(db, "SELECT id FROM strategy")
        asked = forced_close("close", row, Symbol("BTCUSDT"), frozenset(), place.clock.now())
        await write(lambda db: record_signal(db, asked))
        await place.signal(strategy, action="close", symbol="BTCUSDT")
        await place.until(lambda: fetch_all(db, "SELECT 1 FROM callback WHERE problem != ''"))
        assert fetch_all(db, "SELECT count(*) FROM callback_due") == [(1,)], "the master's alone"
        far = place.clock.now() + timedelta(days=2)
        (call,) = due_calls(db, far)
        assert await write(partial(claim_call, call=call, until=far)) is True
        assert await write(partial(claim_call, call=call, until=far)) is False, "claimed once"
        (again,) = due_calls(db, far)
        assert again.tries == call.tries + 1, "after a crash it is due again"
        await write(partial(call_failed, call=again, problem="late", at=far, gives_up=True))
        assert due_calls(db, far) == []
        await set_callback(place, ada, strategy, "https://another.invalid/x")
        await write(partial(call_failed, call=again, problem="late", at=far, gives_up=True))
        await write(partial(call_taken, call=again, at=far))
        found = callback_of(db, row)
        assert found is not None
        assert (found.taken_at, found.problem) == (None, ""), "the new address was not called"
