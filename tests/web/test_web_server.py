"""The server under hostile bytes, slow and silent clients, and a prompt stop. Real hypercorn, real
loopback sockets.
"""

import os
import random
import re
import ssl

import h11
import pytest
import trio
import trustme
from web_helpers import (
    WEBHOOK,
    MemoryEngine,
    new_parser,
    outcome_row,
    read_answer,
    request_bytes,
    served,
    signal_body,
    wait_closed,
)

from web.connections import ConnectionLimits
from web.settings import WebSettings

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
UNFIT_HOSTS = (
    b"",
    b".",
    b"a..b",
    b"a" * 64,
    b"a." * 130 + b"a",
    b"a b",
    b"a/b",
    b"u@a",
    b"a:b:c",
    b"a:",
    b":80",
    b"a:123456",
    b"[",
    b"[zz]",
    b"\xff",
)
UPGRADE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec_websocket_version": "13",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/live", 200),
        ("HEAD", "/live", 200),
        ("HEAD", "/events", 200),
        ("GET", "/api/health", 200),
        ("GET", "/api/ready", 200),
        ("GET", "/api/receipts/none", 404),
        ("GET", "/nothing", 404),
        ("GET", "/api/nothing", 404),
        ("PUT", "/live", 405),
        ("OPTIONS", WEBHOOK, 200),
        ("POST", WEBHOOK, 401),
        ("GET", "/static/none", 404),
    ],
)
async def test_every_answer_carries_the_headers(method: str, path: str, status: int) -> None:
    async with served() as site:
        answer = await site.ask(method, path, b"" if method == "POST" else None)
        assert answer.status == status
        for name, value in HEADERS.items():
            assert answer.header(name) == value
        assert "camera=()" in (answer.header("permissions-policy") or "")
        assert answer.header("cache-control") == "no-store"
        assert answer.header("server") is None
        assert answer.header("strict-transport-security") is None


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:" + b"a" * 20_000,
        *(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n" for host in UNFIT_HOSTS),
        *(
            b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"
            for target in (b"?", b"*", b"x", b"http://[/", b"http://evil.example/live")
        ),
    ],
)
async def test_refusals_of_the_server_itself_carry_the_headers_too(raw: bytes) -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(raw)
            answer = await read_answer(stream)
        assert 400 <= answer.status < 500
        for name, value in {**HEADERS, "cache-control": "no-store", "connection": "close"}.items():
            assert answer.header(name) == value
        assert answer.header("server") is None


@pytest.mark.parametrize(
    "host",
    [
        "a",
        "localhost:8420",
        "copy.example.org",
        "copy.example.org.:443",
        "127.0.0.1:1",
        "[::1]",
        "[::1]:8420",
        "xn--bcher-kva.a_b",
    ],
)
async def test_every_host_that_is_a_name_or_an_address_is_served(host: str) -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(f"GET /api/health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (await read_answer(stream)).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/nothing"), ("PUT", "/live"), ("POST", "/api/nothing")]
)
async def test_a_refusal_before_the_body_was_read_says_that_the_connection_ends(
    method: str, path: str
) -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(
                f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n".encode()
            )
            assert (await read_answer(stream)).header("connection") == "close"
            assert await wait_closed(stream) == b""


async def test_hsts_is_promised_only_over_https() -> None:
    async with served(settings=WebSettings(https=True), https=True) as site:
        assert (await site.ask("GET", "/api/health")).header(
            "strict-transport-security"
        ) == "max-age=31536000"
        assert (await site.ask("GET", "/live", upgrade="x")).header(
            "strict-transport-security"
        ) == "max-age=31536000"


async def test_an_upgrade_with_one_trailing_byte_ends_one_connection_only() -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(request_bytes("GET", "/live", **UPGRADE) + b"x")
            assert (await wait_closed(stream)).startswith(b"HTTP/1.1 400")
        assert (await site.ask("GET", "/api/health")).status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
        b"h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nxxx",
    ],
)
async def test_other_protocols_are_refused(raw: bytes) -> None:
    async with served() as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(raw)
            came = await wait_closed(stream)
        assert came.startswith((b"HTTP/1.1 400", b"HTTP/1.1 505"))
        assert b" 101 " not in came
        assert (await site.ask("GET", "/api/health")).status == 200


async def test_an_exception_of_a_connection_is_contained_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with served() as site:

        def explode(self: h11.Connection, data: bytes) -> None:
            raise ExceptionGroup("of a connection", [RuntimeError("deep inside the protocol")])

        with monkeypatch.context() as patch:
            patch.setattr(h11.Connection, "receive_data", explode)
            stream = await site.connect()
            async with stream:
                await stream.send_all(b"GET")
                assert await wait_closed(stream) == b""
        assert site.bound.guard.contained == 1
        assert (await site.ask("GET", "/api/health")).status == 200
    assert "a connection ended with an error" in caplog.text


