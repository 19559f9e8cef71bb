"""``rexalgo operator|user|invite|audit``: users, their roles, invitations, and the audit."""

import json
from pathlib import Path
from typing import Any

import click

from engine.settings.files import create_file
from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option

_qr_option = click.option(
    "--qr", is_flag=True, help="Also show the link as a QR code, for a phone."
)


@click.group()
def operator() -> None:
    """Create operators."""


@operator.command("create")
@click.argument("name")
@_qr_option
@json_option
@click.pass_obj
def operator_create(where: Path, name: str, qr: bool, as_json: bool) -> None:
    """Make NAME an operator and print a one-time link.

    The link is for setting a password and a second factor, and expires after 10 minutes.
    """
    _show_link(ask(where, "operator_create", name=name, by=who()), qr, as_json)


@click.group()
def user() -> None:
    """List users, give and remove roles, create one-time sign-in links."""


@user.command("list")
@json_option
@click.pass_obj
def user_list(where: Path, as_json: bool) -> None:
    """List all users with their roles, and the requests to become a master."""
    answer = ask(where, "users")
    if as_json:
        emit_json(answer)
        return
    width = max((len(each["name"]) for each in answer["users"]), default=4)
    for each in answer["users"]:
        factors = (
            "second factor"
            if each["second_factor"]
            else "password"
            if each["password"]
            else "no password yet"
        )
        click.echo(
            f"{each['name']:<{width}}  {', '.join(each['roles']) or 'no role'}  ({factors}, "
            f"{each['sessions']} sessions)"
        )
        if each["suspended"]:
            held = each["suspended"]
            click.echo(
                f"  suspended since {held['at'][:16]}Z by {held['by']}: {held['note'] or 'no note'}"
            )
    for each in answer["asked_to_be_master"]:
        click.echo(
            f"{each['name']} asks to become a master: {each['note']}\n  rexalgo user role "
            f"{each['name']} master"
        )
    if not answer["users"]:
        click.echo(
            "there is no user yet: rexalgo operator create NAME, rexalgo provision FILE, or "
            "rexalgo invite create"
        )


@user.command()
@click.argument("name")
@_qr_option
@json_option
@click.pass_obj
def link(where: Path, name: str, qr: bool, as_json: bool) -> None:
    """Print a one-time sign-in link for the existing user NAME. It expires after 10 minutes.

    Send it over a channel that only this user reads.
    """
    _show_link(ask(where, "user_link", name=name, by=who()), qr, as_json)


@user.command()
@click.argument("name")
@click.argument("role", type=click.Choice(["follower", "master", "operator"]))
@click.option("--take", is_flag=True, help="Remove the role instead.")
@json_option
@click.pass_obj
def role(where: Path, name: str, role: str, take: bool, as_json: bool) -> None:
    """Give user NAME a role, or remove one. All their sessions end.

    Without the role follower their accounts take no new entries, without the role master their
    strategies do not, and those that rest are cancelled; exits go on.
    """
    answer = ask(where, "user_role", name=name, role=role, take=take, by=who())
    if as_json:
        emit_json(answer)
        return
    changed = "now has" if answer["changed"] else "unchanged, has"
    click.echo(f"{answer['name']} {changed}: {', '.join(answer['roles']) or 'no role'}")
    kept = {"follower": "accounts", "master": "strategies"}.get(role, "")
    theirs = _theirs({"accounts": [], "strategies": [], kept: answer.get(kept, [])})
    if take and theirs and role not in answer["roles"]:
        click.echo(f"  No new entries for {theirs}, and those that rest are cancelled; exits go on")
        click.echo(f"  To end it: rexalgo user role {answer['name']} {role}")


@user.command("sign-out")
@click.argument("name")
@json_option
@click.pass_obj
def sign_out(where: Path, name: str, as_json: bool) -> None:
    """End every session of user NAME. They may sign in again."""
    answer = ask(where, "user_sign_out", name=name, by=who())
    if as_json:
        emit_json(answer)
        return
    click.echo(f"{answer['name']} is signed out: {answer['sessions_ended']} sessions ended")


