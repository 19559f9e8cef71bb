"""The server of the SIMULATED exchange: HTTP/1.1 on this machine only, with faults on the wire."""

import json
import socket
import struct
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

import h11
import trio

from plugins.mudrex.simulator import messages
from plugins.mudrex.simulator.control import control
from plugins.mudrex.simulator.messages import Answer, Dropped, Request
from plugins.mudrex.simulator.simulated import Simulator
from plugins.mudrex.simulator.values import Refusal

BODY_BYTES_MAX = 64 * 1024


async def answer(simulator: Simulator, request: Request) -> Answer:
    """Answer a request, of a client or of ``/__control``. Raise Dropped to close the connection."""
    if not request.path.startswith("/__control"):
        return await simulator.answer(request)
    try:
        return Answer(200, json.dumps(control(simulator, request)).encode())
    except Refusal as refusal:
        return messages.error(refusal.status, refusal.code, refusal.text)


async def serve_connection(simulator: Simulator, stream: trio.SocketStream) -> None:
    """Answer one client's requests, one after another, until it closes or sends invalid bytes."""
    wire = h11.Connection(h11.SERVER)
    try:
        while True:
            request = await _read(wire, stream)
            if request is None:
                return
            await _send(wire, stream, await answer(simulator, request), simulator.now())
            if wire.our_state is not h11.DONE:
                return
            wire.start_next_cycle()
    except (
        Dropped,
        h11.ProtocolError,
        trio.BrokenResourceError,
        trio.ClosedResourceError,
        ValueError,
    ):
        return
    finally:
        await trio.aclose_forcefully(stream)


async def _send(
    wire: h11.Connection, stream: trio.SocketStream, answer: Answer, now: float
) -> None:
    headers = [
        (b"content-type", answer.kind),
        (b"content-length", str(len(answer.content)).encode()),
        (b"server", b"mudrex.simulated"),
        (b"date", formatdate(now, usegmt=True).encode()),
    ]
    head = wire.send(h11.Response(status_code=answer.status, headers=headers)) or b""
    body = b"".join(
        wire.send(part) or b"" for part in (h11.Data(data=answer.content), h11.EndOfMessage())
    )
    if answer.cut_after is not None:
        await stream.send_all(head + body[: answer.cut_after])
        stream.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # close with a reset
        raise Dropped
    if answer.drip_s:
        for byte in head + body:
            await stream.send_all(bytes([byte]))
            await trio.sleep(answer.drip_s / len(head + body))
        return
    await stream.send_all((head + body) * (2 if answer.twice else 1))


async def _read(wire: h11.Connection, stream: trio.SocketStream) -> Request | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await stream.receive_some(65_536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                return None
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            target = urlsplit(head.target.decode("ascii"))
            key = next(
                (
                    value.decode("latin-1")
                    for name, value in head.headers
                    if name == b"x-authentication"
                ),
                "",
            )
            parsed = json.loads(body) if body else {}
            query = parse_qs(target.query, keep_blank_values=True)
            return Request(
                method=head.method.decode(),
                path=target.path,
                query=query,
                key=key,
                body=parsed if isinstance(parsed, dict) else {},
            )
        else:
            return None


async def serve(
    simulator: Simulator, port: int, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve on this machine only until cancelled. Report the port."""
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1", backlog=4096)
    task_status.started(listeners[0].socket.getsockname()[1])

    async def handle(stream: trio.SocketStream) -> None:
        await serve_connection(simulator, stream)

    await trio.serve_listeners(handle, listeners)
