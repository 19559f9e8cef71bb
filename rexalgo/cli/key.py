"""``rexalgo key``: the root keys that encrypt every secret, the keys that sign sessions, and their
rotation without downtime.
"""

import sys
from pathlib import Path
from typing import Any

import click

from engine.commands.keys import words_of
from engine.keys.encrypted_files import new_key_pair
from engine.keys.vault import new_root_key
from engine.settings.files import create_file
from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option
from rexalgo.cli.leaked import leaked
from rexalgo.cli.rewrapping import rewrap_all


@click.group()
def key() -> None:
    """Show, rotate and remove root and session keys without downtime. No command shows a key in use."""


@key.command()
@json_option
@click.pass_obj
def status(where: Path, as_json: bool) -> None:
    """Show every root key, what it encrypts, and the progress of a rewrap."""
    answer = ask(where, "key_status")
    if as_json:
        emit_json(answer)
        return
    click.echo(f"root keys in {answer['place']}")
    for row in answer["keys"]:
        missing = "" if row["lies_there"] or row["state"] == "removed" else ", missing"
        since = f", since {row['added'][:10]}" if row["added"] else ""
        click.echo(
            f"  {row['kid']}  {row['state']}{missing}{since}: "
            f"{words_of(row['under']) or 'nothing needs it'}"
        )
    lost = [each["kid"] for each in answer["keys"] if _is_lost(each)]
    if lost:
        click.echo(
            f"{', '.join(lost)} is missing and still needed: put back the copy of .env that you keep "
            "elsewhere, or add the key behind the others"
        )
    elif answer["in_use"] not in (None, answer["active"]):
        click.echo(
            f"the server still uses {answer['in_use']}; rexalgo key rewrap makes it read the keys "
            "again"
        )
    _print_sessions(answer["sessions"])
    if answer["left"] and lost:
        click.echo(f"{answer['left']} secrets are under another key than {answer['active']}")
    elif answer["left"]:
        click.echo(
            f"{answer['left']} secrets are still under a key older than {answer['active']}: "
            "rexalgo key rewrap"
        )
    elif answer["rewrap"] is not None and answer["rewrap"]["ended"] is None:
        click.echo(f"the rotation to {answer['active']} is not finished: rexalgo key rewrap")
    elif answer["rewrap"] is not None:
        click.echo(
            f"every secret is under {answer['active']}; the last rewrap moved "
            f"{answer['rewrap']['moved']} and ended at {answer['rewrap']['ended'][:19]}Z"
        )


def _is_lost(row: dict[str, Any]) -> bool:
    return row["state"] == "old" and not row["lies_there"]


def _print_sessions(sessions: dict[str, Any]) -> None:
    if not sessions["place"]:
        click.echo("session keys: none is stored (JWT_SECRET), so a restart signs everybody out")
        return
    click.echo(f"session keys in {sessions['place']}")
    for row in sessions["keys"]:
        since = f", since {row['added'][:10]}" if row["added"] else ""
        needs = "nothing needs it"
        if row["state"] == "active":
            needs = "signs new sessions"
        elif sessions["sessions"]:
            needs = f"{sessions['sessions']} sessions, until {sessions['until'][:16]}Z"
        click.echo(f"  {row['kid']}  {row['state']}{since}: {needs}")


@key.command()
@json_option
@click.pass_obj
def new(where: Path, as_json: bool) -> None:
    """Print a new root key, and store nothing.

    It is for an installation with its keys in the environment. An installation with its keys in
    .env uses `rexalgo key rotate` instead.
    """
    new_key = new_root_key()
    emit_json({"key": new_key}) if as_json else click.echo(new_key)


@key.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def backup(file: Path, as_json: bool) -> None:
    """Create a key pair for encrypted backups: the private key in FILE, the public key on stdout.

    Write the public key into rexalgo.toml as backup.public_key, and take FILE away from this
    machine: only restoring needs it. Never overwrites.
    """
    private, public = new_key_pair()
    try:
        create_file(file.absolute(), private, 0o600)
    except FileExistsError:
        raise CliError(
            f"{file} already exists; nothing was written. Choose another name", Exit.REFUSED
        ) from None
    except OSError as error:
        raise CliError(
            f"expected a file that can be written, found {file}: {error.strerror}", Exit.USAGE
        ) from None
    if as_json:
        emit_json({"public_key": public, "private_key_file": str(file)})
        return
    click.echo(f'[backup]\npublic_key = "{public}"')
    click.echo(
        f"Put these lines into rexalgo.toml, restart the server, and take {file} away from this "
        "machine: without it no encrypted backup opens.",
        err=True,
    )


