"""The outbound transport against a scripted peer on real loopback sockets: what was written, how
often, and what the error says. What holds for both clients is asked of both.
"""

import gzip
import ssl
import time
import traceback
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import trio
import trio.testing
import trustme

from engine.domain.network import LOOPBACK
from engine.transport import (
    HttpClientFactory,
    PeerClock,
    Pool,
    SendPermit,
    SendRefused,
    SendStopped,
    TrioTransport,
    send_permit,
)
from engine.transport.request import Origin

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Script = Callable[["Peer", trio.abc.Stream], Awaitable[None]]


class Peer:
    """A server that counts connections, bytes and whole requests; ``script`` runs once per
    connection.
    """

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.url = (
            f"{scheme}://localhost:{port}" if scheme == "https" else f"http://127.0.0.1:{port}"
        )
        self.connections = 0
        self.received = b""
        self.requests: Counter[str] = Counter()
        self.changed = trio.Condition()

    async def read_request(self, stream: trio.abc.Stream) -> bool:
        """Read one whole request; False when the client closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = await stream.receive_some()
            if not chunk:
                return False
            data += chunk
            self.received += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (
                int(line[15:])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        while len(body) < length:
            chunk = await stream.receive_some()
            self.received += chunk
            body += chunk
        self.requests[head.split()[0].decode()] += 1
        async with self.changed:
            self.changed.notify_all()
        return True

    async def wait_requests(self, count: int) -> None:
        """Wait until so many requests arrived."""
        async with self.changed:
            while self.requests.total() < count:
                await self.changed.wait()


@asynccontextmanager
async def peer(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    the_peer = Peer(listeners[0].socket.getsockname()[1], "https" if tls else "http")

    async def serve(stream: trio.abc.Stream) -> None:
        the_peer.connections += 1
        if tls:
            stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        try:
            await script(the_peer, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        with trio.fail_after(60):
            yield the_peer
        nursery.cancel_scope.cancel()


def answering(*answers: bytes) -> Script:
    """Answer each request with the given bytes, the last one for ever."""

    async def script(the_peer: Peer, stream: trio.abc.Stream) -> None:
        left = list(answers)
        while await the_peer.read_request(stream):
            await stream.send_all(left.pop(0) if len(left) > 1 else left[0])

    return script


def answering_then_closing(answer: bytes) -> Script:
    async def script(the_peer: Peer, stream: trio.abc.Stream) -> None:
        if await the_peer.read_request(stream) and answer:
            await stream.send_all(answer)

    return script


async def never(the_peer: Peer, stream: trio.abc.Stream) -> None:
    await the_peer.read_request(stream)
    await trio.sleep_forever()


Way = str
BOTH = pytest.mark.parametrize("way", ["plain", "httpx"])
"""The client that plugins get, and the whole httpx API."""


@asynccontextmanager
async def client(the_peer: Peer, way: Way = "plain", **options: object) -> AsyncIterator[Any]:
    factory = HttpClientFactory(lambda: Pool(reach=LOOPBACK, **options))
    try:
        yield factory(the_peer.url) if way == "plain" else factory.httpx(the_peer.url)
    finally:
        await factory.aclose()


def origin_of(url: str) -> Origin:
    return Origin.of(httpx.URL(url))


def pool_of(http: Any) -> Pool:
    return http._transport.pool if isinstance(http, httpx.AsyncClient) else http._pool


@asynccontextmanager
async def permitted(permit: SendPermit) -> AsyncIterator[None]:
    token = send_permit.set(permit)
    try:
        yield
    finally:
        send_permit.reset(token)


# --- answers


@BOTH
async def test_requests_share_one_connection_one_after_another(way: Way) -> None:
    async with peer(answering(OK)) as server, client(server, way) as http:
        for _ in range(3):
            answer = await http.post("/orders", content=b"hello")
            assert (answer.status_code, answer.text) == (200, "ok")
        assert server.connections == 1
        assert server.received.count(b"hello") == 3


@pytest.mark.parametrize(
    ("method", "raw", "status", "body"),
    [
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
            b"chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            200,
            b"abcde",
        ),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 200, b""),
        ("POST", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        ("POST", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK, 200, b"ok"),
        (
            "GET",
            b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
            302,
            b"",
        ),
        ("POST", b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 503, b""),
    ],
)
@BOTH
async def test_every_shape_of_answer_is_read_and_the_connection_kept(
    method: str, raw: bytes, status: int, body: bytes, way: Way
) -> None:
    async with peer(answering(raw)) as server, client(server, way) as http:
        for count in (1, 2):
            answer = await http.request(method, "/")
            assert (answer.status_code, answer.content, server.requests[method]) == (
                status,
                body,
                count,
            )
        assert server.connections == 1


BARE = zlib.compressobj(wbits=-15)
BARE_TEXT = BARE.compress(b"plain text") + BARE.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        (b"gzip", gzip.compress(b"plain text", mtime=0)),
        (b"GZIP", gzip.compress(b"plain text", mtime=0)),
        (b"deflate", zlib.compress(b"plain text")),
        (b"deflate", BARE_TEXT),
        (b"identity", b"plain text"),
    ],
)
@BOTH
async def test_an_encoded_answer_is_decoded(encoding: bytes, packed: bytes, way: Way) -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
        % (encoding, len(packed))
        + packed
    )
    async with peer(answering(raw)) as server, client(server, way) as http:
        answer = await http.post("/")
        assert answer.text == "plain text"
        assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("encoding", "packed", "told"),
    [
        (
            b"gzip",
            gzip.compress(b"0" * 1001, mtime=0),
            "more than 1000 bytes",
        ),  # 1 MiB of it would have become a gigabyte
        (b"deflate", zlib.compress(b"0" * 1001), "more than 1000 bytes"),
        (b"gzip", gzip.compress(b"plain text", mtime=0)[:-9], "cut off"),
        (b"gzip", b"plain text", "not gzip"),
        (
            b"gzip, gzip",
            gzip.compress(gzip.compress(b"plain text", mtime=0), mtime=0),
            "not asked for",
        ),
        (b"br", b"plain text", "not asked for"),
    ],
)
@BOTH
async def test_an_answer_that_unpacks_above_the_cap_or_not_at_all_is_refused(
    encoding: bytes, packed: bytes, told: str, way: Way
) -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
        % (encoding, len(packed))
        + packed
    )
    async with peer(answering(raw)) as server, client(server, way, body_bytes_max=1000) as http:
        for ask in (http.get, http.post):
            with pytest.raises(httpx.RemoteProtocolError, match=told):
                await ask("/")


async def test_a_key_that_cannot_stand_in_a_header_is_in_no_message() -> None:
    torn = f"{7:04}\n{8:04}"
    async with peer(answering(OK)) as server:
        transport = TrioTransport(Pool(reach=LOOPBACK))
        with pytest.raises(httpx.ConnectError) as caught:
            await transport.handle_async_request(
                httpx.Request("GET", server.url, headers={"X-Authentication": torn})
            )
        await transport.aclose()
        assert "0007" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
    ],
)
@BOTH
async def test_an_answer_that_ends_the_connection_is_followed_by_a_new_one(
    raw: bytes, way: Way
) -> None:
    async with peer(answering_then_closing(raw)) as server, client(server, way) as http:
        assert [(await http.get("/")).text for _ in range(2)] == ["ok", "ok"]
        assert [(await http.post("/")).text for _ in range(2)] == ["ok", "ok"]
        assert server.connections == 4


# --- idle connections


@BOTH
async def test_a_connection_closed_while_idle_is_replaced_before_anything_is_written(
    way: Way,
) -> None:
    async with peer(answering_then_closing(OK)) as server, client(server, way) as http:
        for _ in range(3):
            assert (await http.post("/orders", content=b"x")).text == "ok"
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert (server.connections, server.requests["POST"]) == (3, 3)


@BOTH
async def test_unasked_bytes_on_an_idle_connection_are_never_taken_for_an_answer(way: Way) -> None:
    async def script(the_peer: Peer, stream: trio.abc.Stream) -> None:
        await the_peer.read_request(stream)
        await stream.send_all(OK)
        await the_peer_may_speak.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
        spoke.set()
        while await the_peer.read_request(stream):
            await stream.send_all(OK)

    the_peer_may_speak, spoke = trio.Event(), trio.Event()
    async with peer(script) as server, client(server, way) as http:
        await http.post("/")
        the_peer_may_speak.set()
        await spoke.wait()
        assert (await http.post("/")).text == "ok"
        assert server.connections == 2


@BOTH
async def test_bytes_beyond_an_answer_are_never_taken_for_the_next_one(way: Way) -> None:
    false = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse"
    async with peer(answering(OK + false)) as server, client(server, way) as http:
        for count in (1, 2):
            assert (await http.post("/orders")).text == "ok"
            assert (server.connections, server.requests["POST"]) == (count, count)


@BOTH
async def test_an_idle_connection_is_not_used_beyond_its_keep_alive_time(way: Way) -> None:
    async with peer(answering(OK)) as server, client(server, way, keep_alive_s=-1) as http:
        await http.get("/")
        await http.post("/")
        assert server.connections == 2


# --- deadlines


async def drip(the_peer: Peer, stream: trio.abc.Stream) -> None:
    await the_peer.read_request(stream)
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await stream.send_all(b"x")
        await trio.sleep(0.01)  # the misbehaviour under test, not a synchronisation


@BOTH
async def test_a_slow_drip_does_not_defeat_the_total_deadline(way: Way) -> None:
    async with peer(drip) as server, client(server, way, total_s=0.1) as http:
        started = time.monotonic()
        with pytest.raises(httpx.ReadTimeout, match=r"0\.1 s"):
            await http.post("/orders", content=b"x")
        assert time.monotonic() - started < 60  # the drip alone would take 1,000 s
        assert server.requests["POST"] == 1


@pytest.mark.parametrize("timeout", [0.05, httpx.Timeout(None, read=0.05)])
async def test_an_httpx_request_may_name_its_own_total_deadline(timeout: object) -> None:
    async with peer(never) as server, client(server, "httpx", total_s=60) as http:
        with pytest.raises(httpx.ReadTimeout, match=r"0\.05 s"):
            await http.get("/", timeout=timeout)


async def test_a_deadline_before_anything_was_written_is_a_connect_timeout() -> None:
    async def silent(_: Peer, stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()  # never shakes hands

    async with peer(silent) as server:
        transport = TrioTransport(Pool(total_s=0.05, reach=LOOPBACK))
        with pytest.raises(httpx.ConnectTimeout, match="nothing was sent"):
            await transport.handle_async_request(
                httpx.Request("POST", server.url.replace("http://", "https://"), content=b"x")
            )
        with pytest.raises(httpx.ConnectTimeout, match="nothing was sent"):
            await transport.pool.warm(origin_of(server.url.replace("http://", "https://")))
        await transport.aclose()


# --- errors and what they prove


async def test_a_refused_connection_is_a_connect_error() -> None:
    async with peer(answering(OK)) as server:
        url = server.url
    transport = TrioTransport(Pool(reach=LOOPBACK))
    with pytest.raises(httpx.ConnectError, match=r"cannot connect to http://127\.0\.0\.1"):
        await transport.handle_async_request(httpx.Request("POST", url, content=b"x"))
    with pytest.raises(httpx.ConnectError):
        await transport.pool.warm(origin_of(url))


@BOTH
async def test_a_peer_that_reads_the_request_and_closes_is_a_read_error_and_saw_it_once(
    way: Way,
) -> None:
    async with peer(answering_then_closing(b"")) as server, client(server, way) as http:
        with pytest.raises(httpx.ReadError, match="without an answer"):
            await http.post("/orders", content=b"x")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (server.connections, server.requests["POST"]) == (1, 1)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x16\x03\x01\x00\xa5" * 20 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: nan\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
    ],
)
@BOTH
async def test_garbage_is_a_remote_protocol_error_and_its_connection_is_not_used_again(
    raw: bytes, way: Way
) -> None:
    async with peer(answering_then_closing(raw)) as server, client(server, way) as http:
        for count in (1, 2):
            with pytest.raises(httpx.RemoteProtocolError):
                await http.post("/orders", content=b"x")
            assert (server.connections, server.requests["POST"]) == (count, count)
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/orders")


@pytest.mark.parametrize("framing", [b"Content-Length: 1001\r\n\r\n", b"Connection: close\r\n\r\n"])
@BOTH
async def test_an_answer_above_the_cap_is_refused(framing: bytes, way: Way) -> None:
    async with (
        peer(answering_then_closing(b"HTTP/1.1 200 OK\r\n" + framing + b"a" * 1001)) as server,
        client(server, way, body_bytes_max=1000) as http,
    ):
        for ask in (http.get, http.post):
            with pytest.raises(httpx.RemoteProtocolError, match="more than 1000 bytes"):
                await ask("/")


@pytest.mark.parametrize(
    "request_",
    [
        lambda url: httpx.Request("POST", "ftp://127.0.0.1/"),
        lambda url: httpx.Request("POST", url, headers=[(b"X-Bad", b"a\r\nInjected: yes")]),
    ],
)
async def test_a_request_that_cannot_be_written_is_a_connect_error_and_leaves_nothing(
    request_: Callable[[str], httpx.Request],
) -> None:
    async with peer(answering(OK)) as server:
        transport = TrioTransport(Pool(reach=LOOPBACK))
        with pytest.raises(httpx.ConnectError, match="nothing was sent"):
            await transport.handle_async_request(request_(server.url))
        await transport.aclose()
        assert server.received == b""


class Breaking:
    """A socket that breaks after it accepted so many bytes."""

    def __init__(self, real: Any, accepts: int) -> None:
        self._real = real
        self._left = accepts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def fileno(self) -> int:
        return int(self._real.fileno())

    def send(self, data: memoryview) -> int:
        if not self._left:
            raise BrokenPipeError("broken")
        sent = int(self._real.send(data[: self._left]))
        self._left -= sent
        return sent


@BOTH
@pytest.mark.parametrize(
    ("accepts", "error"), [(0, httpx.ConnectError), (1, httpx.WriteError), (90, httpx.WriteError)]
)
async def test_a_write_that_breaks_says_whether_a_byte_left(
    accepts: int, error: type[httpx.HTTPError], way: Way
) -> None:
    async with peer(never) as server, client(server, way) as http:
        pool = pool_of(http)
        await pool.warm(origin_of(server.url))
        wire = pool._idle[0]._wire
        wire._socket = Breaking(wire._socket, accepts)
        with pytest.raises(error, match="broke while writing"):
            await http.post("/orders", content=b"x" * 1000)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (len(server.received), pool._idle) == (accepts, [])


async def test_a_method_means_the_same_in_any_case() -> None:
    permit = SendPermit(lambda: None, lambda: None)
    async with peer(answering(OK)) as server, client(server) as http, permitted(permit):
        await http.request("get", "/account")
        assert not permit.taken
        await http.request("post", "/orders")
        assert permit.taken
        assert server.requests == {"GET": 1, "POST": 1}


# --- the pool


@BOTH
async def test_three_requests_run_at_once_and_the_fourth_waits_its_turn(way: Way) -> None:
    gate = trio.Event()

    async def script(the_peer: Peer, stream: trio.abc.Stream) -> None:
        while await the_peer.read_request(stream):
            await gate.wait()
            await stream.send_all(OK)

    async with peer(script) as server, client(server, way) as http, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(http.post, "/orders")
        await server.wait_requests(3)
        await pool_of(http).warm(
            origin_of(server.url)
        )  # all are busy at work: nothing to do, and no waiting
        pool_of(http).total_s = 0.05
        with pytest.raises(httpx.PoolTimeout, match="nothing was sent"):
            await http.post("/orders")
        pool_of(http).total_s = 8.0
        nursery.start_soon(http.post, "/orders")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (server.connections, server.requests.total()) == (3, 3)
        gate.set()
        await server.wait_requests(4)
    assert server.connections == 3


@BOTH
async def test_cancelling_a_request_closes_its_connection_and_frees_its_slot(way: Way) -> None:
    closed = 0

    async def script(the_peer: Peer, stream: trio.abc.Stream) -> None:
        nonlocal closed
        await the_peer.read_request(stream)
        if the_peer.requests.total() <= 5:
            assert not await the_peer.read_request(stream)  # waits until the client closes
            closed += 1
        else:
            await stream.send_all(OK)

    async with peer(script) as server, client(server, way) as http:
        for count in range(1, 6):  # more often than there are slots
            async with trio.open_nursery() as nursery:
                nursery.start_soon(http.post, "/orders")
                await server.wait_requests(count)
                nursery.cancel_scope.cancel()
        assert (await http.get("/")).text == "ok"
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (closed, server.connections) == (5, 6)


@BOTH
async def test_warming_opens_one_connection_that_the_next_request_uses(way: Way) -> None:
    async with peer(answering(OK)) as server:
        factory = HttpClientFactory(reach=LOOPBACK)
        make: Any = factory if way == "plain" else factory.httpx
        await make(server.url).aclose()  # one that is closed is left alone
        http = make(server.url, {"X-Account": "a"})
        await factory.warm()
        await factory.warm()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (server.connections, server.received) == (1, b"")
        await http.post("/orders")
        assert server.connections == 1
        assert b"X-Account: a\r\n" in server.received
        await factory.aclose()


async def test_a_connection_that_is_idle_at_another_origin_makes_room() -> None:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(peer(answering(OK))) for _ in range(4)]
        http = await stack.enter_async_context(client(servers[0], "httpx"))
        for server in servers:
            await http.post(f"{server.url}/orders")
        assert [each.origin for each in pool_of(http)._idle] == [
            origin_of(server.url) for server in servers[1:]
        ]


async def test_closing_while_a_connection_opens_sends_nothing() -> None:
    authority = trustme.CA()
    begun, go = trio.Event(), trio.Event()

    async def script(the_peer: Peer, stream: trio.SSLStream) -> None:
        begun.set()
        await go.wait()
        await stream.do_handshake()
        await the_peer.read_request(stream)

    async with (
        tls_peer(authority, script) as server,
        client(server, tls=trusting(authority)) as http,
    ):

        async def expect_connect_error() -> None:
            with pytest.raises(httpx.ConnectError, match="was closed"):
                await http.post("/orders")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_connect_error)
            await begun.wait()
            await http.aclose()
            go.set()
        assert server.received == b""


async def test_a_body_that_httpx_does_not_get_in_time_is_not_sent() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        await trio.sleep_forever()

    async with peer(answering(OK)) as server, client(server, "httpx", total_s=0.05) as http:
        with pytest.raises(httpx.ConnectTimeout, match="nothing was sent"):
            await http.post("/orders", content=endless())
        assert server.connections == 0


async def test_closing_ends_a_request_in_flight_as_unknown_and_refuses_the_next() -> None:
    async with peer(never) as server:
        transport = TrioTransport(Pool(reach=LOOPBACK))
        request = httpx.Request("POST", server.url, content=b"x")

        async def expect_read_error() -> None:
            with pytest.raises(httpx.ReadError):
                await transport.handle_async_request(request)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_read_error)
            await server.wait_requests(1)
            await transport.aclose()
        with pytest.raises(httpx.ConnectError, match="closed"):
            await transport.handle_async_request(request)


# --- the permit


@BOTH
async def test_a_permit_lets_one_order_request_and_any_number_of_reads_through(way: Way) -> None:
    told: list[str] = []
    permit = SendPermit(lambda: told.append("check"), lambda: told.append("written"))
    async with peer(answering(OK)) as server, client(server, way) as http, permitted(permit):
        await http.get("/account")
        assert (permit.taken, told) == (False, [])
        await http.post("/orders", content=b"first")
        await http.head("/account")
        with pytest.raises(SendRefused, match="one claim permits one order request"):
            await http.post("/orders", content=b"second")
        assert (permit.taken, permit.done_writing, told) == (True, True, ["check", "written"])
        assert (server.requests["POST"], b"second" in server.received) == (1, False)


@BOTH
async def test_what_the_last_line_stops_leaves_nothing_and_uses_the_permit_up(way: Way) -> None:
    permit = SendPermit(lambda: "switched off", lambda: None)
    async with peer(answering(OK)) as server, client(server, way) as http, permitted(permit):
        with pytest.raises(SendStopped):
            await http.post("/orders", content=b"x")
        with pytest.raises(SendRefused):
            await http.post("/orders", content=b"x")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (server.received, permit.taken, permit.done_writing) == (b"", False, False)
    assert permit.stopped_by == "switched off"


@BOTH
async def test_a_check_that_raises_lets_nothing_leave_and_uses_the_permit_up(way: Way) -> None:
    def check() -> None:
        raise LookupError("switched off")

    permit = SendPermit(check, lambda: None)
    async with peer(answering(OK)) as server, client(server, way) as http, permitted(permit):
        with pytest.raises(LookupError, match="switched off"):
            await http.post("/orders", content=b"x")
        with pytest.raises(SendRefused):
            await http.post("/orders", content=b"x")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (server.received, permit.taken, permit.done_writing) == (b"", False, False)


@BOTH
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nothing_runs_between_the_check_and_the_first_byte(scheme: str, way: Way) -> None:
    order: list[str] = []
    sent: list[bytes] = []
    authority = trustme.CA()
    async with (
        tls_peer(authority) if scheme == "https" else peer(answering(OK)) as server,
        client(server, way, tls=trusting(authority)) as http,
    ):
        await pool_of(http).warm(origin_of(server.url))
        wire = pool_of(http)._idle[0]._wire
        real = wire._socket

        class Watched:
            def __getattr__(self, name: str) -> object:
                return getattr(real, name)

            def fileno(self) -> int:
                return real.fileno()

            def send(self, data: memoryview) -> int:
                order.append("byte")
                sent.append(bytes(data))
                return real.send(data)

        wire._socket = Watched()

        class Steps(trio.abc.Instrument):
            def before_task_step(self, task: trio.lowlevel.Task) -> None:
                order.append("another step")

        trio.lowlevel.add_instrument(Steps())
        async with permitted(SendPermit(lambda: order.append("check"), lambda: None)):
            await http.post("/", content=b"x")
        assert order[order.index("check") + 1] == "byte"
        assert len(sent) == 1  # head and body in one write


async def test_the_last_line_is_asked_again_only_after_a_pause() -> None:
    asked: list[str] = []
    stops: list[str | None] = [None, None, "switched off"]

    def last_line() -> str | None:
        asked.append("asked")
        return stops[len(asked) - 1]

    permit = SendPermit(last_line, lambda: None)
    assert permit.ask() is None
    permit.take()
    assert len(asked) == 1

    permit = SendPermit(last_line, lambda: None)
    await trio.lowlevel.checkpoint()
    permit.take()
    assert len(asked) == 2

    asked[:] = ["asked"]
    permit = SendPermit(last_line, lambda: None)
    assert permit.ask() is None
    await trio.lowlevel.checkpoint()
    with pytest.raises(SendStopped):
        permit.take()
    assert (len(asked), permit.taken) == (3, False)


async def test_the_last_line_is_asked_again_in_another_task() -> None:
    asked: list[str] = []
    permit = SendPermit(lambda: asked.append("asked"), lambda: None)

    async def take() -> None:
        permit.take()

    assert permit.ask() is None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
    assert len(asked) == 2


async def test_a_permit_is_not_taken_while_nothing_can_be_written() -> None:
    permit = SendPermit(lambda: None, lambda: None)
    async with peer(answering(OK)) as server:
        url = server.url
    async with permitted(permit):
        with pytest.raises(httpx.ConnectError):
            await TrioTransport(Pool(reach=LOOPBACK)).handle_async_request(
                httpx.Request("POST", url)
            )
    assert (permit.taken, permit.done_writing) == (False, False)


@BOTH
async def test_written_is_told_once_even_when_the_answer_never_comes(way: Way) -> None:
    told: list[str] = []
    async with (
        peer(never) as server,
        client(server, way, total_s=0.05) as http,
        permitted(SendPermit(lambda: None, lambda: told.append("written"))),
    ):
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/orders")
    assert told == ["written"]


@BOTH
async def test_without_a_permit_requests_are_not_limited(way: Way) -> None:
    async with peer(answering(OK)) as server, client(server, way) as http:
        await http.post("/leverage")
        await http.post("/orders")
        assert server.requests["POST"] == 2


async def test_an_engine_may_use_a_permit_by_itself_but_only_once() -> None:
    permit = SendPermit(lambda: None, lambda: None)
    permit.take()
    permit.mark_written()
    with pytest.raises(SendRefused):
        permit.take()


# --- TLS


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def tls_peer(authority: trustme.CA, script: Script | None = None, name: str = "localhost"):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return peer(script or answering(OK), context)


@BOTH
async def test_tls_connections_are_verified_warmed_and_used_again_past_session_tickets(
    way: Way,
) -> None:
    authority = trustme.CA()

    async def script(the_peer: Peer, stream: trio.SSLStream) -> None:
        await stream.do_handshake()
        await stream.transport_stream.send_all(
            stream._delayed_outgoing
        )  # the session tickets: bytes that are no answer
        stream._delayed_outgoing = None
        while await the_peer.read_request(stream):
            await stream.send_all(OK)

    async with (
        tls_peer(authority, script) as server,
        client(server, way, tls=trusting(authority)) as http,
    ):
        await pool_of(http).warm(Origin.of(httpx.URL(server.url)))
        await trio.testing.wait_all_tasks_blocked(0.01)
        for _ in range(3):
            assert (await http.post("/orders", content=b"x" * 100_000)).text == "ok"
        assert server.connections == 1


@BOTH
async def test_a_tls_peer_that_closed_while_idle_is_noticed(way: Way) -> None:
    authority = trustme.CA()
    async with (
        tls_peer(authority, answering_then_closing(OK)) as server,
        client(server, way, tls=trusting(authority)) as http,
    ):
        for _ in range(2):
            assert (await http.post("/orders")).text == "ok"
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert server.requests["POST"] == 2


@BOTH
async def test_a_tls_answer_cut_short_without_a_close_notice_is_an_error(way: Way) -> None:
    authority = trustme.CA()
    script = answering_then_closing(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart of")
    async with (
        tls_peer(authority, script) as server,
        client(server, way, tls=trusting(authority)) as http,
    ):
        with pytest.raises(httpx.ReadError):
            await http.get("/")


@pytest.mark.parametrize(
    ("name", "trusted"), [("elsewhere.example", True), ("127.0.0.1", True), ("localhost", False)]
)
@BOTH
async def test_a_certificate_that_does_not_verify_is_a_connect_error(
    name: str, trusted: bool, way: Way
) -> None:
    authority = trustme.CA()
    context = trusting(authority if trusted else trustme.CA())
    async with tls_peer(authority, name=name) as server, client(server, way, tls=context) as http:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await http.post("/orders")
        assert server.received == b""


async def test_a_certificate_for_another_name_than_the_address_is_a_connect_error() -> None:
    authority = trustme.CA()
    async with tls_peer(authority) as server:
        transport = TrioTransport(Pool(trusting(authority), reach=LOOPBACK))
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await transport.pool.warm(origin_of(server.url.replace("localhost", "127.0.0.1")))
        await transport.aclose()


def test_a_tls_context_that_does_not_verify_is_refused() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(ValueError, match="verifies certificates"):
        Pool(context)


# --- the factory


async def test_a_thousand_clients_are_made_without_a_tls_context_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a TLS context was made")

    monkeypatch.setattr(ssl, "create_default_context", refuse)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    factory = HttpClientFactory(reach=LOOPBACK)
    [factory("https://exchange.example") for _ in range(1000)]
    clients = [factory.httpx("https://exchange.example") for _ in range(1000)]
    assert not any(each.follow_redirects or each.trust_env for each in clients)
    await factory.aclose()
    assert all(each.is_closed for each in clients)


# --- the peer's clock

RECEIVED = datetime(2026, 11, 25, 12, 0, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "took_s", "offset_s"),
    [
        (
            "Wed, 25 Nov 2026 12:00:09 GMT",
            0.5,
            -0.25,
        ),  # 12:00:09.5 stands beside the middle of the trip, 12:00:09.75
        ("Wed, 25 Nov 2026 11:55:09 GMT", 0.5, -300.25),
        ("Wed, 25 Nov 2026 14:00:10 +0200", 0.0, 0.5),
        ("Wed, 25 Nov 2026 12:00:09 GMT", 1.5, None),  # took too long to tell anything
        ("Wed, 25 Nov 2026 12:00:09 GMT", -0.1, None),  # our own clock was set back meanwhile
        ("yesterday", 0.1, None),
        (None, 0.1, None),
    ],
)
def test_a_peers_clock_is_measured_from_its_answers(
    date: str | None, took_s: float, offset_s: float | None
) -> None:
    peer_clock = PeerClock(lambda: RECEIVED)
    peer_clock.note(date, RECEIVED - timedelta(seconds=took_s))
    assert peer_clock.offset_s == offset_s


async def test_every_client_of_a_factory_measures_the_same_peer_clock() -> None:
    async with peer(
        answering(
            b"HTTP/1.1 200 OK\r\nDate: Wed, 25 Nov 2026 12:03:20 GMT\r\nContent-Length: 0\r\n\r\n"
        )
    ) as there:
        peer_clock = PeerClock(lambda: RECEIVED)
        factory = HttpClientFactory(peer_clock=peer_clock, reach=LOOPBACK)
        assert peer_clock.offset_s is None
        await factory(there.url).get("/")
        assert peer_clock.offset_s == 190.5
        await factory.aclose()
