"""Parse the rows of an account one by one: orders, positions, closed positions, fees. An unreadable
row affects no other. Pure.

What a row does not say is not invented. The position that an order names tells whether it opened or
closed, never a missing client order id. Only a close filled at its own price is certainly no
liquidation.
"""

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from plugins.mudrex.parsing import ZERO, Row, minted_at, moment, number
from rexalgo import (
    ClientOrderId,
    ClosedBy,
    ClosedPosition,
    FeeKind,
    FeeReport,
    Money,
    OrderReport,
    OrderSide,
    OrderStatus,
    Position,
    PositionSide,
    Price,
    Quantity,
    Ratio,
    Symbol,
    UnreadableRow,
    parse_symbol,
    read_contract,
)

T = TypeVar("T")
PROBLEM_CHARACTERS_MAX: Final = 160
SYMBOL_CHARACTERS_MAX: Final = 32
ROUNDED: Final = timedelta(seconds=1)
"""Times of rows are rounded to the nearest second."""
OPENED_WITHIN: Final = timedelta(milliseconds=50)
"""An order that opens a position gets its id 2 to 3 ms after the position's."""
SIDES: Final = {"LONG": OrderSide.BUY, "SHORT": OrderSide.SELL}
CLOSED_BY: Final = {"STOPLOSS": ClosedBy.STOP_LOSS, "TAKEPROFIT": ClosedBy.TAKE_PROFIT}
_KINDS: Final[Mapping[str, OrderSide | ClosedBy]] = {**SIDES, **CLOSED_BY}
_STATUS: Final = {
    "CREATED": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
    "FAILED": OrderStatus.REJECTED,
}
_HAS_FILLED: Final = (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED)
_ENDS: Final = {"CLOSED": None, "LIQUIDATED": ClosedBy.LIQUIDATION}
_FEE_KINDS: Final = {
    "TRANSACTION": FeeKind.TRADE,
    "FUNDING": FeeKind.FUNDING,
    "REBATE": FeeKind.REBATE,
}


@dataclass(frozen=True, slots=True)
class Unread:
    """An unreadable row, with its newest time if that is readable."""

    row: UnreadableRow
    at: datetime | None

    def may_be(self, since: datetime, symbol: Symbol | None = None) -> bool:
        """Return whether it could be of this time and contract. An unreadable time or contract
        could be.
        """
        in_time = self.at is None or self.at >= since - ROUNDED
        return in_time and (symbol is None or self.row.symbol in (None, symbol))


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """The parsed rows of a list, and its unreadable rows."""

    values: tuple[T, ...]
    unread: tuple[Unread, ...]

    @property
    def unreadable(self) -> tuple[UnreadableRow, ...]:
        """Return the unreadable rows."""
        return tuple(each.row for each in self.unread)

    def hides(self, since: datetime, symbol: Symbol | None = None) -> bool:
        """Return whether an unreadable row could be of this time and contract."""
        return any(each.may_be(since, symbol) for each in self.unread)


def read_each(what: str, rows: Iterable[Any], read: Callable[[Row], T | None]) -> Read[T]:
    """Parse each row once. None is a row of another sort."""
    values: list[T] = []
    unread: list[Unread] = []
    for row in once(rows):
        try:
            value = read(_object(row))
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            unread.append(_unread(what, row, error))
            continue
        values += [] if value is None else [value]
    return Read(tuple(values), tuple(unread))


def once(rows: Iterable[Any]) -> list[Any]:
    """Return each row once, by its id, or by its whole content if it has none. The first one
    counts.
    """
    kept: dict[str, Any] = {}
    for row in rows:
        identifier = row.get("id") if isinstance(row, dict) else None
        kept.setdefault(identifier if isinstance(identifier, str) else repr(row), row)
    return list(kept.values())


def _object(row: Any) -> Row:
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, found {type(row).__name__}")  # noqa: TRY004 - one failure type for whatever cannot be read
    return row


def _unread(what: str, row: Any, error: Exception) -> Unread:
    fields = row if isinstance(row, dict) else {}
    problem = (
        f"{error.args[0]}: expected a value, found none"
        if isinstance(error, KeyError)
        else str(error)
    )
    identifier = fields.get("id")
    unread = UnreadableRow(
        what, str(identifier or "")[:64], symbol_of(fields), problem[:PROBLEM_CHARACTERS_MAX]
    )
    return Unread(unread, time_of(fields, "created_at", "updated_at"))


