"""Sources of signals: a webhook source verifies and reads deliveries (both pure), a stream source
runs as a task.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

from engine.domain.errors import InvalidValue, RexAlgoError
from engine.domain.identifiers import SignalId, Symbol
from engine.domain.signal import SignalDraft
from engine.ports.clock import Clock
from engine.ports.http import HttpClients
from engine.ports.market_data import Candle
from engine.ports.secret import Secret


class NotAuthentic(RexAlgoError):
    """Raised when a delivery does not prove who sent it. One type, one answer (401) for every
    cause; carries no detail.
    """


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP delivery as received: raw body, headers as ``(lower-case name, value)`` pairs in
    order, and the peer's address.

    The engine adds what a sender cannot write: ``capability`` is the secret token of the address
    that it was sent to, None if that address has none; ``settings`` are the master's choices for
    that address, a value for each of the source's ``endpoint_settings`` (``AddressSource``).
    """

    body: bytes
    headers: tuple[tuple[str, str], ...]
    peer: str
    received_at: datetime
    capability: Secret | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> list[str]:
        """Return every value of a header, by lower-case name."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What verification proved: when it was signed (None if the signature has no time), with which
    key, under which id.

    ``key_index`` is the position in the given ``keys``. ``dedupe_key`` is an id carried by the
    signed headers, None if the body carries it.
    """

    key_index: int
    signed_at: datetime | None
    dedupe_key: str | None = None


class WebhookSource(Protocol):
    """A verifier and reader of deliveries. Both methods are pure: no clock but ``now``, no network,
    no state, no logging of input.
    """

    @property
    def name(self) -> str:
        """Return the short name used in config and by strategies."""
        ...

    def new_secret(self) -> Secret:
        """Create a random secret in the form that is shown to the sender once."""
        ...

    def authenticate(
        self, delivery: Delivery, keys: Sequence[Secret], now: datetime
    ) -> Authenticated:
        """Check the raw delivery against every key in constant time; raise ``NotAuthentic`` if none
        fits, whatever the cause.
        """
        ...

    def parse(self, delivery: Delivery, proof: Authenticated) -> SignalDraft:
        """Read the body; raise ``InvalidValue`` with field and expectation. Called only after
        ``authenticate``.
        """
        ...


_OF_THE_ENGINE: Final = frozenset(("actions", "entries_per_minute", "expires_at", "symbols"))
"""Settings of an address that the engine itself uses."""


