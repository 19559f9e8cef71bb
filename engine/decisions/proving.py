"""What became of an order that was sent, established by reading alone.

Theory. An entry is an order: it is proven by its row. An exit is a change of a position: it is
proven by what happened to the position that it was to close, because an exchange may write no row
for a close, write it late, or write rows that look alike. The proofs of an exit, the strongest
first:

1. the row with our client order id, if exits carry one, whatever its time;
2. the one row of the closing side and quantity that names the held position, was not there before,
   and has the time of our call;
3. the exchange's record of the closed position: it names the order that closed it and its price, or
   says that it was liquidated;
4. a later reading of the account without the position, or with exactly that part less. It proves
   that the exit is done; the price is not reported yet.

Whether an unknown row opened or closed a position is decided by its position id, never by the lack
of a client order id: anybody's row lacks ours. A row that shows neither is accepted for no exit.
The absence of a row proves nothing about an exit.

If an exchange keeps no client order id, an entry is the one row that nobody else accounts for: not
bound to another attempt, not there before we sent, same symbol, side and quantity, created in the
narrow window in which ours must have been. Two such rows are a question for a person.
"""

from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from engine.decisions.order_lifecycle import describes
from engine.decisions.risk import may_have_position, position_of
from engine.domain.account import AccountReport, ClosedPosition
from engine.domain.amounts import EXACT, ZERO, Price, Quantity
from engine.domain.order import ClosedBy, OrderIntent, OrderReport, OrderSide, OrderStatus

