"""The command line's access: the folder's lock, and a Unix socket of mode 0600 beside the ledger.

What always holds: at most one process works on a folder (``flock``, so that a killed one leaves
nothing to clean up); a command goes to the server if one runs, else it takes the lock and opens the
ledger itself; a server that holds the lock and does not answer keeps nobody from reading, from
halting entries and from allowing them again, because those need only the ledger.

The wire: one JSON object per line each way, one exchange per connection: ``{"method", "params"}``
and ``{"result"}`` or ``{"error"}``.
"""

import fcntl
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import trio

from engine.actors.clock import SystemClock
from engine.commands import Commands
from engine.commands.keys import KEYS
from engine.context import EngineContext
from engine.domain.errors import InUse, InvalidValue, NothingThere, RexAlgoError
from engine.keys.keyring import Keyring
from engine.ledger import LedgerError
from engine.ledger.freeze import EVERYBODY, freeze
from engine.plugin.host import Plugins, load_plugins
from engine.provisioning.errors import ProvisionErrors, ProvisionProblem
from engine.recovery.ledger_place import MarkKeeper, open_place, why_unfit
from engine.recovery.restoring import finish_restore
from engine.settings.config import Config
from engine.settings.files import make_folder

_LOG = logging.getLogger("rexalgo.control")
SOCKET_NAME: Final = "control.sock"
LOCK_NAME: Final = "lock"
REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024
REQUEST_WITHIN_S: Final = 5.0
ANSWER_WITHIN_S: Final = 5.0
PROVISION_WITHIN_S: Final = 120.0
CHECK_WITHIN_S: Final = 30.0
CONNECTIONS_MAX: Final = 16
WITHOUT_LOCK: Final = frozenset(
    {"status", "why", "unknown", "accounts", "books_check", "halt", "resume", "key_status"}
)

RunCommand = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class FolderLocked(InUse):
    """Raised when another process works on this folder; names it."""


class ServerSilent(RexAlgoError):
    """Raised when a server holds the folder and does not answer."""


# The lock


class FolderLock:
    """The lock that reserves a folder for one process, as a context manager; raises FolderLocked,
    naming the holder.
    """

    def __init__(self, folder: Path, what: str, now: datetime) -> None:
        self._file = folder / LOCK_NAME
        self._about = {"pid": os.getpid(), "what": what, "since": now.isoformat(timespec="seconds")}
        self._handle = -1

    def __enter__(self) -> "FolderLock":
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _holder(os.read(handle, 1000))
            os.close(handle)
            raise FolderLocked(
                f"the folder {self._file.parent} is in use by {holder}; stop it first, or use "
                "another folder"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(self._about).encode(), 0)
        self._handle = handle
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.ftruncate(self._handle, 0)
        os.close(self._handle)


def _holder(text: bytes) -> str:
    try:
        about = json.loads(text)
        return f"{about['what']} (process {about['pid']}, since {about['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """Yield the socket's path in a form that fits the 108 bytes of a socket address, however long
    the folder's path is.
    """
    full = str(folder / SOCKET_NAME)
    if len(os.fsencode(full)) < 100 or not Path("/proc/self/fd").is_dir():
        yield full
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET_NAME}"
    finally:
        os.close(handle)


# The server's side


async def serve_control(
    folder: Path, run: RunCommand, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer commands until cancelled. The caller holds the folder's lock, so an existing socket
    file belongs to a dead process.
    """
    file = folder / SOCKET_NAME
    file.unlink(missing_ok=True)
    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short_path(folder) as path:
        await listening.bind(path)
    file.chmod(0o600)
    listening.listen(CONNECTIONS_MAX)
    slots = trio.Semaphore(CONNECTIONS_MAX)

    async def answer(stream: trio.SocketStream) -> None:
        async with slots:
            await _answer(stream, run)

    task_status.started()
    try:
        await trio.serve_listeners(answer, [trio.SocketListener(listening)])
    finally:
        file.unlink(missing_ok=True)


async def _answer(stream: trio.SocketStream, run: RunCommand) -> None:
    async with stream:
        try:
            with trio.fail_after(REQUEST_WITHIN_S):
                asked = json.loads(await _line(stream))
            answer: dict[str, Any] = {
                "result": await run(str(asked["method"]), dict(asked["params"]))
            }
        except RexAlgoError as error:
            answer = {"error": _written(error)}
        except (ValueError, KeyError, TypeError, trio.TooSlowError, trio.BrokenResourceError):
            answer = {
                "error": {
                    "kind": "RexAlgoError",
                    "message": 'expected one line {"method": ..., "params": {...}}',
                }
            }
        except (
            Exception
        ) as error:  # the boundary to people: one line for them, with the details in the log
            _LOG.exception("a command failed")
            answer = {
                "error": {
                    "kind": "RexAlgoError",
                    "message": f"the command failed inside ({type(error).__name__}); see the log",
                }
            }
        try:
            with trio.fail_after(REQUEST_WITHIN_S):
                await stream.send_all(json.dumps(answer).encode() + b"\n")
        except (trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
            _LOG.info("the client of the control socket left before the answer")


async def _line(stream: trio.SocketStream) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        chunk = await stream.receive_some(65_536)
        if not chunk or len(data) + len(chunk) > REQUEST_BYTES_MAX:
            raise ValueError("no whole line")
        data += chunk
    return bytes(data)


# Errors across the socket keep their kind, because exit codes depend on it


def _written(error: RexAlgoError) -> dict[str, Any]:
    written: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, ProvisionErrors):
        written |= {
            "file": error.file,
            "problems": [
                [each.key, each.expected, each.found, each.name] for each in error.problems
            ],
        }
    elif isinstance(error, InvalidValue):
        written |= {"field": error.field, "expected": error.expected, "found": error.found}
    return written


