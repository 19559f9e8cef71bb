"""The engine's end of the connection to the web process of its place.

What always holds: a delivery is answered only after it is durable; who asks is read again from the
row of the session that they show, so the web process cannot act for somebody who is not signed in;
what was asked is done although the connection ends. One web process is served: a newer connection
takes the place of an older one, whose process has ended or hangs.
"""

import base64
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from engine.commands import Commands
from engine.control.frames import Frame, Frames, LinkBroken
from engine.control.link import AskedBy, Greeting
from engine.control.values import read_value, write_raised, write_value
from engine.control.wire import is_ours
from engine.domain.errors import EngineAway, NothingThere, OwnFault, RexAlgoError
from engine.keys.handover import Handover
from engine.keys.sealed_secrets import EndpointKey
from engine.ledger import Ledger
from engine.monitor import Monitor
from engine.recording import Recorder
from engine.services import Services
from engine.services.asking import find_asked
from engine.views import ReceptionKind

_LOG = logging.getLogger("rexalgo.control")
RECORDING_MAX: Final = 1_024
"""Deliveries in hand at once: above that, the engine reads no more, and the web answers 503."""
ASKED_MAX: Final = 64
KEYS_WITHIN_S: Final = 2.0
ANSWERS_WITHIN_S: Final = 2.0
NEWS_EVERY_S: Final = 0.05


@dataclass(slots=True, kw_only=True)
class WebServer:
    """What a web process is served with."""

    recorder: Recorder
    services: Services
    commands: Commands
    monitor: Monitor
    ledger: Ledger
    keys: Callable[[], Mapping[str, Sequence[EndpointKey]]]
    """Returns the opened keys of every endpoint, as they are now."""
    greeting: Greeting
    nursery: trio.Nursery
    """The engine's own: what was asked is done although the web process leaves."""
    handover: Handover = field(default_factory=Handover)
    _current: trio.CancelScope = field(default_factory=trio.CancelScope)
    _served: "_Served | None" = None

    @property
    def is_connected(self) -> bool:
        """Return whether a web process is connected."""
        return self._served is not None

    async def endpoints_changed(self) -> None:
        """Hand the keys of the endpoints over again, and return once the web process uses them: a
        revoked secret signs nothing more. One that does not is cut off, and answers 503 from then
        on.
        """
        if self._served is not None and not await self._served.hand_over_keys():
            _LOG.error("the web process did not take the endpoints' keys, and is cut off")
            self._current.cancel()

    async def answers(self) -> Mapping[str, int] | None:
        """Ask the web process how it answered deliveries since it started; None if it does not say
        so in time, or none is connected.
        """
        return None if self._served is None else await self._served.ask_answers()

    async def serve(self, stream: trio.SocketStream, told: Mapping[str, Any]) -> None:
        """Serve one web process until it leaves; refuse one that is not of this version."""
        refused = self.greeting.why_refused(told)
        if not is_ours(stream):
            refused = "expected a process of the same user"
        frames = Frames(stream)
        if refused:
            _LOG.error("a web process was refused: %s", refused)
            frames.send({"error": write_raised(RexAlgoError(refused))})
            with trio.move_on_after(1):
                await frames.write()
            return
        self._current.cancel()
        with trio.CancelScope() as self._current:
            _LOG.info("a web process serves this installation")
            frames.send({"result": {"seal": base64.b64encode(self.handover.public).decode()}})
            self._served = served = _Served(self, frames)
            try:
                await served.run()
            except* LinkBroken as group:
                _LOG.warning("the connection to the web process ended: %s", group.exceptions[0])
            except* Exception as group:  # whatever a peer sends, the engine goes on
                _LOG.error("the connection to the web process failed", exc_info=group)
            finally:
                if self._served is served:  # else a newer one took its place
                    self._served = None
            _LOG.info("the web process left")


