"""What a place may take at its two doors: a second, independent reading of raw requests.

The judge shares no code with the server, the signature check or a source plugin. It is lenient
where a wrong refusal would cost only a signal, and strict where a wrong acceptance would trade. A
signal that the place recorded and the judge refuses breaks the promise of the doors.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

SYMBOL: Final = "BTCUSDT"
PEER: Final = "127.0.0.1"
"""The only address that the place takes alerts from."""
WINDOW_S: Final = {"a": 60 + 5, "b": 300 + 5}
BODY_BYTES_MAX: Final = 16 * 1024
_REQUEST: Final = re.compile(rb"([!-~]+) (\S*) HTTP/1\.[01]")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", re.DOTALL)
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,20})[ \t]*(?:;[^\r\n]*)?\r?\n")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ENTRIES: Final = frozenset(("open", "add", "reverse"))
_ACTIONS: Final = _ENTRIES | {"reduce", "close", "cancel", "setprotection"}
_TESTS: Final = frozenset(
    ("istest", "testing", "testmode", "dryrun", "simulate", "simulated", "tets", "tevt")
)
_REDUCES: Final = frozenset(("reduceonly", "closeonly", "closeposition", "closeontrigger"))
_LEVELS: Final = {
    "stop_loss": ("stoploss", "sl", "stoplossprice", "stoplosprice"),
    "take_profit": ("takeprofit", "tp", "takeprofitprice"),
}
_COUNT: Final = frozenset(
    ("action", "symbol", "side", "idempotencykey", "test", "price", "leverage")
).union(_TESTS, _REDUCES, *_LEVELS.values())
"""The names of a signed delivery that decide what is traded: given twice, they are not clear."""
_SIDES: Final = {"LONG": ("", "buy", "long", "bull"), "SHORT": ("-", "sell", "short", "bear")}
"""For each side the sign of a position that is on it, and the words that name it."""
_SIGNED: Final = re.compile(r"position\S*?[\s=:]+(?:is\s+)?(-?)[0-9.]")
_CURLY: Final = str.maketrans({"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u201f": '"'})
_STANDS: Final = frozenset(("position", "marketposition", "sentiment", "positionafter"))


@dataclass(frozen=True, slots=True)
class Doors:
    """The two doors of a place: their addresses and what opens them."""

    signed_path: str
    secret: str
    address_path: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the judge reads it; header names in lower case."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for each, value in self.headers if each == name]


def requests_in(raw: bytes) -> Iterator[Request]:
    """Yield the requests of one connection, up to the first that is not clear."""
    while raw:
        end = re.search(rb"\n\r?\n", raw)
        if end is None:
            return
        head, raw = raw[: end.start()], raw[end.end() :]
        lines = (
            re.sub(rb"\r?\n[ \t]+", b" ", head).replace(b"\r\n", b"\n").rstrip(b"\r").split(b"\n")
        )
        asked = _REQUEST.fullmatch(lines[0].rstrip(b"\r"))
        fields = [_FIELD.fullmatch(line) for line in lines[1:]]
        if asked is None or not all(fields):
            return
        headers = tuple(
            (each[1].decode().lower(), each[2].decode("latin-1")) for each in fields if each
        )
        framed = _body(headers, raw)
        if framed is None:
            return
        body, raw = framed
        path = unquote(asked[2].decode("latin-1").partition("?")[0])
        yield Request(asked[1].decode("latin-1"), path, headers, body)


def _body(headers: tuple[tuple[str, str], ...], raw: bytes) -> tuple[bytes, bytes] | None:
    """Return the body and what follows it, or None if the end of the body is not certain."""
    lengths = {
        part.strip()
        for name, value in headers
        if name == "content-length"
        for part in value.split(",")
    }
    codings = [value.lower() for name, value in headers if name == "transfer-encoding"]
    if codings:
        return _unchunked(raw) if codings == ["chunked"] and not lengths else None
    if not lengths:
        return b"", raw
    if len(lengths) > 1 or not re.fullmatch("[0-9]{1,20}", text := lengths.pop()):
        return None
    length = int(text)
    return (raw[:length], raw[length:]) if len(raw) >= length else None


def _unchunked(raw: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        line = _CHUNK.match(raw)
        if line is None:
            return None
        size, raw = int(line[1], 16), raw[line.end() :]
        if size == 0:
            end = re.match(rb"(?:[^\r\n]+\r?\n)*\r?\n", raw)
            return None if end is None else (body, raw[end.end() :])
        end = re.match(rb"\r?\n", raw[size : size + 2])
        if len(raw) < size or end is None:
            return None
        body, raw = body + raw[:size], raw[size + end.end() :]


Reading = dict[str, object]
"""What a recorded signal must say; a field that is absent is free."""


class Judge:
    """Judges what was sent to one place."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._lawful: dict[tuple[str, bytes], list[Reading]] = {}
        self._lawful_before: dict[tuple[str, bytes], list[Reading]] = {}
        self._bodies: dict[bytes, bytes] = {}
        self._bodies_before: dict[bytes, bytes] = {}

    def note(self, raw: bytes, peer: str, now_s: float) -> None:
        """Note what a place may take of these bytes from this peer now."""
        for request in requests_in(raw):
            if request.method != "POST" or len(request.body) > BODY_BYTES_MAX:
                continue
            digest = hashlib.sha256(request.body).digest()
            self._bodies[digest] = request.body
            if request.path == self._doors.signed_path and self._is_signed(request, now_s):
                self._allow("signed", digest, read_signed(request))
            elif request.path == self._doors.address_path and peer == PEER:
                self._allow("address", digest, read_alert(request.body))

    def _allow(self, door: str, digest: bytes, reading: Reading | None) -> None:
        readings = self._lawful.setdefault((door, digest), [])
        if reading is not None and reading not in readings:  # the id may be in a header
            readings.append(reading)

    def forget(self) -> None:
        """Forget what was noted before the last call: a busy place may record a request whose sender
        waited for no answer after everything else of its round.
        """
        self._lawful_before, self._lawful = self._lawful, {}
        self._bodies_before, self._bodies = self._bodies, {}

    def why_not(self, door: str, body_hash: bytes, draft: Mapping[str, Any]) -> str:
        """Return why this signal should not have been recorded as it was; empty if it may."""
        key = (door, body_hash)
        readings = [*self._lawful.get(key, ()), *self._lawful_before.get(key, ())]
        if not readings:
            return "no request carried an authentic and clear body of this hash"
        problems = [_difference(each, draft) for each in readings]
        body = self._bodies.get(body_hash) or self._bodies_before.get(body_hash)
        return "" if "" in problems else f"{problems[0]}: {body!r}"

    def _is_signed(self, request: Request, now_s: float) -> bool:
        of_a = request.values("x-rexalgo-signature")
        of_b = [
            request.values(name)
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ]
        proofs = []
        if of_a:
            proofs.append(len(of_a) == 1 and self._signed_a(of_a[0], request.body, now_s))
        if any(of_b):
            is_whole = all(len(each) == 1 for each in of_b)
            proofs.append(
                is_whole and self._signed_b([each[0] for each in of_b], request.body, now_s)
            )
        return bool(proofs) and all(proofs)

    def _signed_a(self, value: str, body: bytes, now_s: float) -> bool:
        time, *marks = value.split(",")
        digits = time.removeprefix("t=")
        key, said = self._doors.secret.encode(), f"{digits}.".encode() + body
        wanted = "v1=" + hmac.new(key, said, hashlib.sha256).hexdigest()
        return wanted in marks and _is_timely(digits, now_s, WINDOW_S["a"])

    def _signed_b(self, values: list[str], body: bytes, now_s: float) -> bool:
        id, digits, marks = values
        key = base64.b64decode(self._doors.secret.removeprefix("whsec_"))
        said = f"{id}.{digits}.".encode("latin-1") + body
        wanted = "v1," + base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
        return wanted in marks.split(" ") and _is_timely(digits, now_s, WINDOW_S["b"])


