"""``rexalgo serve``: run the engine and the web until SIGTERM or Ctrl-C."""

import os
from pathlib import Path

import click
import trio

from engine.settings.config import Config
from rexalgo.cli.common import emit_json, json_option, read_config
from rexalgo.cli.logs import secrets_of, start_logging
from rexalgo.cli.process import keep_memory_private, run_trio, wait_for_signal
from rexalgo.cli.service_manager import ServiceManager
from rexalgo.cli.serving import refuse_exposure, serving, trusts_here, tunnel_hint, with_port


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Port to listen on instead of the configured one; 0 takes a free one.",
)
@json_option
@click.pass_obj
def serve(where: Path, port: int | None, as_json: bool) -> None:
    """Run RexAlgo until SIGTERM or Ctrl-C.

    Refuses an address beyond this machine without TLS or a declared trusted proxy, and a folder
    that another process uses. Stops within 10 s: it sends no new order, and waits for answers; an
    order without an answer is looked up at the next start.
    """
    config = with_port(read_config(where), port)
    refuse_exposure(config)
    keep_memory_private()  # first: the log file is private too
    start_logging(config.log, secrets_of(config))
    run_trio(lambda: _serve(config, as_json))


async def _serve(config: Config, as_json: bool) -> None:
    async with serving(config, "rexalgo serve") as served:
        if as_json:
            emit_json(
                {"url": served.url, "page_url": served.page_url, "data": str(config.data_dir)}
            )
        else:
            _greet(config, served.url, served.page_url)
        manager = ServiceManager.of(os.environ)
        async with trio.open_nursery() as nursery:
            manager.tell("READY=1", f"STATUS=serves at {served.url}")
            nursery.start_soon(manager.beat, served.engine.monitor.is_alive)
            await wait_for_signal()
            manager.tell("STOPPING=1")
            nursery.cancel_scope.cancel()
        click.echo("stopping: no new orders; waiting for outstanding answers", err=True)


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