@key.command()
@click.argument("kind", type=click.Choice(["root", "jwt"]), default="root")
@json_option
@click.pass_obj
def rotate(where: Path, kind: str, as_json: bool) -> None:
    """Create a new root key and move every secret under it; with jwt, a new key for sessions.

    Works with or without a running server. If the command is killed, run it again: it continues
    where it stopped. The old key stays until you remove it, so nobody is signed out.
    """
    if kind == "jwt":
        _rotate_sessions(where, as_json)
        return
    answer = ask(where, "key_rotate", by=who())
    if not as_json:
        _print_made(answer)
    done = rewrap_all(where)
    if not as_json:
        _print_rewrapped(done)
    if as_json:
        emit_json({**answer, **done})
    elif answer["made"] and answer["old"]:
        click.echo(f"When no backup needs it: rexalgo key remove {answer['old'][0]}")


def _rotate_sessions(where: Path, as_json: bool) -> None:
    answer = ask(where, "session_key_rotate", by=who())
    if as_json:
        emit_json(answer)
        return
    (old,) = answer["old"]
    click.echo(
        f"session key {answer['active']} in {answer['place']} signs from now on; {old} still reads, "
        "and nobody is signed out"
    )
    click.echo(f"  Copy that file to your safe place now. In 7 days: rexalgo key remove {old}")


def _print_made(answer: dict[str, Any]) -> None:
    if not answer["made"]:
        click.echo(
            f"the rotation to {answer['active']} was not finished: continuing it; no new key is "
            "created"
        )
        return
    click.echo(f"root key {answer['active']} in {answer['place']} is now the active one")
    click.echo(
        "  Copy that file to your safe place now: your old copy cannot open what is written from "
        "now on."
    )
    click.echo(
        f"  Existing backups need the older key ({', '.join(answer['old'])}): keep your old copy "
        "with them, or make a new backup (rexalgo backup) when this is done."
    )


@key.command()
@json_option
@click.pass_obj
def rewrap(where: Path, as_json: bool) -> None:
    """Move every secret under the active root key.

    Reads the keys again first, and continues where the last run ended.
    """
    done = rewrap_all(where)
    emit_json(done) if as_json else _print_rewrapped(done)


def _print_rewrapped(done: dict[str, Any]) -> None:
    click.echo(f"{done['moved']} moved under {done['active']}; nothing is left under another key")


@key.command()
@click.argument("kid")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def remove(where: Path, kid: str, yes: bool, as_json: bool) -> None:
    """Erase the old key KID from its file. Refuses for the active key, and while anything needs KID.

    Backups made before the rotation of a root key cannot be opened without it: keep a copy of the
    key as long as you keep them. A session key is needed until the sessions of before have ended.
    """
    sessions = ask(where, "key_status")["sessions"]
    if kid in [each["kid"] for each in sessions["keys"]]:
        answer = ask(where, "session_key_remove", kid=kid, by=who())
        emit_json(answer) if as_json else click.echo(
            f"session key {kid} is erased from {sessions['place']}"
        )
        return
    if not yes:
        if not sys.stdin.isatty():
            raise CliError(
                "expected --yes: there is no terminal to ask whether backups that need this key "
                "may be lost",
                Exit.USAGE,
            )
        if not click.confirm(
            f"Erase root key {kid}? Backups made before its rotation cannot be opened without it."
        ):
            raise CliError("nothing was changed", Exit.NO)
    answer = ask(where, "key_remove", kid=kid, by=who())
    if as_json:
        emit_json(answer)
    elif answer["erased"]:
        click.echo(
            f"root key {kid} is erased from {answer['place']}; backups made before its rotation "
            "need a copy of it"
        )
    else:
        click.echo(
            f"root key {kid} is disabled: remove it from ENCRYPTION_KEY in the {answer['place']} "
            "yourself"
        )


key.add_command(leaked)
