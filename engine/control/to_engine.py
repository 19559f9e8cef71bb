"""The web process's end of the connection to the engine of its place.

It connects again until it is cancelled. What is asked while the engine is away, or is not answered
in time, raises EngineAway; a delivery that was sent and not answered may be recorded, and its sender
repeats it under the same id. How much is under way at once has a bound.
"""

import base64
import itertools
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from engine.control.frames import Frame, Frames, LinkBroken
from engine.control.link import ATTACH, AskedBy, Greeting
from engine.control.values import read_raised, read_value, write_value
from engine.control.wire import is_ours, socket_address
from engine.domain.errors import EngineAway, RexAlgoError
from engine.keys.handover import seal
from engine.keys.sealed_secrets import EndpointKey
from engine.ledger.deliveries import NewDelivery
from engine.ledger.rehearsing import Rehearsal
from engine.ledger.signals import Recorded
from engine.ports.secret import Secret
from engine.recording import Taken
from engine.services.user import User
from engine.views import HealthView, ReadinessView

_LOG = logging.getLogger("rexalgo.control")
AGAIN_AFTER_S: Final = 0.5
REFUSED_AGAIN_S: Final = 5.0
GREETED_WITHIN_S: Final = 5.0
RECORDED_WITHIN_S: Final = 8.0
"""Most senders wait longer: they get a 503 and send again."""
ANSWERED_WITHIN_S: Final = 60.0
TOLD_WITHIN_S: Final = 3.0
UNDER_WAY_MAX: Final = 1_000
_NOT_RUNNING: Final = (
    "The engine of this installation is not running just now. Nothing was changed, and what is open is "
    "looked after as soon as it is back. Try again in a moment."
)
_NO_ANSWER: Final = (
    "The engine of this installation did not answer. Whether it was done is not known: look before you "
    "repeat it."
)
_NOTHING_SHOWN: Final = (
    "The engine of this installation did not answer. Nothing was changed. Try again in a moment."
)
_BUSY: Final = (
    "The engine of this installation has too much to do just now. Nothing was changed: try again."
)

_NOBODY: Final = "nobody answers at the control socket of this folder"
_MISFIT: Final = (
    "The two processes of this installation do not fit together, and its operator has to restart them. "
    "Nothing was changed."
)

UseKeys = Callable[[Mapping[str, Sequence[EndpointKey]]], None]


class Refused(RexAlgoError):
    """Raised when the engine refuses this web process: both have to be of one version."""


