"""A master's instruction as it was sent: what to do with which contract, and its place in the order
of signals.

``SignalDraft`` is what a signal source makes of a delivery. ``Signal`` is the draft once the ledger
has given it an id, a number and an order key. A signal says nothing about any follower.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import NewType

from engine.domain.amounts import Price, Quantity, Ratio
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import SignalId, StrategyId, Symbol
from engine.domain.text import require_text


class Action(Enum):
    """What the master asks for. Actions that reduce risk are always taken; entries may be switched
    off.

    ``reduce`` closes a fraction of each follower's own share. ``reverse`` closes the other side and
    enters ``side`` once the position is flat. ``cancel`` cancels resting entries.
    ``set_protection`` moves the stop loss and take profit of what is held.
    """

    OPEN = "open"
    ADD = "add"
    REDUCE = "reduce"
    CLOSE = "close"
    REVERSE = "reverse"
    SET_PROTECTION = "set_protection"
    CANCEL = "cancel"

    @property
    def is_entry(self) -> bool:
        """Return whether the action can raise exposure."""
        return self in (Action.OPEN, Action.ADD, Action.REVERSE)

    @property
    def is_only_entry(self) -> bool:
        """Return whether nothing of the action is left to do when entries are off; a reverse still
        closes.
        """
        return self in (Action.OPEN, Action.ADD)

    @property
    def ends_older_entries(self) -> bool:
        """Return whether older entries must not be sent any more: the action leaves the strategy
        flat, or cancels its orders.
        """
        return self in (Action.CLOSE, Action.REVERSE, Action.CANCEL)


class PositionSide(Enum):
    """The direction of a position."""

    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def opposite(self) -> "PositionSide":
        """Return the opposite direction."""
        return PositionSide.SHORT if self is PositionSide.LONG else PositionSide.LONG


class OrderType(Enum):
    """The type of an order."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class SizeMode(Enum):
    """What decides the size: the follower's own sizing, a multiple of the master's quantity, or
    (reduce) a fraction of what is held.
    """

    FOLLOWER = "follower"
    QUANTITY = "quantity"
    FRACTION = "fraction"


@dataclass(frozen=True, slots=True)
class SignalSize:
    """The size that a signal carries.

    ``quantity`` is the master's own, present exactly when the mode is QUANTITY. ``fraction`` is the
    part of each follower's share to close, above 0 and below 1, present exactly when the mode is
    FRACTION.
    """

    mode: SizeMode = SizeMode.FOLLOWER
    quantity: Quantity | None = None
    fraction: Ratio | None = None

    def __post_init__(self) -> None:
        if (self.mode is SizeMode.QUANTITY) != (self.quantity is not None):
            raise InvalidValue("size.quantity", "a quantity exactly when size.mode is 'quantity'")
        if (self.mode is SizeMode.FRACTION) != (self.fraction is not None):
            raise InvalidValue("size.fraction", "a fraction exactly when size.mode is 'fraction'")
        if self.fraction is not None and not 0 < self.fraction < 1:
            raise InvalidValue(
                "size.fraction",
                "a number above 0 and below 1 (to close everything, send close)",
                self.fraction,
            )


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """Facts in an alert that help to order it; alerts of one moment arrive in any order and carry
    no number.

    ``came_from`` is the side the sender says it held before, None if it does not say or
    ``was_flat``. ``seems_from`` is what its wording suggests if it does not say. ``is_bare`` means
    that it names an order and no position, so nobody can say what its ``buy`` meant.
    """

    came_from: PositionSide | None = None
    is_bare: bool = False
    was_flat: bool = False
    seems_from: PositionSide | None = None


