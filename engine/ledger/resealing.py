"""Write secrets that were sealed again under another data key of their person: the same rows, in the
same version.

What always holds: whoever writes these writes the person's new data key in the same transaction.
"""

from engine.domain.identifiers import AccountId, PersonId
from engine.ledger.people import PersonKey
from engine.ledger.query import Database, fetch_all
from engine.ledger.root_keys import refuse_disabled


def replace_person_key(db: Database, key: PersonKey) -> None:
    """Write another data key of a person in place of theirs. Raises RootKeyDisabled."""
    refuse_disabled(db, key.kid)
    db.execute(
        "UPDATE person SET key_id = ?, key_kid = ?, key_wrapped = ? WHERE id = ?",
        (key.id, key.kid, key.wrapped, key.person),
    )


def accounts_sealed_for(db: Database, person: PersonId) -> list[AccountId]:
    """List a person's accounts, those that were disconnected too."""
    rows = fetch_all(db, "SELECT id FROM account WHERE person_id = ? ORDER BY id", (person,))
    return [AccountId(row[0]) for row in rows]


def reseal_account(db: Database, account: AccountId, sealed: bytes) -> None:
    """Write an account's credentials, sealed again."""
    db.execute("UPDATE account SET sealed = ? WHERE id = ?", (sealed, account))


def reseal_endpoint_secret(db: Database, identifier: str, sealed: bytes) -> None:
    """Write a webhook secret, sealed again."""
    db.execute("UPDATE endpoint_secret SET sealed = ? WHERE id = ?", (sealed, identifier))


def reseal_totp(db: Database, person: PersonId, sealed: bytes) -> None:
    """Write the secret of a person's authenticator app, sealed again."""
    db.execute("UPDATE factor SET totp_sealed = ? WHERE person_id = ?", (sealed, person))


def reseal_channel(db: Database, person: PersonId, channel: str, sealed: bytes) -> None:
    """Write the target of a person's channel, sealed again."""
    db.execute(
        "UPDATE person_channel SET sealed = ? WHERE person_id = ? AND channel = ?",
        (sealed, person, channel),
    )
