"""What a check of an account reads from the ledger: what was agreed to, and since when we have its
credentials.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.domain.identifiers import AccountId
from engine.domain.outcome import OutcomeCode
from engine.domain.subscription import CopyPolicy
from engine.ledger.codec import from_us, read_policy
from engine.ledger.outcomes import write_event
from engine.ledger.query import Database, fetch_all, fetch_one

EVENT = "credentials"
_ANSWERED: Final = frozenset(
    each.value
    for each in (
        OutcomeCode.PLACED,
        OutcomeCode.PARTIALLY_FILLED,
        OutcomeCode.FILLED,
        OutcomeCode.CANCELLED,
        OutcomeCode.APPLIED,
        OutcomeCode.RESIDUE,
        OutcomeCode.REJECTED,
        OutcomeCode.REJECTED_BALANCE,
        OutcomeCode.REJECTED_CREDENTIALS,
    )
)
"""What only an answer of the exchange to an order makes of a copy."""


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


def is_key_refused(db: Database, account: AccountId) -> bool:
    """Return whether the exchange refused an account's key when it last answered to one of the newest
    copies, and the key is the same since.
    """
    rows = fetch_all(
        db,
        "SELECT outcome_us, code FROM copy WHERE account_id = ? ORDER BY signal_number DESC LIMIT 50",
        (account,),
    )
    at_us, code = max((each for each in rows if each[1] in _ANSWERED), default=(0, ""))
    return code == OutcomeCode.REJECTED_CREDENTIALS.value and from_us(at_us) >= credentials_since(
        db, account
    )
