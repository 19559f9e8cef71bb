"""Sign and verify webhook deliveries, in both signatures, as pure functions over raw bytes.

RexAlgo: ``X-RexAlgo-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>...]``, HMAC-SHA256 over ``t "."
body``, keyed with the UTF-8 bytes of the whole shown secret. Standard Webhooks: HMAC-SHA256 over ``id "." timestamp "." body``, keyed with the base64-decoded part after ``whsec_``.

What must always hold: every signature is compared with every key, on digest bytes, in constant
time, with no early exit; headers are read strictly (one of each, ASCII, canonical); the timestamp
is judged only after the MAC; every failure is one and the same ``NotAuthentic``. A delivery with
headers of both must verify in both, with one and the same key. For an endpoint that does
not exist the caller passes a random dummy key, so that time and answer are equal.

What it does not do: read the body (that ``webhook-id`` equals the body's ``idempotency_key`` is
checked by the reader of the body), count, remember, or reveal why a delivery failed.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from engine.domain.errors import InvalidValue
from engine.ports.secret import Secret
from engine.ports.signal_source import Authenticated, Delivery, NotAuthentic

SIGNATURE_HEADER: Final = "X-RexAlgo-Signature"
ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURES_HEADER: Final = "webhook-signature"

WINDOW_A_S: Final = 60
WINDOW_A_S_MIN: Final = 30
WINDOW_A_S_MAX: Final = 900
WINDOW_B_S: Final = 300

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HEADER_A: Final = re.compile(r"t=([0-9]{1,12})((?:,v1=[0-9a-f]{64}){1,8})")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
# The 43rd character carries four bits, so only sixteen letters are canonical there: no digest has a
# second spelling.
_SIGNATURES_B: Final = re.compile(
    r"v1,[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=(?: v1,[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=){0,7}"
)
_HEX_KEY: Final = re.compile(r"[0-9a-fA-F]{64}")
_PREFIX: Final = "whsec_"
_FORMS: Final = "whsec_ followed by base64 of 32 (or 24) bytes, or by 64 hex digits"


def capability_key(token: str) -> Secret:
    """Return the key of an address from its token: the token's SHA-256, in hex."""
    digest = hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
    return Secret(digest)


def verify_capability(delivery: Delivery, keys: Sequence[Secret]) -> Authenticated:
    """Compare the token of a delivery's address with every key in constant time. Raise NotAuthentic
    whatever the cause.
    """
    token = "" if delivery.capability is None else delivery.capability.reveal()
    digest = capability_key(token).reveal().encode()
    fits = [hmac.compare_digest(digest, key.reveal().encode()) for key in keys]
    if delivery.capability is None or not any(fits):
        raise NotAuthentic
    return Authenticated(key_index=fits.index(True), signed_at=None)