BEFORE_SEND_S: Final = 2.0
SLACK_S: Final = 5.0
UNKNOWN_OFFSET_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What is known about one order whose fate is open.

    ``at`` is when it was claimed, on our clock. ``clock_offset_s`` is what must be added to get the
    exchange's time; if it is None (not known), the window widens by 60 s and a match is not sure.
    ``bound_ids`` are exchange order ids of other attempts, ``witness_ids`` those seen before the
    send. ``held_before`` is the whole position before an exit, None if it is not known.
    """

    intent: OrderIntent
    at: datetime
    bound_ids: Container[str] = ()
    witness_ids: Collection[str] = ()
    clock_offset_s: float | None = 0.0
    deadline_s: float = 8.0
    slack_s: float = SLACK_S
    held_before: Quantity | None = None

    @property
    def earliest(self) -> datetime:
        """Return the earliest time, on the exchange's clock, that a row of this order can have."""
        return self._there - timedelta(seconds=BEFORE_SEND_S + self._widened_s)

    @property
    def latest(self) -> datetime:
        """Return the latest time, on the exchange's clock, that a row of this order can have unless
        it carries our id.
        """
        return self._there + timedelta(seconds=self.deadline_s + self.slack_s + self._widened_s)

    @property
    def _there(self) -> datetime:
        return self.at + timedelta(seconds=self.clock_offset_s or 0.0)

    @property
    def _widened_s(self) -> float:
        return UNKNOWN_OFFSET_S if self.clock_offset_s is None else 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """The proof of our order; ``is_sure`` is False if the exchange's clock was not known."""

    report: OrderReport
    is_sure: bool = True


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing that was read can be ours; proof only for an entry, after several complete readings."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A person must decide: these rows (exchange order ids) may be ours, or carry our id and do not
    fit.
    """

    exchange_order_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClosedOtherwise:
    """Something else closed the position that an exit was to close: the exit executed nothing."""

    closed: ClosedPosition


def match_order(
    sent: Sent, reports: Iterable[OrderReport], *, reads_client_order_id: bool
) -> Found | Absent | Ambiguous:
    """Find an order among rows read back."""
    rows = {each.exchange_order_id: each for each in reports}
    own = [each for each in rows.values() if each.client_order_id == sent.intent.client_order_id]
    if own:
        fits = len(own) == 1 and describes(own[0], sent.intent) and _is_of_this_try(sent, own[0])
        return Found(own[0]) if fits else _ambiguous(own)
    if reads_client_order_id:
        return Absent()
    fits_exit = sent.intent.reduce_only
    strange = [
        each
        for each in rows.values()
        if _is_strange(sent, each)
        and (
            _closes_ours(sent.intent, each, rows.values())
            if fits_exit
            else _may_open(each, rows.values())
        )
    ]
    if len(strange) > 1:
        return _ambiguous(strange)
    return Found(strange[0], is_sure=sent.clock_offset_s is not None) if strange else Absent()


def _is_of_this_try(sent: Sent, row: OrderReport) -> bool:
    """Return whether a row with our id is the order of this try. Whatever its time, one that works
    or executed something is: our clock may have been set since the claim. One that ended without is
    not if it is older, because a try that the exchange proved not to be executed had the same id.
    """
    is_nothing = row.status.is_terminal and row.filled_quantity == ZERO
    return not is_nothing or row.created_at >= sent.earliest


def _is_strange(sent: Sent, row: OrderReport) -> bool:
    """Return whether a row fits the order in content and time, and belongs to nobody else as far as
    we know.
    """
    return (
        row.client_order_id is None
        and row.exchange_order_id not in sent.bound_ids
        and row.exchange_order_id not in sent.witness_ids
        and (row.symbol, row.side, row.quantity)
        == (sent.intent.symbol, sent.intent.side, sent.intent.quantity)
        and sent.earliest <= row.created_at <= sent.latest
    )


def _closes_ours(intent: OrderIntent, row: OrderReport, rows: Collection[OrderReport]) -> bool:
    """Return whether a row of the closing side closed the position that the exit was to close."""
    if row.closed_by not in (None, ClosedBy.ORDER):
        return False
    if intent.position_id:
        return row.position_id == intent.position_id
    return row.reduce_only is True or _closes(row, rows)


def _may_open(row: OrderReport, rows: Collection[OrderReport]) -> bool:
    return row.reduce_only is not True and row.closed_by is None and not _closes(row, rows)


def _closes(row: OrderReport, rows: Collection[OrderReport]) -> bool:
    """Return whether a row closes a position that rows of the other side open, judged by a row that
    says what it did, else by the oldest one.
    """
    same = [each for each in rows if row.position_id and each.position_id == row.position_id]
    opened = [
        (each.side, each.closed_by is not None or each.reduce_only is True)
        for each in same
        if _says_what_it_did(each)
    ]
    if opened:
        side, closes = opened[0]
        return (row.side is side) is closes
    return bool(same) and min(same, key=lambda each: each.created_at).side is not row.side


def _says_what_it_did(row: OrderReport) -> bool:
    return row.closed_by is not None or row.reduce_only is not None


def says_who_closed(row: OrderReport) -> bool:
    """Return whether an exit's row surely belongs to an order: it carries a client order id, or
    names what closed the position.
    """
    return row.client_order_id is not None or row.closed_by is not None


def match_closed(sent: Sent, closed: Iterable[ClosedPosition]) -> Found | ClosedOtherwise | Absent:
    """Find an exit in the exchange's record of closed positions, with its price if the position was
    closed as a whole.
    """
    intent = sent.intent
    named = [
        each for each in closed if intent.position_id and each.position_id == intent.position_id
    ]
    row = next(iter(named), None)
    if row is not None and row.closed_at < sent.earliest:
        return ClosedOtherwise(
            row
        )  # it was over before the exit was sent, whatever is open there now
    if row is None or not (intent.whole_position or row.quantity == intent.quantity):
        return Absent()  # a part may have been closed by us before something else closed the rest
    if (
        row.closed_by not in (None, ClosedBy.ORDER)
        or row.order_id in sent.bound_ids
        or row.closed_at > sent.latest
    ):
        return ClosedOtherwise(row)
    # A position closed in parts shows the average of them: the order's own row has the price of
    # this one.
    price = row.exit_price if row.quantity == intent.quantity else None
    return Found(
        _done(intent, row.order_id, price, row.closed_at), is_sure=sent.clock_offset_s is not None
    )


def match_position(
    sent: Sent, report: AccountReport, share: Decimal, owned: Decimal = ZERO
) -> Found | Absent:
    """Find an exit in a reading taken after the send: its position is gone, or smaller by exactly
    the part.

    What is open is compared with the whole position before, as the last reading showed it, and as
    the books have it: ``share`` is ours before the exit, ``owned`` the owner's part; and with
    ``share`` alone, because the owner may have closed their part. A position with another id is not
    the one that was held. A row that cannot be read may be the position, so it proves nothing.
    """
    intent = sent.intent
    if may_have_position(report, intent.symbol):
        return Absent()
    position = position_of(report, intent.symbol)
    is_there = (
        position is not None
        and position.side is intent.position_side
        and _may_be(intent.position_id, position.id)
    )
    if position is not None and is_there:
        befores = (share, EXACT.add(share, owned), sent.held_before)
        rests = {
            EXACT.subtract(before, intent.quantity) for before in befores if before is not None
        }
        if position.quantity not in rests:
            return Absent()
    return Found(_done(intent, "", None, report.as_of))


def _may_be(held_id: str, shown_id: str) -> bool:
    return "" in (held_id, shown_id) or held_id == shown_id


def _done(intent: OrderIntent, order_id: str, price: Price | None, at: datetime) -> OrderReport:
    """Build the report of an exit that a position proves, as its order would have had it; fee and
    sometimes price are missing.
    """
    side = OrderSide.closing(intent.position_side)
    return OrderReport(
        exchange_order_id=order_id,
        client_order_id=None,
        symbol=intent.symbol,
        side=side,
        quantity=intent.quantity,
        status=OrderStatus.FILLED,
        filled_quantity=intent.quantity,
        average_price=price,
        fee=None,
        created_at=at,
        reduce_only=True,
        reason="",
        position_id=intent.position_id,
        closed_by=ClosedBy.ORDER,
    )


def _ambiguous(rows: Iterable[OrderReport]) -> Ambiguous:
    return Ambiguous(tuple(sorted(each.exchange_order_id for each in rows)))


def resolution_due(reads: int) -> float:
    """Return the seconds to wait before the next read, after ``reads`` of them: 1, 2, 4, 8, 16,
    then 30.
    """
    return min(float(2 ** min(reads, 5)), 30.0)


ABSENCES_NEEDED: Final = 3


def may_stop_looking(
    complete_absences: int, first_read_at: float, now: float, window_s: float = 60.0
) -> bool:
    """Return whether an order is NOT_CONFIRMED: absent in 3 complete reads over at least
    ``window_s`` seconds.

    ``first_read_at`` is when the first complete read found nothing, ``now`` when the newest did:
    seconds on a clock that nobody sets.
    """
    return complete_absences >= ABSENCES_NEEDED and now - first_read_at >= window_s
