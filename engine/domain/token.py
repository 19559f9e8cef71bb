"""What a person's API token may do. A token never raises risk: no scope opens an order, and none lets
entries through again.
"""

from dataclasses import dataclass
from enum import Enum

from engine.domain.errors import InvalidValue, RexAlgoError


class TokenScope(Enum):
    """What a token may do, from least to most; each scope includes those before it."""

    READ = "read"
    PAUSE = "pause"
    """Stop entries of an account or of one strategy."""
    REDUCE = "reduce"
    """Close what the engine opened: one position, or all of an account."""

    @property
    def rank(self) -> int:
        """Return the rank of the scope, from least to most."""
        return list(TokenScope).index(self)

    def includes(self, other: "TokenScope") -> bool:
        """Return whether a token of this scope may do what needs the other."""
        return other.rank <= self.rank


@dataclass(frozen=True, slots=True)
class Once:
    """What a program does once: its idempotency key, and what it asks for under it."""

    key: str
    deed: str


class DoneBefore(RexAlgoError):
    """Raised when this was done under the same idempotency key before: nothing is repeated."""


class KeyUsed(RexAlgoError):
    """Raised when something else was done under an idempotency key."""


class ScopeExceeded(RexAlgoError):
    """Raised when a token asks for what its scope does not include, or for what no token may do."""


def parse_token_scope(value: object, field: str = "scope") -> TokenScope:
    """Read a scope; raises InvalidValue."""
    try:
        return TokenScope(value)
    except ValueError:
        raise InvalidValue(
            field, "one of " + ", ".join(each.value for each in TokenScope), value
        ) from None
