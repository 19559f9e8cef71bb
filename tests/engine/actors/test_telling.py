"""Telling people over failing channels: what certainly did not arrive is sent as if for the first time,
what may have arrived says so, and a dead channel is told on another one.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine.actors.telling import AT_ONCE, OUTBOX, Telling
from engine.decisions.messages import hash_of_code
from engine.domain.alert import Alert, AlertCode
from engine.domain.identifiers import PersonId, former_name
from engine.domain.message import How, Message, MessageKind
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, PositionSide
from engine.keys.sealed_secrets import new_person, seal_target
from engine.keys.vault import Vault, new_root_key, parse_root_keys
from engine.ledger import Database
from engine.ledger.alerts import know_channels
from engine.ledger.disconnecting import disconnect_account
from engine.ledger.identity import set_zone
from engine.ledger.messages import (
    NewMessage,
    Wants,
    begin_channel,
    channels_of,
    confirm_channel,
    digests_due,
    due_messages,
    forget_messages,
    set_wants,
    write_message,
)
from engine.ledger.outcomes import write_outcome
from engine.ledger.people import insert_person, person_key
from engine.ledger.query import fetch_all
from engine.ports.http import HttpClients
from engine.ports.personal_channel import ChannelField, NotTaken, PersonalChannel, Said
from engine.ports.secret import Secret
from tests.engine.actors.engine_world import World, world

DAY = timedelta(days=1)
NOW, SILENT = (dict.fromkeys(MessageKind, how) for how in (How.NOW, How.SILENT))


@dataclass
class TestChannel:
    """A channel of this test: it takes what ``answer`` lets it take, and keeps what it was sent."""

    __test__ = False
    name: str
    answer: Callable[[Message], object] = lambda message: None
    hangs: bool = False
    slow_s: float = 0.0
    sent: list[Message] = field(default_factory=list)
    title: str = "Test"
    fields: Sequence[ChannelField] = ()
    calls_address_of_person: bool = False
    repeats: str = ""

    def target(self, given: Mapping[str, str]) -> Mapping[str, str]:
        return given

    def shown(self, target: Mapping[str, str]) -> str:
        return target["to"]

    async def send(self, target: Mapping[str, str], message: Message, http: HttpClients) -> None:
        assert target == {"to": f"bob at {self.name}"}
        self.answer(message)
        await trio.sleep(self.slow_s)
        self.sent.append(message)
        if self.hangs:
            await trio.sleep_forever()

    def titles(self) -> list[tuple[str, bool]]:
        return [
            (each.title.partition(":")[2].split(" could")[0], each.is_repeated)
            for each in self.sent
        ]


@dataclass
class TestChat(TestChannel):
    """A chat of this test, in which ``said`` was written."""

    __test__ = False
    said: Sequence[Said] = ()

    async def invitation(self, code: str, http: HttpClients) -> str:
        return f"https://chat.example.org/{code}"

    async def heard(self, after: int, http: HttpClients) -> tuple[int, Sequence[Said]]:
        return len(self.said), self.said[after:]


@dataclass
class Told:
    """A house whose account f0 is bob's, with the channels that he connected."""

    house: World
    vault: Vault
    bob: PersonId

    @asynccontextmanager
    async def telling(self, *channels: TestChannel) -> AsyncIterator[None]:
        """Run the task while the block runs; its end is as sudden as that of a process."""
        by_name: dict[str, PersonalChannel] = {each.name: each for each in channels}

        async def open_vault() -> Vault:
            return self.vault

        task = Telling(self.house.shared, by_name, open_vault, "")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task.run)
            yield
            nursery.cancel_scope.cancel()

    async def connect(self, name: str, wants: Wants = NOW, ahead: timedelta = timedelta(0)) -> None:
        """Connect a channel, by a clock that was ``ahead``."""
        now = self.house.shared.clock.now() + ahead

        def write(db: Database) -> None:
            sealed = seal_target(
                self.vault, person_key(db, self.bob), name, 1, {"to": f"bob at {name}"}
            )
            assert begin_channel(db, self.bob, name, sealed, 1, f"bob at {name}", b"code", now)
            assert confirm_channel(db, self.bob, name, 1, b"code", now, "2026-01-01")
            set_wants(db, self.bob, name, wants)

        await self.house.ledger.write(write)

    async def alert(self, quantity: str) -> None:
        await self.house.shared.alert(
            AlertCode.RESIDUE, "f0", quantity, symbol="BTC", quantity=quantity, cause="x"
        )

    @property
    def due(self) -> int:
        db = self.house.ledger.db
        return sum(
            len(due_messages(db, self.bob, each.channel, How.NOW, 99))
            for each in channels_of(db, self.bob)
        )


