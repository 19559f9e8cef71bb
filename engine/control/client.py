"""The command line's end of the control socket."""

import json
from pathlib import Path
from typing import Any, Final

import trio

from engine.control.wire import read_error, read_line, socket_address
from engine.domain.errors import RexAlgoError

ANSWER_WITHIN_S: Final = 5.0
PROVISION_WITHIN_S: Final = 120.0
CHECK_WITHIN_S: Final = 30.0


class ServerSilent(RexAlgoError):
    """Raised when a server holds the folder and does not answer."""


async def ask_server(folder: Path, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Ask the folder's server; raises OSError if there is none, ServerSilent, or what the command
    raised.
    """
    within = _within_s(method)
    with trio.move_on_after(within):
        with socket_address(folder) as path:
            stream = await trio.open_unix_socket(path)
        async with stream:
            try:
                await stream.send_all(
                    json.dumps({"method": method, "params": params}).encode() + b"\n"
                )
                answer = json.loads(await read_line(stream))
            except (ValueError, trio.BrokenResourceError) as error:
                raise ServerSilent(
                    "the server ended before it answered; run the command again"
                ) from error
        if "error" in answer:
            raise read_error(answer["error"])
        return dict(answer["result"])
    raise ServerSilent(
        f"the server of {folder} holds the folder and did not answer within {within:.0f} s; see "
        "its log, or stop it"
    )


def _within_s(method: str) -> float:
    if method in ("provision", "reconcile_all", "restore_confirm"):
        return PROVISION_WITHIN_S
    if method in ("check", "books_check") or method.startswith(("key_", "session_key_")):
        return CHECK_WITHIN_S
    return ANSWER_WITHIN_S
