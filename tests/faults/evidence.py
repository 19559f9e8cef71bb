"""What invariants look at: the ledger beside the exchange's own record, whether a story was told or
a process killed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine.ledger import Database


@dataclass(frozen=True, slots=True)
class Ordered:
    """Hold one order of the exchange's own record; ``client_order_id`` is None where the exchange
    was not told one.
    """

    account: str
    client_order_id: str | None
    symbol: str
    side: str
    reduce_only: bool
    filled: Decimal
    by_owner: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hold both sides once everything has ended and every strategy was told to close.

    ``positions`` and ``own`` (the owner's part of a position) are by account and symbol, always
    positive. ``sent`` are the dedupe keys of what was acknowledged to a sender, with the number of
    accounts it is for. ``problems`` were seen on the way. ``refused_exits`` are the accounts and
    symbols where the exchange refused a closing order as too small: what it does not close may stay
    there. ``earned`` is by account what the exchange's own record says that its wallet changed by,
    ``ours`` what our own fills brought of it, before fees; none where nobody waited for the books.
    """

    db: Database
    orders: tuple[Ordered, ...]
    positions: Mapping[tuple[str, str], Decimal]
    own: Mapping[tuple[str, str], Decimal]
    sent: Mapping[str, int]
    problems: tuple[str, ...] = ()
    refused_exits: frozenset[tuple[str, str]] = frozenset()
    earned: Mapping[str, Decimal] = field(default_factory=dict)
    ours: Mapping[str, Decimal] = field(default_factory=dict)
