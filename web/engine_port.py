"""The engine as the web sees it: exactly what handlers call.

A running engine satisfies these Protocols by shape. Every method takes what a request carried and
returns values of ``engine.views`` or plain JSON types. The web answers an exception with 503 and
logs it.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from engine.ports.signal_source import Delivery
from engine.services import Services
from engine.views import HealthView, OutcomeRow, ReadinessView, ReceiptView, Reception


class Ingress(Protocol):
    """Where deliveries of bots are taken."""

    async def receive(
        self, endpoint: str, delivery: Delivery, *, dry_run: bool | None = False
    ) -> Reception:
        """Verify, parse and record one delivery; return after it is durable.

        It may be cancelled: the record survives. A ``dry_run`` records nothing. None: the
        sender may mean one and does not say it clearly, so that it is refused.
        """
        ...

    async def receive_by_token(
        self, token: str, delivery: Delivery, *, dry_run: bool | None = False
    ) -> Reception:
        """Take one delivery whose address carries a secret token; otherwise as ``receive``."""
        ...


class Monitor(Protocol):
    """Whether the engine works, and what became of signals."""

    async def receipt(self, receipt_id: str) -> ReceiptView | None:
        """Return what became of a signal, None where there is no such receipt."""
        ...

    async def health(self) -> HealthView:
        """Return whether the engine works; cheap, never waits long."""
        ...

    async def readiness(self) -> ReadinessView:
        """Return whether orders can flow; cheap, never waits long."""
        ...

    async def recent_outcomes(self, limit: int) -> Sequence[OutcomeRow]:
        """Return the newest ``limit`` rows, newest first."""
        ...

    async def wait_outcomes(self, after: int, limit: int) -> Sequence[OutcomeRow]:
        """Wait for rows with a sequence above ``after``; return at most ``limit``, oldest first.

        Nothing is returned when the engine is closing. Cancelling loses nothing.
        """
        ...

    async def wait_news(self, after: int) -> int:
        """Wait for an event of the ledger above ``after``; return the newest one's sequence.

        0 is returned when the engine is closing.
        """
        ...


class Commands(Protocol):
    """The operator's commands, the same that the command line runs."""

    async def run(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run one command; raises RexAlgoError."""
        ...


class Engine(Protocol):
    """A running engine; without ``services`` there are no pages for people."""

    @property
    def ingress(self) -> Ingress: ...
    @property
    def monitor(self) -> Monitor: ...
    @property
    def services(self) -> Services | None: ...
    @property
    def commands(self) -> Commands: ...
