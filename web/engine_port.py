"""The doors of the engine as the web sees them: exactly what handlers call, nothing else.

A running engine satisfies these by shape. Every method returns values of ``engine.views`` or plain
JSON types; none of them may be called with anything but what a request carried. A raised exception
means "not now": the web answers 503 and logs it.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from engine.ports.signal_source import Delivery
from engine.services import Services
from engine.views import HealthView, OutcomeRow, ReadinessView, ReceiptView, Reception


class Ingress(Protocol):
    """Take deliveries of bots."""

    async def receive(self, endpoint: str, delivery: Delivery) -> Reception:
        """Verify, parse and record one delivery; returns after it is durable. May be cancelled: the
        record survives.
        """
        ...

    async def receive_by_token(self, token: str, delivery: Delivery) -> Reception:
        """Take one delivery whose address is its capability; otherwise as ``receive``."""
        ...


class Monitor(Protocol):
    """Say whether the engine works, and what became of signals."""

    async def receipt(self, receipt_id: str) -> ReceiptView | None:
        """Return what became of a signal, or None where there is no such receipt."""
        ...

    def health(self) -> HealthView:
        """Say whether the process works; cheap, never waits."""
        ...

    def readiness(self) -> ReadinessView:
        """Say whether orders can flow; cheap, never waits."""
        ...

    async def recent_outcomes(self, limit: int) -> Sequence[OutcomeRow]:
        """Return the newest ``limit`` rows, newest first."""
        ...

    async def wait_outcomes(self, after: int, limit: int) -> Sequence[OutcomeRow]:
        """Return at most ``limit`` rows with a sequence above ``after``, oldest first; waits until
        there is one.

        An empty answer means that the engine is closing. Cancelling loses nothing.
        """
        ...

    async def wait_news(self, after: int) -> int:
        """Wait until the ledger has an event above ``after`` and return the newest one's sequence;
        0 when the engine is closing.
        """
        ...


class Commands(Protocol):
    """Run the operator's commands, the same that the command line runs."""

    async def run(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run one command; raises RexAlgoError."""
        ...


class Engine(Protocol):
    """Hold the engine's doors; without ``services`` there are no pages of people."""

    @property
    def ingress(self) -> Ingress: ...
    @property
    def monitor(self) -> Monitor: ...
    @property
    def services(self) -> Services | None: ...
    @property
    def commands(self) -> Commands: ...
