"""The running venue: accounts rebuilt from the journal, one order at a time per account, every
event durable before it counts.

An event is applied only after its line is durable. A lock per account lets nothing else touch that
account in between, so two orders cannot spend the same margin, and memory never holds what the disk
does not. Different accounts share one fsync. A read writes nothing, except stops, targets,
liquidations and fills that the price has triggered since the last look.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import trio

from plugins.paper.account import Account, Order, apply, open_account
from plugins.paper.events import (
    AccountOpened,
    Event,
    OrderCancelled,
    OrderPlaced,
    read_event,
    write_event,
)
from plugins.paper.journal import Journal, JournalDamaged, JournalWriteFailed
from plugins.paper.market import PricePath, second_of
from plugins.paper.rules import (
    Terms,
    check_contract,
    closes_all,
    decide_order,
    decide_protection,
    liquidation_price,
    next_trigger,
)
from plugins.paper.settings import PaperSettings
from rexalgo import (
    AccountReport,
    Balance,
    Clock,
    ClosedPositions,
    Money,
    NotExecuted,
    OrderHistory,
    OrderIntent,
    OrderReport,
    OutcomeUnknown,
    Position,
    ProtectionOrder,
    Rejected,
    Symbol,
)

JOURNAL_NAME = "journal.jsonl"


class Venue:
    """All accounts of one data folder. Only one venue in one process may use a folder."""

    def __init__(
        self,
        journal: Journal,
        accounts: dict[str, Account],
        prices: PricePath,
        clock: Clock,
        settings: PaperSettings,
    ) -> None:
        self.accounts = accounts
        self.prices = prices
        self.clock = clock
        self._journal = journal
        self._settings = settings
        self._terms = Terms.of_bps(settings.fee_bps, settings.slippage_bps)
        self._locks: dict[str, trio.Lock] = {}
        self._orders_made = max(
            (int(order_id[1:]) for account in accounts.values() for order_id in account.orders),
            default=0,
        )
        self._calls = 0
        self._accepted = 0

    @staticmethod
    def open(folder: Path, prices: PricePath, clock: Clock, settings: PaperSettings) -> "Venue":
        """Replay the journal in ``folder`` and return the venue. Raise JournalDamaged. Blocks while
        it reads.
        """
        journal, records = Journal.open(folder / JOURNAL_NAME, inline=settings.flush == "inline")
        try:
            accounts = replay(read_event(record) for record in records)
        except (KeyError, ValueError) as error:
            journal.close()
            raise JournalDamaged(
                f"{folder / JOURNAL_NAME} holds a record that this version cannot read: {error!r}"
            ) from error
        return Venue(journal, accounts=accounts, prices=prices, clock=clock, settings=settings)

    def close(self) -> None:
        """Close the journal. No call may be in progress."""
        self._journal.close()

    async def open_account(self, key: str, balance: Money) -> None:
        """Give a new account its starting balance; an existing account keeps its own. Raise
        NotExecuted.
        """
        async with self._lock(key):
            if key in self.accounts:
                return
            event = AccountOpened(key, balance, self.clock.now())
            try:
                await self._journal.append(write_event(event))
            except JournalWriteFailed as failure:
                raise NotExecuted(str(failure)) from failure
            self.accounts[key] = open_account(event)

    async def place(self, key: str, intent: OrderIntent) -> OrderReport:
        """Accept one order durably and report it. Raise Rejected, NotExecuted or OutcomeUnknown."""
        self._calls += 1
        if self._settings.reject_every and self._calls % self._settings.reject_every == 0:
            raise Rejected(
                f"refused by the drill reject_every = {self._settings.reject_every} (order call "
                f"{self._calls})"
            )
        async with self._lock(key):
            account = await self._up_to_date(key)
            earlier = (
                account.by_client_id.get(intent.client_order_id)
                if self._settings.dedupe_client_order_ids
                else None
            )
            if earlier is not None:
                return earlier.report()
            order = await self._accept(account, intent)
        self._accepted += 1
        if (
            self._settings.lose_answer_every
            and self._accepted % self._settings.lose_answer_every == 0
        ):
            raise OutcomeUnknown(
                f"answer lost by the drill lose_answer_every = {self._settings.lose_answer_every}"
            )
        return order.report()

    async def cancel(self, key: str, order_id: str) -> None:
        """Cancel a resting order; a finished order stays as it is. Raise Rejected for an id that
        this account never had.
        """
        async with self._lock(key):
            account = await self._up_to_date(key)
            if order_id not in account.orders:
                raise Rejected(f"order {order_id} does not exist on this account")
            if order_id in account.resting:
                await self._record_order(
                    account,
                    OrderCancelled(key, order_id, "cancelled by the account", self.clock.now()),
                )

    async def protect(self, key: str, wanted: ProtectionOrder) -> None:
        """Set a position's stop and target durably; write nothing if they are set already. Raise
        Rejected or NotExecuted.
        """
        async with self._lock(key):
            account = await self._up_to_date(key)
            now = self.clock.now()
            event = decide_protection(
                account, wanted, self.prices.price(wanted.symbol, second_of(now)), now
            )
            position = account.positions[wanted.symbol]
            if (position.stop_loss, position.take_profit) != (wanted.stop_loss, wanted.take_profit):
                await self._record_order(account, event)

    async def report(self, key: str) -> AccountReport:
        """Read the whole account as of now."""
        async with self._lock(key):
            account = await self._up_to_date(key)
            now = self.clock.now()
            return AccountReport(
                balance=Balance(available=account.available, total=account.wallet),
                positions=tuple(
                    self._position(account, symbol, now) for symbol in account.positions
                ),
                open_orders=tuple(order.report() for order in reversed(account.resting.values())),
                as_of=now,
            )

    async def history(self, key: str, symbol: Symbol, since: datetime) -> OrderHistory:
        """Read the orders of one symbol created at or after ``since``, newest first; not complete if
        some of that time are no longer listed.
        """
        async with self._lock(key):
            account = await self._up_to_date(key)
            orders = [
                order
                for order in reversed(account.orders.values())
                if order.placed.symbol == symbol and order.placed.at >= since
            ]
            complete = account.orders_from is None or since > account.orders_from
        return OrderHistory(tuple(order.report() for order in orders), complete=complete)

    async def closed_positions(self, key: str, since: datetime) -> ClosedPositions:
        """Read the positions closed at or after ``since``; not complete if some of that time are no
        longer listed.
        """
        async with self._lock(key):
            account = await self._up_to_date(key)
            return ClosedPositions(
                tuple(each for each in account.closed if each.closed_at >= since),
                complete=account.closed_from is None or since > account.closed_from,
            )

    def _lock(self, key: str) -> trio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = trio.Lock()
        return lock

    async def _up_to_date(self, key: str) -> Account:
        """Apply what the price has triggered since the last look. The caller holds the account's
        lock.
        """
        account, now = self.accounts[key], self.clock.now()
        if account.positions or account.resting:
            while (
                event := next_trigger(
                    account,
                    prices=self.prices,
                    now=now,
                    order_id=self._order_id(),
                    terms=self._terms,
                )
            ) is not None:
                if isinstance(event, OrderPlaced):
                    self._orders_made += 1
                try:
                    await self._record(account, event)
                except JournalWriteFailed as failure:
                    raise NotExecuted(str(failure)) from failure
        account.checked_s = max(account.checked_s, second_of(now))
        return account

    async def _accept(self, account: Account, intent: OrderIntent) -> Order:
        check_contract(intent, closes_all=closes_all(account, intent))
        now = self.clock.now()
        price = self.prices.price(intent.symbol, second_of(now))
        event = decide_order(
            account,
            order=intent,
            price=price,
            order_id=self._order_id(),
            now=now,
            terms=self._terms,
        )
        self._orders_made += 1
        await self._record_order(account, event)
        return account.orders[event.order_id]

    async def _record_order(self, account: Account, event: Event) -> None:
        try:
            await self._record(account, event)
        except JournalWriteFailed as failure:
            if failure.taken_back:
                raise NotExecuted(str(failure)) from failure
            raise OutcomeUnknown(str(failure)) from failure

    async def _record(self, account: Account, event: Event) -> None:
        await self._journal.append(write_event(event))
        apply(account, event)

    def _order_id(self) -> str:
        return f"P{self._orders_made + 1:010d}"

    def _position(self, account: Account, symbol: Symbol, now: datetime) -> Position:
        position, mark = account.positions[symbol], self.prices.price(symbol, second_of(now))
        return Position(
            symbol=symbol,
            side=position.side,
            quantity=position.quantity,
            entry_price=position.entry_price,
            mark_price=mark,
            leverage=position.leverage,
            margin=position.margin,
            unrealised_profit=position.profit_at(mark),
            liquidation_price=liquidation_price(position),
            stop_loss=position.stop_loss,
            take_profit=position.take_profit,
            id=position.id,
            opened_at=position.opened_at,
        )


def replay(events: Iterable[Event]) -> dict[str, Account]:
    """Return every account, rebuilt from its events in journal order."""
    accounts: dict[str, Account] = {}
    for event in events:
        if isinstance(event, AccountOpened):
            accounts[event.account] = open_account(event)
        else:
            apply(accounts[event.account], event)
    return accounts
