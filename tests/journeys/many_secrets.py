"""A place with many sealed secrets and sessions, written into its ledger as the engine writes them, and
a count of those that do not open.
"""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import trio
from journey_place import Place

from engine.identity.references import capability_hash, new_secret_id
from engine.identity.second_factor import new_totp_secret
from engine.keys.sealed_secrets import (
    account_credentials,
    endpoint_keys,
    new_person,
    open_totp_secret,
    open_vault,
    seal_totp_secret,
)
from engine.keys.session_keys import SessionKeys
from engine.keys.vault import Vault, VaultError
from engine.ledger import Database, Ledger
from engine.ledger.identity import all_people, factor, set_totp
from engine.ledger.people import accounts, endpoints, insert_person
from engine.ledger.sessions import SessionRow, insert_session
from engine.settings.config import Config, load_config

AT_ONCE: Final = 500
"""How many people are written in one transaction."""


def plant(place: Place, people: int, sessions: int) -> list[str]:
    """Add people with a sealed second factor each, and a session for the first ones; return the
    cookies. No server runs.
    """
    return trio.run(_plant, load_config(place.folder, {}), people, sessions)


async def _plant(config: Config, people: int, sessions: int) -> list[str]:
    now, cookies = datetime.now(UTC), list[str]()
    keys = SessionKeys(config.session_key_place, config.secrets.jwt_secret).current()
    ledger, vault = await _opened(config)

    def write(numbers: range, db: Database) -> None:
        for number in numbers:
            new = new_person(vault, f"person-{number:05}")
            insert_person(db, new.name, new.key, now)
            sealed = seal_totp_secret(vault, new.key, 1, new_totp_secret())
            set_totp(db, identifier=new.id, sealed=sealed, version=1, step=0, at=now)
            if number < sessions:
                sid, ends = new_secret_id(), now + timedelta(days=7)
                row = SessionRow(
                    id=f"ses_{number}",
                    person=new.id,
                    created_at=now,
                    seen_at=now,
                    expires_at=ends,
                    idle=timedelta(hours=12),
                    confirmed_at=now,
                    revoked=False,
                    address="192.0.2.1",
                    agent="",
                )
                insert_session(db, capability_hash(sid), row)
                cookies.append(keys.write(new.id, sid, now, ends))

    try:
        for first in range(0, people, AT_ONCE):
            await ledger.write(partial(write, range(first, min(people, first + AT_ONCE))))
    finally:
        await ledger.aclose()
    return cookies


async def _opened(config: Config) -> tuple[Ledger, Vault]:
    assert config.secrets.encryption_key is not None
    ledger = Ledger.open(config.ledger.path, inline=True)
    return ledger, await open_vault(ledger, config.secrets.encryption_key)


def open_all(place: Place) -> tuple[int, int]:
    """Open every sealed secret with the keys that are stored now; return how many opened, and how
    many did not. No server runs.
    """
    return trio.run(_open_all, load_config(place.folder, {}))


async def _open_all(config: Config) -> tuple[int, int]:
    opened = failed = 0
    ledger, vault = await _opened(config)
    db, now = ledger.db, datetime.now(UTC)
    opens = [
        *(partial(account_credentials, db, vault, row) for row in accounts(db)),
        *(partial(endpoint_keys, db, vault, row.id, now) for row in endpoints(db)),
        *(
            partial(open_totp_secret, db, vault, person.id, row)
            for person in all_people(db)
            if (row := factor(db, person.id)).totp_sealed is not None
        ),
    ]
    try:
        for each in opens:
            try:
                each()
            except VaultError:
                failed += 1
            else:
                opened += 1
    finally:
        await ledger.aclose()
    return opened, failed
