"""The service of a person's own channels: connecting, confirming and testing them, what is told on
each and how, and what they have not seen yet.

What always holds: a channel gets nothing but its code before that code came back, so nobody is told
at an address that is not theirs; what was entered is kept sealed.
"""

import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from engine.context import EngineContext
from engine.decisions.messages import CODE_LASTS, DEAD_AFTER, digest_day, hash_of_code
from engine.domain.errors import InvalidValue, NothingThere, RexAlgoError
from engine.domain.identifiers import PersonId
from engine.domain.message import DEFAULT, How, Message, MessageKind
from engine.keys.sealed_secrets import open_target, seal_target
from engine.ledger import Database
from engine.ledger.messages import (
    ChannelRow,
    begin_channel,
    channel_failed,
    channel_worked,
    channels_of,
    confirm_channel,
    count_due,
    drop_channel,
    seen,
    set_seen,
    set_wants,
    unseen_alerts,
)
from engine.ledger.people import person_key
from engine.ledger.pulse import newest_sequence
from engine.ports.personal_channel import ChatChannel, PersonalChannel
from engine.services.asking import asked
from engine.services.auditing import audited
from engine.services.user import FormErrors, User
from engine.transport.personal_delivery import send, with_client

NEWS_MAX: Final = 99
_SENT_AN_HOUR: Final = 10
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CODE_LENGTH: Final = 10
_HOUR: Final = timedelta(hours=1)
_TEXT_MAX: Final = 500
_CONNECTED: Final = "It is connected already: disconnect it first."


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelView:
    """One channel that this installation offers, and the person's row of it (None: not connected).

    ``is_waiting``: its code has not come back. ``is_dead``: it has failed for five minutes.
    ``waiting`` counts messages that it has not taken.
    """

    channel: PersonalChannel
    row: ChannelRow | None
    is_waiting: bool
    is_dead: bool
    waiting: int

    @property
    def is_chat(self) -> bool:
        """Return whether it is linked by a code that the person writes there."""
        return isinstance(self.channel, ChatChannel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A channel that waits for its code. Of a chat, the ``code`` and the ``address`` that opens the
    chat with it; else both are empty, and the code was sent there.
    """

    code: str = ""
    address: str = ""


class TellingService:
    """The service for people who want to be told."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._sent: dict[PersonId, deque[datetime]] = {}

    @property
    def _db(self) -> Database:
        return self._context.ledger.db

    # Reading

    def channels(self, user: User) -> Sequence[ChannelView]:
        """Read every channel that this installation offers, as the user has it, the connected ones first."""
        rows = {each.channel: each for each in channels_of(self._db, user.id)}
        offered = self._context.plugins().channels
        views = [self._view(user, offered[name], rows.get(name)) for name in sorted(offered)]
        return sorted(views, key=lambda each: each.row is None)

    def _view(self, user: User, channel: PersonalChannel, row: ChannelRow | None) -> ChannelView:
        return ChannelView(
            channel=channel,
            row=row,
            is_waiting=row is not None and row.confirmed_at is None,
            is_dead=row is not None and self._is_dead(row),
            waiting=0 if row is None else count_due(self._db, user.id, channel.name),
        )

    def _is_dead(self, row: ChannelRow) -> bool:
        now = self._context.clock.now()
        return row.failing_since is not None and now - row.failing_since >= DEAD_AFTER

    def open_fields(self, name: str) -> Sequence[str]:
        """Return the names of a channel's fields that are no secrets; none of an unknown channel."""
        channel = self._context.plugins().channels.get(name)
        fields = () if channel is None else channel.fields
        return [each.name for each in fields if not each.is_secret]

    def dead(self, user: User) -> Sequence[str]:
        """Return the user's channels that have taken nothing for five minutes."""
        return [each.shown for each in channels_of(self._db, user.id) if self._is_dead(each)]

    def news(self, user: User) -> int:
        """Count the alerts that the user has not seen, at most 100."""
        found = unseen_alerts(self._db, user.id, seen(self._db, user.id), NEWS_MAX + 1)
        return sum(about is called for about, called in found)

    # Changing

    @asked
    async def see(self, user: User, upto: int) -> None:
        """Record that the user saw every alert up to an event."""
        seen_to = min(upto, newest_sequence(self._db))
        await self._context.ledger.write(lambda db: set_seen(db, user.id, seen_to))

    @asked
    async def begin(self, user: User, name: str, given: Mapping[str, str]) -> Begun:
        """Begin to connect a channel: a code is sent to its target, or is to be written in the chat.
        Raises FormErrors, NothingThere, NeedsConfirmation.
        """
        now = self._context.clock.now()
        user.require_fresh(now)
        channel = self._offered(name)
        row = self._row(user, name)
        if row is not None and row.confirmed_at is not None:
            raise FormErrors({"": _CONNECTED})
        self._count_sent(user, now)
        code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
        begun = Begun()
        is_chat = isinstance(channel, ChatChannel)
        try:
            target = {} if is_chat else channel.target(_entered(channel, given))
        except InvalidValue as error:
            field = error.field.rpartition(".")[2]
            raise FormErrors({field: f"Expected {error.expected}."}) from None
        try:
            if isinstance(channel, ChatChannel):
                address = await with_client(
                    partial(channel.invitation, code), self._context.config.outgoing.reach
                )
                begun = Begun(code=code, address=address)
            else:
                await self._send(channel, target, _with_code(code, now))
        except Exception as error:  # a channel's own fault, told to whom it concerns
            raise FormErrors({"": f"Nothing was connected: {_problem(error)}"}) from None
        vault = await self._context.open_vault()
        shown = "" if is_chat else channel.shown(target)

        def change(db: Database) -> None:
            # the code was sent meanwhile: what the row is now counts, not what it was
            before = next((each for each in channels_of(db, user.id) if each.channel == name), None)
            version = 1 if before is None else before.row_version + 1
            sealed = seal_target(vault, person_key(db, user.id), name, version, target)
            if not begin_channel(
                db,
                person=user.id,
                channel=name,
                sealed=sealed,
                row_version=version,
                shown=shown,
                code=hash_of_code(code),
                at=now,
            ):
                raise FormErrors({"": _CONNECTED})

        await self._audited(user, "channel_begun", name, change)
        return begun

    @asked
    async def confirm(self, user: User, name: str, code: str) -> None:
        """Confirm a channel by the code that arrived there; raises FormErrors, NothingThere."""
        now, row = self._context.clock.now(), self._row(user, name)
        if row is None or row.confirmed_at is not None:
            raise NothingThere("this channel waits for no code")
        if now - row.code_at > CODE_LASTS:
            raise FormErrors({"code": "Expected a code of the last 15 minutes: connect it again."})
        hashed = hash_of_code("".join(code.split()).upper())
        day = digest_day(now, user.person.zone, "")

        def change(db: Database) -> None:
            if not confirm_channel(db, user.id, name, row.row_version, hashed, now, day):
                raise FormErrors({"code": "Expected the ten characters that arrived there."})
            channel_worked(db, user.id, name, now)

        await self._audited(user, "channel_connected", name, change)

    @asked
    async def want(self, user: User, name: str, given: Mapping[str, str]) -> None:
        """Change how each kind is told on a channel; raises FormErrors, NothingThere,
        NeedsConfirmation, because it can silence what warns the user.
        """
        self._required(user, name)
        user.require_fresh(self._context.clock.now())
        errors = {
            kind.value: "Expected at once, in a daily digest, or silent."
            for kind in MessageKind
            if given.get(kind.value, DEFAULT[kind].value) not in [how.value for how in How]
        }
        if errors:
            raise FormErrors(errors)
        wants = {kind: How(given.get(kind.value, DEFAULT[kind].value)) for kind in MessageKind}
        await self._audited(
            user, "channel_changed", name, lambda db: set_wants(db, user.id, name, wants)
        )

    @asked
    async def test(self, user: User, name: str) -> str:
        """Send a test message now; return what is wrong, empty if it was taken. Raises FormErrors,
        NothingThere.
        """
        row, now = self._required(user, name), self._context.clock.now()
        self._count_sent(user, now)
        vault = await self._context.open_vault()
        message = Message(
            id=f"test-{secrets.token_hex(8)}",
            title=f"This is a test, asked for by {user.person.called}",
            text="Nothing happened.",
            at=now,
            kind="test",
        )
        problem = ""
        try:
            target = open_target(self._db, vault, user.id, name, row.row_version, row.sealed)
            await self._send(self._offered(name), target, message)
        except Exception as error:  # a channel's own fault, told to whom it concerns
            problem = _problem(error)

        def note(db: Database) -> None:
            if problem:
                channel_failed(db, user.id, name, problem, now)
            else:
                channel_worked(db, user.id, name, now)

        await self._context.ledger.write(note)
        return problem

    @asked
    async def drop(self, user: User, name: str) -> None:
        """Disconnect a channel and erase its target; raises NothingThere, NeedsConfirmation as
        ``want`` does.
        """
        if self._row(user, name) is None:
            raise NothingThere("there is no such channel of yours")
        user.require_fresh(self._context.clock.now())
        await self._audited(
            user, "channel_removed", name, lambda db: drop_channel(db, user.id, name)
        )

    async def _audited(
        self, user: User, act: str, name: str, change: Callable[[Database], object]
    ) -> None:
        await audited(
            self._context,
            user=user,
            act=act,
            subject=user.person.name,
            data={"channel": name},
            change=change,
        )

    async def _send(
        self, channel: PersonalChannel, target: Mapping[str, str], message: Message
    ) -> None:
        await send(channel, target, message, self._context.config.outgoing.reach)

    def _offered(self, name: str) -> PersonalChannel:
        channel = self._context.plugins().channels.get(name)
        if channel is None:
            raise NothingThere("this installation offers no such channel")
        return channel

    def _row(self, user: User, name: str) -> ChannelRow | None:
        return next((each for each in channels_of(self._db, user.id) if each.channel == name), None)

    def _required(self, user: User, name: str) -> ChannelRow:
        row = self._row(user, name)
        if row is None or row.confirmed_at is None:
            raise NothingThere("there is no such channel of yours")
        return row

    def _count_sent(self, user: User, now: datetime) -> None:
        """Refuse more than ten codes and tests an hour: their target may be somebody else's."""
        sent = self._sent.setdefault(user.id, deque(maxlen=_SENT_AN_HOUR))
        if len(sent) == _SENT_AN_HOUR and now - sent[0] < _HOUR:
            raise FormErrors({"": "Too many codes and tests were sent. Try again in an hour."})
        sent.append(now)


def _entered(channel: PersonalChannel, given: Mapping[str, str]) -> Mapping[str, str]:
    errors = {
        each.name: "Expected a value."
        for each in channel.fields
        if not each.is_optional and not given.get(each.name, "").strip()
    }
    errors |= {
        each.name: f"Expected at most {_TEXT_MAX} characters."
        for each in channel.fields
        if len(given.get(each.name, "")) > _TEXT_MAX
    }
    if errors:
        raise FormErrors(errors)
    return {each.name: given.get(each.name, "").strip() for each in channel.fields}


def _with_code(code: str, now: datetime) -> Message:
    return Message(
        id=f"code-{secrets.token_hex(8)}",
        title=f"Your code is {code}",
        text="Somebody asked to be told here. Enter the code on the page that asked for it, within 15 "
        "minutes; if it was not you, do nothing.",
        at=now,
        kind="code",
        is_urgent=True,
        details={"code": code},
    )


def _problem(error: Exception) -> str:
    return (str(error) if isinstance(error, RexAlgoError) else type(error).__name__)[:200]
