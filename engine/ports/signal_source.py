"""Where signals come from: a webhook source verifies and reads deliveries (both pure), a stream
source runs as a task.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from engine.domain.errors import InvalidValue, RexAlgoError
from engine.domain.identifiers import SignalId, Symbol
from engine.domain.signal import SignalDraft
from engine.ports.clock import Clock
from engine.ports.market_data import Candle
from engine.ports.secret import Secret

if TYPE_CHECKING:
    from engine.ports.exchange import HttpClients


class NotAuthentic(RexAlgoError):
    """Say that a delivery does not prove who sent it. One type, one answer (401) for every cause;
    carries no detail.
    """


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP delivery as it came: raw body, headers as ``(lower-case name, value)`` pairs in
    order, and where from.

    The host adds what a sender cannot write: ``capability`` is the secret part of the address that
    it was sent to, None where that address has none; ``settings`` are what the master chose for
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
    """Say what verifying proved: when it was signed (None where the dialect has no time), with
    which key, under which id.

    ``key_index`` is the position in the ``keys`` that were given. ``dedupe_key`` is an id carried
    by the signed headers, None where the body carries it.
    """

    key_index: int
    signed_at: datetime | None
    dedupe_key: str | None = None


class WebhookSource(Protocol):
    """Verify and read deliveries. Both methods are pure: no clock but ``now``, no network, no
    state, no logging of input.
    """

    @property
    def name(self) -> str:
        """Return the short name used in config and by strategies."""
        ...

    def new_secret(self) -> Secret:
        """Make a fresh random secret in the form that is shown to the sender once."""
        ...

    def authenticate(
        self, delivery: Delivery, keys: Sequence[Secret], now: datetime
    ) -> Authenticated:
        """Check the raw delivery against every key in constant time; raise ``NotAuthentic``
        otherwise, whatever the cause.
        """
        ...

    def parse(self, delivery: Delivery, proof: Authenticated) -> SignalDraft:
        """Read the body; raise ``InvalidValue`` with field and expectation. Called only after
        ``authenticate``.
        """
        ...


_OF_THE_ENGINE: Final = frozenset(("actions", "entries_per_minute", "expires_at", "symbols"))
"""Settings of an address that the engine itself keeps."""


@dataclass(frozen=True, slots=True)
class EndpointSetting:
    """A choice that a master has for each address of a source, offered on the studio's page.

    ``choices`` are (value, words); the first one holds where nothing was chosen. The chosen value
    comes with every delivery, in ``Delivery.settings`` under ``name``.
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
        """Return the choice of that value, the first one where there is none."""
        return next((each for each in self.choices if each[0] == given), self.choices[0])


@dataclass(frozen=True, slots=True)
class AddressGuide:
    """What a master reads who makes an address for a sender: plain text.

    ``title`` is the sender's name; ``about`` says who may send; ``paste`` what to do with address
    and ``message``; ``hint`` what else is good to know of the message.
    """

    title: str
    about: str
    paste: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ReadyMessage:
    """What a master of one kind of strategy pastes: ``text`` for its orders, ``events`` (event,
    text) for a sender that knows no position.

    ``orders`` are (an order in words, the body that the sender makes of ``text`` for it): the page
    shows what the source's own ``parse`` makes of each.
    """

    title: str
    text: str
    events: tuple[tuple[str, str], ...]
    orders: tuple[tuple[str, bytes], ...]


@runtime_checkable
class AddressSource(WebhookSource, Protocol):
    """A webhook source for senders that can neither sign nor set headers: the address is the proof.

    Masters make such addresses in the studio. Each has a random token (``Delivery.capability``) of
    which only hashes are kept: the keys that ``authenticate`` gets are ``capability_key``s, and
    ``verify_capability`` compares. What proves nothing more should be narrowed, as by ``peer``.
    """

    @property
    def guide(self) -> AddressGuide:
        """Return what the studio's page says."""
        ...

    @property
    def endpoint_settings(self) -> Sequence[EndpointSetting]:
        """Return what a master chooses for each address."""
        ...

    def ready_messages(self, symbol: Symbol) -> Sequence[ReadyMessage]:
        """Return messages to paste, with orders in ``symbol``; may be empty."""
        ...


@runtime_checkable
class ExampleSource(WebhookSource, Protocol):
    """A webhook source that tells what could be sent in the place of a delivery that was refused."""

    def example(self, symbol: Symbol, *, is_exit: bool) -> str:
        """Return the shortest body that ``parse`` takes for an exit, or an entry, of ``symbol``."""
        ...


def endpoint_settings(source: WebhookSource) -> Sequence[EndpointSetting]:
    """Return what a master chooses for each address of a source; none for one that has no
    addresses.
    """
    return source.endpoint_settings if isinstance(source, AddressSource) else ()


class StreamContext(Protocol):
    """Hold what a stream source gets from the engine: its strategy's facts, candles, a clock, and
    one verb, ``emit``.
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
    def http(self) -> "HttpClients":
        """Return the maker of HTTP clients."""
        ...

    async def history(self, symbol: Symbol, interval_s: int, count: int) -> Sequence[Candle]:
        """Return the newest closed candles, oldest first, at most ``count``: what a source needs
        before it can go on where it was before a restart. Raises where the exchange does not answer.
        """
        ...

    def candles(self, symbol: Symbol, interval_s: int) -> AsyncIterator[Candle]:
        """Yield each candle once after it closed, oldest first, starting with the newest closed
        one.
        """
        ...

    async def emit(self, draft: SignalDraft) -> SignalId:
        """Record a signal durably; returns its id once it is safe. The same ``dedupe_key`` again
        returns the same id.

        Raises ``InvalidValue`` when the strategy may not send this (symbol not allowed, same id
        with another content).
        """
        ...


class StreamSource(Protocol):
    """Produce signals from something that runs: candles, a socket, a file. One task per strategy,
    restarted when it fails.
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
        """Run until cancelled, emitting signals. Returning means there will be none any more;
        raising restarts it later.

        After a restart the same signals may be emitted again: derive ``dedupe_key`` from what
        caused the signal.
        """
        ...