@dataclass(frozen=True, slots=True)
class SignalDraft:
    """One parsed instruction before it is recorded.

    ``dedupe_key`` is the sender's idempotency id, unique per endpoint for ever. With ``repeats_s``
    the same key is a repetition only within that many seconds after the signal was received, and a
    new signal later: for senders without ids of their own. ``sent_at`` is the sender's clock (UTC),
    None if none was sent. ``price`` is the price the master saw (MARKET) or the limit (LIMIT).
    ``side`` is required for an entry; on a close it narrows the close to that side. ``is_test``
    runs everything and cannot reach an exchange. ``no_stop_loss`` and ``no_take_profit`` remove
    that protection (set_protection only); a kind that is not named stays as it is.

    ``alert`` is for senders whose messages may overtake each other. ``ignored_fields`` counts the
    fields in the body that the source did not know; it is no part of the instruction.
    """

    dedupe_key: str
    action: Action
    symbol: Symbol
    side: PositionSide | None = None
    order_type: OrderType = OrderType.MARKET
    price: Price | None = None
    leverage: Ratio | None = None
    stop_loss: Price | None = None
    take_profit: Price | None = None
    sent_at: datetime | None = None
    size: SignalSize = SignalSize()
    seq: int | None = None
    position_after: str | None = None
    is_test: bool = False
    no_stop_loss: bool = False
    no_take_profit: bool = False
    repeats_s: int | None = None
    alert: AlertFacts | None = None
    ignored_fields: int = field(default=0, compare=False)

    @property
    def closing_half(self) -> "SignalDraft":
        """Return the closing half of a reverse as a close of its own, for when its entry may not be
        sent.
        """
        assert self.side is not None, "SignalDraft refuses a reverse without a side"
        return replace(
            self,
            action=Action.CLOSE,
            side=self.side.opposite,
            price=None,
            leverage=None,
            stop_loss=None,
            take_profit=None,
            order_type=OrderType.MARKET,
            size=SignalSize(),
        )

    def __post_init__(self) -> None:
        require_text(self.dedupe_key, "dedupe_key")
        if self.action.is_entry and self.side is None:
            raise InvalidValue("side", "LONG or SHORT for an entry")
        if (self.action is Action.REDUCE) != (self.size.mode is SizeMode.FRACTION):
            raise InvalidValue(
                "size.mode", "'fraction' for reduce, and for no other action", self.size.mode.value
            )
        self._check_protection()
        if self.order_type is OrderType.LIMIT and self.price is None:
            raise InvalidValue("price", "a price for a LIMIT order")
        if self.sent_at is not None and self.sent_at.tzinfo is None:
            raise InvalidValue(
                "sent_at", "a time with a zone, such as 2026-11-23T10:00:00Z", self.sent_at
            )
        if self.repeats_s is not None and not 1 <= self.repeats_s <= 86_400:
            raise InvalidValue(
                "repeats_s", "a whole number of seconds from 1 to 86400", self.repeats_s
            )
        if self.seq is not None and not 0 <= self.seq < 10**18:
            raise InvalidValue("seq", "a whole number from 0 to 10^18", self.seq)

    def _check_protection(self) -> None:
        moves = self.action is Action.SET_PROTECTION
        if (self.no_stop_loss or self.no_take_profit) and not moves:
            raise InvalidValue(
                "stop_loss" if self.no_stop_loss else "take_profit",
                "a price; 'none' is for set_protection",
                "none",
            )
        named = (
            self.stop_loss is not None
            or self.take_profit is not None
            or self.no_stop_loss
            or self.no_take_profit
        )
        if moves and not named:
            raise InvalidValue(
                "stop_loss", "stop_loss, take_profit or both: a price, or 'none' to take it away"
            )
        if (self.no_stop_loss and self.stop_loss is not None) or (
            self.no_take_profit and self.take_profit is not None
        ):
            raise InvalidValue("stop_loss", "a price or 'none', not both")


OrderKey = NewType("OrderKey", str)
"""A sortable text: of two signals of one strategy, the later has the greater key. The empty text is
before every signal.
"""

NO_ORDER_KEY = OrderKey("")


FIRST_ORDER_KEY = OrderKey("0")
"""The key before every signal's: that of an entry that came too late to be sent anywhere."""


def after(key: OrderKey) -> OrderKey:
    """Return the key right behind ``key`` and before every other: the key of a reverse's entry, if
    ``key`` is that of its exit.
    """
    return OrderKey(key + ".1")


def order_key(rank: int, at_us: int, ledger_number: int) -> OrderKey:
    """Build an order key: by rank first, then time in microseconds, then the ledger's number.

    Ranks come from old ledgers, where they were the senders' own numbers; a new signal takes the
    rank of the one it follows.
    """
    return OrderKey(f"{rank:019d}.{at_us:019d}.{ledger_number:012d}")


def behind(newest: OrderKey, at_us: int, ledger_number: int) -> OrderKey:
    """Build the key of a new signal behind ``newest`` and so behind all others; ``ledger_number``
    is the greatest so far.
    """
    if newest == NO_ORDER_KEY:
        return order_key(0, at_us, ledger_number)
    rank, newest_us, *_ = newest.split(".")
    return order_key(int(rank), max(int(newest_us), at_us), ledger_number)


def right_before(key: OrderKey, ledger_number: int) -> OrderKey:
    """Build the key of a new signal right before ``key`` and behind everything already before it.

    Every recorded key ends with a ledger number. One less than that number, plus a suffix greater
    than what ``after`` appends, lies between the two. ``ledger_number`` is the greatest so far, so
    the key lies behind whatever was put there before.
    """
    stem, _, number = key.rpartition(".")
    return OrderKey(f"{stem}.{int(number) - 1:012d}.5.{ledger_number:012d}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One recorded instruction. Times are UTC; ``decided_at`` is the sender's time, clamped so that
    it is never after receipt.
    """

    id: SignalId
    number: int
    strategy: StrategyId
    draft: SignalDraft
    order_key: OrderKey
    decided_at: datetime
    received_at: datetime

    @property
    def entry_key(self) -> OrderKey:
        """Return the order key of the entry that this signal asks for; a reverse's entry comes
        right behind its own exit.
        """
        return after(self.order_key) if self.draft.action is Action.REVERSE else self.order_key
