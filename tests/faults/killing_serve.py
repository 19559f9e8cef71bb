"""``rexalgo serve``, but the process kills itself (SIGKILL) at the boundary number ``KILL_AT``: around each commit and each order's bytes.

Boundaries are counted over the whole life of the process: before a write is handed to the ledger, after it is durable, before the first
byte of a writing request to the exchange, after its last one, and before its answer is read.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from engine.ledger import Ledger
from rexalgo.cli import main

KILL_AT = int(os.environ.get("KILL_AT", "0"))
KILLED_AT = os.environ.get("KILLED_AT", "")
_seen = 0


def boundary(what: str) -> None:
    """Count a boundary, and die at the chosen one."""
    global _seen
    _seen += 1
    if _seen == KILL_AT:
        Path(KILLED_AT).write_text(what, encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)


async def _write(self: Ledger, verb: Callable[[Any], Any]) -> Any:
    boundary("before commit")
    result = await _real_write(self, verb)
    boundary("after commit")
    return result


async def _send_all(self: trio.SocketStream, data: bytes) -> None:
    is_order = bytes(data[:10]) == b"POST /fapi"
    if is_order:
        boundary("before the first byte")
    await _real_send_all(self, data)
    if is_order:
        _awaited.add(self)
        boundary("after the last byte")


async def _receive_some(self: trio.SocketStream, max_bytes: int | None = None) -> bytes | bytearray:
    if self in _awaited:
        _awaited.discard(self)
        got = await _real_receive_some(self, max_bytes)
        boundary("before the answer is read")
        return got
    return await _real_receive_some(self, max_bytes)


_awaited: set[trio.SocketStream] = set()
_real_write, _real_send_all, _real_receive_some = Ledger.write, trio.SocketStream.send_all, trio.SocketStream.receive_some

if __name__ == "__main__":
    if KILL_AT:
        Ledger.write = _write  # type: ignore[assignment]
        trio.SocketStream.send_all = _send_all  # type: ignore[assignment]
        trio.SocketStream.receive_some = _receive_some  # type: ignore[assignment]
    main()
