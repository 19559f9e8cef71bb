"""What a check of an account reads from the ledger: what was agreed to, and since when we have its
credentials.
"""

from dataclasses import dataclass
from datetime import datetime

from engine.domain.identifiers import AccountId
from engine.domain.subscription import CopyPolicy
from engine.ledger.codec import from_us, read_policy
from engine.ledger.outcomes import write_event
from engine.ledger.query import Database, fetch_all, fetch_one

EVENT = "credentials"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What one account agreed to for one strategy, by the strategy's name."""

    strategy: str
    policy: CopyPolicy


def agreements(db: Database, account: AccountId) -> list[Agreement]:
    """Read an account's subscriptions, by the name of the strategy."""
    rows = fetch_all(
        db,
        "SELECT strategy.name, policy FROM subscription JOIN strategy ON strategy.id = "
        "subscription.strategy_id"
        " WHERE account_id = ? AND subscription.state != 'left'",
        (account,),
    )
    return [Agreement(name, read_policy(policy)) for name, policy in sorted(rows)]


def note_new_credentials(db: Database, account_name: str, now: datetime) -> None:
    """Record that an account was given new credentials now."""
    write_event(db, kind=EVENT, subject=account_name, data={"changed": True}, at=now)


def credentials_since(db: Database, account: AccountId) -> datetime:
    """Read when we were given an account's current credentials; raises LookupError if there is no
    such account.
    """
    row = fetch_one(
        db,
        "SELECT account.created_us, coalesce((SELECT at_us FROM event WHERE kind = ? AND subject = "
        "account.name AND copy_id IS NULL"
        " ORDER BY sequence DESC LIMIT 1), 0) FROM account WHERE id = ?",
        (EVENT, account),
    )
    if row is None:
        raise LookupError(f"the ledger has no account {account}")
    return from_us(max(row))
