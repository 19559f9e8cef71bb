"""The state of the backups, for pages and commands."""

from datetime import timedelta
from typing import Any

from engine.context import EngineContext
from engine.ledger.lineage import first_run
from engine.recovery.backups import backups_in, is_overdue, newest_backup


def backup_state(context: EngineContext) -> dict[str, Any]:
    """Return the newest backup in the configured folder, its age, and whether one is overdue."""
    settings, now = context.config.backup, context.clock.now()
    newest, began = newest_backup(context.config, now), first_run(context.ledger.db)
    taken = None if newest is None else newest.taken
    return {
        "every_hours": settings.every_hours,
        "folder": str(settings.folder),
        "newest": None if taken is None else taken.isoformat(),
        "file": None if newest is None else str(newest.file),
        "age_hours": None if taken is None else round((now - taken).total_seconds() / 3600, 1),
        "age_seconds": None if taken is None else (now - taken).total_seconds(),
        "encrypted": newest is not None and newest.encrypted,
        "overdue": began is not None
        and is_overdue(taken, began, now, timedelta(hours=settings.every_hours)),
    }


def backup_rows(context: EngineContext) -> list[dict[str, Any]]:
    """Return the backups in the configured folder, the newest first."""
    now = context.clock.now()
    return [
        {
            "file": each.file.name,
            "taken": each.taken.isoformat(),
            "age_hours": round((now - each.taken).total_seconds() / 3600, 1),
            "mib": round(each.file.stat().st_size / 2**20, 1) if each.file.exists() else None,
            "scheduled": each.scheduled,
            "encrypted": each.encrypted,
        }
        for each in reversed(backups_in(context.config.backup.folder))
    ]
