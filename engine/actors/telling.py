"""Notify people of what concerns them, each on their own channels: note what happened as messages,
collect the day's digest, send what is due, and link chats by the codes written there.

What always holds: a message is claimed in the ledger before it is sent, and its claim ends once the
service took it. After a crash between the two nobody knows whether it arrived; it is sent again,
and says so. Nothing here is on the way of an order: it waits while orders are being sent.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

import trio

from engine.actors.shared import Shared
from engine.decisions.calendar import DaySum
from engine.decisions.messages import (
    CODE_LASTS,
    DEAD_AFTER,
    LINES_MAX,
    alert_words,
    digest_day,
    digest_due,
    digest_span,
    digest_words,
    hash_of_code,
    outcome_kind,
    outcome_title,
    outcome_words,
)
from engine.domain.alert import Alert, AlertSubject
from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import PersonId
from engine.domain.message import How, Message, MessageKind
from engine.domain.outcome import Outcome, OutcomeCode
from engine.keys.sealed_secrets import open_target, seal_target
from engine.keys.vault import Vault
from engine.ledger import Database
from engine.ledger.alerts import delivered, undelivered_alerts
from engine.ledger.following import accounts_of, former_accounts_of
from engine.ledger.identity import person, person_named
from engine.ledger.messages import (
    ChannelRow,
    DueMessage,
    NewMessage,
    OutcomeEvent,
    channel_failed,
    channels_of,
    channels_waiting,
    claim_message,
    collected,
    confirm_channel,
    cursor,
    digests_due,
    due_messages,
    due_pairs,
    forget_messages,
    message_taken,
    outcomes_since,
    person_of_account,
    person_of_code,
    person_of_strategy,
    postpone_digest,
    set_cursor,
    tells_anybody,
    write_digest,
    write_message,
)
from engine.ledger.people import person_key
from engine.ledger.pulse import newest_sequence
from engine.ledger.results import results_between
from engine.ports.http import NotSent
from engine.ports.personal_channel import ChatChannel, NotTaken, PersonalChannel, Said
from engine.transport.personal_delivery import send, with_client

_LOG = logging.getLogger("rexalgo.telling")
LOOK_S: Final = 1.0
DIGESTS_EVERY_S: Final = 5.0
AT_ONCE: Final = 8
"""How many messages are sent at the same time by the operator's services, and as many to addresses that
people chose, so that none of these holds up the others.
"""
KEPT_FOR: Final = timedelta(days=30)
RETRY_S: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 600.0)
OUTBOX: Final = "each person"
"""The name under which the ledger keeps which alerts are not noted yet; no plugin can have it."""
_EVENTS: Final = 200
_PAIRS: Final = 200
_DIGESTS: Final = 100
_DIGEST_AGAIN: Final = timedelta(minutes=10)
_FORGET_EVERY_S: Final = 600.0
_FORGET_PAUSE_S: Final = 0.1
_FORGOTTEN: Final = 500
_CODE: Final = re.compile(r"\b[A-Z2-7]{10}\b")
_WORDS_MAX: Final = 5
Pair = tuple[PersonId, str]
Noted = tuple[NewMessage, datetime, Mapping[str, How]]
Change = Callable[[Database], object]
T = TypeVar("T")
R = TypeVar("R")


class Telling:
    """The task that tells people; it is run again if it fails."""

    def __init__(
        self,
        shared: Shared,
        channels: Mapping[str, PersonalChannel],
        open_vault: Callable[[], Awaitable[Vault]],
        public_url: str,
    ) -> None:
        self._shared = shared
        self._channels = channels
        self._open_vault = open_vault
        self._page = f"\n{public_url}/notifications" if public_url else ""
        self._sending: set[Pair] = set()
        self._failures: dict[Pair, int] = {}
        self._again_at: dict[Pair, float] = {}
        self._looked_at: Pair | None = None
        self._noted = -1
        self._own_limit = trio.CapacityLimiter(AT_ONCE)
        self._chosen_limit = trio.CapacityLimiter(AT_ONCE)

    @property
    def _db(self) -> Database:
        return self._shared.ledger.db

    async def run(self) -> None:
        """Notify people until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._link_chats)
            nursery.start_soon(self._write_digests)
            nursery.start_soon(self._forget)
            while True:
                await self._shared.calm()
                noted = await self._note()
                self._begin_sending(nursery)
                if not noted:
                    await trio.sleep(LOOK_S)

    def _begin_sending(self, nursery: trio.Nursery) -> None:
        pairs = due_pairs(self._db, self._looked_at, _PAIRS)
        self._looked_at = pairs[-1] if len(pairs) == _PAIRS else None
        for pair in pairs:
            if pair not in self._sending and self._may_try(pair):
                self._sending.add(pair)
                nursery.start_soon(self._send_all, pair)

    def _may_try(self, pair: Pair) -> bool:
        return trio.current_time() >= self._again_at.get(pair, 0.0)

    # Noting what happened

    async def _note(self) -> bool:
        """Note the next alerts and outcomes; return False once there is none."""
        newest = newest_sequence(self._db)
        if newest == self._noted:
            return False
        noted = await self._note_alerts()
        if tells_anybody(self._db):
            noted = await self._note_outcomes() or noted
        if not noted:
            self._noted = newest
        return noted

    async def _note_alerts(self) -> bool:
        alerts = undelivered_alerts(self._db, OUTBOX, _EVENTS)
        found = [
            await self._contained(self._of_alert, each, f"alert {each.number}") for each in alerts
        ]

        def note(db: Database) -> None:
            _write(db, found)
            for each in alerts:
                delivered(db, OUTBOX, each.number)

        if alerts:
            await self._shared.ledger.write(note)
        return bool(alerts)

    def _of_alert(self, alert: Alert) -> Noted | None:
        concerned = self._concerned(alert)
        if concerned is None:
            return None
        mine = self._confirmed(concerned)
        if not mine:
            return None
        new = NewMessage(
            person=concerned,
            sameness=f"alert:{alert.number}",
            kind=MessageKind.RISK.value,
            title=alert.sentence,
            words=alert_words(alert) + self._page,
            is_urgent=alert.wakes,
        )
        return new, alert.at, {each.channel: each.wants[MessageKind.RISK] for each in mine}

    def _confirmed(self, whose: PersonId) -> list[ChannelRow]:
        """Return a person's confirmed channels. No time is compared: a clock that was set back would
        hide what happens now.
        """
        return [each for each in channels_of(self._db, whose) if each.confirmed_at is not None]

    async def _contained(self, make: Callable[[T], R | None], of: T, name: str) -> R | None:
        """Return what is made of one thing, or None if that fails: the others are told all the same."""
        await trio.lowlevel.checkpoint()  # orders go first
        try:
            return make(of)
        except Exception:
            _LOG.exception("%s cannot be told to anybody", name)
            return None

    def _concerned(self, alert: Alert) -> PersonId | None:
        match alert.about:
            case AlertSubject.PERSON:
                person = person_named(self._db, alert.subject)
                return None if person is None else person.id
            case AlertSubject.STRATEGY:
                return person_of_strategy(self._db, alert.subject)
            case AlertSubject.ACCOUNT:
                return person_of_account(self._db, alert.subject, alert.at)
            case None:
                return None

    async def _note_outcomes(self) -> bool:
        told = cursor(self._db, "outcomes")
        events, newest = outcomes_since(self._db, told, _EVENTS)
        if newest == told:
            return False
        found = [
            await self._contained(self._of_outcome, each, f"outcome {each.sequence}")
            for each in events
        ]

        def note(db: Database) -> None:
            _write(db, found)
            set_cursor(db, "outcomes", newest)

        await self._shared.ledger.write(note)
        return True

    def _of_outcome(self, event: OutcomeEvent) -> Noted | None:
        outcome = Outcome(OutcomeCode(event.code), event.numbers)
        kind = outcome_kind(
            event.action, outcome, is_test=event.is_test, is_of_copy=event.is_of_copy
        )
        if kind is None:
            return None
        mine = self._confirmed(event.person)
        if not mine:
            return None
        new = NewMessage(
            person=event.person,
            sameness=f"outcome:{event.sequence}",
            kind=kind.value,
            title=outcome_title(
                environment=event.environment,
                account=event.account,
                action=event.action,
                symbol=event.symbol,
                outcome=outcome,
                is_of_copy=event.is_of_copy,
            ),
            words=outcome_words(event.strategy, outcome) + self._page,
        )
        return new, event.at, {each.channel: each.wants[kind] for each in mine}

    # Digests, and what is old

    async def _write_digests(self) -> None:
        """Write the digests that are due, until cancelled; nothing that is told at once waits for it."""
        while True:
            await self._shared.calm()
            now, changes = self._shared.clock.now(), []
            for each in (rows := digests_due(self._db, now, _DIGESTS)):
                name = f"the digest of {each[0].channel} of {each[0].person}"
                change = await self._contained(partial(self._digest, now), each, name)
                again = partial(postpone_digest, channel=each[0], until=now + _DIGEST_AGAIN)
                changes.append(change or again)

            def write(db: Database, changes: list[Change] = changes) -> None:
                for each in changes:
                    each(db)

            if changes:
                await self._shared.ledger.write(write)
            if len(rows) < _DIGESTS:
                await trio.sleep(DIGESTS_EVERY_S)

    def _digest(self, now: datetime, of: tuple[ChannelRow, str]) -> Change:
        row, zone = of
        day = digest_day(now, zone, row.digest)
        if not day:
            return partial(postpone_digest, channel=row, until=digest_due(zone, row.digest))
        count, upto = collected(self._db, row.person, row.channel)
        new = None
        if count:
            first = due_messages(self._db, row.person, row.channel, How.DIGEST, LINES_MAX)
            titles = [each.title for each in first]
            span = digest_span(zone, row.digest, day)
            results = self._results(row.person, *span)
            new = NewMessage(
                person=row.person,
                sameness=f"digest:{row.channel}:{day}",
                kind="digest",
                title=f"Your digest of {day}",
                words=digest_words(titles, count, results, span) + self._page,
            )
        until = digest_due(zone, day)
        return partial(write_digest, channel=row, new=new, day=day, upto=upto, at=now, until=until)

    async def _forget(self) -> None:
        """Delete what is older than 30 days, a part at a time, until cancelled."""
        while True:
            await self._shared.calm()
            before = self._shared.clock.now() - KEPT_FOR
            gone = await self._shared.ledger.write(
                partial(forget_messages, before=before, limit=_FORGOTTEN)
            )
            await trio.sleep(_FORGET_PAUSE_S if gone == _FORGOTTEN else _FORGET_EVERY_S)

    def _results(self, whose: PersonId, since: datetime, until: datetime) -> dict[str, DaySum]:
        summed: dict[str, DaySum] = {}
        for row in (*accounts_of(self._db, whose), *former_accounts_of(self._db, whose)):
            found = results_between(self._db, row.id, since, until)
            day = summed.get(row.environment, DaySum())
            for each in found:
                day = day.plus(each)
            summed[row.environment] = day
        return summed

    # Sending

    async def _send_all(self, pair: Pair) -> None:
        """Send what is due on one channel, in order, until one fails; before each message the others
        have their turn.
        """
        channel = self._channels.get(pair[1])
        is_chosen = channel is not None and channel.calls_address_of_person
        limit = self._chosen_limit if is_chosen else self._own_limit
        try:
            is_taken = True
            while is_taken:
                async with limit:
                    due = due_messages(self._db, *pair, How.NOW, 1)
                    is_taken = bool(due) and await self._send_one(pair, due[0])
        finally:
            self._sending.discard(pair)

    async def _send_one(self, pair: Pair, due: DueMessage) -> bool:
        ledger, clock = self._shared.ledger, self._shared.clock
        row = next(
            (each for each in channels_of(self._db, pair[0]) if each.channel == pair[1]), None
        )
        channel = self._channels.get(pair[1])
        if row is None or row.confirmed_at is None:
            return False
        not_taken = None if due.is_claimed else due.number
        try:
            if channel is None:
                raise NotTaken(f"the plugin of channel {pair[1]} is not enabled")
            vault = await self._open_vault()
            target = open_target(
                self._db, vault, row.person, row.channel, row.row_version, row.sealed
            )
            if not await ledger.write(
                partial(
                    claim_message,
                    person=row.person,
                    channel=row.channel,
                    number=due.number,
                    at=clock.now(),
                )
            ):
                return True
            not_taken = None  # from here on it may arrive
            await send(channel, target, _message(due), self._shared.reach)
        except Exception as error:  # a channel's own fault: orders do not depend on it
            if isinstance(error, NotTaken | NotSent) and not due.is_claimed:
                not_taken = due.number
            await self._failed(row, error, not_taken)
            return False
        self._failures.pop(pair, None)
        await ledger.write(
            partial(
                message_taken,
                person=row.person,
                channel=row.channel,
                number=due.number,
                at=clock.now(),
            )
        )
        return True

    async def _failed(self, row: ChannelRow, error: Exception, not_taken: int | None) -> None:
        pair, now = (row.person, row.channel), self._shared.clock.now()
        count = self._failures.get(pair, 0)
        self._failures[pair] = count + 1
        self._again_at[pair] = trio.current_time() + RETRY_S[min(count, len(RETRY_S) - 1)]
        problem = str(error) if isinstance(error, RexAlgoError) else type(error).__name__
        _LOG.warning("channel %s of %s failed, trying again: %s", row.channel, row.person, problem)
        dead_since = row.failing_since
        others = [
            each
            for each in channels_of(self._db, row.person)
            if each.channel != row.channel
            and each.confirmed_at is not None
            and each.failing_since is None
        ]

        def note(db: Database) -> None:
            channel_failed(
                db,
                person=row.person,
                channel=row.channel,
                problem=problem[:200],
                at=now,
                not_taken=not_taken,
            )
            if dead_since is not None and now - dead_since >= DEAD_AFTER and others:
                new = NewMessage(
                    person=row.person,
                    sameness=f"dead:{row.channel}:{dead_since.isoformat()}",
                    kind=MessageKind.RISK.value,
                    title=f"Your channel {row.channel} ({row.shown}) has taken no message since "
                    f"{dead_since:%Y-%m-%d %H:%M} UTC",
                    words=f"{problem[:200]}\nIt is tried again, and nothing is lost for 30 days."
                    + self._page,
                    is_urgent=True,
                )
                write_message(db, new, now, {each.channel: How.NOW for each in others})

        await self._shared.ledger.write(note)

    # Linking chats

    async def _link_chats(self) -> None:
        """Listen where somebody is being linked, until cancelled."""
        while True:
            since = self._shared.clock.now() - CODE_LASTS
            for name, channel in self._channels.items():
                if isinstance(channel, ChatChannel) and channels_waiting(self._db, name, since):
                    await self._listen(name, channel)
            await trio.sleep(LOOK_S)

    async def _listen(self, name: str, channel: ChatChannel) -> None:
        told = cursor(self._db, f"chat:{name}")
        try:
            newest, said = await with_client(partial(channel.heard, told), self._shared.reach)
        except Exception as error:  # a channel's own fault
            _LOG.warning("chats of %s cannot be read: %s", name, type(error).__name__)
            return
        for each in said:
            if (found := self._waits_for(name, each)) is None:
                continue
            try:
                vault = await self._open_vault()
                link = partial(self._link, vault=vault, channel=channel, found=found, said=each)
                await self._shared.ledger.write(link)
            except Exception:  # the others are linked all the same, and nobody waits for it
                _LOG.exception("a chat of %s cannot be linked to %s", name, found[0])
        if newest != told:
            await self._shared.ledger.write(lambda db: set_cursor(db, f"chat:{name}", newest))

    def _waits_for(self, name: str, said: Said) -> tuple[PersonId, bytes] | None:
        """Find whose channel waits for a code that was written, and its hash."""
        since = self._shared.clock.now() - CODE_LASTS
        for word in _CODE.findall(said.text.upper())[:_WORDS_MAX]:
            code = hash_of_code(word)
            if (whose := person_of_code(self._db, name, code, since)) is not None:
                return whose, code
        return None

    def _link(
        self,
        db: Database,
        vault: Vault,
        channel: PersonalChannel,
        found: tuple[PersonId, bytes],
        said: Said,
    ) -> None:
        now, name, (whose, code) = self._shared.clock.now(), channel.name, found
        row = next((each for each in channels_of(db, whose) if each.channel == name), None)
        if row is None:
            return
        version = row.row_version + 1
        sealed = seal_target(vault, person_key(db, whose), name, version, said.target)
        shown = channel.shown(said.target)
        day = digest_day(now, person(db, whose).zone, "")
        chat = (sealed, version, shown)
        if not confirm_channel(db, whose, name, row.row_version, code, now, day, chat):
            return
        welcome = NewMessage(
            person=whose,
            sameness=f"linked:{name}:{now.isoformat()}",
            kind="linked",
            title=f"This chat is linked to {person(db, whose).called}",
            words="What you chose to be told arrives here." + self._page,
        )
        write_message(db, welcome, now, {name: How.NOW})


def _write(db: Database, found: Iterable[Noted | None]) -> None:
    for each in found:
        if each is not None:
            write_message(db, *each)


def _message(due: DueMessage) -> Message:
    return Message(
        id=f"message-{due.number}",
        title=due.title,
        text=due.words,
        at=due.at,
        kind=due.kind,
        is_urgent=due.is_urgent,
        is_repeated=due.is_claimed,
    )
