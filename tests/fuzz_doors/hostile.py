"""Requests that a broken or hostile sender might make, from a seeded source of chance."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

from tests.fuzz_doors.judge import PEER, Doors
from tests.fuzz_doors.kept import ALERTS, BODIES, HOST, NAMES, REQUESTS, SPICE, VALUES

STRANGER: Final = "127.0.0.2"
"""A peer that alerts are not taken from."""


class Kind(Enum):
    """What kind of input it is; a whole request leaves its connection usable."""

    SIGNED = "signed"
    ALERT = "alert"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Input:
    """What is sent, in pieces, and from where. A webhook input is one whole request."""

    kind: Kind
    pieces: tuple[bytes, ...]
    peer: str = PEER

    @property
    def raw(self) -> bytes:
        """Return all bytes."""
        return b"".join(self.pieces)


class Hostile:
    """A source of inputs for one place: the same ones for the same seed, doors and clock."""

    def __init__(self, doors: Doors, seed: int, clock: Callable[[], float]) -> None:
        self._doors = doors
        self._seed = seed
        self._random = Random(seed)
        self._clock = clock
        self._made = 0

    def inputs(self) -> Iterator[Input]:
        """Yield the kept seeds as they are, and after them changed ones for ever."""
        for text in BODIES:
            yield Input(Kind.SIGNED, (self._signed(self._keyed(text)),))
        for text in ALERTS:
            yield Input(Kind.ALERT, (self._alert(self._keyed(text)),))
        for raw in REQUESTS:
            yield Input(Kind.HTTP, (raw,))
        while True:
            yield self._input()

    def _input(self) -> Input:
        random = self._random
        match random.randrange(20):
            case 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7:
                body = self._changed_body(random.choice(BODIES))
                return Input(Kind.SIGNED, (self._signed(body, wrong=random.random() < 0.3),))
            case 8 | 9 | 10 | 11 | 12 | 13:
                peer = STRANGER if random.random() < 0.1 else PEER
                body = self._changed_body(random.choice(ALERTS))
                return Input(Kind.ALERT, (self._alert(body, wrong=random.random() < 0.1),), peer)
            case _:
                raw = self._request()
                for _ in range(random.randint(1, 6)):
                    raw = random.choice(_CHANGES)(raw, random)
                return Input(Kind.HTTP, _pieces(raw, random))

    def _request(self) -> bytes:
        random = self._random
        match random.randrange(4):
            case 0:
                return self._signed(
                    self._keyed(random.choice(BODIES)), chunked=random.random() < 0.4
                )
            case 1:
                return self._alert(
                    self._keyed(random.choice(ALERTS)), chunked=random.random() < 0.4
                )
            case _:
                return random.choice(REQUESTS)

    def _keyed(self, text: str) -> bytes:
        self._made += 1
        key = f"k{self._seed}-{self._made}"
        return text.replace("KEY", key).encode("utf-8", "surrogatepass")

    def _changed_body(self, text: str) -> bytes:
        """Change a body in its own grammar, then sometimes its bytes."""
        random = self._random
        for _ in range(random.choice((0, 1, 1, 2, 3))):
            text = random.choice(_IN_GRAMMAR)(text, random)
        body = self._keyed(text)
        if random.random() < 0.3:
            body = random.choice(_OF_BYTES)(body, random)
        if random.random() < 0.002:
            body += b" " * random.choice((16_000, 16_384, 20_000))
        return body

    def _signed(self, body: bytes, *, wrong: bool = False, chunked: bool = False) -> bytes:
        random, secret = self._random, self._doors.secret
        at = int(self._clock())
        signed, path = body, self._doors.signed_path
        fault = random.randrange(9) if wrong else -1
        if fault == 0:
            at += random.choice((-10_000, -400, 400, 10**9))
        elif fault == 1:
            signed = body + b" "
        elif fault == 2:
            secret = "whsec_" + base64.b64encode(random.randbytes(32)).decode()
        elif fault == 3:
            path += random.choice(("0", "/", "%00", "?x=1", "/../x"))
        lines = _sign_a(secret, signed, at) if random.random() < 0.6 else []
        if not lines or random.random() < 0.1:
            lines += _sign_b(secret, signed, self._id(body), at)
        if fault == 4:
            lines.append(random.choice(lines))
        elif fault == 5:
            lines.remove(random.choice(lines))
        elif fault > 5:
            at_line = random.randrange(len(lines))
            lines[at_line] = random.choice(_OF_HEADERS)(lines[at_line], random)
        return self._post(path, lines, body, chunked=chunked)

    def _id(self, body: bytes) -> str:
        found = re.search(rb'"idempotency_key": "([A-Za-z0-9_-]{1,128})"', body)
        return found[1].decode() if found and self._random.random() < 0.95 else f"b{self._made}"

    def _alert(self, body: bytes, *, wrong: bool = False, chunked: bool = False) -> bytes:
        path = self._doors.address_path
        if wrong:
            path = self._random.choice((path[:-1], path + "A", path.swapcase(), path + "%20"))
        return self._post(path, [b"Content-Type: text/plain"], body, chunked=chunked)

    def _post(self, path: str, lines: list[bytes], body: bytes, *, chunked: bool) -> bytes:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
        head = b"POST %s HTTP/1.1\r\n%s" % (path.encode(), HOST)
        sent = _chunked(body, self._random) if chunked else body
        return head + b"\r\n".join([*lines, framing]) + b"\r\n\r\n" + sent


def _sign_a(secret: str, body: bytes, at: int) -> list[bytes]:
    mac = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return [f"X-RexAlgo-Signature: t={at},v1={mac}".encode()]


def _sign_b(secret: str, body: bytes, id: str, at: int) -> list[bytes]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    return [
        b"webhook-id: " + id.encode(),
        b"webhook-timestamp: %d" % at,
        b"webhook-signature: v1," + base64.b64encode(mac),
    ]


def _chunked(body: bytes, random: Random) -> bytes:
    sent = b""
    while body:
        size = random.choice((1, 3, 20, 200))
        part, body = body[:size], body[size:]
        sent += b"%x\r\n%s\r\n" % (len(part), part)
    return sent + b"0\r\n\r\n"


def _pieces(raw: bytes, random: Random) -> tuple[bytes, ...]:
    cuts = sorted(random.randrange(len(raw) + 1) for _ in range(random.choice((0, 1, 1, 3))))
    bounds = zip([0, *cuts], [*cuts, len(raw)], strict=True)
    return tuple(raw[begin:end] for begin, end in bounds if end > begin)


# Changes of bytes


def _wedge(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + random.choice(SPICE) + raw[at:]


def _wedge_at_line(raw: bytes, random: Random) -> bytes:
    parts = raw.split(b"\r\n")
    at = random.randrange(len(parts))
    return b"\r\n".join([*parts[:at], random.choice(SPICE).strip(b"\r\n"), *parts[at:]])


def _flip(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + random.randbytes(1) + raw[at + 1 :]


def _drop(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    return raw[:at] + raw[at + random.choice((1, 1, 2, 20)) :]


def _cut(raw: bytes, random: Random) -> bytes:
    return raw[: random.randrange(len(raw) + 1)]


def _repeat(raw: bytes, random: Random) -> bytes:
    at = random.randrange(len(raw) + 1)
    end = at + random.choice((1, 5, 60))
    return raw[:end] + raw[at:end] + raw[end:]


def _append(raw: bytes, random: Random) -> bytes:
    return raw + random.choice(REQUESTS)[: random.randrange(200)]


def _bare_feeds(raw: bytes, random: Random) -> bytes:
    return raw.replace(b"\r\n", b"\n", random.choice((1, 2, -1)))


_OF_BYTES: Final = (_flip, _drop, _cut, _repeat)
_OF_HEADERS: Final = (_flip, _drop, _cut, _repeat)
_CHANGES: Final = (
    _wedge,
    _wedge,
    _wedge_at_line,
    _flip,
    _drop,
    _cut,
    _repeat,
    _append,
    _bare_feeds,
)


# Changes in the grammar of a body


def _other_value(text: str, random: Random) -> str:
    found = list(re.finditer(r':\s*("(?:[^"\\]|\\.)*"|[^\s,}\]]+)|=\s*[^\s&;,]+', text))
    if not found:
        return text
    chosen = random.choice(found)
    value = random.choice(VALUES)
    return (
        text[: chosen.start()] + (f": {value}" if chosen[1] else "=" + value) + text[chosen.end() :]
    )


def _other_name(text: str, random: Random) -> str:
    found = list(re.finditer(r'"([^"]*)"\s*:', text))
    if not found:
        return text
    chosen = random.choice(found)
    return text[: chosen.start(1)] + random.choice(NAMES) + text[chosen.end(1) :]


def _another_field(text: str, random: Random) -> str:
    name, value = random.choice(NAMES), random.choice(VALUES)
    if "{" in text:
        at = random.choice([each.end() for each in re.finditer(r"\{", text)])
        return f'{text[:at]}"{name}": {value}, {text[at:]}'
    glue = "&" if "&" in text else " "
    return f"{text}{glue}{name}={value}"


def _nested(text: str, random: Random) -> str:
    depth = random.choice((1, 7, 8, 9, 500))
    return text.replace('"KEY"', "[" * depth + '"KEY"' + "]" * depth, 1)


def _another_case(text: str, random: Random) -> str:
    return random.choice((text.upper(), text.swapcase(), text.title())).replace("key", "KEY")


_IN_GRAMMAR: Final = (
    _other_value,
    _other_value,
    _other_name,
    _another_field,
    _nested,
    _another_case,
)
