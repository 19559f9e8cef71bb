"""Personal channels: plugins that deliver messages to the people who use an installation, each person
to an address or chat of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from engine.domain.errors import RexAlgoError
from engine.domain.message import Message
from engine.ports.http import HttpClients


class NotTaken(RexAlgoError):
    """Raised by a channel when the service certainly did not take a message: it is sent again as if
    for the first time. After any other error it is sent again as one that may have arrived.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelField:
    """One thing that a person enters. ``suggested`` makes a first value, such as a new secret."""

    name: str
    label: str
    hint: str = ""
    is_secret: bool = False
    is_optional: bool = False
    suggested: Callable[[], str] | None = None


class PersonalChannel(Protocol):
    """A way to reach one person. What a person entered is kept sealed and given back as the target.

    The engine claims a message before it is sent and records when it was taken.
    """

    @property
    def name(self) -> str:
        """Return the short name, unique among channels."""
        ...

    @property
    def title(self) -> str:
        """Return what pages call the channel."""
        ...

    @property
    def fields(self) -> Sequence[ChannelField]:
        """Return what a person enters; empty for a chat, which is linked by a code."""
        ...

    @property
    def calls_address_of_person(self) -> bool:
        """Return whether the person chooses which host is called: then only public addresses are."""
        ...

    @property
    def repeats(self) -> str:
        """Return in one sentence what a receiver sees of a message that is sent a second time."""
        ...

    def target(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return the target for what a person entered; raises InvalidValue naming the field."""
        ...

    def shown(self, target: Mapping[str, str]) -> str:
        """Return how a page names the target, without its secrets."""
        ...

    async def send(self, target: Mapping[str, str], message: Message, http: HttpClients) -> None:
        """Send one message; raises NotTaken, or anything else if it may have been taken. Called
        under a deadline of 10 s.
        """
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody wrote to the installation in a chat: the chat's target, and the text."""

    target: Mapping[str, str]
    text: str


@runtime_checkable
class ChatChannel(PersonalChannel, Protocol):
    """A channel whose person first writes a code to the installation: that proves whose chat it is."""

    async def invitation(self, code: str, http: HttpClients) -> str:
        """Return the address that opens the chat with the code; called under a deadline of 10 s."""
        ...

    async def heard(self, after: int, http: HttpClients) -> tuple[int, Sequence[Said]]:
        """Return what was written since ``after``, and the number to ask after next. Called every
        few seconds while somebody is being linked.
        """
        ...