@asynccontextmanager
async def told(folder: Path, *connected: str) -> AsyncIterator[Told]:
    async with world(folder, followers=1) as house:
        vault = Vault(parse_root_keys(Secret(new_root_key())))
        bob = new_person(vault, "bob")

        def write(db: Database) -> None:
            insert_person(db, "bob", bob.key, house.shared.clock.now())
            db.execute("UPDATE account SET person_id = ? WHERE id = 'a0'", (bob.id,))
            know_channels(db, [OUTBOX])

        await house.ledger.write(write)
        made = Told(house, vault, bob.id)
        for name in connected:
            await made.connect(name)
        yield made


async def test_a_refusal_is_no_doubt_and_keeps_the_order(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    tries: list[str] = []

    def refuses_thrice(message: Message) -> None:
        tries.append(message.id)
        if len(tries) <= 3:
            raise NotTaken("not now")

    async with told(tmp_path, "one") as made:
        one = TestChannel("one", refuses_thrice)
        async with made.telling(one):
            await made.alert("1")
            await made.alert("2")
            await trio.sleep(60)
            assert [each for each, _ in one.titles()] == [" 1 BTC", " 2 BTC"]
            assert not any(again for _, again in one.titles())
            assert tries[:4] == [one.sent[0].id] * 4
            assert made.due == 0
            [row] = channels_of(made.house.ledger.db, made.bob)
            assert (row.failing_since, row.problem) == (None, "")


async def test_what_may_have_arrived_is_sent_once_more_and_says_so(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    def breaks_after_the_first(message: Message) -> None:
        if len(one.sent) == 1 and not message.is_repeated:
            one.sent.append(message)
            raise OSError("the connection ended")

    async with told(tmp_path, "one") as made:
        one = TestChannel("one", breaks_after_the_first)
        async with made.telling(one):
            for quantity in ("1", "2", "3"):
                await made.alert(quantity)
            await trio.sleep(60)
        assert one.titles() == [
            (" 1 BTC", False),
            (" 2 BTC", False),
            (" 2 BTC", True),
            (" 3 BTC", False),
        ]
        assert one.sent[1].id == one.sent[2].id


async def test_an_alert_is_told_though_the_clock_was_set_back_since_the_channel_was_connected(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with told(tmp_path) as made:
        one = TestChannel("one")
        async with made.telling(one):
            await made.alert("1")
            await trio.sleep(5)
            await made.connect("one", ahead=timedelta(hours=1))
            await made.alert("2")
            await trio.sleep(5)
        assert one.titles() == [(" 2 BTC", False)]


async def test_a_sudden_end_repeats_only_what_was_being_sent(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with told(tmp_path, "one") as made:
        one = TestChannel("one")
        async with made.telling(one):
            await made.alert("1")
            await trio.sleep(5)
            one.hangs = True
            await made.alert("2")
            await trio.sleep(5)
        one.hangs = False
        for _ in range(3):
            async with made.telling(one):
                await trio.sleep(20)
        assert one.titles() == [(" 1 BTC", False), (" 2 BTC", False), (" 2 BTC", True)]


async def test_a_dead_channel_is_told_on_another_one_once_and_loses_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    is_dead = True

    def dies(message: Message) -> None:
        if is_dead:
            raise NotTaken("it is gone")

    async with told(tmp_path, "dead", "alive") as made:
        dead, alive = TestChannel("dead", dies), TestChannel("alive")
        async with made.telling(dead, alive):
            await made.alert("1")
            await trio.sleep(5)
            assert [each for each, _ in alive.titles()] == [" 1 BTC"]  # it delays nobody
            await trio.sleep(3_600)
            assert len(alive.sent) == 2
            assert alive.sent[1].title.startswith(
                "Your channel dead (bob at dead) has taken no message"
            )
            assert "it is gone" in alive.sent[1].text
            is_dead = False
            await trio.sleep(700)
        assert dead.titles() == [(" 1 BTC", False)]
        assert made.due == 0


async def test_a_channel_that_hangs_ends_by_its_deadline_and_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with told(tmp_path, "hangs", "works") as made:
        hangs, works = TestChannel("hangs", hangs=True), TestChannel("works")
        async with made.telling(hangs, works):
            await made.alert("1")
            await trio.sleep(3)
            assert len(works.sent) == 1
            await trio.sleep(30)
            assert [again for _, again in hangs.titles()][:2] == [False, True]


@pytest.mark.parametrize("are_chosen", [False, True])
async def test_a_slow_backlog_holds_up_nobody_else(
    tmp_path: Path, autojump_clock: MockClock, are_chosen: bool
) -> None:
    """Before each message the others have their turn; what people chose takes no turn of the rest."""
    names = [f"slow {number}" for number in range(2 * AT_ONCE)]
    async with told(tmp_path, *names) as made:
        await made.connect("working", SILENT)
        async with made.telling():
            for number in range(5):
                await made.alert(str(number))
            await trio.sleep(5)
        await made.house.ledger.write(lambda db: set_wants(db, made.bob, "working", NOW))
        working = TestChannel("working")
        slow = [TestChannel(each, slow_s=8, calls_address_of_person=are_chosen) for each in names]
        async with made.telling(working, *slow):
            await trio.sleep(3)
            await made.alert("5")
            await trio.sleep(3 if are_chosen else 20)
            assert len(working.sent) == 1
            await trio.sleep(180)
            assert {len(each.sent) for each in slow} == {6}


async def test_one_alert_that_cannot_be_told_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def words(alert: Alert) -> str:
        if alert.details["quantity"] == "1":
            raise ValueError("no words for it")
        return alert.done

    monkeypatch.setattr("engine.actors.telling.alert_words", words)
    async with told(tmp_path, "one") as made:
        one = TestChannel("one")
        async with made.telling(one):
            await made.alert("1")
            await made.alert("2")
            await trio.sleep(5)
            await made.alert("3")
            await trio.sleep(5)
        assert [each for each, _ in one.titles()] == [" 2 BTC", " 3 BTC"]


async def test_one_outcome_that_cannot_be_told_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def words(*, action: str, **_: object) -> str:
        if action == "open":
            raise ValueError("no words for it")
        return action

    monkeypatch.setattr("engine.actors.telling.outcome_title", words)
    async with told(tmp_path, "one") as made:
        one = TestChannel("one")
        async with made.telling(one):
            opens = await made.house.send(Action.OPEN, side=PositionSide.LONG)
            await made.house.outcome(opens)
            await made.house.outcome(await made.house.send(Action.CLOSE))
            await trio.sleep(5)
        assert [each.title for each in one.sent] == ["close"]


async def test_whose_account_is_disconnected_is_told_what_happened_before(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with told(tmp_path, "one") as made:
        house, one = made.house, TestChannel("one")
        await made.alert("1")
        [(account,)] = fetch_all(house.ledger.db, "SELECT id FROM account WHERE name = 'f0'")
        gone, now = former_name("f0", "a1b2c3"), house.shared.clock.now()
        await house.ledger.write(lambda db: disconnect_account(db, account, gone, now))
        async with made.telling(one):
            await trio.sleep(5)
            await made.alert("2")
            await trio.sleep(5)
        assert [each for each, _ in one.titles()] == [" 1 BTC"], "the name is free since"


async def test_orders_go_between_two_outcomes_that_are_noted(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Steps(trio.abc.Instrument):
        count = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.count += 1

    steps, noted = Steps(), list[int]()

    def title(**_: object) -> str:
        noted.append(steps.count)
        return "told"

    monkeypatch.setattr("engine.actors.telling.outcome_title", title)
    trio.lowlevel.add_instrument(steps)
    async with told(tmp_path, "one") as made:
        house = made.house
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        await house.outcome(await house.send(Action.CLOSE))
        async with made.telling(TestChannel("one")):
            await trio.sleep(5)
    trio.lowlevel.remove_instrument(steps)
    assert len(noted) == len(set(noted)) == 2


async def test_a_refused_exit_of_a_reverse_is_not_told_as_a_missed_entry(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with told(tmp_path, "one") as made:
        house, one = made.house, TestChannel("one")
        await house.outcome(await house.send(Action.OPEN, side=PositionSide.LONG))
        await house.outcome(await house.send(Action.REVERSE, side=PositionSide.SHORT))
        [(copy,)] = fetch_all(house.ledger.db, "SELECT copy_id FROM leg WHERE kind = 'exit'")
        refused = Outcome(OutcomeCode.REJECTED, {"reason": "busy"})

        def refuse(db: Database) -> None:  # one try, before the one that closed
            write_outcome(db, copy=copy, leg=0, outcome=refused, at=house.shared.clock.now())

        await house.ledger.write(refuse)
        async with made.telling(one):
            await trio.sleep(5)
        assert {each.title.partition(": ")[2] for each in one.sent} == {
            "open BTCUSDT filled",
            "reverse BTCUSDT filled",
        }


async def test_one_chat_that_cannot_be_linked_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    codes = ("AAAAAAAAAA", "BBBBBBBBBB")
    async with told(tmp_path) as made:
        eve = new_person(made.vault, "eve")
        now = made.house.shared.clock.now()

        def begin(db: Database) -> None:
            insert_person(db, "eve", eve.key, now)
            for whose, code in zip((eve.id, made.bob), codes, strict=True):
                assert begin_channel(db, whose, "chat", b"", 1, "", hash_of_code(code), now)

        await made.house.ledger.write(begin)
        chat = TestChat(
            "chat", said=[Said({}, codes[0]), Said({"to": "bob at chat"}, f"/start {codes[1]}")]
        )
        async with made.telling(chat):
            await trio.sleep(5)
        assert [each.title for each in chat.sent] == ["This chat is linked to bob"]
        [row] = channels_of(made.house.ledger.db, eve.id)
        assert row.confirmed_at is None


async def test_a_digest_is_due_once_a_day_and_one_that_fails_holds_up_no_other(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    digest = dict.fromkeys(MessageKind, How.DIGEST)
    async with told(tmp_path) as made:
        db, shared = made.house.ledger.db, made.house.shared
        eve = new_person(made.vault, "eve")

        def begin(db: Database) -> None:
            insert_person(db, "eve", eve.key, shared.clock.now())
            set_zone(db, eve.id, "No/Where")
            begin_channel(db, eve.id, "a", b"", 1, "", b"code", shared.clock.now())
            confirm_channel(db, eve.id, "a", 1, b"code", shared.clock.now(), "2026-01-01")

        await made.house.ledger.write(begin)
        await made.connect("one", digest)
        one = TestChannel("one")
        await made.alert("1")
        async with made.telling(one):
            await trio.sleep(10)
            assert len(one.sent) == 1  # of the day before, whose time has come
            assert "1 BTC" in one.sent[0].text
            assert digests_due(db, shared.clock.now(), 9) == []
            await made.alert("2")
            await trio.sleep(20)
            assert len(one.sent) == 1
            [(row, _)] = [
                each
                for each in digests_due(db, shared.clock.now() + timedelta(days=1), 9)
                if each[0].person == made.bob
            ]
            due: list[PersonId] = []

            def move(db: Database) -> None:  # the digest is told as soon as this is written
                set_zone(db, made.bob, "Pacific/Kiritimati")
                due.extend(each.person for each, _ in digests_due(db, shared.clock.now(), 9))

            await made.house.ledger.write(move)
            assert row.person in due


async def test_a_digest_tells_of_everything_that_was_collected_however_much_it_is(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with told(tmp_path, "one") as made:
        one, now = TestChannel("one"), made.house.shared.clock.now()

        def collect(db: Database) -> None:
            for number in range(1_100):
                new = NewMessage(
                    person=made.bob, sameness=str(number), kind="orders", title="filled", words=""
                )
                assert write_message(db, new, now, {"one": How.DIGEST})

        await made.house.ledger.write(collect)
        async with made.telling(one):
            await trio.sleep(10)
        assert "and 1080 more" in one.sent[0].text
        assert due_messages(made.house.ledger.db, made.bob, "one", How.DIGEST, 1) == []


async def test_everything_that_is_old_is_forgotten_in_parts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with told(tmp_path, "one") as made:
        old = made.house.shared.clock.now() - timedelta(days=31)

        def write(db: Database) -> None:
            for number in range(1_201):
                new = NewMessage(
                    person=made.bob, sameness=str(number), kind="risk", title="old", words=""
                )
                assert write_message(db, new, old, {"one": How.DIGEST})

        await made.house.ledger.write(write)
        async with made.telling(TestChannel("one")):
            await trio.sleep(3)
        assert await made.house.ledger.write(lambda db: forget_messages(db, old + DAY, 9)) == 0
