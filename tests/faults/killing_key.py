"""``python -m tests.faults.killing_key COMMAND FOLDER TARGET``: change the keys of copies of an
installation, killed at every boundary. COMMAND is one of ``COMMANDS``.

One copy after another is made below TARGET. The process on the Nth copy sends itself SIGKILL at the
Nth boundary, until one completes; that number is printed. The boundaries of a key change are:
before and after each commit of the ledger, before and after each replaced file. The caller checks
the copies.
"""

import os
import shutil
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import apsw
import trio

from engine.control import call
from engine.ledger import writer
from engine.settings.config import load_config


def main() -> None:
    """Kill at one boundary after the other."""
    command, folder, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    import_module(
        "engine.control.direct"
    )  # loaded once: the process on a copy is a fork of this one
    for number in range(1, 100):
        copy = Path(shutil.copytree(folder, target / str(number)))
        child = os.fork()
        if child == 0:
            _watch(number)
            trio.run(COMMANDS[command], copy)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status == 0:
            print(number)
            return
        if not os.WIFSIGNALED(status):
            raise SystemExit(f"the process at boundary {number} failed by itself")


async def _rotate(folder: Path) -> None:
    config, done = load_config(folder, {}), False
    await call(config, "key_rotate", {})
    while not done:
        done = (await call(config, "key_rewrap", {}))["done"]


async def _remove(folder: Path) -> None:
    config = load_config(folder, {})
    old = (await call(config, "key_status", {}))["keys"][1]["kid"]
    await call(config, "key_remove", {"kid": old})


async def _leaked_root(folder: Path) -> None:
    config, done = load_config(folder, {}), False
    made = await call(config, "key_rotate", {"leaked": True})
    while not done:
        done = (await call(config, "key_rewrap", {}))["done"]
    for kid in made["old"]:
        await call(config, "key_remove", {"kid": kid})


async def _rotate_jwt(folder: Path) -> None:
    await call(load_config(folder, {}), "session_key_rotate", {})


async def _leaked_jwt(folder: Path) -> None:
    await call(load_config(folder, {}), "leaked_jwt", {})


COMMANDS = {
    "rotate": _rotate,
    "remove": _remove,
    "leaked-root": _leaked_root,
    "rotate-jwt": _rotate_jwt,
    "leaked-jwt": _leaked_jwt,
}


def _watch(number: int) -> None:
    """Count boundaries in this process, and end it at the chosen one."""
    left = number

    def come_to() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    run_group, replace = writer._run_group, Path.replace

    def trace(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        if sql == "COMMIT":
            come_to()
        return True

    def run(db: apsw.Connection, *group: Any) -> int:
        db.exec_trace = trace
        ran = run_group(db, *group)
        come_to()
        return ran

    def watched_replace(self: Path, target: Path) -> Path:
        come_to()
        done = replace(self, target)
        come_to()
        return done

    writer._run_group = run
    Path.replace = watched_replace  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
