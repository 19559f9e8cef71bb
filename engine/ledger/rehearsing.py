"""Rehearse a signal: record it exactly as it would be, count what would become of it, and undo
everything.

What always holds: nothing stays of it, neither a signal, a copy, an id nor a number. The verb that
records is the one that is rehearsed, so a rehearsal cannot promise what recording would refuse.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from engine.domain.outcome import OutcomeCode
from engine.domain.signal import Action, SignalDraft
from engine.domain.subscription import Mode, SubscriptionState
from engine.ledger.codec import read_policy_of_entries
from engine.ledger.query import Database, Row, fetch_all
from engine.ledger.signals import NewSignal, record_signal
from engine.ledger.writer import undone

ORDER: Final = "order"
"""What is counted besides outcome codes: the copy would go on to its account's own checks."""
_STOPS: Final = {
    SubscriptionState.PAUSED: OutcomeCode.SKIPPED_PAUSED,
    SubscriptionState.LEFT: OutcomeCode.SKIPPED_LEFT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a signal would come to. ``is_new`` False: it was recorded before, and ``would`` is empty.

    ``would`` counts its copies by ``order``, or by the outcome that is certain already;
    ``not_mirrored`` is why no order of it would reach any exchange, None if one may.
    """

    is_new: bool
    copies: int
    not_mirrored: str | None
    would: Mapping[str, int]


def rehearse_signal(db: Database, new: NewSignal) -> Rehearsal:
    """Record a signal, undo it, and return what it would come to; raises DedupeConflict as recording
    does.

    It is undone inside its closure, so what shares its transaction does not run again.
    """
    return undone(db, partial(_record, new=new))


def _record(db: Database, new: NewSignal) -> Rehearsal:
    recorded = record_signal(db, new)
    would: Counter[str] = Counter()
    if recorded.is_new:
        rows = fetch_all(
            db,
            "SELECT subscription.state, agreed_us < terms_us, policy, EXISTS (SELECT 1 FROM holding "
            "WHERE holding.account_id = copy.account_id AND holding.symbol = ?2 AND "
            "holding.strategy_id = ?3 AND (share != '0' OR entries_open > 0)) FROM copy JOIN signal "
            "ON signal.number = copy.signal_number JOIN subscription ON subscription.id = "
            "copy.subscription_id JOIN strategy ON strategy.id = subscription.strategy_id WHERE "
            "signal.id = ?1",
            (recorded.id, new.draft.symbol, new.strategy),
        )
        would.update(_certain(new.draft, row) for row in rows)
        if recorded.not_mirrored is not None and would[ORDER]:
            would["not_mirrored"] = would.pop(ORDER)
    return Rehearsal(
        is_new=recorded.is_new,
        copies=recorded.copies,
        not_mirrored=recorded.not_mirrored,
        would=dict(would),
    )


def _certain(draft: SignalDraft, row: Row) -> str:
    """Return the outcome of a copy that is certain before its account is asked, else ``order``."""
    state, waits_for_consent, policy, holds = row
    if not draft.action.is_entry or (draft.action is Action.REVERSE and holds):
        return ORDER if holds else OutcomeCode.SKIPPED_NOTHING_TO_CLOSE.value
    stopped = _STOPS.get(SubscriptionState(state))
    if stopped is not None:
        return stopped.value
    if waits_for_consent:
        return OutcomeCode.SKIPPED_CONSENT.value
    mode, symbols, _ = read_policy_of_entries(policy)
    if draft.symbol not in symbols:
        return OutcomeCode.DENIED_SYMBOL_NOT_AGREED.value
    if draft.action is Action.OPEN and holds:
        return OutcomeCode.SKIPPED_ALREADY_OPEN.value
    if draft.action is Action.ADD and not holds:
        return OutcomeCode.SKIPPED_NOT_OPEN.value
    return OutcomeCode.SKIPPED_WATCH_ONLY.value if mode is Mode.WATCH else ORDER
