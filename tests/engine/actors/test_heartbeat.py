"""The heartbeat: it beats over a real socket while the ledger is healthy, stops while it is not,
and survives any answer.
"""

import logging

import pytest
import trio

from engine.actors.heartbeat import beat
from engine.domain.network import LOOPBACK

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BAD = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"


async def test_beats_while_healthy_and_only_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rexalgo.heartbeat")
    healthy, answers = True, iter([OK, BAD, BAD, OK])
    seen, quiet = trio.open_memory_channel[bytes](100)

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            while data := await stream.receive_some(4096):
                seen.send_nowait(data)
                await stream.send_all(next(answers, OK))

    asked = 0

    def is_healthy() -> bool:
        nonlocal asked
        asked += 1
        return healthy

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        nursery.start_soon(
            beat, f"http://127.0.0.1:{port}/my-place?k=v", is_healthy, LOOPBACK, 0.01
        )
        with trio.fail_after(10):
            for _ in range(6):
                assert (await quiet.receive()).startswith(b"GET /my-place?k=v HTTP/1.1")
            healthy = False
            while asked < 20:
                await trio.lowlevel.checkpoint()
                while quiet.statistics().current_buffer_used:
                    quiet.receive_nowait()
            before = asked
            while asked < before + 5:
                await trio.lowlevel.checkpoint()
        assert quiet.statistics().current_buffer_used == 0
        nursery.cancel_scope.cancel()
    told = [each.message for each in caplog.records if each.name == "rexalgo.heartbeat"]
    assert [each.split(":")[0] for each in told] == [
        "the heartbeat cannot be sent",
        "the heartbeat is sent again",
    ]
    assert "my-place" not in " ".join(told)
