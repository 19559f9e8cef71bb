"""Between ledger and vault: what the ledger keeps sealed is opened here for the moment of use, and
sealed here before it is stored.

What always holds: a secret opens only in the row, owner and row version it was sealed for; nothing
is cached (opening costs about ten microseconds); no message names more than table, column and row.
"""

import json
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.domain.identifiers import AccountId, EndpointId, PersonId
from engine.keys.vault import (
    DataKey,
    FieldPlace,
    RootKeys,
    Vault,
    VaultError,
    WrappedKey,
    parse_root_keys,
)
from engine.ledger import Database, Ledger
from engine.ledger.identity import FactorRow, factor
from engine.ledger.messages import channels_of
from engine.ledger.people import (
    AccountRow,
    EndpointSecretRow,
    PersonKey,
    account,
    endpoint_secrets,
    endpoint_secrets_sealed_for,
    person_key,
)
from engine.ledger.resealing import (
    accounts_sealed_for,
    replace_person_key,
    reseal_account,
    reseal_channel,
    reseal_endpoint_secret,
    reseal_totp,
)
from engine.ledger.root_keys import canaries, disabled_kids, kept_audit_keys, put_canary
from engine.ports.secret import Secret

_COLUMN: Final = "sealed"
_LOG: Final = logging.getLogger("rexalgo.keys")


async def open_vault(ledger: Ledger, encryption_key: Secret, now: datetime | None = None) -> Vault:
    """Open the vault and prove that it has every root key this ledger needs; record new keys as
    first seen at ``now``.

    A disabled root key is left out, even if it is still stored. Raises VaultError for an unfit key,
    and naming the kid if it is missing, differs from the key seen before, or is first though
    disabled.
    """
    keys, disabled = parse_root_keys(encryption_key), disabled_kids(ledger.db)
    if keys.active in disabled:
        raise VaultError(
            f"root key {keys.active} stands first in ENCRYPTION_KEY and was removed from this "
            "place: put another one first"
        )
    vault = Vault(
        RootKeys(keys.active, {kid: key for kid, key in keys.by_kid.items() if kid not in disabled})
    )
    stored = canaries(ledger.db)
    for kid, sealed in stored.items():
        vault.check_canary(kid, sealed)
    new = {kid: vault.seal_canary(kid) for kid in sorted(vault.kids) if kid not in stored}

    def remember(db: Database) -> None:
        for kid, sealed in new.items():
            put_canary(db, kid, sealed, now)

    if new:
        await ledger.write(remember)
    return vault


def audit_key_of(db: Database, vault: Vault, kid: str) -> bytes:
    """Return the audit key of a root key, from that key or, if it is gone, as it was kept; raises
    VaultError if there is neither.
    """
    kept = kept_audit_keys(db).get(kid)
    if kid in vault.kids or kept is None:
        return vault.derive("audit", kid)
    return vault.open_audit_key(kid, *kept)


# People


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A person who is not in the ledger yet, with the wrapped data key to store."""

    name: str
    key: PersonKey

    @property
    def id(self) -> PersonId:
        """Return the person's id."""
        return self.key.person


def new_person(vault: Vault, name: str) -> NewPerson:
    """Create a person with a fresh id and data key; the caller inserts it."""
    wrapped = vault.new_data_key(f"per_{secrets.token_hex(16)}")
    return NewPerson(
        name, PersonKey(PersonId(wrapped.person), wrapped.id, wrapped.kid, wrapped.blob)
    )


def _data_key(vault: Vault, key: PersonKey) -> DataKey:
    return vault.unwrap(WrappedKey(key.id, key.person, key.kid, key.wrapped))


# Exchange credentials


def seal_credentials(
    vault: Vault,
    key: PersonKey,
    account: AccountId,
    row_version: int,
    credentials: Mapping[str, Secret],
) -> bytes:
    """Seal an account's credentials for exactly this account and row version; ``key`` is the
    person's.
    """
    place = _account_place(key.person, account, row_version)
    return vault.seal(_data_key(vault, key), Secret(_as_text(credentials)), place)


def account_credentials(db: Database, vault: Vault, row: AccountRow) -> Mapping[str, Secret]:
    """Open an account's credentials by field name; raises VaultError if row, owner or version is
    not what was sealed.
    """
    place = _account_place(row.person, row.id, row.row_version)

    def read_again() -> bytes | None:
        with suppress(LookupError):  # an account that is gone has nothing to read
            now = account(db, row.id)
            if (now.person, now.row_version) == (row.person, row.row_version):
                return now.sealed
        return None

    opened = _open(db, vault, place, row.sealed, read_again)
    return {name: Secret(text) for name, text in json.loads(opened.reveal()).items()}


