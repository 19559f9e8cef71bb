"""The signed references that browsers carry: a session cookie is a JWT that names a session and
proves nothing else.

The database row decides whether the session is valid. The algorithm is pinned, each key reads only
what carries its own ``kid``, every claim is required (the library accepts tokens without ``exp`` by
default, PyJWT 2.15), and a token above 1 KiB is not parsed.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

import jwt

from engine.ports.secret import Secret

BYTES_MAX: Final = 1024
_ALGORITHM: Final = "HS256"
_TYPE: Final = "rexalgo-session+jwt"
_ISSUER: Final = "rexalgo"
_AUDIENCE: Final = "rexalgo-web"
_KEPT: Final = 1_000
_CLAIMS: Final = ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"]


@dataclass(frozen=True, slots=True)
class Named:
    """What a reference names: a session, by its secret id, and the person it was written for."""

    person: str
    sid: str


@dataclass(frozen=True, slots=True)
class References:
    """A signer and reader of session references with one key. ``key`` has at least 32 bytes."""

    key: Secret

    @property
    def kid(self) -> str:
        """Return an id of the key that reveals nothing about it."""
        return hashlib.blake2b(self._bytes, person=b"rexalgo/jwt/kid1", digest_size=4).hexdigest()

    @property
    def _bytes(self) -> bytes:
        return hashlib.blake2b(
            self.key.reveal().encode(), person=b"rexalgo/session1", digest_size=32
        ).digest()

    def write(self, person: str, sid: str, now: datetime, expires: datetime) -> str:
        """Return the cookie's value for a session."""
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": person,
            "sid": sid,
            "jti": secrets.token_hex(8),
            "iat": now,
            "nbf": now,
            "exp": expires,
        }
        return jwt.encode(
            claims, self._bytes, algorithm=_ALGORITHM, headers={"kid": self.kid, "typ": _TYPE}
        )

    def read(self, token: str, now: datetime) -> Named | None:
        """Return what a reference names; None for anything that this installation did not write, or
        that has expired at ``now``.
        """
        if not 0 < len(token) <= BYTES_MAX:
            return None
        try:
            named, begins, ends = _written(self._bytes, self.kid, token)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            return None
        return named if begins <= now.timestamp() + 1 and now.timestamp() < ends else None

    def csrf_token(self, sid: str) -> str:
        """Return the token that forms of a session carry."""
        key = hashlib.blake2b(
            self.key.reveal().encode(), person=b"rexalgo/csrf/1", digest_size=32
        ).digest()
        return hmac.new(key, sid.encode(), hashlib.sha256).hexdigest()

    def is_csrf_token(self, sid: str, token: str) -> bool:
        """Return whether a form's token is this session's, in constant time."""
        return hmac.compare_digest(
            self.csrf_token(sid).encode(), token.encode(errors="surrogatepass")
        )


@lru_cache(maxsize=_KEPT)
def _written(key: bytes, kid: str, token: str) -> tuple[Named, float, float]:
    """Return what a reference names, and from when until when it is one; raises what the library
    raises, ValueError and TypeError for anything else.

    What was read is kept: of the same key and the same text nothing else can be read. What was
    refused is not.
    """
    whole = jwt.decode_complete(
        token,
        key,
        algorithms=[_ALGORITHM],
        audience=_AUDIENCE,
        issuer=_ISSUER,
        options={
            "require": _CLAIMS,
            "verify_exp": False,
            "verify_nbf": False,
            "verify_iat": False,
        },
    )
    head, claims = whole["header"], whole["payload"]
    person, sid = claims["sub"], claims["sid"]
    is_ours = head.get("kid") == kid and head.get("typ") == _TYPE
    if not (is_ours and isinstance(sid, str) and isinstance(person, str)):
        raise ValueError("expected a reference of this installation")
    return Named(person, sid), float(claims["nbf"]), float(claims["exp"])


@dataclass(frozen=True, slots=True)
class ReferenceKeys:
    """The keys of session references: the first writes, all read.

    After a rotation the former key still reads what it wrote, so that nobody is signed out.
    """

    keys: tuple[References, ...]

    @property
    def kids(self) -> list[str]:
        """Return the id of each key, the active one first."""
        return [each.kid for each in self.keys]

    def write(self, person: str, sid: str, now: datetime, expires: datetime) -> str:
        """Return the cookie's value for a session, written with the active key."""
        return self.keys[0].write(person, sid, now, expires)

    def read(self, token: str, now: datetime) -> Named | None:
        """Return what a reference names; see ``References.read``. Each key tries it."""
        return next((found for key in self.keys if (found := key.read(token, now))), None)

    def csrf_token(self, sid: str) -> str:
        """Return the token that forms of a session carry, made with the active key."""
        return self.keys[0].csrf_token(sid)

    def is_csrf_token(self, sid: str, token: str) -> bool:
        """Return whether a form's token is this session's; each key is compared."""
        return sum(key.is_csrf_token(sid, token) for key in self.keys) > 0


def parse_reference_keys(text: Secret) -> ReferenceKeys:
    """Read the text of JWT_SECRET, whose form ``engine.settings.secrets`` has checked."""
    parts = [each.strip() for each in text.reveal().split(",")]
    return ReferenceKeys(tuple(References(Secret(each)) for each in parts))


def new_secret_id() -> str:
    """Create an id that is a capability: 256 random bits."""
    return secrets.token_urlsafe(32)


def capability_hash(secret_id: str) -> bytes:
    """Return the stored form of such an id."""
    return hashlib.sha256(
        b"rexalgo/capability/v1|" + secret_id.encode(errors="surrogatepass")
    ).digest()
