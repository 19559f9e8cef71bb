"""The last check of quantities: does the order about to be sent agree with everything that the
ledger proves about it?

What always holds: an order is sent only as it was claimed, once for each leg. An exit closes at
most the strategy's share, less what other exits in flight already close, and less what one that the
exchange accepted and does not show may have closed. A share is never more than
the fills recorded since the contract was last entered. Any answer but None proves that nothing was
sent: after ``Changed`` the order is planned again; ``Broken`` is a fault of ours, so the account is
stopped.

Shares are compared with ``opened - closed`` as an upper bound, not as an exact sum: a close by an
owner, a stop or a liquidation lowers a share without an order of ours. It never raises one.
"""

from dataclasses import dataclass

from engine.decisions.order_lifecycle import AttemptState
from engine.domain.amounts import EXACT, Quantity, plain
from engine.domain.identifiers import StrategyId
from engine.domain.order import OrderIntent
from engine.domain.signal import PositionSide


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRecord:
    """What the ledger records about one claimed attempt and its (account, symbol).

    ``claimed`` and ``state`` are the attempt's. ``orders_out`` counts the orders of its leg that
    may be at the exchange, this one included. ``share`` is what ``strategy`` holds on ``side``
    (None: nobody holds the symbol). ``closing`` is what other exits may still close, ``unseen`` what
    exits may have closed that the exchange accepted and does not show, until a reading repeats them
    or a person decides. ``opened`` and
    ``closed`` are the fills since the contract was entered, None if the share is zero or no entry
    explains it.
    """

    claimed: OrderIntent
    state: AttemptState
    orders_out: int
    strategy: StrategyId | None
    side: PositionSide | None
    share: Quantity
    closing: Quantity
    unseen: Quantity
    opened: Quantity | None
    closed: Quantity | None


@dataclass(frozen=True, slots=True)
class Changed:
    """The holding changed since the order was planned: nothing is wrong, and the order is planned
    again.
    """

    why: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A contradiction between the order and the ledger; ``cause`` has the numbers."""

    cause: str


def conserved(
    intent: OrderIntent,
    record: OnRecord,
    strategy: StrategyId,
    planned_from: Quantity | None,
    *,
    is_flattening: bool = False,
) -> Changed | Broken | None:
    """Check one order right before it is sent; None permits it.

    ``planned_from`` is the share that an exit was planned from, None for an entry.
    ``is_flattening``: a person had everything closed; then a share that its fills do not explain
    may be closed too, but never more than the share.
    """
    broken = _not_as_claimed(intent, record) or (None if is_flattening else _unexplained(record))
    if broken is not None:
        return broken
    return None if planned_from is None else _exit(intent, record, strategy, planned_from)


def _not_as_claimed(intent: OrderIntent, record: OnRecord) -> Broken | None:
    if record.state is not AttemptState.CLAIMED:
        return Broken(f"expected a claimed order, found one that is {record.state.value}")
    if record.claimed != intent:
        return Broken(f"{_words(record.claimed)} was claimed, and {_words(intent)} was to be sent")
    if record.orders_out != 1:
        return Broken(
            f"expected one order for this step of the signal, found {record.orders_out} that may "
            "be at the exchange"
        )
    return None


def _unexplained(record: OnRecord) -> Broken | None:
    if record.share == 0:
        return None
    if record.opened is None or record.closed is None:
        return Broken(
            f"a share of {plain(record.share)} is recorded, and no order of ours entered the "
            "contract"
        )
    if record.share > EXACT.subtract(record.opened, record.closed):
        fills = (
            f"{plain(record.opened)} were filled and {plain(record.closed)} closed since it was "
            "entered"
        )
        return Broken(f"a share of {plain(record.share)} is recorded, and {fills}")
    return None


def _exit(
    intent: OrderIntent, record: OnRecord, strategy: StrategyId, planned_from: Quantity
) -> Changed | Broken | None:
    if record.strategy != strategy or record.side is not intent.position_side:
        return Changed("the strategy does not hold this side of the contract any more")
    closing = EXACT.add(intent.quantity, record.closing)
    if EXACT.add(closing, record.unseen) <= record.share:
        return None
    if closing <= record.share:
        return Changed(
            f"a closing order that the exchange accepted and does not show may have closed "
            f"{plain(record.unseen)} of it: rexalgo unknown decide"
        )
    if record.share != planned_from:
        return Changed(
            f"its share went from {plain(planned_from)} to {plain(record.share)} while the order "
            "was prepared"
        )
    beside = (
        f" while {plain(record.closing)} are being closed already" if record.closing > 0 else ""
    )
    return Broken(
        f"{plain(intent.quantity)} were to be closed{beside}, and the share is "
        f"{plain(record.share)}"
    )


def _words(intent: OrderIntent) -> str:
    return (
        f"{intent.side.value} {plain(intent.quantity)} {intent.symbol} ({intent.client_order_id})"
    )
