"""Run engine and web: in one process, or each in its own. Only this module wires the two together."""

import logging
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlsplit

import trio
from quart_trio import QuartTrio

from engine.monitor import Monitor
from engine.ports.secret import Secret, read_secret_file
from engine.run import Engine, run_engine
from engine.settings.config import Config, check_exposure
from engine.web_role import run_web
from rexalgo.cli.common import CliError, Exit
from rexalgo.cli.process import collect_rarely, files_max, settle_memory
from web.app import create_app
from web.connections import ConnectionLimits
from web.server import Bound, ServerConfig, serve_web
from web.settings import WebSettings

log = logging.getLogger("rexalgo")


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: the engine, and the address that people open."""

    engine: Engine
    url: str

    @property
    def page_url(self) -> str:
        """Return the address of the live page of outcomes."""
        return f"{self.url}/live"


def with_port(config: Config, port: int | None) -> Config:
    """Return the configuration with this port. Port 0 becomes a free port now, so that every
    message names the same address.
    """
    chosen = config.web.port if port is None else port
    if chosen == 0:
        family = socket.AF_INET6 if ":" in config.web.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((config.web.host, 0))
            chosen = probe.getsockname()[1]
    return replace(config, web=replace(config.web, port=chosen))


def refuse_exposure(config: Config) -> None:
    """Raise CliError if this configuration would expose sessions and keys to the network."""
    reasons = check_exposure(config)
    if reasons:
        raise CliError("\n".join(reasons), Exit.USAGE)


def trusts_here(config: Config) -> bool:
    """Return whether a request from this machine comes from a person on it.

    It does not if ``public_url`` names another host: then a proxy forwards strangers.
    """
    host = urlsplit(config.web.public_url).hostname or "localhost"
    return (
        host == "localhost"
        or host == "::1"
        or re.fullmatch(r"127(\.[0-9]{1,3}){3}", host) is not None
    )


@asynccontextmanager
async def serving(
    config: Config, what: str, demo_people: tuple[tuple[str, str], ...] = ()
) -> AsyncIterator[Served]:
    """Serve while the block runs. At its end the engine stops claiming, the web drains, and the
    engine ends within 8.5 s.

    ``demo_people`` are the users that anybody on this machine may be without signing in; only
    ``rexalgo demo`` passes them.
    """
    collect_rarely()
    settings = _web_settings(config, demo_people)
    async with (
        run_engine(config, what=what) as engine,
        _web(config, create_app(engine, settings), engine.monitor) as url,
    ):
        try:
            yield Served(engine, url)
        finally:
            engine.stop_claiming()


@asynccontextmanager
async def serving_web(config: Config) -> AsyncIterator[tuple[str, Monitor]]:
    """Serve the web alone while the block runs, beside an engine of its own; yield the address that
    people open, and what tells whether it works.
    """
    collect_rarely()
    async with run_web(config) as role:
        app = create_app(role, _web_settings(config, ()), why_waiting=role.why_waiting)
        async with _web(config, app, role.monitor) as url:
            yield url, role.monitor


@asynccontextmanager
async def serving_engine(config: Config) -> AsyncIterator[Engine]:
    """Run the engine alone while the block runs, for a web process of its own."""
    stop = trio.Event()
    collect_rarely()
    what = "rexalgo serve --role engine"
    async with (
        run_engine(config, what=what, beside_web=True) as engine,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(settle_memory, engine.monitor.readiness, stop)
        try:
            yield engine
        finally:
            engine.stop_claiming()
            stop.set()


def _web_settings(config: Config, demo_people: tuple[tuple[str, str], ...]) -> WebSettings:
    web = config.web
    return WebSettings(
        https=web.tls_certificate is not None or web.public_url.startswith("https://"),
        trusts_here=trusts_here(config),
        live_page=web.live_page,
        trusted_proxies=web.trusted_proxies,
        demo_people=demo_people,
        metrics_token=_metrics_token(config),
    )


@asynccontextmanager
async def _web(config: Config, app: QuartTrio, monitor: Monitor) -> AsyncIterator[str]:
    """Serve an app while the block runs; yield its address. At the end it drains."""
    web, stop = config.web, trio.Event()
    # behind a proxy all connections share its address, so that address has no cap
    files = files_max()
    limits = ConnectionLimits(uncapped=web.trusted_proxies).fitting(files)
    if few := few_files(files):
        log.warning("this process %s", few)
    server = ServerConfig(
        host=web.host,
        port=web.port,
        certfile=web.tls_certificate,
        keyfile=web.tls_key,
        https=web.tls_certificate is not None or web.public_url.startswith("https://"),
        limits=limits,
    )
    async with trio.open_nursery() as nursery:
        try:
            bound: Bound = await nursery.start(
                partial(serve_web, app, server, shutdown_trigger=stop.wait)
            )
        except OSError as error:
            raise CliError(
                f"web: expected a free address, found {web.host}:{web.port} ({error.strerror}); "
                "choose another with --port"
            ) from error
        nursery.start_soon(settle_memory, monitor.readiness, stop)
        try:
            yield bound.url
        finally:
            stop.set()


def few_files(files: int) -> str:
    """Return what it means that a process may open only so many files; empty if they are enough."""
    all_of_them = ConnectionLimits()
    taken = all_of_them.fitting(files).connections_max
    if taken == all_of_them.connections_max:
        return ""
    return (
        f"may open only {files} files, so it takes at most {taken} connections at once; "
        f"all {all_of_them.connections_max} need {2 * all_of_them.connections_max}"
    )


def _metrics_token(config: Config) -> Secret | None:
    file = config.metrics.token_file
    return None if file is None else read_secret_file(str(file), "metrics.token_file")


def tunnel_hint(url: str) -> str | None:
    """Return the ssh command that forwards the page to another machine, or None if this one seems
    to have a screen.
    """
    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return None
    port = url.rstrip("/").rpartition(":")[2]
    host = "[::1]" if "//[::1]:" in url else "127.0.0.1"
    return f"ssh -L {port}:{host}:{port} {os.environ.get('USER', 'you')}@{socket.gethostname()}"
