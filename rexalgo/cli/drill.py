"""``rexalgo drill [NAME]``: rehearse an incident with the real server and the simulated exchange,
and learn whether it ends well.
"""

import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import click

from rexalgo.cli.common import CliError, Exit, emit_json, json_option


@click.command()
@click.argument("name", required=False)
@click.option(
    "--followers",
    type=click.IntRange(2, 200),
    default=12,
    show_default=True,
    help="How many simulated accounts take part.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the exchange."
)
@json_option
def drill(name: str | None, followers: int, seed: int, as_json: bool) -> None:
    """Rehearse an incident; without NAME, list what can be rehearsed.

    Everything is SIMULATED and in a temporary folder: a real server process, a simulated exchange
    that fails on purpose, signed signals. The exchange's own record judges. Ends with 0 when all
    that must hold held, else with 1.
    """
    from rexalgo.drills.plays import PLAYS, Held
    from rexalgo.drills.stage import DrillFailed, staged

    if name is None:
        if as_json:
            emit_json({"drills": {known: play.about for known, play in PLAYS.items()}})
        else:
            for known, play in PLAYS.items():
                click.echo(f"{known:<14} {play.about}")
        return
    if name not in PLAYS:
        raise CliError(f"expected one of {', '.join(PLAYS)}, found {name!r}", Exit.USAGE)
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {text}", err=as_json)

    say(f"SIMULATED drill {name}: {PLAYS[name].about}")
    problem, held = "", list[Held]()
    with tempfile.TemporaryDirectory(prefix="rexalgo-drill-") as folder:
        try:
            with staged(Path(folder), followers, seed, say) as stage:
                held = PLAYS[name].run(stage)
        except DrillFailed as error:
            problem = str(error)
    passed = not problem and all(each.held for each in held)
    for each in held:
        say(f"{'held  ' if each.held else 'BROKEN'}  {each.what}: {each.seen}")
    if problem:
        say(f"BROKEN  {problem}")
    say("PASS" if passed else "FAIL")
    if as_json:
        emit_json(
            {
                "drill": name,
                "environment": "simulated",
                "passed": passed,
                "problem": problem,
                "held": [asdict(each) for each in held],
            }
        )
    if not passed:
        raise SystemExit(int(Exit.NO))
