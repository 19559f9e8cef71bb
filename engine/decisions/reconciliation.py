"""Compare the exchange with the ledger: the differences as values, for others to act on and to
show.

What always holds: a correction only ever lowers our share, because the exchange cannot owe us what
is not there; nothing here raises exposure, sends or cancels. A second run after applying the
corrections changes nothing. A symbol that is not settled is left alone: the report may be older
than what is under way there.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final, assert_never

from engine.decisions.risk import may_have_position, position_of
from engine.domain.account import AccountReport, ClosedPosition, Position
from engine.domain.amounts import EXACT, ZERO, Quantity, plain
from engine.domain.booking import Cause
from engine.domain.holding import Holding
from engine.domain.identifiers import ClientOrderId, StrategyId, Symbol
from engine.domain.order import OrderReport, OrderSide
from engine.domain.signal import PositionSide

_GONE: Final = (
    "the position was closed outside the engine: by the owner, a stop, a target or a liquidation"
)
_LESS: Final = (
    "the position is smaller than our share: the owner, a stop, a target or a liquidation closed "
    "a part, or the entry was netted with a position of the owner's"
)
_REPLACED: Final = (
    "the position was closed outside the engine, and nothing proves that the one that is open there "
    "now is ours: it counts as the owner's"
)
_TURNED: Final = "the position stands on the other side: the owner closed ours and turned it"
_NETTED: Final = (
    "the position is the owner's, on the other side: the exchange netted our entry with it"
)
_NONE: Final = Quantity(ZERO)
_NO_IDS: Final[Mapping[str, Quantity]] = MappingProxyType({})
NEAR: Final = Decimal("0.002")
"""How far from its level, as a part of it, a stop or target may be filled on the better side: the
exchange looks at another price than the one that it fills at.
"""
_BY_LOST: Final = "an order of this engine that this ledger lacks"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareShrunk:
    """A strategy's share is now ``share_to``. ``detached``: closed by something else than an order
    of ours, so no entry until the master closes or reverses, or until it is proven that the
    strategy's own level did it (``closed_by_own_level``).
    """

    symbol: Symbol
    strategy: StrategyId
    share_from: Quantity
    share_to: Quantity
    cause: str
    detached: bool


@dataclass(frozen=True, slots=True)
class ForeignOrders:
    """Orders with our prefix that the ledger lacks: the ledger is old, so the account takes no
    entries until somebody accepts them.

    An order once found stays listed even if it no longer rests: filled, it is as foreign as before.
    """

    exchange_order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OwnPosition:
    """What the owner holds beyond our share; information, nothing to correct.

    ``by_lost``: how much of it was opened by orders of ours that the ledger lacks. No strategy
    holds it, so it counts as the owner's.
    """

    symbol: Symbol
    side: PositionSide
    quantity: Quantity
    by_lost: Quantity = _NONE


@dataclass(frozen=True, slots=True)
class LostOrders:
    """Orders of ours in an account's history that the ledger lacks, each also in words: the ledger
    is older than they are.
    """

    exchange_order_ids: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What stays as it is, is not decided, or will be sent; information, nothing to correct.
    ``kind``: stays, open or sends.
    """

    kind: str
    what: str
    step: str


Correction = ShareShrunk | ForeignOrders | LostOrders | OwnPosition | Told


def reconcile(
    holdings: Iterable[Holding],
    report: AccountReport,
    *,
    unsettled: Collection[Symbol],
    working: Collection[Symbol] = (),
    exiting: Collection[Symbol],
    bound_ids: Collection[str],
    client_id_known: Callable[[ClientOrderId], bool],
    closed_ids: Mapping[str, Quantity] = _NO_IDS,
    replaced: Collection[Symbol] = (),
    met_ids: Collection[str] = (),
    lost: Sequence[OrderReport] = (),
) -> tuple[Correction, ...]:
    """Compare one account's ledger with a report of the exchange; return the corrections.

    ``unsettled``: symbols with an attempt that is claimed, unknown, placed or partially filled, or
    that ended after the reading of ``report`` began. ``working``: those of them where only entries
    work and all that is known to be filled is shown. What they fill unseen only makes a position
    larger, so one that is smaller than the share lost the difference. ``exiting``: symbols where an
    exit of ours still runs; a position that vanished there was not closed by the owner. ``bound_ids``: exchange
    order ids that the ledger knows; ``client_id_known`` does the same for client order ids.
    ``closed_ids``: positions that held a share of ours and are known to be closed, although another
    one of the same side is open there; each with how much of the share is in that one, as
    ``carried_over`` returns it. ``replaced``: symbols where the same is known of a share
    whose position has no id here. ``met_ids``: orders with our prefix that an earlier reading
    found, and nobody has accepted. ``lost``: orders of ours in the account's history that the
    ledger lacks. Such an order is reported once: as lost, which says what it did, even if it rests
    or was found before as well.
    """
    holdings = tuple(holdings)
    settled = {
        each.symbol: each
        for each in holdings
        if each.symbol not in unsettled
        and each.entries_open == 0
        and not may_have_position(report, each.symbol)
    }
    busy = {each.symbol for each in holdings} - set(settled) | set(unsettled)
    judged = settled | {
        each.symbol: each
        for each in holdings
        if each.symbol in working
        and each.position_id not in closed_ids
        and each.symbol not in replaced
        and not may_have_position(report, each.symbol)
    }
    shrunk = [
        correction
        for _, each in sorted(judged.items())
        if (
            correction := _shrunk(
                each,
                report=report,
                is_exiting=each.symbol in exiting,
                closed_ids=closed_ids,
                replaced=replaced,
                lost=lost,
            )
        )
        is not None
    ]
    resting = {
        each.exchange_order_id
        for each in report.open_orders
        if is_lacking(each, bound_ids, client_id_known)
    }
    foreign = sorted(resting.union(met_ids) - {each.exchange_order_id for each in lost})
    return (
        *shrunk,
        *([ForeignOrders(tuple(foreign))] if foreign else []),
        *_own_positions(
            settled, report=report, busy=busy, closed_ids=closed_ids, replaced=replaced, lost=lost
        ),
        *(
            [
                LostOrders(
                    tuple(each.exchange_order_id for each in lost),
                    tuple(map(_words_of_order, lost)),
                )
            ]
            if lost
            else []
        ),
    )


