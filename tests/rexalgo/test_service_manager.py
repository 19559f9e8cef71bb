"""What systemd is told, over a real datagram socket: by the parts, and by a real server that is
paused.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
import trio
from trio.testing import MockClock

from engine.ledger import database, migrating
from engine.ledger.schema import MIGRATIONS
from rexalgo.cli.service_manager import ServiceManager
from tests.journeys.journey_place import Place, until


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        yield listening


def told(systemd: socket.socket) -> list[str]:
    """Return what has arrived so far."""
    systemd.setblocking(False)
    messages = []
    try:
        while True:
            messages.append(systemd.recv(4096).decode())
    except BlockingIOError:
        return messages


@pytest.mark.parametrize(
    ("environ", "address", "watchdog_s"),
    [
        ({}, "", 0.0),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "30000000"}, "/run/n", 30.0),
        (
            {"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid())},
            "@n",
            1e-6,
        ),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}, "/run/n", 0.0),
        ({"NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "soon"}, "/run/n", 0.0),
        ({"NOTIFY_SOCKET": "vsock:2:9", "WATCHDOG_USEC": "9"}, "", 0.0),
    ],
)
def test_the_environment_is_read_once(
    environ: dict[str, str], address: str, watchdog_s: float
) -> None:
    left = environ | {"HOME": "/x"}
    manager = ServiceManager.of(left)
    assert (manager.address, manager.watchdog_s, left) == (address, watchdog_s, {"HOME": "/x"})


async def test_the_watchdog_is_told_only_while_the_server_works(
    systemd: socket.socket, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    mock_clock.autojump_threshold = 0
    manager = ServiceManager(str(systemd.getsockname()), 30.0)
    how = ["well", "well", "failed", "failed", "hangs", "well"]

    async def is_alive() -> bool:
        if not how:
            await trio.sleep_forever()
        state = how.pop(0)
        if state == "hangs":
            await trio.sleep_forever()
        return state == "well"

    with trio.move_on_after(75):
        await manager.beat(is_alive)
    assert told(systemd) == ["WATCHDOG=1"] * 3
    assert caplog.text.count("does not answer") == 1
    with trio.fail_after(60):
        await ServiceManager(str(systemd.getsockname()), 0.0).beat(is_alive)


@contextmanager
def listening(systemd: socket.socket) -> Iterator[list[str]]:
    """Take messages at once, as systemd does: the queue of the socket is short."""
    messages: list[str] = []

    def listen() -> None:
        while (message := systemd.recv(4096)) != b"end":
            messages.append(message.decode())

    thread = Thread(target=listen)
    thread.start()
    try:
        yield messages
    finally:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(b"end", systemd.getsockname())
        thread.join()


def an_older_ledger(path: Path, patch: pytest.MonkeyPatch) -> None:
    with patch.context() as older:
        older.setattr(database, "MIGRATIONS", MIGRATIONS[:-2])
        db = database.open_database(str(path))
        db.execute("INSERT INTO run (started_us) VALUES (7)")
        db.close()


def test_a_start_that_migrates_asks_for_time_as_long_as_it_goes_on(
    tmp_path: Path, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite3"
    an_older_ledger(path, monkeypatch)
    monkeypatch.setattr(migrating, "_TELLS_EVERY_S", 0.0)
    monkeypatch.setattr(migrating, "_LOOKS_EVERY", 10)
    manager = ServiceManager(str(systemd.getsockname()), 30.0)
    with listening(systemd) as messages:
        telling = migrating.on_progress.set(manager.goes_on)
        try:
            database.open_database(str(path)).close()
        finally:
            migrating.on_progress.reset(telling)
        manager.ready("serves")
        manager.goes_on("a backup is checked")
    more, last = "EXTEND_TIMEOUT_USEC=120000000\nSTATUS=", messages.pop()
    assert last == "READY=1\nSTATUS=serves"
    assert [each for each in messages if not each.startswith(more)] == []
    newest = len(MIGRATIONS)
    for part in (
        "the ledger ",
        "copying the ledger: ",
        "checking the copy: ",
        "the copy is verified",
        f"step {newest - 1} of {newest}: ",
        f"step {newest} of {newest} is done",
    ):
        assert [each for each in messages if each.startswith(f"{more}{part}")], (part, messages)


def test_a_start_is_over_though_the_managers_queue_was_full(systemd: socket.socket) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"STATUS=of another process", systemd.getsockname())
    manager = ServiceManager(str(systemd.getsockname()), 0.0)
    thread = Thread(target=manager.ready, args=("serves",))
    thread.start()
    thread.join(0.1)  # gone by then, if it did not wait for room
    while systemd.recv(4096) == b"STATUS=of another process":
        pass
    thread.join()
    assert manager._worked


def test_a_manager_that_is_gone_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manager = ServiceManager(str(tmp_path / "absent"), 0.0)
    manager.tell("READY=1")
    manager.tell("STOPPING=1")
    assert caplog.text.count("cannot be told") == 1


def test_a_server_asks_for_time_to_migrate_falls_silent_if_it_is_paused_and_starts_again(
    tmp_path: Path, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path / "place")
    monkeypatch.setenv("NOTIFY_SOCKET", str(systemd.getsockname()))
    monkeypatch.setenv("WATCHDOG_USEC", "1500000")
    (place.folder / "data").mkdir(mode=0o700, exist_ok=True)
    an_older_ledger(place.folder / "data" / "ledger.sqlite3", monkeypatch)
    place.serve()
    first = systemd.recv(4096).decode()
    assert first.startswith("EXTEND_TIMEOUT_USEC=120000000\nSTATUS=the ledger ")
    while (last := systemd.recv(4096).decode()).startswith("EXTEND_TIMEOUT_USEC="):
        pass
    assert last.startswith("READY=1\nSTATUS=serves at http://127.0.0.1:")
    assert [systemd.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    assert place.process is not None
    place.process.send_signal(signal.SIGSTOP)
    state = Path(f"/proc/{place.process.pid}/stat")
    until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T")
    told(systemd)
    systemd.settimeout(1.5)
    with pytest.raises(TimeoutError):
        systemd.recv(4096)
    assert place.end(signal.SIGKILL) == -signal.SIGKILL  # what systemd does now
    systemd.settimeout(60)
    place.serve()
    assert systemd.recv(4096).startswith(b"READY=1")
    assert place.end(signal.SIGTERM) == 0
    assert told(systemd)[-1] == "STOPPING=1"
