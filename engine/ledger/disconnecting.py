"""Disconnect an account in the ledger. Its history stays, under a name of its own, for its former
owner.
"""

from datetime import datetime

from engine.domain.holding import SwitchScope
from engine.domain.identifiers import AccountId, CopyId, own_name
from engine.domain.outcome import Outcome, OutcomeCode
from engine.ledger.codec import to_us
from engine.ledger.locking import Held, lock
from engine.ledger.outcomes import conclude
from engine.ledger.query import Database, fetch_all
from engine.ledger.reports import clear_switch


def disconnect_account(db: Database, account: AccountId, name: str, at: datetime) -> None:
    """Disconnect an account: it leaves every strategy, nothing waits or is held for it any more,
    and its name is free again.

    What waited ends as left; what was held is the owner's from now on, in the books too. The
    history stays. The owner's own switch is removed, so that nobody is asked to resume an account
    that is gone; an operator's switch stays for the next account with that name.
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