def sign_a(secret: Secret, body: bytes, at: datetime) -> dict[str, str]:
    """Sign ``body`` with the RexAlgo signature; return the one header to send. ``at`` is the sender's time with a
    zone, cut to seconds.

    Raises InvalidValue for a secret of another form. For senders: the body must carry
    ``idempotency_key``.
    """
    timestamp = str(_unix_us(at) // 1_000_000)
    mac = _mac(_Key.of(secret).a, timestamp, body=body)
    return {SIGNATURE_HEADER: f"t={timestamp},v1={mac.hex()}"}


def sign_b(secret: Secret, body: bytes, id: str, at: datetime) -> dict[str, str]:
    """Sign ``body`` as Standard Webhooks; return the three headers to send. ``id`` is
    the idempotency id.

    Raises InvalidValue for a secret of another form, or an ``id`` that is not 1 to 128 of A-Z, a-z,
    0-9, '_', '-'.
    """
    if not _ID.fullmatch(id):
        raise InvalidValue("id", "1 to 128 of A-Z, a-z, 0-9, '_', '-'", id)
    timestamp = str(_unix_us(at) // 1_000_000)
    mac = _mac(_Key.of(secret).b, id, timestamp, body=body)
    return {
        ID_HEADER: id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURES_HEADER: f"v1,{base64.b64encode(mac).decode()}",
    }


def verify_signatures(
    delivery: Delivery, keys: Sequence[Secret], now: datetime, window_a_s: int = WINDOW_A_S
) -> Authenticated:
    """Verify a delivery against every key; raises NotAuthentic, one type for every cause.

    Returns the first key that verified, the signed time (the older of two) and, if Standard
    Webhooks took part, ``webhook-id`` as ``dedupe_key``. ``window_a_s`` is how far, in seconds,
    a RexAlgo signature's time may lie before or after ``now``; Standard Webhooks has 300 s. Raises InvalidValue only for a *key* of a
    wrong form, which no sender can cause.
    """
    usable = [_Key.of(key) for key in keys]
    claims = _read_claims(delivery, window_a_s)
    verified = [True] * len(usable)
    for claim in claims:
        for index, key in enumerate(usable):
            verified[index] &= claim.is_signed_with(key, delivery.body)
    # From here on time may differ: a caller with a verified key is no stranger.
    if not any(verified) or not all(claim.is_timely(now) for claim in claims):
        raise NotAuthentic
    signed_at = min(_EPOCH + timedelta(seconds=int(claim.timestamp)) for claim in claims)
    dedupe_key = next((claim.id for claim in claims if claim.id is not None), None)
    return Authenticated(key_index=verified.index(True), signed_at=signed_at, dedupe_key=dedupe_key)


@dataclass(frozen=True, slots=True)
class _Key:
    """The MAC key of each signature, derived from one shown secret."""

    a: bytes
    b: bytes

    def __repr__(self) -> str:
        return "***"

    @staticmethod
    def of(secret: Secret) -> "_Key":
        text = secret.reveal()
        encoded = text.removeprefix(_PREFIX)
        if encoded == text or not encoded.isascii():
            raise InvalidValue("secret", _FORMS)
        try:
            decoded = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise InvalidValue("secret", _FORMS) from None
        # 64 hex digits are base64 as well, and the older senders sign with what they decode to as
        # base64.
        is_canonical = base64.b64encode(decoded).decode() == encoded
        if not is_canonical or (len(decoded) not in (24, 32) and not _HEX_KEY.fullmatch(encoded)):
            raise InvalidValue("secret", _FORMS)
        return _Key(a=text.encode(), b=decoded)


@dataclass(frozen=True, slots=True)
class _Claim:
    """The claims in one signature's headers; ``id`` is None in the RexAlgo signature. Nothing in it is proven
    yet.
    """

    id: str | None
    timestamp: str
    signatures: tuple[bytes, ...]
    window_s: int

    def is_signed_with(self, key: _Key, body: bytes) -> bool:
        """Compare every signature with the key's MAC, in a time that does not depend on where or
        whether they differ.
        """
        mac = (
            _mac(key.a, self.timestamp, body=body)
            if self.id is None
            else _mac(key.b, self.id, self.timestamp, body=body)
        )
        matches = False
        for signature in self.signatures:
            matches |= hmac.compare_digest(signature, mac)
        return matches

    def is_timely(self, now: datetime) -> bool:
        return abs(_unix_us(now) - int(self.timestamp) * 1_000_000) <= self.window_s * 1_000_000


def _read_claims(delivery: Delivery, window_a_s: int) -> list[_Claim]:
    """Read the headers of every signature present; one header of a signature requires all of its
    headers, once each.
    """
    claims = []
    of_a = delivery.header(SIGNATURE_HEADER.lower())
    of_b = [delivery.header(name) for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURES_HEADER)]
    if of_a:
        claims.append(_read_a(of_a, window_a_s))
    if any(of_b):
        claims.append(_read_b(of_b))
    if not claims:
        raise NotAuthentic
    return claims


def _read_a(values: list[str], window_s: int) -> _Claim:
    matched = _HEADER_A.fullmatch(values[0])
    if len(values) != 1 or matched is None:
        raise NotAuthentic
    signatures = tuple(bytes.fromhex(part) for part in matched[2].split(",v1=")[1:])
    return _Claim(None, matched[1], signatures, window_s)


def _read_b(values: list[list[str]]) -> _Claim:
    if any(len(each) != 1 for each in values):
        raise NotAuthentic
    id, timestamp, listed = (each[0] for each in values)
    if not (
        _ID.fullmatch(id) and _TIMESTAMP.fullmatch(timestamp) and _SIGNATURES_B.fullmatch(listed)
    ):
        raise NotAuthentic
    signatures = tuple(base64.b64decode(part.removeprefix("v1,")) for part in listed.split(" "))
    return _Claim(id, timestamp, signatures, WINDOW_B_S)


def _mac(key: bytes, *parts: str, body: bytes) -> bytes:
    signed = b"".join(part.encode() + b"." for part in parts) + body
    return hmac.digest(key, signed, "sha256")


def _unix_us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