@user.command()
@click.argument("name")
@click.option("--note", default="", help="Why; operators see it.")
@json_option
@click.pass_obj
def suspend(where: Path, name: str, note: str, as_json: bool) -> None:
    """Suspend user NAME: their sessions end, and sign-in is refused like any failure.

    Their accounts and strategies take no new entries, and those that rest are cancelled; exits go on.
    """
    answer = ask(where, "user_suspend", name=name, note=note, by=who())
    if as_json:
        emit_json(answer)
        return
    if not answer["changed"]:
        click.echo(f"{answer['name']} was suspended already; nothing was changed")
        return
    theirs = _theirs(answer)
    click.echo(
        f"{answer['name']} is suspended: {answer['sessions_ended']} sessions ended, no sign-in"
        + (
            f"; no new entries for {theirs}, and those that rest are cancelled; exits go on"
            if theirs
            else ""
        )
    )
    click.echo(f"  To end it: rexalgo user resume {answer['name']}")


@user.command()
@click.argument("name")
@json_option
@click.pass_obj
def resume(where: Path, name: str, as_json: bool) -> None:
    """End the suspension of user NAME. Switches that were set otherwise stay."""
    answer = ask(where, "user_resume", name=name, by=who())
    if as_json:
        emit_json(answer)
        return
    theirs = _theirs(answer)
    click.echo(
        f"{answer['name']} may sign in again"
        + (f"; entries are taken again for {theirs}" if theirs else "")
    )


@user.command("reset-factors")
@click.argument("name")
@json_option
@click.pass_obj
def reset_factors(where: Path, name: str, as_json: bool) -> None:
    """Remove the second factors of user NAME, who lost them: app and passkeys.

    Their sessions end. Their password alone signs them in; recovery codes stay. An operator sets
    up another one before anything else.
    """
    answer = ask(where, "user_reset_factors", name=name, by=who())
    if as_json:
        emit_json(answer)
        return
    removed = ["the authenticator app"] if answer["app"] else []
    if answer["passkeys"]:
        removed.append(f"{answer['passkeys']} passkey{'' if answer['passkeys'] == 1 else 's'}")
    click.echo(
        f"{answer['name']} has no second factor now: removed {' and '.join(removed) or 'none'}, "
        f"{answer['sessions_ended']} sessions ended"
    )
    click.echo(f"  If the password is lost too: rexalgo user link {answer['name']}")


def _theirs(answer: dict[str, Any]) -> str:
    """Return a person's accounts and strategies in words; empty without any."""
    parts = [
        f"{kind} {', '.join(answer[key])}"
        for kind, key in (("accounts", "accounts"), ("strategies", "strategies"))
        if answer[key]
    ]
    return " and ".join(parts)


def _show_link(answer: dict[str, object], qr: bool, as_json: bool) -> None:
    if as_json:
        emit_json(answer)
        return
    click.echo(
        f"one-time sign-in link for {answer['name']}, valid for {answer['holds_minutes']} "
        f"minutes:\n{answer['link']}"
    )
    _show_qr(answer, qr)


def _show_qr(answer: dict[str, object], qr: bool) -> None:
    if qr:
        from engine.identity.second_factor import (
            qr_terminal,
        )  # here, so that --help imports no engine

        click.echo(qr_terminal(str(answer["link"])))


@click.group()
def invite() -> None:
    """Create, list and revoke invitations."""


@invite.command("create")
@click.option(
    "--role", type=click.Choice(["follower", "master"]), default="follower", show_default=True
)
@click.option("--strategy", default="", help="Show this strategy to the person who joins.")
@click.option(
    "--uses",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    help="How many people may use it.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 365),
    default=7,
    show_default=True,
    help="Days until it expires.",
)
@_qr_option
@json_option
@click.pass_obj
def invite_create(
    where: Path, role: str, strategy: str, uses: int, days: int, qr: bool, as_json: bool
) -> None:
    """Create an invitation and print its link."""
    answer = ask(where, "invite", role=role, strategy=strategy, uses=uses, days=days, by=who())
    if as_json:
        emit_json(answer)
        return
    click.echo(
        f"{answer['uses']} may join as {answer['role']} until {answer['until']}:\n{answer['link']}"
    )
    _show_qr(answer, qr)
    if answer["sign_up"] == "closed":
        click.echo(
            'web.sign_up is "closed": nobody can join until it is "invite" or "open".', err=True
        )


@invite.command("list")
@json_option
@click.pass_obj
def invite_list(where: Path, as_json: bool) -> None:
    """List valid invitations. Their links are not stored."""
    answer = ask(where, "invitations")
    if as_json:
        emit_json(answer)
        return
    for each in answer["invitations"]:
        click.echo(
            f"{each['id']}  {each['role']}, {each['uses_left']} left, until {each['expires_at']}, "
            f"by {each['created_by']}"
        )
    if not answer["invitations"]:
        click.echo("no invitation is valid now: rexalgo invite create")


