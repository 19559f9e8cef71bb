"""Answers that a broken or hostile peer might send, from a seeded source of chance."""

import gzip
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from tests.fuzz_http.judge import Input

STATUSES: Final = (200, 200, 200, 201, 202, 204, 304, 400, 401, 429, 500, 503, 100, 101, 103, 999)
LINES: Final = (
    b"Date: Sun, 29 Nov 2026 13:00:00 GMT",
    b"date: Sun, 99 Nov 99999 13:00:00 +9999",
    b"Content-Type: application/json; charset=utf-8",
    b"content-type: text/plain; charset=utf-7",
    b"Connection: keep-alive",
    b"connection: upgrade , CLOSE",
    b"Content-Encoding: gzip",
    b"content-encoding: deflate",
    b"Set-Cookie: a=b",
    b"X-Empty:",
    b"X-Spaces: \t a  b \t ",
    b"X-High: \xe4\xff",
)
WEDGES: Final = (
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\0", b"\x0b", b" ", b"\t", b":", b";", b","),
    *(b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.0", b"HTTP/2.0"),
    *(b"\r\nContent-Length: 3", b"\r\nContent-Length: 0", b"\r\ncontent-length: 5, 5"),
    *(b"\r\nTransfer-Encoding: chunked", b"\r\ntransfer-encoding: gzip, chunked", b"\r\n folded"),
    *(b"-1", b"+1", b"0x1", b"1_0", b"\xb2", b"99999999999999999999", b"f" * 17, b"0" * 30),
    *(b"0\r\n\r\n", b"1\r\nx\r\n", b"ffffffffffffffff\r\n", b'3;ext="a"\r\nabc\r\n', b"5 \r\n"),
)


def answers(seed: int) -> Iterator[Input]:
    """Yield inputs for ever, the same ones for the same seed."""
    random = Random(seed)
    while True:
        raw = random.randbytes(random.randrange(200)) if random.random() < 0.02 else _answer(random)
        for _ in range(random.choice((0, 1, 1, 1, 2, 3, 6))):
            raw = random.choice(CHANGES)(raw, random)
        yield Input(_pieces(raw, random), random.random() < 0.5, random.random() < 0.05)


def _answer(random: Random) -> bytes:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * random.choice((0,) * 20 + (1, 2, 17))
    version = b"HTTP/1.0" if random.random() < 0.05 else b"HTTP/1.1"
    lines = random.sample(LINES, random.randrange(len(LINES)))
    body = random.randbytes(random.choice((0, 1, 3, 20, 200)))
    if random.random() < 0.1:
        body = gzip.compress(b"0" * random.choice((10, 100, 5_000)), mtime=0)
    framing = random.random()
    if framing < 0.5:
        lines.append(b"Content-Length: %d" % len(body))
    elif framing < 0.9:
        lines.append(b"Transfer-Encoding: chunked")
        body = _chunked(body, random)
    random.shuffle(lines)
    if random.random() < 0.001:
        lines += [b"X-Long: " + b"a" * random.choice((30_000, 32_760, 40_000))]
    if random.random() < 0.001:
        lines += [b"X: y"] * random.choice((110, 128, 129, 1_000))
    status = b"%s %d OK" % (version, random.choice(STATUSES))
    return interim + b"\r\n".join([status, *lines]) + b"\r\n\r\n" + body


def _chunked(body: bytes, random: Random) -> bytes:
    sizes = (1, 2, 5, 100)
    parts: list[bytes] = []
    while body:
        size = random.choice(sizes)
        part, body = body[:size], body[size:]
        parts.append(b"%x\r\n%s\r\n" % (len(part), part))
    if random.random() < 0.000_1:
        parts *= 20_000
    trailer = b"X-Trailer: 1\r\n" if random.random() < 0.1 else b""
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


def _pieces(raw: bytes, random: Random) -> tuple[bytes, ...]:
    match random.randrange(4):
        case 0 if len(raw) < 500:
            return tuple(raw[at : at + 1] for at in range(len(raw)))
        case 1:
            cuts = sorted(random.randrange(len(raw) + 1) for _ in range(random.randrange(6)))
            bounds = zip([0, *cuts], [*cuts, len(raw)], strict=True)
            return tuple(raw[begin:end] for begin, end in bounds if end > begin)
        case _:
            return (raw,) if raw else ()


def _wedge(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + random.choice(WEDGES) + raw[at:]


def _wedge_at_line(raw: bytes, random: Random) -> bytes:
    parts = raw.split(b"\r\n")
    at = random.randrange(len(parts))
    return b"\r\n".join([*parts[:at], parts[at] + random.choice(WEDGES), *parts[at + 1 :]])


def _flip(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + random.randbytes(1) + raw[at + 1 :]


def _drop(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + raw[at + random.choice((1, 1, 2, 10)) :]


def _cut(raw: bytes, random: Random) -> bytes:
    return raw[: random.randrange(len(raw) + 1)]


def _repeat(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    end = at + random.choice((1, 5, 30))
    return raw[:end] + raw[at:end] + raw[end:]


def _bare_feeds(raw: bytes, random: Random) -> bytes:
    return raw.replace(b"\r\n", b"\n", random.choice((1, 2, -1)))


def _swap_case(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + raw[at : at + 10].swapcase() + raw[at + 10 :]


CHANGES: Final[tuple[Callable[[bytes, Random], bytes], ...]] = (
    _wedge,
    _wedge_at_line,
    _flip,
    _drop,
    _cut,
    _repeat,
    _bare_feeds,
    _swap_case,
)
