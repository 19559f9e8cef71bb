"""Who writes first: a signal that a sender waits for and a deed that a person waits for, before what
a fan-out left to be recorded; and nobody is kept from being written by it.
"""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.abc
import trio.lowlevel
import trio.testing

from engine.actors.clock import SystemClock
from engine.commands import Commands
from engine.context import EngineContext
from engine.domain.identifiers import PersonId
from engine.domain.person import Person, Role
from engine.keys.keyring import Keyring
from engine.keys.vault import new_root_key
from engine.ledger import Ledger
from engine.ledger.query import Database, fetch_all
from engine.ledger.reports import switches
from engine.ledger.sessions import SessionRow
from engine.ledger.writer import _WOKEN_AT_ONCE
from engine.ports.secret import Secret
from engine.services.auditing import audited
from engine.services.user import User
from engine.settings.config import load_config
from engine.settings.secrets import SecretPlace
from tests.engine.command_context import command_context


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = Ledger.open(tmp_path / "ledger.sqlite3")
    yield opened
    await opened.aclose()


@asynccontextmanager
async def held(ledger: Ledger) -> AsyncIterator[threading.Event]:
    """Keep the writer within a write until the event is set."""
    go, began = threading.Event(), threading.Event()

    def wait(db: Database) -> None:
        began.set()
        assert go.wait(60)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.write, wait)
        assert await trio.to_thread.run_sync(began.wait, 20)
        try:
            yield go
        finally:
            go.set()


async def write(ledger: Ledger, work: Callable[[Database], None], first: bool) -> None:
    await ledger.write(work, first=first)


async def hand_over(nursery: trio.Nursery, ledger: Ledger, written: list[str], *names: str) -> None:
    """Hand writes over, in order; those whose name begins with "signal" go first."""
    for name in names:
        first = name.startswith("signal")
        work = partial(lambda each, db: written.append(each), name)
        nursery.start_soon(write, ledger, work, first)
        await trio.testing.wait_all_tasks_blocked()


async def test_a_signal_is_written_before_the_outcomes_that_wait(ledger: Ledger) -> None:
    written, outcomes = list[str](), [f"outcome {number}" for number in range(250)]
    async with held(ledger) as go, trio.open_nursery() as nursery:
        await hand_over(nursery, ledger, written, *outcomes, "signal 1", "signal 2")
        go.set()
    assert written == ["signal 1", "signal 2", *outcomes]


async def test_a_flood_of_signals_keeps_no_outcome_from_being_written(ledger: Ledger) -> None:
    written, signals = list[str](), [f"signal {number}" for number in range(180)]
    async with held(ledger) as go, trio.open_nursery() as nursery:
        await hand_over(nursery, ledger, written, "outcome", *signals)
        go.set()
    assert written.index("outcome") == 50, "in the first group"
    assert [each for each in written if each != "outcome"] == signals


async def test_what_goes_first_is_written_before_the_ledger_closes(ledger: Ledger) -> None:
    written, signals = list[str](), [f"signal {number}" for number in range(180)]
    async with held(ledger) as go, trio.open_nursery() as nursery:
        await hand_over(nursery, ledger, written, *signals)
        nursery.start_soon(ledger.aclose)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    assert written == signals


async def test_the_last_writes_are_not_told_that_the_files_are_gone(ledger: Ledger) -> None:
    """Closing removes the log, and a caller looks at the files after its write."""
    async with held(ledger) as go, trio.open_nursery() as nursery:
        nursery.start_soon(ledger.write, lambda db: None)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ledger.aclose)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
        # The loop is busy until the file would be closed.
        [writer] = [each for each in threading.enumerate() if each.name == "ledger-writer"]
        writer.join(0.3)


