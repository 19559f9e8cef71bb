"""One seeded story: accounts, strategies, signals of every action, switches, owners who act by
hand, a process that ends; then everything settles.

The real followers, lanes, resolver and ledger run under a virtual clock and a seeded scheduler, so
a seed always gives the same story. A *killed* process loses its ledger and its exchange in the same
moment: what it was doing stays undone, as after SIGKILL.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

import trio
import trio.testing

from engine.actors.clock import TrioClock
from engine.domain.amounts import Price, Ratio
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import (
    AccountId,
    CopyId,
    ReceiptId,
    SignalId,
    StrategyId,
    Symbol,
    client_order_id,
)
from engine.domain.signal import Action, OrderType, PositionSide, SignalDraft, SignalSize, SizeMode
from engine.ledger import LedgerError
from engine.ledger.holdings import read_holding
from engine.ledger.query import fetch_all, fetch_one
from engine.ledger.resolving import decide_done, decide_none
from engine.ledger.signals import NewSignal, record_signal
from engine.ledger.wallet import is_busy
from rexalgo import ClosedBy, OrderSide
from tests.faults.dice import STOP, Cell, Dice
from tests.faults.evidence import Evidence, Ordered
from tests.faults.fault_accounts import START, ZERO
from tests.faults.fault_exchange import PRICE, SYMBOLS, VISIBLE_S, FaultExchange, Habits, Row
from tests.faults.life import CAP_NOTIONAL, SYMBOLS_AT_ONCE, Life, StoryLedger, people
from tests.faults.script import ACCOUNTS, STRATEGIES, Saying, Step, script

BEGINNING: Final = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
STEPS: Final = 250
SHARE: Final = 0.4
PEACE_S: Final = 7_200.0
READ_WITHIN_S: Final = 20.0
LOOK_S: Final = 5.0
CLOSED_AGAIN_S: Final = 130.0
CUT_S: Final = 8.5
ONE_IS_OUT_S: Final = 3.0
BOOKS_S: Final = 5_000.0
"""Until nothing of the books is asked for any more: an hour where pages never reach back, then two
readings of an idle account.
"""
FOLDED_S: Final = 60.0
"""Until what was given up at that very moment is folded into trades."""
_OPEN_STATES: Final = "('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed')"


@dataclass
class Story:
    """A seed's story, while it runs and afterwards."""

    seed: int
    ledger: StoryLedger
    exchange: FaultExchange
    dice: Dice
    problems: list[str] = field(default_factory=list)
    signals: list[NewSignal] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    actions: dict[str, str] = field(default_factory=dict)

    @property
    def evidence(self) -> Evidence:
        """Return the evidence for the invariants."""
        orders = tuple(
            Ordered(
                row.account,
                row.client_order_id,
                row.symbol,
                row.side.value,
                row.reduce_only,
                row.filled,
                row.by_owner,
            )
            for row in self.exchange.rows
        )
        positions = {
            (account, str(symbol)): abs(signed)
            for (account, symbol), signed in self.exchange.positions.items()
        }
        own = {
            (account, str(symbol)): quantity
            for (account, symbol), quantity in self.exchange.own.items()
        }
        problems = (*self.problems, *self.exchange.problems)
        return Evidence(
            self.ledger.db,
            orders,
            positions,
            own,
            self.sent,
            problems,
            frozenset(self.exchange.refused_exits),
            {each: self.exchange.accounts.cash_of(each) - START for each in ACCOUNTS},
            dict(self.exchange.accounts.flows),
        )

    def action_of(self, cid: str) -> str:
        """Return the action that an order is sent for: an entry's is known from the start, an
        exit's from its claim.
        """
        if cid not in self.actions:
            row = fetch_one(
                self.ledger.db,
                "SELECT json_extract(signal.draft, '$.action') FROM attempt JOIN copy ON copy.id "
                "= attempt.copy_id"
                " JOIN signal ON signal.number = copy.signal_number WHERE client_order_id = ?",
                (cid,),
            )
            self.actions[cid] = "-" if row is None else str(row[0])
        return self.actions[cid]

    def situation(self, account: str, symbol: str | None) -> set[Cell]:
        """Return what an account has open now, as (action, state), or its idle state."""
        place, values = (
            ("= ?1", (account,))
            if symbol is None
            else ("= ?1 AND {0}.symbol = ?2", (account, symbol))
        )
        signal = (
            "JOIN copy ON copy.id = {0}.copy_id JOIN signal ON signal.number = copy.signal_number "
            "WHERE {0}.account_id "
        )
        rows = fetch_all(
            self.ledger.db,
            "SELECT json_extract(signal.draft, '$.action'), state FROM attempt "
            + (signal + place).format("attempt")
            + f" AND state IN {_OPEN_STATES}"
            " UNION SELECT json_extract(signal.draft, '$.action'), state FROM leg "
            + (signal + place).format("leg")
            + " AND state = 'new'",
            values,
        )
        if rows:
            return {(row[0], row[1]) for row in rows}
        held = fetch_one(
            self.ledger.db,
            "SELECT 1 FROM holding WHERE account_id = ? AND share != '0'",
            (account,),
        )
        return {("-", "idle" if held is None else "held")}


