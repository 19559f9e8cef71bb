"""The engine makes its backups by itself: each interval one, and a failure is told and tried again."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import trio
from trio.testing import MockClock

from engine.actors.backups import make_backups
from engine.actors.clock import TrioClock
from engine.actors.shared import Shared
from engine.domain.alert import AlertCode
from engine.recovery.backups import Made, backups_in, make_scheduled
from engine.recovery.ledger_place import open_place
from engine.settings.config import Config, load_config

BEGINNING = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclasses.dataclass
class Used:
    """A stand-in for the accounts' shared parts: a backup needs the clock and somebody to tell."""

    clock: TrioClock
    told: list[tuple[datetime, AlertCode, str]] = dataclasses.field(default_factory=list)

    async def alert(self, code: AlertCode, subject: str, **details: str) -> None:
        self.told.append((self.clock.now(), code, details["problem"]))


async def at_once(config: Config, now: datetime) -> Made:
    """Make a backup without a thread, which would not keep a virtual clock from jumping."""
    return make_scheduled(config, now)


async def running(folder: Path, settings: str, hours: float, harm: Any = None) -> Used:
    """Run the engine's backups for some virtual hours."""
    (folder / "rexalgo.toml").write_text(settings)
    config, used = load_config(folder, {}), Used(TrioClock(BEGINNING))
    await open_place(config, inline=True).aclose()
    if harm is not None:
        harm(config.backup.folder)
    with trio.move_on_after(hours * 3600):
        await make_backups(cast("Shared", used), config, at_once)
    return used


async def test_one_is_made_a_minute_after_the_start_and_one_each_interval(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    mock_clock.autojump_threshold = 0
    used = await running(tmp_path, "[backup]\nevery_hours = 24\nkeep = 2\n", 50)
    taken = [each.taken for each in backups_in(tmp_path / "backups")]
    assert taken[0] >= BEGINNING + timedelta(days=1)
    assert taken[1] - taken[0] <= timedelta(days=1) + 2 * MINUTE
    assert (len(taken), used.told) == (2, [])


async def test_one_that_fails_is_told_and_tried_again_each_hour(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    mock_clock.autojump_threshold = 0

    def harm(folder: Path) -> None:
        folder.write_text("a file where the folder should be")

    used = await running(tmp_path, "", 2.5, harm)
    assert [each[1] for each in used.told] == [AlertCode.BACKUP_FAILED] * 3
    assert used.told[1][0] - used.told[0][0] >= timedelta(hours=1)
    assert "backups" in used.told[0][2]


async def test_none_is_made_if_none_is_scheduled(tmp_path: Path, mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0
    await running(tmp_path, "[backup]\nevery_hours = 0\n", 100)
    assert not (tmp_path / "backups").exists()
