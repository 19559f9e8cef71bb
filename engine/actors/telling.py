"""Tell people what concerns them, each on their own channels: note what happened as messages, collect
the day's digest, send what is due, and link chats by the codes written there.

What always holds: a message is claimed in the ledger before it is sent, and its claim ends once the
service took it. After a crash between the two nobody knows whether it arrived; it is sent again,
and says so. Nothing here is on the way of an order: it waits while orders are being sent.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.decisions.messages import (
    CODE_LASTS,
    DEAD_AFTER,
    alert_words,
    digest_day,
    digest_words,
    hash_of_code,
    outcome_kind,
    outcome_title,
    outcome_words,
)
from engine.domain.alert import ABOUT_ACCOUNTS, ABOUT_PEOPLE, ABOUT_STRATEGIES, Alert
from engine.domain.amounts import EXACT, ZERO
from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import PersonId
from engine.domain.message import How, Message, MessageKind
from engine.domain.outcome import OutcomeCode
from engine.keys.sealed_secrets import open_target, seal_target
from engine.keys.vault import Vault
from engine.ledger import Database
from engine.ledger.alerts import delivered, know_channel, undelivered_alerts
from engine.ledger.following import accounts_of, former_accounts_of
from engine.ledger.identity import person, person_named
from engine.ledger.messages import (
    ChannelRow,
    DueMessage,
    NewMessage,
    channel_failed,
    channels_of,
    channels_waiting,
    claim_message,
    confirm_channel,
    confirmed_channels,
    cursor,
    digests_before,
    due_messages,
    due_pairs,
    forget_messages,
    message_taken,
    outcomes_since,
    person_of_account,
    person_of_code,
    person_of_strategy,
    set_cursor,
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
"""How many channels are sent to at the same time."""
KEPT_FOR: Final = timedelta(days=30)
RETRY_S: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 600.0)
OUTBOX: Final = "each person"
"""The name under which the ledger keeps which alerts are not noted yet; no plugin can have it."""
_EVENTS: Final = 200
_FORGET_EVERY: Final = timedelta(minutes=10)
_DIGEST_MAX: Final = 1_000
_FIRST_ZONE: Final = "Pacific/Kiritimati"
"""Where a day begins first."""
_CODE: Final = re.compile(r"\b[A-Z2-7]{10}\b")
_WORDS_MAX: Final = 5
Pair = tuple[PersonId, str]


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
        self._digests_at = 0.0
        self._noted = -1
        self._forget_at = shared.clock.now()

    @property
    def _db(self) -> Database:
        return self._shared.ledger.db

    async def run(self) -> None:
        """Tell until cancelled."""
        await self._shared.ledger.write(lambda db: know_channel(db, OUTBOX))
        limit = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._link_chats)
            while True:
                await self._shared.calm()
                if (newest := newest_sequence(self._db)) != self._noted:
                    confirmed = confirmed_channels(self._db)
                    while await self._note_alerts(confirmed):
                        await self._shared.calm()
                    while confirmed and await self._note_outcomes(confirmed):
                        await self._shared.calm()
                    self._noted = newest
                if trio.current_time() >= self._digests_at:
                    self._digests_at = trio.current_time() + DIGESTS_EVERY_S
                    await self._write_digests()
                for pair in due_pairs(self._db):
                    if pair not in self._sending and self._may_try(pair):
                        self._sending.add(pair)
                        nursery.start_soon(self._send_all, pair, limit)
                await trio.sleep(LOOK_S)

    def _may_try(self, pair: Pair) -> bool:
        return trio.current_time() >= self._again_at.get(pair, 0.0)

    # Noting what happened

    async def _note_alerts(self, confirmed: list[ChannelRow]) -> bool:
        """Note the next alerts; return False once there is none."""
        alerts = [
            (each, self._concerned(each)) for each in undelivered_alerts(self._db, OUTBOX, _EVENTS)
        ]

        def note(db: Database) -> None:
            for alert, concerned in alerts:
                mine = [
                    each
                    for each in confirmed
                    if each.person == concerned
                    and each.confirmed_at is not None
                    and each.confirmed_at <= alert.at
                ]
                if concerned is not None and mine:
                    new = NewMessage(
                        person=concerned,
                        sameness=f"alert:{alert.number}",
                        kind=MessageKind.RISK.value,
                        title=alert.sentence,
                        words=alert_words(alert) + self._page,
                        is_urgent=alert.wakes,
                    )
                    wants = {each.channel: each.wants[MessageKind.RISK] for each in mine}
                    write_message(db, new, alert.at, wants)
                delivered(db, OUTBOX, alert.number)

        if alerts:
            await self._shared.ledger.write(note)
        return bool(alerts)

    def _concerned(self, alert: Alert) -> PersonId | None:
        if alert.code in ABOUT_PEOPLE:
            person = person_named(self._db, alert.subject)
            return None if person is None else person.id
        if alert.code in ABOUT_STRATEGIES:
            return person_of_strategy(self._db, alert.subject)
        if alert.code in ABOUT_ACCOUNTS or alert.environment:
            return person_of_account(self._db, alert.subject)
        return None

    async def _note_outcomes(self, confirmed: list[ChannelRow]) -> bool:
        """Note the next events; return False once there is none."""
        told = cursor(self._db, "outcomes")
        events, newest = outcomes_since(self._db, told, _EVENTS)
        if newest == told:
            return False
        wants: dict[PersonId, list[ChannelRow]] = {}
        for each in confirmed:
            wants.setdefault(each.person, []).append(each)

        def note(db: Database) -> None:
            for event in events:
                code = OutcomeCode(event.code)
                kind = outcome_kind(event.action, code, is_test=event.is_test)
                mine = wants.get(event.person, [])
                if kind is None or not mine:
                    continue
                new = NewMessage(
                    person=event.person,
                    sameness=f"outcome:{event.sequence}",
                    kind=kind.value,
                    title=outcome_title(
                        environment=event.environment,
                        account=event.account,
                        action=event.action,
                        symbol=event.symbol,
                        kind=kind,
                    ),
                    words=outcome_words(event.strategy, code, event.numbers) + self._page,
                )
                write_message(db, new, event.at, {each.channel: each.wants[kind] for each in mine})
            set_cursor(db, "outcomes", newest)

        await self._shared.ledger.write(note)
        return True

    async def _write_digests(self) -> None:
        now = self._shared.clock.now()
        latest = digest_day(now, _FIRST_ZONE, "")
        for row, zone in digests_before(self._db, latest):
            await trio.lowlevel.checkpoint()  # orders go first
            day = digest_day(now, zone, row.digest)
            if not day:
                continue
            due = due_messages(self._db, row.person, row.channel, How.DIGEST, _DIGEST_MAX)
            new = None
            if due:
                titles = [each.title for each in due]
                new = NewMessage(
                    person=row.person,
                    sameness=f"digest:{row.channel}:{day}",
                    kind="digest",
                    title=f"Your digest of {day}",
                    words=digest_words(titles, self._results(row.person)) + self._page,
                )
            upto = due[-1].number if due else 0
            await self._shared.ledger.write(
                partial(write_digest, channel=row, new=new, day=day, upto=upto, at=now)
            )
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY
            await self._shared.ledger.write(lambda db: forget_messages(db, now - KEPT_FOR, 2_000))

    def _results(self, whose: PersonId) -> dict[str, tuple[int, Decimal]]:
        now = self._shared.clock.now()
        summed: dict[str, tuple[int, Decimal]] = {}
        for row in (*accounts_of(self._db, whose), *former_accounts_of(self._db, whose)):
            found = results_between(self._db, row.id, now - timedelta(days=1), now)
            count, total = summed.get(row.environment, (0, ZERO))
            for each in found:
                total = EXACT.add(total, each)
            summed[row.environment] = (count + len(found), total)
        return summed

    # Sending

    async def _send_all(self, pair: Pair, limit: trio.CapacityLimiter) -> None:
        """Send what is due on one channel, in order, until one fails."""
        try:
            async with limit:
                while due := due_messages(self._db, *pair, How.NOW, 1):
                    if not await self._send_one(pair, due[0]):
                        return
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
        vault = await self._open_vault()

        def link(db: Database) -> None:
            for each in said:
                self._link(db, vault, name, channel, each)
            set_cursor(db, f"chat:{name}", newest)

        if said or newest != told:
            await self._shared.ledger.write(link)

    def _link(
        self, db: Database, vault: Vault, name: str, channel: PersonalChannel, said: Said
    ) -> None:
        now = self._shared.clock.now()
        for word in _CODE.findall(said.text.upper())[:_WORDS_MAX]:
            code = hash_of_code(word)
            whose = person_of_code(db, name, code, now - CODE_LASTS)
            if whose is not None:
                break
        else:
            return
        [row] = [each for each in channels_of(db, whose) if each.channel == name]
        version = row.row_version + 1
        sealed = seal_target(vault, person_key(db, whose), name, version, said.target)
        shown = channel.shown(said.target)
        day = digest_day(now, person(db, whose).zone, "")
        confirm_channel(db, whose, name, row.row_version, code, now, day, (sealed, version, shown))
        welcome = NewMessage(
            person=whose,
            sameness=f"linked:{name}:{now.isoformat()}",
            kind="linked",
            title=f"This chat is linked to {person(db, whose).called}",
            words="What you chose to be told arrives here." + self._page,
        )
        write_message(db, welcome, now, {name: How.NOW})


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
