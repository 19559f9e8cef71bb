"""Deliver the ledger's alerts to each notifier, at least once each and in order, from what the
ledger keeps as not yet told.
"""

import logging
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.ledger.alerts import delivered, know_channel, undelivered_alerts
from engine.ports.notifier import Notifier
from engine.transport.alert_delivery import deliver

_LOG = logging.getLogger("rexalgo.alerts")
LOOK_S: Final = 0.5
RETRY_S: Final = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)


async def tell(shared: Shared, notifier: Notifier) -> None:
    """Deliver until cancelled; one task for each notifier, so that a failing one delays nobody
    else's alerts.

    A failed delivery is tried again, with pauses that grow to a minute; the next ones wait behind
    it.
    """
    failures, is_known = 0, False
    while True:
        try:
            if not is_known:
                await shared.ledger.write(lambda db: know_channel(db, notifier.name))
                is_known = True
            for alert in undelivered_alerts(shared.ledger.db, notifier.name, 20):
                await deliver(notifier, alert, shared.reach)
                await shared.ledger.write(
                    lambda db, number=alert.number: delivered(db, notifier.name, number)  # type: ignore[misc]
                )
            failures = 0
        except Exception as error:  # a notifier's own fault: orders do not depend on it
            failures += 1
            _LOG.error(
                "notifier %s failed, trying again: %s: %s",
                notifier.name,
                type(error).__name__,
                error,
            )
        await trio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1] if failures else LOOK_S)
