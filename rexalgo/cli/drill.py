"""``rexalgo drill [NAME]``: rehearse an incident with the real server and a simulated exchange."""

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
    """Rehearse the incident NAME; without NAME, list the incidents.

    A drill runs a real server against a SIMULATED exchange that fails on purpose, in a temporary
    folder. The result is checked against the exchange's own record. Ends with 0 when every check
    passes, else with 1.
    """
    from rexalgo.drills.plays import PLAYS, Held
    from rexalgo.drills.stage import DrillFailed, staged

    if name is None:
        if as_json:
            emit_json({"drills": {drill_name: play.about for drill_name, play in PLAYS.items()}})
        else:
            for drill_name, play in PLAYS.items():
                click.echo(f"{drill_name:<14} {play.about}")
        return
    if name not in PLAYS:
        raise CliError(f"expected one of {', '.join(PLAYS)}, found {name!r}", Exit.USAGE)
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {text}", err=as_json)

    say(f"SIMULATED drill {name}: {PLAYS[name].about}")
    problem, checks = "", list[Held]()
    with tempfile.TemporaryDirectory(prefix="rexalgo-drill-") as folder:
        try:
            with staged(Path(folder), followers, seed, say) as stage:
                checks = PLAYS[name].run(stage)
        except DrillFailed as error:
            problem = str(error)
    passed = not problem and all(each.held for each in checks)
    for each in checks:
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
                "held": [asdict(each) for each in checks],
            }
        )
    if not passed:
        raise SystemExit(int(Exit.NO))
