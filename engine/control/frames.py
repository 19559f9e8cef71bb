"""Frames between the web process and the engine of one place: lines of JSON both ways over the
control socket, many under way at once.

What waits to be written goes out in one write, so that deliveries that arrive together reach the
ledger's writer together. A peer that does not read for 10 s, or sends a line that does not end, is
cut off.
"""

import json
from typing import Any, Final

import trio

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
WRITE_WITHIN_S: Final = 10.0
_CHUNK: Final = 262_144

Frame = dict[str, Any]


class LinkBroken(Exception):
    """Raised when the other end left, hangs, or sends what is no frame."""


class Frames:
    """One connection. ``send`` may be called from any task; one task writes, and one reads."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._waiting: list[bytes] = []
        self._more = trio.Event()
        self._rest = b""

    def send(self, frame: Frame) -> None:
        """Write a frame soon. The callers bound how many frames wait."""
        self._waiting.append(json.dumps(frame, separators=(",", ":")).encode() + b"\n")
        self._more.set()

    async def write(self) -> None:
        """Write what waits, until cancelled; raises LinkBroken."""
        while True:
            await self._more.wait()
            self._more = trio.Event()
            waiting, self._waiting = self._waiting, []
            try:
                with trio.fail_after(WRITE_WITHIN_S):
                    await self._stream.send_all(b"".join(waiting))
            except trio.TooSlowError:
                raise LinkBroken(f"the other end read nothing for {WRITE_WITHIN_S:.0f} s") from None
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise LinkBroken("the other end left") from error

    async def read(self) -> list[Frame]:
        """Return the frames that arrived together; none once the other end left. Raises LinkBroken."""
        frames: list[Frame] = []
        while not frames:
            try:
                chunk = await self._stream.receive_some(_CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return []
            if not chunk:
                return []
            *lines, self._rest = (self._rest + bytes(chunk)).split(b"\n")
            if len(self._rest) > FRAME_BYTES_MAX:
                raise LinkBroken("the other end sent a line that does not end")
            try:
                frames = [json.loads(line) for line in lines]
            except (ValueError, RecursionError):
                raise LinkBroken("the other end sent no JSON") from None
            if not all(isinstance(each, dict) for each in frames):
                raise LinkBroken("the other end sent no frame")
        return frames

    async def aclose(self) -> None:
        """Close the connection."""
        await trio.aclose_forcefully(self._stream)
