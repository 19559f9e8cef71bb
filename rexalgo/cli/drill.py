"""``rexalgo drill [NAME]``: rehearse an incident with the real server and a simulated exchange."""

import logging
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from rexalgo.cli.common import CliError, Exit, emit_json, json_option, read_config

RESTORE: Final = "restore"


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
@click.option(
    "--backup",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With restore: this backup instead of the newest one.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With restore: the private key that opens an encrypted backup.",
)
@json_option
@click.pass_obj
def drill(
    where: Path,
    name: str | None,
    followers: int,
    seed: int,
    file: Path | None,
    key: Path | None,
    as_json: bool,
) -> None:
    """Rehearse the incident NAME; without NAME, list the incidents.

    A drill runs a real server against a SIMULATED exchange that fails on purpose, in a temporary
    folder. The result is checked against the exchange's own record. The drill `restore` is about
    this installation: it restores the newest backup into a folder of its own, reads the real
    accounts, and sends nothing. Ends with 0 when every check passes, else with 1.
    """
    from rexalgo.drills.plays import PLAYS, Held
    from rexalgo.drills.restoring import ABOUT
    from rexalgo.drills.stage import DrillFailed, staged

    about = {drill_name: play.about for drill_name, play in PLAYS.items()} | {RESTORE: ABOUT}
    if name is None:
        if as_json:
            emit_json({"drills": about})
        else:
            for drill_name, words in about.items():
                click.echo(f"{drill_name:<14} {words}")
        return
    wrong = []
    if name not in about:
        wrong.append(f"expected one of {', '.join(about)}, found {name!r}")
    if name != RESTORE:
        wrong += [
            f"{option} belongs to rexalgo drill restore; leave it out"
            for option, given in (("--backup", file), ("--key", key))
            if given is not None
        ]
    if wrong:
        raise CliError("\n".join(wrong), Exit.USAGE)
    if name == RESTORE:
        _rehearse(where, file, key, as_json)
        return
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


def _rehearse(where: Path, file: Path | None, key: Path | None, as_json: bool) -> None:
    from engine.actors.clock import SystemClock
    from engine.keys.encrypted_files import read_private_key
    from rexalgo.cli.process import run_trio
    from rexalgo.drills.restoring import chosen_backup, rehearse

    logging.getLogger("rexalgo").addHandler(logging.NullHandler())  # its alerts are not for now
    config, now = read_config(where), SystemClock().now()
    backup = chosen_backup(config, file, now)
    private_key = None if key is None else read_private_key(key)
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - began:6.1f} s  {text}", err=as_json)

    checks = run_trio(lambda: rehearse(config, backup, private_key, now, say))
    passed = all(each.held for each in checks)
    for each in checks:
        say(f"{'held  ' if each.held else 'BROKEN'}  {each.what}: {each.seen}")
    say("PASS" if passed else "FAIL")
    if as_json:
        emit_json(
            {
                "drill": RESTORE,
                "backup": str(backup),
                "passed": passed,
                "held": [asdict(each) for each in checks],
            }
        )
    if not passed:
        raise SystemExit(int(Exit.NO))
