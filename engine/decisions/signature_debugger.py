"""Find which part of a signed delivery is wrong: for the owner of an endpoint, who pastes what
their bot sent.

Pure. It tries the common mistakes (the body rewritten after signing, an extra newline, the prefix
left off the secret, the other signature's key, milliseconds, an expired secret) and names the one
found. The last finding is that of the verification itself, so the two never disagree. It never
returns a secret, and never a signature that would be valid: only whether they fit.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from engine.decisions.signatures import (
    ID_HEADER,
    SIGNATURE_HEADER,
    SIGNATURES_HEADER,
    TIMESTAMP_HEADER,
    WINDOW_A_S,
    WINDOW_B_S,
    verify_signatures,
)
from engine.ports.secret import Secret
from engine.ports.signal_source import Delivery, NotAuthentic

_A: Final = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64}){1,8})")
_B: Final = re.compile(r"v1,([A-Za-z0-9+/]{43}=)")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_HEADER_LINE: Final = re.compile(r"\s*([A-Za-z0-9-]+)\s*:\s*(.*?)\s*")


KeyOf = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked item: whether it fits, what was found, and what to do (empty if it fits)."""

    fits: bool
    what: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """One of the endpoint's secrets with a name for people, such as ``the current secret``, and the
    time at which it ended.
    """

    name: str
    secret: Secret
    ended_at: datetime | None = None


def read_headers(text: str) -> dict[str, list[str]]:
    """Read pasted header lines, as ``curl -v`` or a log shows them; ignore other lines."""
    headers: dict[str, list[str]] = {}
    for line in text.splitlines():
        matched = _HEADER_LINE.fullmatch(line.lstrip("<>* "))
        if matched:
            headers.setdefault(matched[1].lower(), []).append(matched[2])
    return headers


def debug_delivery(
    headers: dict[str, list[str]],
    body: bytes,
    keys: Sequence[NamedKey],
    now: datetime,
    window_a_s: int = WINDOW_A_S,
) -> list[Finding]:
    """Check a delivery part by part; the last finding says whether it would be accepted at ``now``.

    ``window_a_s`` is how far, in seconds, the time of a RexAlgo signature may lie from ``now`` here.
    """
    of_a = headers.get(SIGNATURE_HEADER.lower(), [])
    of_b = [headers.get(name, []) for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURES_HEADER)]
    if not of_a and not any(of_b):
        missing = f"neither {SIGNATURE_HEADER} nor {SIGNATURES_HEADER} is among the headers"
        return [
            Finding(
                False,
                missing,
                "sign as RexAlgo or as Standard Webhooks, and send the headers with the request",
            )
        ]
    findings = list(
        _rexalgo(of_a, body=body, keys=keys, now=now, window_s=window_a_s) if of_a else ()
    )
    findings += _standard(of_b, body, keys, now) if any(of_b) else ()
    if of_a and any(of_b):
        findings += _both(of_b[0], body)
    fits = all(each.fits for each in findings)
    accepted = fits and _verifies(headers, body=body, keys=keys, now=now, window_a_s=window_a_s)
    if fits and not accepted:
        rest = (
            "one secret for both signatures, and no more than eight signatures in their shortest "
            "spelling"
        )
        findings.append(
            Finding(False, "each part fits by itself, and all together they do not", f"send {rest}")
        )
    last = (
        "this delivery would be accepted now" if accepted else "this delivery is answered with 401"
    )
    return [
        *findings,
        Finding(
            accepted,
            last,
            "" if accepted else "correct the first part above that does not fit, and paste again",
        ),
    ]


def pasted_body(
    headers: dict[str, list[str]], text: str, keys: Sequence[NamedKey], now: datetime
) -> bytes:
    """Return the bytes that a form's text most likely was: a browser sends every line end as CRLF,
    whatever was pasted.
    """
    plain_ends = text.replace("\r\n", "\n").encode(errors="surrogatepass")
    tries = (plain_ends, plain_ends.replace(b"\n", b"\r\n"))
    standing = [
        NamedKey(each.name, each.secret) for each in keys
    ]  # an ended secret also shows which body was signed
    return max(
        tries,
        key=lambda each: sum(
            finding.fits for finding in debug_delivery(headers, each, standing, now)
        ),
    )


