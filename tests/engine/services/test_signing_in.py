"""The sign-in service against an attacker: what is counted, for whom, and what a stolen session
cannot do.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import pyotp
import pytest
import trio

from engine.commands import Commands
from engine.context import EngineContext
from engine.domain.account import AccountReport
from engine.domain.identifiers import AccountId, PersonId
from engine.domain.network import network_of
from engine.domain.person import Role
from engine.identity.second_factor import new_totp_secret
from engine.keys.sealed_secrets import credentials_print, new_person, open_vault, seal_credentials
from engine.keys.vault import Vault, new_root_key
from engine.ledger import Database, Ledger
from engine.ledger.identity import ask_to_be_master, give_role, remember_login
from engine.ledger.people import AccountRow, insert_account, insert_person, person_key, set_declared
from engine.ledger.query import fetch_all
from engine.plugin.host import load_plugins
from engine.ports.exchange import OutcomeUnknown, Rejected, RejectionKind
from engine.ports.http import ConnectError, ReadTimeout
from engine.ports.secret import Secret
from engine.services.identity import (
    Caller,
    IdentityService,
    NotSignedIn,
    make_invitation,
    make_link,
)
from engine.services.user import FormErrors, NeedsConfirmation, User
from engine.settings.config import load_config

PASSWORD = "several calm words in a row"
HOME = Caller("192.0.2.1")
WRONG = Secret("not the one that it is")


@dataclass
class Hand:
    """A clock that a test moves."""

    at: datetime = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@dataclass
class Door:
    """A service, with a count of requests to the exchange."""

    context: EngineContext
    clock: Hand
    service: IdentityService
    asked: list[str] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """What happens while the exchange is asked, which then accepts the login; without it, it
    refuses.
    """

    async def person(self, name: str, *roles: Role) -> PersonId:
        new = new_person(await self.context.open_vault(), name)

        def write(db: Database) -> None:
            insert_person(db, name, new.key, self.clock.now())
            for role in roles or (Role.FOLLOWER,):
                give_role(db, new.id, role, "test", self.clock.now())

        await self.context.ledger.write(write)
        return new.id

    async def come_in(self, person: PersonId, *, password: bool = True) -> User:
        came = await self.service.use_link(
            await make_link(self.context, person, "test", "shell"), HOME
        )
        if password:
            await self.service.set_password(await self.visit(came.cookie), PASSWORD, PASSWORD)
        return await self.visit(came.cookie)

    async def visit(self, cookie: str) -> User:
        user = await self.service.user(cookie, "203.0.113.9")
        assert user is not None
        return user

    async def fail(self, name: str, caller: Caller = HOME) -> int:
        with pytest.raises(NotSignedIn) as caught:
            await self.service.sign_in(name, WRONG, "", caller)
        return caught.value.wait_s

    def counted(self) -> dict[str, int]:
        return dict(fetch_all(self.context.ledger.db, "SELECT key, failures FROM throttle"))


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Door]:
    ledger = Ledger.open(folder / "ledger.sqlite3", inline=True)
    vault = await open_vault(ledger, Secret(new_root_key()))
    clock, config = Hand(), load_config(folder, {})
    plugins = load_plugins(
        ("paper", "mudrex", "signed_webhook", "gcra", "log"),
        {"mudrex": {"base_url": "http://127.0.0.1:9"}},
    )

    async def opened() -> Vault:
        return vault

    async def try_login(exchange: str, credentials: Mapping[str, Secret]) -> AccountReport:
        here.asked.append(exchange)
        if here.meanwhile is not None:
            await here.meanwhile()
            return cast(AccountReport, None)  # nobody at the door looks at it
        raise Rejected("no such key", RejectionKind.CREDENTIALS)

    context = EngineContext(
        config, ledger, clock, lambda: plugins, opened, trio.lowlevel.checkpoint, None, try_login
    )
    here = Door(context, clock, IdentityService(context))
    try:
        yield here
    finally:
        await ledger.aclose()


async def test_tries_side_by_side_are_counted_before_they_are_looked_at(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        await here.person("ada")
        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(here.fail, "ada", Caller(f"198.51.100.{number}"))
        assert here.counted()["name:ada"] == 4  # the others were not looked at


async def test_two_ways_to_write_a_name_are_one_count(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        await here.person("follower:ada")
        for number, name in enumerate(("ada", " follower:ada", "ADA", "master:ada")):
            await here.fail(name, Caller(f"198.51.100.{number}"))
        assert await here.fail("ada", Caller("198.51.100.9")) > 0
        assert here.counted()["name:ada"] == 4


@pytest.mark.parametrize("name", ["link", "exchange", "join", "ada"])
async def test_a_stranger_who_fails_under_a_name_locks_nobody_out_but_its_password(
    tmp_path: Path, name: str
) -> None:
    async with door(tmp_path) as here:
        user = await here.come_in(await here.person("ada"))
        codes = await here.service.renew_recovery_codes(user)
        for number in range(5):
            await here.fail(name, Caller(f"198.51.100.{number}"))
        await here.service.confirm(user, Secret(PASSWORD), "", HOME)
        await here.service.sign_in_with_recovery("ada", codes[0].reveal(), HOME)
        await here.service.use_link(await make_link(here.context, user.id, "test", "shell"), HOME)
        with pytest.raises(FormErrors):
            await here.service.sign_in_with_exchange("mudrex", {"secret": "x"}, "", HOME)
        assert here.asked == ["mudrex"]


async def test_all_addresses_of_one_line_are_one_count(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        for number in range(20):
            with pytest.raises(NotSignedIn):
                await here.service.use_link("none", Caller(f"2001:db8:0:1::{number:x}"))
        for address, waits in (("2001:db8:0:1:ffff::1", True), ("2001:db8:0:2::1", False)):
            with pytest.raises(NotSignedIn) as caught:
                await here.service.use_link("none", Caller(address))
            assert (caught.value.wait_s > 0) is waits


async def test_who_tries_keys_at_the_exchange_through_us_has_to_wait(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        for number in range(25):
            with pytest.raises((FormErrors, NotSignedIn)):
                await here.service.sign_in_with_exchange(
                    "mudrex", {"secret": f"guess {number}"}, "", HOME
                )
        assert len(here.asked) == 20
        token, _ = await make_invitation(here.context, Role.FOLLOWER, None, 1, 7, "test", "shell")
        with pytest.raises(NotSignedIn):
            await here.service.join(token, "eve", "paper", {"secret": "another guess"}, HOME)
        assert len(here.asked) == 20


@pytest.mark.parametrize(
    "torn", ["first half\nsecond half", "with\x00nul", "caf\u00e9", "\u2028x\u2028y", "a\tb"]
)
async def test_a_key_that_was_pasted_wrongly_is_told_at_its_field_and_not_asked_for(
    tmp_path: Path, torn: str
) -> None:
    async with door(tmp_path) as here:
        with pytest.raises(FormErrors) as caught:
            await here.service.sign_in_with_exchange("mudrex", {"secret": torn}, "", HOME)
        assert caught.value.errors["secret"].startswith("expected one line")
        assert here.asked == []


async def test_coming_in_gives_the_shared_address_back_one_try_and_no_more(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        user = await here.come_in(await here.person("ada"))
        await here.fail("bob")
        await here.service.confirm(user, Secret(PASSWORD), "", HOME)
        counted = here.counted()
        assert counted.pop("address:192.0.2.1") == 1
        ((name, count),) = counted.items()  # bob is nobody: what was typed is not stored
        assert (name.partition("#")[0], count) == ("name", 1)
        assert "bob" not in name
        here.clock.at += timedelta(hours=25)
        await here.come_in(user.id, password=False)
        assert here.counted() == {}


async def test_a_session_found_open_cannot_put_its_own_second_factor_in_force(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as here:
        user = await here.come_in(await here.person("ada"))
        here.clock.at += timedelta(minutes=6)
        secret = new_totp_secret()
        with pytest.raises(NeedsConfirmation):
            await here.service.set_totp(
                user, secret.reveal(), pyotp.TOTP(secret.reveal()).at(here.clock.at)
            )


async def test_taking_the_second_factor_away_ends_the_other_sessions(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        other = await here.come_in(await here.person("ada"))
        here.clock.at += timedelta(seconds=1)
        user = await here.come_in(other.id, password=False)
        await here.service.remove_totp(user)
        assert [each.id for each in here.service.sessions(user)] == [user.session.id]


async def test_whoever_was_not_invited_learns_nothing_about_names(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        await here.person("ada")
        told = []
        for name in ("ada", "nobody", "Not a Name"):
            with pytest.raises(FormErrors) as caught:
                await here.service.join("none", name, "paper", {"secret": "x"}, HOME)
            told.append(caught.value.errors)
        assert told[0] == told[1] == told[2]
        assert here.asked == []


async def test_nobody_joins_under_a_name_that_two_provisioned_people_are_found_by(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as here:
        await here.person("follower:ada")
        await here.person("master:ada", Role.MASTER)
        token, _ = await make_invitation(here.context, Role.FOLLOWER, None, 1, 7, "test", "shell")
        with pytest.raises(FormErrors) as caught:
            await here.service.join(token, "ada", "paper", {"secret": "x"}, HOME)
        assert caught.value.errors["name"] == "expected a name that nobody here has"


async def test_two_who_join_under_one_name_at_once_are_told_in_words_and_the_ledger_stays_well(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as here:
        here.meanwhile = partial(here.person, "ada")
        token, _ = await make_invitation(here.context, Role.FOLLOWER, None, 1, 7, "test", "shell")
        with pytest.raises(FormErrors) as caught:
            await here.service.join(token, "ada", "paper", {"secret": "paper:100:x"}, HOME)
        assert caught.value.errors == {"name": "expected a name that nobody here has"}
        assert here.context.ledger.healthy
        assert here.service.invitation(token) is not None


async def test_becoming_a_master_begins_with_a_new_session(tmp_path: Path) -> None:
    async with door(tmp_path) as here:
        user = await here.come_in(await here.person("ada"))
        await here.context.ledger.write(
            lambda db: ask_to_be_master(db, user.id, "why", here.clock.now())
        )
        await Commands(here.context).run("decide_master", {"name": "ada", "grant": True})
        assert here.service.sessions(user) == []


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_what_stands_for_one_line(address: str, line: str) -> None:
    assert network_of(address) == line


async def account_at(
    here: Door, person: PersonId, exchange: str, secret: str, *, is_declared: bool
) -> None:
    """Give a person an account with a login; with ``is_declared``, as a provisioning file does."""
    vault, login = await here.context.open_vault(), {"secret": Secret(secret)}
    print_ = credentials_print(vault, exchange, login)

    def write(db: Database) -> None:
        account = AccountId(f"acc_{exchange}")
        environment = "paper" if exchange == "paper" else "simulated"
        sealed = seal_credentials(vault, person_key(db, person), account, 1, login)
        insert_account(
            db,
            AccountRow(
                id=account,
                name="f0001",
                person=person,
                exchange=exchange,
                environment=environment,
                sealed=sealed,
                row_version=1,
            ),
            here.clock.now(),
        )
        remember_login(db, print_, account)
        if is_declared:
            set_declared(db, {("follower", "f0001", "login"): print_})

    await here.context.ledger.write(write)


@pytest.mark.parametrize(
    ("exchange", "is_declared", "opens"),
    [
        ("paper", True, False),
        ("paper", False, False),
        ("mudrex", True, False),
        ("mudrex", False, True),
    ],
)
async def test_a_login_that_a_stranger_can_guess_opens_no_session(
    tmp_path: Path, exchange: str, is_declared: bool, opens: bool
) -> None:
    async with door(tmp_path) as here:
        ada = await here.person("ada")
        await account_at(here, ada, exchange, "paper-0001", is_declared=is_declared)

        async def known() -> None:
            """Make the exchange accept any login."""

        here.meanwhile = known
        if opens:
            assert (
                await here.service.sign_in_with_exchange(
                    exchange, {"secret": "paper-0001"}, "", HOME
                )
            ).person.id == ada
            return
        with pytest.raises((FormErrors, NotSignedIn)):
            await here.service.sign_in_with_exchange(exchange, {"secret": "paper-0001"}, "", HOME)
        assert here.service.sessions(await here.come_in(ada))[1:] == []


async def test_an_exchange_login_that_leaked_opens_no_session_until_there_is_another(
    tmp_path: Path,
) -> None:
    async with door(tmp_path) as here:
        ada = await here.person("ada")
        await account_at(here, ada, "mudrex", "the-key-that-leaks", is_declared=False)

        async def known() -> None:
            """Make the exchange accept any login."""

        here.meanwhile = known
        login = {"secret": "the-key-that-leaks"}
        await here.service.sign_in_with_exchange("mudrex", login, "", HOME)
        await Commands(here.context).run("leaked_account", {"name": "f0001"})
        with pytest.raises(NotSignedIn):
            await here.service.sign_in_with_exchange("mudrex", login, "", HOME)

        def replace_it(db: Database) -> None:
            db.execute("UPDATE account SET row_version = row_version + 1")  # as another key does

        await here.context.ledger.write(replace_it)
        await here.service.sign_in_with_exchange("mudrex", login, "", HOME)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectError("cannot connect to http://127.0.0.1:9: [Errno 111]"), "no connection to it"),
        (ReadTimeout("no whole answer"), "no answer in time"),
        (trio.TooSlowError(), "no answer in time"),
        (OutcomeUnknown("HTTP 503"), "HTTP 503"),
        (KeyError("data"), "its answer could not be read"),
    ],
)
async def test_an_exchange_that_cannot_be_asked_is_told_in_words(
    tmp_path: Path, error: Exception, words: str
) -> None:
    async with door(tmp_path) as here:

        async def fails() -> None:
            raise error

        here.meanwhile = fails
        with pytest.raises(FormErrors) as caught:
            await here.service.sign_in_with_exchange("mudrex", {"secret": "a key"}, "", HOME)
        assert caught.value.errors[""] == (
            f"Mudrex could not be asked just now ({words}). Nothing was stored; try again."
        )
