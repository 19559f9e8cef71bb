"""The trader's service: the state of the accounts, what they copy, what became of signals, and the
traders' own switches.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import trio

from engine.context import EngineContext
from engine.decisions.account_state import AccountFacts, StateTold, account_state
from engine.decisions.explaining import BY_THE_OWNER
from engine.decisions.explaining_fills import OwnBook
from engine.decisions.missed import EntryOutcome, MissedWeek, missed_by_week
from engine.decisions.portfolio import (
    AccountMoney,
    Totals,
    marked,
    percent_of,
    resized,
    totals_of,
)
from engine.decisions.preflight import PassingFacts, passing_items
from engine.decisions.risk import equity, marks_of_today, total
from engine.decisions.routing import concerning
from engine.domain.account import AccountReport, EquityMarks, Position
from engine.domain.alert import Alert, AlertSubject
from engine.domain.amounts import EXACT, ZERO
from engine.domain.errors import NothingThere
from engine.domain.holding import Holding, Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import AccountId, Symbol
from engine.domain.instrument import Instrument
from engine.domain.outcome import OutcomeCode
from engine.domain.preflight import Preflight
from engine.domain.subscription import Mode, strictest
from engine.domain.token import Once, TokenScope
from engine.ledger import Database
from engine.ledger.alerts import alerts_about
from engine.ledger.charting import opened_at
from engine.ledger.copies import is_moving
from engine.ledger.equity import read_equity_marks
from engine.ledger.explaining import failing_legs
from engine.ledger.following import (
    AgreementRow,
    CopyRow,
    accounts_of,
    agreements_of,
    copies_of,
    entry_outcomes,
    former_accounts_of,
    signal_of_copy,
    unproven_count,
)
from engine.ledger.forced_close import forced_close
from engine.ledger.handing_over import hand_over
from engine.ledger.holdings import read_holding, read_holdings
from engine.ledger.lateness import Waiting, late_of_account
from engine.ledger.open_shares import (
    has_unconfirmed_exit,
    held_shares,
    resting_of,
    still_open,
)
from engine.ledger.people import AccountRow, titles_of
from engine.ledger.preflight import is_key_refused
from engine.ledger.reports import clear_switch, set_switch, switches
from engine.ledger.signals import record_signal
from engine.ledger.studio import strategies_of
from engine.ledger.unsettled import own_books
from engine.live import LiveAccount
from engine.services.asking import asked, for_tokens
from engine.services.auditing import audited
from engine.services.explaining import explain_copy
from engine.services.user import FormErrors, User
from engine.views import RestingView, StillOpenView, WhyView

PAGE: Final = 50
READING_LASTS: Final = timedelta(seconds=5)
"""How old a reading may be whose mark price a position is taken over at."""
MISSED_LOOKED: Final = 2_000
MISSED_WEEKS: Final = 8
_LOOKED_AT_ONCE: Final = 200
_LOOKED_PAST_WATCHED: Final = 100
"""How many copies are read so that those of an algorithm that is watched do not hide what is traded."""
_AFTER_ALL: Final = 2**62
_CLOSED_WITHOUT_PROOF: Final = (
    "An earlier close of this position has no proof yet. Look at the exchange, and ask the operator "
    "to decide about it; another close now could close a position of your own."
)
_NOT_READ: Final = "The account cannot be read now, so nothing was changed. Try again when it can."
_MOVING: Final = (
    "An order of the engine is on its way in this contract, or waits for proof. Try again when it is "
    "settled."
)
_DIFFERS: Final = (
    "The newest reading of the exchange shows another position than the engine holds. Try again after "
    "the next reading."
)
_CLOSED_ALREADY: Final = "The engine holds no such position on this account any more."
_NOT_FOLLOWED: Final = (
    "No strategy that you follow holds this position: close it at the exchange, or flatten the "
    "account."
)
_NOT_YOURS: Final = (
    "You did not stop this account: {by} did, and only the operator of this installation resumes it. "
    "Exits go on."
)
_BEING_ASKED: Final = "its close is asked for now"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCard:
    """One account: its state, its money as last read and at the newest prices (None: not read yet),
    and what it copies. ``level`` is the highest of its account's switches, ``own_level`` that of the
    owner's: only that one is the owner's to resume.

    ``stale``: what is shown is old, because the account cannot be read now. ``positions`` are the
    ledger's if nothing was read yet. ``open_shares`` counts what the engine opened and has not
    closed.
    """

    row: AccountRow
    told: StateTold
    equity: Decimal | None
    available: Decimal | None
    currency: str
    day_start: Decimal | None
    day_result: Decimal | None
    day_since: datetime | None
    open_pnl: Decimal | None
    positions: int
    read_at: datetime | None
    stale: bool
    check: Preflight | None
    agreements: Sequence[AgreementRow]
    paused_here: bool
    level: str
    own_level: str
    open_shares: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRow:
    """One symbol of an account: ``position`` as the exchange shows it, ``holding`` is a strategy's
    share, ``own`` is the owner's. ``opened_at`` is when the books were last flat there, None if they
    have nothing. ``instrument`` is None while the exchange does not list the contract. ``read_at``
    is when the account was last read (None: not yet); ``is_stale``: it cannot be read now.
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
    opened_at: datetime | None
    instrument: Instrument | None
    read_at: datetime | None
    is_stale: bool

    @property
    def worth(self) -> Decimal | None:
        """Return the value of the whole position at the mark price, None if it was not read."""
        position = self.position
        return None if position is None else EXACT.multiply(position.quantity, position.mark_price)

    @property
    def roe_percent(self) -> Decimal | None:
        """Return the open P&L in percent of the margin, None if the exchange shows no margin."""
        position = self.position
        return None if position is None else percent_of(position.unrealised_profit, position.margin)


