"""The service with which a follower agrees: terms of one strategy on one account, what they would
have done, pausing, leaving, consenting.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from engine.context import EngineContext
from engine.decisions.meaning import (
    PRESETS,
    EntryNow,
    MostInUse,
    OneEach,
    entries_now,
    most_in_use,
    one_each,
    preset_terms,
)
from engine.decisions.planning import AccountView, EntryContext, EntryPlan, plan_entry
from engine.decisions.risk import equity
from engine.decisions.sizing import TAKER_FEE_BPS
from engine.decisions.terms import TermsFacts, TermsWarning, warn_of_terms
from engine.domain.account import AccountReport, Balance, EquityMarks
from engine.domain.amounts import Ratio, parse_ratio, plain
from engine.domain.errors import NothingThere
from engine.domain.identifiers import CopyId, StrategyId
from engine.domain.outcome import Outcome
from engine.domain.signal import NO_ORDER_KEY, Action, Signal, SignalDraft
from engine.domain.subscription import (
    CopyPolicy,
    Mode,
    Subscription,
    SubscriptionState,
    strictest,
)
from engine.domain.token import Once, TokenScope
from engine.ledger import Database
from engine.ledger.codec import policy_fields
from engine.ledger.following import (
    StrategyTerms,
    agree,
    consent,
    last_entries,
    set_agreement_state,
    strategy_terms,
)
from engine.ledger.forced_close import forced_close
from engine.ledger.holdings import read_holdings
from engine.ledger.people import AccountRow, subscription_of
from engine.ledger.signals import record_signal
from engine.market.comparing import needs_now
from engine.ports.market_data import Quote
from engine.services.asking import asked, for_tokens
from engine.services.auditing import audited
from engine.services.following import FollowingService
from engine.services.user import FormErrors, User

PREVIEWED: Final = 10
_ACTS: Final = {
    SubscriptionState.PAUSED: "strategy_paused",
    SubscriptionState.ACTIVE: "strategy_resumed",
    SubscriptionState.LEFT: "strategy_left",
}
"""The audit's name for each move of a subscription."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What terms mean now: an entry into each contract, the margin of one in each (None if it is
    not known), the most margin in use (None without a limit), and what is absurd.
    """

    entries: Sequence[EntryNow]
    one_each: OneEach | None
    most: MostInUse | None
    warnings: Sequence[TermsWarning]


@dataclass(frozen=True, slots=True)
class Previewed:
    """What one earlier signal would have done under terms; ``margin`` is None if it would have sent
    nothing.
    """

    at: datetime
    action: str
    symbol: str
    side: str
    sentence: str
    margin: Decimal | None


class AgreeingService:
    """The service for followers who choose their terms."""

    def __init__(self, context: EngineContext, following: FollowingService) -> None:
        self._context = context
        self._following = following

    def strategy(self, user: User, identifier: str) -> StrategyTerms:
        """Read a strategy that the user may see; raises NothingThere."""
        terms = strategy_terms(self._context.ledger.db, identifier, user.id)
        if terms is None:
            raise NothingThere("there is no such strategy")
        return terms

    def agreement(self, row: AccountRow, strategy: StrategyId) -> Subscription | None:
        """Read what an account agreed to for a strategy, None if it agreed to nothing."""
        return subscription_of(self._context.ledger.db, row.id, strategy)

    # What the terms mean now, and would have meant

    @asked
    async def meaning(
        self, row: AccountRow, strategy: StrategyTerms, policy: CopyPolicy
    ) -> Meaning:
        """Return what terms mean now, given the account's money and current prices, and what is
        absurd about them; nothing of it if no engine runs the account.
        """
        facts = await self._facts(row, strategy, policy)
        if facts is None:
            return Meaning((), None, None, ())
        entries = entries_now(facts)
        return Meaning(entries, one_each(facts, entries), most_in_use(facts), warn_of_terms(facts))

    async def contracts_now(self, row: AccountRow, strategy: StrategyTerms) -> Sequence[EntryNow]:
        """Return every contract of a strategy with its price and the value of its smallest order."""
        every = await self.preset(row, strategy, PRESETS[0], Mode.WATCH)
        found = {each.symbol: each for each in (await self.meaning(row, strategy, every)).entries}
        return [found.get(each) or EntryNow(symbol=each) for each in sorted(strategy.symbols)]

    @asked
    async def preset(
        self, row: AccountRow, strategy: StrategyTerms, name: str, mode: Mode
    ) -> CopyPolicy:
        """Return the terms of a preset for an account as it was last read."""
        task = self._following.task(row)
        report = None if task is None else task.account.last_report
        return preset_terms(
            name,
            symbols=strategy.symbols,
            asked=parse_ratio(strategy.leverage, "leverage"),
            worth=None if report is None else equity(report),
            entry_age_s=self._context.config.engine.entry_age_s,
            mode=mode,
        )

    @asked
    async def warnings(
        self, row: AccountRow, strategy: StrategyTerms, policy: CopyPolicy
    ) -> Sequence[TermsWarning]:
        """Return what is absurd about terms; see ``meaning``."""
        return (await self.meaning(row, strategy, policy)).warnings

    async def _facts(
        self, row: AccountRow, strategy: StrategyTerms, policy: CopyPolicy
    ) -> TermsFacts | None:
        task = self._following.task(row)
        if task is None:
            return None
        feed, config = self._context.feeds[row.exchange], self._context.config
        return TermsFacts(
            policy=policy,
            asked=parse_ratio(strategy.leverage, "leverage"),
            needs=await needs_now(feed, strategy.name, policy, config.engine.price_age_s),
            report=task.account.last_report,
            operator=config.limits,
            fee_bps=Ratio(TAKER_FEE_BPS),
            entry_age_s=config.engine.entry_age_s,
        )

    @asked
    async def preview(
        self, row: AccountRow, strategy: StrategyTerms, policy: CopyPolicy
    ) -> Sequence[Previewed]:
        """Plan the strategy's last entries under these terms, with the planner that also plans live
        orders.

        Each is planned alone, on a flat account with the money of the last reading, at the signal's
        price if it named one, else at the current one, so slippage is not judged. Its age is the one
        it had when it was received.
        """
        task = self._following.task(row)
        if task is None or task.account.report is None:
            return ()
        balance = Balance(
            task.account.report.balance.total,
            task.account.report.balance.total,
            task.account.report.balance.currency,
        )
        flat = AccountReport(balance, (), (), task.account.report.as_of)
        feed, worth, zone = (
            self._context.feeds[row.exchange],
            equity(flat),
            self._context.config.engine.trading_day_zone,
        )
        shown = []
        for signal in last_entries(self._context.ledger.db, strategy.id, PREVIEWED):
            quote = await feed.quote(signal.draft.symbol, self._context.config.engine.price_age_s)
            price = (
                signal.draft.price
                if signal.draft.price is not None
                else None
                if quote is None
                else quote.last
            )
            context = EntryContext(
                signal=_as_open(signal),
                subscription=Subscription(
                    id="preview",
                    account=row.id,
                    strategy=strategy.id,
                    policy=CopyPolicy(
                        mode=Mode.LIVE,
                        sizing=policy.sizing,
                        leverage=policy.leverage,
                        symbols=policy.symbols,
                        limits=policy.limits,
                        below_minimum=policy.below_minimum,
                        allow_own_position=True,
                    ),
                ),
                copy=CopyId("preview"),
                leg=1,
                account=AccountView(flat, (), ()),
                account_problem="",
                instrument=feed.instrument(signal.draft.symbol),
                quote=None
                if price is None
                else Quote(signal.draft.symbol, price, price, signal.received_at),
                limits=strictest(self._context.config.limits, policy.limits),
                switches=(),
                goal_key=NO_ORDER_KEY,
                strategy_names={strategy.id: strategy.name},
                fee_bps=TAKER_FEE_BPS,
                entry_age_s=self._context.config.engine.entry_age_s,
                price_age_s=self._context.config.engine.price_age_s,
                now=signal.received_at,
                day=EquityMarks(
                    worth, signal.received_at, zone, worth
                ),  # nothing lost yet, as on a flat account
            )
            shown.append(_previewed(signal, plan_entry(context)))
        return shown

    # Agreeing, pausing, leaving

    @asked
    async def agree(
        self, user: User, row: AccountRow, strategy: StrategyTerms, policy: CopyPolicy
    ) -> None:
        """Agree to terms; raises NeedsConfirmation if they let orders out or raise what they may
        risk.
        """
        user.require_follower()
        now, db = self._context.clock.now(), self._context.ledger.db
        before = subscription_of(db, row.id, strategy.id)
        is_new = before is None or before.state is SubscriptionState.LEFT
        if not strategy.state.takes_entries and is_new:
            raise FormErrors({"": "This strategy takes no new followers now."})
        if policy.mode is Mode.LIVE:
            user.require_fresh(now)
        identifier = before.id if before is not None else f"sub_{secrets.token_hex(16)}"
        data = {
            "strategy": strategy.name,
            "before": None if before is None else policy_fields(before.policy),
            "now": policy_fields(policy),
        }
        await audited(
            self._context,
            user=user,
            act="agreed_live" if policy.mode is Mode.LIVE else "agreed_watch",
            subject=row.name,
            data=data,
            change=lambda db: agree(
                db,
                identifier=identifier,
                account_id=row.id,
                strategy=strategy.id,
                policy=policy,
                at=now,
            ),
        )
        await self._context.changed()

    def _agreed(
        self, row: AccountRow, strategy: StrategyTerms, *, or_left: bool = False
    ) -> Subscription:
        agreed = subscription_of(self._context.ledger.db, row.id, strategy.id)
        if agreed is None or (agreed.state is SubscriptionState.LEFT and not or_left):
            raise NothingThere(
                "you do not follow this strategy with this account; agree to its terms first"
            )
        return agreed

    @asked
    @for_tokens(TokenScope.PAUSE)
    async def pause(
        self, user: User, row: AccountRow, strategy: StrategyTerms, *, once: Once | None = None
    ) -> None:
        """Take no new entries of one strategy on one account, and cancel those that rest. For ``once``
        see ``audited``.
        """
        await self._set(user, row, strategy, SubscriptionState.PAUSED, once=once)

    @asked
    async def resume(self, user: User, row: AccountRow, strategy: StrategyTerms) -> None:
        """Take entries of the strategy again; raises FormErrors, NeedsConfirmation."""
        user.require_follower()
        user.require_fresh(self._context.clock.now())
        await self._set(user, row, strategy, SubscriptionState.ACTIVE)

    @asked
    async def consent(self, user: User, row: AccountRow, strategy: StrategyTerms) -> None:
        """Agree to what the master changed; raises FormErrors, NeedsConfirmation."""
        user.require_follower()
        now, agreed = self._context.clock.now(), self._agreed(row, strategy)
        user.require_fresh(now)
        data = {
            "strategy": strategy.name,
            "symbols": sorted(strategy.symbols),
            "leverage": strategy.leverage,
        }
        await audited(
            self._context,
            user=user,
            act="consented",
            subject=row.name,
            data=data,
            change=lambda db: consent(db, agreed.id, now),
        )
        await self._context.changed()

    @asked
    async def leave(
        self, user: User, row: AccountRow, strategy: StrategyTerms, *, close: bool
    ) -> None:
        """Leave a strategy: what it opened is closed now, or by the master's own closes, which are
        still copied until it is flat. Entries that rest are cancelled.

        Leaving and its closes are one transaction: nobody has left with closing whose closes are
        not recorded.
        """

        now = self._context.clock.now()

        def close_all(db: Database) -> None:
            for symbol in sorted(
                each.symbol for each in read_holdings(db, row.id) if each.strategy == strategy.id
            ):
                record_signal(
                    db,
                    forced_close(
                        "leave",
                        strategy=strategy.id,
                        symbol=symbol,
                        accounts=frozenset({row.id}),
                        now=now,
                    ),
                )

        await self._set(
            user,
            row=row,
            strategy=strategy,
            state=SubscriptionState.LEFT,
            also=close_all if close else lambda db: None,
        )
        if self._context.live is not None:
            self._context.live.wake()

    async def _set(
        self,
        user: User,
        row: AccountRow,
        strategy: StrategyTerms,
        state: SubscriptionState,
        also: Callable[[Database], None] = lambda db: None,
        once: Once | None = None,
    ) -> None:
        # Leaving again may close what is still open; nothing else brings a left one back.
        agreed = self._agreed(row, strategy, or_left=state is SubscriptionState.LEFT)
        act = _ACTS[state]

        def change(db: Database) -> None:
            set_agreement_state(db, agreed.id, state)
            also(db)

        await audited(
            self._context,
            user=user,
            act=act,
            subject=row.name,
            data={"strategy": strategy.name},
            change=change,
            once=once,
        )
        await self._context.changed()


def _as_open(signal: Signal) -> Signal:
    """Return the entry of a signal as an open: an add or a reverse is previewed by the size it
    would enter with.
    """
    draft = signal.draft
    return Signal(
        id=signal.id,
        number=signal.number,
        strategy=signal.strategy,
        draft=SignalDraft(
            dedupe_key=draft.dedupe_key,
            action=Action.OPEN,
            symbol=draft.symbol,
            side=draft.side,
            order_type=draft.order_type,
            price=draft.price,
            leverage=draft.leverage,
            stop_loss=draft.stop_loss,
            take_profit=draft.take_profit,
            sent_at=draft.sent_at,
            size=draft.size,
        ),
        order_key=signal.order_key,
        decided_at=signal.decided_at,
        received_at=signal.received_at,
    )


def _previewed(signal: Signal, plan: Any) -> Previewed:
    side = "" if signal.draft.side is None else signal.draft.side.value
    common = (signal.received_at, signal.draft.action.value, signal.draft.symbol, side)
    if isinstance(plan, EntryPlan):
        sentence = (
            f"{plan.intent.side.value} {plain(plan.intent.quantity)} {signal.draft.symbol} at "
            f"about {plain(plan.price)}"
        )
        return Previewed(*common, sentence, Decimal(plan.margin))
    return Previewed(
        *common, plan.sentence if isinstance(plan, Outcome) else "It would have waited.", None
    )
