"""``rexalgo restore FILE`` puts a backup into place, ``rexalgo restore confirm`` lets orders out
again.
"""

from pathlib import Path

import click

from engine.actors.clock import SystemClock
from engine.control import FolderLock
from engine.recovery.restoring import restore as put_into_place
from engine.settings.files import make_folder
from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import emit_json, json_option, read_config
from rexalgo.cli.serving import run_trio


@click.command()
@click.argument("what", metavar="FILE|confirm")
@json_option
@click.pass_obj
def restore(where: Path, what: str, as_json: bool) -> None:
    """Put the backup FILE into the place of the ledger, or confirm that orders may be sent from it.

    FILE is verified first, and the former ledger is kept. No server may run. The place then stands
    still, no order of any kind leaves: start it, read `rexalgo reconcile --plan`, and run `rexalgo
    restore confirm`. (A backup called confirm: ./confirm.)
    """
    if what == "confirm":
        _confirm(where, as_json)
    else:
        _restore(where, Path(what), as_json)


def _restore(where: Path, file: Path, as_json: bool) -> None:
    config, now = read_config(where), SystemClock().now()
    make_folder(config.data_dir)
    with FolderLock(config.data_dir, "rexalgo restore", now):
        done = run_trio(lambda: put_into_place(config, file, now))
    if as_json:
        emit_json(
            {"restored": str(file), "former": None if done.former is None else str(done.former)}
        )
        return
    lone = "" if done.lone_log is None else f", but for its log, kept as {done.lone_log}"
    click.echo(
        f"{file} is the ledger now; the former one is "
        f"{done.former or f'nowhere: there was none{lone}'}"
    )
    click.echo(
        "no order of any kind leaves until you say so. Next: rexalgo serve, rexalgo reconcile "
        "--plan, rexalgo restore confirm"
    )


def _confirm(where: Path, as_json: bool) -> None:
    told = ask(where, "restore_confirm", by=who())
    if as_json:
        emit_json(told)
        return
    click.echo(f"confirmed: orders of {told['confirmed']} account(s) leave again")
    if told["entries_ended"]:
        click.echo(f"{told['entries_ended']} entries that came meanwhile were ended unsent")
    for name, cause in told["still"].items():
        click.echo(f"{name} stays frozen: {cause}")
