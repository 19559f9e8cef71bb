"""Rotating root keys: everything moves in batches, derived values survive their old key, and a
needed key stays.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.actors.clock import SystemClock
from engine.commands.keys import KEYS
from engine.commands.people import PEOPLE
from engine.context import EngineContext
from engine.domain.errors import InvalidValue, NothingThere, RexAlgoError
from engine.domain.identifiers import AccountId, EndpointId, PersonId
from engine.keys.keyring import Keyring
from engine.keys.sealed_secrets import (
    NewPerson,
    _opened,
    account_credentials,
    audit_key_of,
    credentials_print,
    endpoint_keys,
    new_person,
    open_target,
    open_totp_secret,
    seal_credentials,
    seal_endpoint_secret,
    seal_target,
    seal_totp_secret,
)
from engine.keys.vault import VaultError, WrappedKey, new_root_key, parse_root_keys
from engine.ledger import Ledger
from engine.ledger.audit import append_audit
from engine.ledger.identity import account_of_login, factor, remember_login, set_totp
from engine.ledger.messages import begin_channel, channels_of
from engine.ledger.people import (
    AccountRow,
    account,
    declared,
    endpoint_secrets,
    insert_account,
    insert_endpoint_secret,
    insert_person,
    person_key,
    set_declared,
)
from engine.ledger.query import fetch_all
from engine.ledger.root_keys import RootKeyDisabled, put_audit_key, rewrap_of, root_keys
from engine.ports.secret import Secret
from engine.settings.config import load_config
from engine.settings.secrets import SecretPlace
from tests.engine.command_context import command_context

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
OLD = new_root_key()
KID = OLD[:8]


@dataclass
class Service:
    """The parts that commands need, and the file of the root keys."""

    context: EngineContext
    file: Path

    @property
    def keyring(self) -> Keyring:
        """Return the keyring."""
        assert self.context.keyring is not None
        return self.context.keyring

    @property
    def db(self) -> Any:
        """Return the ledger's connection."""
        return self.context.ledger.db

    async def ask(self, command: str, **params: object) -> dict[str, Any]:
        """Run a command."""
        return await {**KEYS, **PEOPLE}[command](self.context, params)

    async def rewrap(self) -> dict[str, Any]:
        """Rewrap until a round is complete."""
        while not (told := await self.ask("key_rewrap"))["is_through"]:
            pass
        return told

    async def person(self, name: str) -> NewPerson:
        """Add a person."""
        new = new_person(await self.keyring.open(), name)
        insert_person(self.db, name, new.key, NOW)
        return new

    async def account(self, name: str, login: str) -> AccountRow:
        """Add a person with an account whose login is sealed, remembered and declared."""
        new, vault, identifier = (
            await self.person(name),
            await self.keyring.open(),
            AccountId(f"acc_{name}"),
        )
        credentials = {"secret": Secret(login)}
        row = AccountRow(
            id=identifier,
            name=name,
            person=new.id,
            exchange="paper",
            environment="paper",
            sealed=seal_credentials(vault, new.key, identifier, 1, credentials),
            row_version=1,
        )
        insert_account(self.db, row, NOW)
        remember_login(self.db, self.print_of(login), identifier)
        set_declared(self.db, {("follower", name, "login"): self.print_of(login)})
        return row

    def print_of(self, login: str, kid: str | None = None) -> str:
        """Return a login's fingerprint under a root key, the active one by default."""
        return credentials_print(self.keyring.vault, "paper", {"secret": Secret(login)}, kid)


def context_of(folder: Path, ledger: Ledger, place: SecretPlace, given: str) -> EngineContext:
    """Return the parts that commands need without a running engine."""
    clock = SystemClock()
    keyring = Keyring(ledger, clock, place, Secret(given))
    return command_context(load_config(folder, {}), ledger, clock, keyring)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    file, ledger = tmp_path / "keys", Ledger.in_memory()
    file.write_text(OLD + "\n")
    yield Service(context_of(tmp_path, ledger, SecretPlace(str(file), file), OLD), file)
    await ledger.aclose()


