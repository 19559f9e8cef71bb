"""``python -m tests.faults.killing_serve BOUNDARY N [serve options]``: the real ``rexalgo serve``,
which kills itself at a boundary.

It counts how often the process reaches BOUNDARY and sends itself SIGKILL at the Nth time. It
watches commits at the ledger's one writer, and sends at the transport's one connection. Nothing in
the engine knows about this.
"""

import os
import signal
import sys
from typing import Any, Final

import apsw
import trio

from engine.ledger import writer
from engine.transport.answer import Answer
from engine.transport.connection import Connection, Reader
from engine.transport.permit import SendPermit

BOUNDARIES: Final = (
    "commit_before",  # the group's closures ran, nothing of them is durable
    "commit_after",  # durable, and nobody who waits was told
    "order_before",  # the claim is durable, no byte of the order has left
    "order_half",  # half of the order's bytes are with the kernel
    "order_written",  # all of them are
    "order_unread",  # the answer has come, and nobody has read it
    "order_answered",  # the answer is read, and not recorded
    "look_before",  # the same for requests that only look
    "look_written",
    "look_answered",
)


class Executioner:
    """A counter of boundaries that ends the process at the chosen one."""

    def __init__(self, boundary: str, number: int) -> None:
        self._boundary = boundary
        self._left = number

    def come_to(self, boundary: str) -> None:
        """Count this boundary. Do not return from the chosen one."""
        if self.is_next(boundary):
            os.kill(os.getpid(), signal.SIGKILL)
        if boundary == self._boundary:
            self._left -= 1

    def is_next(self, boundary: str) -> bool:
        """Return whether the process is to end at the coming time."""
        return boundary == self._boundary and self._left == 1


def watch_commits(executioner: Executioner) -> None:
    """Watch the writer: before each COMMIT, and after each group."""
    run_group = writer._run_group

    def trace(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        if sql == "COMMIT":
            executioner.come_to("commit_before")
        return True

    def run(db: apsw.Connection, *group: Any) -> int:
        db.exec_trace = trace
        ran = run_group(db, *group)
        executioner.come_to("commit_after")
        return ran

    writer._run_group = run


def watch_sends(executioner: Executioner) -> None:
    """Watch the connection: before the first byte, in the middle, after the last, before and after
    the answer is read.
    """
    write, exchange = Connection._write, Connection.exchange

    async def watched_write(self: Connection, data: bytes, permit: SendPermit[Any] | None) -> None:
        kind = "look" if permit is None else "order"
        executioner.come_to(f"{kind}_before")
        if permit is not None and executioner.is_next("order_half"):
            permit.take()
            await self._wire.send(data[: len(data) // 2])
        if permit is not None:
            executioner.come_to("order_half")
        await write(self, data, permit)
        executioner.come_to(f"{kind}_written")
        if permit is not None:
            if executioner.is_next("order_unread"):
                await trio.lowlevel.wait_readable(self._wire._socket)
            executioner.come_to("order_unread")

    async def watched_exchange(
        self: Connection,
        data: bytes,
        reader: Reader,
        permit: SendPermit[Any] | None,
        body_bytes_max: int,
    ) -> Answer:
        answer = await exchange(self, data, reader, permit, body_bytes_max)
        executioner.come_to("look_answered" if permit is None else "order_answered")
        return answer

    Connection._write, Connection.exchange = watched_write, watched_exchange  # type: ignore[method-assign]


def main() -> None:
    """Read boundary and number, watch, and serve."""
    boundary, number, *rest = sys.argv[1:]
    if boundary not in BOUNDARIES:
        raise SystemExit(f"expected one of {', '.join(BOUNDARIES)}, found {boundary!r}")
    executioner = Executioner(boundary, int(number))
    watch_commits(executioner)
    watch_sends(executioner)
    from rexalgo.cli import main as rexalgo

    sys.argv = ["rexalgo", "serve", *rest]
    rexalgo()


if __name__ == "__main__":
    main()
