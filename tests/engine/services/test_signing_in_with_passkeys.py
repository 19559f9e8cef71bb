"""Passkeys at the sign-in service: what one proves, for how long and for whom, and what happens when
one is copied or lost.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pyotp
import pytest
import trio
from test_signing_in import HOME, PASSWORD, Door, account_at, door

from engine.commands import Commands
from engine.domain.errors import InvalidValue, NothingThere
from engine.domain.identifiers import PersonId
from engine.domain.person import Role
from engine.identity.challenges import LASTS
from engine.ledger import Database
from engine.ledger.passkeys import delete_passkey, passkeys_of, use_passkey
from engine.ledger.query import fetch_all
from engine.ports.secret import Secret
from engine.services.identity import Caller, NotSignedIn, SignedIn
from engine.services.passkeys import PASSKEYS_MAX, PasskeyService
from engine.services.user import FormErrors, NeedsConfirmation, User
from tests.soft_authenticator import SoftAuthenticator

FORM = "the token of a form"
SETTINGS = '[web]\npublic_url = "https://copy.example.org"\n'


@dataclass
class Here:
    """A door at an https address with a name."""

    door: Door
    passkeys: PasskeyService

    async def add(self, user: User, device: SoftAuthenticator, name: str = "Phone") -> None:
        await self.passkeys.add(user, name, device.create(await self.passkeys.options_to_add(user)))

    async def signed(self, device: SoftAuthenticator, form: str = FORM) -> str:
        return device.sign(await self.passkeys.options_to_sign_in(form))

    async def sign_in(self, answer: str, form: str = FORM) -> SignedIn:
        return await self.door.service.sign_in_with_passkey(answer, form, HOME)

    async def refuse(self, answer: str, form: str = FORM) -> None:
        with pytest.raises(NotSignedIn):
            await self.sign_in(answer, form)

    async def person(self, name: str, *roles: Role) -> tuple[User, SoftAuthenticator]:
        """Return somebody with a password and one passkey."""
        came = await self.door.come_in(await self.door.person(name, *roles))
        device = SoftAuthenticator()
        await self.add(came, device)
        return await self.again(came), device

    async def again(self, user: User) -> User:
        found = self.door.service.user_again(user.sid, user.address)
        assert found is not None
        return found

    def later(self, passed: timedelta) -> None:
        self.door.clock.at += passed

    async def acts(self) -> list[str]:
        told = await Commands(self.door.context).run("audit", {})
        return [each["act"] for each in told["audit"]]


@asynccontextmanager
async def here(folder: Path, settings: str = SETTINGS) -> AsyncIterator[Here]:
    (folder / "rexalgo.toml").write_text(settings)
    async with door(folder) as made:
        yield Here(made, PasskeyService(made.context))


async def test_a_passkey_signs_in_alone_and_a_password_no_longer_does(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        assert user.has_second_factor
        came = await place.sign_in(await place.signed(device))
        assert came.person.id == user.id
        service = place.door.service
        with pytest.raises(NotSignedIn):
            await service.sign_in("ada", Secret(PASSWORD), "", HOME)
        answer = await place.signed(device)
        came = await service.sign_in("ada", Secret(PASSWORD), "", HOME, passkey=answer, form=FORM)
        assert came.person.id == user.id
        [row] = place.passkeys.passkeys(user)
        assert (row.name, row.sign_count, row.used_at) == ("Phone", 2, place.door.clock.at)
        assert "passkey_added" in await place.acts()


async def test_a_code_goes_on_beside_a_passkey_and_neither_stands_for_the_password(
    tmp_path: Path,
) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        service = place.door.service
        secret = service.offer_totp(user).secret
        app = pyotp.TOTP(secret.reveal())
        await service.set_totp(user, secret.reveal(), app.at(place.door.clock.at))
        place.later(timedelta(minutes=1))
        await service.sign_in("ada", Secret(PASSWORD), app.at(place.door.clock.at), HOME)
        answer = await place.signed(device)
        with pytest.raises(NotSignedIn):
            await service.sign_in("ada", Secret("x"), "", HOME, passkey=answer, form=FORM)
        _, of_bob = await place.person("bob")
        answer = await place.signed(of_bob)
        with pytest.raises(NotSignedIn):
            await service.sign_in("ada", Secret(PASSWORD), "", HOME, passkey=answer, form=FORM)


async def test_codes_are_counted_by_person_at_every_door(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        service, clock, login = place.door.service, place.door.clock, {"secret": "a leaked key"}
        codes = await service.renew_recovery_codes(user)
        app = pyotp.TOTP((secret := service.offer_totp(user).secret).reveal())
        await service.set_totp(user, secret.reveal(), app.at(clock.at))
        await account_at(place.door, user.id, "mudrex", login["secret"], is_declared=False)
        place.door.meanwhile = trio.lowlevel.checkpoint
        place.later(timedelta(minutes=1))

        async def by_login(code: str, line: int) -> int:
            caller = Caller(f"198.51.100.{line}")
            with pytest.raises(NotSignedIn) as caught:
                await service.sign_in_with_exchange("mudrex", login, code, caller)
            return caught.value.wait_s

        async def by_password(code: str) -> SignedIn:
            return await service.sign_in("ada", Secret(PASSWORD), code, Caller("203.0.113.7"))

        assert [await by_login("", line) for line in range(9)] == [0] * 9  # no code was tried
        await by_password(app.at(clock.at))
        place.later(timedelta(minutes=1))
        waits = [await by_login("000000", line) for line in range(30)]
        assert waits == [0] * 30, "a wait would tell that the login is right"
        assert place.door.counted()[f"code:{user.id}"] == 4, "the others were not looked at"
        with pytest.raises(NotSignedIn):
            await by_password(app.at(clock.at))
        await service.confirm(user, Secret(""), app.at(clock.at), HOME)
        await service.sign_in_with_recovery("ada", codes[0].reveal(), HOME)
        await place.sign_in(await place.signed(device))
        answer = await place.signed(device)
        await service.sign_in_with_exchange("mudrex", login, "", HOME, passkey=answer, form=FORM)
        place.later(timedelta(minutes=1))
        await by_password(app.at(clock.at))
        assert f"code:{user.id}" not in place.door.counted()


async def test_what_was_signed_holds_once_for_its_form_and_for_minutes(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        answer = await place.signed(device)
        await place.refuse(answer, "another form")
        await place.sign_in(answer)
        await place.refuse(answer)  # replayed
        answer = await place.signed(device)
        place.later(LASTS)
        await place.refuse(answer)
        to_confirm = device.sign(await place.passkeys.options_to_confirm(user))
        await place.refuse(to_confirm, user.session.id)
        replaced = json.loads(await place.passkeys.options_to_sign_in(FORM))
        replaced["challenge"] = "A" * 75
        await place.refuse(device.sign(json.dumps(replaced)))


async def test_a_passkey_confirms_in_its_own_session_only(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        other = await place.door.visit((await place.sign_in(await place.signed(device))).cookie)
        service = place.door.service
        place.later(timedelta(minutes=6))
        with pytest.raises(NotSignedIn):  # the password is not enough any more
            await service.confirm(user, Secret(PASSWORD), "", HOME)
        answer = device.sign(await place.passkeys.options_to_confirm(user))
        with pytest.raises(NotSignedIn):
            await service.confirm(other, Secret(""), "", HOME, passkey=answer)
        answer = device.sign(await place.passkeys.options_to_confirm(user))
        await service.confirm(user, Secret(""), "", HOME, passkey=answer)
        assert (await place.again(user)).is_fresh(place.door.clock.at)
        assert not (await place.again(other)).is_fresh(place.door.clock.at)


async def test_a_session_found_open_neither_adds_nor_removes_a_passkey(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, _ = await place.person("ada")
        options = await place.passkeys.options_to_add(user)
        place.later(timedelta(minutes=5))
        [row] = place.passkeys.passkeys(user)
        with pytest.raises(NeedsConfirmation):
            await place.passkeys.options_to_add(user)
        with pytest.raises(NeedsConfirmation):
            await place.passkeys.add(user, "Mine now", SoftAuthenticator().create(options))
        with pytest.raises(NeedsConfirmation):
            await place.passkeys.remove(user, row.id)


async def test_adding_and_removing_ends_the_other_sessions(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        for change in ("add", "remove"):
            came = await place.sign_in(await place.signed(device))
            if change == "add":
                place.later(timedelta(seconds=1))
                await place.add(user, SoftAuthenticator(), "Key")
            else:
                await place.passkeys.remove(user, place.passkeys.passkeys(user)[0].id)
            assert await place.door.service.user(came.cookie, "") is None
            assert await place.again(user)
        assert [each.name for each in place.passkeys.passkeys(user)] == ["Key"]
        await place.refuse(await place.signed(device))
        with pytest.raises(NothingThere):
            await place.passkeys.remove(user, "pas_nothing")
        assert (await place.acts())[:1] == ["passkey_removed"]


async def test_a_counter_that_goes_back_ends_a_passkey_for_good(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        copy = replace(device)
        await place.sign_in(await place.signed(device))
        came = await place.sign_in(await place.signed(device))
        await place.refuse(await place.signed(copy))
        assert await place.door.service.user(came.cookie, "") is None
        [alert] = fetch_all(place.door.context.ledger.db, "SELECT code, subject FROM alert")
        assert alert == ("passkey_copied", "ada")
        copy.count = 100
        await place.refuse(await place.signed(copy))
        await place.refuse(await place.signed(device))
        [row] = place.passkeys.passkeys(user)
        assert row.copied_at == place.door.clock.at
        assert (await place.acts()).count("passkey_copied") == 1
        with pytest.raises(NotSignedIn):  # it still asks for more than a password
            await place.door.service.sign_in("ada", Secret(PASSWORD), "", HOME)


async def test_a_passkey_that_is_removed_meanwhile_proves_nothing_and_is_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        came = await place.sign_in(await place.signed(device))

        def use_late(db: Database, identifier: str, sign_count: int, at: datetime) -> bool | None:
            delete_passkey(db, user.id, identifier)
            return use_passkey(db, identifier, sign_count, at)

        monkeypatch.setattr("engine.services.passkeys.use_passkey", use_late)
        await place.refuse(await place.signed(device))
        assert fetch_all(place.door.context.ledger.db, "SELECT code FROM alert") == []
        assert "passkey_copied" not in await place.acts()
        assert await place.door.service.user(came.cookie, "") is not None


async def test_an_authenticator_without_a_counter_says_nothing_about_copies(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        _, device = await place.person("ada")
        for _ in range(3):
            device.count = -1
            await place.sign_in(await place.signed(device))


async def test_an_operator_keeps_a_second_factor_that_works(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, _ = await place.person("ops", Role.OPERATOR)
        service = place.door.service
        [first] = place.passkeys.passkeys(user)
        with pytest.raises(FormErrors, match="needs a second factor"):
            await place.passkeys.remove(user, first.id)
        assert len(place.passkeys.passkeys(user)) == 1
        secret = service.offer_totp(user).secret.reveal()
        await service.set_totp(user, secret, pyotp.TOTP(secret).at(place.door.clock.at))
        await service.remove_totp(user)
        with pytest.raises(FormErrors, match="needs a second factor"):
            await place.passkeys.remove(user, first.id)
        await place.add(user, SoftAuthenticator(), "Key")
        await place.passkeys.remove(user, first.id)
        ada, _ = await place.person("ada")
        await place.passkeys.remove(ada, place.passkeys.passkeys(ada)[0].id)  # a trader need not


async def test_a_copied_passkey_is_no_second_factor_that_an_operator_keeps(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ops", Role.OPERATOR)
        service = place.door.service
        secret = service.offer_totp(user).secret.reveal()
        await service.set_totp(user, secret, pyotp.TOTP(secret).at(place.door.clock.at))
        device.count = 5
        await place.sign_in(await place.signed(device))
        device.count = 2
        await place.refuse(await place.signed(device))
        back = await place.door.come_in(user.id, password=False)
        with pytest.raises(FormErrors, match="needs a second factor"):
            await service.remove_totp(back)
        await place.passkeys.remove(back, place.passkeys.passkeys(back)[0].id)


async def test_a_lost_passkey_is_replaced_after_a_recovery_code(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        came = await place.door.come_in(await place.door.person("ops", Role.OPERATOR))
        [code, *_] = await place.door.service.renew_recovery_codes(came)
        await place.add(came, SoftAuthenticator())
        back = await place.door.service.sign_in_with_recovery("ops", code.reveal(), HOME)
        user = await place.door.visit(back.cookie)
        [lost] = place.passkeys.passkeys(user)
        found = SoftAuthenticator()
        await place.add(user, found, "New phone")
        await place.passkeys.remove(user, lost.id)
        await place.sign_in(await place.signed(found))


async def test_passkeys_of_another_address_prove_nothing_and_still_count(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        context = place.door.context
        web = replace(context.config.web, public_url="https://new.example.org")
        context.config = replace(context.config, web=web)
        await place.refuse(await place.signed(device))
        options = json.loads(await place.passkeys.options_to_confirm(user))
        assert options["allowCredentials"] == []
        with pytest.raises(NotSignedIn):
            await place.door.service.sign_in("ada", Secret(PASSWORD), "", HOME)
        ops = await place.door.come_in(await place.door.person("ops", Role.OPERATOR))
        secret = place.door.service.offer_totp(ops).secret.reveal()
        await place.door.service.set_totp(ops, secret, pyotp.TOTP(secret).at(place.door.clock.at))
        await place.add(ops, SoftAuthenticator(origin="https://new.example.org"))
        context.config = replace(context.config, web=replace(web, public_url="https://b.example"))
        with pytest.raises(FormErrors, match="needs a second factor"):
            await place.door.service.remove_totp(ops)


async def test_where_no_browser_makes_passkeys_it_is_said_and_nothing_fails(tmp_path: Path) -> None:
    async with here(tmp_path, "") as place:
        user = await place.door.come_in(await place.door.person("ada"))
        assert place.passkeys.origin == ""
        for asked in (
            place.passkeys.options_to_sign_in(FORM),
            place.passkeys.options_to_add(user),
            place.passkeys.options_to_confirm(user),
        ):
            with pytest.raises(InvalidValue, match=r"web\.public_url: expected https://"):
                await asked
        await place.refuse("{}")
        with pytest.raises(FormErrors, match=r"web\.public_url"):
            await place.passkeys.add(user, "Phone", "{}")


async def test_tries_with_passkeys_are_counted_by_address(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        _, device = await place.person("ada")
        for _ in range(20):
            await place.refuse("{}")
        with pytest.raises(NotSignedIn) as caught:
            await place.sign_in(await place.signed(device))
        assert caught.value.wait_s > 0


async def test_a_suspended_person_has_no_use_of_a_passkey(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        _, device = await place.person("ada")
        run = Commands(place.door.context).run
        await run("user_suspend", {"name": "ada"})
        await place.refuse(await place.signed(device))
        await run("user_resume", {"name": "ada"})
        await place.sign_in(await place.signed(device))


async def test_what_cannot_be_stored_says_why_and_stores_nothing(tmp_path: Path) -> None:
    async with here(tmp_path) as place:
        user, device = await place.person("ada")
        bob, _ = await place.person("bob")
        for name in ("", "x" * 41, "a\u202eb", "a\x00b"):
            with pytest.raises(FormErrors, match="1 to 40 visible characters"):
                await place.add(user, SoftAuthenticator(), name)
        with pytest.raises(FormErrors, match="known here already"):
            await place.add(bob, device)
        answer = SoftAuthenticator().create(await place.passkeys.options_to_add(bob))
        with pytest.raises(FormErrors, match="within three minutes"):
            await place.passkeys.add(user, "Phone", answer)  # made in another's session
        with pytest.raises(FormErrors, match="origin"):
            await place.add(user, SoftAuthenticator(origin="https://evil.example"))
        for number in range(PASSKEYS_MAX - 1):
            await place.add(user, SoftAuthenticator(), f"Key {number}")
        with pytest.raises(FormErrors, match="remove one first"):
            await place.add(user, SoftAuthenticator())
        db = place.door.context.ledger.db
        assert len(passkeys_of(db, PersonId(user.id))) == PASSKEYS_MAX
        assert len(passkeys_of(db, bob.id)) == 1
