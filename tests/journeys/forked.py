"""Programs of this project, started as forks of a process that has imported it.

The tests start about a thousand processes, and importing takes three quarters of what one computes.
A fork is a process like any other: it has its own id, session, files, folder and environment, runs
the same program from its first line, and may be killed. Commands that a shell, a service manager or
another Python starts are not forked.
"""

import atexit
import gc
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final

_REQUEST_MAX: Final = 128 * 1024
_IMPORTED: Final = ("engine.run", "web.app", "web.server", "rexalgo.drills", "httpx")
_NUMBER: Final = 8


def can_fork(command: Sequence[str]) -> bool:
    """Return whether a command is a module or a script of this Python."""
    return command[0] == sys.executable and (command[1] == "-m" or command[1].endswith(".py"))


class Forked:
    """A running fork; it has of ``subprocess.Popen`` what tests use. ``stdout`` is a pipe, unless a
    file was given.
    """

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path,
        *,
        stdin: IO[Any] | None = None,
        stdout: IO[Any] | None = None,
        stderr: IO[Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        request = {"command": [*command[1:]], "cwd": str(cwd), "env": dict(env or os.environ)}
        self._status, status = os.pipe()
        reading, writing = os.pipe() if stdout is None else (-1, -1)
        with Path(os.devnull).open("r+b") as nothing:
            files = [
                (stdin or nothing).fileno(),
                writing if stdout is None else stdout.fileno(),
                2 if stderr is None else stderr.fileno(),
                status,
            ]
            socket.send_fds(_prepared()[0], [json.dumps(request).encode()], files)
        os.close(status)
        self.stdout: IO[str] | None = None
        if stdout is None:
            os.close(writing)
            self.stdout = os.fdopen(reading, encoding="utf-8")
        self.returncode: int | None = None
        self.pid = _number(self._status)

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            ready = select.poll()
            ready.register(self._status, select.POLLIN)
            if not ready.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("a fork", timeout or 0)
            self.returncode = _number(self._status)
            os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "Forked":
        return self

    def __exit__(self, *error: object) -> None:
        if self.stdout is not None:
            self.stdout.close()
        self.wait()


def _number(status: int) -> int:
    told = os.read(status, _NUMBER)
    if len(told) < _NUMBER:
        raise RuntimeError("a fork's watcher ended before its fork")
    return int.from_bytes(told, "little", signed=True)


Process = subprocess.Popen[str] | Forked


def start(
    command: list[str], cwd: Path, log: IO[str] | None = None, env: Mapping[str, str] | None = None
) -> Process:
    """Start a command whose output is read, in a session of its own."""
    if can_fork(command):
        return Forked(command, cwd, stderr=log, env=env)
    return subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
        env=env,
    )


def run_forked(
    command: Sequence[str], cwd: Path, stdin: str, env: Mapping[str, str], timeout: float
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, as ``subprocess.run`` does with its output captured."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as given,
        tempfile.TemporaryFile("w+", encoding="utf-8") as told,
        tempfile.TemporaryFile("w+", encoding="utf-8") as complained,
    ):
        given.write(stdin)
        given.seek(0)
        process = Forked(command, cwd, stdin=given, stdout=told, stderr=complained, env=env)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        told.seek(0)
        complained.seek(0)
        return subprocess.CompletedProcess(command, code, told.read(), complained.read())


@cache
def _prepared() -> "tuple[socket.socket, subprocess.Popen[bytes]]":
    """Start this process's own prepared process; it ends when the socket to it is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, __file__, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    theirs.close()

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait()

    return ours, process


# The prepared process


def _serve(requests: socket.socket) -> list[str]:
    """Fork for each request, until there are no more; return in each fork, with its command."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # watchers are nobody's children
    while True:
        request, files, _, _ = socket.recv_fds(requests, _REQUEST_MAX, 4)
        if not request:
            sys.exit()
        if os.fork() == 0:
            requests.close()
            return _watch(json.loads(request), files)
        for each in files:
            os.close(each)


def _watch(request: dict[str, Any], files: list[int]) -> list[str]:
    """Fork the program, and tell its id and its exit code; return in the program."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *standard, status = files
    child = os.fork()
    if child == 0:
        os.close(status)
        return _become(request, standard)
    for each in standard:
        os.close(each)
    os.write(status, child.to_bytes(_NUMBER, "little", signed=True))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(status, code.to_bytes(_NUMBER, "little", signed=True))
    os._exit(0)


def _become(request: dict[str, Any], standard: list[int]) -> list[str]:
    os.setsid()
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    command: list[str] = request["command"]
    return command


def _import_all() -> None:
    for name in _IMPORTED:
        import_module(name)
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import_module("tests.cheap_hashes").hash_at()
    del sys.path[0]
    for room in ("rexalgo.cli", "plugins"):
        for each in pkgutil.iter_modules(import_module(room).__path__, f"{room}."):
            import_module(each.name)


if __name__ == "__main__":
    _import_all()
    gc.freeze()  # a fork's collections leave alone what is imported, so its pages stay shared
    told = _serve(socket.socket(fileno=int(sys.argv[1])))
    if told[0] == "-m":
        found = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:1] = [str(Path.cwd()), *filter(None, found)]
        sys.argv = told[1:]
        runpy.run_module(told[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(told[0]).parent)
        sys.argv = told
        runpy.run_path(told[0], run_name="__main__")
