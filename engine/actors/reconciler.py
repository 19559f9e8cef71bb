"""Correct the ledger of one account if the exchange proves it wrong: shares that shrank, and orders
of ours that it lacks.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from engine.actors.account import Account
from engine.actors.books_watch import BooksWatch
from engine.actors.position_ids import Replaced
from engine.decisions.reconciliation import Correction, ForeignOrders, ShareShrunk, reconcile
from engine.domain.account import AccountReport
from engine.domain.alert import AlertCode
from engine.domain.amounts import EXACT, plain
from engine.domain.identifiers import Symbol
from engine.domain.order import OrderReport
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.attempts import (
    accepted_foreign,
    bound_order_ids,
    knows_client_order_id,
    meet_foreign,
    met_foreign,
)
from engine.ledger.books import Change, change_share
from engine.ledger.copies import is_exiting
from engine.ledger.holdings import read_holding, read_holdings, write_holding
from engine.ledger.outcomes import write_event


class Reconciler:
    """The comparison of one account's ledger with its readings."""

    def __init__(self, account: Account, books: BooksWatch) -> None:
        self._account = account
        self._books = books

    def corrections(
        self,
        report: AccountReport,
        began: datetime,
        replaced: Replaced,
        lost: Sequence[OrderReport] = (),
    ) -> tuple[Correction, ...]:
        """Compare the ledger with a reading that began at ``began``; changes nothing."""
        return self._compared(report, began, self._undecided(began, replaced), replaced, lost)

    def _undecided(self, began: datetime, replaced: Replaced) -> frozenset[Symbol]:
        return self._account.unsettled(began) | replaced.undecided

    def _compared(
        self,
        report: AccountReport,
        began: datetime,
        unsettled: frozenset[Symbol],
        replaced: Replaced,
        lost: Sequence[OrderReport] = (),
    ) -> tuple[Correction, ...]:
        """Compare with what is held now. Attempts were read first, holdings are after: what ends
        between the two statements is still seen as unsettled.
        """
        db = self._account.shared.ledger.db
        working = frozenset[Symbol]()
        if unsettled:  # a second statement only where something is under way
            moving = self._account.unsettled(began, working=False)
            working = unsettled - moving - replaced.undecided
        holdings = read_holdings(db, self._account.id)
        resting = [each.exchange_order_id for each in report.open_orders]
        return reconcile(
            holdings,
            report,
            unsettled=unsettled,
            working=working,
            exiting={
                each.symbol for each in holdings if is_exiting(db, self._account.id, each.symbol)
            },
            bound_ids=bound_order_ids(db, self._account.id, resting)
            | accepted_foreign(db, self._account.id, resting),
            client_id_known=partial(knows_client_order_id, db),
            closed_ids=replaced.closed,
            replaced=replaced.unnamed,
            met_ids=self._account.foreign,
            lost=lost,
        )

    async def correct(
        self, report: AccountReport, began: datetime, replaced: Replaced
    ) -> frozenset[Symbol]:
        """Record what a reading that began at ``began`` proves; return the contracts that it does
        not decide, as they are after that.
        """
        undecided = self._undecided(began, replaced)
        corrections = self._compared(report, began, undecided, replaced)
        for correction in corrections:
            if isinstance(correction, ShareShrunk):
                await self._correct_share(correction)
            elif isinstance(correction, ForeignOrders):
                await self._meet_foreign_orders(correction)
        # without a correction nothing was waited for since they were read
        return self._undecided(began, replaced) if corrections else undecided

    async def _correct_share(self, correction: ShareShrunk) -> None:
        await self._account.shared.ledger.write(
            partial(self.shrink, correction, self._account.shared.clock.now())
        )

    def shrink(self, correction: ShareShrunk, at: datetime, db: Database) -> None:
        """Lower a share to what the exchange has of it, within the caller's transaction."""
        holding = read_holding(db, self._account.id, correction.symbol)
        if holding is None or holding.share != correction.share_from:
            return
        closed = Change(
            is_entry=False,
            quantity=EXACT.subtract(correction.share_from, correction.share_to),
            at=at,
            since=self._books.seen_at(holding.symbol),
            position_id=holding.position_id,
            ends_position=correction.share_to == 0,
        )
        after = change_share(db, holding, closed)
        # what an entry still fills may be in another position: the record of this one tells
        named = holding.position_id if holding.entries_open else after.position_id
        write_holding(db, replace(after, detached=correction.detached, position_id=named))
        data: dict[str, object] = {
            "symbol": correction.symbol,
            "from": plain(correction.share_from),
            "to": plain(correction.share_to),
            "cause": correction.cause,
        }
        write_event(db, kind="correction", subject=self._account.name, data=data, at=at)
        if correction.detached:
            numbers = {
                "from_quantity": plain(correction.share_from),
                "to_quantity": plain(correction.share_to),
                "cause": correction.cause,
            }
            same = f"{correction.symbol} {plain(correction.share_to)}"
            raise_alert(
                db,
                code=AlertCode.CLOSED_OUTSIDE,
                subject=self._account.name,
                details={"symbol": correction.symbol, **numbers},
                at=at,
                sameness=same,
            )

    async def _meet_foreign_orders(self, correction: ForeignOrders) -> None:
        """Stop entries durably, and raise an alert; orders that were found before are no news."""
        met = frozenset(correction.exchange_order_ids)
        if met <= self._account.foreign:
            return
        details, at = {"count_orders": str(len(met))}, self._account.shared.clock.now()

        def write(db: Database) -> None:
            meet_foreign(db, self._account.id, met)
            raise_alert(
                db,
                code=AlertCode.FOREIGN_ORDERS,
                subject=self._account.name,
                details=details,
                at=at,
            )

        await self._account.shared.ledger.write(write)
        self._account.foreign = met_foreign(self._account.shared.ledger.db, self._account.id)
