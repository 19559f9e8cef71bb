"""Rotating the key of session cookies: nobody is signed out, a kill loses nothing, and the former
key leaves when no session of before is alive.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.commands import Commands
from engine.context import EngineContext
from engine.domain.errors import NothingThere, RexAlgoError
from engine.keys import session_keys as module
from engine.keys.keyring import Keyring
from engine.keys.sealed_secrets import new_person
from engine.keys.session_keys import SessionKeys, new_session_key
from engine.keys.vault import new_root_key
from engine.ledger import Ledger
from engine.ledger.people import insert_person
from engine.ledger.session_keys import session_keys
from engine.ports.secret import Secret
from engine.services.identity import Caller, IdentityService, make_link
from engine.settings.config import load_config
from engine.settings.secrets import parse_env
from tests.engine.command_context import command_context


@dataclass
class Hand:
    """A clock that a test moves."""

    at: datetime = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@dataclass
class Place:
    """A folder with a .env, its commands and its sign-in."""

    folder: Path
    context: EngineContext
    clock: Hand
    commands: Commands
    identity: IdentityService

    async def ask(self, method: str, **params: object) -> dict[str, Any]:
        return await self.commands.run(method, params)

    async def sign_in(self, name: str) -> str:
        """Sign a new person in; return the cookie."""
        new = new_person(await self.context.open_vault(), name)
        await self.context.ledger.write(
            lambda db: insert_person(db, name, new.key, self.clock.now())
        )
        link = await make_link(self.context, new.id, "test", "shell")
        return (await self.identity.use_link(link, Caller("192.0.2.1"))).cookie

    async def is_in(self, cookie: str) -> bool:
        return await self.identity.user(cookie, "192.0.2.1") is not None

    def stored(self) -> list[str]:
        return parse_env((self.folder / ".env").read_text())["JWT_SECRET"].split(",")

    async def acts(self) -> list[str]:
        rows = (await self.ask("audit"))["audit"]
        return [each["act"] for each in reversed(rows) if each["act"].startswith("session_key")]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    env = tmp_path / ".env"
    env.write_text(f"ENCRYPTION_KEY={new_root_key()}\nJWT_SECRET={new_session_key()}\n# end\n")
    env.chmod(0o600)
    config, clock, ledger = load_config(tmp_path, {}), Hand(), Ledger.in_memory()
    keyring = Keyring(ledger, clock, config.key_place, config.secrets.encryption_key)
    context = command_context(config, ledger, clock, keyring)
    yield Place(tmp_path, context, clock, Commands(context), IdentityService(context))
    await ledger.aclose()


async def test_a_rotation_signs_nobody_out_and_the_old_key_leaves_after_the_last_session(
    place: Place,
) -> None:
    (old,) = place.stored()
    before = await place.sign_in("ada")
    place.clock.at += timedelta(hours=1)
    told = await place.ask("session_key_rotate")
    assert told["made"]
    assert place.stored()[1] == old
    assert "# end" in (place.folder / ".env").read_text()
    after = await place.sign_in("bob")
    assert await place.is_in(before)
    assert await place.is_in(after)
    (former,) = told["old"]
    with pytest.raises(RexAlgoError, match="1 sessions began before the active one"):
        await place.ask("session_key_remove", kid=former)
    with pytest.raises(RexAlgoError, match="is the active one and stays"):
        await place.ask("session_key_remove", kid=told["active"])
    with pytest.raises(RexAlgoError, match=f"former session key {former} is still there"):
        await place.ask("session_key_rotate")
    place.clock.at += timedelta(days=7)
    status = (await place.ask("key_status"))["sessions"]
    assert [each["state"] for each in status["keys"]] == ["active", "old"]
    assert status["sessions"] == 0
    await place.ask("session_key_remove", kid=former)
    assert len(place.stored()) == 1
    assert await place.acts() == ["session_key_activated", "session_key_removed"]
    with pytest.raises(NothingThere, match="no session key"):
        await place.ask("session_key_remove", kid=former)


async def test_a_rotation_or_removal_that_was_killed_is_completed_by_the_next_call(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.ask("key_status")
    context = place.context
    context.session_keys.put_first()  # killed after the file, before the ledger
    active, former = context.session_keys.current().kids
    told = await place.ask("session_key_rotate")
    assert (told["made"], told["active"], told["old"]) == (False, active, [former])
    assert await place.acts() == ["session_key_activated"]
    context.session_keys.erase(former)  # the same in a removal
    await place.ask("session_key_remove", kid=former)
    assert await place.acts() == ["session_key_activated", "session_key_removed"]
    assert session_keys(context.ledger.db)[former].removed is not None


async def test_a_leaked_key_is_replaced_at_once_and_everybody_signs_in_again(place: Place) -> None:
    (leaked,), cookies = place.stored(), [await place.sign_in(name) for name in ("ada", "bob")]
    await place.ask("session_key_rotate")  # that the leaked one still reads does not save it
    told = await place.ask("leaked_jwt")
    assert told["sessions_ended"] == 2
    assert len(told["erased"]) == 2
    assert len(place.stored()) == 1
    assert leaked not in (place.folder / ".env").read_text()
    assert not any([await place.is_in(each) for each in cookies])
    place.context.session_keys.replace_all()  # cut short after the file
    again = await place.ask("leaked_jwt")
    assert again["active"] != told["active"]
    assert await place.acts() == [
        "session_key_activated",
        "session_key_leaked",
        "session_key_leaked",
    ]


async def test_another_process_follows_the_file_and_an_unfit_one_changes_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    cookie = await place.sign_in("ada")
    other = SessionKeys(place.context.config.session_key_place, Secret(place.stored()[0]))
    kids = other.current().kids
    await place.ask("session_key_rotate")
    assert other.current().kids[1:] == kids
    for unfit in ("JWT_SECRET=" + "changeme" * 5, "JWT_SECRET=", "no line"):
        (place.folder / ".env").write_text(f"{unfit}\n")
        assert other.current().kids[1:] == kids
        assert await place.is_in(cookie)
    assert "the session keys stay as they were" in caplog.text
    assert "changeme" not in caplog.text


async def test_a_reference_to_somebody_elses_session_opens_nothing(place: Place) -> None:
    cookie = await place.sign_in("ada")
    keys, now = place.context.session_keys.current(), place.clock.now()
    named = keys.read(cookie, now)
    assert named is not None
    forged = keys.write("per_of_bob", named.sid, now, now + timedelta(hours=1))
    assert await place.is_in(keys.write(named.person, named.sid, now, now + timedelta(hours=1)))
    assert not await place.is_in(forged)


async def test_keys_in_the_environment_are_put_there_by_a_person(tmp_path: Path) -> None:
    key = new_session_key()
    config = load_config(tmp_path, {"JWT_SECRET": key})
    keys = SessionKeys(config.session_key_place, config.secrets.jwt_secret)
    assert not keys.can_be_written
    with pytest.raises(RexAlgoError, match="in the environment of the process"):
        keys.put_first()
    without = SessionKeys(None, None)
    with pytest.raises(RexAlgoError, match="JWT_SECRET is not set"):
        without.put_first()
    assert module.new_session_key() not in repr(without)
