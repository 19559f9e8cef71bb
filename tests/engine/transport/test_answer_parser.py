"""The strict parser of order answers: what it reads, what it refuses, and that h11 agrees with every
answer it reads.
"""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.transport.answer import Answer
from engine.transport.answer_parser import (
    CHUNK_LINE_BYTES_MAX,
    CHUNKS_MAX,
    HEAD_BYTES_MAX,
    HEADER_LINES_MAX,
    INTERIM_ANSWERS_MAX,
    AnswerParser,
    MalformedAnswer,
)
from tests.fuzz_http.hostile import CHANGES
from tests.fuzz_http.judge import Input, NoAnswer, Reading, by_h11, by_parser, disagreement

MAX = 100_000
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(raw: bytes, *, closes: bool = False, to_head: bool = False) -> Reading | NoAnswer:
    return by_parser(Input((raw,), closes, to_head), MAX)


def refusal(raw: bytes) -> str:
    with pytest.raises(MalformedAnswer) as caught:
        AnswerParser(MAX).feed(raw)
    return str(caught.value)


# --- what is read

WHOLE = [
    (OK + b"Content-Length: 2\r\n\r\nok", 200, b"ok", True),
    (OK + b"content-length:2 \t\r\n\r\nok", 200, b"ok", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b"", True),
    (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
    (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, b"", True),
    (b"HTTP/1.1 999 \xe4 b\tc\r\nContent-Length: 0\r\n\r\n", 999, b"", True),
    (CHUNKED + b'3\r\nabc\r\n0A;a="b"\r\n0123456789\r\n0\r\n\r\n', 200, b"abc0123456789", True),
    (CHUNKED + b"1\r\na\r\n000\r\nX-Trailer: 1\r\nY: \r\n\r\n", 200, b"a", True),
    (OK + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, b"", True),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\n"
        + OK
        + b"Content-Length: 1\r\n\r\na",
        200,
        b"a",
        True,
    ),
    # the connection ends with the answer
    (OK + b"Connection: x, Close\r\nContent-Length: 1\r\n\r\na", 200, b"a", False),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", 200, b"a", False),
    # bytes follow: the connection may not be used again
    (OK + b"Content-Length: 1\r\n\r\nab", 200, b"a", False),
    (CHUNKED + b"0\r\n\r\nH", 200, b"", False),
    (b"HTTP/1.1 204 \r\nContent-Length: 2\r\n\r\nok", 204, b"", False),
]


@pytest.mark.parametrize(("raw", "status", "body", "reusable"), WHOLE)
def test_an_answer_is_read_however_it_is_cut(
    raw: bytes, status: int, body: bytes, reusable: bool
) -> None:
    found = read(raw)
    assert isinstance(found, Reading)
    assert (found.status, found.body, found.reusable) == (status, body, reusable)
    byte_by_byte = by_parser(Input(tuple(bytes((each,)) for each in raw), closes=False), MAX)
    assert byte_by_byte == found
    assert disagreement(Input((raw,), closes=False), found) == ""


def test_headers_are_found_without_case_and_joined() -> None:
    answer = AnswerParser(MAX).feed(OK + b"X-A: 1\r\nx-a:\t2 \r\nB:\r\nContent-Length: 0\r\n\r\n")
    assert isinstance(answer, Answer)
    assert (answer.headers["X-a"], answer.headers["b"], "c" in answer.headers) == (
        "1, 2",
        "",
        False,
    )
    assert dict(answer.headers) == {"x-a": "1, 2", "b": "", "content-length": "0"}
    assert len(answer.headers) == 3


def test_the_answer_to_a_head_has_no_body_whatever_it_says() -> None:
    for framing in (b"Content-Length: 99999999", b"Transfer-Encoding: chunked", b"X: y"):
        found = read(OK + framing + b"\r\n\r\n", to_head=True)
        assert isinstance(found, Reading)
        assert (found.body, found.reusable) == (b"", True)


def test_an_answer_without_framing_ends_with_the_connection() -> None:
    parser = AnswerParser(MAX)
    assert parser.feed(OK + b"\r\nab") is None
    assert parser.feed(b"cd") is None
    assert (parser.hang_up().content, parser.reusable) == (b"abcd", False)


# --- what is refused

