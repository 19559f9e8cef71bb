"""The wire of the control socket: one JSON object per line each way, one exchange per connection,
``{"method", "params"}`` and ``{"result"}`` or ``{"error"}``. Errors keep their kind, because exit
codes depend on it.
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import trio

from engine.domain.errors import InvalidValue, NothingThere, RexAlgoError
from engine.provisioning.errors import ProvisionErrors, ProvisionProblem

SOCKET_NAME: Final = "control.sock"
LINE_BYTES_MAX: Final = 16 * 1024 * 1024


@contextmanager
def socket_address(folder: Path) -> Iterator[str]:
    """Yield the socket's path in a form that fits the 108 bytes of a socket address, however long
    the folder's path is.
    """
    full = str(folder / SOCKET_NAME)
    if len(os.fsencode(full)) < 100 or not Path("/proc/self/fd").is_dir():
        yield full
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET_NAME}"
    finally:
        os.close(handle)


def is_ours(stream: trio.SocketStream, *, or_root: bool = False) -> bool:
    """Return whether the process at the other end runs as our user; ``or_root`` accepts root too.

    The kernel tells (SO_PEERCRED). Where it cannot, the socket's mode and its folder's are the
    guard.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    found = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user = struct.unpack("3i", found)[1]
    return user == os.getuid() or (or_root and user == 0)


async def read_line(stream: trio.SocketStream) -> bytes:
    """Read one line, at most LINE_BYTES_MAX; raises ValueError if it does not end."""
    data = bytearray()
    while not data.endswith(b"\n"):
        chunk = await stream.receive_some(65_536)
        if not chunk or len(data) + len(chunk) > LINE_BYTES_MAX:
            raise ValueError("no whole line")
        data += chunk
    return bytes(data)


def write_error(error: RexAlgoError) -> dict[str, Any]:
    """Return an error as JSON can carry it."""
    written: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, ProvisionErrors):
        written |= {
            "file": error.file,
            "problems": [
                [each.key, each.expected, each.found, each.name] for each in error.problems
            ],
        }
    elif isinstance(error, InvalidValue):
        written |= {"field": error.field, "expected": error.expected, "found": error.found}
    return written


def read_error(written: dict[str, Any]) -> RexAlgoError:
    """Return the error that the other end wrote; an unknown kind is a RexAlgoError."""
    match written["kind"]:
        case "ProvisionErrors":
            return ProvisionErrors(
                written["file"], [ProvisionProblem(*each) for each in written["problems"]]
            )
        case "InvalidValue":
            return InvalidValue(written["field"], written["expected"], written["found"])
        case "NothingThere":
            return NothingThere(written["message"])
        case _:
            return RexAlgoError(written["message"])
