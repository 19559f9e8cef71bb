"""Notifiers: plugins that deliver alerts to people."""

from typing import Protocol

from engine.domain.alert import Alert
from engine.ports.http import HttpClients


class Notifier(Protocol):
    """A channel that delivers alerts, at least once each and in order; the engine keeps
    what each was not told yet, so nothing is lost while it fails.
    """

    @property
    def name(self) -> str:
        """Return the short name used in config."""
        ...

    async def deliver(self, alert: Alert, http: HttpClients) -> None:
        """Deliver one alert; raise to be called again later. Called under a deadline of 10 s.

        ``http`` makes clients over the engine's transport; they are closed after the call.
        """
        ...
