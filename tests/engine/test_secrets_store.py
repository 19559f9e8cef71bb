"""Between ledger and vault: a sealed secret opens only in its own place, and only with the keys of
its ledger.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.domain.identifiers import AccountId, EndpointId
from engine.keys.sealed_secrets import (
    NewPerson,
    account_credentials,
    credentials_print,
    ended_endpoint_keys,
    endpoint_keys,
    new_person,
    open_totp_secret,
    open_vault,
    seal_credentials,
    seal_endpoint_secret,
    seal_totp_secret,
)
from engine.keys.vault import Vault, VaultError, new_root_key
from engine.ledger import Ledger
from engine.ledger.identity import FactorRow
from engine.ledger.people import AccountRow, expire_secrets, insert_endpoint_secret, insert_person
from engine.ledger.root_keys import canaries
from engine.ports.secret import Secret

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ENDPOINT, ACCOUNT = EndpointId("ep"), AccountId("a")
OLD, NEW = new_root_key(), new_root_key()
LOGIN = {"key": Secret("k-1"), "secret": Secret("s-1")}


@dataclass
class Place:
    """A ledger with a person, and its vault."""

    ledger: Ledger
    vault: Vault
    ann: NewPerson


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    ledger = Ledger.in_memory()
    vault = await open_vault(ledger, Secret(OLD))
    ann = new_person(vault, "ann")
    db = ledger.db
    insert_person(db, ann.name, ann.key, NOW)
    db.execute("INSERT INTO master VALUES ('m', 'm', ?)", (ann.id,))
    db.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0);"
        " INSERT INTO endpoint (id, strategy_id, source) VALUES ('ep', 's', 'signed_webhook')"
    )
    yield Place(ledger, vault, ann)
    await ledger.aclose()


async def test_a_ledger_opens_only_with_every_root_key_it_was_written_with(place: Place) -> None:
    assert set(canaries(place.ledger.db)) == {OLD[:8]}
    await open_vault(place.ledger, Secret(OLD))  # nothing new to remember
    rotated = await open_vault(place.ledger, Secret(f"{NEW},{OLD}"))
    assert set(canaries(place.ledger.db)) == {OLD[:8], NEW[:8]}
    assert rotated.active_kid == NEW[:8]
    with pytest.raises(VaultError, match=OLD[:8]):
        await open_vault(place.ledger, Secret(NEW))
    other = OLD[:8] + new_root_key()[8:]
    with pytest.raises(VaultError, match=OLD[:8]):
        await open_vault(place.ledger, Secret(f"{NEW},{other}"))


async def test_credentials_open_in_their_own_row_and_version_only(place: Place) -> None:
    sealed = seal_credentials(place.vault, place.ann.key, ACCOUNT, 1, LOGIN)
    row = AccountRow(
        id=ACCOUNT,
        name="ann1",
        person=place.ann.id,
        exchange="paper",
        environment="paper",
        sealed=sealed,
        row_version=1,
    )
    opened = account_credentials(place.ledger.db, place.vault, row)
    assert {name: each.reveal() for name, each in opened.items()} == {"key": "k-1", "secret": "s-1"}
    for moved in (replace(row, id=AccountId("b")), replace(row, row_version=2)):
        with pytest.raises(VaultError):
            account_credentials(place.ledger.db, place.vault, moved)


async def test_the_same_login_is_recognised_and_another_exchange_is_another_login(
    place: Place,
) -> None:
    printed = credentials_print(place.vault, "paper", LOGIN)
    assert printed == credentials_print(
        place.vault, "paper", dict(reversed(LOGIN.items())), OLD[:8]
    )
    assert printed.startswith(f"{OLD[:8]}:")
    assert printed != credentials_print(place.vault, "mudrex", LOGIN)
    with pytest.raises(VaultError):
        credentials_print(place.vault, "paper", LOGIN, "00000000")


async def test_a_second_factor_opens_for_its_person_and_version_and_is_missed_in_words(
    place: Place,
) -> None:
    row = FactorRow(
        password=None,
        password_at=None,
        totp_sealed=seal_totp_secret(place.vault, place.ann.key, 3, Secret("JBSW")),
        totp_version=3,
        totp_at=NOW,
        totp_step=0,
    )
    assert open_totp_secret(place.ledger.db, place.vault, place.ann.id, row).reveal() == "JBSW"
    with pytest.raises(VaultError):
        open_totp_secret(place.ledger.db, place.vault, place.ann.id, replace(row, totp_version=4))
    with pytest.raises(LookupError, match="no second factor"):
        open_totp_secret(place.ledger.db, place.vault, place.ann.id, replace(row, totp_sealed=None))


async def test_webhook_secrets_are_valid_until_they_run_out_and_cannot_be_lent_to_another_endpoint(
    place: Place,
) -> None:
    db = place.ledger.db
    first = seal_endpoint_secret(place.vault, place.ann.key, ENDPOINT, Secret("one"))
    insert_endpoint_secret(db, first, NOW)
    expire_secrets(db, ENDPOINT, NOW + timedelta(hours=1))
    insert_endpoint_secret(
        db,
        seal_endpoint_secret(place.vault, place.ann.key, ENDPOINT, Secret("two")),
        NOW + timedelta(seconds=1),
    )
    keys = endpoint_keys(db, place.vault, ENDPOINT, NOW)
    assert [each.secret.reveal() for each in keys] == ["two", "one"]
    later = NOW + timedelta(hours=2)
    assert [each.is_valid(later) for each in keys] == [True, False]
    assert [each.secret.reveal() for each in endpoint_keys(db, place.vault, ENDPOINT, later)] == [
        "two"
    ]
    assert [
        each.secret.reveal() for each in ended_endpoint_keys(db, place.vault, ENDPOINT, later, 5)
    ] == ["one"]
    db.execute("UPDATE endpoint_secret SET row_version = 2 WHERE id = ?", (first.id,))
    assert (
        ended_endpoint_keys(db, place.vault, ENDPOINT, later, 5) == ()
    )  # it does not open any more, and is left out
    db.execute(
        "INSERT INTO endpoint (id, strategy_id, source) VALUES ('other', 's', 'signed_webhook')"
    )
    insert_endpoint_secret(db, replace(first, id="lent", endpoint=EndpointId("other")), NOW)
    with pytest.raises(VaultError):
        endpoint_keys(db, place.vault, EndpointId("other"), NOW)
