"""``rexalgo restore FILE`` restores a backup, ``rexalgo restore confirm`` allows orders again."""

from pathlib import Path

import click

from engine.actors.clock import SystemClock
from engine.control import FolderLock
from engine.keys.encrypted_files import read_private_key
from engine.recovery.restoring import restore as put_into_place
from engine.settings.files import make_folder
from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option, read_config
from rexalgo.cli.process import run_trio


@click.command()
@click.argument("what", metavar="FILE|confirm")
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The private key that opens an encrypted backup.",
)
@json_option
@click.pass_obj
def restore(where: Path, what: str, key: Path | None, as_json: bool) -> None:
    """Replace the ledger with the backup FILE, or confirm that orders may be sent again.

    Verifies FILE first, and keeps the former ledger. No server may be running. Afterwards RexAlgo
    sends no order of any kind: start the server, read `rexalgo reconcile --plan`, then run `rexalgo
    restore confirm`. (For a file named confirm, type ./confirm.)
    """
    if what == "confirm":
        if key is not None:
            raise CliError("--key opens a backup; restore confirm takes none", Exit.USAGE)
        _confirm(where, as_json)
    else:
        _restore(where, Path(what), key, as_json)


def _restore(where: Path, file: Path, key: Path | None, as_json: bool) -> None:
    config, now = read_config(where), SystemClock().now()
    private_key = None if key is None else read_private_key(key)
    make_folder(config.data_dir)
    with FolderLock(config.data_dir, "rexalgo restore", now):
        done = run_trio(lambda: put_into_place(config, file, now, private_key))
    if as_json:
        emit_json(
            {"restored": str(file), "former": None if done.former is None else str(done.former)}
        )
        return
    click.echo(f"{file} is the ledger now")
    if done.former is not None:
        click.echo(f"the former ledger is {done.former}")
    elif done.lone_log is not None:
        click.echo(f"there was no former ledger, only its log, kept as {done.lone_log}")
    else:
        click.echo("there was no former ledger")
    click.echo(
        "no order of any kind is sent until you confirm. Next: rexalgo serve, rexalgo reconcile "
        "--plan, rexalgo restore confirm"
    )


def _confirm(where: Path, as_json: bool) -> None:
    answer = ask(where, "restore_confirm", by=who())
    if as_json:
        emit_json(answer)
        return
    click.echo(f"confirmed: {answer['confirmed']} account(s) send orders again")
    if answer["entries_ended"]:
        click.echo(f"{answer['entries_ended']} entries that arrived meanwhile ended unsent")
    for name, cause in answer["still"].items():
        click.echo(f"{name} stays frozen: {cause}")
