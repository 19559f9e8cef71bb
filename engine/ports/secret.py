"""A text that must not leak by accident."""

import stat
from pathlib import Path
from typing import NoReturn

from engine.domain.errors import InvalidValue


class Secret:
    """A secret text; only ``reveal()`` returns it.

    repr, str, format, pickling and comparing never show or compare it, so logs, tracebacks and
    pages cannot carry one.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("a Secret is not compared; reveal it and use a constant-time comparison")

    __hash__ = None  # type: ignore[assignment]  # not hashable on purpose: a set or dict of secrets would compare them

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def is_one_line(text: str) -> bool:
    """Return whether a text is one line of printable ASCII: anything else cannot travel in a
    header, and is mostly a bad paste.
    """
    return text.isascii() and text.isprintable()


def read_secret_file(path: object, field: str) -> Secret:
    """Read a plugin's secret from a file that only its owner may read; for settings, which hold no
    secrets themselves.

    Raises InvalidValue naming ``field``: the path must be absolute, the file UTF-8, not empty, mode
    0600 or stricter.
    """
    if not isinstance(path, str) or not Path(path).is_absolute():
        raise InvalidValue(field, "the absolute path of a file that holds the secret", path)
    try:
        mode, text = (
            stat.S_IMODE(Path(path).stat().st_mode),
            Path(path).read_text(encoding="utf-8").strip(),
        )
    except (OSError, UnicodeDecodeError):
        raise InvalidValue(field, "a readable file in UTF-8", path) from None
    if mode & 0o077:
        raise InvalidValue(
            field, f"mode 0600, for it holds a secret (chmod 600 {path})", f"mode {mode:04o}"
        )
    if not text:
        raise InvalidValue(field, "a file that is not empty", path)
    return Secret(text)
