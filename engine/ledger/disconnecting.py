"""Disconnect an account in the ledger. Its history stays, under a name of its own, for its former
owner; an operator's stop of it applies to the account that replaces it.
"""

from dataclasses import replace
from datetime import datetime

from engine.domain.holding import SwitchScope
from engine.domain.identifiers import AccountId, CopyId, own_name
from engine.domain.outcome import Outcome, OutcomeCode
from engine.ledger.codec import to_us
from engine.ledger.locking import Held, lock
from engine.ledger.outcomes import conclude
from engine.ledger.people import AccountRow
from engine.ledger.query import Database, fetch_all
from engine.ledger.reports import clear_switch, set_switch, switches


def disconnect_account(db: Database, account: AccountId, name: str, at: datetime) -> None:
    """Disconnect an account: it leaves every strategy, nothing waits or is held for it any more,
    and its name is free again.

    What waited ends as left; what was held is the owner's from now on, in the books too. The
    history stays. The owner's own switch is removed, so that nobody is asked to resume an account
    that is gone; an operator's switch stays for the account that replaces it (``keep_stops``).
    """
    lock(db, Held.ACCOUNT, account)
    for copy, leg in fetch_all(
        db,
        "SELECT copy_id, number FROM leg WHERE account_id = ? AND state = 'new' ORDER BY number",
        (account,),
    ):
        conclude(db, copy=CopyId(copy), leg=leg, outcome=Outcome(OutcomeCode.SKIPPED_LEFT), at=at)
    db.execute(
        "UPDATE account SET disconnected_us = ?, name = ? WHERE id = ?", (to_us(at), name, account)
    )
    clear_switch(
        db,
        scope=SwitchScope.ACCOUNT,
        target=own_name(name),
        by="disconnecting",
        at=at,
        is_owners=True,
    )
    db.execute("UPDATE subscription SET state = 'left' WHERE account_id = ?", (account,))
    db.execute("DELETE FROM holding WHERE account_id = ?", (account,))
    db.execute("DELETE FROM book WHERE account_id = ?", (account,))


def keep_stops(db: Database, account: AccountRow, at: datetime) -> None:
    """Stop a new account as the ones it may replace are stopped: those of its owner at the same
    exchange that are disconnected. Connecting the key again is no way around an operator's stop.

    A name that a connected account of theirs at this exchange has taken over is replaced already.
    """
    lock(db, Held.PLACE)
    former: set[str] = set()
    present: set[str] = set()
    for name, is_former in fetch_all(
        db,
        "SELECT name, disconnected_us IS NOT NULL FROM account WHERE person_id = ? AND exchange = ?",
        (account.person, account.exchange),
    ):
        (former if is_former else present).add(own_name(name) if is_former else name)
    for each in switches(db):
        was_set = not each.is_owners and not each.person
        if was_set and each.scope is SwitchScope.ACCOUNT and each.target in former - present:
            note = f"stopped as {each.target}, now disconnected: {each.note or 'no note'}"
            set_switch(db, replace(each, target=account.name, note=note, set_at=at))
