"""Telling people."""

from typing import Protocol

from engine.domain.alert import Alert


class Notifier(Protocol):
    """Deliver alerts, at least once each and in order; the engine keeps a cursor per notifier."""

    @property
    def name(self) -> str:
        """Return the short name used in config."""
        ...

    async def deliver(self, alert: Alert) -> None:
        """Deliver one alert; raise to be asked again later. Called under a deadline of 10 s."""
        ...
