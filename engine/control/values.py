"""Values between the two processes of a place, as JSON: what services take and return, and what they
raise.

Scalars are themselves, sequences are lists and come back as tuples, everything else is an object
with a tag. Only frozen values and enums of the named rooms are made from what arrives; anything else
is refused, so that a peer cannot have other objects built. A secret is written in clear: what holds
one travels sealed (``engine.keys.handover``).
"""

import base64
import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from engine.control.wire import read_error, write_error
from engine.domain.errors import EngineAway, OwnFault, RexAlgoError
from engine.domain.token import DoneBefore, KeyUsed, ScopeExceeded
from engine.ledger import LedgerError, WriteRefused
from engine.ledger.signals import DedupeConflict
from engine.ports.secret import Secret
from engine.services.identity import NotSignedIn
from engine.services.user import FormErrors, LookFirst, NeedsConfirmation

ROOMS: Final = (
    "engine.control.link",
    "engine.decisions.",
    "engine.domain.",
    "engine.keys.sealed_secrets",
    "engine.ledger.",
    "engine.ports.",
    "engine.recording",
    "engine.services.",
    "engine.views",
)
"""The modules whose frozen values may travel."""
NEVER: Final = frozenset({"engine.services.user:User"})
"""Who asks is not told but shown (``AskedBy``)."""


class Unreadable(RexAlgoError):
    """Raised for a value that does not travel, or that arrived in another form."""


def write_value(value: object) -> Any:
    """Return a value as JSON can carry it; raises Unreadable for one that does not travel."""
    if isinstance(value, Enum):
        return {"$": _name(type(value)), "v": value.name}
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return {"$": "decimal", "v": str(value)}
        case datetime():
            return {"$": "time", "v": value.isoformat()}
        case date():
            return {"$": "date", "v": value.isoformat()}
        case timedelta():
            return {"$": "span", "v": value // timedelta(microseconds=1)}
        case bytes():
            return {"$": "bytes", "v": base64.b64encode(value).decode()}
        case Secret():
            return {"$": "secret", "v": value.reveal()}
        case Mapping():
            return {"$": "map", "v": [[write_value(k), write_value(v)] for k, v in value.items()]}
        case Set():
            return {"$": "set", "v": [write_value(each) for each in value]}
        case Sequence():
            return [write_value(each) for each in value]
    name = _name(type(value))
    held = {each: write_value(getattr(value, each)) for each in _fields(name)}
    return {"$": name, "v": held}


def read_value(written: Any) -> Any:
    """Return the value that the other process wrote; raises Unreadable, or what the value's own
    checks raise.
    """
    if isinstance(written, list):
        return tuple(read_value(each) for each in written)
    if not isinstance(written, dict):
        return written
    try:
        tag, held = written["$"], written["v"]
        match tag:
            case "decimal":
                return Decimal(held)
            case "time":
                return datetime.fromisoformat(held)
            case "date":
                return date.fromisoformat(held)
            case "span":
                return timedelta(microseconds=held)
            case "bytes":
                return base64.b64decode(held, validate=True)
            case "secret":
                return Secret(held)
            case "map":
                return {read_value(key): read_value(each) for key, each in held}
            case "set":
                return frozenset(read_value(each) for each in held)
        kind = _kind(tag)
        if issubclass(kind, Enum):
            return kind[held]
        if held.keys() != set(_fields(tag)):
            raise Unreadable(f"expected the fields of {tag}, found others")
        return kind(**{name: read_value(each) for name, each in held.items()})
    except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise Unreadable(f"expected a value, found another form ({type(error).__name__})") from None


def _name(kind: type[Any]) -> str:
    """Return the name under which a kind of value travels; raises Unreadable if it does not."""
    name = f"{kind.__module__}:{kind.__qualname__}"
    _kind(name)
    return name


@lru_cache(maxsize=1_000)
def _kind(name: str) -> type[Any]:
    module, _, path = name.partition(":")
    kind: object = None
    if module.startswith(ROOMS) and path.isidentifier() and name not in NEVER:
        kind = getattr(sys.modules.get(module), path, None)
    if isinstance(kind, type) and kind.__module__ == module:
        if issubclass(kind, Enum):
            return kind
        if is_dataclass(kind) and kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]  # how dataclasses tell
            return kind
    raise Unreadable(f"expected a frozen value of the engine, found {name[:100]}")


@lru_cache(maxsize=1_000)
def _fields(name: str) -> tuple[str, ...]:
    return tuple(each.name for each in fields(_kind(name)) if each.init)


# What is raised

_BY_TEXT: Final = {
    each.__name__: each
    for each in (
        DoneBefore,
        EngineAway,
        KeyUsed,
        LedgerError,
        NeedsConfirmation,
        OwnFault,
        ScopeExceeded,
        Unreadable,
        WriteRefused,
    )
}


def write_raised(error: RexAlgoError) -> dict[str, Any]:
    """Return an error as JSON can carry it, with what a page reads in it."""
    match error:
        case NotSignedIn():
            return {"kind": "NotSignedIn", "wait_s": error.wait_s}
        case FormErrors():
            return {"kind": "FormErrors", "errors": error.errors}
        case LookFirst():
            warnings = write_value(error.warnings)
            return {"kind": "LookFirst", "warnings": warnings, "confirmed": error.confirmed}
        case DedupeConflict():
            recorded = write_value(error.recorded)
            told = {"message": str(error), "recorded": recorded, "is_done": error.is_done}
            return {"kind": "DedupeConflict", **told}
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_TEXT:
            return {"kind": kind.__name__, "message": str(error)}
    return write_error(error)


def read_raised(written: Mapping[str, Any]) -> RexAlgoError:
    """Return the error that the other process wrote; an unknown kind is a RexAlgoError."""
    match written["kind"]:
        case "NotSignedIn":
            return NotSignedIn(int(written["wait_s"]))
        case "FormErrors":
            return FormErrors(written["errors"])
        case "LookFirst":
            return LookFirst(read_value(written["warnings"]), written["confirmed"])
        case "DedupeConflict":
            recorded = read_value(written["recorded"])
            return DedupeConflict(written["message"], recorded, is_done=written["is_done"] is True)
        case kind if kind in _BY_TEXT:
            return _BY_TEXT[kind](written["message"])
    return read_error(dict(written))
