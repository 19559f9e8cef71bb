"""The user at a service, and what they must have shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from engine.decisions.terms import TermsWarning
from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import PersonId
from engine.domain.person import Person, Role
from engine.domain.token import ScopeExceeded, TokenScope
from engine.ledger.sessions import SessionRow
from engine.ledger.tokens import TokenRow

CONFIRMED_FOR: Final = timedelta(minutes=5)


class NeedsConfirmation(RexAlgoError):
    """Raised when an act raises risk or reveals something: ask for a factor again, then repeat it."""


class FormErrors(RexAlgoError):
    """Raised with everything that is wrong with a form, by the name of its field; ``""`` is the
    form as a whole.
    """

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__(
            "; ".join(f"{name}: {text}" if name else text for name, text in errors.items())
        )


class LookFirst(RexAlgoError):
    """Raised when something about a form is absurd: nothing was stored yet; sending it again with
    ``confirmed`` accepts the warnings.
    """

    def __init__(self, warnings: Sequence[TermsWarning], confirmed: str) -> None:
        self.warnings, self.confirmed = tuple(warnings), confirmed
        super().__init__(" ".join(each.sentence for each in warnings))


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A signed-in person, their session, and which factors they have. ``sid`` is the session's
    secret id; it is never shown.

    ``address`` is the origin of the current request, which may differ from where they signed in.
    ``token`` is the API token with which a program acts for the person: its secret is ``sid``, and
    its session is never fresh. None at a page.
    """

    person: Person
    session: SessionRow
    sid: str
    address: str
    has_password: bool
    has_totp: bool
    has_passkey: bool
    token: TokenRow | None = None

    @property
    def id(self) -> PersonId:
        """Return the person's id."""
        return self.person.id

    @property
    def has_second_factor(self) -> bool:
        """Return whether a password alone does not sign this person in."""
        return self.has_totp or self.has_passkey

    def is_fresh(self, now: datetime) -> bool:
        """Return whether a factor was shown within the last five minutes; a token shows none."""
        return self.token is None and now < self.session.confirmed_at + CONFIRMED_FOR

    def require_fresh(self, now: datetime) -> None:
        """Raise NeedsConfirmation unless a factor was shown within the last five minutes."""
        if not self.is_fresh(now):
            raise NeedsConfirmation("show a factor again before this")

    def require_follower(self) -> None:
        """Raise FormErrors unless the person is a follower: without the role nothing is begun."""
        if not self.person.is_a(Role.FOLLOWER):
            raise FormErrors(
                {
                    "": (
                        "You are no longer a follower here, so nothing is agreed to or resumed. "
                        "Ask the operator for the role. You can still pause, close, flatten, leave "
                        "and disconnect."
                    )
                }
            )

    def require_scope(self, scope: TokenScope | None) -> None:
        """Raise ScopeExceeded for a token that does not include a scope; None: no token may."""
        if self.token is None:
            return
        if scope is None:
            raise ScopeExceeded("No token may do this: do it on the pages.")
        if not self.token.scope.includes(scope):
            raise ScopeExceeded(
                f"expected a token with the scope {scope.value}, found one with "
                f"{self.token.scope.value}"
            )

    def __repr__(self) -> str:
        return f"User({self.person.name})"
