"""Text from outside that may be kept: any Unicode text without NUL and lone surrogates. Pure.

A lone surrogate has no UTF-8, so a ledger that is given one cannot write the whole row. NUL ends a
text in some databases and is refused by others.
"""

import re
from typing import Final

from engine.domain.errors import InvalidValue

_NEVER_KEPT: Final = re.compile("[\x00\ud800-\udfff]")


def may_be_kept(text: str) -> bool:
    """Return whether a text has neither NUL nor a lone surrogate."""
    return _NEVER_KEPT.search(text) is None


def require_text(text: str, field: str) -> None:
    """Raise InvalidValue for a text that may not be kept: an id, or what somebody chose."""
    if not may_be_kept(text):
        raise InvalidValue(field, "valid Unicode text: no NUL, no lone surrogate", ascii(text))


def for_people(text: str) -> str:
    """Return a text that only people read with what may not be kept replaced by U+FFFD: the words
    of an exchange must not stop the record of what it did.
    """
    return _NEVER_KEPT.sub("\ufffd", text)