class EngineLink:
    """The connection; it is also where a web process has deliveries recorded, and the condition of
    the engine.
    """

    def __init__(self, folder: Path, greeting: Greeting, *, version: str) -> None:
        self._folder = folder
        self._greeting = greeting
        self._version = version
        self._frames: Frames | None = None
        self._seal = b""
        self._numbers = itertools.count(1)
        self._under_way: dict[int, tuple[trio.Event, list[Frame]]] = {}
        self._began = trio.current_time()
        self._said = ""
        self.why_away = _NOT_RUNNING
        """Why nothing can be asked now; empty while the engine answers."""

    async def run(
        self,
        *,
        attached: Callable[[], None],
        use_keys: UseKeys,
        tell: Callable[[], None],
        answers: Callable[[], Mapping[str, int]],
    ) -> None:
        """Keep the connection until cancelled: ``attached`` is called before the first frame of
        each, ``use_keys`` with the keys of the endpoints, ``tell`` after commits. ``answers`` says
        how deliveries were answered, when the engine asks for it.
        """
        take = partial(self._take, use_keys=use_keys, tell=tell, answers=answers)
        while True:
            try:
                await self._connected(attached, take)
            except* Exception as group:  # whatever it was, the engine is tried again
                first = _first(group)
                why = _NOBODY if isinstance(first, OSError) else str(first)
                self.why_away = _MISFIT if isinstance(first, Refused) else _NOT_RUNNING
                if why != self._said:
                    _LOG.warning("the engine is away, and webhooks are answered 503: %s", why)
                self._said = why
            await trio.sleep(AGAIN_AFTER_S if self.why_away is not _MISFIT else REFUSED_AGAIN_S)

    async def _connected(
        self, attached: Callable[[], None], take: Callable[[Frames, Frame], None]
    ) -> None:
        with socket_address(self._folder) as path:
            stream = await trio.open_unix_socket(path)
        frames, greeted = Frames(stream), trio.Event()
        try:
            if not is_ours(stream):
                raise LinkBroken("its socket is held by another user")
            frames.send({"method": ATTACH, "params": self._greeting.written()})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(frames.write)
                nursery.start_soon(_greeted_in_time, greeted)
                while arrived := await frames.read():
                    for frame in arrived:
                        if greeted.is_set():
                            take(frames, frame)
                        else:
                            self._greet(frame)
                            attached()
                            greeted.set()
                nursery.cancel_scope.cancel()
        finally:
            self._frames = None
            for done, _ in self._under_way.values():
                done.set()
            with trio.CancelScope(shield=True):
                await frames.aclose()
        raise LinkBroken("it left")

    def _greet(self, answer: Frame) -> None:
        if "error" in answer:
            raise Refused(str(read_raised(answer["error"])))
        self._seal = base64.b64decode(answer["result"]["seal"])

    def _take(
        self,
        frames: Frames,
        frame: Frame,
        *,
        use_keys: UseKeys,
        tell: Callable[[], None],
        answers: Callable[[], Mapping[str, int]],
    ) -> None:
        match frame:
            case {"push": "answers", "number": number}:
                frames.send({"answers": dict(answers()), "number": number})
            case {"push": "endpoints", "with": keys, "number": number}:
                use_keys(read_value(keys))
                frames.send({"uses": number})
                if self._frames is None:
                    _LOG.info("the engine answers")
                # deliveries can be verified from now on
                self._frames, self.why_away, self._said = frames, "", ""
                tell()
            case {"push": "news"}:
                tell()
            case {"id": int(number)} if number in self._under_way:
                done, told = self._under_way[number]
                told.append(frame)
                done.set()

    async def _exchange(self, frame: Frame, within_s: float) -> Any:
        if self._frames is None:
            raise EngineAway(self.why_away or _NOT_RUNNING)
        if len(self._under_way) >= UNDER_WAY_MAX:
            raise EngineAway(_BUSY)
        number, done, answers = next(self._numbers), trio.Event(), list[Frame]()
        self._under_way[number] = (done, answers)
        try:
            self._frames.send({"id": number, **frame})
            with trio.move_on_after(within_s):
                await done.wait()
        finally:
            del self._under_way[number]
        if not answers:
            raise EngineAway(_NO_ANSWER, to_reader=_NOTHING_SHOWN)
        if "error" in answers[0]:
            raise read_raised(answers[0]["error"])
        return answers[0].get("result")

    async def _ask(self, what: str, told: object, within_s: float = ANSWERED_WITHIN_S) -> Any:
        """Ask something that may hold secrets: sealed, so that no copy in clear is kept here."""
        if self._frames is None:
            raise EngineAway(self.why_away or _NOT_RUNNING)
        text = json.dumps({"ask": what, "with": told}).encode()
        return await self._exchange(
            {"sealed": base64.b64encode(seal(self._seal, text)).decode()}, within_s
        )

    # What pages ask

    async def service(
        self, what: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """Ask for ``Class.method`` of a service."""
        shown = tuple(
            AskedBy(Secret(each.sid), each.address) if isinstance(each, User) else each
            for each in args
        )
        return read_value(await self._ask(what, write_value((shown, dict(kwargs)))))

    async def command(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Run a command of the operator's shell."""
        told = {"method": method, "params": dict(params)}
        return dict(await self._ask("command", told, within_s=max(ANSWERED_WITHIN_S, 120.0)))

    # Recording

    @property
    def is_away(self) -> bool:
        """Return whether the engine cannot be reached now."""
        return self._frames is None

    async def record(self, taken: Taken) -> Recorded:
        """Ask the engine to record a signal; raises DedupeConflict, LedgerError, or EngineAway."""
        answer = await self._exchange({"record": write_value(taken)}, RECORDED_WITHIN_S)
        recorded: Recorded = read_value(answer)
        return recorded

    async def rehearse(self, taken: Taken) -> Rehearsal:
        """Ask what recording a signal would come to; raises DedupeConflict, LedgerError, or
        EngineAway.
        """
        answer = await self._ask("rehearse", write_value(taken), RECORDED_WITHIN_S)
        rehearsal: Rehearsal = read_value(answer)
        return rehearsal

    async def note(self, rows: Sequence[NewDelivery]) -> None:
        """Ask the engine to note deliveries; raises LedgerError or EngineAway."""
        await self._ask("note", write_value(tuple(rows)))

    async def note_old_key(self, key: str, at: datetime, peer: str) -> None:
        """Ask the engine to note who still signs with an expiring secret; raises LedgerError or
        EngineAway.
        """
        await self._ask("note_old_key", write_value((key, at, peer)))

    # The engine's condition

    async def health(self) -> HealthView:
        """Return the engine's health; a web process without its engine is not healthy."""
        try:
            view: HealthView = read_value(await self._ask("health", None, TOLD_WITHIN_S))
        except EngineAway:
            uptime = round(trio.current_time() - self._began, 1)
            return HealthView(False, self._version, uptime, ("the engine is away",))
        return view

    async def is_alive(self) -> bool:
        """Return True: a web process works while it answers, also without its engine."""
        return True

    async def readiness(self) -> ReadinessView:
        """Return whether orders can flow; they cannot while the engine is away."""
        try:
            view: ReadinessView = read_value(await self._ask("readiness", None, TOLD_WITHIN_S))
        except EngineAway:
            return ReadinessView(
                ready=False, ledger=False, accounts=0, accounts_reconciled=0, accounts_failed={}
            )
        return view


async def _greeted_in_time(greeted: trio.Event) -> None:
    with trio.move_on_after(GREETED_WITHIN_S):
        await greeted.wait()
        return
    raise LinkBroken(f"it did not answer within {GREETED_WITHIN_S:.0f} s")


def _first(group: BaseException) -> BaseException:
    return _first(group.exceptions[0]) if isinstance(group, BaseExceptionGroup) else group