def _verifies(
    headers: dict[str, list[str]],
    body: bytes,
    keys: Sequence[NamedKey],
    now: datetime,
    window_a_s: int,
) -> bool:
    pairs = tuple((name, value) for name, values in headers.items() for value in values)
    try:
        verify_signatures(
            Delivery(body, pairs, "", now),
            [each.secret for each in keys if each.ended_at is None],
            now,
            window_a_s,
        )
    except NotAuthentic:
        return False
    return True


def _rexalgo(
    values: list[str], body: bytes, keys: Sequence[NamedKey], now: datetime, window_s: int
) -> Iterator[Finding]:
    if len(values) != 1:
        yield Finding(
            False,
            f"{SIGNATURE_HEADER} came {len(values)} times",
            "send it once; several signatures go into one header, each as ,v1=",
        )
        return
    matched = _A.fullmatch(values[0])
    if matched is None:
        yield Finding(
            False,
            f"{SIGNATURE_HEADER} has another form: {_form_of_a(values[0])}",
            "t=<unix seconds>,v1=<64 hex digits, lower case>",
        )
        return
    yield Finding(True, f"{SIGNATURE_HEADER} has the right form")
    yield _time(int(matched[1]), now, window_s, "t")
    signatures = {bytes.fromhex(each) for each in matched[2].split(",v1=")[1:]}
    yield _signed(signatures, parts=[matched[1]], body=body, keys=keys, right=_key_a, other=_key_b)


def _form_of_a(value: str) -> str:
    if re.fullmatch(r"t=[0-9]{13},.*", value):
        return "t has 13 digits, which are milliseconds"
    if re.search(r"v1=[0-9A-F]{64}", value) and re.search(r"[A-F]", value):
        return "the digits of v1 are upper case"
    if "v1=" not in value:
        return "there is no v1="
    if not value.startswith("t="):
        return "it does not begin with t="
    if ", " in value:
        return "there is a blank after the comma"
    return "v1 is not 64 hex digits"


def _standard(
    values: list[list[str]], body: bytes, keys: Sequence[NamedKey], now: datetime
) -> Iterator[Finding]:
    names = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURES_HEADER)
    wrong = [
        f"{name} came {len(each)} times"
        for name, each in zip(names, values, strict=True)
        if len(each) != 1
    ]
    if wrong:
        yield Finding(False, "; ".join(wrong), "send each of the three headers once")
        return
    identifier, at, listed = (each[0] for each in values)
    if not _ID.fullmatch(identifier):
        yield Finding(False, f"{ID_HEADER} has another form", "1 to 128 of A-Z, a-z, 0-9, '_', '-'")
        return
    if not re.fullmatch(r"[0-9]{1,12}", at):
        fault = (
            "has 13 digits, which are milliseconds"
            if re.fullmatch(r"[0-9]{13}", at)
            else "is not a whole number of seconds"
        )
        yield Finding(False, f"{TIMESTAMP_HEADER} {fault}", "unix seconds")
        return
    parts = listed.split(" ")
    if not all(_B.fullmatch(each) for each in parts):
        yield Finding(
            False,
            f"{SIGNATURES_HEADER} has another form",
            "v1,<base64 of 32 bytes>, several of them with a blank between",
        )
        return
    yield Finding(True, "the three headers of Standard Webhooks have the right form")
    yield _time(int(at), now, WINDOW_B_S, TIMESTAMP_HEADER)
    signatures = {base64.b64decode(each.removeprefix("v1,")) for each in parts}
    yield _signed(
        signatures, parts=[identifier, at], body=body, keys=keys, right=_key_b, other=_key_a
    )


