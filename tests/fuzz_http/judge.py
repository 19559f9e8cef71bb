"""What the engine's parser makes of some bytes, and what h11 makes of the same: h11 is the judge."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Final

import h11

from engine.transport.answer import Answer, FieldLines
from engine.transport.answer_parser import HEAD_BYTES_MAX, AnswerParser, MalformedAnswer
from engine.transport.decoding import Undecodable, decoded
from engine.transport.h11_reader import ReadingReader
from engine.transport.peer_clock import PeerClock

NOW: Final = datetime(2026, 11, 29, tzinfo=UTC)


class NoAnswer(Enum):
    """Why there is no whole answer."""

    REFUSED = "refused"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Input:
    """What a peer sends: pieces as they arrive, whether it then closes, and whether the request was
    a HEAD.
    """

    pieces: tuple[bytes, ...]
    closes: bool
    to_head: bool = False

    @property
    def raw(self) -> bytes:
        """Return all bytes."""
        return b"".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Reading:
    """A whole answer as one of the two read it."""

    status: int
    lines: Sequence[tuple[bytes, bytes]]
    body: bytes
    reusable: bool


def by_parser(
    sent: Input, body_bytes_max: int, held: list[int] | None = None
) -> Reading | NoAnswer:
    """Read with the engine's parser; ``held`` gets the bytes that it kept after each piece.
    AssertionError if they exceed its bounds; any exception but its own passes.
    """
    parser = AnswerParser(body_bytes_max, to_head=sent.to_head)
    rest = list(sent.pieces)
    answer: Answer | None = None
    try:
        while answer is None and rest:
            answer = parser.feed(rest.pop(0))
            chunks = b"" if parser._chunks is None else parser._chunks._kept
            assert max(len(parser._kept), len(chunks)) < HEAD_BYTES_MAX + 4
            assert len(parser._body) <= body_bytes_max
            if held is not None:
                held.append(len(parser._kept) + len(chunks) + len(parser._body))
        if answer is None and sent.closes:
            answer = parser.hang_up()
    except MalformedAnswer:
        return NoAnswer.REFUSED
    if answer is None:
        return NoAnswer.UNFINISHED
    use(answer, body_bytes_max)
    reusable = parser.reusable and not rest
    return Reading(answer.status_code, _as_h11(answer.lines), answer.content, reusable)


def _as_h11(lines: FieldLines) -> FieldLines:
    """Return lines as h11 has them: it writes one value in lower case."""
    return [
        (name, value.lower() if name == b"transfer-encoding" else value) for name, value in lines
    ]


def by_reading_reader(sent: Input, body_bytes_max: int) -> Reading | NoAnswer:
    """Read as the answer to a reading is read."""
    reader = ReadingReader(body_bytes_max, "HEAD" if sent.to_head else "GET")
    rest = list(sent.pieces)
    answer: Answer | None = None
    try:
        while answer is None and rest:
            answer = reader.feed(rest.pop(0))
        if answer is None and sent.closes:
            answer = reader.hang_up()
    except MalformedAnswer:
        return NoAnswer.REFUSED
    if answer is None:
        return NoAnswer.UNFINISHED
    return Reading(
        answer.status_code, _as_h11(answer.lines), answer.content, reader.reusable and not rest
    )


def use(answer: Answer, body_bytes_max: int) -> None:
    """Do with an answer what the engine does with it: nothing in it may raise."""
    assert isinstance(answer.text, str)
    assert len(answer.headers) <= len(answer.lines)
    clock = PeerClock(lambda: NOW)
    clock.note(answer.value(b"date"), NOW)
    try:
        plain = decoded(answer.content, answer.value(b"content-encoding") or "", body_bytes_max)
    except Undecodable:
        return
    assert len(plain) <= body_bytes_max


def by_h11(sent: Input) -> Reading | NoAnswer:
    """Read with h11, all bytes at once."""
    wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    method = "HEAD" if sent.to_head else "POST"
    wire.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    wire.send(h11.EndOfMessage())
    if sent.raw:
        wire.receive_data(sent.raw)
    if sent.closes:
        wire.receive_data(b"")
    head: h11.Response | None = None
    body = b""
    try:
        while True:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                return NoAnswer.UNFINISHED
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                return NoAnswer.REFUSED
    except h11.RemoteProtocolError:
        return NoAnswer.REFUSED
    assert head is not None
    # trailing_data[1] says that the peer closed as well, which is noticed before the next use
    reusable = wire.their_state is h11.DONE and not wire.trailing_data[0]
    lines = [(bytes(name), bytes(value)) for name, value in head.headers]
    return Reading(head.status_code, lines, body, reusable)


def disagreement(sent: Input, ours: Reading | NoAnswer) -> str:
    """Return how the parser read more than h11 did, or something else; empty if it did not."""
    if isinstance(ours, NoAnswer):
        return ""
    theirs = by_h11(sent)
    if isinstance(theirs, Reading) and not ours.reusable:
        theirs = replace(theirs, reusable=False)  # not to use a connection again is never wrong
    return "" if ours == theirs else f"the parser read {ours}, h11 {theirs}"