class _Served:
    """One connection."""

    def __init__(self, server: WebServer, frames: Frames) -> None:
        self._server = server
        self._frames = frames
        self._recording = trio.Semaphore(RECORDING_MAX)
        self._asked = trio.Semaphore(ASKED_MAX)
        self._news = trio.Event()
        self._numbers = itertools.count(1)
        self._handed: dict[int, trio.Event] = {}
        self._answers: Mapping[str, int] | None = None

    async def run(self) -> None:
        self._server.ledger.on_commit(self._committed)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._frames.write)
                nursery.start_soon(self._tell_news)
                nursery.start_soon(self.hand_over_keys)
                while frames := await self._frames.read():
                    for each in frames:
                        await self._take(each)
                nursery.cancel_scope.cancel()
        finally:
            self._server.ledger.off_commit(self._committed)
            for done in self._handed.values():
                done.set()

    async def hand_over_keys(self) -> bool:
        """Hand over the keys of every endpoint as they are now; return False if the web process
        does not say in time that it uses them.
        """
        keys = {each: tuple(keys) for each, keys in self._server.keys().items()}
        return await self._push({"push": "endpoints", "with": write_value(keys)}, KEYS_WITHIN_S)

    async def ask_answers(self) -> Mapping[str, int] | None:
        """Ask how deliveries were answered."""
        told = await self._push({"push": "answers"}, ANSWERS_WITHIN_S)
        return self._answers if told else None

    async def _push(self, frame: Frame, within_s: float) -> bool:
        """Send a frame; return False if the web process does not answer it in time."""
        number = next(self._numbers)
        done = self._handed[number] = trio.Event()
        self._frames.send({**frame, "number": number})
        with trio.move_on_after(within_s):
            await done.wait()
        del self._handed[number]
        return done.is_set()

    def _committed(self) -> None:
        self._news.set()

    async def _tell_news(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            self._frames.send({"push": "news"})
            await trio.sleep(NEWS_EVERY_S)

    async def _take(self, frame: Frame) -> None:
        if (number := frame.get("uses")) is not None:
            if number in self._handed:
                self._handed[number].set()
            return
        if (told := frame.get("answers")) is not None:
            self._answers = _known_answers(told)
            if frame.get("number") in self._handed:
                self._handed[frame["number"]].set()
            return
        if "record" in frame:
            try:
                self._recording.acquire_nowait()  # acquiring it costs a turn of the loop
            except trio.WouldBlock:
                await self._recording.acquire()
            self._server.nursery.start_soon(self._record, frame)
            return
        try:
            self._asked.acquire_nowait()
        except trio.WouldBlock:  # pages that wait for an exchange must hold up no delivery
            busy = EngineAway(
                "Too many pages ask the engine of this installation just now. Try again."
            )
            self._frames.send({"id": frame.get("id"), "error": write_raised(busy)})
        else:
            self._server.nursery.start_soon(self._answer, frame)

    async def _record(self, frame: Frame) -> None:
        with self._answering(frame, self._recording):
            recorded = await self._server.recorder.record(read_value(frame["record"]))
            self._answer_with(frame, write_value(recorded))

    async def _answer(self, frame: Frame) -> None:
        with self._answering(frame, self._asked):
            opened = self._server.handover.open(base64.b64decode(frame["sealed"]))
            asked = json.loads(opened)
            self._answer_with(frame, await self._ask(str(asked["ask"]), asked["with"]))

    def _answer_with(self, frame: Frame, result: Any) -> None:
        self._frames.send({"id": frame.get("id"), "result": result})

    @contextmanager
    def _answering(self, frame: Frame, slots: trio.Semaphore) -> Iterator[None]:
        """Answer a frame with what the block raises."""
        try:
            yield
        except RexAlgoError as error:
            self._frames.send({"id": frame.get("id"), "error": write_raised(error)})
        except Exception as error:  # the boundary to the other process; the log has the details
            _LOG.exception("what the web process asked failed")
            fault = OwnFault(f"{type(error).__name__}; see the engine's log")
            self._frames.send({"id": frame.get("id"), "error": write_raised(fault)})
        finally:
            slots.release()

    async def _ask(self, what: str, told: Any) -> Any:
        server = self._server
        match what:
            case "command":
                return await server.commands.run(str(told["method"]), dict(told["params"]))
            case "health":
                return write_value(await server.monitor.health())
            case "readiness":
                return write_value(await server.monitor.readiness())
            case "rehearse":
                return write_value(await server.recorder.rehearse(read_value(told)))
            case "note":
                return await server.recorder.note(read_value(told))
            case "note_old_key":
                return await server.recorder.note_old_key(*read_value(told))
        method = find_asked(server.services, what)
        if method is None:
            raise NothingThere(f"expected something that pages ask of the engine, found {what}")
        args, kwargs = read_value(told)
        return write_value(await method(*map(self._who, args), **kwargs))

    def _who(self, value: object) -> object:
        """Return the user whose session is shown, as the ledger has them now; other values are
        themselves.
        """
        if not isinstance(value, AskedBy):
            return value
        user = self._server.services.identity.user_again(value.sid.reveal(), value.address)
        if user is None:
            raise RexAlgoError("Your session has ended: sign in again.")
        return user


def _known_answers(told: object) -> dict[str, int]:
    """Return what a web process counted, without what is no answer or no number."""
    kinds = {each.value for each in ReceptionKind}
    counted = told.items() if isinstance(told, dict) else ()
    return {
        kind: number
        for kind, number in counted
        if kind in kinds and isinstance(number, int) and number >= 0
    }
