"""The ledger's files: when a ledger counts as old, when there is none, and a restore that is killed
at each of its steps.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

import engine.recovery.restoring
from engine.control import call
from engine.keys.vault import new_root_key
from engine.ledger import Ledger, LedgerError, back_up
from engine.ledger.copies import begin_run
from engine.ledger.database import is_copy
from engine.ledger.freeze import EVERYBODY, freeze, read_freezes, why_frozen
from engine.ledger.outcomes import write_event
from engine.recovery.ledger_place import (
    MarkKeeper,
    mark_file,
    open_place,
    why_old,
    why_old_on_disk,
    why_unfit,
)
from engine.recovery.restoring import RestoreRefused, finish_restore, restore
from engine.settings.config import Config, load_config

NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> Config:
    """Return an installation that ran once, did something, and was stopped; ``old`` beside it is an
    earlier backup.
    """
    (tmp_path / "rexalgo.toml").write_text("", encoding="utf-8")
    config = load_config(
        tmp_path, {"ENCRYPTION_KEY": new_root_key(), "JWT_SECRET": new_root_key()[9:]}
    )
    run(config)
    back_up(config.ledger.path, tmp_path / "old")
    run(config)
    return config


def run(config: Config) -> None:
    """Run once, as the engine does."""
    ledger = open_place(config, inline=True)
    mark = MarkKeeper(config, ledger.db)
    mark.keep(NOW)

    def start(db: Any) -> None:
        if mark.old:
            freeze(db, EVERYBODY, "", mark.old, NOW)
        begin_run(db, 1)
        write_event(db, "decision", "somebody", {}, NOW)

    trio.run(ledger.write, start)
    mark.keep(NOW)
    trio.run(ledger.aclose)


def elsewhere(config: Config, folder: Path) -> Config:
    """Return the same installation with its data in another folder."""
    return replace(config, ledger=replace(config.ledger, path=folder / config.ledger.path.name))


def found(config: Config) -> str:
    """Return what keeps the installation from starting, or from sending."""
    if unfit := why_unfit(config):
        return unfit
    ledger = open_place(config, inline=True)
    try:
        return why_frozen(ledger.db, EVERYBODY) or why_old(config, ledger.db)
    finally:
        trio.run(ledger.aclose)


def test_a_place_that_was_stopped_or_moved_goes_on(place: Config, tmp_path: Path) -> None:
    assert found(place) == ""
    shutil.copytree(place.data_dir, tmp_path / "elsewhere")
    moved = elsewhere(place, tmp_path / "elsewhere")
    assert found(moved) == ""
    told = json.loads(mark_file(moved).read_text())
    assert not any(
        str(tmp_path) in str(each) or str(moved.ledger.path.stat().st_ino) == str(each)
        for each in told.values()
    )


def test_a_new_place_has_nothing_to_start_from_and_starts(tmp_path: Path) -> None:
    (tmp_path / "rexalgo.toml").write_text("", encoding="utf-8")
    config = load_config(tmp_path, {})
    assert why_unfit(config) == ""
    run(config)
    assert found(config) == ""


def missing(config: Config) -> None:
    config.ledger.path.unlink()


def empty(config: Config) -> None:
    config.ledger.path.write_bytes(b"")


def cut(config: Config) -> None:
    with config.ledger.path.open("r+b") as file:
        file.truncate(config.ledger.path.stat().st_size // 8192 * 4096)


def cut_short(config: Config) -> None:
    with config.ledger.path.open("r+b") as file:
        file.truncate(50)


def no_ledger(config: Config) -> None:
    config.ledger.path.write_bytes(
        b"this is no database at all, and long enough to be looked at" * 40
    )


def a_log_alone(config: Config) -> None:
    mark_file(config).unlink()
    config.ledger.path.rename(f"{config.ledger.path}-wal")


def made_anew(config: Config) -> None:
    config.ledger.path.unlink()
    trio.run(Ledger.alone(config.ledger.path).aclose)


def put_back(config: Config) -> None:
    shutil.copy(config.folder / "old", config.ledger.path)


def put_back_beside_the_log(config: Config) -> None:
    put_back(config)
    Path(f"{config.ledger.path}-wal").write_bytes(b"x" * 40)


def copied_before(config: Config) -> None:
    copy = config.folder / "as-a-file"
    shutil.copy(config.ledger.path, copy)
    run(config)
    shutil.copy(copy, config.ledger.path)


def lost_log(config: Config) -> None:
    """Keep only the file of a ledger whose newest part is in its log."""
    log, kept = Path(f"{config.ledger.path}-wal"), config.folder / "kept"
    ledger = open_place(config, inline=True)
    mark = MarkKeeper(config, ledger.db)
    trio.run(ledger.write, lambda db: write_event(db, "decision", "somebody", {}, NOW))
    mark.keep(NOW)
    assert log.stat().st_size
    shutil.copy(config.ledger.path, kept)
    trio.run(ledger.aclose)
    shutil.copy(kept, config.ledger.path)


def lost_log_of_everything(config: Config) -> None:
    """Keep only the file of a ledger so new that everything is in its log."""
    for each in config.data_dir.iterdir():
        each.unlink()
    lost_log(config)


def without_mark(config: Config) -> None:
    mark_file(config).unlink()


def unreadable_mark(config: Config) -> None:
    mark_file(config).write_text('{"run": 1, "numbers": []}')


def gone_its_own_way(config: Config) -> None:
    """Continue from a copy somewhere else, further than here."""
    other = config.folder / "other"
    shutil.copytree(config.data_dir, other)
    run(config)
    there = elsewhere(config, other)
    for _ in range(3):
        run(there)
    shutil.copy(there.ledger.path, config.ledger.path)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (missing, "is missing, and this installation was used before"),
        (empty, "is empty, and this installation was used before"),
        (cut, "malformed"),
        (cut_short, "cannot be read"),
        (no_ledger, "cannot be read"),
        (a_log_alone, "-wal is there without it"),
        (made_anew, "is older than the mark"),
        (put_back, "a copy that rexalgo backup made"),
        (put_back_beside_the_log, "lies beside it"),
        (copied_before, "is older than the mark"),
        (lost_log, "or have lost its -wal file"),
        (lost_log_of_everything, "-wal file"),
        (without_mark, "has no mark beside it"),
        (unreadable_mark, "cannot be read"),
        (gone_its_own_way, "the last recorded run is not in it"),
    ],
)
def test_what_is_not_the_newest_ledger_of_this_place_is_told(
    place: Config, harm: Callable[[Config], None], words: str
) -> None:
    harm(place)
    assert words in found(place)
    assert words in (why_unfit(place) or why_old_on_disk(place))
    if why_unfit(place):
        with pytest.raises(LedgerError, match="rexalgo restore FILE"):
            open_place(place, inline=True)
        return
    for _ in range(
        3
        # whatever comes later, it is frozen until a person confirms, and the mark stays as it
        # was
    ):
        run(place)
        assert words in found(place)


def test_a_mark_is_not_moved_while_somebody_has_to_confirm(place: Config) -> None:
    before = mark_file(place).read_bytes()
    put_back(place)
    run(place)
    assert mark_file(place).read_bytes() == before


def test_what_a_command_writes_without_a_server_does_not_make_an_old_ledger_the_newest_one(
    place: Config,
) -> None:
    lost_log(place)
    for _ in range(3):
        trio.run(call, place, "halt", {"scope": "all"})
        trio.run(call, place, "resume", {"scope": "all"})
    assert "or have lost its -wal file" in found(place)
    trio.run(call, place, "status", {})
    run(place)
    assert "or have lost its -wal file" in found(place)


# Restoring


def test_a_backup_of_this_very_moment_stands_still_too_and_moves_no_mark(place: Config) -> None:
    back_up(place.ledger.path, place.folder / "new")
    put(place, place.folder / "new")
    before = mark_file(place).read_bytes()
    run(place)
    assert "restored from new" in found(place)
    assert mark_file(place).read_bytes() == before


def put(config: Config, file: Path) -> Path | None:
    return trio.run(restore, config, file, NOW).former


def runs(config: Config) -> int:
    ledger = Ledger.open(config.ledger.path, inline=True)
    try:
        return int(ledger.db.execute("SELECT count(*) FROM run").fetchone()[0])  # type: ignore[index]
    finally:
        trio.run(ledger.aclose)


def test_a_restored_backup_stands_still_and_the_former_ledger_is_kept(place: Config) -> None:
    former = put(place, place.folder / "old")
    assert former is not None
    assert former.is_file()
    assert "restored from old of 2026-11-29 03:00 UTC" in found(place)  # its newest event
    assert runs(place) == 1
    assert why_unfit(place) == ""
    left = {
        each.name for each in place.data_dir.iterdir() if not each.name.endswith(("-wal", "-shm"))
    }
    assert left == {place.ledger.path.name, former.name, "mark.json"}
    ledger = Ledger.open(place.ledger.path, inline=True)
    assert not is_copy(ledger.db)
    assert [each.account for each in read_freezes(ledger.db)] == [EVERYBODY]
    trio.run(ledger.aclose)


def test_a_ledger_that_was_removed_is_not_said_to_be_kept_but_its_log_is(place: Config) -> None:
    path = place.ledger.path
    path.unlink()
    Path(f"{path}-wal").write_bytes(b"its log")
    done = trio.run(restore, place, place.folder / "old", NOW)
    assert done.former is None
    assert done.lone_log is not None
    assert done.lone_log.read_bytes() == b"its log"
    assert "restored from old" in found(place)


def test_a_restore_into_a_new_folder_and_over_a_ledger_that_is_damaged_works(place: Config) -> None:
    cut(place)
    former = put(place, place.folder / "old")
    assert former is not None
    assert "restored from old" in found(place)
    shutil.rmtree(place.data_dir)
    place.data_dir.mkdir()
    assert put(place, place.folder / "old") is None
    assert "restored from old" in found(place)


def test_the_time_in_its_name_is_when_a_backup_was_taken(place: Config) -> None:
    for name, told in (
        ("scheduled-20260102T030405Z.sqlite3", "of 2026-01-02 03:04 UTC"),
        ("scheduled-20261302T030405Z.sqlite3", f"of {NOW:%Y-%m-%d %H:%M} UTC"),
    ):
        file = place.folder / name
        file.write_bytes((place.folder / "old").read_bytes())  # copied today
        put(place, file)
        assert f"restored from {name} {told}" in found(place)


def test_the_former_ledger_can_be_put_back_the_same_way(place: Config) -> None:
    former = put(place, place.folder / "old")
    assert former is not None
    put(place, former)
    assert runs(place) == 2
    assert "restored from ledger.sqlite3.before-restore" in found(place)


def test_the_former_ledger_is_durably_away_before_the_backup_takes_its_place(
    place: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    rename, sync = Path.rename, engine.recovery.restoring.sync_folder

    def renamed(file: Path, target: Path) -> Path:
        done.append(target.name)
        return rename(file, target)

    def synced(folder: Path) -> None:
        done.append("synced")
        sync(folder)

    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(engine.recovery.restoring, "sync_folder", synced)
    former = put(place, place.folder / "old")
    assert former is not None
    away, there = done.index(former.name), done.index(place.ledger.path.name)
    assert "synced" in done[away:there]


def test_what_is_no_backup_of_this_place_is_refused_and_nothing_is_changed(
    place: Config, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("not a database")
    other = load_config(
        tmp_path, {"ENCRYPTION_KEY": new_root_key(), "JWT_SECRET": new_root_key()[9:]}
    )
    shutil.copy(place.folder / "old", tmp_path / "cut")
    os.truncate(tmp_path / "cut", 40_960)
    before = {each.name: each.read_bytes() for each in place.data_dir.iterdir()}
    for config, file, words in (
        (place, tmp_path / "nothing", "found nothing"),
        (place, tmp_path, "found a folder"),
        (place, tmp_path / "text", "not a database"),
        (place, tmp_path / "cut", "malformed"),
        (place, place.ledger.path, "the ledger of this installation itself"),
    ):
        with pytest.raises(RestoreRefused, match=words):
            put(config, file)
        assert {each.name: each.read_bytes() for each in place.data_dir.iterdir()} == before
    ledger = open_place(place, inline=True)
    trio.run(_seal, ledger, place)
    trio.run(ledger.aclose)
    back_up(place.ledger.path, tmp_path / "sealed")
    with pytest.raises(RestoreRefused, match="the root keys of this installation do not open it"):
        put(other, tmp_path / "sealed")


async def _seal(ledger: Ledger, config: Config) -> None:
    from engine.keys.sealed_secrets import open_vault

    assert config.secrets.encryption_key is not None
    await open_vault(ledger, config.secrets.encryption_key, NOW)


def killed_at(step: int, config: Config) -> bool:
    """Restore in a child process that is killed before its step with this number; return False if
    it had fewer steps.
    """
    child = os.fork()
    if child == 0:
        steps = 0

        def counted(act: Callable[..., Any]) -> Callable[..., Any]:
            def acting(*args: Any, **names: Any) -> Any:
                nonlocal steps
                if steps == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                steps += 1
                return act(*args, **names)

            return acting

        for name in ("open", "fsync", "rename", "replace", "unlink", "link"):
            setattr(os, name, counted(getattr(os, name)))
        put(config, config.folder / "old")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_killed_at_any_step_a_restore_has_happened_or_not(place: Config, tmp_path: Path) -> None:
    shutil.copytree(place.data_dir, tmp_path / "kept")
    ends: list[bool] = []
    step = 0
    while killed_at(step, place):
        finish_restore(place)
        assert why_unfit(place) == ""
        has_happened = runs(place) == 1
        assert ("restored from old" in found(place)) is has_happened
        former = list(place.data_dir.glob("*.before-restore-*"))
        assert len(former) == has_happened
        assert not list(place.data_dir.glob("*restor*[!Z]")) or has_happened
        ends.append(has_happened)
        shutil.rmtree(place.data_dir)
        shutil.copytree(tmp_path / "kept", place.data_dir)
        step += 1
    assert ends == sorted(ends)  # from one step on it has happened
    assert set(ends) == {False, True}
    assert step > 10
