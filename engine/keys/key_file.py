"""The stored keys (root keys, and those of sessions): one line of ``.env``, or a file of their own,
read again and replaced whole while a server runs.

What always holds: after a crash the file is the old one or the new one, of mode 0600, with the same
owner; nothing else in it changes; an installation whose keys are in the environment is never
written to; leftovers of a killed writer beside it, with keys in them, are removed.
"""

from typing import Final

from engine.domain.errors import InvalidValue, RexAlgoError
from engine.ports.secret import Secret
from engine.settings.files import remove_leftovers, replace_file
from engine.settings.secrets import SecretPlace, parse_env, read_env_file, with_env_value

_CALLED: Final = {"ENCRYPTION_KEY": "root keys", "JWT_SECRET": "session keys"}
NO_ROOT_KEYS: Final = (
    "ENCRYPTION_KEY is not set: where a ledger is, put back the copy of .env that you keep elsewhere; "
    "for a new installation run `rexalgo init`, or give it in the environment or as "
    "ENCRYPTION_KEY_FILE"
)


class KeyFileError(RexAlgoError):
    """Raised when stored keys cannot be read or written: nothing was changed."""


def read_keys(place: SecretPlace | None, given: Secret | None) -> Secret:
    """Read keys as stored now; ``given`` is what the process was started with, and all there is
    without a file.
    """
    if given is None or place is None:
        raise RexAlgoError(NO_ROOT_KEYS)
    if place.file is None:
        return given
    try:
        text = (
            read_env_file(place.file).get(place.name, "")
            if place.is_line
            else place.file.read_text(encoding="utf-8")
        )
    except (InvalidValue, OSError, UnicodeDecodeError) as error:
        raise KeyFileError(
            f"the {_CALLED[place.name]} cannot be read from {place.file} ({_why(error)}); nothing was "
            "changed"
        ) from None
    if not text.strip():
        raise KeyFileError(
            f"{place.file} has no {_CALLED[place.name]} any more; nothing was changed. Put back the "
            "copy that you keep elsewhere"
        )
    return Secret(text.strip())


def write_keys(place: SecretPlace, keys: Secret) -> None:
    """Replace stored keys; raises KeyFileError and then nothing was changed. The caller
    holds the folder's lock.
    """
    if place.file is None:
        raise KeyFileError(
            f"the {_CALLED[place.name]} are in the environment of the process, which no command can "
            "change"
        )
    try:
        text = keys.reveal() + "\n"
        if place.is_line:
            text = with_env_value(place.file.read_text(encoding="utf-8"), place.name, keys.reveal())
            if parse_env(text).get(place.name) != keys.reveal():
                raise InvalidValue(place.name, "a file that reads as it was written")
        remove_leftovers(place.file)
        replace_file(place.file, text, 0o600)
    except (InvalidValue, OSError, UnicodeDecodeError) as error:
        raise KeyFileError(
            f"the {_CALLED[place.name]} cannot be written to {place.file} ({_why(error)}); nothing "
            "was changed. "
            "Let the server's user replace it, or change it by whatever else writes it, then "
            "rexalgo key rewrap"
        ) from None


def _why(error: Exception) -> str:
    """Return the reason without what was found: it may be a key."""
    match error:
        case InvalidValue():
            return (
                f"{error.field}: expected {error.expected}"
                if error.field
                else f"expected {error.expected}"
            )
        case OSError():
            return error.strerror or type(error).__name__
        case _:
            return "it is no text in UTF-8"