async def test_data_keys_move_a_hundred_a_transaction_and_the_cursor_says_how_far(
    service: Service,
) -> None:
    people = [await service.person(f"p{number}") for number in range(203)]
    told = await service.ask("key_rotate")
    assert (told["made"], told["old"], told["left"]) == (True, [KID], 203)
    assert service.file.read_text().split(":")[0] == told["active"]
    first = await service.ask("key_rewrap", batches=1)
    assert (first["moved"], first["left"], first["done"]) == (100, {KID: {"data_keys": 103}}, False)
    at = rewrap_of(service.db, told["active"])
    assert at is not None
    assert (at.part, at.cursor, at.moved) == (
        "data_keys",
        sorted(each.id for each in people)[99],
        100,
    )
    again = await service.ask("key_rotate")  # a second one meanwhile goes on with the first
    assert (again["made"], again["active"]) == (False, told["active"])
    rest = await service.ask("key_rewrap")
    assert (rest["moved"], rest["left"], rest["done"]) == (103, {}, True)
    assert await service.ask("key_rewrap") == {
        "active": told["active"],
        "moved": 0,
        "left": {},
        "is_through": True,
        "done": True,
    }
    for each in people:
        key = person_key(service.db, each.id)
        assert (
            service.keyring.vault.unwrap(WrappedKey(key.id, key.person, key.kid, key.wrapped)).id
            == each.key.id
        )


async def test_two_rotations_at_the_same_time_make_one_key(service: Service) -> None:
    await service.person("ann")
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(service.ask, "key_rotate")
    assert len(service.keyring.kids()) == 2


async def test_a_login_finds_its_account_without_the_old_key(service: Service) -> None:
    ann, twin = await service.account("ann", "one"), await service.account("ben", "two")
    await service.account("cat", "three")
    await service.ask("key_rotate")
    remember_login(
        service.db, service.print_of("two"), ann.id
    )  # who replaced a key meanwhile is marked by the new one, though another has it
    set_declared(
        service.db,
        {
            ("follower", "ann", "login"): service.print_of("a former one", KID),
            ("follower", "who", "login"): f"{KID}:00",
        },
    )
    set_declared(service.db, {("follower", "cat", "login"): "0badcafe:00"})
    assert (await service.rewrap())["done"]
    assert account_of_login(service.db, [service.print_of("three")]) == "acc_cat"
    assert account_of_login(service.db, [service.print_of("two")]) == ann.id
    marked = {
        name: value for (_, name, field), value in declared(service.db).items() if field == "login"
    }
    assert marked == {
        "ben": service.print_of("two")
    }  # what a person replaced, or nobody can compare, is forgotten
    await service.ask("key_remove", kid=KID)
    assert account_credentials(service.db, service.keyring.vault, twin)["secret"].reveal() == "two"


async def test_what_does_not_open_stays_is_counted_and_keeps_its_key(service: Service) -> None:
    good, bad, torn = (
        await service.person("good"),
        await service.person("bad"),
        await service.account("torn", "x"),
    )
    service.db.execute("UPDATE person SET key_wrapped = zeroblob(72) WHERE id = ?", (bad.id,))
    service.db.execute("UPDATE account SET row_version = 7 WHERE id = ?", (torn.id,))
    active = (await service.ask("key_rotate"))["active"]
    for _ in range(2):
        told = await service.rewrap()
        assert (told["done"], told["left"]) == (
            False,
            {KID: {"data_keys": 1, "logins": 1, "declared_logins": 1}},
        )
    assert person_key(service.db, good.id).kid == active
    needed = (
        "1 wrapped data keys, 1 fingerprints of exchange logins, 1 fingerprints of declared "
        "logins; nothing was removed"
    )
    with pytest.raises(RexAlgoError, match=needed):
        await service.ask("key_remove", kid=KID)
    assert KID in service.file.read_text()
    status = await service.ask("key_status")
    assert (status["left"], status["rewrap"]["ended"]) == (3, None)