def _difference(reading: Reading, draft: Mapping[str, Any]) -> str:
    said = dict(reading)
    sides, why_no_entry = said.pop("sides", None), said.pop("why_no_entry", None)
    if draft["action"] in _ENTRIES:
        if isinstance(sides, tuple) and draft["side"] not in sides:
            return f"enters {draft['side']}, and the body names only {sides}"
        if why_no_entry:
            return f"enters, and {why_no_entry}"
    for name, value in said.items():
        recorded = draft[name]
        if isinstance(value, Decimal):
            recorded = None if recorded is None else Decimal(recorded)
        if recorded != value:
            return f"{name} is {recorded!r}, and the body says {value!r}"
    return ""


def _is_timely(digits: str, now_s: float, window_s: int) -> bool:
    return re.fullmatch("[0-9]{1,12}", digits) is not None and abs(int(digits) - now_s) <= window_s


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name is given twice")
    return dict(pairs)


def _squash(text: str) -> str:
    return re.sub(r"[\s_-]", "", text).lower()


def _loads(text: str) -> Any:
    """Read JSON; every number stays a Decimal. Raises ValueError or RecursionError."""
    return json.loads(
        text, strict=False, object_pairs_hook=_once, parse_float=_number, parse_int=_number
    )


def read_signed(request: Request) -> Reading | None:
    """Return what the body of a signed delivery says, None if it must not become a signal."""
    try:
        body = _loads(request.body.decode("utf-8-sig"))
    except (ValueError, RecursionError, InvalidOperation):
        return None
    if not isinstance(body, dict):
        return None
    fields: dict[str, Any] = {}
    for name, value in body.items():
        squashed = _squash(name)
        if squashed in fields and squashed in _COUNT:
            return None
        fields[squashed] = value
    action, contract, side = fields.get("action"), fields.get("symbol"), fields.get("side")
    ids = [*request.values("webhook-id"), fields.get("idempotencykey")]
    keys = [each for each in ids if each is not None]
    if not isinstance(action, str) or _squash(action) not in _ACTIONS or not keys:
        return None
    key, verb = keys[0], _squash(action)
    if any(each != key for each in keys) or not isinstance(key, str) or not _KEY.fullmatch(key):
        return None
    if not isinstance(contract, str) or SYMBOL not in re.sub("[^A-Z0-9]", "", contract.upper()):
        return None
    if fields.get("test") not in (None, True, False) or _TESTS & fields.keys():
        return None
    named = None
    if side is not None:
        named = _squash(side).upper() if isinstance(side, str) else ""
        if named not in ("LONG", "SHORT"):
            return None
    reading: Reading = {
        "action": "set_protection" if verb == "setprotection" else verb,
        "symbol": SYMBOL,
        "side": named,
        "dedupe_key": key,
        "is_test": fields.get("test") is True,
    }
    if verb in _ENTRIES:
        if named is None or any(_is_yes(fields.get(name)) for name in _REDUCES):
            return None
        numbers = {"price": ("price",), "leverage": ("leverage",), **_LEVELS}
        for name, spellings in numbers.items():
            told = [fields[each] for each in spellings if fields.get(each) is not None]
            if not told:
                reading[name] = None
            elif (number := _positive(told[0])) is None:
                return None
            else:
                reading[name] = number
    return reading


