"""The proof that a closing call closed: a row that names the position, of the closing side, for the
closed quantity. Pure.

The call answers without an order id. Valid proof is an order without a client id that is done, was
made after the position was last seen open, is no stop or target of it, proved no earlier exit, and
does not look like a liquidation, which also leaves an ordinary row. Otherwise the closed position
itself is the proof.
"""

from collections.abc import Collection
from datetime import datetime

from plugins.mudrex import rows
from plugins.mudrex.parsing import Row
from plugins.mudrex.requests import closes_all
from rexalgo import ClosedBy, ClosedPosition, OrderIntent, OrderReport, OrderStatus


class ExitProof:
    """The expected form of the order of one closing call. ``seen_at`` is the exchange's clock when
    the position was seen open.
    """

    def __init__(
        self, position: Row, order: OrderIntent, seen_at: datetime, proven: Collection[str]
    ) -> None:
        self.position_id = rows.id_of_position(position) or str(position["id"])
        self._order = order
        self._since = seen_at.replace(
            microsecond=0
        )  # rows have rounded times: a row of this moment shows this second or the next
        self._others = {
            *proven,
            *(leg.order_id for name in ("stoploss", "takeprofit") if (leg := _leg(position, name))),
        }
        self._held = rows.quantity_held(position)
        self._quantity = self._held if closes_all(position, order) else order.quantity

    def by_order(self, reports: Collection[OrderReport]) -> OrderReport | None:
        """Return the order that closed, once it is done; a filled one before an unfilled one."""
        done = [each for each in reports if each.status.is_terminal and self._is_mine(each)]
        sure = [
            each
            for each in done
            if each.closed_by is ClosedBy.ORDER or each.status is not OrderStatus.FILLED
        ]
        return min(sure, key=lambda each: each.status is not OrderStatus.FILLED, default=None)

    def _is_mine(self, each: OrderReport) -> bool:
        if (
            each.exchange_order_id in self._others
            or each.client_order_id is not None
            or each.closed_by not in (None, ClosedBy.ORDER)
        ):
            return False
        is_close = (each.position_id, each.symbol, each.side) == (
            self.position_id,
            self._order.symbol,
            self._order.side,
        )
        return is_close and each.quantity == self._quantity and each.created_at >= self._since

    def by_closed_position(
        self, closed: ClosedPosition | None, reports: Collection[OrderReport]
    ) -> OrderReport | None:
        """Return the order that the closed position names, if the whole was to be closed."""
        if (
            closed is None
            or closed.position_id != self.position_id
            or closed.closed_by is ClosedBy.LIQUIDATION
        ):
            return None
        if not closed.order_id or closed.order_id in self._others or closed.closed_at < self._since:
            return None
        if any(
            each.exchange_order_id == closed.order_id and not self._is_mine(each)
            for each in reports
        ):
            return None
        if self._held is None or not self._quantity == self._held == closed.quantity:
            return None
        return OrderReport(
            exchange_order_id=closed.order_id,
            client_order_id=None,
            symbol=closed.symbol,
            side=self._order.side,
            quantity=closed.quantity,
            status=OrderStatus.FILLED,
            filled_quantity=closed.quantity,
            average_price=closed.exit_price,
            fee=None,
            created_at=closed.closed_at,
            reduce_only=True,
            position_id=closed.position_id,
        )


def _leg(position: Row, name: str) -> rows.Leg | None:
    try:
        return rows.leg(position, name)
    except (ValueError, KeyError):
        return None
