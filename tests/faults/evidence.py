"""The input of the invariants: the ledger beside the exchange's own record, after a story or after
killed processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine.ledger import Database


@dataclass(frozen=True, slots=True)
class Ordered:
    """One order of the exchange's own record. ``client_order_id`` is None if none was sent."""

    account: str
    client_order_id: str | None
    symbol: str
    side: str
    reduce_only: bool
    filled: Decimal
    by_owner: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """Both sides after everything has ended and every strategy was told to close.

    ``positions`` and ``own`` (the owner's part of a position) are by account and symbol, always
    positive. ``sent`` are the dedupe keys of acknowledged signals, with the number of accounts each
    is for. ``problems`` occurred on the way. ``refused_exits`` are the accounts and symbols where
    the exchange refused a closing order as too small: what it does not close may stay there.
    ``earned`` is the change of each wallet by the exchange's own record, ``ours`` the part of it
    from our own fills, before fees; both are empty if nobody waited for the books.
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
