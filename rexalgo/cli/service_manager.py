"""Notify systemd how the server is: still starting, started, alive, stopping (sd_notify), over its
datagram socket.

The watchdog is told only while the loop turns and the ledger's writer answers, also on a full disk,
which no restart mends. A process that hangs or was paused falls silent, and systemd ends it and starts it again;
every start first looks up what was open, so that is always safe.
"""

import logging
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Final

import trio

log = logging.getLogger("rexalgo.service")
_START_MORE_USEC: Final = 120_000_000
_QUEUE_S: Final = 1.0
"""How long a message waits for room in the manager's queue."""
_BEATS: Final = 3
"""Beats within the time that systemd waits for one."""


@dataclass(slots=True)
class ServiceManager:
    """The socket of the service manager ("" for none), and how long it waits for a sign of life in
    seconds (0: it does not wait).
    """

    address: str
    watchdog_s: float
    _worked: bool = True
    _is_ready: bool = False

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> "ServiceManager":
        """Read the environment that systemd gave to this process, and take it out: no child speaks
        for the server.
        """
        address, pid, usec = (
            environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
        )
        is_meant = pid in ("", str(os.getpid()))
        watches = address.startswith(("/", "@")) and is_meant and usec.isdecimal()
        return cls(
            address if address.startswith(("/", "@")) else "", int(usec) / 1e6 if watches else 0.0
        )

    def tell(self, *states: str) -> None:
        """Send states such as READY=1; a manager that does not listen is logged once."""
        if not self.address:
            return
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                # its queue is short; a READY=1 that is lost ends the start
                out.settimeout(_QUEUE_S)
                out.sendto("\n".join(states).encode(), address)
        except OSError as error:
            if self._worked:
                log.warning("the service manager at %s cannot be told: %s", self.address, error)
            self._worked = False
        else:
            self._worked = True

    def goes_on(self, how_far: str) -> None:
        """Ask for two more minutes to start, and show how far the start is."""
        if not self._is_ready:
            self.tell(f"EXTEND_TIMEOUT_USEC={_START_MORE_USEC}", f"STATUS={how_far}")

    def ready(self, status: str) -> None:
        """Report that the start is over."""
        self._is_ready = True
        self.tell("READY=1", f"STATUS={status}")

    async def beat(self, is_alive: Callable[[], Awaitable[bool]]) -> None:
        """Feed the watchdog while ``is_alive`` returns True; runs until cancelled, or returns at once
        if nobody waits.
        """
        was_alive = True
        while self.watchdog_s:
            lives = False
            with trio.move_on_after(self.watchdog_s / _BEATS):
                lives = await is_alive()
            if lives:
                self.tell("WATCHDOG=1")
            elif was_alive:
                log.error(
                    "the ledger's writer does not answer: the watchdog is not told, and the service manager "
                    "ends this process within %.0f s",
                    self.watchdog_s,
                )
            was_alive = lives
            await trio.sleep(self.watchdog_s / _BEATS)