async def test_a_key_leaves_only_when_it_is_not_the_active_one_and_is_known(
    service: Service,
) -> None:
    await service.keyring.open()
    with pytest.raises(NothingThere, match="no root key 0badcafe is known here"):
        await service.ask("key_remove", kid="0badcafe")
    with pytest.raises(RexAlgoError, match=f"root key {KID} is the active one and stays"):
        await service.ask("key_remove", kid=KID)
    await service.ask("key_rotate")
    assert (await service.rewrap())["done"]
    assert (await service.ask("key_remove", kid=KID))["erased"]
    with pytest.raises(NothingThere, match="was removed on"):
        await service.ask("key_remove", kid=KID)
    service.file.write_text(
        f"{service.file.read_text().strip()},{OLD}\n"
    )  # put back behind the other: it is not used
    assert (
        service.keyring.vault.kids
        == (await service.keyring.renew()).kids
        == {service.keyring.vault.active_kid}
    )
    assert (await service.ask("key_remove", kid=KID))["erased"]
    assert KID not in service.file.read_text()
    service.file.write_text(f"{OLD}\n")
    with pytest.raises(VaultError, match=f"{KID} stands first in ENCRYPTION_KEY and was removed"):
        await service.keyring.renew()


async def test_what_was_made_under_a_key_just_before_it_left_is_refused(service: Service) -> None:
    ann = await service.account("ann", "one")
    late, mark = new_person(service.keyring.vault, "late"), service.print_of("one")
    audit_key = await service.context.audit_key()
    await service.ask("key_rotate")
    assert (await service.rewrap())["done"]
    await service.ask("key_remove", kid=KID)
    for act in (
        lambda: insert_person(service.db, "late", late.key, NOW),
        lambda: remember_login(service.db, mark, ann.id),
        lambda: put_audit_key(service.db, "0badcafe", KID, b""),
    ):
        with pytest.raises(RootKeyDisabled, match="do it again"):
            act()
    append_audit(
        service.db, audit_key, "late", "something", "done", {}, NOW, "shell"
    )  # its seal is of before, and verifies
    assert (await service.ask("audit_verify"))["broken_at"] is None


async def test_the_audit_verifies_over_two_rotations_and_not_with_another_kept_key(
    service: Service,
) -> None:
    append_audit(
        service.db, await service.context.audit_key(), "ann", "first", "x", {}, NOW, "shell"
    )
    for kid in (KID, ""):
        old = kid or service.keyring.vault.active_kid
        await service.ask("key_rotate")
        assert (await service.rewrap())["done"]
        await service.ask("key_remove", kid=old)
    proof = await service.ask("audit_verify")
    assert (proof["rows"], proof["broken_at"]) == (9, None)
    assert len(service.keyring.kids()) == 1
    service.db.execute("UPDATE audit_key SET sealed = zeroblob(72) WHERE kid = ?", (KID,))
    with pytest.raises(VaultError, match=f"kept audit key of root key {KID} does not open"):
        await service.ask("audit_verify")
    with pytest.raises(VaultError, match="0badcafe"):
        audit_key_of(service.db, service.keyring.vault, "0badcafe")


async def test_a_file_that_lost_a_key_changes_nothing(service: Service) -> None:
    await service.person("ann")
    before = service.keyring.vault
    service.file.write_text(new_root_key())
    with pytest.raises(VaultError, match=f"no key '{KID}'"):
        await service.ask("key_rotate")
    assert service.keyring.vault is before
    assert [each["state"] for each in (await service.ask("key_status"))["keys"]] == [
        "active",
        "old",
    ]


async def test_a_running_process_takes_over_keys_that_somebody_else_wrote(service: Service) -> None:
    await service.person("ann")
    new = new_root_key()
    service.file.write_text(f"{new},{OLD}\n")
    status = await service.ask("key_status")
    assert (status["in_use"], status["active"], status["keys"][0]["added"]) == (KID, new[:8], None)
    assert (await service.rewrap())["done"]
    assert service.keyring.in_use == new[:8]
    assert (await service.person("ben")).key.kid == new[:8]
    acts = [each["act"] for each in (await service.ask("audit"))["audit"]]
    assert acts == ["root_key_rewrapped", "root_key_activated"]


