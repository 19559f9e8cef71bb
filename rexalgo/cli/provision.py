"""``rexalgo provision FILE``: declare masters, strategies and followers; safe to repeat."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from engine.provisioning import resolve_secrets
from engine.settings.secrets import read_env_file
from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, config_file, emit_json, json_option

WARNINGS_SHOWN: Final = 20


def named(names: Sequence[str]) -> str:
    """Return the first three names and the number of further ones."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@click.pass_obj
def provision(where: Path, file: Path, as_json: bool) -> None:
    """Declare masters, strategies and followers from a TOML file, with or without a running server.

    Applies the whole file or nothing, and deletes nothing. Run it again after you edit the file: it
    applies the changes of the file, and leaves alone and prints what a person changed here
    meanwhile. A webhook secret is shown only in the run that creates it. Unreasonable leverage,
    sizes and limits are printed as warnings; they stop nothing.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CliError(
            f"{file}: expected valid TOML in UTF-8, found: {error}", Exit.USAGE
        ) from None
    env_file = config_file(where).parent / ".env"
    environ = {**(read_env_file(env_file) if env_file.exists() else {}), **os.environ}
    resolved = resolve_secrets(table, environ, file.parent.absolute(), str(file))
    answer = ask(where, "provision", table=resolved, file=str(file), by=who())
    if as_json:
        emit_json(answer)
        return
    _print(answer)


def _print(answer: dict[str, Any]) -> None:
    made = ", ".join(
        f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in answer["created"].items()
    )
    made = made.replace("strategys", "strategies")
    click.echo(f"created: {made or 'nothing new'}")
    for each in answer["updated"]:
        click.echo(f"updated: {each}")
    for each in answer["differences"]:
        click.echo(
            f"left alone: {each['what']}: {each['field']} was changed here to {each['here']}; "
            f"the file says {each['file']}"
        )
    for each in answer["strategies"]:
        if each["webhook_url"] is None:
            continue
        click.echo(f"\nstrategy {each['name']}\n  webhook  {each['webhook_url']}")
        if each["secret"]:
            click.echo(
                f"  secret   {each['secret']}\n  Store the secret now: it is not shown again."
            )
    for each in answer["warnings"][:WARNINGS_SHOWN]:
        whose = f"{named(each['followers'])}: " if each["followers"] else ""
        click.echo(f"warning: {whose}{each['what']}: {each['field']}: {each['sentence']}")
    if len(answer["warnings"]) > WARNINGS_SHOWN:
        click.echo(
            f"warning: {len(answer['warnings']) - WARNINGS_SHOWN} more; --json shows them all"
        )
    if unread := answer["not_read"]:
        click.echo(
            f"not compared with the balance of {named(unread)}: not read yet; start the server and "
            f"run: rexalgo account check {unread[0]}"
        )
