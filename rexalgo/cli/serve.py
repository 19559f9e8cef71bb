"""``rexalgo serve``: run the engine and the web until SIGTERM or Ctrl-C."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import click
import trio

from engine.ledger.migrating import on_progress
from engine.settings.config import Config
from rexalgo.cli.common import emit_json, json_option, read_config
from rexalgo.cli.logs import secrets_of, start_logging
from rexalgo.cli.process import keep_memory_private, run_trio, wait_for_signal
from rexalgo.cli.service_manager import ServiceManager
from rexalgo.cli.serving import (
    refuse_exposure,
    serving,
    serving_engine,
    serving_web,
    trusts_here,
    tunnel_hint,
    with_port,
)


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Port to listen on instead of the configured one; 0 takes a free one.",
)
@click.option(
    "--role",
    type=click.Choice(["web", "engine"]),
    help="Run only this part; the other one is a second process on the same folder. Without it, "
    "one process does everything.",
)
@json_option
@click.pass_obj
def serve(where: Path, port: int | None, role: str | None, as_json: bool) -> None:
    """Run RexAlgo until SIGTERM or Ctrl-C.

    Refuses an address beyond this machine without TLS or a declared trusted proxy, and a folder
    that another process uses. Stops within 10 s: it sends no new order, and waits for answers; an
    order without an answer is looked up at the next start.

    Two processes keep pages and webhooks quick while a signal goes out to many followers: one with
    --role engine, which writes the ledger and holds the keys, and one with --role web. Either may
    start first, and may restart alone. While the engine is away, webhooks are answered 503 and sent
    again by their senders.
    """
    config = with_port(read_config(where), port)
    if role != "engine":
        refuse_exposure(config)
    keep_memory_private()  # first: the log file is private too
    start_logging(config.log, secrets_of(config))
    manager = ServiceManager.of(os.environ)
    on_progress.set(manager.goes_on)
    run_trio(lambda: _SERVE[role](config, as_json, manager))


async def _serve(config: Config, as_json: bool, manager: ServiceManager) -> None:
    async with serving(config, "rexalgo serve") as served:
        if as_json:
            emit_json(
                {"url": served.url, "page_url": served.page_url, "data": str(config.data_dir)}
            )
        else:
            _greet(config, served.url, served.page_url)
        await _until_signal(manager, f"serves at {served.url}", served.engine.monitor.is_alive)
        click.echo(_STOPPING, err=True)


async def _serve_web(config: Config, as_json: bool, manager: ServiceManager) -> None:
    async with serving_web(config) as (url, monitor):
        if as_json:
            emit_json({"url": url, "data": str(config.data_dir), "role": "web"})
        else:
            click.echo(f"RexAlgo serves at {url}, and asks the engine of {config.data_dir}")
        await _until_signal(manager, f"serves at {url}", monitor.is_alive)


async def _serve_engine(config: Config, as_json: bool, manager: ServiceManager) -> None:
    async with serving_engine(config) as engine:
        if as_json:
            emit_json({"data": str(config.data_dir), "role": "engine"})
        else:
            click.echo(
                f"RexAlgo's engine runs in {config.data_dir}; rexalgo serve --role web shows it"
            )
        await _until_signal(manager, "the engine runs", engine.monitor.is_alive)
        click.echo(_STOPPING, err=True)


async def _until_signal(
    manager: ServiceManager, status: str, is_alive: Callable[[], Awaitable[bool]]
) -> None:
    """Notify the service manager that this process is ready and works, until SIGTERM or Ctrl-C."""
    async with trio.open_nursery() as nursery:
        manager.ready(status)
        nursery.start_soon(manager.beat, is_alive)
        await wait_for_signal()
        manager.tell("STOPPING=1")
        nursery.cancel_scope.cancel()


_STOPPING: Final = "stopping: no new orders; waiting for outstanding answers"
_SERVE: Final = {None: _serve, "web": _serve_web, "engine": _serve_engine}


def _greet(config: Config, url: str, page_url: str) -> None:
    has_live_page = config.web.live_page and trusts_here(config)
    click.echo(f"RexAlgo serves at {url}" + (f"  (live page: {page_url})" if has_live_page else ""))
    hint = tunnel_hint(url)
    if hint is not None and has_live_page:
        click.echo(f"  to open the page on another machine: {hint}")
    click.echo(
        f"  data: {config.data_dir}   stop: Ctrl-C   stop all new entries: rexalgo halt entries "
        "--all --note WHY"
    )
