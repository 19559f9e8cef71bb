"""The messages of one request on their way from the server to the app.

hypercorn 0.18.0 (trio/task_group.py) sends each through a memory channel, and trio gives up the turn
of the loop at each send and at each receive: five turns from the last byte of a delivery to its
handler, and a turn takes ten milliseconds and more while orders flow. Here a message that finds
room, or is there already, costs none.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup, _handle
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope


class Inbox:
    """What an app receives of one request; at most ``size`` messages wait."""

    def __init__(self, size: int) -> None:
        self._send, self._receive = trio.open_memory_channel[ASGIReceiveEvent](size)

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Hand a message over; wait only where no room is left."""
        try:
            self._send.send_nowait(message)
        except trio.WouldBlock:
            await self._send.send(message)

    def take(self) -> ASGIReceiveEvent | None:
        """Return the next message if it is there."""
        try:
            return self._receive.receive_nowait()
        except trio.WouldBlock:
            return None

    async def __call__(self) -> ASGIReceiveEvent:
        """Wait for the next message: ASGI's ``receive``."""
        return await self._receive.receive()


class Apps(TaskGroup):
    """hypercorn's group of tasks, whose apps receive from an inbox."""

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start an app with its inbox; return what hands it messages."""
        inbox = Inbox(config.max_app_queue_size)
        spare: tuple[Any, Any] = (trio.to_thread.run_sync, trio.from_thread.run)
        assert self._nursery is not None, "the group is entered before a request is read"
        self._nursery.start_soon(_handle, app, config, scope, inbox, send, *spare)
        return inbox.put
