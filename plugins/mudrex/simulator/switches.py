"""Switches for what nobody outside knows about the exchange: each can be set in a faults file, or while the simulator runs.

The defaults are what published captures suggest, or, where nothing does, what is the least kind to a client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Switches:
    """Hold the answers to the open questions."""

    legs_vanish_with_position: bool = True
    """Stop and target of a position are cancelled when it closes; else they stay as working rows."""
    leverage_changes_with_position: bool = True
    """Leverage can be set while a position is open (it then counts for what is opened later); else 400."""
    opposite_larger_flips: bool = False
    """A larger opposite order turns the position; else it closes the position and no more."""
    reduce_only_larger_is_capped: bool = True
    """A reduce-only order above the position fills with what is there; else 400."""
    rows_carry_client_order_id: bool = True
    """Order rows show the client order id of v2 entries."""
    detail_finds_client_order_id: bool = False
    """``orders/detail`` finds by client order id (it answered 404 when that was tried)."""
    v2_orders: bool = True
    """The v2 order call is there; else 404."""
    v1_market_needs_price: bool = True
    """A v1 market order without a price is refused."""
    attached_protection_is_kept: bool = True
    """Stop and target that came with an entry are set on the position; else they are dropped without a word."""
    closed_position_has_new_id: bool = True
    """The row in the positions' history has another id than the open position had."""
    prices_move: bool = True
    """Prices follow the seeded path; else they stand at the contract's own price."""
    margin_freed_after_s: float = 1.0
    """How long freed margin takes to become free balance."""

    def changed(self, table: Mapping[str, object]) -> "Switches":
        """Return these with some changed; raises ValueError for a name or a type that is not one of theirs."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in table.items():
            if name not in known:
                raise ValueError(f"switch {name}: expected one of {', '.join(known)}")
            if isinstance(known[name], bool) != isinstance(value, bool) or not isinstance(value, bool | int | float):
                raise ValueError(f"switch {name}: expected a value like {known[name]}, found {value!r}")
        return replace(self, **table)  # type: ignore[arg-type]  # names and types were checked above