REFUSED = [
    (b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "control"),
    (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "control"),
    (OK + b"A: b\nC: d\r\nContent-Length: 0\r\n\r\n", "control"),
    (OK + b"A: b\rC: d\r\nContent-Length: 0\r\n\r\n", "control"),
    (OK + b"A: \0\r\n\r\n", "control"),
    (OK + b"A: \x7f\r\n\r\n", "control"),
    (OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n", "proper name"),
    (OK + b"A : b\r\n\r\n", "proper name"),
    (OK + b": b\r\n\r\n", "proper name"),
    (OK + b"A\r\n\r\n", "proper name"),
    (OK + b"\xe4: b\r\n\r\n", "proper name"),
    (b"HTTP/1.2 200 OK\r\n\r\n", "status line"),
    (b"HTTP/1.1  200 OK\r\n\r\n", "status line"),
    (b"HTTP/1.1 20 OK\r\n\r\n", "status line"),
    (b"HTTP/1.1 099 OK\r\n\r\n", "status line"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "status line"),
    (b"HTTP/1.1 200OK\r\n\r\n", "status line"),
    (b"HTTP/2 200\r\n\r\n", "status line"),
    (b"http/1.1 200 OK\r\n", "begin"),
    (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "status line"),
    (b"S", "begin"),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "change of protocol"),
    (b"HTTP/1.1 100 \r\n\r\n" * (INTERIM_ANSWERS_MAX + 1), "interim"),
    (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", "Content-Length"),
    (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", "Content-Length"),
    (OK + b"Content-Length: 2, 2\r\n\r\nok", "Content-Length"),
    (OK + b"Content-Length: -1\r\n\r\n", "Content-Length"),
    (OK + b"Content-Length: +1\r\n\r\n", "Content-Length"),
    (OK + b"Content-Length: 0x1\r\n\r\n", "Content-Length"),
    (OK + b"Content-Length: 1_0\r\n\r\n", "Content-Length"),
    (OK + b"Content-Length: \xb2\r\n\r\n", "Content-Length"),
    (OK + b"Content-Length:\r\n\r\n", "Content-Length"),
    (OK + b"Content-Length: " + b"0" * 21 + b"\r\n\r\n", "Content-Length"),
    (OK + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n", "more than 100000 bytes"),
    (OK + b"Content-Length: %d\r\n\r\n" % (MAX + 1), "more than 100000 bytes"),
    (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", "none may be"),
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "none may be"),
    (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "other than chunked"),
    (OK + b"Transfer-Encoding: identity\r\n\r\n", "other than chunked"),
    (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "other than"),
    (b"HTTP/1.1 204 \r\nContent-Length: x\r\n\r\n", "Content-Length"),
    (OK + b"A: " + b"a" * HEAD_BYTES_MAX + b"\r\n\r\n", "head of more"),
    (OK + b"A: b\r\n" * (HEADER_LINES_MAX + 1) + b"\r\n", "header lines"),
    (CHUNKED + b"\r\n", "no size"),
    (CHUNKED + b"x\r\n", "no size"),
    (CHUNKED + b"-1\r\n", "no size"),
    (CHUNKED + b"0x1\r\n", "no size"),
    (CHUNKED + b"1 \r\na\r\n", "no size"),
    (CHUNKED + b"1;a\nb\r\na\r\n", "no size"),
    (CHUNKED + b"1;" + b"a" * CHUNK_LINE_BYTES_MAX + b"\r\na\r\n", "no size"),
    (CHUNKED + b"0" * 17 + b"\r\n", "no size"),
    (CHUNKED + b"f" * 16 + b"\r\n", "more than 100000 bytes"),
    (CHUNKED + b"186a0\r\n" + b"a" * MAX + b"\r\n1\r\n", "more than 100000 bytes"),
    (CHUNKED + b"1\r\nab\r\n", "longer than its size"),
    (CHUNKED + b"1\r\na\n\n", "longer than its size"),
    (CHUNKED + b"1\r\na\r\n" * (CHUNKS_MAX + 1), "chunks"),
    (CHUNKED + b"0\r\nA b\r\n\r\n", "proper name"),
    (CHUNKED + b"0\r\nA: \0\r\n\r\n", "trailer with control"),
    (CHUNKED + b"0\r\nContent-Length: 1\r\n\r\n", "changes where the body ends"),
    (CHUNKED + b"0\r\nA: " + b"a" * HEAD_BYTES_MAX + b"\r\n\r\n", "trailer of more"),
    (OK + b"\r\n" + b"a" * (MAX + 1), "more than 100000 bytes"),
]


@pytest.mark.parametrize(("raw", "told"), REFUSED)
def test_what_is_not_plainly_one_answer_is_refused(raw: bytes, told: str) -> None:
    assert told in refusal(raw)


@pytest.mark.parametrize(("raw", "told"), REFUSED)
def test_a_refusal_does_not_depend_on_how_the_bytes_are_cut(raw: bytes, told: str) -> None:
    whole = by_parser(Input((raw,), closes=True), MAX)
    size = 1 if len(raw) < 5_000 else 997
    cut = tuple(raw[at : at + size] for at in range(0, len(raw), size))
    assert by_parser(Input(cut, closes=True), MAX) is whole is NoAnswer.REFUSED


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP",
        OK,
        OK + b"Content-Length: 2\r\n\r\no",
        CHUNKED + b"2\r\no",
        CHUNKED + b"2\r\nok\r",
        CHUNKED + b"2",
        CHUNKED + b"0\r\n",
        CHUNKED + b"0\r\nA: b\r\n",
    ],
)
def test_an_answer_that_is_cut_off_is_none(raw: bytes) -> None:
    assert read(raw) is NoAnswer.UNFINISHED
    assert read(raw, closes=True) is NoAnswer.REFUSED


def test_no_message_quotes_the_answer() -> None:
    for raw, _ in REFUSED:
        assert "\\x" not in refusal(raw)
        assert len(refusal(raw)) < 80


def test_the_largest_allowed_head_and_body_are_read() -> None:
    line = b"A: " + b"a" * (HEAD_BYTES_MAX - len(OK) - len(b"A: \r\nContent-Length: 100000"))
    raw = OK + line + b"\r\nContent-Length: %d\r\n\r\n" % MAX + b"a" * MAX
    assert raw.index(b"\r\n\r\n") == HEAD_BYTES_MAX
    assert isinstance(read(raw), Reading)
    cut = tuple(raw[at : at + 100] for at in range(0, len(raw), 100))
    assert isinstance(by_parser(Input(cut, closes=False), MAX), Reading)


# --- against h11

token = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=12).map(str.encode)
visible = st.binary(max_size=12).map(lambda raw: bytes(each for each in raw if 32 < each != 127))
FRAMING = {b"content-length", b"transfer-encoding", b"connection"}
header = st.tuples(token.filter(lambda name: name.lower() not in FRAMING), visible)
spaces = st.sampled_from([b"", b" ", b"\t", b"  "])