class Teller:
    """The runner of a story, step by step."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._ledger = story.ledger
        self._exchange = story.exchange
        self._switches: tuple[Switch, ...] = ()

    async def tell(self, steps: tuple[Step, ...]) -> None:
        """Run the whole story: lives that end, and a last one in which everything settles."""
        left = list(steps)
        while await self._live(left):
            pass

    async def _live(self, left: list[Step]) -> bool:
        """Run one process; return False if it was the last."""
        how = ""
        async with trio.open_nursery() as outer:
            try:
                async with trio.open_nursery() as nursery:
                    life = await Life.begin(nursery, self._ledger, self._exchange, self._story.seed)
                    life.shared.switches = self._switches
                    how = await self._tell_until_end(life, left)
                    if how == "killed":
                        self._ledger.dead = True
                        life.cut()
                    else:
                        life.shared.stop()
                        outer.start_soon(self._cut_later, life)
                    nursery.cancel_scope.cancel()
            except* (LedgerError, RuntimeError):
                pass  # a task that failed while it was being ended: the next life owns its claim
            outer.cancel_scope.cancel()
        self._ledger.dead = False
        self._exchange.out.clear()
        return how != ""

    async def _cut_later(self, life: Life) -> None:
        await trio.sleep(CUT_S)
        life.cut()

    async def _tell_until_end(self, life: Life, left: list[Step]) -> str:
        while left:
            step = left.pop(0)
            await trio.sleep(step.pause_s)
            if step.kind == "end" and step.args["how"] in STOP:
                for saying in step.args["sayings"]:
                    await self._say(life, saying)
                if step.args["sayings"]:
                    await self._until_one_is_out()
                self._story.ends[step.args["how"]] += 1
                for account in ACCOUNTS:
                    self._story.dice.count(step.args["how"], self._story.situation(account, None))
                return str(step.args["how"])
            await self._do(life, step)
            self._watch()
        await self._make_peace(life)
        return ""

    async def _until_one_is_out(self) -> None:
        """Wait until an order is in flight, for a while: not every signal causes one."""
        with trio.move_on_after(ONE_IS_OUT_S):
            while (  # noqa: ASYNC110  # no wakeup
                fetch_one(self._ledger.db, "SELECT 1 FROM attempt WHERE state = 'claimed'") is None
            ):  # no wakeup
                await trio.sleep(0.01)
            await trio.sleep(0.05)  # on the wire, or there already

    async def _do(self, life: Life, step: Step) -> None:
        args, now = step.args, life.shared.clock.now()
        match step.kind:
            case "say" | "burst":
                for saying in args["sayings"]:
                    await self._say(life, saying)
            case "again" if len(self._story.signals) >= args["back"]:
                await self._deliver(life, self._story.signals[-args["back"]])
            case "switch":
                on = Switch(
                    scope=SwitchScope(args["scope"]),
                    target=args["target"],
                    note="",
                    set_by="op",
                    set_at=now,
                    level=SwitchLevel(args["level"]),
                )
                self._switch(life, (on,))
            case "resume":
                self._switch(life, ())
            case "owner":
                await self._owner(life, args)
            case "decide":
                await self._decide(life)
            case "key_window":
                self._exchange.key_refused_until[args["account"]] = now + timedelta(
                    seconds=args["seconds"]
                )
            case "price_window":
                self._exchange.prices_fail_until = now + timedelta(seconds=args["seconds"])
                self._story.dice.count(
                    "prices_fail",
                    set().union(*(self._story.situation(each, None) for each in ACCOUNTS)),
                )
            case "renew":
                life.followers[args["account"]].account.renew_session()
            case "look":
                for each in life.followers.values():
                    each.account.read_soon()
            case "release":
                life.release_all()

    def _switch(self, life: Life, switches: tuple[Switch, ...]) -> None:
        self._switches = life.shared.switches = switches
        for each in life.followers.values():
            each.account.look_at_all()

    # What masters send

    async def _say(self, life: Life, saying: Saying) -> None:
        number = len(self._story.signals) + 1
        now = life.shared.clock.now()
        new = NewSignal(
            id=SignalId(f"sig{number}"),
            receipt=ReceiptId(f"rcp{number}"),
            new_copy_id=self._ids(number, saying.action),
            strategy=StrategyId(saying.strategy),
            origin="test",
            draft=_draft(number, saying),
            body_hash=b"h",
            decided_at=now - timedelta(seconds=saying.late_s),
            received_at=now,
        )
        self._story.signals.append(new)
        for _ in range(saying.times):
            await self._deliver(life, new)

    async def _deliver(self, life: Life, new: NewSignal) -> None:
        """Deliver until it is acknowledged, as a sender does."""
        while True:
            try:
                await self._ledger.write(lambda db: record_signal(db, new))
                break
            except LedgerError:
                await trio.sleep(1)
        self._story.sent[new.draft.dedupe_key] = len(ACCOUNTS)
        life.account_tasks.wake()

    def _ids(self, number: int, action: Action) -> Callable[[], CopyId]:
        count = iter(range(1_000))

        def make() -> CopyId:
            copy = CopyId(f"cp{number}-{next(count)}")
            self._story.actions |= {client_order_id(copy, leg): action.value for leg in (1, 2)}
            return copy

        return make

    # What owners and operators do

    async def _owner(self, life: Life, args: dict[str, Any]) -> None:
        exchange, account, symbol = self._exchange, args["account"], args["symbol"]
        held = exchange.positions.get((account, symbol))
        match args["what"]:
            case "closes":
                exchange.owner_closes(account, symbol)
            case "closes_part":
                exchange.owner_closes(account, symbol, Decimal("0.4"))
            case "stopped" | "liquidated":
                exchange.owner_closes(
                    account,
                    symbol,
                    by=ClosedBy.STOP_LOSS if args["what"] == "stopped" else ClosedBy.LIQUIDATION,
                )
            case "opens" if not self._is_under_way(account, symbol) and await self._is_read(
                life, account, symbol
            ):
                side = (
                    args["side"]
                    if held is None
                    else (PositionSide.LONG if held > 0 else PositionSide.SHORT)
                )
                exchange.owner_opens(account, symbol, side, Decimal("0.777"))
                # What no reading has shown yet is not seen by design (no reading on the hot path);
                # here one comes that can show it.
                await trio.sleep(VISIBLE_S)
                life.followers[account].account.read_soon()
                await trio.sleep(READ_WITHIN_S)
            case "rests":
                now = life.shared.clock.now()
                exchange.rows.append(
                    Row(
                        exchange.new_id(),
                        account,
                        None,
                        symbol,
                        OrderSide.BUY,
                        Decimal("0.5"),
                        PRICE / 2,
                        False,
                        now,
                        now,
                        [],
                        by_owner=True,
                    )
                )

    async def _is_read(self, life: Life, account: str, symbol: Symbol) -> bool:
        """Return whether a reading saw what the owner closed. What he opens before that counts by
        design as the rest of ours.
        """
        if self._exchange.positions.get((account, symbol)) is None:
            life.followers[account].account.read_soon()
            await trio.sleep(READ_WITHIN_S)
        held = read_holding(self._ledger.db, AccountId(account), symbol)
        return held is None or held.share <= abs(self._exchange.ours.get((account, symbol), ZERO))

    def _is_under_way(self, account: str, symbol: str) -> bool:
        return any(
            state != "idle" and state != "held"
            for _, state in self._story.situation(account, symbol)
        )

    async def _decide_exits(self, life: Life) -> None:
        """Decide, as a person does, which of the closing orders without trace closed."""
        filled = {row.client_order_id: row.filled == row.quantity for row in self._exchange.rows}
        rows = fetch_all(
            self._ledger.db,
            "SELECT attempt.id, client_order_id FROM attempt JOIN holding ON holding.account_id = "
            "attempt.account_id"
            " AND holding.symbol = attempt.symbol WHERE attempt.state = 'not_confirmed' AND "
            "attempt.kind = 'exit'",
        )
        for number, cid in rows:
            at, is_done = life.shared.clock.now(), filled.get(cid, False)
            if is_done:
                await self._ledger.write(
                    lambda db, number=number, at=at: decide_done(db, number, at)
                )  # type: ignore[misc]
            else:
                await self._ledger.write(
                    lambda db, number=number, at=at: decide_none(db, number, "looked", "op", at)
                )  # type: ignore[misc]
        life.account_tasks.wake()

    async def _decide(self, life: Life) -> None:
        """Decide, as a person does, about entries without trace that are not at the exchange."""
        there = {row.client_order_id for row in self._exchange.rows}
        rows = fetch_all(
            self._ledger.db,
            "SELECT id, copy_id, account_id, client_order_id FROM attempt WHERE state = "
            "'not_confirmed' AND kind = 'entry'",
        )
        for number, copy, account, cid in rows:
            if cid not in there and not self._exchange.is_on_its_way(cid):
                try:
                    at = life.shared.clock.now()
                    await self._ledger.write(
                        lambda db, number=number, at=at: decide_none(db, number, "looked", "op", at)
                    )  # type: ignore[misc]
                except LedgerError:
                    continue
                life.followers[account].account.release(copy, proven=False)
                life.followers[account].account.read_soon()

    # What must hold at every moment, and peace

    def _watch(self) -> None:
        exchange, problems = self._exchange, self._story.problems
        exchange.settle()
        for account in ACCOUNTS:
            ours = {
                symbol: exchange.ours[account, symbol]
                for symbol in SYMBOLS
                if exchange.ours.get((account, symbol))
            }
            if len(ours) > SYMBOLS_AT_ONCE:
                problems.append(
                    f"cap: {account} holds {sorted(ours)} at once, at most {SYMBOLS_AT_ONCE} were "
                    "agreed"
                )
            worth = sum((abs(each) for each in ours.values()), Decimal(0)) * PRICE
            if worth > CAP_NOTIONAL:
                problems.append(
                    f"cap: {account} carries {worth}, at most {CAP_NOTIONAL} was agreed"
                )

    async def _make_peace(self, life: Life) -> None:
        """End every fault and switch, close everything, and wait until all copies have outcomes."""
        self._story.dice.off = True
        self._exchange.key_refused_until.clear()
        self._exchange.prices_fail_until = None
        self._exchange.rows = [
            row for row in self._exchange.rows if not (row.by_owner and row.limit is not None)
        ]
        self._switch(life, ())
        life.release_all()
        await trio.sleep(20)
        await self._wait_until_all_has_ended(life)
        self._story.problems += self._missed_goals()
        for strategy in STRATEGIES:
            for symbol in SYMBOLS:
                await self._say(life, Saying(strategy, symbol, Action.CLOSE, PositionSide.LONG))
        await self._wait_until_all_has_ended(life)
        self._exchange.settle()
        await trio.sleep(BOOKS_S)
        with trio.move_on_after(FOLDED_S):
            while any(is_busy(self._ledger.db, AccountId(each)) for each in ACCOUNTS):  # noqa: ASYNC110  # no wakeup
                await trio.sleep(1)

    async def _wait_until_all_has_ended(self, life: Life) -> None:
        for number in range(int(PEACE_S / LOOK_S)):
            if not self._is_anything_open():
                await trio.sleep(
                    CLOSED_AGAIN_S
                )  # a close without trace is repeated after a later look
                if not self._is_anything_open():
                    return
            await trio.sleep(LOOK_S)
            if number % 60 == 59:
                await self._decide_exits(
                    life
                    # what waits for a person: the owner has a part, and nothing tells what became
                    # of a close
                )

    def _missed_goals(self) -> list[str]:
        """Return every share that is still held although its strategy's newest signal about the
        contract was a close.
        """
        rows = fetch_all(
            self._ledger.db,
            "SELECT account_id, symbol, share FROM holding WHERE share != '0' AND 'close' ="
            " (SELECT json_extract(draft, '$.action') FROM signal WHERE strategy_id = "
            "holding.strategy_id"
            " AND signal.symbol = holding.symbol AND origin = 'test'"
            " AND json_extract(draft, '$.action') IN ('open', 'add', 'reverse', 'close') ORDER BY "
            "order_key DESC LIMIT 1)",
        )
        return [
            f"goal: {account} {symbol} still has {share} after its strategy said close"
            for account, symbol, share in rows
            if (account, symbol) not in self._exchange.own
        ]

    def _is_anything_open(self) -> bool:
        db = self._ledger.db
        copy = fetch_one(
            db,
            "SELECT 1 FROM copy WHERE code IS NULL OR code IN ('unknown', 'placed', "
            "'partially_filled') LIMIT 1",
        )
        order = fetch_one(
            db,
            "SELECT 1 FROM attempt WHERE state IN ('claimed', 'unknown', 'placed', "
            "'partially_filled') LIMIT 1",
        )
        return copy is not None or order is not None


def _draft(number: int, saying: Saying) -> SignalDraft:
    said: dict[str, Any] = {"side": saying.side if saying.action.is_entry else None}
    if saying.action is Action.REDUCE:
        said["size"] = SignalSize(SizeMode.FRACTION, fraction=Ratio(Decimal(saying.fraction)))
    if saying.action is Action.SET_PROTECTION:
        said["no_take_profit" if saying.drops_target else "no_stop_loss"] = True
    if saying.is_limit:
        said |= {"order_type": OrderType.LIMIT, "price": Price(PRICE)}
    return SignalDraft(f"k{number}", saying.action, Symbol(saying.symbol), **said)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Make trio choose among runnable tasks by a seed."""
    from trio._core import _run

    old_random, old_flag = _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING
    _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING = Random(seed), True  # type: ignore[misc]
    try:
        yield
    finally:
        _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING = old_random, old_flag  # type: ignore[misc]


def run_story(
    seed: int,
    *,
    steps: int = STEPS,
    share: float = SHARE,
    only: frozenset[int] | None = None,
    calls: frozenset[str] | None = None,
) -> Story:
    """Run one seed from beginning to end. ``only`` are the numbers of the steps to do, ``calls``
    the only calls that may fail.
    """

    async def tell() -> Story:
        clock, dice = TrioClock(BEGINNING), Dice(seed, share, calls)
        exchange = FaultExchange(clock, dice, Habits.of(Random(f"habits {seed}")))
        ledger = StoryLedger.made(dice, exchange)
        people(ledger)
        story = Story(seed, ledger, exchange, dice, ledger.problems)
        dice.situation, exchange.action_of = story.situation, story.action_of
        await Teller(story).tell(
            tuple(step for step in script(seed, steps) if only is None or step.number in only)
        )
        return story

    with _seeded(seed):
        return trio.run(tell, clock=trio.testing.MockClock(autojump_threshold=0))
