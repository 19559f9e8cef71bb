"""Make a backup of the ledger whenever one is due, in a thread of its own; alert people if it fails.

A server that starts again and again makes none of them sooner: the first look comes a minute after
the start.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.domain.alert import AlertCode
from engine.ledger import LedgerError
from engine.recovery.backups import BackupFailed, Made, is_due, make_scheduled, newest_backup
from engine.settings.config import Config

_LOG = logging.getLogger("rexalgo.backups")
LOOK_S: Final = 60.0
RETRY_S: Final = 3_600.0


async def _in_a_thread(config: Config, now: datetime) -> Made:
    # abandoned at a stop: what it wrote has no name yet, and is removed later
    return await trio.to_thread.run_sync(make_scheduled, config, now, abandon_on_cancel=True)


async def make_backups(
    shared: Shared,
    config: Config,
    make: Callable[[Config, datetime], Awaitable[Made]] = _in_a_thread,
) -> None:
    """Run until cancelled; return at once if none are scheduled. ``make`` makes one backup."""
    every = timedelta(hours=config.backup.every_hours)
    pause = LOOK_S
    while every:
        await trio.sleep(pause)
        pause, now = LOOK_S, shared.clock.now()
        newest = newest_backup(config, now)
        if not is_due(None if newest is None else newest.taken, now, every):
            continue
        try:
            made = await make(config, now)
        except BackupFailed as error:
            pause = RETRY_S
            _LOG.error("no backup could be made: %s", error)
            await _alert(shared, str(error), "none" if newest is None else str(newest.file))
        else:
            _LOG.info(
                "made the backup %s: %d bytes, %d rows verified%s",
                made.file,
                made.bytes,
                made.rows,
                ", encrypted" if made.encrypted else "",
            )


async def _alert(shared: Shared, problem: str, newest: str) -> None:
    try:
        await shared.alert(
            AlertCode.BACKUP_FAILED, "this installation", problem=problem, newest=newest
        )
    except LedgerError as error:  # the same full disk: doctor and health say so too
        _LOG.error("the failed backup cannot be recorded as an alert: %s", error)
