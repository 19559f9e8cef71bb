"""Deliver one alert by a notifier, with a client of its own."""

from typing import Final

import trio

from engine.domain.alert import Alert
from engine.domain.network import Reach
from engine.ports.contained import contained
from engine.ports.notifier import Notifier
from engine.transport import HttpClientFactory

DEADLINE_S: Final = 10.0


async def deliver(notifier: Notifier, alert: Alert, reach: Reach) -> None:
    """Deliver one alert within the deadline, over addresses within reach; raises what the notifier
    raised, or TooSlowError.
    """
    http = HttpClientFactory(reach=reach)
    try:
        with trio.fail_after(DEADLINE_S):
            await contained(notifier.deliver(alert, http))
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await http.aclose()
