"""One request and its answer over h11: everything that goes through httpx, and the answers to readings
that the strict parser refuses.
"""

import h11

from engine.transport.answer import Answer
from engine.transport.answer_parser import (
    HEAD_BYTES_MAX,
    AnswerParser,
    MalformedAnswer,
    too_long,
)
from engine.transport.errors import ConnectError
from engine.transport.request import FieldLines


class H11Reader:
    """The two halves of one exchange. ``has_head`` and ``reusable`` mean what they mean in
    ``AnswerParser``.
    """

    __slots__ = ("_body", "_body_bytes_max", "_h11", "_head")

    def __init__(self, body_bytes_max: int) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._body_bytes_max = body_bytes_max
        self._head: h11.Response | None = None
        self._body = bytearray()

    def written(self, method: str, target: bytes, lines: FieldLines, body: bytes) -> bytes:
        """Return the request as bytes; raises ConnectError for what is not HTTP."""
        try:
            head = self._h11.send(h11.Request(method=method, target=target, headers=lines))
            data = self._h11.send(h11.Data(data=body)) if body else b""
            end = self._h11.send(h11.EndOfMessage())
        # its text quotes the header, which may be the one with the key
        except h11.LocalProtocolError:
            raise ConnectError(
                "this request is not valid HTTP (a header or the target); nothing was sent"
            ) from None
        return (head or b"") + (data or b"") + (end or b"")

    @property
    def has_head(self) -> bool:
        """Return whether the final head was read."""
        return self._h11.their_state is not h11.SEND_RESPONSE

    @property
    def reusable(self) -> bool:
        """Return whether the connection may carry another request."""
        return (
            self._h11.our_state is h11.DONE
            and self._h11.their_state is h11.DONE
            and not self._h11.trailing_data[0]
        )

    def feed(self, data: bytes) -> Answer | None:
        """Take the next bytes, none if the peer closed; return the answer once it is whole. Raises
        MalformedAnswer.
        """
        try:
            self._h11.receive_data(data)
            return self._next()
        except h11.RemoteProtocolError as error:
            raise MalformedAnswer(f"what is not HTTP: {error}"[:200]) from error

    def hang_up(self) -> Answer:
        """Return the answer that ends because the peer closed; raises MalformedAnswer."""
        answer = self.feed(b"")
        if answer is None:
            raise MalformedAnswer("an answer that is cut off")
        return answer

    def _next(self) -> Answer | None:
        while (event := self._h11.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self._body_bytes_max:
                    raise too_long(self._body_bytes_max)
            elif isinstance(event, h11.Response):
                self._head = event
            elif isinstance(event, h11.EndOfMessage) and self._head is not None:
                return _answer(self._head, bytes(self._body))
            elif not isinstance(event, h11.InformationalResponse):
                raise MalformedAnswer(f"{event!r} instead of an answer"[:200])
        return None


class ReadingReader:
    """A reader of the answer to one reading: by the strict parser, and by h11 from the first byte on
    if that refuses it. A reading that is refused would blind the account.
    """

    __slots__ = ("_body_bytes_max", "_came", "_method", "_reader", "_strict")

    def __init__(self, body_bytes_max: int, method: str) -> None:
        self._body_bytes_max = body_bytes_max
        self._method = method
        self._came = bytearray()
        self._strict = AnswerParser(body_bytes_max, to_head=method == "HEAD")
        self._reader: AnswerParser | H11Reader = self._strict

    @property
    def has_head(self) -> bool:
        """Return whether the final head was read."""
        return self._reader.has_head

    @property
    def reusable(self) -> bool:
        """Return whether the connection may carry another request."""
        return self._reader.reusable

    def feed(self, data: bytes) -> Answer | None:
        """Take the next bytes; return the answer once it is whole. Raises MalformedAnswer."""
        if self._reader is not self._strict:
            return self._reader.feed(data)
        self._came += data
        try:
            return self._strict.feed(data)
        except MalformedAnswer:
            return self._forgiving().feed(bytes(self._came))

    def hang_up(self) -> Answer:
        """Return the answer that ends because the peer closed; raises MalformedAnswer."""
        return self._reader.hang_up()

    def _forgiving(self) -> "H11Reader":
        self._reader = H11Reader(self._body_bytes_max)
        self._reader.written(self._method, b"/", [(b"Host", b"peer")], b"")  # what it answers
        return self._reader


def _answer(head: h11.Response, body: bytes) -> Answer:
    lines = [(bytes(name), bytes(value)) for name, value in head.headers]
    return Answer(head.status_code, lines, body, bytes(head.reason), bytes(head.http_version))
