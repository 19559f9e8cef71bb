"""Read one HTTP/1.x answer from bytes: a strict parser without input or output.

It reads the answers to requests that change something, so doubt is cheap and a wrong reading is
not: what is not plainly one answer is refused. It takes nothing that h11 refuses. Beyond h11 it
refuses a bare LF as a line end, a folded header line, control characters in a value, any repeated
Content-Length (also an equal one, also as a list), Content-Length beside Transfer-Encoding,
Transfer-Encoding in HTTP/1.0, versions other than 1.0 and 1.1, spaces after a chunk's size, and
what exceeds a bound below. Grammar: RFC 9112, RFC 9110 section 5.

However the bytes are cut, memory stays within the bounds, and a call takes time in proportion to
its bytes and at most one head. Messages quote nothing of the answer.
"""

import re
from typing import Final

from engine.transport.answer import Answer, FieldLines

HEAD_BYTES_MAX: Final = 32 * 1024
HEADER_LINES_MAX: Final = 128
INTERIM_ANSWERS_MAX: Final = 16
CHUNKS_MAX: Final = 16 * 1024
CHUNK_LINE_BYTES_MAX: Final = 256

_STATUS_LINE: Final = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2})(?: (.*))?", re.DOTALL)
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_BEGINNING: Final = b"HTTP/1."
_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CONTROLS: Final = bytes(each for each in (*range(32), 127) if each != 9)
_LENGTH_DIGITS_MAX: Final = 20
_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))


class MalformedAnswer(ValueError):
    """Raised for bytes that are not one acceptable answer; the text completes "the peer sent"."""


class AnswerParser:
    """A reader of one answer. ``to_head``: the request was a HEAD, whose answer has no body.

    ``has_head`` is True once the final head was read. ``reusable`` is True once the answer is whole
    and the connection may carry another request; it is False if any byte follows the answer.
    """

    __slots__ = (
        "_body",
        "_body_bytes_max",
        "_chunks",
        "_interim",
        "_keeps_alive",
        "_kept",
        "_left",
        "_lines",
        "_reason",
        "_status",
        "_to_head",
        "_version",
        "has_head",
        "reusable",
    )

    def __init__(self, body_bytes_max: int, *, to_head: bool = False) -> None:
        self.has_head = False
        self.reusable = False
        self._body_bytes_max = body_bytes_max
        self._to_head = to_head
        self._kept = b""
        self._interim = 0
        self._status = 0
        self._version = self._reason = b""
        self._lines: FieldLines = []
        self._keeps_alive = False
        self._body = bytearray()
        self._chunks: _Chunks | None = None
        self._left: int | None = None
        """The bytes of the body still to come; None if it is chunked or ends with the connection."""

    def feed(self, data: bytes) -> Answer | None:
        """Take the next bytes; return the answer once it is whole, None while bytes are missing.

        Raises MalformedAnswer; the connection is then to be closed. Not called again after either.
        """
        if not self.has_head:
            rest = self._take_head(self._kept + data if self._kept else data)
            if rest is None:
                return None
            data = rest
        if self._chunks is not None:
            after = self._chunks.feed(data)
            return None if after is None else self._whole(bytes(self._body), after)
        if self._left is None:
            self._add(data)
            return None
        if not self._body and len(data) >= self._left:  # it came in one piece: no copy in between
            return self._whole(data[: self._left], data[self._left :])
        self._body += data[: self._left]
        after, self._left = data[self._left :], max(0, self._left - len(data))
        return None if self._left else self._whole(bytes(self._body), after)

    def hang_up(self) -> Answer:
        """Return the answer that ends because the peer closed; raises MalformedAnswer for one that
        is cut off.
        """
        if not self.has_head or self._chunks is not None or self._left is not None:
            raise MalformedAnswer("an answer that is cut off")
        return self._whole(bytes(self._body), b"")

    def _whole(self, body: bytes, after: bytes) -> Answer:
        self.reusable = self._keeps_alive and not after
        return Answer(self._status, self._lines, body, self._reason, self._version)

    def _add(self, data: bytes) -> None:
        if len(self._body) + len(data) > self._body_bytes_max:
            raise too_long(self._body_bytes_max)
        self._body += data

    def _take_head(self, data: bytes) -> bytes | None:
        """Read heads up to the final one and return what follows it; None while it is not whole."""
        while True:
            end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX + 4)
            if end < 0:
                _check_unfinished_head(data)
                self._kept = data
                return None
            self._read_head(data[:end])
            data = data[end + 4 :]
            if self._status >= 200:
                self.has_head, self._kept = True, b""
                return data
            self._interim += 1
            if self._status == 101:
                raise MalformedAnswer("a change of protocol that was not asked for")
            if self._interim > INTERIM_ANSWERS_MAX:
                raise MalformedAnswer(f"more than {INTERIM_ANSWERS_MAX} interim answers")

    def _read_head(self, block: bytes) -> None:
        lines = block.split(b"\r\n")
        # The only control characters are those of the line ends: no bare CR or LF, no NUL.
        if len(block) - len(block.translate(None, _CONTROLS)) != 2 * (len(lines) - 1):
            raise MalformedAnswer("a head with control characters")
        status = _STATUS_LINE.fullmatch(lines[0])
        if status is None:
            raise MalformedAnswer("a status line that is not HTTP/1.0 or HTTP/1.1")
        self._version, self._status = status[1], int(status[2])
        self._reason = status[3] or b""
        self._lines = header_lines(lines[1:])
        self._frame()

    def _frame(self) -> None:
        """Find out where the body ends, and whether the connection lives on (RFC 9112, 6.3, 9.3)."""
        length: bytes | None = None
        coding: bytes | None = None
        self._keeps_alive = self._version == b"1.1"
        for name, value in self._lines:
            if name == b"content-length":
                if length is not None or not value.isdigit() or len(value) > _LENGTH_DIGITS_MAX:
                    raise MalformedAnswer("a repeated or wrong Content-Length")
                length = value
            elif name == b"transfer-encoding":
                if coding is not None or value.lower() != b"chunked":
                    raise MalformedAnswer("a Transfer-Encoding other than chunked")
                coding = value
            elif name == b"connection" and b"close" in _members(value):
                self._keeps_alive = False
        if coding is not None and (length is not None or self._version == b"1.0"):
            raise MalformedAnswer("a Transfer-Encoding where none may be")
        if self._status < 200 or self._status in (204, 304) or self._to_head:
            self._left = 0
        elif coding is not None:
            self._chunks = _Chunks(self._body, self._body_bytes_max)
        elif length is not None:
            self._left = int(length)
            if self._left > self._body_bytes_max:
                raise too_long(self._body_bytes_max)
        else:
            self._left, self._keeps_alive = None, False


