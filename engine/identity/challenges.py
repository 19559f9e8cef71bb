"""Challenges that an authenticator signs: unguessable, for one purpose and one session, valid for a few
minutes and once.

A challenge carries its own proof, a keyed hash, so that asking for one stores nothing: nobody can
fill a memory by asking. What was used is remembered until it would have expired anyway. The key lives
as long as the process, so nothing from before a restart is valid.
"""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

LASTS: Final = timedelta(minutes=3)
"""A little longer than a browser lets a person choose."""
_NONCE_BYTES: Final = 16
_TIME_BYTES: Final = 8
_PROOF_BYTES: Final = 32


class Purpose(Enum):
    """What a challenge is for; one for another purpose proves nothing."""

    REGISTER = "register"
    CONFIRM = "confirm"
    SIGN_IN = "sign in"


class Challenges:
    """The challenges of one process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._used: dict[bytes, datetime] = {}

    def new(self, purpose: Purpose, session: str, now: datetime) -> bytes:
        """Create a challenge. ``session`` is what it is bound to: the session's id or, before there is
        one, the token of the form.
        """
        expires = int((now + LASTS).timestamp())
        head = secrets.token_bytes(_NONCE_BYTES) + expires.to_bytes(_TIME_BYTES, "big")
        return head + self._proof(head, purpose, session)

    def use(self, challenge: bytes, purpose: Purpose, session: str, now: datetime) -> bool:
        """Use a challenge up; return False if it is not ours, not for this, expired, or used."""
        head, proof = challenge[:-_PROOF_BYTES], challenge[-_PROOF_BYTES:]
        is_ours = hmac.compare_digest(proof, self._proof(head, purpose, session))
        if not is_ours or len(head) != _NONCE_BYTES + _TIME_BYTES or challenge in self._used:
            return False
        expires = int.from_bytes(head[_NONCE_BYTES:], "big")
        if now.timestamp() >= expires:
            return False
        while self._used and next(iter(self._used.values())) <= now:
            del self._used[next(iter(self._used))]
        self._used[challenge] = now + LASTS
        return True

    def _proof(self, head: bytes, purpose: Purpose, session: str) -> bytes:
        bound = b"|".join((head, purpose.value.encode(), session.encode(errors="surrogatepass")))
        return hashlib.blake2b(bound, key=self._key, digest_size=_PROOF_BYTES).digest()
