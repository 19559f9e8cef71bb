"""What a page asks of the engine: everything that changes something, or that only running accounts
know.

In one process a marked method simply runs. In a web process of its own it is asked of the engine,
over the control socket; everything else of a service only reads the ledger and runs where the page
is.

A program that acts for a person with an API token may ask only for what ``for_tokens`` opens, with
the scope that it names. This holds in both processes, whatever a route declares.
"""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from engine.context import EngineContext
from engine.domain.token import TokenScope
from engine.services.user import User


class _Service(Protocol):
    _context: EngineContext


S = TypeVar("S", bound=_Service)
P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., object])


def asked(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Mark a service's method as asked of the engine; raises EngineAway where it cannot be asked."""

    scope: TokenScope | None = getattr(method, "token_scope", None)

    @wraps(method)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        for each in args:
            if isinstance(each, User):
                each.require_scope(scope)
        ask = self._context.ask
        if ask is None:
            return await method(self, *args, **kwargs)
        answer: T = await ask(f"{type(self).__name__}.{method.__name__}", args, kwargs)
        return answer

    run.is_asked = True  # type: ignore[attr-defined]  # read by ``find_asked``
    return run


def for_tokens(scope: TokenScope) -> Callable[[M], M]:
    """Open a marked method to API tokens of a scope; it stands below ``asked``."""

    def opened(method: M) -> M:
        method.token_scope = scope  # type: ignore[attr-defined]  # read by ``asked``
        return method

    return opened


def find_asked(services: object, name: str) -> Callable[..., Coroutine[Any, Any, object]] | None:
    """Return the marked method ``Class.method`` of these services; None if there is none."""
    kind, _, method = name.partition(".")
    for field in getattr(type(services), "__dataclass_fields__", {}):
        service = getattr(services, field)
        if type(service).__name__ == kind:
            found = getattr(service, method, None)
            return found if getattr(found, "is_asked", False) else None
    return None
