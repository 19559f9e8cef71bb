"""The keys that sign session cookies, as they are stored now.

What always holds: every process of the place follows the file without a restart, because it is
looked at before each use; a file that cannot be read, or holds no fit key, changes nothing here.
Only the holder of the folder's lock writes it.
"""

import logging
import secrets
from typing import Final

from engine.decisions.secret_strength import why_guessable
from engine.domain.errors import InvalidValue, RexAlgoError
from engine.identity.references import ReferenceKeys, parse_reference_keys
from engine.keys.key_file import read_keys, write_keys
from engine.ports.secret import Secret
from engine.settings.secrets import SECRETS, SecretPlace

_LOG: Final = logging.getLogger("rexalgo.keys")
_NAME: Final = "JWT_SECRET"


def new_session_key() -> str:
    """Create a random key for session cookies, one that no check takes for a typed one."""
    while why_guessable(key := secrets.token_urlsafe(48)):
        pass  # about once in a million
    return key


class SessionKeys:
    """The holder of the keys; ``given`` are those that the process was started with, ``place`` is
    where they are stored.

    Without any, one is made for the life of this process: a restart then signs everybody out.
    """

    def __init__(self, place: SecretPlace | None, given: Secret | None) -> None:
        self._place = None if given is None else place
        self._text = given or Secret(new_session_key())
        self._keys = parse_reference_keys(self._text)
        self._seen: tuple[int, int, int] | None = None  # so that the file is read at the first use

    @property
    def place(self) -> SecretPlace | None:
        """Return where the keys are stored; None if they are stored nowhere."""
        return self._place

    @property
    def can_be_written(self) -> bool:
        """Return whether a command may replace them."""
        return self._place is not None and self._place.file is not None

    def current(self) -> ReferenceKeys:
        """Return the keys as stored now."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._adopt(read_keys(self._place, self._text))
            except RexAlgoError as error:
                _LOG.error("the session keys stay as they were: %s", error)
        return self._keys

    def put_first(self) -> None:
        """Write a new key in front of the stored ones, which then only read."""
        self._write(f"{new_session_key()},{self._stored().reveal().strip()}")

    def replace_all(self) -> None:
        """Write one new key in place of all: no cookie of before is read any more."""
        self._write(new_session_key())

    def erase(self, kid: str) -> None:
        """Write the keys without one of them."""
        keys = parse_reference_keys(self._stored()).keys
        self._write(",".join(each.key.reveal() for each in keys if each.kid != kid))

    def _stored(self) -> Secret:
        return read_keys(self._stored_at(), self._text)

    def _stored_at(self) -> SecretPlace:
        if self._place is None:
            raise RexAlgoError(
                "JWT_SECRET is not set: run `rexalgo init`, or give it in the environment or as "
                "JWT_SECRET_FILE"
            )
        return self._place

    def _write(self, text: str) -> None:
        write_keys(self._stored_at(), Secret(text))
        self._adopt(Secret(text))
        self._seen = self._stamp()

    def _adopt(self, text: Secret) -> None:
        try:
            SECRETS[_NAME](text.reveal())
        except InvalidValue as error:
            raise RexAlgoError(f"{_NAME}: expected {error.expected}, found {error.found}") from None
        self._text, self._keys = text, parse_reference_keys(text)

    def _stamp(self) -> tuple[int, int, int] | None:
        """Return what changes with every replacement of the file; None without one."""
        if self._place is None or self._place.file is None:
            return None
        try:
            stat = self._place.file.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size
