"""The server's end of the control socket, a Unix socket of mode 0600 beside the ledger."""

import json
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import trio

from engine.control.wire import SOCKET_NAME, read_line, socket_address, write_error
from engine.domain.errors import RexAlgoError

_LOG = logging.getLogger("rexalgo.control")
REQUEST_WITHIN_S: Final = 5.0
CONNECTIONS_MAX: Final = 16

RunCommand = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


async def serve_control(
    folder: Path, run: RunCommand, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer commands until cancelled. The caller holds the folder's lock, so an existing socket
    file belongs to a dead process.
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
        async with slots:
            await _answer(stream, run)

    task_status.started()
    try:
        await trio.serve_listeners(answer, [trio.SocketListener(listening)])
    finally:
        file.unlink(missing_ok=True)


async def _answer(stream: trio.SocketStream, run: RunCommand) -> None:
    async with stream:
        try:
            with trio.fail_after(REQUEST_WITHIN_S):
                asked = json.loads(await read_line(stream))
            answer: dict[str, Any] = {
                "result": await run(str(asked["method"]), dict(asked["params"]))
            }
        except RexAlgoError as error:
            answer = {"error": write_error(error)}
        except (ValueError, KeyError, TypeError, trio.TooSlowError, trio.BrokenResourceError):
            answer = {
                "error": {
                    "kind": "RexAlgoError",
                    "message": 'expected one line {"method": ..., "params": {...}}',
                }
            }
        except (
            Exception
        ) as error:  # the boundary to people: one line for them, with the details in the log
            _LOG.exception("a command failed")
            answer = {
                "error": {
                    "kind": "RexAlgoError",
                    "message": f"the command failed inside ({type(error).__name__}); see the log",
                }
            }
        try:
            with trio.fail_after(REQUEST_WITHIN_S):
                await stream.send_all(json.dumps(answer).encode() + b"\n")
        except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
            _LOG.info("the client of the control socket left before the answer")
