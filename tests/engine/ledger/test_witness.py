"""The files of a ledger in use are watched: a change of them is reported, and if they cannot be
checked, nothing is sent.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from engine.ledger import Database, Ledger, LedgerError
from engine.ledger import witness as module
from engine.ledger.witness import LOOK_HOLDS_S, Witness


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger.open(tmp_path / "ledger", inline=True)
    yield made
    trio.run(made.aclose)


def loop(file: Path) -> None:
    """Replace the file by something that no system call can check."""
    file.unlink()
    file.symlink_to(file)


def loop_of_the_file(ledger: Ledger, folder: Path) -> None:
    loop(folder / "ledger")


def loop_of_its_log(ledger: Ledger, folder: Path) -> None:
    loop(folder / "ledger-wal")


def reading_that_fails(ledger: Ledger, folder: Path) -> None:
    witness = ledger._witness
    assert witness is not None
    handle = os.open(folder, os.O_RDONLY)
    os.dup2(handle, witness._handle)
    os.close(handle)


def folder_that_is_a_file(ledger: Ledger, folder: Path) -> None:
    folder.rename(folder.parent / "moved")
    folder.touch()


def nothing(db: Database) -> None:
    db.execute("INSERT INTO run (started_us) VALUES (0)")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (
            loop_of_the_file,
            "ledger could not be looked at while it was in use (Too many levels of symbolic links)",
        ),
        (
            loop_of_its_log,
            "ledger-wal could not be looked at while it was in use (Too many levels of symbolic "
            "links)",
        ),
        (reading_that_fails, "ledger could not be looked at while it was in use (Is a directory)"),
        (folder_that_is_a_file, "ledger was removed while it was in use"),
    ],
)
def test_what_cannot_be_looked_at_promises_nothing_and_says_where_and_what_to_do(
    harm: Callable[[Ledger, Path], None], words: str, ledger: Ledger, tmp_path: Path
) -> None:
    trio.run(ledger.write, nothing)
    assert ledger.unusable == ""
    harm(ledger, tmp_path)
    with pytest.raises(LedgerError) as told:
        trio.run(ledger.write, nothing)
    assert words in str(told.value)
    assert "see to its disk" in str(told.value) or "removed" in str(told.value)
    assert not ledger.healthy


def test_a_log_that_could_never_be_looked_at_is_no_log_that_is_not_there_yet(
    tmp_path: Path,
) -> None:
    (tmp_path / "ledger").write_bytes(bytes(4096))
    (tmp_path / "ledger-wal").symlink_to(tmp_path / "ledger-wal")
    witness = Witness(tmp_path / "ledger", 0)
    assert "ledger-wal could not be looked at" in witness.problem()
    os.close(witness._handle)
    witness.close()  # nothing is lost where the system cannot close it


def test_a_file_that_cannot_be_watched_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"could not be looked at .* rexalgo doctor"):
        Witness(tmp_path / "nothing", 0)


def test_a_look_holds_for_five_milliseconds_except_for_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    (tmp_path / "ledger").write_bytes(bytes(4096))
    witness = Witness(tmp_path / "ledger", 0)
    assert witness.recent_problem() == ""
    (tmp_path / "ledger").unlink()
    now += LOOK_HOLDS_S / 2
    assert witness.recent_problem() == ""
    now += LOOK_HOLDS_S
    assert "was removed" in witness.recent_problem()
    witness.close()


def test_a_commit_looks_though_somebody_just_did(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(bytes(4096))
    witness = Witness(tmp_path / "ledger", 0)
    assert witness.recent_problem() == ""
    (tmp_path / "ledger").unlink()
    assert "was removed" in witness.problem()
    witness.close()