@invite.command()
@click.argument("identifier", metavar="ID")
@json_option
@click.pass_obj
def revoke(where: Path, identifier: str, as_json: bool) -> None:
    """Revoke the invitation ID."""
    answer = ask(where, "invitation_revoke", id=identifier, by=who())
    emit_json(answer) if as_json else click.echo(f"invitation {identifier} is revoked")


@click.group()
def audit() -> None:
    """Read the audit log, and verify that no row was changed."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@click.option(
    "--search", default="", help="Show only rows with this text in the actor, action or subject."
)
@json_option
@click.pass_obj
def audit_list(where: Path, limit: int, search: str, as_json: bool) -> None:
    """List audit rows, newest first."""
    answer = ask(where, "audit", limit=limit, search=search)
    if as_json:
        emit_json(answer)
        return
    for each in answer["audit"]:
        click.echo(
            f"{each['number']:>6}  {each['at']}  {each['by']}  {each['act']}  {each['subject']}  "
            f"{each['data']}"
            f"  from {each['address'] or 'an unrecorded address'}"
        )
    if not answer["audit"]:
        click.echo("the audit is empty")


@audit.command()
@click.option(
    "--known",
    default="",
    help="An earlier end of the chain, NUMBER:SEAL, from the server's log at a start or stop.",
)
@json_option
@click.pass_obj
def verify(where: Path, known: str, as_json: bool) -> None:
    """Verify the chain of seals.

    The chain alone does not show rows removed at its end: give an earlier end with --known. Ends
    with 1 when a row does not fit or rows are missing.
    """
    answer = ask(where, "audit_verify", known=known)
    if as_json:
        emit_json(answer)
    elif answer["broken_at"] is None:
        click.echo(
            f"{answer['rows']} rows, each follows from the one before. The chain ends at "
            f"{answer['rows']}:{answer['last_seal']}"
        )
    else:
        click.echo(
            f"row {answer['broken_at']} is missing or does not follow from the one before: "
            "something other than RexAlgo changed the ledger file",
            err=True,
        )
    if answer["broken_at"] is not None:
        raise SystemExit(int(Exit.NO))


@audit.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--keys",
    "keys_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the keys that verify it to this file. Whoever has them can forge rows.",
)
@json_option
@click.pass_obj
def audit_export(where: Path, file: Path, keys_file: Path | None, as_json: bool) -> None:
    """Write the audit with its seals to FILE (mode 0600), one JSON object a line.

    docs/verify_audit.py verifies it on another machine, with the keys and without RexAlgo. Never
    overwrites. What is written with --keys is itself an audit row.
    """
    _require_new(file, keys_file)
    lines, kids, end, number = list[str](), set[str](), "", 0
    while True:
        part = ask(where, "audit_export", after=number, end=end)
        lines += [json.dumps(row, ensure_ascii=False) for row in part["rows"]]
        kids |= {row["kid"] for row in part["rows"]}
        if sealed := part.get("sealed"):
            break
        end, number = part["end"], part["rows"][-1]["number"]
    lines.append(json.dumps(sealed))
    keys = "" if keys_file is None else json.dumps(_audit_keys(where, kids | {sealed["kid"]}))
    create_file(file, "\n".join(lines) + "\n", 0o600)
    if keys_file is not None:
        create_file(keys_file, keys + "\n", 0o600)
    answer = {"file": str(file), "rows": len(lines) - 1, "end": sealed["end"]}
    if as_json:
        emit_json({**answer, "keys": str(keys_file) if keys_file else None})
        return
    click.echo(f"wrote {file}: {answer['rows']} rows. The chain ends at {answer['end']}")
    if keys_file:
        click.echo(f"  verify it anywhere: python docs/verify_audit.py {file} {keys_file}")


def _audit_keys(where: Path, kids: set[str]) -> dict[str, str]:
    answer = ask(where, "audit_keys", kids=sorted(kids), by=who())
    return dict(answer["keys"])


def _require_new(*files: Path | None) -> None:
    """Raise CliError with every file that cannot be created."""
    problems = []
    for each in filter(None, files):
        if each.exists():
            problems.append(f"{each} already exists: choose another name")
        elif not each.absolute().parent.is_dir():
            problems.append(f"{each}: expected a name in an existing folder")
    named = [each.absolute() for each in files if each is not None]
    if len(set(named)) < len(named):
        problems.append("--keys: expected another file than the export")
    if problems:
        raise CliError("\n".join([*problems, "nothing was written"]), Exit.REFUSED)
