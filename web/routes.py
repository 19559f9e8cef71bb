"""The declaration of every page and form: its address, who may use it, and its handler.

Each module of pages ends with a table ``ROUTES`` made with ``get`` and ``post``, and ``web.app``
serves the tables. A handler that is in no table cannot be reached. The handler of a page takes the
``Visit`` and the parts of the address; ``web.dispatch`` calls it after every check has passed. A
route without a session (webhooks, probes, the live page, static files) takes the parts alone.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from quart import Response

from engine.services import Services
from web.again import Again

Handler = Callable[..., Awaitable[Response]]
Names = tuple[str, ...] | Callable[[Services, Mapping[str, str]], Iterable[str]]
"""Names of fields, or what reads them from the parts of the address and the other fields."""


class Who(Enum):
    """Who may use a route. A follower's routes are also open to whoever owns an account."""

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
    after signing in (``web.again``).

    ``page``: the address of the page that has the form or the button; a part that the form's own
    address lacks is a field of it. Whoever comes back after signing in comes back to this page.
    ``asks``: a person fills it in, so its page answers when it is refused, with each error beside
    its field. ``keeps``: the fields that may be shown again: on this page, on the page that asks for
    a factor, and after signing in (``web.typed``). ``redraws``: those that only its own page may
    show again. A field in neither is never shown again, so a secret is in neither. ``answers``: it
    changes nothing, so what it asked is shown at once; what every other one did is shown by the page
    to which it redirects.
    """

    method: str
    address: str
    who: Who
    handler: Handler
    once: bool = False
    again: Again | None = None
    page: str = ""
    asks: bool = False
    keeps: Names = ()
    redraws: tuple[str, ...] = ()
    answers: bool = False

    def kept(self, services: Services, given: Mapping[str, str]) -> frozenset[str]:
        """Return the names of the fields that may be shown again; ``given``: parts and fields."""
        return frozenset(self.keeps(services, given) if callable(self.keeps) else self.keeps)

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
    page: str = "",
    keeps: tuple[str, ...] = (),
    once: bool = False,
    again: Again | None = None,
    answers: bool = False,
) -> Route:
    """Declare a button of a page of this site (``page``), or what a program sends."""
    return Route(
        method="POST",
        address=address,
        who=who,
        handler=handler,
        page=page,
        keeps=keeps,
        once=once,
        again=again,
        answers=answers,
    )


def form(
    address: str,
    who: Who,
    handler: Handler,
    *,
    keeps: Names,
    page: str = "",
    redraws: tuple[str, ...] = (),
    once: bool = False,
    again: Again | None = None,
    answers: bool = False,
) -> Route:
    """Declare a form that a person fills in; ``page`` is the page of the same address unless given."""
    return Route(
        method="POST",
        address=address,
        who=who,
        handler=handler,
        page=page or address,
        asks=True,
        keeps=keeps,
        redraws=redraws,
        once=once,
        again=again,
        answers=answers,
    )