@st.composite
def valid(draw: st.DrawFn) -> tuple[bytes, bool, bool]:
    """Return a valid answer, whether the peer closes behind it, and whether it answers a HEAD."""
    interim = draw(st.lists(st.sampled_from([b"100 Continue", b"103 "]), max_size=2))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    status = draw(st.integers(200, 999))
    to_head = draw(st.booleans())
    headers = [
        b"%b:%b%b%b" % (name, draw(spaces), value, draw(spaces))
        for name, value in draw(st.lists(header, max_size=5))
    ]
    body = draw(st.binary(max_size=300))
    framings = ["length", "close"] + (["chunked"] if version == b"1.1" else [])
    framing = draw(st.sampled_from(framings))
    if framing == "length":
        headers.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        headers.append(
            draw(st.sampled_from([b"Transfer-Encoding: chunked", b"TRANSFER-ENCODING:CHUNKED"]))
        )
        cuts = sorted({0, len(body), *draw(st.lists(st.integers(0, len(body)), max_size=4))})
        parts = [body[begin:end] for begin, end in pairwise(cuts)]
        extension = draw(st.sampled_from([b"", b";a", b';a="b c"']))
        trailer = draw(st.sampled_from([b"", b"X-Trailer: a\r\n"]))
        body = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
        body += b"0\r\n" + trailer + b"\r\n"
    if draw(st.booleans()):
        headers.append(
            b"Connection: " + draw(st.sampled_from([b"close", b"keep-alive", b"a ,Close"]))
        )
    if to_head or status in (204, 304):
        body = b""
    head = b"\r\n".join([b"HTTP/%b %d Fine" % (version, status), *draw(st.permutations(headers))])
    before = b"".join(b"HTTP/1.1 %b\r\n\r\n" % each for each in interim)
    closes = framing == "close" and not to_head and status not in (204, 304)
    return before + head + b"\r\n\r\n" + body, closes, to_head


def cut(raw: bytes, at: list[int]) -> tuple[bytes, ...]:
    bounds = sorted({0, len(raw), *(each % (len(raw) + 1) for each in at)})
    return tuple(raw[begin:end] for begin, end in pairwise(bounds))


@settings(max_examples=500)
@given(valid(), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_valid_answer_is_read_as_h11_reads_it_however_it_is_cut(
    made: tuple[bytes, bool, bool], at: list[int]
) -> None:
    raw, closes, to_head = made
    sent = Input(cut(raw, at), closes, to_head)
    found = by_parser(sent, MAX)
    assert isinstance(found, Reading)
    assert found == by_parser(Input((raw,), closes, to_head), MAX)
    assert disagreement(sent, found) == ""
    if not closes:
        theirs = by_h11(sent)
        assert isinstance(theirs, Reading)
        assert found.reusable == theirs.reusable


@settings(max_examples=1_000)
@given(valid(), st.integers(0), st.integers(1, 4), st.lists(st.integers(0, 10_000), max_size=4))
def test_a_changed_answer_is_refused_or_read_as_h11_reads_it(
    made: tuple[bytes, bool, bool], seed: int, changes: int, at: list[int]
) -> None:
    raw, closes, to_head = made
    random = Random(seed)
    for _ in range(changes):
        raw = random.choice(CHANGES)(raw, random)
    sent = Input(cut(raw, at), closes, to_head)
    assert disagreement(sent, by_parser(sent, MAX)) == ""


def test_the_judge_sees_a_difference() -> None:
    sent = Input((OK + b"Content-Length: 2\r\n\r\nok",), closes=False)
    assert disagreement(sent, Reading(200, [], b"ok", True)) != ""