class _Chunks:
    """The chunked framing of one body (RFC 9112, 7.1). Extensions and trailers are checked and
    dropped.
    """

    __slots__ = ("_at_end", "_body", "_body_bytes_max", "_count", "_in_trailer", "_kept", "_left")

    def __init__(self, body: bytearray, body_bytes_max: int) -> None:
        self._body = body
        self._body_bytes_max = body_bytes_max
        self._kept = b""
        self._count = 0
        self._left = 0
        self._at_end = False  # at the line end behind a chunk's data
        self._in_trailer = False

    def feed(self, data: bytes) -> bytes | None:
        """Add to the body; return what follows the last chunk, None while it goes on."""
        data = self._kept + data if self._kept else data
        at = 0
        while not self._in_trailer:
            if self._left:
                taken = data[at : at + self._left]
                self._body += taken
                at += len(taken)
                self._left -= len(taken)
                self._at_end = not self._left
                if self._left:
                    break
            if self._at_end:
                if len(data) - at < 2:
                    break
                if data[at : at + 2] != b"\r\n":
                    raise MalformedAnswer("a chunk that is longer than its size")
                at += 2
                self._at_end = False
            end = data.find(b"\r\n", at, at + CHUNK_LINE_BYTES_MAX + 2)
            if end < 0:
                if len(data) - at >= CHUNK_LINE_BYTES_MAX + 2:
                    raise MalformedAnswer("a chunk's size that is no size")
                break
            self._begin(data, at, end)
            at = end + 2
        if self._in_trailer:
            return self._take_trailer(data[at:])
        self._kept = data[at:]
        return None

    def _begin(self, data: bytes, at: int, end: int) -> None:
        line = _CHUNK_LINE.fullmatch(data, at, end)
        if line is None:
            raise MalformedAnswer("a chunk's size that is no size")
        self._count += 1
        if self._count > CHUNKS_MAX:
            raise MalformedAnswer(f"more than {CHUNKS_MAX} chunks")
        self._left = int(line[1], 16)
        self._in_trailer = not self._left
        if len(self._body) + self._left > self._body_bytes_max:
            raise too_long(self._body_bytes_max)

    def _take_trailer(self, data: bytes) -> bytes | None:
        if data.startswith(b"\r\n"):
            return data[2:]
        end = data.find(b"\r\n\r\n", 0, HEAD_BYTES_MAX + 4)
        if end < 0:
            if len(data) >= HEAD_BYTES_MAX + 4:
                raise MalformedAnswer(f"a trailer of more than {HEAD_BYTES_MAX} bytes")
            self._kept = data
            return None
        lines = data[:end].split(b"\r\n")
        if len(data[:end].translate(None, _CONTROLS)) != end - 2 * (len(lines) - 1):
            raise MalformedAnswer("a trailer with control characters")
        if any(name in _FRAMING for name, _ in header_lines(lines)):
            raise MalformedAnswer("a trailer that changes where the body ends")
        return data[end + 4 :]


def header_lines(lines: list[bytes]) -> FieldLines:
    """Split header lines that have no control character; names become lower case. Raises
    MalformedAnswer.
    """
    if len(lines) > HEADER_LINES_MAX:
        raise MalformedAnswer(f"more than {HEADER_LINES_MAX} header lines")
    found: FieldLines = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.translate(None, _TOKEN):
            raise MalformedAnswer("a header line without a proper name")
        found.append((name.lower(), value.strip(b" \t")))
    return found


def too_long(bytes_max: int) -> MalformedAnswer:
    """Return the error for a body above the bound."""
    return MalformedAnswer(f"an answer of more than {bytes_max} bytes")


def _members(value: bytes) -> list[bytes]:
    return [each.strip(b" \t") for each in value.lower().split(b",")]


def _check_unfinished_head(data: bytes) -> None:
    """Refuse at once what cannot become a head any more, instead of waiting for the deadline."""
    if len(data) >= HEAD_BYTES_MAX + 4:
        raise MalformedAnswer(f"a head of more than {HEAD_BYTES_MAX} bytes")
    if data[: len(_BEGINNING)] != _BEGINNING[: len(data)]:
        raise MalformedAnswer("what does not begin like HTTP/1.x")
    if data.count(b"\n") != data.count(b"\r\n"):
        raise MalformedAnswer("a head with control characters")