async def test_a_group_of_outcomes_is_cut_short_for_a_signal(ledger: Ledger) -> None:
    written, within, go = list[str](), threading.Event(), threading.Event()

    def stay(db: Database) -> None:
        written.append("outcome 0")
        within.set()
        assert go.wait(60)

    async with held(ledger) as begin, trio.open_nursery() as nursery:
        nursery.start_soon(write, ledger, stay, False)
        await trio.testing.wait_all_tasks_blocked()
        await hand_over(nursery, ledger, written, *(f"outcome {number}" for number in range(1, 90)))
        begin.set()
        assert await trio.to_thread.run_sync(within.wait, 20)
        await hand_over(nursery, ledger, written, "signal")
        go.set()
    assert written.index("signal") == 25
    assert [each for each in written if each != "signal"] == [f"outcome {n}" for n in range(90)]


async def test_a_signal_is_told_before_the_outcomes_behind_it_are_written(ledger: Ledger) -> None:
    told, go = list[str](), threading.Event()

    def stay(db: Database) -> None:
        assert go.wait(60)

    async def tell(name: str, work: Callable[[Database], None], first: bool) -> None:
        await ledger.write(work, first=first)
        told.append(name)
        go.set()

    async with held(ledger) as begin, trio.open_nursery() as nursery:
        nursery.start_soon(tell, "outcome", stay, False)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(tell, "signal", lambda db: None, True)
        await trio.testing.wait_all_tasks_blocked()
        begin.set()
    assert told == ["signal", "outcome"]


def context_of(ledger: Ledger, folder: Path) -> EngineContext:
    file, key, clock = folder / "keys", new_root_key(), SystemClock()
    file.write_text(key + "\n")
    keyring = Keyring(ledger, clock, SecretPlace(str(file), file), Secret(key))
    return command_context(load_config(folder, {}), ledger, clock, keyring)


def somebody() -> User:
    now, person = datetime.now(UTC), PersonId("1" * 32)
    return User(
        person=Person(person, "ada", frozenset({Role.FOLLOWER}), "UTC"),
        session=SessionRow(
            id="1",
            person=person,
            created_at=now,
            seen_at=now,
            expires_at=now + timedelta(hours=1),
            idle=timedelta(hours=1),
            confirmed_at=now,
            revoked=False,
            address="",
            agent="",
        ),
        sid="",
        address="",
        has_password=True,
        has_totp=False,
        has_passkey=False,
    )


async def test_what_a_person_does_is_written_before_the_outcomes_that_wait(
    ledger: Ledger, tmp_path: Path
) -> None:
    found = list[list[str]]()

    def look(db: Database) -> None:
        acts = fetch_all(db, "SELECT act FROM audit ORDER BY number", ())
        found.append([*(each.label for each in switches(db)), *(act for (act,) in acts)])

    async def halt(context: EngineContext) -> None:
        await Commands(context).run("halt", {"scope": "all", "level": "entries"})

    async def deed(context: EngineContext) -> None:
        await audited(context, somebody(), "switched_on", "account f1", {}, lambda db: None)

    context = context_of(ledger, tmp_path)
    await context.audit_key()  # the first one writes: the ledger remembers the keys
    async with held(ledger) as go, trio.open_nursery() as nursery:
        nursery.start_soon(ledger.write, look)
        await trio.testing.wait_all_tasks_blocked()
        for each in (halt, deed):
            nursery.start_soon(each, context)
            await trio.testing.wait_all_tasks_blocked()
        go.set()
    assert found == [["everything", "switched_on", "switched_on"]]


class Turns(trio.abc.Instrument):
    """Counts what came to an end in each turn of the loop."""

    def __init__(self) -> None:
        self.ended = [0]

    def before_io_wait(self, timeout: float) -> None:
        self.ended.append(0)


async def test_a_commit_of_many_does_not_wake_all_their_callers_in_one_turn_of_the_loop(
    ledger: Ledger,
) -> None:
    turns = Turns()

    async def outcome() -> None:
        await ledger.write(lambda db: None)
        turns.ended[-1] += 1

    async with held(ledger) as go, trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(outcome)
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(turns)
        go.set()
    trio.lowlevel.remove_instrument(turns)
    assert sum(turns.ended) == 100
    # Two chains may meet: the group was cut where others had been taken before.
    assert max(turns.ended) <= 2 * _WOKEN_AT_ONCE
