"""The live page: rows, the stream of updates, and who may see it."""

import json
import re

import h11
import pytest
import trio
from web_helpers import MemoryEngine, Site, new_parser, outcome_row, request_bytes, served

from web.connections import ConnectionLimits
from web.settings import WebSettings


class Stream:
    """A reader of server-sent events from a raw connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._parser = new_parser("GET")
        self._text = ""
        self.headers: dict[str, str] = {}
        self.ended = False

    async def close(self) -> None:
        await self._stream.aclose()

    async def block(self) -> str | None:
        """Return the next block that is no heartbeat, or None at the end."""
        with trio.fail_after(60):
            while True:
                while "\n\n" in self._text:
                    text_of_event, _, self._text = self._text.partition("\n\n")
                    if "event: outcomes" in text_of_event:
                        return text_of_event
                event = self._parser.next_event()
                if event is h11.NEED_DATA:
                    self._parser.receive_data(await self._stream.receive_some(65536))
                elif isinstance(event, h11.Response):
                    self.headers = {name.decode(): value.decode() for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    self._text += bytes(event.data).decode()
                else:
                    return None


async def follow(site: Site, path: str = "/events", **headers: str) -> Stream:
    stream = await site.connect()
    await stream.send_all(request_bytes("GET", path, **headers))
    return Stream(stream)


def sequences(block: str | None) -> list[int]:
    assert block is not None
    html = json.loads(block.partition("data: ")[2])["html"]
    return [int(number) for number in re.findall(r'data-sequence="(\d+)"', html)]


def event_id(block: str | None) -> str:
    assert block is not None
    return block.partition("id: ")[2].partition("\n")[0]


async def test_the_page_shows_rows_newest_first_with_word_chip_and_sentence() -> None:
    denied = outcome_row(
        2,
        code="denied.order_notional",
        sentence="Worth 900 USDT; the limit is 500.",
        setting="limits.order_notional",
        move="you",
    )
    async with served(MemoryEngine(rows=[outcome_row(1), denied])) as site:
        page = await site.ask("GET", "/live")
        text = page.body.decode()
        assert page.status == 200
        assert text.index("Worth 900 USDT") < text.index("Filled: LONG")
        for query in (
            "Denied",
            "order notional",
            "Setting: Max. order value",
            "To do: follower",
            "PAPER",
            "10:00:00.002",
            "42 ms",
            'data-after="2"',
        ):
            assert query in text


async def test_what_a_name_contains_is_escaped() -> None:
    async with served(
        MemoryEngine(
            rows=[outcome_row(1, account='<img src=x onerror="1">', sentence="<script>1</script>")]
        )
    ) as site:
        text = (await site.ask("GET", "/live")).body
        assert b"<img src=x" not in text
        assert b"<script>1" not in text
        assert b"style=" not in text


async def test_the_empty_page_says_what_to_do_next() -> None:
    async with served() as site:
        text = (await site.ask("GET", "/live")).body.decode()
        assert "rexalgo provision FILE" in text
        assert "rexalgo signal send" in text


async def test_static_files_named_by_the_page_exist() -> None:
    async with served() as site:
        text = (await site.ask("GET", "/live")).body.decode()
        paths = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', text))
        assert len(paths) == 5
        for path in paths:
            assert (await site.ask("GET", path)).status == 200
        assert (await site.ask("GET", "/static/..%2fapp.py")).status == 404


async def test_a_stream_catches_up_after_the_last_event_id_and_goes_on() -> None:
    async with served(MemoryEngine(rows=[outcome_row(n) for n in range(1, 6)])) as site:
        stream = await follow(site, "/events?after=1", last_event_id="3")
        block = await stream.block()
        assert sequences(block) == [5, 4]
        assert event_id(block) == "5"
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        site.engine.publish(outcome_row(6))
        assert sequences(await stream.block()) == [6]


async def test_a_new_stream_starts_after_what_its_page_showed_or_now() -> None:
    async with served(MemoryEngine(rows=[outcome_row(n) for n in range(1, 4)])) as site:
        assert sequences(await (await follow(site, "/events?after=2")).block()) == [3]
        now = await follow(site, "/events", last_event_id="nonsense")
        while site.bound.guard.open < 2:
            await trio.lowlevel.checkpoint()
        await site.ask("GET", "/api/health")
        site.engine.publish(outcome_row(4))
        assert sequences(await now.block())[-1] == 4


async def test_a_long_catch_up_comes_in_batches_without_a_gap() -> None:
    async with served(MemoryEngine(rows=[outcome_row(n) for n in range(1, 251)])) as site:
        stream = await follow(site, "/events?after=0", last_event_id="0")
        seen: list[int] = []
        while len(seen) < 250:
            seen += reversed(sequences(await stream.block()))
        assert seen == list(range(1, 251))


async def test_a_quiet_stream_is_kept_alive_by_heartbeats() -> None:
    async with served(settings=WebSettings(heartbeat_s=0.02)) as site:
        stream = await site.connect()
        await stream.send_all(request_bytes("GET", "/events"))
        came = b""
        with trio.fail_after(60):
            while came.count(b": still here") < 4:
                came += await stream.receive_some(65536)


async def test_streams_end_at_once_when_the_server_closes() -> None:
    async with served(limits=ConnectionLimits(drain_s=120)) as site:
        stream = await follow(site, "/events?after=0")
        site.engine.publish(outcome_row(1))
        await stream.block()
        began = trio.current_time()
        site.stop.set()
        assert await stream.block() is None
        await stream.close()
        await site.ended.wait()
        assert trio.current_time() - began < 60  # below drain_s: nothing was cut, it ended


async def test_streams_end_when_the_engine_closes() -> None:
    async with served() as site:
        stream = await follow(site, "/events?after=0")
        site.engine.publish(outcome_row(1))
        await stream.block()
        site.engine.close()
        assert await stream.block() is None


async def test_a_stream_too_many_is_refused_and_a_place_is_free_again_when_one_leaves() -> None:
    async with served(settings=WebSettings(streams_max=1)) as site:
        first = await follow(site, "/events?after=0")
        site.engine.publish(outcome_row(1))
        await first.block()
        assert (await site.ask("GET", "/events")).status == 503
        await first.close()
        while site.bound.guard.open:
            await trio.lowlevel.checkpoint()
        again = await follow(site, "/events?after=0")
        assert sequences(await again.block()) == [1]


async def test_one_peer_cannot_take_the_streams_of_all_others() -> None:
    async with served(settings=WebSettings(streams_max=3, streams_per_peer_max=2)) as site:
        for _ in range(2):
            stream = await follow(site, "/events?after=0")
            site.engine.publish(outcome_row(len(site.engine.rows) + 1))
            await stream.block()
        assert (await site.ask("GET", "/events")).status == 429
        other = await trio.open_tcp_stream("127.0.0.1", site.bound.port, local_address="127.0.0.2")
        site.streams.append(other)
        await other.send_all(request_bytes("GET", "/events?after=0"))
        assert sequences(await Stream(other).block()) == [2, 1]
        assert (await site.ask("GET", "/events")).status == 429


@pytest.mark.parametrize("path", ["/live", "/events"])
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"x_forwarded_for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"host": "127.0.0.1.evil.example:80"},
    ],
)
async def test_the_live_page_does_not_exist_for_anybody_but_this_machine(
    path: str, headers: dict[str, str]
) -> None:
    async with served(MemoryEngine(rows=[outcome_row(1)])) as site:
        answer = await site.ask("GET", path, **headers)
        assert answer.status == 404
        assert b"f0001" not in answer.body


async def test_another_site_cannot_open_a_stream() -> None:
    async with served() as site:
        assert (await site.ask("GET", "/events", sec_fetch_site="cross-site")).status == 404


@pytest.mark.parametrize("path", ["/live", "/events"])
async def test_where_strangers_come_in_by_a_proxy_nobody_is_taken_for_a_person_on_this_machine(
    path: str,
) -> None:
    async with served(settings=WebSettings(trusts_here=False)) as site:
        assert (await site.ask("GET", path)).status == 404
        assert b"failures" not in (await site.ask("GET", "/api/ready")).body


async def test_the_live_page_can_be_switched_off() -> None:
    async with served(settings=WebSettings(live_page=False)) as site:
        assert [(await site.ask("GET", path)).status for path in ("/", "/events")] == [404, 404]
