"""The declaration of every page and form: its address, who may use it, and its handler.

Each module of pages ends with a table ``ROUTES`` made with ``get`` and ``post``, and ``web.app``
serves the tables. A handler that is in no table cannot be reached. The handler of a page takes the
``Visit`` and the parts of the address; ``web.dispatch`` calls it after every check has passed. A
route without a session (webhooks, probes, the live page, static files) takes the parts alone.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from quart import Response

from web.again import Again

Handler = Callable[..., Awaitable[Response]]


class Who(Enum):
    """Who may use a route."""

    ANYONE = "anyone"
    SIGNED_IN = "signed in"
    FOLLOWER = "follower"
    MASTER = "master"
    OPERATOR = "operator"
    BOT = "a bot with a signature or a token"
    PROGRAM = "a person's program with an API token"
    HERE = "somebody on this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route's method, its address as written, who may use it, and its handler.

    ``once``: the form makes something; the same form sent again gets the first answer again
    (``web.once``). ``again``: the form lowers risk; if the session has ended, it is offered again
    after signing in (``web.again``). ``keeps``: the fields, none of them secret, that are kept if
    the session has ended, and are filled in again on the page of the same address (``web.typed``).
    ``unproven``: a form with secrets answers with its own page where the factor is missing or wrong
    (with the field's error), so that no page repeats a secret.
    """

    method: str
    address: str
    who: Who
    handler: Handler
    once: bool = False
    again: Again | None = None
    keeps: tuple[str, ...] = ()
    unproven: Callable[..., Response] | None = None

    @property
    def endpoint(self) -> str:
        """Return the name under which quart knows the route."""
        return f"{self.method} {self.address}".replace(".", "_")


def get(address: str, who: Who, handler: Handler) -> Route:
    """Declare a page that only shows."""
    return Route(method="GET", address=address, who=who, handler=handler)


def post(
    address: str,
    who: Who,
    handler: Handler,
    *,
    once: bool = False,
    again: Again | None = None,
    keeps: tuple[str, ...] = (),
    unproven: Callable[..., Response] | None = None,
) -> Route:
    """Declare a form that a page of this site sends."""
    return Route(
        method="POST",
        address=address,
        who=who,
        handler=handler,
        once=once,
        again=again,
        keeps=keeps,
        unproven=unproven,
    )
