"""Deliver the ledger's alerts to each notifier, at least once each and in order, from what the
ledger keeps as not yet told.
"""

import logging
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.domain.alert import AlertCode
from engine.ledger import DiskRefused, LedgerError
from engine.ledger.alerts import channel_state, delivered, undelivered_alerts
from engine.ports.notifier import Notifier
from engine.transport.alert_delivery import deliver

_LOG = logging.getLogger("rexalgo.alerts")
LOOK_S: Final = 0.5
DEAD_AFTER_S: Final = 300.0
RETRY_S: Final = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)


async def tell(shared: Shared, notifier: Notifier) -> None:
    """Deliver until cancelled; one task for each notifier, so that a failing one delays nobody
    else's alerts.

    A failed delivery is tried again, with pauses that grow to a minute; the next ones wait behind
    it. A channel that has failed for five minutes is told on the other ones, once an hour.
    """
    failures, worked_at = 0, trio.current_time()
    taken = 0  # its delivery may wait to be written: the disk may be full
    while True:
        try:
            for alert in undelivered_alerts(shared.ledger.db, notifier.name, 20):
                if alert.number > taken:
                    await deliver(notifier, alert, shared.reach)
                    taken = alert.number
                await shared.ledger.write(
                    lambda db, number=alert.number: delivered(db, notifier.name, number)  # type: ignore[misc]
                )
            failures, worked_at = 0, trio.current_time()
        except DiskRefused:  # no fault of the channel
            await shared.ledger.writable()
        except Exception as error:  # a notifier's own fault: orders do not depend on it
            failures += 1
            _LOG.error(
                "notifier %s failed, trying again: %s: %s",
                notifier.name,
                type(error).__name__,
                error,
            )
            silent_s = trio.current_time() - worked_at
            if silent_s >= DEAD_AFTER_S:
                await _tell_others(shared, notifier.name, silent_s, error)
        await trio.sleep(RETRY_S[min(failures, len(RETRY_S)) - 1] if failures else LOOK_S)


async def _tell_others(shared: Shared, channel: str, silent_s: float, error: Exception) -> None:
    """Raise an alert about a channel that takes none; the others deliver it."""
    try:
        await shared.alert(
            AlertCode.CHANNEL_DEAD,
            channel,
            minutes=str(round(silent_s / 60)),
            problem=f"{type(error).__name__}: {error}"[:200],
            waiting=str(channel_state(shared.ledger.db, channel).waiting),
        )
    except LedgerError as refused:  # senders get 503 then, and health says so
        _LOG.error("the dead channel %s cannot be recorded as an alert: %s", channel, refused)
