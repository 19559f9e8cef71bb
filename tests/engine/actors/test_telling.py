"""Telling people over failing channels: what certainly did not arrive is sent as if for the first time,
what may have arrived says so, and a dead channel is told on another one.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
from trio.testing import MockClock

from engine.actors.telling import Telling
from engine.domain.alert import AlertCode
from engine.domain.identifiers import PersonId
from engine.domain.message import How, Message, MessageKind
from engine.keys.sealed_secrets import new_person, seal_target
from engine.keys.vault import Vault, new_root_key, parse_root_keys
from engine.ledger import Database
from engine.ledger.messages import (
    begin_channel,
    channels_of,
    confirm_channel,
    due_messages,
    set_wants,
)
from engine.ledger.people import insert_person, person_key
from engine.ports.http import HttpClients
from engine.ports.personal_channel import ChannelField, NotTaken, PersonalChannel
from engine.ports.secret import Secret
from tests.engine.actors.engine_world import World, world

NOW = dict.fromkeys(MessageKind, How.NOW)


@dataclass
class TestChannel:
    """A channel of this test: it takes what ``answer`` lets it take, and keeps what it was sent."""

    __test__ = False
    name: str
    answer: Callable[[Message], object] = lambda message: None
    hangs: bool = False
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
        self.sent.append(message)
        if self.hangs:
            await trio.sleep_forever()

    def titles(self) -> list[tuple[str, bool]]:
        return [
            (each.title.partition(":")[2].split(" could")[0], each.is_repeated)
            for each in self.sent
        ]


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

    async def connect(self, name: str) -> None:
        now = self.house.shared.clock.now()

        def write(db: Database) -> None:
            sealed = seal_target(
                self.vault, person_key(db, self.bob), name, 1, {"to": f"bob at {name}"}
            )
            assert begin_channel(db, self.bob, name, sealed, 1, f"bob at {name}", b"code", now)
            assert confirm_channel(db, self.bob, name, 1, b"code", now, "2026-01-01")
            set_wants(db, self.bob, name, NOW)

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
