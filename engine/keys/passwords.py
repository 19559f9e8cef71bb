"""Passwords as Argon2id hashes, computed in separate threads: at most two at once, so that signing
in never starves the loop.

One hash takes about 0.1 s and 64 MiB (measured on two cores). An unknown person costs the same time
as a wrong password.
"""

from collections.abc import Callable
from typing import Final

import trio
from nacl import pwhash
from nacl.exceptions import InvalidkeyError

from engine.domain.errors import InvalidValue
from engine.ports.secret import Secret

CHARACTERS_MIN: Final = 10
CHARACTERS_MAX: Final = 200
OPERATIONS: Final = 3
MEMORY_BYTES: Final = 64 * 1024 * 1024
_COMMON: Final = frozenset(
    {
        "password12",
        "password123",
        "1234567890",
        "qwertyuiop",
        "0123456789",
        "aaaaaaaaaa",
        "passwordpassword",
    }
)


def check_password(text: str, name: str = "", field: str = "password") -> Secret:
    """Return a password that may be chosen; raises InvalidValue for one that is short, over-long,
    common, or the person's name.
    """
    if not CHARACTERS_MIN <= len(text) <= CHARACTERS_MAX:
        raise InvalidValue(
            field,
            f"{CHARACTERS_MIN} to {CHARACTERS_MAX} characters; several words are easiest to "
            "remember",
        )
    lowered = text.lower()
    if (
        lowered in _COMMON
        or len(set(text)) < 5
        or (name and lowered.startswith(name.lower()) and len(text) - len(name) < 6)
    ):
        raise InvalidValue(
            field, "something that is not easily guessed; several words are easiest to remember"
        )
    return Secret(text)


class Passwords:
    """A hasher and verifier that works in threads. Created once per process."""

    def __init__(self) -> None:
        self._threads = trio.CapacityLimiter(2)
        self._nobody: bytes | None = None

    async def hash(self, password: Secret) -> str:
        """Return the hash of a password with a fresh salt."""
        made: bytes = await self._run(
            lambda: pwhash.argon2id.str(
                _bytes(password), opslimit=OPERATIONS, memlimit=MEMORY_BYTES
            )
        )
        return made.decode()

    async def verify(self, hashed: str | None, password: Secret) -> bool:
        """Return whether a password matches a hash; None (nobody, or no password yet) takes as long
        and never matches.
        """
        if hashed is None and self._nobody is None:
            self._nobody = (await self.hash(Secret("nobody has this one"))).encode()
        against = (self._nobody or b"") if hashed is None else hashed.encode()

        def compare() -> bytes:
            try:
                return b"y" if pwhash.argon2id.verify(against, _bytes(password)) else b""
            except InvalidkeyError:
                return b""

        return bool(await self._run(compare)) and hashed is not None

    async def _run(self, work: Callable[[], bytes]) -> bytes:
        return await trio.to_thread.run_sync(work, limiter=self._threads)


def _bytes(password: Secret) -> bytes:
    return password.reveal()[: 2 * CHARACTERS_MAX].encode(errors="surrogatepass")
