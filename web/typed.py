"""What somebody typed into a form that was sent after their session had ended: nothing is done, and
after signing in the form's page shows it again.

Only fields that the form's route declares are kept, so no secret is. They are kept for the person of
the session that ended: whoever else signs in at the same browser sees nothing of it. Everything is in
memory, for ten minutes, and bounded.
"""

import secrets
from datetime import datetime
from typing import Final

from werkzeug.datastructures import MultiDict

from web.once import Recent

QUERY: Final = "typed"
"""The name in an address under which its page finds what was typed."""
_CHARACTERS_MAX: Final = 10_000


class TypedAgain:
    """What was typed and not sent, by a key that the address of the form's page carries."""

    def __init__(self) -> None:
        self._forms: Recent[MultiDict[str, str]] = Recent()

    def keep(
        self, person: str, form: MultiDict[str, str], names: tuple[str, ...], now: datetime
    ) -> str:
        """Keep the named fields of a form for a person; return the key, empty where it is too long
        to be kept.
        """
        pairs = [(name, value) for name, value in form.items(multi=True) if name in names]
        if sum(len(value) for _, value in pairs) > _CHARACTERS_MAX:
            return ""
        key = secrets.token_urlsafe(16)
        self._forms.keep(f"{person} {key}", MultiDict(pairs), now)
        return key

    def find(self, person: str, key: str, now: datetime) -> MultiDict[str, str] | None:
        """Return what a person typed, None where nothing is kept for them under this key."""
        return self._forms.find(f"{person} {key}", now) if key else None
