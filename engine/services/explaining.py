"""Explain one copy to a person, with what only the running engine knows: the same on the page and
in ``rexalgo why``.
"""

from dataclasses import replace

from engine.context import EngineContext
from engine.decisions.explaining import LaneNow, LiveNow, explain
from engine.decisions.risk import position_of
from engine.domain.amounts import plain
from engine.domain.identifiers import StrategyId, Symbol
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.readiness import Readiness
from engine.ledger import Database
from engine.ledger.explaining import read_copy_now
from engine.ledger.holdings import read_holding
from engine.ledger.people import strategy_named
from engine.ledger.reports import signal_number, why
from engine.live import LiveAccount
from engine.views import WhyView


def explain_copy(context: EngineContext, signal: str, account: str) -> WhyView | None:
    """Explain what became of a signal for one account as things are now; None if there is no such
    copy.
    """
    db = context.ledger.db
    number, view = signal_number(db, signal), why(db, signal, account)
    if number is None or view is None:
        return None
    task = None if context.live is None else context.live.named(account)
    strategy = strategy_named(db, view.strategy)
    live = (
        None
        if task is None or strategy is None
        else live_now(db, task, strategy.id, Symbol(view.symbol))
    )
    now = read_copy_now(
        db,
        signal_number=number,
        account_name=account,
        live=live,
        in_lane=lambda copy: LaneNow() if task is None else task.in_lane(copy),
    )
    outcome = None if view.code is None else Outcome(OutcomeCode(view.code), view.numbers)
    explained = explain(outcome, now)
    return replace(view, sentence=explained.sentence, now=explained.now, move=explained.move.value)


def live_now(db: Database, task: LiveAccount, strategy: StrategyId, symbol: Symbol) -> LiveNow:
    """Return what an account's task currently knows about a symbol."""
    unread = task.account.unread(symbol)
    holding = read_holding(db, task.account.id, symbol)
    there = (
        None
        if task.account.report is None
        or holding is not None
        or task.account.may_precede_fill(symbol)
        else position_of(task.account.report, symbol)
    )
    return LiveNow(
        problem=task.account.problem,
        key_refused=task.account.readiness is Readiness.KEY_REFUSED,
        exits_wait=task.account.exits_wait(strategy),
        quarantined=task.is_quarantined,
        unreadable="" if unread is None else unread.problem,
        own="" if there is None else f"{there.side.value} {plain(there.quantity)}",
    )
