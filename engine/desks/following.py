"""The trader's desk: how the accounts stand, what they copy, what became of signals, and the
switches that are theirs to pull.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.decisions.account_state import AccountFacts, StateTold, account_state
from engine.decisions.explaining import BY_THE_OWNER
from engine.decisions.risk import equity
from engine.decisions.routing import concerning
from engine.desks.auditing import audited
from engine.desks.explaining import explain_copy
from engine.desks.visitor import Visitor
from engine.domain.account import AccountReport, Position
from engine.domain.alert import ABOUT_STRATEGIES, Alert
from engine.domain.amounts import EXACT
from engine.domain.holding import Holding, Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import AccountId, Symbol, own_name
from engine.domain.preflight import Preflight
from engine.ledger import Database
from engine.ledger.alerts import alerts_about
from engine.ledger.equity import read_equity_marks
from engine.ledger.following import (
    AgreementRow,
    CopyRow,
    OrderRow,
    accounts_of,
    agreements_of,
    copies_of,
    former_accounts_of,
    orders_of,
    signal_of_copy,
    strategies_copied,
    unproven_count,
)
from engine.ledger.holdings import read_holdings
from engine.ledger.lateness import Waiting, late_of_account
from engine.ledger.people import AccountRow
from engine.ledger.reports import clear_switch, set_switch, switches
from engine.ledger.standing import still_open
from engine.ledger.studio import strategies_of
from engine.live import LiveAccount
from engine.office import NothingThere, Office
from engine.views import StillOpenView, WhyView

PAGE: Final = 50
_BEING_ASKED: Final = "its close is asked for now"


@dataclass(frozen=True, slots=True)
class AccountCard:
    """Show one account: how it stands, its money as last read (None: not read yet), and what it
    copies.

    ``stale``: what is shown is old, for the account cannot be read now. ``positions`` are the
    ledger's where nothing was read yet. ``standing`` counts what the engine opened and is not
    closed.
    """

    row: AccountRow
    told: StateTold
    equity: Decimal | None
    available: Decimal | None
    currency: str
    day_result: Decimal | None
    day_since: datetime | None
    positions: int
    read_at: datetime | None
    stale: bool
    check: Preflight | None
    agreements: Sequence[AgreementRow]
    paused_here: bool
    level: str
    standing: int


@dataclass(frozen=True, slots=True)
class PositionRow:
    """Show one symbol of an account: ``position`` as the exchange shows it, ``holding`` is a
    strategy's share, ``own`` is the owner's.
    """

    account: str
    environment: str
    symbol: str
    side: str
    strategy: str
    share: Decimal
    own: Decimal
    position: Position | None
    holding: Holding | None


def _was_his(row: AccountRow, alert: Alert) -> bool:
    began, ended = row.created_at, row.ended_at
    return (began is None or alert.at >= began) and (ended is None or alert.at <= ended)


def waiting_words(late: Waiting) -> str:
    """Say what of an account is late, and since when."""
    since = f"since {late.since:%H:%M:%S} UTC"
    if late.count == 1:
        return f"1 order ({late.kind}) waits to be sent, {since}"
    return f"{late.count} orders wait to be sent, the oldest ({late.kind}) {since}"


class FollowingDesk:
    """Serve followers."""

    def __init__(self, office: Office) -> None:
        self._office = office

    @property
    def _db(self) -> Database:
        return self._office.ledger.db

    def accounts(self, visitor: Visitor) -> Sequence[AccountRow]:
        """Read the visitor's connected accounts."""
        return accounts_of(self._db, visitor.id)

    def former_accounts(self, visitor: Visitor) -> Sequence[AccountRow]:
        """Read the accounts that the visitor disconnected: nothing is done with them, and their
        history is read as before.
        """
        return former_accounts_of(self._db, visitor.id)

    def strategies_copied(self, visitor: Visitor) -> Sequence[str]:
        """Read the names of the strategies that the visitor ever agreed to."""
        return strategies_copied(self._db, visitor.id)

    def _ever(self, visitor: Visitor) -> Sequence[AccountRow]:
        return [*self.accounts(visitor), *self.former_accounts(visitor)]

    def account(self, visitor: Visitor, name: str) -> AccountRow:
        """Find one of the visitor's connected accounts; raises NothingThere."""
        found = next((each for each in self.accounts(visitor) if each.name == name), None)
        if found is None:
            raise NothingThere("there is no such account of yours")
        return found

    def task(self, row: AccountRow) -> LiveAccount | None:
        """Return the task that acts for an account, None where no engine runs it."""
        return None if self._office.live is None else self._office.live.named(row.name)

    # Home

    def cards(self, visitor: Visitor) -> Sequence[AccountCard]:
        """Read how each account stands, the one that needs its owner most first."""
        agreed = agreements_of(self._db, visitor.id)
        on = switches(self._db)
        cards = [
            self._card(row, [each for each in agreed if each.account == row.id], on)
            for row in self.accounts(visitor)
        ]
        return sorted(cards, key=lambda each: (-each.told.state.rank, each.row.name))

    def _card(
        self, row: AccountRow, agreed: list[AgreementRow], on: Sequence[Switch]
    ) -> AccountCard:
        task = self.task(row)
        report = None if task is None else task.account.last_report
        check = None if task is None else task.newest_check
        mine = concerning(
            on,
            account_id=row.id,
            account_name=row.name,
            strategy_id="",
            strategy_name="",
            exchange=row.exchange,
        )
        standing = sum(
            1
            for each in read_holdings(self._db, AccountId(row.id))
            if each.share > 0 or each.entries_open
        )
        late = late_of_account(self._db, row.id, self._office.clock.now())
        facts = AccountFacts(
            connected=task is not None,
            problem="" if task is None else task.account.problem,
            foreign=0 if task is None else len(task.account.foreign),
            quarantined=task is not None and task.is_quarantined,
            unproven=unproven_count(self._db, row.id),
            switches=mine,
            check=() if check is None else check.items,
            live_agreements=sum(1 for each in agreed if each.takes_entries),
            watching=sum(1 for each in agreed if each.mode == "watch"),
            stopped=sum(1 for each in agreed if each.mode == "live" and not each.takes_entries),
            standing=standing,
            waiting="" if late is None else waiting_words(late),
        )
        marks = read_equity_marks(self._db, row.id, self._office.config.engine.trading_day_zone)
        worth = None if report is None else equity(report)
        result = None if worth is None or marks is None else EXACT.subtract(worth, marks.day_start)
        is_old = task is not None and report is not task.account.report
        own = [each for each in mine if each.scope is SwitchScope.ACCOUNT]
        return AccountCard(
            row,
            account_state(facts),
            worth,
            None if report is None else report.balance.available,
            "USDT" if report is None else report.balance.currency,
            result,
            None if marks is None else marks.since,
            len(read_holdings(self._db, AccountId(row.id)) if report is None else report.positions),
            None if report is None else report.as_of,
            is_old,
            check,
            tuple(agreed),
            bool(own),
            max(own, key=lambda each: each.level.rank).level.value if own else "",
            standing,
        )

    async def check(self, visitor: Visitor, name: str) -> Preflight:
        """Check one of the visitor's accounts at its exchange now; raises NothingThere."""
        row = self.account(visitor, name)
        if self._office.live is None or self.task(row) is None:
            raise NothingThere("no engine runs here")
        return await self._office.live.check(row.name)

    # Switches of one account

    async def pause(self, visitor: Visitor, name: str) -> None:
        """Take no new entries on an account; asks nothing, for it lowers risk."""
        await self._switch(visitor, name, SwitchLevel.ENTRIES)

    async def flatten(self, visitor: Visitor, name: str) -> None:
        """Close what the engine opened on an account, and take no new entries."""
        await self._switch(visitor, name, SwitchLevel.FLATTEN)

    async def _switch(self, visitor: Visitor, name: str, level: SwitchLevel) -> None:
        row, now = self.account(visitor, name), self._office.clock.now()
        switch = Switch(
            SwitchScope.ACCOUNT, row.name, BY_THE_OWNER, visitor.person.called, now, level
        )
        await audited(
            self._office,
            visitor,
            "switched_on",
            switch.label,
            {"level": level.value},
            lambda db: set_switch(db, switch),
        )
        await self._office.changed()

    async def resume(self, visitor: Visitor, name: str) -> None:
        """Take entries again; raises NeedsConfirmation, for it raises risk."""
        row, now = self.account(visitor, name), self._office.clock.now()
        visitor.require_fresh(now)
        await audited(
            self._office,
            visitor,
            "switched_off",
            f"account {row.name}",
            {},
            lambda db: clear_switch(db, SwitchScope.ACCOUNT, row.name, visitor.person.called, now),
        )
        await self._office.changed()

    def still_open(self, visitor: Visitor, name: str) -> Sequence[StillOpenView]:
        """Read what of the engine still stands on an account, and why."""
        row = self.account(visitor, name)
        mine = concerning(
            switches(self._db),
            account_id=row.id,
            account_name=row.name,
            strategy_id="",
            strategy_name="",
            exchange=row.exchange,
        )
        is_flattening = any(each.level is SwitchLevel.FLATTEN for each in mine)
        found = still_open(self._db, row.id)
        return [
            replace(each, why=_BEING_ASKED) if is_flattening and not each.is_asked else each
            for each in found
        ]

    # What became of signals

    def copies(
        self,
        visitor: Visitor,
        *,
        before: int | None = None,
        strategy: str = "",
        account: str = "",
        family: str = "",
        limit: int = PAGE,
    ) -> Sequence[CopyRow]:
        """Read the newest copies of the visitor's accounts, those that were disconnected too,
        newest first.
        """
        chosen = [each.id for each in self._ever(visitor) if account in ("", each.name)]
        return (
            copies_of(self._db, chosen, limit, before=before, strategy=strategy, family=family)
            if chosen
            else ()
        )

    def why(self, visitor: Visitor, signal: str, account: str) -> WhyView:
        """Explain one copy of the visitor's; raises NothingThere."""
        found = (
            explain_copy(self._office, signal, account)
            if signal_of_copy(self._db, signal, account, visitor.id)
            else None
        )
        if found is None:
            raise NothingThere("there is no such copy of yours")
        return found

    def agreements(self, visitor: Visitor) -> Sequence[AgreementRow]:
        """Read what the visitor agreed to."""
        return agreements_of(self._db, visitor.id)

    def orders(self, visitor: Visitor, before: int | None = None) -> Sequence[OrderRow]:
        """Read the newest orders of the visitor's accounts, those that were disconnected too."""
        chosen = [each.id for each in self._ever(visitor)]
        return orders_of(self._db, chosen, PAGE, before) if chosen else ()

    def alerts(self, visitor: Visitor) -> Sequence[Alert]:
        """Read the newest alerts about the visitor's accounts and strategies; both may have the
        name of somebody else's other thing.

        A name is free again once its account is disconnected, so an account has only the alerts of
        its own time.
        """
        about = [
            each
            for row in self._ever(visitor)
            for each in alerts_about(self._db, [own_name(row.name)], PAGE)
            if _was_his(row, each)
        ]
        sent = alerts_about(
            self._db, [each.name for each in strategies_of(self._db, visitor.id)], PAGE
        )
        found = [each for each in about if each.code not in ABOUT_STRATEGIES]
        found += [each for each in sent if each.code in ABOUT_STRATEGIES]
        return sorted(found, key=lambda each: -each.number)[:PAGE]

    # Positions

    def positions(self, visitor: Visitor) -> Sequence[PositionRow]:
        """Read what stands on each account: shares of strategies, and what its owner holds besides."""
        rows: list[PositionRow] = []
        for row in self.accounts(visitor):
            task = self.task(row)
            rows += self._positions(row, None if task is None else task.account.last_report)
        return rows

    def _positions(self, row: AccountRow, report: AccountReport | None) -> list[PositionRow]:
        names = {each.account_id + each.symbol: each for each in still_open(self._db, row.id)}
        held = {
            each.symbol: each
            for each in read_holdings(self._db, AccountId(row.id))
            if each.share > 0
        }
        there: dict[Symbol, Position] = (
            {} if report is None else {each.symbol: each for each in report.positions}
        )
        shown = []
        for symbol in sorted({*held, *there}):
            ours, theirs = held.get(symbol), there.get(symbol)
            share = Decimal(0) if ours is None else ours.share
            whole = share if theirs is None else theirs.quantity
            named = names.get(row.id + symbol)
            side = theirs.side if theirs is not None else None if ours is None else ours.side
            shown.append(
                PositionRow(
                    row.name,
                    row.environment,
                    symbol,
                    "" if side is None else side.value,
                    "" if named is None else named.strategy,
                    share,
                    max(Decimal(0), EXACT.subtract(whole, share)),
                    theirs,
                    ours,
                )
            )
        return shown