def _is_only_watched(copy: CopyRow, watched: Container[tuple[str, str]]) -> bool:
    """Return whether nothing of a copy could be sent because its strategy is only watched."""
    family = "" if copy.code is None else OutcomeCode(copy.code).family
    return copy.code == OutcomeCode.SKIPPED_WATCH_ONLY.value or (
        (copy.account, copy.strategy_id) in watched and family in ("", "skipped")
    )


def _was_his(row: AccountRow, alert: Alert) -> bool:
    began, ended = row.created_at, row.ended_at
    return (began is None or alert.at >= began) and (ended is None or alert.at <= ended)


def _highest(switches_on: Iterable[Switch]) -> str:
    """Return the highest level of switches, empty for none."""
    highest = max((each.level for each in switches_on), key=lambda each: each.rank, default=None)
    return "" if highest is None else highest.value


def _takes_back(on: Iterable[Switch], row: AccountRow, resting: RestingView) -> bool:
    """Return whether a switch cancels an entry that rests on an account."""
    levels = (
        each.level
        for each in concerning(
            on,
            account_id=row.id,
            account_name=row.name,
            strategy_id=resting.strategy_id,
            strategy_name=resting.strategy,
            exchange=row.exchange,
        )
    )
    return any(each.rank >= SwitchLevel.REDUCE.rank for each in levels)


def _after_fill(there: Position, ours: Holding | None, own: OwnBook | None) -> Position | None:
    """Return a position of a reading that is older than our newest fill, as the ledger has it since:
    our share, and what the owner held; None if it is closed or reversed.
    """
    if ours is not None and ours.side is not there.side:
        return None
    share = ZERO if ours is None else ours.share
    kept = ZERO if own is None or own.side is not there.side else own.quantity
    left = EXACT.add(share, kept)
    return resized(there, left) if left else None


def waiting_words(late: Waiting) -> str:
    """Return what is late on an account, and since when."""
    since = f"since {late.since:%H:%M:%S} UTC"
    if late.count == 1:
        return f"1 order ({late.kind}) waits to be sent, {since}"
    return f"{late.count} orders wait to be sent, the oldest ({late.kind}) {since}"