@dataclass(frozen=True, slots=True)
class EndpointSetting:
    """A choice that a master has for each address of a source, shown on the studio's page.

    ``choices`` are (value, words); the first one is the default. Each delivery carries the chosen
    value in ``Delivery.settings`` under ``name``. Raises InvalidValue for a name that the engine
    uses itself and for a setting without choices.
    """

    name: str
    title: str
    choices: tuple[tuple[str, str], ...]
    hint: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name in _OF_THE_ENGINE:
            taken = ", ".join(sorted(_OF_THE_ENGINE))
            raise InvalidValue("name", f"a name of a-z, 0-9 and _, and none of {taken}", self.name)
        if not self.choices:
            raise InvalidValue("choices", "at least one (value, words)", self.choices)

    def chosen(self, given: object) -> tuple[str, str]:
        """Return the choice with this value, or the first choice if there is none."""
        return next((each for each in self.choices if each[0] == given), self.choices[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressGuide:
    """The words on the page where a master makes addresses for a source, as plain text.

    ``title`` is the sender's name. ``about`` says who can use an address. ``paste`` says what to do
    with the address and with ``message``. ``hint`` is further help about the message.
    """

    title: str
    about: str
    paste: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMessage:
    """A message for one kind of strategy: ``text`` for its orders, ``events`` as (event, text) for
    a sender that knows no position.

    ``orders`` are (an order in words, the body that the sender makes of ``text`` for it). The page
    shows the result of the source's own ``parse`` for each.
    """

    title: str
    text: str
    events: tuple[tuple[str, str], ...]
    orders: tuple[tuple[str, bytes], ...]


@runtime_checkable
class AddressSource(WebhookSource, Protocol):
    """A webhook source for senders that can neither sign nor set headers: the address is the proof.

    Masters make such addresses in the studio. Each has a random token (``Delivery.capability``), of
    which only hashes are kept. ``authenticate`` receives the ``capability_key`` of each token as
    keys; ``verify_capability`` compares. If the sender's IP addresses are known, check
    ``Delivery.peer`` too.
    """

    @property
    def guide(self) -> AddressGuide:
        """Return the words of the studio's page."""
        ...

    @property
    def endpoint_settings(self) -> Sequence[EndpointSetting]:
        """Return the choices that a master has for each address."""
        ...

    def ready_messages(self, symbol: Symbol) -> Sequence[ReadyMessage]:
        """Return messages to paste, with orders in ``symbol``; may be empty."""
        ...


@runtime_checkable
class ExampleSource(WebhookSource, Protocol):
    """A webhook source that gives an example to send instead of a refused delivery."""

    def example(self, symbol: Symbol, *, is_exit: bool) -> str:
        """Return the shortest body that ``parse`` accepts for an exit, or an entry, of ``symbol``."""
        ...


@runtime_checkable
class DescribedSource(WebhookSource, Protocol):
    """A webhook source that describes its bodies to the authors of senders."""

    def body_schema(self) -> Mapping[str, object]:
        """Return a JSON Schema (2020-12) whose every valid body ``parse`` accepts."""
        ...


def endpoint_settings(source: WebhookSource) -> Sequence[EndpointSetting]:
    """Return the choices that a master has for each address of a source; empty for a source without
    addresses.
    """
    return source.endpoint_settings if isinstance(source, AddressSource) else ()


class StreamContext(Protocol):
    """What a stream source gets from the engine: its strategy's facts, candles, a clock, and one
    verb, ``emit``.
    """

    @property
    def strategy(self) -> str:
        """Return the strategy's name."""
        ...

    @property
    def symbols(self) -> frozenset[Symbol]:
        """Return the contracts that the strategy may trade."""
        ...

    @property
    def params(self) -> Mapping[str, object]:
        """Return the strategy's own parameters, as provisioned."""
        ...

    @property
    def clock(self) -> Clock:
        """Return the clock."""
        ...

    @property
    def http(self) -> HttpClients:
        """Return the factory of HTTP clients."""
        ...

    async def history(self, symbol: Symbol, interval_s: int, count: int) -> Sequence[Candle]:
        """Return the newest closed candles, oldest first, at most ``count``: what a source needs
        before it can continue after a restart. Raises if the exchange does not answer.
        """
        ...

    def candles(self, symbol: Symbol, interval_s: int) -> AsyncIterator[Candle]:
        """Yield each candle once after it closed, oldest first, starting with the newest closed
        one.
        """
        ...

    async def emit(self, draft: SignalDraft) -> SignalId:
        """Record a signal durably; return its id once it is safe. The same ``dedupe_key`` again
        returns the same id.

        Raises ``InvalidValue`` if the strategy may not send this (symbol not allowed, same id with
        another content).
        """
        ...


class StreamSource(Protocol):
    """A producer of signals from something that runs: candles, a socket, a file. One task per
    strategy, restarted if it fails.
    """

    @property
    def name(self) -> str:
        """Return the short name used in config and by strategies."""
        ...

    def check_params(self, params: Mapping[str, object]) -> None:
        """Raise ``InvalidValue`` for parameters that cannot work; called when a strategy is
        provisioned and before ``run``.
        """
        ...

    async def run(self, context: StreamContext) -> None:
        """Run until cancelled, emitting signals. Returning means that there will be no more;
        raising restarts it later.

        After a restart the same signals may be emitted again: derive ``dedupe_key`` from what
        caused the signal.
        """
        ...
