"""While the ledger is used, its end is recorded; once its files are gone, people get an alert
without it and the engine ends.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from engine.actors.clock import SystemClock, TrioClock
from engine.actors.place_watch import LedgerGone, watch_place
from engine.actors.shared import Shared
from engine.domain.alert import Alert
from engine.domain.network import PUBLIC, Reach
from engine.ledger import LedgerError
from engine.ledger.outcomes import write_event
from engine.ledger.query import Database
from engine.ports.notifier import Notifier
from engine.recovery.ledger_place import MarkKeeper, mark_file, open_place, read_mark
from engine.settings.config import Config, load_config

NOW = SystemClock().now()


class Channel:
    """A channel that accepts alerts, or fails."""

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.name = name
        self.told: list[Alert] = []
        self._error = error

    async def deliver(self, alert: Alert, http: Any) -> None:
        if self._error is not None:
            raise self._error
        self.told.append(alert)


@dataclasses.dataclass
class Used:
    """A stand-in for the accounts' shared parts: the watch needs the ledger, the clock, the reach
    and the stop.
    """

    ledger: Any
    clock: Any
    reach: Reach = PUBLIC
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True


def noted(config: Config) -> int:
    """Return the newest event in the mark."""
    mark = read_mark(mark_file(config))
    return 0 if mark is None else mark.end.numbers.get("event", 0)


async def until(holds: Callable[[], bool]) -> None:
    """Ask again until something holds: a thread writes the mark, and a virtual clock does not wait
    for it.
    """
    for _ in range(100_000):
        if holds():
            return
        await trio.sleep(1)
    raise AssertionError("it did not come to hold")


async def test_the_end_is_noted_while_it_moves_and_a_ledger_that_is_gone_is_told_and_ends_the_engine(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rexalgo.toml").write_text("", encoding="utf-8")
    config = load_config(tmp_path, {})
    ledger = open_place(config, inline=True)
    used, keeper = Used(ledger, TrioClock(NOW)), MarkKeeper(config, ledger.db)
    works, broken = Channel("works"), Channel("broken", RuntimeError("no way out"))

    async def happens() -> None:
        for count in (1, 2):
            await ledger.write(lambda db: write_event(db, "decision", "somebody", {}, NOW))
            await until(lambda count=count: noted(config) == count)  # type: ignore[misc]
        (config.data_dir / "in-the-way").mkdir()
        mark_file(config).unlink()
        (config.data_dir / "in-the-way").rename(mark_file(config))
        for _ in range(3):
            await ledger.write(lambda db: write_event(db, "decision", "somebody", {}, NOW))
            await until(lambda: "the mark beside the ledger cannot be written" in caplog.text)
        await trio.sleep(5)
        assert caplog.text.count("the mark beside the ledger cannot be written") == 1
        config.ledger.path.unlink()
        with pytest.raises(LedgerError, match="was removed while it was in use"):
            await ledger.write(lambda db: write_event(db, "decision", "somebody", {}, NOW))
        assert not ledger.healthy

    async with trio.open_nursery() as nursery:
        nursery.start_soon(happens)
        with pytest.raises(LedgerGone, match="rexalgo doctor"):
            await watch_place(
                cast(Shared, used), keeper, [cast(Notifier, broken), cast(Notifier, works)]
            )
    assert used.stopped
    assert [(each.code.value, "was removed" in each.sentence) for each in works.told] == [
        ("ledger_gone", True)
    ]
    assert "notifier broken failed" in caplog.text
    await ledger.aclose()


async def test_a_writer_that_ended_is_told_and_ends_the_engine(tmp_path: Path) -> None:
    (tmp_path / "rexalgo.toml").write_text("", encoding="utf-8")
    config = load_config(tmp_path, {})
    ledger = open_place(config)
    used, keeper = Used(ledger, SystemClock()), MarkKeeper(config, ledger.db)
    works = Channel("works")

    def ends(db: Database) -> None:
        raise SystemExit(1)

    with pytest.raises(LedgerError):
        await ledger.write(ends)
    with trio.fail_after(60), pytest.raises(LedgerGone, match="the writer of the ledger ended"):
        await watch_place(cast(Shared, used), keeper, [cast(Notifier, works)])
    assert used.stopped
    assert [each.code.value for each in works.told] == ["ledger_gone"]
    await ledger.aclose()
