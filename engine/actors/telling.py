"""Tell people: deliver the ledger's alerts to the notifier, at least once each and in order, from a cursor kept in the ledger."""

import logging
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.ledger.reports import delivered, undelivered_alerts
from engine.ports.notifier import Notifier

_LOG = logging.getLogger("rexalgo.telling")
LOOK_S: Final = 0.5
DEADLINE_S: Final = 10.0
RETRY_S: Final = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)


async def tell(shared: Shared, notifier: Notifier) -> None:
    """Run until cancelled. A delivery that fails is tried again, growing to once a minute; the next ones wait behind it."""
    failures = 0
    while True:
        try:
            await _deliver_waiting(shared, notifier)
            failures = 0
        except Exception as error:  # a notifier's own fault: orders do not depend on it
            failures += 1
            _LOG.error("notifier %s failed, trying again: %s: %s", notifier.name, type(error).__name__, error)
        await trio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1] if failures else LOOK_S)


async def _deliver_waiting(shared: Shared, notifier: Notifier) -> None:
    for alert in undelivered_alerts(shared.ledger.db, notifier.name, 20):
        with trio.fail_after(DEADLINE_S):
            await notifier.deliver(alert)
        await shared.ledger.write(lambda db, number=alert.number: delivered(db, notifier.name, number))  # type: ignore[misc]
