"""How values are written in the ledger and read back: JSON texts with decimals as plain text. Both
directions are next to each other.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from engine.domain.amounts import Price, Quantity, Ratio, plain
from engine.domain.identifiers import ClientOrderId, Symbol
from engine.domain.order import OrderIntent, OrderSide
from engine.domain.signal import (
    Action,
    AlertFacts,
    OrderType,
    PositionSide,
    SignalDraft,
    SignalSize,
    SizeMode,
)
from engine.domain.subscription import (
    BelowMinimum,
    CopyPolicy,
    Mode,
    parse_leverage,
    parse_limits,
    parse_sizing,
    write_leverage,
    write_limits,
    write_sizing,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Write a time as microseconds since 1970 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """Read a time written by ``to_us``; zone UTC."""
    return _EPOCH + timedelta(microseconds=us)


def dump(value: object) -> str:
    """Write JSON in the ledger's one form: sorted keys, no spaces, so that equal values are equal
    texts.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_number(number: Decimal | None) -> str | None:
    """Write a number as the ledger stores it; None stays None."""
    return None if number is None else plain(number)


def read_price(text: str | None) -> Price | None:
    """Read a price; None stays None."""
    return None if text is None else Price(Decimal(text))


def _quantity(text: str | None) -> Quantity | None:
    return None if text is None else Quantity(Decimal(text))


def write_draft(draft: SignalDraft) -> str:
    """Write a signal as it was sent."""
    return dump(
        {
            "dedupe_key": draft.dedupe_key,
            "action": draft.action.value,
            "symbol": draft.symbol,
            "side": draft.side.value if draft.side else None,
            "order_type": draft.order_type.value,
            "price": write_number(draft.price),
            "leverage": write_number(draft.leverage),
            "stop_loss": write_number(draft.stop_loss),
            "take_profit": write_number(draft.take_profit),
            "sent_us": None if draft.sent_at is None else to_us(draft.sent_at),
            "size": [
                draft.size.mode.value,
                write_number(draft.size.quantity),
                write_number(draft.size.fraction),
            ],
            "seq": draft.seq,
            "position_after": draft.position_after,
            "is_test": draft.is_test,
            "no_protection": [draft.no_stop_loss, draft.no_take_profit],
            "repeats_s": draft.repeats_s,
            "alert": None if draft.alert is None else _write_alert(draft.alert),
        }
    )


def _write_alert(alert: AlertFacts) -> list[object]:
    sides = (None if each is None else each.value for each in (alert.came_from, alert.seems_from))
    return [*sides, alert.is_bare, alert.was_flat]


def _read_alert(row: list[Any] | None) -> AlertFacts | None:
    if row is None:
        return None
    came_from, seems_from = (PositionSide(each) if each else None for each in row[:2])
    return AlertFacts(came_from, row[2], row[3], seems_from)


def read_draft(text: str) -> SignalDraft:
    """Read what ``write_draft`` wrote."""
    row: dict[str, Any] = json.loads(text)
    mode, quantity, fraction = (*row["size"], None)[:3]  # drafts from before fractions have two
    no_stop, no_target = row.get("no_protection", (False, False))
    return SignalDraft(
        dedupe_key=row["dedupe_key"],
        action=Action(row["action"]),
        symbol=Symbol(row["symbol"]),
        side=PositionSide(row["side"]) if row["side"] else None,
        order_type=OrderType(row["order_type"]),
        price=read_price(row["price"]),
        leverage=None if row["leverage"] is None else Ratio(Decimal(row["leverage"])),
        stop_loss=read_price(row["stop_loss"]),
        take_profit=read_price(row["take_profit"]),
        sent_at=None if row["sent_us"] is None else from_us(row["sent_us"]),
        size=SignalSize(
            SizeMode(mode),
            _quantity(quantity),
            None if fraction is None else Ratio(Decimal(fraction)),
        ),
        seq=row["seq"],
        position_after=row["position_after"],
        is_test=row["is_test"],
        no_stop_loss=no_stop,
        no_take_profit=no_target,
        repeats_s=row.get("repeats_s"),
        alert=_read_alert(row.get("alert")),
    )


