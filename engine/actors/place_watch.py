"""Watch the ledger while it is in use: record where it ends every second, and end the engine if its
files are gone or its writer has ended.

Such a ledger accepts nothing any more: senders get 503, no order leaves, people are alerted directly
(an alert recorded in it would be lost), and the engine ends with an error, so that its supervisor
sees it.
"""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.domain.alert import Alert, AlertCode
from engine.domain.network import Reach
from engine.ledger import LedgerError
from engine.ports.notifier import Notifier
from engine.recovery.ledger_place import MarkKeeper
from engine.transport.alert_delivery import deliver

_LOG = logging.getLogger("rexalgo.place")
LOOK_S: Final = 1.0


class LedgerGone(LedgerError):
    """Raised when the ledger's files were removed or replaced while in use (find out who did it, then
    restore), or when its writer ended (look at the disk, then start again).
    """


async def watch_place(shared: Shared, keeper: MarkKeeper, notifiers: Sequence[Notifier]) -> None:
    """Run until the ledger cannot be used any more; then raises LedgerGone."""
    noted = True
    while True:
        if problem := shared.ledger.unusable:
            shared.stop()
            _LOG.critical("%s; nothing is taken or sent any more, and the engine ends", problem)
            await _tell(shared, notifiers, problem)
            raise LedgerGone(
                f"{problem}; nothing was taken or sent since. rexalgo doctor says what is there "
                "and what to do"
            )
        end = keeper.due()
        if end is not None:
            try:
                await trio.to_thread.run_sync(keeper.note, end, shared.clock.now())
                noted = True
            except OSError as error:
                if noted:
                    _LOG.error("the mark beside the ledger cannot be written: %s", error)
                noted = False
        await trio.sleep(LOOK_S)


async def _tell(shared: Shared, notifiers: Sequence[Notifier], problem: str) -> None:
    alert = Alert(
        number=0,
        code=AlertCode.LEDGER_GONE,
        subject="this installation",
        at=shared.clock.now(),
        details={"problem": problem},
    )
    async with trio.open_nursery() as nursery:
        for each in notifiers:
            nursery.start_soon(partial(_deliver, each, alert, shared.reach))


async def _deliver(notifier: Notifier, alert: Alert, reach: Reach) -> None:
    try:
        await deliver(notifier, alert, reach)
    except (
        Exception
    ) as error:  # a notifier's own fault: the others are told, and the engine ends all the same
        _LOG.error("notifier %s failed: %s: %s", notifier.name, type(error).__name__, error)