def _time(seconds: int, now: datetime, window_s: int, name: str) -> Finding:
    offset = round(seconds - now.timestamp())
    try:
        said = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return Finding(False, f"{name} is not a time of this era", "unix seconds")
    if abs(offset) <= window_s:
        return Finding(
            True,
            f"{name} is {said}, {abs(offset)} s {'ahead' if offset > 0 else 'ago'}; up to "
            f"{window_s} s fit",
        )
    way = "ahead of" if offset > 0 else "behind"
    do = (
        "sign at the moment of sending, and set the sender's clock by NTP; what you paste here "
        "ages meanwhile, too"
    )
    return Finding(
        False,
        f"{name} is {said}, {abs(offset)} s {way} this installation; up to {window_s} s fit",
        do,
    )


def _key_a(secret: str) -> bytes:
    return secret.encode()


def _key_b(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return b""


def _signed(
    signatures: set[bytes],
    parts: Sequence[str],
    body: bytes,
    keys: Sequence[NamedKey],
    right: KeyOf,
    other: KeyOf,
) -> Finding:
    def fits(key: bytes, signed: bytes) -> bool:
        mac = hmac.digest(key, b"".join(each.encode() + b"." for each in parts) + signed, "sha256")
        return any(hmac.compare_digest(mac, each) for each in signatures)

    for each in keys:
        if fits(right(each.secret.reveal()), body):
            if each.ended_at is None:
                return Finding(True, f"the signature fits this body and {each.name}")
            signed = (
                f"the signature fits this body and {each.name}, which ended "
                f"{each.ended_at:%Y-%m-%d %H:%M:%S} UTC"
            )
            return Finding(
                False,
                signed,
                "give the bot the current secret; where nobody has it any more, renew it in the "
                "studio",
            )
    for each in keys:
        secret = each.secret.reveal()
        for what, changed in _bodies(body):
            if fits(right(secret), changed):
                do = (
                    "sign exactly the bytes that are sent: make the body once, sign it, send that "
                    "same text"
                )
                return Finding(
                    False, f"the signature fits {each.name}, but another body: {what}", do
                )
        for what, key in (
            ("without the prefix whsec_", secret.removeprefix("whsec_").encode()),
            ("as the other signature uses it", other(secret)),
            ("hashed before use", hashlib.sha256(secret.encode()).digest()),
            ("with a newline at its end", (secret + "\n").encode()),
        ):
            if fits(key, body):
                do = (
                    "the RexAlgo signature uses the whole shown text as it is; Standard Webhooks the base64-decoded "
                    "part after whsec_"
                )
                return Finding(False, f"the signature was made with {each.name}, {what}", do)
    do = (
        "the bot has another secret (that of another strategy, or one cut off), or signs other "
        "bytes than timestamp, a dot and the body"
    )
    return Finding(False, "the signature fits none of this endpoint's secrets", do)


def _bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the likely originals of a body that was changed in transit."""
    stripped = body.strip()
    if stripped != body:
        yield "blanks or a newline around it were not signed", stripped
    yield "a newline at its end was signed and not sent", body + b"\n"
    yield (
        "line ends were turned from CRLF to LF",
        body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    )
    yield "line ends were turned from LF to CRLF", body.replace(b"\r\n", b"\n")
    try:
        value = json.loads(body)
    except ValueError:
        return
    for separators in ((",", ":"), (", ", ": ")):
        for is_sorted in (False, True):
            for is_ascii in (True, False):
                yield (
                    "the JSON was rewritten after signing",
                    json.dumps(
                        value, separators=separators, sort_keys=is_sorted, ensure_ascii=is_ascii
                    ).encode(),
                )
    yield "the JSON was rewritten after signing", json.dumps(value, indent=2).encode()
    yield "the JSON was rewritten after signing", json.dumps(value, indent=4).encode()


def _both(ids: list[str], body: bytes) -> Iterator[Finding]:
    try:
        key = json.loads(body).get("idempotency_key")
    except (ValueError, AttributeError):
        key = None
    if ids and key is not None and key != ids[0]:
        yield Finding(
            False,
            f"{ID_HEADER} and the body's idempotency_key differ",
            "with the headers of both signatures, both must be the same id",
        )
