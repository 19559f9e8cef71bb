"""Send hostile requests to a served place over raw sockets, and check what it did with them.

The promises: no answer is a 5xx but 501 and 505 (what HTTP/1.1 itself asks for), nothing is an
error or a traceback in the log, every webhook gets an answer, the place records nothing that the
judge refuses and loses nothing that it acknowledged, and afterwards it holds as many tasks,
descriptors and objects as before.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import trio

from tests.fuzz_doors.fuzzed_place import FuzzedPlace
from tests.fuzz_doors.hostile import Hostile, Input, Kind
from tests.fuzz_doors.judge import PEER, Judge

SENDERS: Final = 24
ROUND: Final = 20_000
"""After so many inputs the record is judged and what the place holds is counted."""
WARMING: Final = 400
ANSWER_S: Final = 20.0
"""A webhook without an answer for so long counts as a hang."""
QUIET_S: Final = 0.03
"""How long a sender of broken HTTP waits for an answer: mostly it comes at once, or never."""
SETTLED_S: Final = 30.0
LOOK_S: Final = 0.2
MORE_MAX: Final = {"tasks": 0, "descriptors": 0, "objects": 3_000, "memory_kib": 48 * 1024}
"""What the place may hold more than before: caches fill, and memory is not given back at once."""
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_ALLOWED_5XX: Final = frozenset((501, 505))


class Broken(Exception):
    """Raised when a place broke a promise; the text says which, and how to repeat it."""


@dataclass(slots=True)
class Figures:
    """What a run did."""

    inputs: int = 0
    bytes: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    signals: int = 0
    slowest_s: float = 0.0
    took_s: float = 0.0
    held: dict[str, int] = field(default_factory=dict)
    """What the place held after warming up."""
    held_after: dict[str, int] = field(default_factory=dict)


class Fuzzing:
    """One run against one place."""

    def __init__(self, at: FuzzedPlace, seed: int, say: Callable[[str], None] = str) -> None:
        self._at = at
        self._say = say
        self._judge = Judge(at.doors)
        self._inputs = Hostile(at.doors, seed, time.time).inputs()
        self._acknowledged: set[str] = set()
        self._recorded: set[str] = set()
        self._newest = 0
        self._opened: Counter[str] = Counter()
        self._where = f"--seed {seed}"
        self.figures = Figures()

    def run(self, inputs: int, until_s: float | None = None) -> Figures:
        """Send this many inputs, fewer if the time (monotonic) comes first. Raises Broken."""
        began = time.monotonic()
        trio.run(self._round, islice(self._inputs, min(WARMING, inputs)))
        self._check_server()
        self.figures.held = self._baseline()
        self._check_record()
        while self.figures.inputs < inputs and (until_s is None or time.monotonic() < until_s):
            count = min(ROUND, inputs - self.figures.inputs)
            trio.run(self._round, islice(self._inputs, count), until_s)
            self._check_server()
            self.figures.held_after = self._back_at(self.figures.held)
            self._check_record()  # once nothing is on its way any more
            memory = self.figures.held_after["memory_kib"] // 1024
            self._say(
                f"{self.figures.inputs:,} inputs, {time.monotonic() - began:,.0f} s, {memory} MiB"
            )
        self.figures.took_s = time.monotonic() - began
        return self.figures

    async def _round(self, inputs: Iterator[Input], until_s: float | None = None) -> None:
        broken: list[Broken] = []

        async def send(stop: trio.CancelScope) -> None:
            try:
                await self._send_all(inputs, until_s)
            except Broken as error:
                broken.append(error)
                stop.cancel()

        async with trio.open_nursery() as nursery:
            for _ in range(SENDERS):
                nursery.start_soon(send, nursery.cancel_scope)
        if broken:
            raise broken[0]

    async def _send_all(self, inputs: Iterator[Input], until_s: float | None) -> None:
        """Send inputs one after the other: webhooks over a connection that stays open."""
        kept: trio.SocketStream | None = None
        try:
            for sent in inputs:
                if until_s is not None and time.monotonic() > until_s:
                    return
                self.figures.inputs += 1
                self.figures.bytes += len(sent.raw)
                self._judge.note(sent.raw, sent.peer, time.time())
                if sent.kind is Kind.HTTP or sent.peer != PEER:
                    await self._send_apart(sent)
                    continue
                if kept is None:
                    kept = await self._connect(PEER)
                if not await self._ask(kept, sent):
                    await trio.aclose_forcefully(kept)
                    kept = None
        finally:
            if kept is not None:
                await trio.aclose_forcefully(kept)

    async def _connect(self, peer: str) -> trio.SocketStream:
        try:
            return await trio.open_tcp_stream("127.0.0.1", self._at.port, local_address=peer)
        except OSError as error:
            raise Broken(f"{self._where}: the place takes no connection: {error}") from error

    async def _ask(self, stream: trio.SocketStream, sent: Input) -> bool:
        """Send one whole webhook, read its answer; return whether the connection stays open."""
        began, came = trio.current_time(), b""
        try:
            with trio.move_on_after(ANSWER_S) as scope:
                await stream.send_all(sent.raw)
                while not (rest := _rest(came)):
                    data = await stream.receive_some(65_536)
                    if not data:
                        break
                    came += data
        except trio.BrokenResourceError:
            rest = None
        self.figures.slowest_s = max(self.figures.slowest_s, trio.current_time() - began)
        if scope.cancelled_caught:
            raise Broken(f"{self._where}: no answer within {ANSWER_S} s to {sent.raw[:2_000]!r}")
        self._note(sent, came)
        return bool(rest) and b"connection: close" not in came.lower()

    async def _send_apart(self, sent: Input) -> None:
        """Send an input that may leave its connection broken, and wait briefly for an answer."""
        stream, came = await self._connect(sent.peer), b""
        try:
            for piece in sent.pieces:
                await stream.send_all(piece)
            with trio.move_on_after(QUIET_S):
                while data := await stream.receive_some(65_536):
                    came += data
        except trio.BrokenResourceError:
            pass  # refused while still sending
        finally:
            await trio.aclose_forcefully(stream)
        self._note(sent, came)

    def _note(self, sent: Input, came: bytes) -> None:
        statuses = [int(each) for each in _STATUS.findall(came)]
        if any(each >= 500 and each not in _ALLOWED_5XX for each in statuses):
            raise Broken(f"{self._where}: {came[:500]!r} to {sent.raw[:2_000]!r}")
        self._acknowledged |= {
            each.decode() for each in re.findall(rb'"ok":true,"signal_id":"(sig_[0-9a-f]+)"', came)
        }
        told = str(statuses[0]) if statuses else "no answer"
        self.figures.answers[f"{sent.kind.value} {told}"] += 1

    def _check_server(self) -> None:
        if self._at.has_ended():
            raise Broken(f"{self._where}: the server's process has ended: {self._at.complaints()}")
        if complaint := self._at.complaints():
            raise Broken(f"{self._where}: the log says: {complaint}")

    def _check_record(self) -> None:
        """Compare what was recorded with what the judge allows and what was acknowledged."""
        for number, id, door, digest, draft in self._at.signals(self._newest):
            if problem := self._judge.why_not(door, digest, draft):
                raise Broken(f"{self._where}: recorded {json.dumps(draft)} by {door}: {problem}")
            self._recorded.add(id)
            self._newest = number
        self.figures.signals = len(self._recorded)
        if lost := self._acknowledged - self._recorded:
            raise Broken(f"{self._where}: acknowledged and not recorded: {lost}")
        self._acknowledged.clear()
        self._judge.forget()

    def _baseline(self) -> dict[str, int]:
        """Return what the place holds once that has not fallen for a second."""
        least = self._at.held()
        since = time.monotonic()
        while time.monotonic() < since + 1:
            time.sleep(LOOK_S)
            now = self._at.held()
            if now["tasks"] < least["tasks"] or now["descriptors"] < least["descriptors"]:
                since = time.monotonic()
            least = {name: min(count, least[name]) for name, count in now.items()}
        self._opened = self._at.descriptors()
        return least

    def _back_at(self, before: dict[str, int]) -> dict[str, int]:
        """Return what the place holds once that is no more than before; raises Broken if it stays
        more.
        """
        deadline = time.monotonic() + SETTLED_S
        most = {name: count + MORE_MAX[name] for name, count in before.items()}
        while True:
            now = self._at.held()
            if all(count <= most[name] for name, count in now.items()):
                return now
            if time.monotonic() > deadline:
                more = dict(self._at.descriptors() - self._opened)
                raise Broken(
                    f"{self._where}: the place held {before}, and now {now}; more descriptors: {more}"
                )
            time.sleep(LOOK_S)


def _rest(came: bytes) -> bytes:
    """Return a whole answer, empty if it is not whole yet."""
    head, blank, body = came.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return came if blank and length and len(body) >= int(length[1]) else b""
