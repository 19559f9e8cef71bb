"""What somebody typed into a form, or which button they pressed, after their session had ended:
nothing is done, and after signing in its page is shown again with what was typed.

Only fields that the form's route declares are kept, so no secret is. They are kept for the person of
the session that ended: whoever else signs in at the same browser sees nothing of it. Everything is in
memory, for ten minutes, and bounded.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from werkzeug.datastructures import MultiDict

from web.once import Recent

QUERY: Final = "typed"
"""The name in an address under which its page finds what was typed."""
_CHARACTERS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class NotSent:
    """A form that was not accepted: its address, whether somebody fills it in, and its fields."""

    address: str
    asks: bool
    fields: MultiDict[str, str]


class TypedAgain:
    """What was typed and not sent, by a key that the address of the form's page carries."""

    def __init__(self) -> None:
        self._forms: Recent[NotSent] = Recent()

    def keep(self, person: str, form: NotSent, now: datetime) -> str:
        """Keep a form for a person; return the key, empty where it is too long to be kept."""
        if sum(len(value) for _, value in form.fields.items(multi=True)) > _CHARACTERS_MAX:
            return ""
        key = secrets.token_urlsafe(16)
        self._forms.keep(f"{person} {key}", form, now)
        return key

    def find(self, person: str, key: str, now: datetime) -> NotSent | None:
        """Return what a person typed, None where nothing is kept for them under this key."""
        return self._forms.find(f"{person} {key}", now) if key else None


def only(form: MultiDict[str, str], names: frozenset[str]) -> MultiDict[str, str]:
    """Return the named fields of a form."""
    return MultiDict([pair for pair in form.items(multi=True) if pair[0] in names])
