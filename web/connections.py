"""The limits of connections, and what a connection shares with its server and its handlers."""

import math
from collections import Counter
from dataclasses import dataclass, field, replace

import trio
from hypercorn.config import Config

from engine.domain.network import network_of
from web.peers import read_address
from web.settings import Network

CONNECTION_KEY = "rexalgo.connection"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of connections, in seconds and numbers.

    ``keep_alive_s``: from an answer to the next request's first byte. It is longer than clients and
    proxies keep a connection (nginx 60 s, Caddy 120 s), because a request that meets the close is
    lost to a sender that does not send it again. A connection that comes to rest while more than
    half are in use gets ``head_s``, as a client's first head and the rest of each other one do.
    ``uncapped``: networks (trusted proxies) without the cap per peer.
    """

    connections_max: int = 1024
    connections_per_peer_max: int = 256
    keep_alive_s: float = 130.0
    head_s: float = 5.0
    request_s: float = 30.0
    send_s: float = 10.0
    drain_s: float = 1.5
    uncapped: tuple[Network, ...] = ()

    def fitting(self, files_max: int) -> "ConnectionLimits":
        """Return the limits for a process that may open this many files.

        Half of them stay free for the ledger, plugins and connections to exchanges; a peer keeps
        its part of the other half.
        """
        most = min(self.connections_max, max(1, files_max // 2))
        a_peer = max(1, self.connections_per_peer_max * most // self.connections_max)
        return replace(self, connections_max=most, connections_per_peer_max=a_peer)


@dataclass(slots=True)
class Guard:
    """The connections of one server, counted, and the event of its closing."""

    limits: ConnectionLimits
    headers: tuple[tuple[str, str], ...]
    open: int = 0
    by_peer: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    contained: int = 0
    closing: trio.Event = field(default_factory=trio.Event)

    def admit(self, peer: str) -> bool:
        """Admit a connection or refuse it; the caller releases an admitted one exactly once."""
        if self.open >= self.limits.connections_max or self._is_crowded(peer):
            self.refused += 1
            return False
        self.open += 1
        self.by_peer[network_of(peer)] += 1
        return True

    def release(self, peer: str) -> None:
        """Count an admitted connection as closed."""
        self.open -= 1
        network = network_of(peer)
        self.by_peer[network] -= 1
        if not self.by_peer[network]:
            del self.by_peer[network]

    @property
    def idle_s(self) -> float:
        """How long a connection may wait for its next request now, in seconds."""
        limits = self.limits
        return limits.keep_alive_s if 2 * self.open <= limits.connections_max else limits.head_s

    def _is_crowded(self, peer: str) -> bool:
        if self.by_peer[network_of(peer)] < self.limits.connections_per_peer_max:
            return False
        address = read_address(peer)
        return address is None or not any(address in network for network in self.limits.uncapped)


class GuardedConfig(Config):
    """Hypercorn's Config with our guard: hypercorn hands its connections nothing else."""

    guard: Guard


class Connection:
    """One connection's deadline; its handlers find it in ``scope["state"][CONNECTION_KEY]``."""

    def __init__(self, closing: trio.Event) -> None:
        self.closing = closing
        self._watch = trio.CancelScope()

    def outlive(self) -> None:
        """Remove the deadline, for an event stream that ends with ``closing``."""
        if not self.closing.is_set():
            self._watch.deadline = math.inf

    def expect(self, seconds: float) -> None:
        """Set the deadline."""
        self._watch.deadline = trio.current_time() + seconds

    def hurry(self, seconds: float) -> None:
        """Bring the deadline forward; never postpone it."""
        self._watch.deadline = min(self._watch.deadline, trio.current_time() + seconds)

    async def wait_end(self) -> None:
        """Return when the deadline has passed."""
        with self._watch:
            await trio.sleep_forever()
