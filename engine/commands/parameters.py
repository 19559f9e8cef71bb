"""Reading a command's parameters and writing its answer: plain JSON types both ways."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from engine.context import EngineContext
from engine.domain.errors import InvalidValue
from engine.ledger.audit import SHELL

Run = Callable[[EngineContext, dict[str, Any]], Awaitable[dict[str, Any]]]
"""One command."""


@dataclass(frozen=True, slots=True)
class Reads:
    """A command that changes nothing but the audit, so it never migrates a ledger."""

    run: Run

    async def __call__(self, context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
        return await self.run(context, params)


@cache
def installed_version(distribution: str) -> str:
    """Return the version of an installed distribution; looked up once, because it takes a
    millisecond and does not change while we run.
    """
    return version(distribution)


def text(params: dict[str, Any], name: str, default: str | None = None) -> str:
    """Read a text; raises InvalidValue for anything else."""
    value = params.get(name, default)
    if not isinstance(value, str):
        raise InvalidValue(name, "a text", value)
    return value


def whole(params: dict[str, Any], name: str, default: int, most: int) -> int:
    """Read a whole number from 1 to ``most``; raises InvalidValue for anything else."""
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidValue(name, f"a whole number from 1 to {most}", value)
    return value


def asked_from(params: dict[str, Any]) -> str:
    """Read the origin of a command: the client's address of a page, else the shell. Only a page
    states it.
    """
    return text(params, "address", SHELL)


def no_such(kind: str, name: str, names: list[str]) -> str:
    """Return the message that nothing has this name, with the nearest names."""
    near = get_close_matches(name, names, 3)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"{len(names)} are known" + (f", such as {names[0]}" if names else "")
    )
    return f"no {kind} {name} is known here; {hint}"


_FIELD_NAMES: Final[dict[type, tuple[str, ...]]] = {}
"""The field names of each dataclass that was asked for, because ``fields`` looks at every one anew."""


def _field_names(kind: type) -> tuple[str, ...]:
    names = _FIELD_NAMES.get(kind)
    if names is None:
        names = _FIELD_NAMES[kind] = tuple(each.name for each in fields(kind))
    return names


def jsonable(value: Any) -> Any:
    """Return a value in JSON types: times as ISO 8601 in UTC, dataclasses as their fields, mappings
    and sequences through.
    """
    if value is None or isinstance(value, str | int):
        return value  # most are
    if is_dataclass(value):
        return {name: jsonable(getattr(value, name)) for name in _field_names(type(value))}
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value
