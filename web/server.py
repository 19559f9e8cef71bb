"""The HTTP server: hypercorn's trio worker in this process, with bounded connections.

``serve_web`` returns about ``drain_s`` after its trigger, whatever clients do. It installs no
signal handler, starts no process, and knows nothing of what the app does. Cancelling it is no
shutdown: use the trigger.
"""

import logging
import math
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import hypercorn.trio.run as hypercorn_worker
import trio
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework
from quart_trio import QuartTrio

from web.connections import ConnectionLimits, Guard, GuardedConfig
from web.guarded_server import GuardedServer
from web.headers import security_headers

log = logging.getLogger("rexalgo.web")
_TCP_USER_TIMEOUT_MS = 10_000
_BACKLOG = 1024
_TOLD_EVERY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where and how to listen. Port 0 takes a free one.

    ``certfile`` and ``keyfile`` (PEM) together switch TLS on. ``https``: a proxy speaks TLS for us,
    so the server's own refusals carry HSTS; with a certificate they always do.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    certfile: Path | None = None
    keyfile: Path | None = None
    https: bool = False
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)

    def __post_init__(self) -> None:
        if (self.certfile is None) != (self.keyfile is None):
            raise ValueError("certfile and keyfile belong together: give both for TLS, or neither")


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the server listens; ``guard`` counts open, refused and contained connections."""

    host: str
    port: int
    url: str
    guard: Guard


async def serve_web(
    app: QuartTrio,
    config: ServerConfig,
    *,
    shutdown_trigger: Callable[[], Awaitable[object]],
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until ``shutdown_trigger`` returns, then end within about ``limits.drain_s``.

    Reports ``Bound`` when it listens; raises OSError where it cannot. The engine runs beside it in
    the caller's nursery, never in the app's.
    """
    is_tls = config.certfile is not None
    _tell_refused_accepts_in_one_line()
    guard = Guard(config.limits, security_headers(https=config.https or is_tls))
    listener = _listen(config.host, config.port)
    host, port = listener.getsockname()[:2]
    settings = _hypercorn_config(config, guard)
    settings.bind = [f"fd://{listener.detach()}"]
    # hypercorn 0.18.0 has no setting for the connection class: it reads it from its module
    cast(Any, hypercorn_worker).TCPServer = GuardedServer

    async def closing() -> None:
        await shutdown_trigger()
        guard.closing.set()  # event streams end now, everybody else gets drain_s

    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(serve, cast(ASGIFramework, app), settings, shutdown_trigger=closing)
        )
        task_status.started(Bound(host, port, _url(host, port, is_tls=is_tls), guard))


class _OneLineAMinute(logging.Filter):
    """Lets one line a minute through, without its traceback: without a free descriptor trio fails
    to accept ten times a second, and tells each.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created < self._last + _TOLD_EVERY_S:
            return False
        self._last = record.created
        record.exc_info = None
        record.msg = f"no connection can be accepted, it is tried again: {record.getMessage()}; "
        record.msg += "rexalgo doctor shows the limit of open files"
        record.args = ()
        return True


def _tell_refused_accepts_in_one_line() -> None:
    accepting = logging.getLogger("trio.serve_listeners")
    if not any(isinstance(each, _OneLineAMinute) for each in accepting.filters):
        accepting.addFilter(_OneLineAMinute())


def _listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Accepted sockets inherit its TCP_USER_TIMEOUT: the kernel drops a peer that stops reading.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TCP_USER_TIMEOUT_MS)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _hypercorn_config(config: ServerConfig, guard: Guard) -> GuardedConfig:
    settings = GuardedConfig()
    settings.guard = guard
    settings.backlog = _BACKLOG
    settings.include_server_header = False
    settings.accesslog = None
    settings.errorlog = log
    settings.keep_alive_timeout = config.limits.keep_alive_s
    settings.graceful_timeout = config.limits.drain_s + 0.5
    settings.shutdown_timeout = 1.0
    settings.startup_timeout = 10.0
    settings.ssl_handshake_timeout = 5.0
    settings.alpn_protocols = ["http/1.1"]
    if config.certfile is not None and config.keyfile is not None:
        settings.certfile = str(config.certfile)
        settings.keyfile = str(config.keyfile)
    return settings


def _url(host: str, port: int, *, is_tls: bool) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if is_tls else 'http'}://{shown}:{port}"
