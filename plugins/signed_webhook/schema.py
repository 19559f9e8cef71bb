"""The JSON Schema of a body in its plain form, made from the tables that the parser reads with.

What the schema accepts, the parser accepts. The parser takes more: other cases and names, numbers
in other forms, extra fields. The schema refuses those, so that a sender who validates finds a slip
before it is sent.
"""

from enum import Enum
from typing import Final

from plugins.signed_webhook.body import NONE
from rexalgo import Action, OrderType, PositionSide, SizeMode

_ABOVE_ZERO: Final = r"^(?=.*[1-9])[0-9]{1,15}(\.[0-9]{1,12})?$"
_FRACTION: Final = r"^0\.(?=[0-9]*[1-9])[0-9]{1,12}$"
_TIME: Final = (
    r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)
_ENTRIES: Final = [each.value for each in Action if each.is_entry]


def body_schema() -> dict[str, object]:
    """Return the schema (JSON Schema 2020-12) of a body of version 1."""
    number = {"type": "string", "pattern": _ABOVE_ZERO}
    level = {"anyOf": [number, {"const": NONE}]}
    return {
        "title": "RexAlgo signal",
        "description": (
            "The body of a signed webhook. With Standard Webhooks the header webhook-id is the id, "
            "and idempotency_key may be left out."
        ),
        "type": "object",
        "required": ["idempotency_key", "action", "symbol"],
        "additionalProperties": False,
        "properties": {
            "idempotency_key": {
                "type": "string",
                "pattern": "^[A-Za-z0-9_-]{1,128}$",
                "description": "New for each signal; the same id and body again is a repetition.",
            },
            "action": {"enum": _words(Action)},
            "symbol": {"type": "string", "pattern": "^[A-Z0-9]{2,28}USDT$"},
            "side": {"enum": _words(PositionSide)},
            "order_type": {"enum": _words(OrderType), "default": OrderType.MARKET.value},
            "price": number,
            "leverage": number,
            "stop_loss": level,
            "take_profit": level,
            "size": {"oneOf": [_size(mode) for mode in SizeMode]},
            "sent_at": {"type": "string", "format": "date-time", "pattern": _TIME},
            "seq": {"type": "integer", "minimum": 0, "exclusiveMaximum": 10**18},
            "test": {"type": "boolean", "default": False},
        },
        "allOf": [
            _if("action", _ENTRIES, {"required": ["side"]}),
            _if("order_type", [OrderType.LIMIT.value], {"required": ["price"]}),
            {
                **_if("action", [Action.REDUCE.value], _takes_fraction()),
                "else": {"not": _takes_fraction()},
            },
            {
                **_if("action", [Action.SET_PROTECTION.value], _names_a_level()),
                "else": {"properties": {"stop_loss": number, "take_profit": number}},
            },
        ],
    }


def _words(kind: type[Enum]) -> list[str]:
    return [str(each.value) for each in kind]


def _size(mode: SizeMode) -> dict[str, object]:
    fields: dict[str, object] = {"mode": {"const": mode.value}}
    if mode is SizeMode.QUANTITY:
        fields["quantity"] = {"type": "string", "pattern": _ABOVE_ZERO}
    elif mode is SizeMode.FRACTION:
        fields["fraction"] = {"type": "string", "pattern": _FRACTION}
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def _takes_fraction() -> dict[str, object]:
    size = {"properties": {"mode": {"const": SizeMode.FRACTION.value}}, "required": ["mode"]}
    return {"properties": {"size": size}, "required": ["size"]}


def _names_a_level() -> dict[str, object]:
    return {"anyOf": [{"required": ["stop_loss"]}, {"required": ["take_profit"]}]}


def _if(field: str, values: list[str], then: dict[str, object]) -> dict[str, object]:
    return {
        "if": {"properties": {field: {"enum": values}}, "required": [field]},
        "then": then,
    }
