"""``rexalgo simulate mudrex``: a simulated exchange for practice: no real money, no real prices."""

from functools import partial
from pathlib import Path

import click
import trio

from rexalgo.cli.common import CliError, Exit, emit_json, json_option
from rexalgo.cli.process import run_trio, wait_for_signal


@click.group()
def simulate() -> None:
    """Run a simulated exchange for practice."""


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
    help="The longest time from acceptance to fill; the shortest is 200 ms.",
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
    help="Requests per second and key; 0: no limit.",
)
@click.option(
    "--accounts",
    type=click.IntRange(0, 100_000),
    default=0,
    help="Create this many accounts, with the keys sim-0001, sim-0002 and so on.",
)
@click.option(
    "--faults",
    help=(
        "Faults to inject: calm, lossy, storm, slow, hostile, unrecorded, or a TOML or JSON file "
        "of rules."
    ),
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File for accepted orders, one JSON value per line; a later start continues from it.",
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
    """Answer like Mudrex, on this machine only, until Ctrl-C. Every key of at least three
    characters opens an account with 10,000 USDT.
    """
    from plugins.mudrex.simulator.faults import Drill, read_drill
    from plugins.mudrex.simulator.server import serve
    from plugins.mudrex.simulator.simulated import Simulator

    try:
        simulator = Simulator(
            state,
            seed,
            latency_ms / 1000,
            per_second,
            accounts=accounts,
            drill=Drill() if faults is None else read_drill(faults),
            fill_s=(0.2, fill_ms / 1000),
        )
    except ValueError as error:
        raise CliError(str(error), Exit.USAGE) from None

    async def serve_until_signal() -> None:
        async with trio.open_nursery() as nursery:
            bound = await nursery.start(partial(serve, simulator, port))
            _greet(f"http://127.0.0.1:{bound}", accounts, faults, as_json)
            await wait_for_signal()
            nursery.cancel_scope.cancel()

    run_trio(serve_until_signal)


def _greet(address: str, accounts: int, faults: str | None, as_json: bool) -> None:
    from plugins.mudrex.simulator.simulated import KEYS

    url = f"{address}/fapi"
    if as_json:
        emit_json(
            {
                "base_url": url,
                "control": f"{address}/__control",
                "environment": "simulated",
                "accounts": accounts,
                "keys": KEYS.format(1) + " ..." if accounts else "",
                "faults": faults or "",
            }
        )
        return
    click.echo(
        f"SIMULATED Mudrex at {url}: no real money\n  in rexalgo.toml:  "
        f'[plugin.mudrex]\n                    base_url = "{url}"\n'
        '                    [outgoing]\n                    internal = ["127.0.0.1"]'
    )
    if accounts:
        click.echo(f"  accounts: {KEYS.format(1)} to {KEYS.format(accounts)}")
    if faults:
        click.echo(f"  faults: {faults}")
    click.echo(f"  accepted orders: {address}/__control/orders   stop: Ctrl-C")
