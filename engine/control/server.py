"""The server's end of the control socket, a Unix socket of mode 0600 beside the ledger."""

import json
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import trio

from engine.control.link import ATTACH
from engine.control.wire import SOCKET_NAME, is_ours, read_line, socket_address, write_error
from engine.domain.errors import InUse, RexAlgoError

_LOG = logging.getLogger("rexalgo.control")
REQUEST_WITHIN_S: Final = 5.0
CONNECTIONS_MAX: Final = 16

RunCommand = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
ServeWeb = Callable[[trio.SocketStream, dict[str, Any]], Awaitable[None]]


async def serve_control(
    folder: Path,
    run: RunCommand,
    serve_web: ServeWeb | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer commands until cancelled. The caller holds the folder's lock, so an existing socket
    file belongs to a dead process.

    ``serve_web`` takes over the connection of a web process; None if this process has its own web.
    """
    file = folder / SOCKET_NAME
    file.unlink(missing_ok=True)
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_address(folder) as path:
        await listening.bind(path)
    file.chmod(0o600)
    listening.listen(CONNECTIONS_MAX)
    slots = trio.Semaphore(CONNECTIONS_MAX)

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            if not is_ours(stream, or_root=True):
                _LOG.warning("a process of another user reached the control socket; it was refused")
                return
            async with slots:
                attaching = await _answer(stream, run, is_alone=serve_web is None)
            if attaching is not None and serve_web is not None:
                await serve_web(stream, attaching)

    task_status.started()
    try:
        await trio.serve_listeners(answer, [trio.SocketListener(listening)])
    finally:
        file.unlink(missing_ok=True)


async def _answer(
    stream: trio.SocketStream, run: RunCommand, *, is_alone: bool
) -> dict[str, Any] | None:
    """Answer one command; return what a web process that attaches tells of itself instead."""
    try:
        method, params = await _asked(stream)
        if method == ATTACH and not is_alone:
            return params
        if method == ATTACH:
            raise InUse(
                "expected an engine of its own (rexalgo serve --role engine), found one process "
                "that serves the web too; stop it, or do without --role web"
            )
        line = json.dumps({"result": await run(method, params)})
    except RexAlgoError as error:
        line = json.dumps({"error": write_error(error)}, default=str)
    except (
        Exception
    ) as error:  # the boundary to people: one line for them, with the details in the log
        _LOG.exception("a command failed")
        failed = f"the command failed inside ({type(error).__name__}); see the log"
        line = json.dumps({"error": {"kind": "RexAlgoError", "message": failed}})
    try:
        with trio.fail_after(REQUEST_WITHIN_S):
            await stream.send_all(line.encode() + b"\n")
    except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
        _LOG.info("the client of the control socket left before the answer")
    return None


async def _asked(stream: trio.SocketStream) -> tuple[str, dict[str, Any]]:
    """Read the method and parameters of a command; raises RexAlgoError for anything else."""
    try:
        with trio.fail_after(REQUEST_WITHIN_S):
            asked = json.loads(await read_line(stream))
        return str(asked["method"]), dict(asked["params"])
    except (ValueError, KeyError, TypeError, trio.TooSlowError, trio.BrokenResourceError) as error:
        raise RexAlgoError('expected one line {"method": ..., "params": {...}}') from error