def carried_over(
    holding: Holding, ended: Iterable[tuple[ClosedPosition, Decimal]], *, entered: Decimal
) -> Quantity:
    """Return how much of a share is in the position that is open now, although the one that we took
    for its place is closed.

    An entry that is filled in parts may be in several positions, if each was closed between two
    parts. ``ended``: the one with the share and those that closed after it, each with what is booked
    as closed of it already. All else that they held was closed by something else, and counts as ours:
    the share can be in the open position only beyond that. A record of less than is booked proves
    nothing. ``entered``: what entries of ours were seen to fill since the open position was opened,
    which is the most that it has of them.
    """
    by_others = sum((EXACT.subtract(each.quantity, booked) for each, booked in ended), start=ZERO)
    if by_others < 0:
        return _NONE
    left = EXACT.subtract(holding.share, by_others)
    return Quantity(max(ZERO, min(entered, left)))


def _may_hold(
    holding: Holding,
    position: Position | None,
    closed_ids: Mapping[str, Quantity],
    replaced: Collection[Symbol],
) -> tuple[Quantity, bool]:
    """Return how much of a share the position that is open now may hold, and whether it replaced
    the one that held the share before.
    """
    is_replaced = (
        holding.position_id in closed_ids if holding.position_id else holding.symbol in replaced
    )
    if position is None or position.side is not holding.side:
        return _NONE, is_replaced
    if not is_replaced:
        return position.quantity, False
    return min(position.quantity, closed_ids.get(holding.position_id, _NONE)), True


def _shrunk(
    holding: Holding,
    report: AccountReport,
    is_exiting: bool,
    closed_ids: Mapping[str, Quantity],
    replaced: Collection[Symbol],
    lost: Sequence[OrderReport],
) -> ShareShrunk | None:
    position = position_of(report, holding.symbol)
    there, is_replaced = _may_hold(holding, position, closed_ids, replaced)
    if there >= holding.share:
        return None
    steps = _through(lost, holding.symbol, holding.side, holding.share)
    detached = there == 0 and not is_exiting and not (min(steps) <= 0 and steps[-1] == 0)
    if min(steps) <= there:
        cause = f"{_BY_LOST} closed {'a part of ' if there > 0 else ''}the position"
        cause += (
            ""
            if position is None or there > 0
            else "; the one that is open there now is another one"
        )
    else:
        cause = (
            _GONE
            if position is None
            else _LESS
            if there > 0
            else _REPLACED
            if is_replaced
            else _NETTED
            if holding.position_id and holding.position_id == position.id
            else _TURNED
        )
        cause += (
            f"; {_BY_LOST} closed {plain(holding.share - min(steps))} of it"
            if min(steps) < holding.share
            else ""
        )
    return ShareShrunk(
        symbol=holding.symbol,
        strategy=holding.strategy,
        share_from=holding.share,
        share_to=there,
        cause=cause,
        detached=detached,
    )


def closed_by_own_level(holding: Holding, cause: Cause, price: Decimal) -> bool:
    """Return whether the strategy's own stop or target closed a position, so that its master is flat
    by the same level.

    The exchange names the kind of level, and not who set it. A stop that the owner moved towards
    the price closes before the strategy's would; beyond the strategy's level both have closed.
    """
    own = {Cause.STOP_LOSS: holding.stop_loss, Cause.TAKE_PROFIT: holding.take_profit}
    level = own.get(cause)
    if level is None:
        return False
    near = EXACT.multiply(level, NEAR)
    is_below = (cause is Cause.STOP_LOSS) == (holding.side is PositionSide.LONG)
    return price <= EXACT.add(level, near) if is_below else price >= EXACT.subtract(level, near)