async def test_keys_in_the_environment_are_put_there_by_a_person(
    service: Service, tmp_path: Path
) -> None:
    await service.person("ann")
    ledger, new = service.context.ledger, new_root_key()
    place = SecretPlace("environment", None)
    with pytest.raises(
        RexAlgoError,
        match=r"in the environment of the process.*rexalgo key new.*rexalgo key rewrap",
    ):
        await Service(context_of(tmp_path, ledger, place, OLD), service.file).ask("key_rotate")
    both = Service(context_of(tmp_path, ledger, place, f"{new},{OLD}"), service.file)
    assert (await both.ask("key_status"))["in_use"] is None
    assert (await both.rewrap())["done"]
    assert not (await both.ask("key_remove", kid=KID))["erased"]  # disabled; a person takes it out
    status = await both.ask("key_status")
    assert (status["can_be_written"], [each["state"] for each in status["keys"]]) == (
        False,
        ["active", "disabled"],
    )
    one = Service(context_of(tmp_path, ledger, place, new), service.file)
    assert (await one.ask("key_remove", kid=KID))["erased"]
    assert root_keys(service.db)[KID].removed is not None


async def test_a_number_of_batches_that_is_none_is_refused(service: Service) -> None:
    for wrong in (0, 101, True, "1"):
        with pytest.raises(InvalidValue, match="batches"):
            await service.ask("key_rewrap", batches=wrong)
    service.context.keyring = None
    with pytest.raises(RexAlgoError, match="cannot be changed here"):
        await KEYS["key_status"](service.context, {})


async def test_a_leaked_root_key_is_replaced_by_one_of_after_the_leak_whatever_was_unfinished(
    service: Service,
) -> None:
    """A rotation of before that is not finished is no reason to keep its key."""
    await service.account("ada", "paper:1000:ada")
    before = await service.ask("key_rotate")
    told = await service.ask("key_rotate", leaked=True)
    assert told["made"]
    assert told["active"] not in (KID, before["active"])
    await service.rewrap()
    for kid in told["old"]:
        assert (await service.ask("key_remove", kid=kid))["erased"]
    assert parse_root_keys(Secret(service.file.read_text())).active == told["active"]
    assert KID not in service.file.read_text()
    assert (await service.ask("audit_verify"))["broken_at"] is None
    rows = (await service.ask("audit", search="root_key_activated"))["audit"]
    assert ["leaked" in each["data"] for each in rows] == [True, False]


# A leaked root key takes the data keys with it


async def everything_of(service: Service, name: str) -> tuple[PersonId, dict[str, bytes]]:
    """Give somebody a secret of every kind; return each as it is stored."""
    row, vault = await service.account(name, f"paper:1000:{name}"), await service.keyring.open()
    key = person_key(service.db, row.person)
    set_totp(service.db, row.person, seal_totp_secret(vault, key, 1, Secret("totp")), 1, 7, NOW)
    sealed = seal_target(vault, key, "mail", 1, {"address": "ada@example.org"})
    assert begin_channel(service.db, row.person, "mail", sealed, 1, "a…@example.org", b"code", NOW)
    secret = seal_endpoint_secret(vault, key, EndpointId(f"ep_{name}"), Secret("webhook"))
    service.db.execute("PRAGMA foreign_keys = OFF")  # no strategy is needed for this
    insert_endpoint_secret(service.db, secret, NOW)
    return row.person, stored_of(service, row.person)


def stored_of(service: Service, person: PersonId) -> dict[str, bytes]:
    """Return every sealed secret of a person as it is stored."""
    return {
        str(kind): bytes(sealed)
        for kind, sealed in fetch_all(
            service.db,
            "SELECT 'account', sealed FROM account WHERE person_id = ?1 UNION ALL SELECT 'totp', "
            "totp_sealed FROM factor WHERE person_id = ?1 UNION ALL SELECT 'channel', sealed FROM "
            "person_channel WHERE person_id = ?1 UNION ALL SELECT 'webhook', sealed FROM "
            "endpoint_secret WHERE owner_id = ?1",
            (person,),
        )
    }


async def opened_of(service: Service, name: str, person: PersonId) -> list[str]:
    """Return every secret of a person, opened as its reader opens it."""
    vault, db = await service.keyring.open(), service.db
    [channel] = channels_of(db, person)
    [webhook] = endpoint_keys(db, vault, EndpointId(f"ep_{name}"), NOW)
    login = account_credentials(db, vault, account(db, AccountId(f"acc_{name}")))
    target = open_target(db, vault, person, "mail", channel.row_version, channel.sealed)
    totp = open_totp_secret(db, vault, person, factor(db, person))
    return [login["secret"].reveal(), target["address"], webhook.secret.reveal(), totp.reveal()]


