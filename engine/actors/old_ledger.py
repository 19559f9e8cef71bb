"""Detect that a ledger is older than what was done in its name, and plan what a person's
confirmation would change for one account.

At the start the account's own history is asked, once, for orders that carry our mark and are not in
the ledger: filled orders never show among open ones. Until the first try has ended, at most 8 s, no
order of the account leaves and no reading corrects it; if it finds one, the account is frozen.
While it is frozen, readings correct nothing either, so that the plan shows everything that differs.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Final

import trio

from engine.actors.account import Account
from engine.actors.account_reader import AccountReader
from engine.actors.position_ids import PositionIds, Replaced
from engine.actors.reconciler import Reconciler
from engine.actors.wakeup import WakeUp
from engine.decisions.reconciliation import (
    Changed,
    Correction,
    ForeignOrders,
    LostOrders,
    ShareShrunk,
    Told,
    is_lacking,
)
from engine.decisions.routing import ENTRY
from engine.domain.amounts import plain
from engine.domain.order import OrderReport
from engine.ledger import Database
from engine.ledger.attempts import (
    accept_foreign,
    accepted_foreign,
    bound_order_ids,
    knows_client_order_id,
    newest_claim,
)
from engine.ledger.copies import waiting_legs
from engine.ledger.freeze import freeze
from engine.ledger.holdings import read_holdings
from engine.ledger.people import symbols_of

LOOK_BACK: Final = timedelta(days=7)
BEFORE: Final = timedelta(minutes=2)
AGAIN_S: Final = 15.0
SHOWN: Final = 5


class OldLedger:
    """The watch over one account whose ledger may be old."""

    def __init__(
        self,
        account: Account,
        position_ids: PositionIds,
        reconciler: Reconciler,
        reader: AccountReader,
    ) -> None:
        self._account = account
        self._position_ids = position_ids
        self._reconciler = reconciler
        self._reader = reader
        self.wakeup = WakeUp()
        self._is_asked_again = False
        self.shown = ""
        """The digest of the plan that was last shown to a person; empty if none was shown since the
        start.
        """

    async def run(self) -> float | None:
        """Ask the account's history once; return after how many seconds to ask it again, None once
        it has answered. The account's own reading connects it.
        """
        account, history = self._account, self._account.history
        await account.wait_read()
        looked, pause_s = False, AGAIN_S
        if self._is_asked_again:
            looked = await self._look()
        else:
            if history.is_open:
                with trio.move_on_after(history.left_s):
                    looked = await self._look()
            else:
                pause_s = 0.0
            await self._look_ended()
        # the mark beside the ledger is the first guard; this one is asked until it has answered
        self._is_asked_again = not looked
        return None if looked else pause_s

    async def _look(self) -> bool:
        """Ask once, and freeze the account if its history has what the ledger lacks; return False
        if it could not be asked.
        """
        account = self._account
        if account.session is None:
            return False
        try:
            lost = await self.lost_orders()
        except Exception as error:  # whatever it is: asked again in a moment
            account.note("its history could not be asked for orders that the ledger lacks", error)
            return False
        if lost:
            cause = (
                f"the exchange has {_orders(len(lost))} of ours that the ledger lacks: the ledger "
                "is older"
            )
            at = account.shared.clock.now()
            await account.shared.ledger.write(
                lambda db: freeze(db, account=account.id, name=account.name, cause=cause, at=at)
            )
        return True

    async def _look_ended(self) -> None:
        """Let the account begin: first what its newest reading corrects, then its orders."""
        self._account.history.was_tried()
        await self._reader.judge_newest()
        self._account.history.looked.set()
        if self._account.report is not None and self._account.report.positions:
            self._account.protection.wake()
        self._account.reconsider()

    async def lost_orders(self) -> list[OrderReport]:
        """Read the orders that carry our mark, are not in the ledger, and were not accepted by
        anybody as another ledger's.
        """
        account, db = self._account, self._account.shared.ledger.db
        session = await account.connected()
        if not session.tells_our_ids:
            return []
        earliest = account.shared.clock.now() - LOOK_BACK
        since = max(earliest, newest_claim(db, account.id) or earliest) - BEFORE
        lost: list[OrderReport] = []
        for symbol in sorted(symbols_of(db, account.id)):
            history = await session.find_orders(symbol, since, for_books=True)
            ids = [each.exchange_order_id for each in history.orders]
            known_ids = bound_order_ids(db, account.id, ids) | accepted_foreign(db, account.id, ids)
            lost += [
                each
                for each in history.orders
                if is_lacking(each, known_ids, partial(knows_client_order_id, db))
            ]
        return lost

    # What a confirmation would change

    async def plan(self) -> tuple[Correction, ...]:
        """Read the account and return everything that differs, what stays, and what would be sent;
        changes nothing.
        """
        account, db = self._account, self._account.shared.ledger.db
        session = await account.connected()
        began = account.shared.clock.now()
        report = await session.fetch_account()
        replaced: Replaced = self._position_ids.judge_old(session, report)
        lost = await self.lost_orders()
        corrections = self._reconciler.corrections(report, began, replaced, lost)
        return (*corrections, *self._stays(corrections, began), *self._sends(db))

    def _stays(self, corrections: tuple[Correction, ...], began: datetime) -> list[Told]:
        account = self._account
        unsettled = account.unsettled(began)
        gone = {each.symbol: each.share_to for each in corrections if isinstance(each, ShareShrunk)}
        notes = []
        for holding in read_holdings(account.shared.ledger.db, account.id):
            share = gone.get(holding.symbol, holding.share)
            what = f"{holding.side.value} {plain(share)} {holding.symbol}"
            if holding.symbol in unsettled:
                notes.append(
                    Told(
                        "open",
                        f"{what}: an order of ours there is looked up",
                        "nothing is decided before it is found",
                    )
                )
            elif share > 0:
                which = f", position {holding.position_id}" if holding.position_id else ""
                notes.append(
                    Told("stays", f"{what} counts as a strategy's{which}", "its exits close it")
                )
        return notes

    def _sends(self, db: Database) -> list[Told]:
        account = self._account
        names = account.shared.strategy_names
        waiting = [
            each
            for each in waiting_legs(db, [account.id]).get(account.id, ())
            if each.kind != ENTRY
        ]
        words = [
            f"{each.kind} of {names.get(each.strategy, each.strategy)} in {each.symbol} waits"
            for each in waiting
        ]
        return [Told("sends", each, "it is planned once confirmed") for each in words]

    def write(self, plan: tuple[Correction, ...], by: str, at: datetime, db: Database) -> None:
        """Write a confirmed plan to the ledger; raises Changed if the ledger moved since it was
        made.
        """
        account = self._account
        shares = {
            correction.symbol: correction.share for correction in read_holdings(db, account.id)
        }
        for correction in plan:
            if isinstance(correction, ShareShrunk):
                if shares.get(correction.symbol) != correction.share_from:
                    raise Changed(
                        f"{account.name}: {correction.symbol} changed since its plan was made"
                    )
                self._reconciler.shrink(correction, at, db)
            elif isinstance(correction, ForeignOrders | LostOrders):
                accept_foreign(
                    db,
                    account=account.id,
                    name=account.name,
                    exchange_order_ids=correction.exchange_order_ids,
                    by=by,
                    at=at,
                )


def _orders(count: int) -> str:
    return f"{count} order{'s' if count > 1 else ''}"
