"""Sources of signals: a webhook source verifies and reads deliveries (both pure), a stream source
runs as a task.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import SignalId, Symbol
from engine.domain.signal import SignalDraft
from engine.ports.clock import Clock
from engine.ports.market_data import Candle
from engine.ports.secret import Secret

if TYPE_CHECKING:
    from engine.ports.exchange import HttpClients


class NotAuthentic(RexAlgoError):
    """Raised when a delivery does not prove who sent it. One type, one answer (401) for every
    cause; carries no detail.
    """


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP delivery as received: raw body, headers as ``(lower-case name, value)`` pairs in
    order, and the peer's address.
    """

    body: bytes
    headers: tuple[tuple[str, str], ...]
    peer: str
    received_at: datetime

    def header(self, name: str) -> list[str]:
        """Return every value of a header, by lower-case name."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class Authenticated:
    """What verification proved: when it was signed (None if the dialect has no time), with which
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
    def http(self) -> "HttpClients":
        """Return the factory of HTTP clients."""
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
