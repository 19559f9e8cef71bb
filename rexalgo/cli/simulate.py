"""``rexalgo simulate mudrex``: an exchange to practise against, in a process of its own. SIMULATED:
no real money, no real prices.
"""

from functools import partial
from pathlib import Path

import click
import trio

from rexalgo.cli.common import CliError, Exit, emit_json, json_option
from rexalgo.cli.serving import run_trio, wait_for_signal


@click.group()
def simulate() -> None:
    """Run a simulated exchange to practise against."""


@simulate.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="Port on this machine. Default: a free one.",
)
@click.option(
    "--latency-ms",
    type=click.IntRange(0, 60_000),
    default=20,
    show_default=True,
    help="How long each answer takes.",
)
@click.option(
    "--fill-ms",
    type=click.IntRange(200, 600_000),
    default=800,
    show_default=True,
    help="Orders fill 200 ms to so long after their acceptance.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Seed of fill times and ids.",
)
@click.option(
    "--per-second",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="Requests per key and second; 0: no limit.",
)
@click.option(
    "--accounts",
    type=click.IntRange(0, 100_000),
    default=0,
    help="Make accounts with the keys sim-0001, sim-0002 and so on.",
)
@click.option(
    "--faults",
    help=(
        "What goes wrong: calm, lossy, storm, slow, hostile, unrecorded, or a TOML or JSON file "
        "of that form."
    ),
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that gets every accepted order, one JSON per line; a later start goes on from it.",
)
@json_option
def mudrex(
    port: int,
    latency_ms: int,
    fill_ms: int,
    seed: int,
    per_second: int,
    accounts: int,
    faults: str | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Answer like Mudrex, on this machine only, until Ctrl-C. Any key of three characters or more
    is an account with 10,000 USDT.
    """

    async def serve_until_signal() -> None:
        from plugins.mudrex.simulator.faults import Drill, read_drill
        from plugins.mudrex.simulator.server import serve
        from plugins.mudrex.simulator.simulated import KEYS, Simulator

        try:
            drill = Drill() if faults is None else read_drill(faults)
            fill_s = (0.2, fill_ms / 1000)
            simulator = Simulator(
                state,
                seed,
                latency_ms / 1000,
                per_second,
                accounts=accounts,
                drill=drill,
                fill_s=fill_s,
            )
        except ValueError as error:
            raise CliError(str(error), Exit.USAGE) from None
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(partial(serve, simulator, port))
            url = f"http://127.0.0.1:{bound}/fapi"
            if as_json:
                emit_json(
                    {
                        "base_url": url,
                        "control": f"http://127.0.0.1:{bound}/__control",
                        "environment": "simulated",
                        "accounts": accounts,
                        "keys": KEYS.format(1) + " ..." if accounts else "",
                        "faults": faults or "",
                    }
                )
            else:
                click.echo(
                    f"SIMULATED Mudrex at {url}: no real money\n  in rexalgo.toml:  "
                    f'[plugin.mudrex]\n                    base_url = "{url}"'
                )
                if accounts:
                    click.echo(f"  accounts: {KEYS.format(1)} to {KEYS.format(accounts)}")
                if faults:
                    click.echo(f"  faults: {faults}")
                click.echo(
                    f"  what it accepted: http://127.0.0.1:{bound}/__control/orders   stop: Ctrl-C"
                )
            await wait_for_signal()
            nursery.cancel_scope.cancel()

    run_trio(serve_until_signal)
