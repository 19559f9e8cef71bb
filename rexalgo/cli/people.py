"""``rexalgo operator|user|invite|audit``: who may come in, what they may do, and what people did."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import Exit, emit_json, json_option

_qr_option = click.option("--qr", is_flag=True, help="Show the link as a QR code too, for a phone.")


@click.group()
def operator() -> None:
    """Make operators."""


@operator.command("create")
@click.argument("name")
@_qr_option
@json_option
@click.pass_obj
def operator_create(where: Path, name: str, qr: bool, as_json: bool) -> None:
    """Make NAME an operator and print a one-time link (10 minutes) to set a password and a second
    factor.
    """
    _show_link(ask(where, "operator_create", name=name, by=who()), qr, as_json)


@click.group()
def user() -> None:
    """List people, give and take roles, make one-time links."""


@user.command("list")
@json_option
@click.pass_obj
def user_list(where: Path, as_json: bool) -> None:
    """List everybody with their roles, and who asks to become a master."""
    told = ask(where, "users")
    if as_json:
        emit_json(told)
        return
    width = max((len(each["name"]) for each in told["users"]), default=4)
    for each in told["users"]:
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
    for each in told["asked_to_be_master"]:
        click.echo(
            f"{each['name']} asks to become a master: {each['note']}\n  rexalgo user role "
            f"{each['name']} master"
        )
    if not told["users"]:
        click.echo(
            "nobody is here yet: rexalgo operator create NAME, rexalgo provision FILE, rexalgo "
            "invite create"
        )


@user.command()
@click.argument("name")
@_qr_option
@json_option
@click.pass_obj
def link(where: Path, name: str, qr: bool, as_json: bool) -> None:
    """Print a one-time sign-in link (10 minutes) for somebody who is known here; hand it over on a
    way that only they read.
    """
    _show_link(ask(where, "user_link", name=name, by=who()), qr, as_json)


@user.command()
@click.argument("name")
@click.argument("role", type=click.Choice(["follower", "master", "operator"]))
@click.option("--take", is_flag=True, help="Take the role away instead.")
@json_option
@click.pass_obj
def role(where: Path, name: str, role: str, take: bool, as_json: bool) -> None:
    """Give somebody a role, or take it; it signs them out everywhere."""
    told = ask(where, "user_role", name=name, role=role, take=take, by=who())
    if as_json:
        emit_json(told)
        return
    changed = "now has" if told["changed"] else "unchanged, has"
    click.echo(f"{told['name']} {changed}: {', '.join(told['roles']) or 'no role'}")


def _show_link(told: dict[str, object], qr: bool, as_json: bool) -> None:
    if as_json:
        emit_json(told)
        return
    click.echo(
        f"{told['name']} signs in here, once, within {told['holds_minutes']} "
        f"minutes:\n{told['link']}"
    )
    _show_qr(told, qr)


def _show_qr(told: dict[str, object], qr: bool) -> None:
    if qr:
        from engine.identity.second_factor import (
            qr_terminal,
        )  # here, so that --help imports no engine

        click.echo(qr_terminal(str(told["link"])))


@click.group()
def invite() -> None:
    """Make, list and revoke invitations to join."""


@invite.command("create")
@click.option(
    "--role", type=click.Choice(["follower", "master"]), default="follower", show_default=True
)
@click.option("--strategy", default="", help="Bring the person to this strategy.")
@click.option(
    "--uses",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    help="How many people may join with it.",
)
@click.option(
    "--days", type=click.IntRange(1, 365), default=7, show_default=True, help="How long it holds."
)
@_qr_option
@json_option
@click.pass_obj
def invite_create(
    where: Path, role: str, strategy: str, uses: int, days: int, qr: bool, as_json: bool
) -> None:
    """Make an invitation and print its link."""
    told = ask(where, "invite", role=role, strategy=strategy, uses=uses, days=days, by=who())
    if as_json:
        emit_json(told)
        return
    click.echo(f"{told['uses']} may join as {told['role']} until {told['until']}:\n{told['link']}")
    _show_qr(told, qr)
    if told["sign_up"] == "closed":
        click.echo(
            'web.sign_up is "closed": nobody joins until it is "invite" or "open".', err=True
        )


@invite.command("list")
@json_option
@click.pass_obj
def invite_list(where: Path, as_json: bool) -> None:
    """List the invitations that still hold. Their links are not stored."""
    told = ask(where, "invitations")
    if as_json:
        emit_json(told)
        return
    for each in told["invitations"]:
        click.echo(
            f"{each['id']}  {each['role']}, {each['uses_left']} left, until {each['expires_at']}, "
            f"by {each['created_by']}"
        )
    if not told["invitations"]:
        click.echo("no invitation holds now: rexalgo invite create")


@invite.command()
@click.argument("identifier", metavar="ID")
@json_option
@click.pass_obj
def revoke(where: Path, identifier: str, as_json: bool) -> None:
    """End an invitation."""
    told = ask(where, "invitation_revoke", id=identifier, by=who())
    emit_json(told) if as_json else click.echo(f"invitation {identifier} is ended")


@click.group()
def audit() -> None:
    """Read what people did, and prove that no row was changed."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@click.option("--search", default="", help="Only rows with this text in who, what or whom.")
@json_option
@click.pass_obj
def audit_list(where: Path, limit: int, search: str, as_json: bool) -> None:
    """List the newest rows, newest first."""
    told = ask(where, "audit", limit=limit, search=search)
    if as_json:
        emit_json(told)
        return
    for each in told["audit"]:
        click.echo(
            f"{each['number']:>6}  {each['at']}  {each['by']}  {each['act']}  {each['subject']}  "
            f"{each['data']}"
            f"  from {each['address'] or 'somewhere: not noted'}"
        )
    if not told["audit"]:
        click.echo("nothing is in the audit yet")


@audit.command()
@click.option(
    "--known",
    default="",
    help="A former end of the chain, NUMBER:SEAL, as the server's log told it at a start or stop.",
)
@json_option
@click.pass_obj
def verify(where: Path, known: str, as_json: bool) -> None:
    """Walk the chain of seals. A chain cannot prove that nothing was cut off behind it: give a
    former end that was kept elsewhere.

    Exit code 1 where a row does not fit, or rows are missing.
    """
    told = ask(where, "audit_verify", known=known)
    if as_json:
        emit_json(told)
    elif told["broken_at"] is None:
        click.echo(
            f"{told['rows']} rows, each follows from the one before. It ends at "
            f"{told['rows']}:{told['last_seal']}"
        )
    else:
        click.echo(
            f"row {told['broken_at']} is missing or does not follow from the one before: the "
            "ledger's file was changed from outside",
            err=True,
        )
    if told["broken_at"] is not None:
        raise SystemExit(int(Exit.NO))
