"""Notice when the machine's clock is set, by comparing it with one that nobody sets, and tell the
operator: times in the ledger before and after do not fit together.
"""

import logging
from datetime import datetime
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.domain.alert import AlertCode

_LOG = logging.getLogger("rexalgo.clock")
LOOK_S: Final = 1.0
STEP_S: Final = 2.0
"""A clock that follows a time source is corrected slowly; a larger step is told."""


async def watch_clock(shared: Shared) -> None:
    """Run until cancelled."""
    shown, at = shared.clock.now(), trio.current_time()
    while True:
        await trio.sleep(LOOK_S)
        now, moment = shared.clock.now(), trio.current_time()
        step_s = (now - shown).total_seconds() - (moment - at)
        if abs(step_s) > STEP_S:
            await _tell(shared, step_s, shown)
        shown, at = now, moment


async def _tell(shared: Shared, step_s: float, shown: datetime) -> None:
    change = (
        f"was set back by {-step_s:.0f} s"
        if step_s < 0
        else f"jumped forward by {step_s:.0f} s; it was set, or the machine stood still"
    )
    _LOG.warning("the machine's clock %s", change)
    await shared.alert(
        AlertCode.CLOCK_STEPPED, "this installation", shown.isoformat(), change=change
    )
