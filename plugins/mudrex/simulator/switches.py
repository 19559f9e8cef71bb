"""Switches for behaviour of the exchange that is not known: each can be set in a faults file, or
while the simulator runs.

Recorded behaviour of the real exchange has no switch. The defaults follow the recordings, or else
are the worst case for a client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "closing_row": ("at_once", "late", "never"),
    "stop_row": ("none", "leg", "order"),
    "partial_closes": ("none", "parts", "whole"),
    "history_offset": ("rows", "time", "passed_over"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """The chosen answers to the open questions."""

    legs_vanish_with_position: bool = True
    """Stop and target of a position are cancelled when it closes; else they stay as working rows.
    """
    leverage_changes_with_position: bool = True
    """Leverage can be set while a position is open (for what is opened later); else 400."""
    opposite_larger_flips: bool = False
    """A larger opposite order turns the position; else it closes the position and no more."""
    reduce_only_larger_is_capped: bool = True
    """A reduce-only order larger than the position fills up to the position; else 400."""
    rows_carry_client_order_id: bool = True
    """Order rows show the client order id of v2 entries."""
    detail_finds_client_order_id: bool = False
    """``orders/detail`` finds by client order id (it answered 404 when that was tried)."""
    v2_orders: bool = True
    """The v2 order call exists; else 404."""
    v1_market_needs_price: bool = True
    """A v1 market order without a price is refused."""
    attached_protection_is_kept: bool = True
    """Stop and target of an entry are set on the position; else they are dropped silently."""
    closed_position_has_new_id: bool = True
    """The row of the positions' history has another id than the open position."""
    prices_move: bool = True
    """Prices follow the seeded path; else they stay at the contract's own price."""
    margin_freed_after_s: float = 1.0
    """Seconds until freed margin becomes available balance."""
    closing_row: str = "at_once"
    """When the order row of a closing call appears: at once, ``late`` (after
    ``closing_row_late_s``), or never.
    """
    closing_row_late_s: float = 20.0
    """The delay of a late closing row."""
    closed_rows_late_s: float = 0.0
    """Delay of a row of the positions' history beyond the recorded 0.25 to 0.8 s (25 and 135 s
    were recorded too).
    """
    fee_rows_late_s: float = 0.0
    """Delay of a fee row beyond the recorded 0.5 to 1.1 s."""
    stop_row: str = "none"
    """The row of a triggered stop or target among the orders: none, its own ``leg`` as FILLED, or
    an ordinary ``order``.
    """
    partial_closes: str = "none"
    """The rows of partial closes in the positions' history: none, ``parts`` (one each), or one
    last row about the ``whole``.
    """
    page_rows_max: int = 0
    """The most rows of any page, whatever limit is requested; 0: no maximum."""
    history_offset: str = "rows"
    """The meaning of ``offset`` for the order history: rows, the newest time in milliseconds, or
    nothing.
    """
    history_shows_working: bool = True
    """Resting orders are in the order history too."""
    numbers_as_text: bool = False
    """Order rows write their numbers as text."""
    fills_at_levels: bool = False
    """Orders fill at several levels, so their average price has sixteen digits."""
    strange_rows: bool = False
    """Orders, fees and closed positions begin with rows of another contract, with unknown words
    and times.
    """

    decoys: bool = False
    """Rows that only resemble the row of a closing call come before it: of another position,
    another quantity, the opening side.
    """

    def changed(self, table: Mapping[str, object]) -> "Switches":
        """Return a copy with changes. Raise ValueError for an unknown name, type or word."""
        current = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in table.items():
            if name not in current:
                raise ValueError(f"switch {name}: expected one of {', '.join(current)}")
            if name in WORDS and value not in WORDS[name]:
                raise ValueError(
                    f"switch {name}: expected one of {', '.join(WORDS[name])}, found {value!r}"
                )
            kind = type(current[name])
            fits = (
                isinstance(value, bool)
                if kind is bool
                else isinstance(value, str if kind is str else int | float)
            )
            if not fits or (isinstance(value, bool) and kind is not bool):
                raise ValueError(
                    f"switch {name}: expected a value like {current[name]!r}, found {value!r}"
                )
        return replace(self, **table)  # type: ignore[arg-type]  # names and types were checked above