class FollowingService:
    """The service for followers."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    @property
    def _db(self) -> Database:
        return self._context.ledger.db

    def accounts(self, user: User) -> Sequence[AccountRow]:
        """Read the user's connected accounts."""
        return accounts_of(self._db, user.id)

    def former_accounts(self, user: User) -> Sequence[AccountRow]:
        """Read the accounts that the user disconnected: nothing is done with them, and their
        history is read as before.
        """
        return former_accounts_of(self._db, user.id)

    def _ever(self, user: User) -> Sequence[AccountRow]:
        return [*self.accounts(user), *self.former_accounts(user)]

    def titles(self, user: User) -> Mapping[str, str]:
        """Read by name what the user calls their accounts, where it is not the name."""
        return titles_of(self._db, user.id)

    def account(self, user: User, name: str) -> AccountRow:
        """Find one of the user's connected accounts; raises NothingThere."""
        account = next((each for each in self.accounts(user) if each.name == name), None)
        if account is None:
            raise NothingThere("there is no such account of yours")
        return account

    def task(self, row: AccountRow) -> LiveAccount | None:
        """Return the task of an account, None if no engine runs it."""
        return None if self._context.live is None else self._context.live.named(row.name)

    def _shown(self, row: AccountRow, task: LiveAccount | None) -> AccountReport | None:
        """Return the newest reading of an account, at the newest prices as long as it can be read."""
        report = None if task is None else task.account.last_report
        feed = self._context.feeds.get(row.exchange)
        if task is None or report is None or feed is None or report is not task.account.report:
            return report
        return marked(report, feed.newest)

    # Home

    @asked
    @for_tokens(TokenScope.READ)
    async def cards(self, user: User) -> Sequence[AccountCard]:
        """Read the state of each account, the one that most needs its owner first."""
        agreed = agreements_of(self._db, user.id)
        on = switches(self._db)
        cards = [
            self._card(row, [each for each in agreed if each.account == row.id], on)
            for row in self.accounts(user)
        ]
        return sorted(cards, key=lambda each: (-each.told.state.rank, each.row.name))

    def _card(
        self, row: AccountRow, agreed: list[AgreementRow], on: Sequence[Switch]
    ) -> AccountCard:
        task = self.task(row)
        report = self._shown(row, task)
        check = None if task is None else task.check_now()
        mine = concerning(
            on,
            account_id=row.id,
            account_name=row.name,
            strategy_id="",
            strategy_name="",
            exchange=row.exchange,
        )
        open_shares = sum(
            1
            for each in read_holdings(self._db, AccountId(row.id))
            if each.share > 0 or each.entries_open
        )
        now = self._context.clock.now()
        marks = read_equity_marks(self._db, row.id, self._context.config.engine.trading_day_zone)
        if task is not None and check is not None:
            current = None if task.account.report is None else report
            check = self._with_passing(check, row, agreed, current, marks)
        late = late_of_account(self._db, row.id, now)
        facts = AccountFacts(
            connected=task is not None,
            problem="" if task is None else task.account.problem,
            foreign=0 if task is None else len(task.account.foreign),
            quarantined=task is not None and task.is_quarantined,
            unproven=unproven_count(self._db, row.id),
            switches=mine,
            check=() if check is None else check.items,
            live_agreements=sum(1 for each in agreed if each.takes_entries),
            watching=sum(1 for each in agreed if each.policy.mode is Mode.WATCH),
            stopped=sum(
                1 for each in agreed if each.policy.mode is Mode.LIVE and not each.takes_entries
            ),
            open_shares=open_shares,
            ending=sum(1 for each in self._resting(row, on) if each.is_ending),
            waiting="" if late is None else waiting_words(late),
            failing=() if task is None else failing_legs(self._db, AccountId(row.id), task.in_lane),
        )
        marks = marks_of_today(marks, now)
        worth = None if report is None else equity(report)
        result = None if worth is None or marks is None else EXACT.subtract(worth, marks.day_start)
        is_old = task is not None and task.account.last_report is not task.account.report
        own = [each for each in mine if each.scope is SwitchScope.ACCOUNT and not each.person]
        return AccountCard(
            row=row,
            told=account_state(facts),
            equity=worth,
            available=None if report is None else report.balance.available,
            currency="USDT" if report is None else report.balance.currency,
            day_start=None if marks is None else marks.day_start,
            day_result=result,
            day_since=None if marks is None else marks.since,
            open_pnl=None
            if report is None
            else total(*(each.unrealised_profit for each in report.positions)),
            positions=len(
                read_holdings(self._db, AccountId(row.id)) if report is None else report.positions
            ),
            read_at=None if report is None else report.as_of,
            stale=is_old,
            check=check,
            agreements=tuple(agreed),
            paused_here=bool(own),
            level=_highest(own),
            own_level=_highest(each for each in own if each.is_owners),
            open_shares=open_shares,
        )

    def _with_passing(
        self,
        check: Preflight,
        row: AccountRow,
        agreed: Iterable[AgreementRow],
        report: AccountReport | None,
        marks: EquityMarks | None,
    ) -> Preflight:
        """Add to a check the key's right to trade, and the limits of loss of what takes entries."""
        limits = self._context.config.limits
        facts = PassingFacts(
            report=report,
            marks=marks,
            limits={
                each.strategy_name: strictest(limits, each.policy.limits)
                for each in agreed
                if each.takes_entries
            },
            key_refused=is_key_refused(self._db, AccountId(row.id)),
        )
        now = self._context.clock.now()
        return replace(check, items=(*check.items, *passing_items(facts, now)))

    def totals(self, cards: Sequence[AccountCard]) -> tuple[Totals, ...]:
        """Return the sums over accounts by environment, live first."""
        return totals_of(
            AccountMoney(
                environment=each.row.environment,
                equity=each.equity,
                day_start=each.day_start,
                open_pnl=each.open_pnl,
                is_stale=each.stale,
            )
            for each in cards
        )

    @asked
    async def check(self, user: User, name: str) -> Preflight:
        """Check one of the user's accounts at its exchange now; raises NothingThere."""
        row = self.account(user, name)
        if self._context.live is None or self.task(row) is None:
            raise NothingThere("no engine runs here")
        return await self._context.live.check(row.name)

    # Switches of one account

    @asked
    @for_tokens(TokenScope.PAUSE)
    async def pause(self, user: User, name: str, *, once: Once | None = None) -> None:
        """Take no new entries on an account, and cancel those that rest; asks for no confirmation,
        because it lowers risk. For ``once`` see ``audited``.
        """
        await self._switch(user, name, SwitchLevel.ENTRIES, once)

    @asked
    @for_tokens(TokenScope.REDUCE)
    async def flatten(self, user: User, name: str, *, once: Once | None = None) -> None:
        """Close what the engine opened on an account, and take no new entries. For ``once`` see
        ``audited``.
        """
        await self._switch(user, name, SwitchLevel.FLATTEN, once)

    async def _switch(self, user: User, name: str, level: SwitchLevel, once: Once | None) -> None:
        row, now = self.account(user, name), self._context.clock.now()
        switch = Switch(
            scope=SwitchScope.ACCOUNT,
            target=row.name,
            note=BY_THE_OWNER,
            set_by=user.person.called,
            set_at=now,
            level=level,
            is_owners=True,
        )
        await audited(
            self._context,
            user=user,
            act="switched_on",
            subject=switch.label,
            data={"level": level.value},
            change=lambda db: set_switch(db, switch),
            once=once,
        )
        await self._context.changed()

    @asked
    async def resume(self, user: User, name: str) -> None:
        """Take entries again; raises NeedsConfirmation, because it raises risk, and FormErrors if
        it was not the owner who stopped them, or the owner is no longer a follower.
        """
        user.require_follower()
        row, now = self.account(user, name), self._context.clock.now()
        user.require_fresh(now)

        def change(db: Database) -> None:
            if clear_switch(
                db,
                scope=SwitchScope.ACCOUNT,
                target=row.name,
                by=user.person.called,
                at=now,
                is_owners=True,
            ):
                return
            stops = [
                each
                for each in switches(db)
                if each.scope is SwitchScope.ACCOUNT and each.target == row.name
            ]
            if stops:
                raise FormErrors({"": _NOT_YOURS.format(by=stops[0].set_by)})

        await audited(
            self._context,
            user=user,
            act="switched_off",
            subject=f"account {row.name}",
            data={},
            change=change,
        )
        await self._context.changed()

    def still_open(self, user: User, name: str) -> Sequence[StillOpenView]:
        """Read what the engine still has open on an account, and why."""
        row = self.account(user, name)
        mine = concerning(
            switches(self._db),
            account_id=row.id,
            account_name=row.name,
            strategy_id="",
            strategy_name="",
            exchange=row.exchange,
        )
        is_flattening = any(each.level is SwitchLevel.FLATTEN for each in mine)
        open_shares = still_open(self._db, row.id)
        return [
            replace(each, why=_BEING_ASKED) if is_flattening and not each.is_asked else each
            for each in open_shares
        ]

    # Closing one position

    @asked
    @for_tokens(TokenScope.READ)
    async def position(self, user: User, name: str, symbol: str) -> PositionRow | None:
        """Return a position that the engine opened on an account, None if it holds none of the
        contract there; raises NothingThere for somebody else's account.
        """
        row = await self.any_position(user, name, symbol)
        return row if row is not None and row.share else None

    @asked
    @for_tokens(TokenScope.READ)
    async def any_position(self, user: User, name: str, symbol: str) -> PositionRow | None:
        """Return what is open in a contract on an account, the owner's own too; None if nothing is.
        Raises NothingThere for somebody else's account.
        """
        row = self.account(user, name)
        shown = self._positions(row)
        return next((each for each in shown if each.symbol == symbol), None)

    @asked
    @for_tokens(TokenScope.REDUCE)
    async def close(self, user: User, name: str, symbol: str, *, once: Once | None = None) -> None:
        """Record the close of one position: what the engine holds of a contract on an account.

        The strategy goes on, and enters the contract again with its next open. A close that is on
        its way is not repeated. Raises NothingThere for somebody else's account, and FormErrors if
        nothing is held, or while an earlier close has no proof: closing again could close the
        owner's own part. For ``once`` see ``audited``.
        """
        row, now = self.account(user, name), self._context.clock.now()

        def change(db: Database) -> None:
            held = next((each for each in held_shares(db, row.id) if each.symbol == symbol), None)
            if held is None:
                raise FormErrors({"": _CLOSED_ALREADY})
            if has_unconfirmed_exit(db, held.account, held.symbol):
                raise FormErrors({"": _CLOSED_WITHOUT_PROOF})
            if held.is_exiting:
                return
            asked = forced_close(
                "close",
                strategy=held.strategy,
                symbol=held.symbol,
                accounts=frozenset({held.account}),
                now=now,
            )
            if not record_signal(db, asked).copies:
                raise FormErrors({"": _NOT_FOLLOWED})

        await audited(
            self._context,
            user=user,
            act="position_closed",
            subject=row.name,
            data={"symbol": symbol},
            change=change,
            once=once,
        )
        if self._context.live is not None:
            self._context.live.wake()

    @asked
    async def take_over(self, user: User, name: str, symbol: str) -> None:
        """Make what the engine holds of a contract the owner's own, at the mark price of a reading
        of the last seconds; nothing is sent, and its stop and target stay at the exchange.

        Raises NeedsConfirmation, because no close of the master reaches it any more; NothingThere
        for somebody else's account; FormErrors while it cannot be done without doubt: the account
        cannot be read, shows another position, or something of ours is on its way there.
        """
        row, now = self.account(user, name), self._context.clock.now()
        user.require_fresh(now)
        report, now = await self._report_now(row), self._context.clock.now()
        position = next((each for each in report.positions if each.symbol == symbol), None)

        def change(db: Database) -> None:
            account = AccountId(row.id)
            holding = read_holding(db, account, Symbol(symbol))
            if holding is None or holding.share == 0:
                raise FormErrors({"": _CLOSED_ALREADY})
            if (
                holding.entries_open
                or is_moving(db, account, holding.symbol)
                or has_unconfirmed_exit(db, account, holding.symbol)
            ):
                raise FormErrors({"": _MOVING})
            if (
                position is None
                or position.side is not holding.side
                or position.quantity < holding.share
            ):
                raise FormErrors({"": _DIFFERS})
            hand_over(db, holding, position.mark_price, now)

        await audited(
            self._context,
            user=user,
            act="position_taken_over",
            subject=row.name,
            data={"symbol": symbol},
            change=change,
        )
        await self._context.changed()

    async def _report_now(self, row: AccountRow) -> AccountReport:
        """Return a reading of the account that is at most ``READING_LASTS`` old, made now if needed;
        raises FormErrors if there is none.
        """
        task = self.task(row)
        if task is not None and task.account.report is not None and self._is_old(task):
            await task.read_now()
        report = None if task is None else task.account.report
        if task is None or report is None or self._is_old(task):
            raise FormErrors({"": _NOT_READ})
        return report

    def _is_old(self, task: LiveAccount) -> bool:
        read_at = task.account.read_at
        return read_at is None or self._context.clock.now() - read_at > READING_LASTS

    # What became of signals

    def copies(self, user: User, limit: int) -> tuple[Sequence[CopyRow], Sequence[CopyRow]]:
        """Read the newest copies of the user's accounts, including disconnected ones, newest first:
        of strategies that are copied, and apart of those that are only watched.
        """
        watched = {
            (each.account_name, each.strategy)
            for each in self.agreements(user)
            if each.policy.mode is Mode.WATCH
        }
        looked = max(limit, _LOOKED_PAST_WATCHED) if watched else limit
        rows = copies_of(self._db, [each.id for each in self._ever(user)], looked)
        apart = [each for each in rows if _is_only_watched(each, watched)]
        copied = [each for each in rows if not _is_only_watched(each, watched)]
        return copied[:limit], apart[:limit]

    async def entries(self, row: AccountRow) -> Sequence[EntryOutcome]:
        """Read what became of the entries among an account's newest ``MISSED_LOOKED`` copies, newest
        first.
        """
        entries = list[EntryOutcome]()
        looked = 0
        before: int | None = _AFTER_ALL
        while before is not None and looked < MISSED_LOOKED:
            limit = min(_LOOKED_AT_ONCE, MISSED_LOOKED - looked)
            page, before = entry_outcomes(self._db, row, limit, before)
            entries += page
            looked += limit
            await trio.lowlevel.checkpoint()  # orders go first
        return entries

    async def missed(
        self, user: User, worked_out: Mapping[str, Mapping[str, Decimal]] = MappingProxyType({})
    ) -> Sequence[MissedWeek]:
        """Count by week which entries the user's connected accounts missed and why, newest first;
        ``worked_out`` is what they would have come to, from ``ShadowingService.missed``.
        """
        results = {
            (account, int(signal)): result
            for account, found in worked_out.items()
            for signal, result in found.items()
        }
        entries = [each for row in self.accounts(user) for each in await self.entries(row)]
        return missed_by_week(entries, user.person.zone, results)[:MISSED_WEEKS]

    @asked
    @for_tokens(TokenScope.READ)
    async def why(self, user: User, signal: str, account: str) -> WhyView:
        """Explain one copy of the user's; raises NothingThere."""
        view = (
            explain_copy(self._context, signal, account)
            if signal_of_copy(self._db, signal, account, user.id)
            else None
        )
        if view is None:
            raise NothingThere("there is no such copy of yours")
        return view

    def agreements(self, user: User) -> Sequence[AgreementRow]:
        """Read what the user agreed to."""
        return agreements_of(self._db, user.id)

    def alerts(self, user: User) -> Sequence[Alert]:
        """Read the newest alerts about the user and their accounts and strategies; somebody else's
        thing of another kind may have the same name.

        A name is free again once its account is disconnected, so an account has only the alerts of
        its own time.
        """
        about = [
            each
            for row in self._ever(user)
            for each in alerts_about(self._db, [row.own_name], PAGE)
            if _was_his(row, each)
        ]
        sent = alerts_about(
            self._db, [each.name for each in strategies_of(self._db, user.id)], PAGE
        )
        found = {
            AlertSubject.ACCOUNT: about,
            AlertSubject.STRATEGY: sent,
            AlertSubject.PERSON: alerts_about(self._db, [user.person.name], PAGE),
        }
        alerts = [each for kind, rows in found.items() for each in rows if each.about is kind]
        return sorted(alerts, key=lambda each: -each.number)[:PAGE]

    # Positions

    @asked
    @for_tokens(TokenScope.READ)
    async def positions(self, user: User) -> Sequence[PositionRow]:
        """Read what is open on each account: shares of strategies, and what its owner holds
        besides.
        """
        return [each for row in self.accounts(user) for each in self._positions(row)]

    def resting(self, user: User) -> Sequence[RestingView]:
        """Read the entries that rest at the exchange, on every account of the user."""
        on = switches(self._db)
        return [each for row in self.accounts(user) for each in self._resting(row, on)]

    def _resting(self, row: AccountRow, on: Sequence[Switch]) -> list[RestingView]:
        return [
            replace(each, is_ending=each.is_ending or _takes_back(on, row, each))
            for each in resting_of(self._db, row.id)
        ]

    def _positions(self, row: AccountRow) -> list[PositionRow]:
        task = self.task(row)
        report = self._shown(row, task)
        names = {each.account_id + each.symbol: each for each in still_open(self._db, row.id)}
        holdings = {
            each.symbol: each
            for each in read_holdings(self._db, AccountId(row.id))
            if each.share > 0
        }
        there: dict[Symbol, Position] = (
            {} if report is None else {each.symbol: each for each in report.positions}
        )
        owners = {each.symbol: each for each in own_books(self._db, AccountId(row.id))}
        opened = opened_at(self._db, row.id)
        feed = self._context.feeds.get(row.exchange)
        shown = []
        for symbol in sorted({*holdings, *there}):
            ours, theirs = holdings.get(symbol), there.get(symbol)
            share = Decimal(0) if ours is None else ours.share
            if task is not None and theirs is not None and task.account.may_precede_fill(symbol):
                theirs = _after_fill(theirs, ours, owners.get(symbol))
                if theirs is None and ours is None:
                    continue  # closed since
            whole = share if theirs is None else theirs.quantity
            named = names.get(row.id + symbol)
            side = theirs.side if theirs is not None else None if ours is None else ours.side
            shown.append(
                PositionRow(
                    account=row.name,
                    environment=row.environment,
                    symbol=symbol,
                    side="" if side is None else side.value,
                    strategy="" if named is None else named.strategy,
                    share=share,
                    own=max(Decimal(0), EXACT.subtract(whole, share)),
                    position=theirs,
                    holding=ours,
                    opened_at=opened.get(symbol),
                    instrument=None if feed is None else feed.instrument(symbol),
                    read_at=None if report is None else report.as_of,
                    is_stale=task is not None
                    and task.account.last_report is not task.account.report,
                )
            )
        return shown