async def test_a_leaked_root_key_takes_every_data_key_with_it_and_another_rotation_none(
    service: Service,
) -> None:
    person, stored = await everything_of(service, "ada")
    assert set(stored) == {"account", "totp", "channel", "webhook"}
    before = person_key(service.db, person)
    await service.ask("key_rotate")
    await service.rewrap()
    assert person_key(service.db, person).id == before.id
    assert stored_of(service, person) == stored
    await service.ask("key_rotate", leaked=True)
    assert (await service.rewrap())["done"]
    after = person_key(service.db, person)
    assert after.id != before.id
    for kind, sealed in stored_of(service, person).items():
        assert sealed != stored[kind]
        assert before.id not in sealed
        assert after.id in sealed
    secrets = ["paper:1000:ada", "ada@example.org", "webhook", "totp"]
    assert await opened_of(service, "ada", person) == secrets


async def test_what_was_read_before_its_data_key_was_renewed_opens_all_the_same(
    service: Service,
) -> None:
    person, _ = await everything_of(service, "ada")
    db, endpoint = service.db, EndpointId("ep_ada")
    login, codes = account(db, AccountId("acc_ada")), factor(db, person)
    [channel], [webhook] = channels_of(db, person), endpoint_secrets(db, endpoint)
    await service.ask("key_rotate", leaked=True)
    await service.rewrap()
    vault = await service.keyring.open()
    assert account_credentials(db, vault, login)["secret"].reveal() == "paper:1000:ada"
    assert open_totp_secret(db, vault, person, codes).reveal() == "totp"
    assert open_target(db, vault, person, "mail", 1, channel.sealed)["address"]
    assert _opened(db, vault, webhook).reveal() == "webhook"
    # but only the same version of the same row, and only if it is there
    for stale in (
        lambda: account_credentials(db, vault, replace(login, row_version=2)),
        lambda: open_totp_secret(db, vault, person, replace(codes, totp_version=2)),
        lambda: open_target(db, vault, person, "mail", 2, channel.sealed),
        lambda: open_target(db, vault, person, "chat", 1, channel.sealed),
        lambda: _opened(db, vault, replace(webhook, row_version=2)),
        lambda: _opened(db, vault, replace(webhook, id="whs_gone")),
    ):
        with pytest.raises(VaultError):
            stale()


async def test_a_renewal_that_was_cut_short_goes_on_as_one(service: Service) -> None:
    people = [await service.person(f"p{number}") for number in range(203)]
    await service.ask("key_rotate", leaked=True)
    await service.ask("key_rewrap", batches=1)
    service.context.keyring = Keyring(  # another process, which was told nothing of a leak
        service.context.ledger,
        SystemClock(),
        SecretPlace(str(service.file), service.file),
        Secret(service.file.read_text().strip()),
    )
    assert (await service.rewrap())["done"]
    assert [each.name for each in people if person_key(service.db, each.id).id == each.key.id] == []


async def test_a_secret_that_does_not_open_stops_no_renewal_and_a_data_key_that_does_not_stays(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    ada, _ = await everything_of(service, "ada")
    bob, _ = await everything_of(service, "bob")
    service.db.execute("UPDATE factor SET totp_sealed = x'00' WHERE person_id = ?", (ada,))
    service.db.execute("UPDATE person SET key_wrapped = x'00' WHERE id = ?", (bob,))
    before = person_key(service.db, ada).id
    told = await service.ask("key_rotate", leaked=True)
    left = await service.rewrap()
    assert person_key(service.db, ada).id != before
    assert person_key(service.db, bob).kid == KID
    assert left["left"][KID]["data_keys"] == 1
    assert not left["done"]
    assert "a secret stays as it is" in caplog.text
    assert "a data key stays as it is" in caplog.text
    with pytest.raises(RexAlgoError, match="still needed"):
        await service.ask("key_remove", kid=told["old"][0])
