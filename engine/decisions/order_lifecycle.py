"""The states of an attempt to send one order, the moves between them, and how an exchange's answer
becomes a move.

Theory. An exchange is a remote machine that may act without telling us. An attempt is our half of
what happened there, so its states are about *proof*, not about hope:

- NEW: nothing left this process. It may be planned again, or end without ever having been sent
  (skipped, denied, expired, killed; rejected, if the exchange refuses what must be set before the
  order).
- CLAIMED: the ledger says that we are about to send. Written before the first byte, so that a crash
  can only leave "maybe sent", never "sent and forgotten". Only proof that nothing was executed
  leads back to NEW.
- PLACED, PARTIALLY_FILLED: the exchange said that it has the order.
- FILLED, CANCELLED, REJECTED: the exchange will not touch the order again. A CANCELLED order may be
  partly filled. An exchange may accept an order and reject it a moment later, hence PLACED ->
  REJECTED.
- UNKNOWN: sent or perhaps sent, and no proof either way: a timeout, a reset, a 5xx, an answer that
  cannot be read or describes another order, a CLAIMED row found at start. A timeout is not a no:
  treating one as a no sends the order twice. So an unknown order is looked up by reading and never
  sent again; there is deliberately no move from UNKNOWN to NEW.
- NOT_CONFIRMED: looked up completely, several times, for long enough, and not shown, whether the
  exchange had accepted it before or not. An alert is raised. It still holds its symbol, late proof
  still moves it, and what it is proven to have filled stays.
- KILLED, EXPIRED, SKIPPED, DENIED: a last check right before the write proved that nothing left.

The exchange may report two steps in one answer (accepted and already filled). Such an answer is the
two moves in a row, through PLACED; the table stays as small as the picture. A move outside the
table is a programming error that concerns one account.

How an order is found by reading back is decided in ``proving``.

Nothing here waits, reads a clock, or knows a ledger.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, assert_never

from engine.domain.amounts import Price, Quantity
from engine.domain.moves import require_move
from engine.domain.order import OrderIntent, OrderReport, OrderStatus
from engine.ports.exchange import ExchangeError, NotExecuted, Rejected, RejectionKind
from engine.ports.http import NotSent


class AttemptState(Enum):
    """The state of one attempt to send an order."""

    NEW = "new"
    CLAIMED = "claimed"
    PLACED = "placed"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_CONFIRMED = "not_confirmed"
    KILLED = "killed"
    EXPIRED = "expired"
    SKIPPED = "skipped"
    DENIED = "denied"

    @property
    def is_terminal(self) -> bool:
        """Return whether no move leads out of this state."""
        return not MOVES[self]

    @property
    def is_open(self) -> bool:
        """Return whether an order may be working at the exchange: claimed, unknown, placed or
        partially filled.
        """
        return self in _OPEN


_S = AttemptState
_OPEN: Final = frozenset({_S.CLAIMED, _S.UNKNOWN, _S.PLACED, _S.PARTIALLY_FILLED})
_NONE: Final[frozenset[AttemptState]] = frozenset()
_UNSENT: Final = frozenset({_S.KILLED, _S.EXPIRED, _S.SKIPPED, _S.DENIED})

MOVES: Final[Mapping[AttemptState, frozenset[AttemptState]]] = {
    _S.NEW: frozenset({_S.CLAIMED, _S.REJECTED}) | _UNSENT,
    _S.CLAIMED: frozenset({_S.NEW, _S.PLACED, _S.REJECTED, _S.UNKNOWN}) | _UNSENT,
    _S.PLACED: frozenset(
        {_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.NOT_CONFIRMED}
    ),
    # To itself: the filled quantity grew.
    _S.PARTIALLY_FILLED: frozenset(
        {_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELLED, _S.NOT_CONFIRMED}
    ),
    _S.UNKNOWN: frozenset({_S.PLACED, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.NOT_CONFIRMED}),
    _S.NOT_CONFIRMED: frozenset({_S.PLACED, _S.FILLED, _S.CANCELLED, _S.REJECTED}),
    _S.FILLED: _NONE,
    _S.CANCELLED: _NONE,
    _S.REJECTED: _NONE,
    _S.KILLED: _NONE,
    _S.EXPIRED: _NONE,
    _S.SKIPPED: _NONE,
    _S.DENIED: _NONE,
}


def steps(old: AttemptState, new: AttemptState) -> tuple[AttemptState, ...]:
    """Return the states that a change passes through, ``new`` last: one move of the table, or two
    through PLACED, if one report can tell both.

    Raises InvalidMove for everything else, including an unchanged state (PARTIALLY_FILLED may
    grow).
    """
    is_told = new in MOVES[_S.PLACED] and new is not _S.NOT_CONFIRMED
    if new not in MOVES[old] and _S.PLACED in MOVES[old] and is_told:
        return (_S.PLACED, new)
    require_move(MOVES, old, new, "an attempt")
    return (new,)


def check_move(old: AttemptState, new: AttemptState) -> None:
    """Raise InvalidMove unless ``steps`` knows a way from ``old`` to ``new``."""
    steps(old, new)


def state_of(report: OrderReport) -> AttemptState:
    """Return the state that the exchange's report proves; a rejection after a fill is a
    cancellation, because the fill counts.
    """
    match report.status:
        case OrderStatus.OPEN:
            return _S.PARTIALLY_FILLED if report.filled_quantity > 0 else _S.PLACED
        case OrderStatus.PARTIALLY_FILLED:
            return _S.PARTIALLY_FILLED
        case OrderStatus.FILLED:
            return _S.FILLED
        case OrderStatus.CANCELLED:
            return _S.CANCELLED
        case OrderStatus.REJECTED:
            return _S.CANCELLED if report.filled_quantity > 0 else _S.REJECTED
        case _:
            assert_never(report.status)


def no_less(report: OrderReport, filled: Quantity, price: Price | None) -> OrderReport | None:
    """Return a report that shows no less than is proven: ``filled`` at the average ``price``.

    Fills are never taken back, so a row that shows less is an old one. None if it says that the order
    still works; the end of an order counts, with what is proven.
    """
    if report.filled_quantity >= filled:
        return report
    if not report.status.is_terminal:
        return None
    return replace(report, filled_quantity=filled, average_price=price)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The exchange has (or had) the order; ``state_of(report)`` is the state it proves."""

    report: OrderReport


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange refused the order for good: the attempt is REJECTED."""

    kind: RejectionKind
    text: str


@dataclass(frozen=True, slots=True)
class NothingSent:
    """Proof that nothing was executed: back to NEW, to try again after ``retry_after_s`` (None: the
    engine's own pause).
    """

    text: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class NoProof:
    """No proof either way: the attempt is UNKNOWN. ``cause`` is a few words for people, never a
    secret.
    """

    cause: str


Answer = Accepted | Refused | NothingSent | NoProof


def classify(
    intent: OrderIntent, result: OrderReport | BaseException, written: bool | None
) -> Answer:
    """Classify what came back for an order: what ``place_order`` returned or raised. Everything
    doubtful is NoProof.

    ``written`` is what the transport knows about the order's request: False if provably no byte of
    it left, True if one may have, None if the adapter does not use the engine's transport.
    """
    match result:
        case NotExecuted():
            return NothingSent(result.text, result.retry_after_s)
        case Rejected():
            return Refused(result.kind, result.text)
        case BaseException():
            if written is False or (written is None and _never_connected(result)):
                return NothingSent(_name(result))
            return NoProof(_name(result))
        case OrderReport():
            return _judge(intent, result)
        case _:
            assert_never(result)


_BEFORE_ANY_BYTE: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})


def _never_connected(error: BaseException) -> bool:
    """Return whether an error is one of those raised before a request is written: ours, or the three
    of an adapter's own httpx client.

    httpx's are recognised by name along the class's ancestors, because decisions stay importable
    without it; the module check keeps another library's class of the same name from passing as
    proof. A read timeout, a reset or a protocol error is not among them: bytes had left.
    """
    ancestors = type(error).__mro__
    return isinstance(error, NotSent) or any(
        each.__name__ in _BEFORE_ANY_BYTE and each.__module__.partition(".")[0] == "httpx"
        for each in ancestors
    )


def _name(error: BaseException) -> str:
    # Only the adapter's own texts are written for people; another error's text may carry a URL with
    # a key in it.
    return error.text if isinstance(error, ExchangeError) and error.text else type(error).__name__


def _judge(intent: OrderIntent, report: OrderReport) -> Answer:
    is_other_id = (
        report.client_order_id is not None and report.client_order_id != intent.client_order_id
    )
    if is_other_id or not describes(report, intent):
        return NoProof("the answer describes another order")
    if report.filled_quantity < 0 or report.filled_quantity > report.quantity:
        return NoProof("the answer contradicts itself")
    if state_of(report) is _S.REJECTED:
        return Refused(RejectionKind.OTHER, report.reason or "no reason was given")
    return Accepted(report)


def describes(report: OrderReport, intent: OrderIntent) -> bool:
    """Return whether a report fits the order: same symbol, side and quantity.

    The exchange's close-position call closes what it finds, so the quantity of a ``whole_position``
    exit is not compared.
    """
    same_size = intent.whole_position or report.quantity == intent.quantity
    return report.symbol == intent.symbol and report.side is intent.side and same_size
