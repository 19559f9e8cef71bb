"""What one person is told on their own channels: kinds, how each is told, and one message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final


class MessageKind(Enum):
    """What a message is about."""

    RISK = "risk"
    ORDERS = "orders"
    MISSED = "missed"


class How(Enum):
    """How a kind is told on a channel."""

    NOW = "now"
    DIGEST = "digest"
    SILENT = "silent"


DEFAULT: Final[Mapping[MessageKind, How]] = {
    MessageKind.RISK: How.NOW,
    MessageKind.ORDERS: How.DIGEST,
    MessageKind.MISSED: How.DIGEST,
}
"""How each kind is told on a new channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message for one person. Never a secret, except the code by which a channel is confirmed.

    ``id`` is the same whenever the message is sent again. ``is_repeated``: it may have arrived
    before, because the engine or the service stopped before it was known. ``is_urgent`` is worth
    waking somebody.
    """

    id: str
    title: str
    text: str
    at: datetime
    kind: str = ""
    is_urgent: bool = False
    is_repeated: bool = False
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Return the whole message as plain text."""
        again = "You may have this already.\n" if self.is_repeated else ""
        return f"{again}{self.title}\n{self.text}".rstrip()