def _read(written: dict[str, Any]) -> RexAlgoError:
    match written["kind"]:
        case "ProvisionErrors":
            return ProvisionErrors(
                written["file"], [ProvisionProblem(*each) for each in written["problems"]]
            )
        case "InvalidValue":
            return InvalidValue(written["field"], written["expected"], written["found"])
        case "NothingThere":
            return NothingThere(written["message"])
        case _:
            return RexAlgoError(written["message"])


# The caller's side


async def call(config: Config, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Run a command: by the server of this folder if one runs, else here. Raises what the command
    raised, or FolderLocked.

    If a server holds the folder and is silent for 5 s, a command that needs only the ledger runs
    here all the same.
    """
    try:
        return await ask_server(config.data_dir, method, params)
    except ServerSilent:
        if method not in WITHOUT_LOCK:
            raise
        return await _directly(config, method, params)
    except OSError:  # no socket, or nobody behind it
        pass
    if not config.ledger.path.exists() and method in WITHOUT_LOCK:
        if unfit := why_unfit(config):
            raise LedgerError(unfit)
        raise NothingThere(
            f"nothing is here yet: {config.ledger.path} does not exist; run rexalgo serve or "
            "rexalgo provision first"
        )
    make_folder(config.data_dir)
    try:
        with FolderLock(config.data_dir, f"rexalgo {method}", SystemClock().now()):
            finish_restore(config)
            return await _directly(config, method, params, holds=True)
    except FolderLocked:
        if method not in WITHOUT_LOCK:
            raise
        return await _directly(config, method, params)


async def ask_server(folder: Path, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Ask the folder's server; raises OSError if there is none, ServerSilent, or what the command
    raised.
    """
    within = {
        "provision": PROVISION_WITHIN_S,
        "check": CHECK_WITHIN_S,
        "reconcile_all": PROVISION_WITHIN_S,
        "restore_confirm": PROVISION_WITHIN_S,
        "books_check": CHECK_WITHIN_S,
        **dict.fromkeys(KEYS, CHECK_WITHIN_S),
    }.get(method, ANSWER_WITHIN_S)
    with trio.move_on_after(within):
        with _short_path(folder) as path:
            stream = await trio.open_unix_socket(path)
        async with stream:
            try:
                await stream.send_all(
                    json.dumps({"method": method, "params": params}).encode() + b"\n"
                )
                answer = json.loads(await _line(stream))
            except (ValueError, trio.BrokenResourceError) as error:
                raise ServerSilent(
                    "the server ended before it answered; run the command again"
                ) from error
        if "error" in answer:
            raise _read(answer["error"])
        return dict(answer["result"])
    raise ServerSilent(
        f"the server of {folder} holds the folder and did not answer within {within:.0f} s; see "
        "its log, or stop it"
    )


async def _directly(
    config: Config, method: str, params: dict[str, Any], *, holds: bool = False
) -> dict[str, Any]:
    """Run a command on the opened ledger; if it ``holds`` the folder's lock, it also records where
    the ledger ends.

    A ledger that may be old is frozen from then on: what is written to it may reach the numbers
    that showed it to be old.
    """
    ledger, clock = open_place(config, inline=True), SystemClock()
    try:
        mark = MarkKeeper(config, ledger.db) if holds else None
        if mark is not None and mark.old:
            await ledger.write(
                lambda db, old=mark.old: freeze(
                    db, account=EVERYBODY, name="", cause=old, at=clock.now()
                )  # type: ignore[misc]
            )
        keyring = Keyring(ledger, clock, config.key_place, config.secrets.encryption_key)
        context = EngineContext(
            config=config,
            ledger=ledger,
            clock=clock,
            plugins=partial(_plugins, config),
            open_vault=keyring.open,
            changed=trio.lowlevel.checkpoint,
            keyring=keyring,
        )
        answer = await Commands(context).run(method, params)
        if mark is not None:
            mark.keep(clock.now())
        return answer
    finally:
        await ledger.aclose()


def _plugins(config: Config) -> Plugins:
    return load_plugins(config.plugins.enabled, config.plugin_settings)
