"""Move what needs an older root key under the active one: data keys, the fingerprints of logins,
and the audit keys of older root keys.

Theory. Two things outlive a root key without being sealed under it: both are derived from it. The
fingerprint of an exchange login finds its account again; it is computed again from the stored
login. An audit row is sealed with a key derived from the root key of its day, and may never be
written again; so that derived key is kept, sealed under the active root key, and the chain verifies
without the old one.

What always holds: a batch and the cursor that moved past it are one transaction, at most ``BATCH``
rows each, so that a kill leaves whole batches behind and signals are recorded between them; what
does not open stays where it is and is counted, never skipped silently. Fields need nothing: they
are sealed under data keys, which stay the same, unless a root key leaked. Then whoever has it and a
copy of the ledger has the data keys too, so everybody gets another one, and their secrets are sealed
again in the transaction that writes it.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from engine.domain.identifiers import AccountId, PersonId
from engine.keys.sealed_secrets import account_credentials, credentials_print, renew_data_key
from engine.keys.vault import Vault, VaultError, WrappedKey
from engine.ledger import Database
from engine.ledger.identity import account_of_login, forget_login, remember_login
from engine.ledger.people import account, account_named, person_key
from engine.ledger.root_keys import (
    PARTS,
    RewrapRow,
    advance_rewrap,
    begin_rewrap,
    counts_under,
    declared_under_others,
    kept_audit_keys,
    logins_under_others,
    persons_under_others,
    put_audit_key,
    set_declared_login,
    set_person_key,
)

BATCH: Final = 100
_LOG = logging.getLogger("rexalgo.keys")


def left_under_others(db: Database, kid: str) -> Mapping[str, Mapping[str, int]]:
    """Count by kid and kind what still needs a root key other than ``kid``; empty if nothing does."""
    return {other: counts for other, counts in counts_under(db, kid).items() if other != kid}


def begin(db: Database, vault: Vault, now: datetime, *, renews: bool = False) -> bool:
    """Start or continue the rewrap to the active root key, and keep the audit keys of the others;
    return True the first time. With ``renews`` it replaces data keys instead of moving them.
    """
    keep_audit_keys(db, vault)
    return begin_rewrap(db, vault.active_kid, now, renews=renews)


def keep_audit_keys(db: Database, vault: Vault) -> None:
    """Keep the audit key of every other root key under the active one, so that the chain verifies
    without them.
    """
    active, kept = vault.active_kid, kept_audit_keys(db)
    for kid, (under, sealed) in kept.items():
        if under != active and kid not in vault.kids:
            put_audit_key(db, kid, active, vault.rekeep_audit_key(kid, under, sealed))
    for kid in vault.kids - {active}:
        if kid not in kept or kept[kid][0] != active:
            put_audit_key(db, kid, active, vault.keep_audit_key(kid))


def move_batch(db: Database, vault: Vault, at: RewrapRow) -> bool:
    """Move the next rows of the rewrap's current part, and its cursor with them; return False once
    the last part is done.
    """
    move = _renewed_data_keys if at.renews and at.part == PARTS[0] else _MOVES[at.part]
    rows, moved = move(db, vault, at.cursor)
    if len(rows) == BATCH:
        advance_rewrap(db, kid=at.kid, part=at.part, cursor=rows[-1], moved=moved)
        return True
    later = PARTS[PARTS.index(at.part) + 1 :]
    advance_rewrap(db, kid=at.kid, part=later[0] if later else PARTS[0], cursor="", moved=moved)
    return bool(later)


def _data_keys(db: Database, vault: Vault, after: str) -> tuple[list[str], int]:
    people, moved = persons_under_others(db, vault.active_kid, after, BATCH), 0
    for person in people:
        key = person_key(db, PersonId(person))
        try:
            new = vault.rewrap(WrappedKey(key.id, key.person, key.kid, key.wrapped))
        except VaultError as error:
            _LOG.error("a data key stays as it is: %s", error)
            continue
        set_person_key(db, person, new.kid, new.blob)
        moved += 1
    return people, moved


def _renewed_data_keys(db: Database, vault: Vault, after: str) -> tuple[list[str], int]:
    people, moved = persons_under_others(db, vault.active_kid, after, BATCH), 0
    for person in people:
        try:
            renew_data_key(db, vault, PersonId(person))
        except VaultError as error:
            _LOG.error("a data key stays as it is: %s", error)
            continue
        moved += 1
    return people, moved


def _logins(db: Database, vault: Vault, after: str) -> tuple[list[str], int]:
    rows, moved = logins_under_others(db, vault.active_kid, after, BATCH), 0
    for _, identifier in rows:
        row = account(db, AccountId(identifier))
        try:
            new = credentials_print(vault, row.exchange, account_credentials(db, vault, row))
        except VaultError as error:
            _LOG.error(
                "the fingerprint of the login of account %s stays as it is: %s", row.name, error
            )
            continue
        if account_of_login(db, [new]) in (None, row.id):
            remember_login(db, new, row.id)
        else:  # another account has this very login by now: that one is found by it
            forget_login(db, row.id)
        moved += 1
    return [identifier for _, identifier in rows], moved


def _declared_logins(db: Database, vault: Vault, after: str) -> tuple[list[str], int]:
    """Mark a declared login again while it is the stored one; forget one that a person replaced,
    which says the same.
    """
    rows, moved = declared_under_others(db, vault.active_kid, after, BATCH), 0
    for name, marked in rows:
        try:
            new = _declared_anew(db, vault, name, marked)
        except VaultError as error:
            _LOG.error("the declared login of follower %s stays as it is: %s", name, error)
            continue
        set_declared_login(db, name, new)
        moved += 1
    return [name for name, _ in rows], moved


def _declared_anew(db: Database, vault: Vault, name: str, marked: str) -> str | None:
    row, kid = account_named(db, name), marked.partition(":")[0]
    if row is None or kid not in vault.kids:
        return None
    stored = account_credentials(db, vault, row)
    return (
        credentials_print(vault, row.exchange, stored)
        if credentials_print(vault, row.exchange, stored, kid) == marked
        else None
    )


_MOVES: Final = dict(zip(PARTS, (_data_keys, _logins, _declared_logins), strict=True))
