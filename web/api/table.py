"""The declaration of the API's endpoints: one table, from which requests are served and the OpenAPI
document is written.

A handler says everything: its positional parameters are the parts of the address, its keyword
parameters the query with types and defaults, its return type the answer, its docstring the summary.
A keyword parameter whose type is a dataclass stands for all of its fields, so that endpoints share
them.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from functools import cached_property
from types import NoneType
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints
from urllib.parse import quote, urlencode

from engine.domain.errors import InvalidValue, RexAlgoError
from engine.domain.person import Role
from engine.domain.text import may_be_kept
from engine.domain.token import Once, TokenScope
from engine.services import Services
from engine.services.user import User

ROOT: Final = "/api/v1"
TEXT_MAX: Final = 200
_DAY: Final = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")


class WrongQuery(RexAlgoError):
    """Raised with everything that is wrong with a query, by the name of its parameter."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__("; ".join(f"{name}: {text}" for name, text in self.errors.items()))


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
    person needs (None: any; a follower's serve whoever owns an account), and its handler.
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
        return tuple(each for group in self._keywords.values() for each in group.parameters)

    @cached_property
    def _keywords(self) -> dict[str, "_Keyword"]:
        hints = get_type_hints(self.handler, include_extras=True)
        taken = inspect.signature(self.handler).parameters.values()
        return {
            each.name: _keyword(each.name, hints[each.name], each.default)
            for each in taken
            if each.kind is each.KEYWORD_ONLY
        }

    def path(self, given: Mapping[str, str]) -> str:
        """Return the path below ``ROOT`` that asks for parts and query with these texts."""
        path = self.address
        for part in self.parts:
            path = path.replace(f"<{part}>", quote(given[part], safe=""))
        query = urlencode({name: text for name, text in given.items() if name not in self.parts})
        return f"{path}?{query}" if query else path

    def read_query(self, given: Mapping[str, list[str]]) -> dict[str, Any]:
        """Read the query of a request into keyword arguments of the handler; raises WrongQuery with
        everything that is unknown, repeated or wrong.
        """
        known = {each.name: each for each in self.query}
        read: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for name, texts in given.items():
            if name not in known:
                errors["query"] = f"expected only these parameters: {', '.join(known) or 'none'}"
            elif len(texts) != 1:
                errors[name] = "expected one value"
            else:
                try:
                    read[name] = known[name].read(texts[0])
                except InvalidValue as error:
                    errors[name] = f"expected {error.expected}"
        if errors:
            raise WrongQuery(errors)
        return {
            name: value for name, keyword in self._keywords.items() for value in keyword.value(read)
        }


@dataclass(frozen=True, slots=True)
class _Keyword:
    """A keyword parameter of a handler: one parameter of the query, or a ``group`` of them."""

    parameters: tuple[Parameter, ...]
    group: type | None = None

    def value(self, read: Mapping[str, Any]) -> Iterator[Any]:
        """Yield what the handler is given; nothing where its default holds."""
        given = {each.name: read[each.name] for each in self.parameters if each.name in read}
        if self.group is not None:
            yield self.group(**given)
        else:
            yield from given.values()


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


def _keyword(name: str, hint: Any, default: Any) -> _Keyword:
    if not (isinstance(hint, type) and is_dataclass(hint)):
        return _Keyword((_parameter(name, hint, default),))
    hints = get_type_hints(hint, include_extras=True)
    return _Keyword(
        tuple(_parameter(each.name, hints[each.name], each.default) for each in fields(hint)), hint
    )


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    words = ""
    if get_origin(hint) is Annotated:
        hint, words = get_args(hint)
    kinds = [each for each in get_args(hint) if each is not NoneType]
    kind = kinds[0] if NoneType in get_args(hint) else hint
    return Parameter(name=name, kind=kind, default=default, words=words)
