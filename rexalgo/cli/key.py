"""``rexalgo key``: the root keys under which every secret of this place lies; a new one while
everything runs.
"""

import sys
from pathlib import Path
from typing import Any

import click

from engine.commands.keys import words_of
from engine.keys.vault import new_root_key
from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option


@click.group()
def key() -> None:
    """Show root keys, rotate them while everything runs, remove old ones. No command shows a key of
    this place.
    """


@key.command()
@json_option
@click.pass_obj
def status(where: Path, as_json: bool) -> None:
    """Show which root keys there are, what needs each of them, and where a rewrap stands."""
    told = ask(where, "key_status")
    if as_json:
        emit_json(told)
        return
    click.echo(f"root keys in {told['place']}")
    for each in told["keys"]:
        lies = "" if each["lies_there"] or each["state"] == "removed" else ", not there"
        since = f", since {each['added'][:10]}" if each["added"] else ""
        click.echo(
            f"  {each['kid']}  {each['state']}{lies}{since}: "
            f"{words_of(each['under']) or 'nothing needs it'}"
        )
    if told["in_use"] not in (None, told["active"]):
        click.echo(
            f"the server still uses {told['in_use']}: rexalgo key rewrap lets it take over the "
            "keys that lie there now"
        )
    if told["left"]:
        click.echo(
            f"{told['left']} things lie under an older key than {told['active']}: rexalgo key "
            "rewrap"
        )
    elif told["rewrap"] is not None and told["rewrap"]["ended"] is None:
        click.echo(f"a rotation to {told['active']} is not finished: rexalgo key rewrap")
    elif told["rewrap"] is not None:
        click.echo(
            f"everything lies under {told['active']}; {told['rewrap']['moved']} were moved, until "
            f"{told['rewrap']['ended'][:19]}Z"
        )


@key.command()
@json_option
@click.pass_obj
def new(where: Path, as_json: bool) -> None:
    """Print a fresh root key, for a place whose keys are in the environment. It is not stored
    anywhere.
    """
    made = new_root_key()
    emit_json({"key": made}) if as_json else click.echo(made)


@key.command()
@json_option
@click.pass_obj
def rotate(where: Path, as_json: bool) -> None:
    """Make a new root key, make it the active one, and move everything under it; with the server
    running, or without one.

    Killed anywhere, it goes on where it was: run it again. The old key stays where the keys lie
    until it is removed.
    """
    told = ask(where, "key_rotate", by=who())
    if not as_json:
        _tell_made(told)
    done = _rewrap(where, as_json)
    if as_json:
        emit_json({**told, **done})
    elif told["made"] and told["old"]:
        click.echo(f"When no backup needs it: rexalgo key remove {told['old'][0]}")


def _tell_made(told: dict[str, Any]) -> None:
    if not told["made"]:
        click.echo(
            f"an earlier rotation to {told['active']} was not finished: going on with it, no "
            "further key is made"
        )
        return
    click.echo(f"root key {told['active']} is the active one from now on, in {told['place']}")
    click.echo(
        "  Copy that file to where you keep its copy, now: the copy you have does not open what "
        "is written from now on."
    )
    click.echo(
        f"  Backups made until now need the older key ({', '.join(told['old'])}): keep the copy "
        "you have beside them, or make a new backup"
        " (rexalgo backup) once this is through."
    )


@key.command()
@json_option
@click.pass_obj
def rewrap(where: Path, as_json: bool) -> None:
    """Move everything under the active root key, from where the last run ended; reads the keys
    again where they lie.
    """
    done = _rewrap(where, as_json)
    if as_json:
        emit_json(done)


def _rewrap(where: Path, as_json: bool) -> dict[str, Any]:
    """Ask for steps until nothing is left; ends with 1 where a whole round over everything that is
    left moved nothing more.
    """
    moved, left_before = 0, None
    while True:
        told = ask(where, "key_rewrap", by=who())
        moved += told["moved"]
        if told["done"]:
            if not as_json:
                click.echo(
                    f"{moved} moved under {told['active']}, and nothing is left under another key"
                )
            return {"active": told["active"], "moved": moved, "left": {}, "done": True}
        if told["is_through"] and told["left"] == left_before:
            words = "; ".join(
                f"under {kid} {words_of(counts)}" for kid, counts in told["left"].items()
            )
            raise CliError(
                f"{moved} moved, and what does not open stays: {words}. The log names each; their "
                "key must stay"
            )
        left_before = told["left"] if told["is_through"] else left_before


@key.command()
@click.argument("kid")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def remove(where: Path, kid: str, yes: bool, as_json: bool) -> None:
    """Erase the old root key KID where the keys lie. Refuses while anything needs it, and for the
    active one.

    Backups made before the rotation cannot be opened without it: keep a copy of the key for as long
    as you keep them.
    """
    if not yes:
        if not sys.stdin.isatty():
            raise CliError(
                "expected --yes: there is no terminal here to ask whether backups that need this "
                "key may be lost",
                Exit.USAGE,
            )
        if not click.confirm(
            f"Erase root key {kid}? Backups made before its rotation cannot be opened without it."
        ):
            raise CliError("nothing was changed", Exit.NO)
    told = ask(where, "key_remove", kid=kid, by=who())
    if as_json:
        emit_json(told)
    elif told["erased"]:
        click.echo(
            f"root key {kid} is erased from {told['place']}; backups made before its rotation "
            "need a copy of it"
        )
    else:
        click.echo(
            f"root key {kid} is disabled: take it out of ENCRYPTION_KEY in the {told['place']} "
            "yourself"
        )
