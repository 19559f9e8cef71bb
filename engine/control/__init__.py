"""The command line's access to an engine.

A command goes to the server of the folder if one runs; else it takes the folder's lock and opens the
ledger itself. A server that holds the lock and does not answer keeps nobody from reading, from
stopping, flattening and allowing entries again, because those need only the ledger.
"""

from typing import Any, Final

from engine.control.client import ServerSilent, ask_server
from engine.control.folder_lock import FolderLock, FolderLocked
from engine.control.wire import SOCKET_NAME
from engine.domain.errors import RexAlgoError
from engine.settings.config import Config

__all__ = [
    "SOCKET_NAME",
    "FolderLock",
    "FolderLocked",
    "NoServer",
    "ServerSilent",
    "ask_server",
    "call",
]
WITHOUT_LOCK: Final = frozenset(
    {
        "status",
        "why",
        "unknown",
        "accounts",
        "books_check",
        "halt",
        "still_open",
        "resume",
        "key_status",
    }
)


class NoServer(RexAlgoError):
    """Raised for what only a server of the folder may run, when there is none."""


async def call(
    config: Config, method: str, params: dict[str, Any], *, by_server: bool = False
) -> dict[str, Any]:
    """Run a command: by the server of this folder if one runs, else here, or, if only a server may
    run it (``by_server``), not at all. Raises what the command raised, FolderLocked, or NoServer.

    If a server holds the folder and is silent for 5 s, a command that needs only the ledger runs
    here all the same.
    """
    try:
        return await ask_server(config.data_dir, method, params)
    except ServerSilent:
        if method not in WITHOUT_LOCK:
            raise
    except OSError:  # no socket, or nobody behind it
        if by_server:
            raise NoServer(f"no server runs in {config.data_dir}") from None
    # Loaded only now: the engine's own code takes longer to load than a server to answer.
    from engine.control.direct import run_with_lock

    return await run_with_lock(config, method, params, may_go_without=method in WITHOUT_LOCK)