def symbol_of(row: Row) -> Symbol | None:
    """Return a row's contract, or None if it is unreadable.

    A name with other letters than A to Z is a contract too, which no order of ours is in.
    """
    for read in (parse_symbol, read_contract):
        try:
            return read(row.get("symbol"))
        except ValueError:
            continue
    name = unicodedata.normalize("NFKC", str(row.get("symbol")))
    if name.isascii() or not name.isprintable() or len(name) > SYMBOL_CHARACTERS_MAX:
        return None
    return Symbol(name) if name.endswith("USDT") else None


def time_of(row: Any, *names: str) -> datetime | None:
    """Return the newest of a row's times, or None if it has none or one is unreadable."""
    try:
        return max(moment(row[each]) for each in names if row.get(each) is not None)
    except (AttributeError, ValueError):
        return None


def _id(row: Row, name: str = "id") -> str:
    value = row[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: expected an id, found {value!r}")
    return value


def word(row: Row, name: str) -> str:
    """Return a row's word in upper case: the exchange's casing varies. Empty if it is none."""
    value = row.get(name)
    return value.upper() if isinstance(value, str) else ""


def _one_of(row: Row, name: str, words: Mapping[str, T]) -> T:
    value, found = row[name], word(row, name)
    if found not in words:
        raise ValueError(f"{name}: expected one of {', '.join(words)}, found {value!r}")
    return words[found]


def _positive(row: Row, name: str) -> Any:
    value = number(row, name)
    if value <= 0:
        raise ValueError(f"{name}: expected a number above 0, found {value}")
    return value


# Orders


def orders(rows: Iterable[Any]) -> Read[OrderReport]:
    """Parse order rows. Unfilled stops and targets are not orders."""
    listed = list(rows)
    opened = _opened(listed)
    return read_each("order", listed, lambda row: order(row, opened))


def id_of_position(row: Row) -> str | None:
    """Return the id of an open position, by which its orders name it; None if it is unreadable."""
    value = row.get("position_id") or row.get("id")
    return value if isinstance(value, str) else None


def quantity_held(row: Row) -> Quantity | None:
    """Return the quantity of an open position; None if it is unreadable."""
    try:
        return Quantity(_positive(row, "quantity"))
    except ValueError:
        return None


def position_of(row: Row) -> str:
    """Return the id of the position that an order row names, or an empty text."""
    value = row.get("position_id") or row.get("future_position_uuid")
    return value if isinstance(value, str) else ""


def _opened(rows: Iterable[Any]) -> dict[str, OrderSide]:
    """Return the side of the order that opened each position, if the rows show that order."""
    opened = {}
    for row in rows:
        side = SIDES.get(word(row, "order_type")) if isinstance(row, dict) else None
        if side is not None:
            position, made = minted_at(position_of(row)), minted_at(str(row.get("id")))
            if (
                position is not None
                and made is not None
                and timedelta(0) <= made - position <= OPENED_WITHIN
            ):
                opened[position_of(row)] = side
    return opened


def order(row: Row, opened: Mapping[str, OrderSide]) -> OrderReport | None:
    """Parse one order row; ``opened`` is the side that opened each position. Return None for an
    unfilled stop or target.
    """
    kind = _one_of(row, "order_type", _KINDS)
    opening = opened.get(position_of(row))
    if isinstance(kind, ClosedBy):
        if opening is None or not number(row, "filled_quantity", ZERO):
            return None
        side: OrderSide = OrderSide.SELL if opening is OrderSide.BUY else OrderSide.BUY
    else:
        side = kind
    status = _one_of(row, "status", _STATUS)
    filled, average = (
        number(row, "filled_quantity", None if status in _HAS_FILLED else ZERO),
        number(row, "filled_price", ZERO),
    )
    quantity = filled if isinstance(kind, ClosedBy) else _positive(row, "quantity")
    if not 0 <= filled <= quantity or (status in _HAS_FILLED and not filled):
        raise ValueError(
            f"filled_quantity: expected a fill that fits {status.value} and the quantity "
            f"{quantity}, found {filled}"
        )
    cid, reason = row.get("client_order_id"), row.get("reason")
    has_id = isinstance(cid, str) and bool(cid)
    return OrderReport(
        exchange_order_id=_id(row),
        client_order_id=ClientOrderId(cid) if isinstance(cid, str) and cid else None,
        symbol=parse_symbol(row["symbol"]),
        side=side,
        quantity=Quantity(quantity),
        status=status,
        filled_quantity=Quantity(filled),
        average_price=Price(average) if filled > 0 and average > 0 else None,
        fee=None,
        created_at=moment(row["created_at"]),
        reduce_only=False if has_id else None if opening is None else side is not opening,
        reason=_reason(reason.get("message")) if isinstance(reason, dict) else "",
        position_id=position_of(row),
        closed_by=kind
        if isinstance(kind, ClosedBy)
        else None
        if has_id or side is opening
        else _closed_by(row),
    )


def _closed_by(row: Row) -> ClosedBy | None:
    """Recognise an ordinary close as recorded: no reason, and filled at its own price. An entry has
    the reason OK, a liquidation two prices.
    """
    price = number(row, "price", ZERO)
    is_close = (
        row.get("reason") is None
        and bool(position_of(row))
        and price > 0
        and price == number(row, "filled_price", ZERO)
    )
    return ClosedBy.ORDER if is_close else None


def _reason(message: Any) -> str:
    return "" if message is None or str(message).upper() == "OK" else str(message)


# Positions


@dataclass(frozen=True, slots=True)
class Leg:
    """A position's stop or target: its price, and its order."""

    price: Price
    order_id: str


def leg(row: Row, name: str) -> Leg | None:
    """Parse a position's stop or target. Null, an empty object or a missing order gives None."""
    value = row.get(name)
    if not isinstance(value, dict):
        return None
    price = number(value, "price", ZERO)
    return (
        Leg(Price(price), str(value["order_id"])) if price > 0 and value.get("order_id") else None
    )


def _price_of(leg: Leg | None) -> Price | None:
    return None if leg is None else leg.price


def position(row: Row, mark: Price | None) -> Position:
    """Parse an open position. The exchange gives no mark price: use the feed's, or else the entry
    price.
    """
    side = _one_of(row, "order_type", PositionSide.__members__)
    entry, quantity = Price(_positive(row, "entry_price")), Quantity(_positive(row, "quantity"))
    shown = entry if mark is None else mark
    sign = 1 if side is PositionSide.LONG else -1
    liquidation = number(row, "liquidation_price", ZERO)
    return Position(
        symbol=parse_symbol(row["symbol"]),
        side=side,
        quantity=quantity,
        entry_price=entry,
        mark_price=shown,
        leverage=Ratio(_positive(row, "leverage")),
        margin=Money(number(row, "initial_margin")),
        unrealised_profit=Money((shown - entry) * quantity * sign),
        liquidation_price=Price(liquidation) if liquidation > 0 else None,
        stop_loss=_price_of(leg(row, "stoploss")),
        take_profit=_price_of(leg(row, "takeprofit")),
        id=_id(row, "position_id" if row.get("position_id") else "id"),
        opened_at=time_of(row, "created_at"),
    )


def closed_position(row: Row) -> ClosedPosition:
    """Parse a row of the positions' history. Its own id is new; older rows do not name the position
    that was open.
    """
    closed = number(row, "closed_price", ZERO)
    result = None if row.get("pnl") in (None, "") else Money(number(row, "pnl"))
    named, by = row.get("position_id"), row.get("order_id")
    return ClosedPosition(
        position_id=named if isinstance(named, str) else "",
        symbol=parse_symbol(row["symbol"]),
        side=_one_of(row, "position_type", PositionSide.__members__),
        quantity=Quantity(_positive(row, "quantity")),
        entry_price=Price(_positive(row, "entry_price")),
        exit_price=Price(closed) if closed > 0 else None,
        closed_at=moment(row["updated_at"]),
        opened_at=moment(row["created_at"]),
        closed_by=_one_of(row, "status", _ENDS),
        order_id=by if isinstance(by, str) else "",
        result=result,
    )


# Fees


def fee(row: Row) -> FeeReport:
    """Parse one row of the fee history. ``amount`` is the loss of the wallet.

    A fee in USDT includes its tax; a fee in rupees has it beside. A rebate has the amount that came
    back, funding the amount paid.
    """
    kind = _one_of(row, "fee_type", _FEE_KINDS)
    stated, traded = number(row, "fee_amount"), number(row, "transaction_amount", ZERO)
    currency = str(row.get("trade_currency") or "USDT")
    tax = number(row, "gst_amount", ZERO) if kind is FeeKind.TRADE else ZERO
    amount = -stated if kind is FeeKind.REBATE else stated if currency == "USDT" else stated + tax
    is_trade, by = kind is not FeeKind.FUNDING, word(row, "order_type")
    return FeeReport(
        id=_id(row),
        symbol=parse_symbol(row["symbol"]),
        kind=kind,
        amount=Money(amount),
        tax=Money(tax),
        currency=currency,
        at=moment(row["created_at"]),
        side=SIDES.get(by) if is_trade else None,
        traded=Money(traded) if is_trade and traded > 0 else None,
        closed_by=CLOSED_BY.get(by),
    )