def _account_place(person: PersonId, identifier: AccountId, row_version: int) -> FieldPlace:
    return FieldPlace(
        table="account",
        column=_COLUMN,
        primary_key=identifier,
        owner=person,
        row_version=row_version,
    )


def credentials_print(
    vault: Vault, exchange: str, credentials: Mapping[str, Secret], kid: str | None = None
) -> str:
    """Compute ``kid:fingerprint`` of one exchange login: equal for equal logins, and meaningless
    without the key.

    Raises VaultError if ``kid`` is no longer among the root keys.
    """
    chosen = vault.active_kid if kid is None else kid
    return (
        f"{chosen}:{vault.fingerprint(Secret(f'{exchange}|{_as_text(credentials)}'), chosen).hex()}"
    )


def login_prints(vault: Vault, exchange: str, credentials: Mapping[str, Secret]) -> list[str]:
    """Compute a login's fingerprint under every available root key, the active one first."""
    kids = sorted(vault.kids, key=lambda kid: kid != vault.active_kid)
    return [credentials_print(vault, exchange, credentials, kid) for kid in kids]


def _as_text(credentials: Mapping[str, Secret]) -> str:
    return json.dumps(
        {name: secret.reveal() for name, secret in credentials.items()}, sort_keys=True
    )


# Second factors


def seal_totp_secret(vault: Vault, key: PersonKey, row_version: int, secret: Secret) -> bytes:
    """Seal the secret of a person's authenticator app for this row version."""
    return vault.seal(_data_key(vault, key), secret, _totp_place(key.person, row_version))


def open_totp_secret(db: Database, vault: Vault, person: PersonId, row: FactorRow) -> Secret:
    """Open the secret of a person's authenticator app; raises VaultError, and LookupError if none
    is set.
    """
    if row.totp_sealed is None:
        raise LookupError(f"person {person} has no second factor")

    def read_again() -> bytes | None:
        now = factor(db, person)
        return now.totp_sealed if now.totp_version == row.totp_version else None

    place = _totp_place(person, row.totp_version)
    return _open(db, vault, place, row.totp_sealed, read_again)


def _totp_place(person: PersonId, row_version: int) -> FieldPlace:
    return FieldPlace(
        table="factor",
        column="totp_sealed",
        primary_key=person,
        owner=person,
        row_version=row_version,
    )


# Where a person is told


def seal_target(
    vault: Vault, key: PersonKey, channel: str, row_version: int, target: Mapping[str, str]
) -> bytes:
    """Seal the target of a person's channel for this row version."""
    text = Secret(json.dumps(dict(target), sort_keys=True))
    return vault.seal(_data_key(vault, key), text, _target_place(key.person, channel, row_version))


def open_target(
    db: Database, vault: Vault, person: PersonId, channel: str, row_version: int, sealed: bytes
) -> Mapping[str, str]:
    """Open the target of a person's channel; raises VaultError."""

    def read_again() -> bytes | None:
        rows = [each for each in channels_of(db, person) if each.channel == channel]
        return rows[0].sealed if rows and rows[0].row_version == row_version else None

    place = _target_place(person, channel, row_version)
    opened = _open(db, vault, place, sealed, read_again)
    target: dict[str, str] = json.loads(opened.reveal())
    return target


def _target_place(person: PersonId, channel: str, row_version: int) -> FieldPlace:
    return FieldPlace(
        table="person_channel",
        column=_COLUMN,
        primary_key=f"{person}/{channel}",
        owner=person,
        row_version=row_version,
    )


# Webhook secrets


def seal_endpoint_secret(
    vault: Vault, key: PersonKey, endpoint: EndpointId, secret: Secret
) -> EndpointSecretRow:
    """Seal a webhook secret as a new row, valid until replaced; ``key`` is the owner's. The caller
    inserts it.
    """
    identifier = f"whs_{secrets.token_hex(16)}"
    sealed = vault.seal(
        _data_key(vault, key), secret, _secret_place(endpoint, identifier, key.person, 1)
    )
    return EndpointSecretRow(
        id=identifier,
        endpoint=endpoint,
        owner=key.person,
        sealed=sealed,
        row_version=1,
        valid_until=None,
    )