def _through(
    lost: Iterable[OrderReport], symbol: Symbol, side: PositionSide, share: Decimal
) -> list[Decimal]:
    """Return a share as it was before, between and after the lost orders of its symbol; a share
    below zero changes side.
    """
    steps = [share]
    for each in sorted(lost, key=lambda order: order.created_at):
        if each.symbol == symbol:
            sign = 1 if each.side is OrderSide.opening(side) else -1
            steps.append(EXACT.add(steps[-1], sign * each.filled_quantity))
    return steps


def is_lacking(
    order: OrderReport, bound_ids: Collection[str], is_known: Callable[[ClientOrderId], bool]
) -> bool:
    """Return whether an order carries our mark and the ledger does not know it."""
    own = order.client_order_id
    return (
        own is not None
        and order.has_our_mark
        and order.exchange_order_id not in bound_ids
        and not is_known(own)
    )


def _own_positions(
    settled: dict[Symbol, Holding],
    report: AccountReport,
    busy: set[Symbol],
    closed_ids: Mapping[str, Quantity],
    replaced: Collection[Symbol],
    lost: Sequence[OrderReport],
) -> Iterable[OwnPosition]:
    for position in sorted(report.positions, key=lambda each: each.symbol):
        holding = settled.get(position.symbol)
        there = _NONE if holding is None else _may_hold(holding, position, closed_ids, replaced)[0]
        ours = _NONE if holding is None else min(holding.share, there)
        beyond = Quantity(EXACT.subtract(position.quantity, ours))
        if beyond > 0 and position.symbol not in busy:
            began = (
                Decimal(0)
                if holding is None
                else holding.share
                if holding.side is position.side
                else -holding.share
            )
            steps = _through(lost, position.symbol, position.side, began)
            opened = max(ZERO, EXACT.subtract(steps[-1], max(ZERO, min(steps))))
            yield OwnPosition(position.symbol, position.side, beyond, Quantity(min(beyond, opened)))


def apply(holdings: Iterable[Holding], corrections: Iterable[Correction]) -> tuple[Holding, ...]:
    """Return the holdings as they are once the corrections are recorded."""
    shrunk = {each.symbol: each for each in corrections if isinstance(each, ShareShrunk)}
    return tuple(_applied(each, shrunk.get(each.symbol)) for each in holdings)


def _applied(holding: Holding, change: ShareShrunk | None) -> Holding:
    if change is None:
        return holding
    return replace(holding, share=change.share_to, detached=holding.detached or change.detached)


def words_of(correction: Correction) -> dict[str, str]:
    """Return a correction in words: what differs, and what applying it does."""
    match correction:
        case ShareShrunk():
            step = (
                f"{correction.symbol}: our share goes from {plain(correction.share_from)} to "
                f"{plain(correction.share_to)}"
            )
            after = (
                "; no entry there until the master closes or reverses"
                if correction.detached
                else ""
            )
            return {
                "kind": "share",
                "differs": f"{correction.symbol}: {correction.cause}",
                "step": step + after,
            }
        case ForeignOrders(orders):
            differs = f"orders {', '.join(orders)} carry our mark and are not in this ledger"
            return {
                "kind": "foreign",
                "differs": differs,
                "step": "they are taken as the owner's; entries of the account are allowed again",
            }
        case LostOrders():
            differs = (
                f"{len(correction.words)} orders carry our mark and are not in this ledger: "
                f"{'; '.join(correction.words)}"
            )
            return {
                "kind": "lost",
                "differs": differs,
                "step": "what they opened is not followed: close or cancel by hand what stands",
            }
        case Told(kind, what, step):
            return {"kind": kind, "differs": what, "step": step}
        case OwnPosition():
            return {
                "kind": "own",
                "differs": _words_of_own(correction),
                "step": "nothing: it is left alone",
            }
        case _:
            assert_never(correction)


def _words_of_own(own: OwnPosition) -> str:
    what = f"{own.side.value} {plain(own.quantity)} {own.symbol}"
    if own.by_lost == own.quantity:
        return f"{what} stands beside our share: {_BY_LOST} opened it"
    return f"the owner holds {what} beside us" + (
        f"; {_BY_LOST} opened {plain(own.by_lost)} of it" if own.by_lost else ""
    )


def _words_of_order(order: OrderReport) -> str:
    filled = f", {plain(order.filled_quantity)} filled" if order.filled_quantity > 0 else ""
    rests = "" if order.status.is_terminal else ", may still rest"
    what = f"{order.side.value} {plain(order.quantity)} {order.symbol}"
    return (
        f"{order.exchange_order_id} {what} of {order.created_at:%Y-%m-%d %H:%M} UTC{filled}{rests}"
    )


Plan = tuple[Correction, ...]
"""The differences between the ledger and a reading of one account."""


class Changed(Exception):
    """Raised when an account is no longer as its plan was shown."""


def digest(plan: tuple[Correction, ...]) -> str:
    """Return a short digest of what a plan decides; what is only reported (the owner's positions,
    what waits) is left out.
    """
    lines = [
        f"{words}"
        for each in plan
        if not isinstance(each, OwnPosition) and (words := words_of(each))["kind"] != "sends"
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