def read_what(draft: str) -> tuple[str, str, str | None, bool]:
    """Read of a signal only its action, contract and side, and whether it is a test."""
    row: dict[str, Any] = json.loads(draft)
    return row["action"], row["symbol"], row["side"] or None, row["is_test"]


def write_intent(intent: OrderIntent) -> str:
    """Write an order as it is to be sent, without its client order id and symbol, which the row of
    an attempt has, and without what most orders leave out.
    """
    row: dict[str, object] = {
        "side": intent.side.value,
        "position_side": intent.position_side.value,
        "quantity": plain(intent.quantity),
        "order_type": intent.order_type.value,
        "leverage": plain(intent.leverage),
    }
    for name, number in (
        ("limit_price", intent.limit_price),
        ("stop_loss", intent.stop_loss),
        ("take_profit", intent.take_profit),
    ):
        if number is not None:
            row[name] = plain(number)
    if intent.reduce_only:
        row["reduce_only"] = True
    if intent.whole_position:
        row["whole_position"] = True
    if intent.position_id:
        row["position_id"] = intent.position_id
    return dump(row)


def read_intent(text: str, client_order_id: str, symbol: str) -> OrderIntent:
    """Read what ``write_intent`` wrote; the id and the symbol come from the same row."""
    row: dict[str, Any] = json.loads(text)
    return OrderIntent(
        client_order_id=ClientOrderId(client_order_id),
        symbol=Symbol(symbol),
        side=OrderSide(row["side"]),
        position_side=PositionSide(row["position_side"]),
        quantity=Quantity(Decimal(row["quantity"])),
        order_type=OrderType(row["order_type"]),
        leverage=Ratio(Decimal(row["leverage"])),
        limit_price=read_price(row.get("limit_price")),
        stop_loss=read_price(row.get("stop_loss")),
        take_profit=read_price(row.get("take_profit")),
        reduce_only=row.get("reduce_only", False),
        whole_position=row.get("whole_position", False),
        position_id=row.get("position_id", ""),
    )


def read_quantity(intent: str) -> Quantity:
    """Read of an order only how much it is for."""
    return Quantity(Decimal(json.loads(intent)["quantity"]))


def read_leverage(intent: str) -> Ratio:
    """Read of an order only its leverage."""
    return Ratio(Decimal(json.loads(intent)["leverage"]))


def policy_fields(policy: CopyPolicy) -> dict[str, object]:
    """Write a follower's policy as a table of fields, in the form that people write too."""
    return {
        "mode": policy.mode.value,
        "sizing": write_sizing(policy.sizing),
        "leverage": write_leverage(policy.leverage),
        "symbols": sorted(policy.symbols),
        "limits": write_limits(policy.limits),
        "below_minimum": policy.below_minimum.value,
        "allow_own_position": policy.allow_own_position,
    }


def write_policy(policy: CopyPolicy) -> str:
    """Write what a follower agreed to."""
    return dump(policy_fields(policy))


@lru_cache(maxsize=8_192)
def read_policy(text: str) -> CopyPolicy:
    """Read what ``write_policy`` wrote; each distinct text once, because thousands of followers
    share a few.
    """
    row: Mapping[str, Any] = json.loads(text)
    return CopyPolicy(
        mode=Mode(row["mode"]),
        sizing=parse_sizing(row["sizing"]),
        leverage=parse_leverage(row["leverage"]),
        symbols=frozenset(Symbol(each) for each in row["symbols"]),
        limits=parse_limits(row["limits"]),
        below_minimum=BelowMinimum(row["below_minimum"]),
        allow_own_position=row["allow_own_position"],
    )


@lru_cache(maxsize=8_192)
def read_policy_of_entries(text: str) -> tuple[Mode, frozenset[Symbol], int | None]:
    """Read of a policy only which entries it takes: its mode, its contracts and their greatest age
    in seconds. Every signal looks at those of many followers, and they hardly ever change.
    """
    row: Mapping[str, Any] = json.loads(text)
    return Mode(row["mode"]), frozenset(row["symbols"]), row.get("limits", {}).get("entry_age_s")
