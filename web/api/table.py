"""The declaration of the API's endpoints: one table, from which requests are served and the OpenAPI
document is written.

A handler says everything: its positional parameters are the parts of the address, its keyword
parameters the query with types and defaults, its return type the answer, its docstring the summary.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from types import NoneType
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from engine.domain.errors import InvalidValue
from engine.domain.person import Role
from engine.domain.text import may_be_kept
from engine.domain.token import Once, TokenScope
from engine.services import Services
from engine.services.user import User

ROOT: Final = "/api/v1"
TEXT_MAX: Final = 200
_DAY: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the person for whom a program asks, and the services. ``once`` is set where it
    carries an idempotency key.
    """

    user: User
    services: Services
    once: Once | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a query: its kind is ``str``, ``date`` or a Literal of texts."""

    name: str
    kind: Any
    default: Any
    words: str

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the texts that are taken; empty where any is."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    def read(self, text: str) -> str | date:
        """Read the text of a query; raises InvalidValue."""
        if self.choices:
            if text in self.choices:
                return text
            raise InvalidValue(self.name, "one of " + ", ".join(self.choices))
        if self.kind is date:
            if _DAY.fullmatch(text):
                with suppress(ValueError):
                    return date.fromisoformat(text)
            raise InvalidValue(self.name, "a day such as 2026-11-24, from 2000 to 2099")
        if len(text) <= TEXT_MAX and may_be_kept(text):
            return text
        raise InvalidValue(self.name, f"at most {TEXT_MAX} characters")

    @property
    def schema(self) -> dict[str, object]:
        """Return the parameter's JSON Schema."""
        if self.choices:
            return {"type": "string", "enum": list(self.choices)}
        if self.kind is date:
            return {"type": "string", "format": "date", "pattern": f"^{_DAY.pattern}$"}
        return {"type": "string", "maxLength": TEXT_MAX}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One endpoint: method, address below ``ROOT``, the scope that a token needs, the role that its
    person needs (None: any), and its handler.
    """

    method: str
    address: str
    scope: TokenScope
    role: Role | None
    handler: Callable[..., Awaitable[object]]

    @property
    def name(self) -> str:
        """Return the operation's name."""
        return self.handler.__name__

    @property
    def summary(self) -> str:
        """Return what it does, for people."""
        return inspect.getdoc(self.handler) or ""

    @cached_property
    def answer(self) -> Any:
        """Return the type of the answer."""
        return get_type_hints(self.handler)["return"]

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the parts of the address, as the handler takes them."""
        taken = inspect.signature(self.handler).parameters.values()
        return tuple(each.name for each in taken if each.kind is each.POSITIONAL_OR_KEYWORD)[1:]

    @cached_property
    def query(self) -> tuple[Parameter, ...]:
        """Return the parameters of the query."""
        hints = get_type_hints(self.handler, include_extras=True)
        taken = inspect.signature(self.handler).parameters.values()
        return tuple(
            _parameter(each.name, hints[each.name], each.default)
            for each in taken
            if each.kind is each.KEYWORD_ONLY
        )

    def read_query(self, given: Mapping[str, list[str]]) -> dict[str, Any]:
        """Read the query of a request; raises InvalidValue for what is unknown, repeated or wrong."""
        known = {each.name: each for each in self.query}
        read: dict[str, Any] = {}
        for name, texts in given.items():
            if name not in known:
                names = ", ".join(known) or "none"
                raise InvalidValue("query", f"only these parameters: {names}")
            if len(texts) != 1:
                raise InvalidValue(name, "one value")
            read[name] = known[name].read(texts[0])
        return read


def get(
    address: str, handler: Callable[..., Awaitable[object]], role: Role | None = Role.FOLLOWER
) -> Endpoint:
    """Declare an endpoint that only reads."""
    return Endpoint(
        method="GET", address=address, scope=TokenScope.READ, role=role, handler=handler
    )


def post(
    address: str,
    scope: TokenScope,
    handler: Callable[..., Awaitable[object]],
    role: Role | None = Role.FOLLOWER,
) -> Endpoint:
    """Declare an endpoint that lowers risk."""
    return Endpoint(method="POST", address=address, scope=scope, role=role, handler=handler)


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    words = ""
    if get_origin(hint) is Annotated:
        hint, words = get_args(hint)
    kinds = [each for each in get_args(hint) if each is not NoneType]
    kind = kinds[0] if NoneType in get_args(hint) else hint
    return Parameter(name=name, kind=kind, default=default, words=words)