def _is_yes(value: object) -> bool:
    return value is True or str(value).strip().lower() in ("true", "yes", "1")


def _number(text: str) -> Decimal | str:
    """Read a number of JSON; one that no Decimal holds stays its text: no field that counts takes
    it, and in a field that nobody reads it does no harm.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _positive(value: object) -> Decimal | None:
    """Return a number above zero, rounded to the twelve decimals that are kept."""
    if isinstance(value, bool) or not isinstance(value, Decimal | str):
        return None
    text = str(value).strip()
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", text):
        text = text.replace(",", "")
    try:
        number = Decimal(text)
        rounded = number.quantize(Decimal("1e-12")) if number.adjusted() < 15 else number
    except InvalidOperation:
        return None
    return rounded if rounded.is_finite() and rounded > 0 else None


def read_alert(body: bytes) -> Reading | None:
    """Return what an alert says at least, None if it must not become a signal.

    Alerts have many forms, so the judge holds only what no form may break: the contract is named,
    an entry's side is named, and nothing is entered where the strategy ends flat or a field is given
    twice.
    """
    try:
        text = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return None
    members: list[tuple[str, Any]] = []
    if text[:1] in ("{", "["):
        document = _document(text)
        if not isinstance(document, _Members):
            return None
        members = document.pairs
        text = " ".join(_texts(document))
    fields = {_squash(name): value for name, value in members}
    words = text + " " + unquote_plus(text)
    if "BTCUSDT" not in re.sub("[^A-Z0-9]", "", words.upper()):
        return None
    lower = _squash(words)  # a word keeps its meaning with a separator in it
    signs = {each[1] for each in _SIGNED.finditer(words.lower())}
    sides = tuple(
        side
        for side, (sign, *names) in _SIDES.items()
        if sign in signs or any(each in lower for each in names)
    )
    reading: Reading = {"symbol": SYMBOL, "sides": sides}
    if any(str(fields.get(name)).strip().lower() == "flat" for name in _STANDS):
        reading["why_no_entry"] = "the body says that the strategy ends flat"
    if len(fields) != len(members):
        reading["why_no_entry"] = "a field is given twice"
    return reading


@dataclass(frozen=True, slots=True)
class _Members:
    """The members of a JSON object, repeated ones too."""

    pairs: list[tuple[str, Any]]


def _document(text: str) -> object:
    """Return the one JSON document of an alert, None if there is none."""
    for quoted in (text, text.translate(_CURLY)):
        try:
            document = json.loads(quoted, strict=False, object_pairs_hook=_Members)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, list):
            return document[0] if len(document) == 1 else None
        return document
    return None


def _texts(value: object) -> Iterator[str]:
    """Yield every name and value of a document as text."""
    if isinstance(value, _Members):
        for name, member in value.pairs:
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
    else:
        yield str(value)
