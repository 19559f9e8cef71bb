"""``rexalgo provision FILE``: declare masters, strategies and followers; safe to run again."""

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
    """Name the first few, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@click.pass_obj
def provision(where: Path, file: Path, as_json: bool) -> None:
    """Declare masters, strategies and followers from a TOML file, with the server running or not.

    All or nothing, and nothing is deleted. Run it again after editing the file: what the file
    changed is changed here, what a person changed here since is left alone and printed. A webhook
    secret is shown once, in the run that makes it. What is absurd about leverage, sizes and limits
    is printed as a warning; it stops nothing.
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
            f"left alone: {each['what']}: {each['field']} was changed here since: {each['here']}; "
            f"the file says {each['file']}"
        )
    for each in answer["strategies"]:
        if each["webhook_url"] is None:
            continue
        click.echo(f"\nstrategy {each['name']}\n  webhook  {each['webhook_url']}")
        if each["secret"]:
            click.echo(
                f"  secret   {each['secret']}\n  Keep the secret now: it is not shown again."
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
            f"not compared with the money of {named(unread)}: not read yet; with the server "
            f"running: rexalgo account check {unread[0]}"
        )
