"""Turn an answer of the exchange into the ledger's next state: one table, used by lanes and by the
resolver.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.decisions.dispatching import LONGEST_PAUSE_S
from engine.decisions.order_lifecycle import (
    Accepted,
    Answer,
    AttemptState,
    NoProof,
    NothingSent,
    Refused,
)
from engine.domain.amounts import plain
from engine.domain.order import OrderIntent, OrderReport, OrderStatus
from engine.domain.outcome import UNTOLD_FEE, UNTOLD_PRICE, Outcome, OutcomeCode
from engine.ledger import Database
from engine.ledger.resolving import back_to_new, complete, end, unknown_outcome
from engine.ports.exchange import RejectionKind

Write = Callable[[Database], None]

_OF_STATUS = {
    OrderStatus.OPEN: OutcomeCode.PLACED,
    OrderStatus.PARTIALLY_FILLED: OutcomeCode.PARTIALLY_FILLED,
    OrderStatus.FILLED: OutcomeCode.FILLED,
    OrderStatus.CANCELLED: OutcomeCode.CANCELLED,
    OrderStatus.REJECTED: OutcomeCode.REJECTED,
}
_OF_KIND = {
    RejectionKind.BALANCE: OutcomeCode.REJECTED_BALANCE,
    RejectionKind.CREDENTIALS: OutcomeCode.REJECTED_CREDENTIALS,
}
_OF_FAMILY = {
    "skipped": AttemptState.SKIPPED,
    "denied": AttemptState.DENIED,
    "expired": AttemptState.EXPIRED,
    "killed": AttemptState.KILLED,
}


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The write that closes an attempt, and what the lane must know: its new state, how much
    filled, and what stays as residue.
    """

    write: Write
    state: AttemptState
    filled: bool
    residue: Outcome | None = None


def outcome_of(intent: OrderIntent, report: OrderReport) -> Outcome:
    """Return the outcome that a report proves."""
    price = UNTOLD_PRICE if report.average_price is None else plain(report.average_price)
    numbers = {
        "side": intent.side.value,
        "symbol": intent.symbol,
        "quantity": plain(intent.quantity),
        "filled": plain(report.filled_quantity),
        "price": price,
        "fee": UNTOLD_FEE if report.fee is None else plain(report.fee),
    }
    if report.status is OrderStatus.REJECTED:
        numbers["reason"] = report.reason or "no reason was given"
    return Outcome(_OF_STATUS[report.status], numbers)


def refused_outcome(refused: Refused) -> Outcome:
    """Return the outcome of an order that the exchange refused for good."""
    return Outcome(_OF_KIND.get(refused.kind, OutcomeCode.REJECTED), {"reason": refused.text})


def attempt_result(
    attempt_id: int,
    intent: OrderIntent,
    answer: Answer | Outcome,
    retry_s: float,
    at: datetime,
    residue_kinds: Collection[RejectionKind] = (),
) -> AttemptResult:
    """Choose the write that an answer requires; ``retry_s`` is the pause before an unfinished leg
    is planned again.

    ``residue_kinds`` are the refusals that prove that the exchange does not close what this order
    was to close.
    """
    later = at + timedelta(seconds=retry_s)
    match answer:
        case Accepted(report):
            outcome = outcome_of(intent, report)
            state = (
                AttemptState(report.status.value)
                if report.status is not OrderStatus.OPEN
                else AttemptState.PLACED
            )
            again = at if report.filled_quantity > 0 else later
            return AttemptResult(
                lambda db: complete(
                    db, attempt_id=attempt_id, report=report, outcome=outcome, at=at, retry_at=again
                ),
                state,
                report.filled_quantity > 0,
            )
        case Refused():
            left = {
                "quantity": plain(intent.quantity),
                "symbol": intent.symbol,
                "cause": answer.text,
            }
            residue = Outcome(OutcomeCode.RESIDUE, left) if answer.kind in residue_kinds else None
            refusal, again_at = residue or refused_outcome(answer), None if residue else later
            return AttemptResult(
                lambda db: end(
                    db,
                    attempt_id=attempt_id,
                    state=AttemptState.REJECTED,
                    outcome=refusal,
                    cause=answer.text,
                    at=at,
                    retry_at=again_at,
                ),
                AttemptState.REJECTED,
                False,
                residue,
            )
        case NothingSent():
            pause_s = min(max(answer.retry_after_s or 0.0, retry_s), LONGEST_PAUSE_S)
            asked = at + timedelta(seconds=pause_s)
            return AttemptResult(
                lambda db: back_to_new(
                    db, attempt_id=attempt_id, cause=answer.text, retry_at=asked, at=at
                ),
                AttemptState.NEW,
                False,
            )
        case NoProof(cause):
            unknown = unknown_outcome(intent, cause)
            return AttemptResult(
                lambda db: end(
                    db,
                    attempt_id=attempt_id,
                    state=AttemptState.UNKNOWN,
                    outcome=unknown,
                    cause=cause,
                    at=at,
                ),
                AttemptState.UNKNOWN,
                False,
            )
        case Outcome():
            stopped = _OF_FAMILY[answer.code.family]
            return AttemptResult(
                lambda db: end(
                    db,
                    attempt_id=attempt_id,
                    state=stopped,
                    outcome=answer,
                    cause="the last line",
                    at=at,
                ),
                stopped,
                False,
            )