def _secret_place(
    endpoint: EndpointId, identifier: str, owner: PersonId, row_version: int
) -> FieldPlace:
    # The endpoint is part of the binding, so that a row cannot be used for another endpoint of the
    # same master.
    return FieldPlace(
        table="endpoint_secret",
        column=_COLUMN,
        primary_key=f"{endpoint}/{identifier}",
        owner=owner,
        row_version=row_version,
    )


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """One opened webhook secret; ``valid_until`` None: until replaced."""

    id: str
    secret: Secret
    valid_until: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Return whether it may still verify deliveries."""
        return self.valid_until is None or self.valid_until > now


def endpoint_keys(
    db: Database, vault: Vault, endpoint: EndpointId, now: datetime
) -> tuple[EndpointKey, ...]:
    """Open the secrets of an endpoint that are valid at ``now``, newest first. Raises VaultError if
    one does not open.
    """
    rows = endpoint_secrets(db, endpoint)
    keys = (
        EndpointKey(row.id, _opened(db, vault, row), row.valid_until)
        for row in rows
        if row.valid_until is None or row.valid_until > now
    )
    return tuple(keys)


def ended_endpoint_keys(
    db: Database, vault: Vault, endpoint: EndpointId, now: datetime, limit: int
) -> tuple[EndpointKey, ...]:
    """Open the newest secrets of an endpoint that are no longer valid, to recognise a sender that
    still uses one.

    One that does not open, because its root key is gone, is left out.
    """
    keys = []
    for row in [
        each
        for each in endpoint_secrets(db, endpoint)
        if each.valid_until is not None and each.valid_until <= now
    ][:limit]:
        with suppress(VaultError):
            keys.append(EndpointKey(row.id, _opened(db, vault, row), row.valid_until))
    return tuple(keys)


def _opened(db: Database, vault: Vault, row: EndpointSecretRow) -> Secret:
    def read_again() -> bytes | None:
        rows = [each for each in endpoint_secrets(db, row.endpoint) if each.id == row.id]
        return rows[0].sealed if rows and rows[0].row_version == row.row_version else None

    place = _secret_place(row.endpoint, row.id, row.owner, row.row_version)
    return _open(db, vault, place, row.sealed, read_again)


# Another data key


def _open(
    db: Database,
    vault: Vault,
    place: FieldPlace,
    sealed: bytes,
    read_again: Callable[[], bytes | None],
) -> Secret:
    """Open a field. If its person got another data key since it was read, it is read once more."""
    owner = PersonId(place.owner)
    try:
        return vault.open(_data_key(vault, person_key(db, owner)), sealed, place)
    except VaultError:
        now = read_again()
        if now is None or now == sealed:
            raise
        return vault.open(_data_key(vault, person_key(db, owner)), now, place)


def renew_data_key(db: Database, vault: Vault, person: PersonId) -> None:
    """Give a person another data key and seal everything of theirs again under it, within the
    caller's transaction; raises VaultError if their data key does not open.

    A field that does not open is lost already, and stays as it is.
    """
    key = person_key(db, person)
    old, wrapped = _data_key(vault, key), vault.new_data_key(person)
    new = vault.unwrap(wrapped)

    def again(sealed: bytes, place: FieldPlace) -> bytes:
        try:
            return vault.seal(new, vault.open(old, sealed, place), place)
        except VaultError as error:
            _LOG.error("a secret stays as it is: %s", error)
            return sealed

    for identifier in accounts_sealed_for(db, person):
        row = account(db, identifier)
        place = _account_place(person, row.id, row.row_version)
        reseal_account(db, row.id, again(row.sealed, place))
    for secret in endpoint_secrets_sealed_for(db, person):
        place = _secret_place(secret.endpoint, secret.id, person, secret.row_version)
        reseal_endpoint_secret(db, secret.id, again(secret.sealed, place))
    factors = factor(db, person)
    if factors.totp_sealed is not None:
        place = _totp_place(person, factors.totp_version)
        reseal_totp(db, person, again(factors.totp_sealed, place))
    for each in channels_of(db, person):
        place = _target_place(person, each.channel, each.row_version)
        reseal_channel(db, person, each.channel, again(each.sealed, place))
    replace_person_key(db, PersonKey(person, wrapped.id, wrapped.kid, wrapped.blob))


__all__ = [
    "EndpointKey",
    "NewPerson",
    "VaultError",
    "account_credentials",
    "audit_key_of",
    "credentials_print",
    "ended_endpoint_keys",
    "endpoint_keys",
    "login_prints",
    "new_person",
    "open_vault",
    "open_target",
    "open_totp_secret",
    "renew_data_key",
    "seal_credentials",
    "seal_endpoint_secret",
    "seal_target",
    "seal_totp_secret",
]
