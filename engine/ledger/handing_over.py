"""Hand a position of a strategy over to the owner of the account: the engine lets go, and nothing is
sent.
"""

from dataclasses import replace
from datetime import datetime

from engine.domain.amounts import ZERO, Price
from engine.domain.booking import Cause
from engine.domain.holding import NOTHING, Holding
from engine.ledger.books import OWNER, Change, change_share, write_fill
from engine.ledger.holdings import write_holding
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database


def hand_over(db: Database, holding: Holding, price: Price, at: datetime) -> None:
    """Make a share the owner's own, at ``price``: what came before is the strategy's result, what
    follows is the owner's.

    In the books the strategy closes and the owner enters at that price without a fee, so the wallet
    stays explained. The holding stays detached: no entry of the strategy there until its master
    closes or reverses. The caller has made sure that nothing of ours is on its way in the contract.
    """
    lock(db, Held.ACCOUNT, holding.account)
    closed = Change(
        is_entry=False,
        quantity=holding.share,
        at=at,
        cause=Cause.TAKEN_OVER,
        price=price,
        fee=ZERO,
    )
    after = change_share(db, holding, closed)
    write_holding(
        db, replace(after, detached=True, carried=NOTHING, stop_loss=None, take_profit=None)
    )
    write_fill(
        db,
        account=holding.account,
        strategy=OWNER,
        symbol=holding.symbol,
        side=holding.side,
        change=replace(closed, is_entry=True, cause=Cause.OWNER, position_id=holding.position_id),
    )