SEEDS = (
    request_bytes("POST", WEBHOOK, signal_body(), x_key="right"),
    request_bytes("POST", WEBHOOK, x_key="right", transfer_encoding="chunked")
    + b"5\r\nhello\r\n0\r\n\r\n",
    request_bytes("GET", "/api/health") * 3,
    request_bytes("GET", "/live", **UPGRADE) + b"\x81\x05hello",
    request_bytes("GET", "/events?after=1"),
    request_bytes("GET", "/live", connection="close") + b"GET / HTTP/1.1",
    request_bytes("POST", WEBHOOK, b"abc", expect="100-continue"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET http://[/ HTTP/1.1\r\nHost: a..b\r\n\r\n",
)
SPICE = (
    b"\r\n",
    b"\x00",
    b"\xff",
    b":",
    b" ",
    b"HTTP/2.0",
    b"Upgrade: websocket\r\n",
    b"Content-Length: -1\r\n",
    b"%00",
    b"\r",
    b"\n",
    b"\t",
    b"PRI",
    b"Host: a..b\r\n",
    b"Host: [\r\n",
    b"Origin: http://[\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Type: multipart/form-data; boundary=\r\n",
)


def mutate(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1:
                data[at:at] = rng.choice(SPICE)
            case 2:
                del data[at : at + rng.randint(1, 20)]
            case 3:
                data[at:at] = data[: rng.randint(0, 60)]
            case _:
                data += rng.choice(SEEDS)[: rng.randint(0, 200)]
    return bytes(data)


async def test_two_thousand_mutated_inputs_leave_a_server_that_answers() -> None:
    count = int(os.environ.get("REXALGO_FUZZ", "2000"))
    rng = random.Random(20261123)
    limits = ConnectionLimits(drain_s=0.5, request_s=2, keep_alive_s=1)
    async with served(
        MemoryEngine(),
        WebSettings(body_timeout_s=0.05, heartbeat_s=0.2),
        limits,
        within_s=60 + count / 50,
    ) as site:
        statuses: set[bytes] = set()

        async def attack(inputs: list[bytes]) -> None:
            for data in inputs:
                stream = await site.connect()
                with trio.move_on_after(0.03):
                    try:
                        cut = len(data) // 2
                        await stream.send_all(data[:cut])
                        await stream.send_all(data[cut:])
                        statuses.update(
                            re.findall(rb"HTTP/1.1 (\d{3}) ", await stream.receive_some(65536))
                        )
                    except trio.BrokenResourceError:
                        pass  # refused while still sending
                await stream.aclose()

        inputs = [mutate(rng) for _ in range(count)]
        async with trio.open_nursery() as nursery:
            for part in range(20):
                nursery.start_soon(attack, inputs[part::20])
        assert (await site.ask("POST", WEBHOOK, signal_body("after"), x_key="right")).status == 202
        assert statuses <= {
            b"100",
            b"200",
            b"202",
            *(b"4%02d" % each for each in range(100)),
            b"501",
            b"505",
        }, statuses
        assert not site.ended.is_set()
        with trio.fail_after(5):
            while site.bound.guard.open:  # and no connection is left behind
                await trio.lowlevel.checkpoint()


async def test_an_idle_connection_is_closed_after_the_keep_alive_time_also_after_requests() -> None:
    async with served(limits=ConnectionLimits(keep_alive_s=0.2, drain_s=0.5)) as site:
        stream = await site.connect()
        async with stream:
            parser = new_parser("GET")
            for _ in range(3):
                await stream.send_all(request_bytes("GET", "/api/health"))
                assert (await read_answer(stream, parser=parser)).status == 200
                parser = new_parser("GET")
            began = trio.current_time()
            assert await wait_closed(stream) == b""
            assert 0.1 < trio.current_time() - began < 1.0


async def test_an_answer_of_known_length_leaves_in_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[bytes] = []
    send_all = trio.SocketStream.send_all

    async def noting(stream: trio.SocketStream, data: bytes) -> None:
        written.append(bytes(data))
        await send_all(stream, data)

    monkeypatch.setattr(trio.SocketStream, "send_all", noting)
    async with served() as site:
        for method in ("GET", "HEAD"):
            written.clear()
            stream = await site.connect()
            async with stream:
                await stream.send_all(request_bytes(method, "/api/health"))
                assert (await read_answer(stream, parser=new_parser(method))).status == 200
            assert [each[:4] for each in written] == [method.encode().ljust(4), b"HTTP"]


async def test_a_client_that_sends_nothing_or_half_a_head_is_closed() -> None:
    async with served(limits=ConnectionLimits(keep_alive_s=0.1, drain_s=0.5)) as site:
        for beginning in (b"", b"GET / HTT"):
            stream = await site.connect()
            async with stream:
                await stream.send_all(beginning)
                with trio.fail_after(2):
                    await wait_closed(stream)


async def test_a_request_that_never_ends_is_cut_at_its_deadline() -> None:
    async with served(
        MemoryEngine(hold=trio.Event()),
        limits=ConnectionLimits(request_s=0.2, keep_alive_s=0.1, drain_s=0.5),
    ) as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(request_bytes("POST", WEBHOOK, signal_body(), x_key="right"))
            with trio.fail_after(2):
                await wait_closed(stream)


async def test_an_event_stream_outlives_the_deadline_of_a_request() -> None:
    limits = ConnectionLimits(request_s=0.1, keep_alive_s=0.1, drain_s=0.5)
    async with served(settings=WebSettings(heartbeat_s=0.05), limits=limits) as site:
        stream = await site.connect()
        async with stream:
            await stream.send_all(request_bytes("GET", "/events"))
            came, began = b"", trio.current_time()
            with trio.fail_after(5):
                while came.count(b": still here") < 14:
                    came += await stream.receive_some(65536)
            assert trio.current_time() - began > 0.5


async def test_an_idle_keep_alive_connection_does_not_delay_shutdown() -> None:
    async with served(limits=ConnectionLimits(keep_alive_s=30, drain_s=3)) as site:
        stream = await site.connect()
        await stream.send_all(request_bytes("GET", "/api/health"))
        await read_answer(stream)
        began = trio.current_time()
        site.stop.set()
        await site.ended.wait()
        assert trio.current_time() - began < 0.5
        await stream.aclose()


async def test_a_client_that_stops_reading_does_not_delay_shutdown() -> None:
    async with served(
        MemoryEngine(rows=[outcome_row(n, sentence="x" * 100_000) for n in range(1, 201)])
    ) as site:
        stream = await site.connect()
        stream.socket.setsockopt(
            trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096
        )  # so that kernel buffers cannot swallow it all
        await stream.send_all(request_bytes("GET", "/events?after=0"))
        came = b""
        while b'data: {"html' not in came:  # a batch of 10 MB has begun; from here on nobody reads
            came += await stream.receive_some(100)
        began = trio.current_time()
        site.stop.set()
        await site.ended.wait()
        assert trio.current_time() - began < 2.5
        await stream.aclose()


async def test_a_client_that_stops_reading_is_dropped_after_the_send_time() -> None:
    rows = [outcome_row(n, sentence="x" * 100_000) for n in range(1, 201)]
    async with served(
        MemoryEngine(rows=rows), limits=ConnectionLimits(send_s=0.1, drain_s=0.5)
    ) as site:
        stream = await site.connect()
        await stream.send_all(request_bytes("GET", "/events?after=0"))
        with trio.fail_after(5):
            await stream.receive_some(10)
            while site.bound.guard.open:
                await trio.lowlevel.checkpoint()
        await stream.aclose()


@pytest.mark.parametrize(
    "limits", [ConnectionLimits(connections_max=2), ConnectionLimits(connections_per_peer_max=2)]
)
async def test_connections_above_the_cap_are_refused_and_places_come_back(
    limits: ConnectionLimits,
) -> None:
    async with served(limits=limits) as site:
        streams = [await site.connect() for _ in range(2)]
        for stream in streams:  # each has been looked at
            await stream.send_all(request_bytes("GET", "/api/health"))
            await read_answer(stream)
        extra = await site.connect()
        assert await wait_closed(extra) == b""
        await extra.aclose()
        assert site.bound.guard.refused == 1
        for stream in streams:
            await stream.aclose()
        with trio.fail_after(2):
            while site.bound.guard.open:
                await trio.lowlevel.checkpoint()
        assert (await site.ask("GET", "/api/health")).status == 200
        assert site.bound.guard.by_peer.keys() <= {"127.0.0.1"}


async def test_tls_speaks_http11_and_promises_hsts(tmp_path: object) -> None:
    authority = trustme.CA()
    cert = authority.issue_cert("localhost")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with cert.private_key_pem.tempfile() as keyfile, cert.cert_chain_pems[0].tempfile() as certfile:
        async with served(certfile=certfile, keyfile=keyfile) as site:
            assert site.bound.url.startswith("https://127.0.0.1:")
            raw = await site.connect()
            stream = trio.SSLStream(
                raw, context, server_hostname="localhost", https_compatible=True
            )
            async with stream:
                await stream.do_handshake()
                assert stream.selected_alpn_protocol() == "http/1.1"
                await stream.send_all(request_bytes("GET", "/nothing", upgrade="x"))
                assert b"strict-transport-security" in await stream.receive_some(65536)
            plain = await site.connect()
            async with plain:
                await plain.send_all(request_bytes("GET", "/live"))
                await wait_closed(plain)
            assert site.bound.guard.contained == 0
