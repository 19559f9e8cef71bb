"""``rexalgo reconcile [NAME]``: compare accounts with their exchange, as a plan that can be read, and apply it."""

from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option


@click.command()
@click.argument("name", required=False)
@click.option("--plan", is_flag=True, help="Only show what differs (the default).")
@click.option("--apply", "applies", is_flag=True, help="Correct the ledger as the plan says. No order is ever sent.")
@json_option
@click.pass_obj
def reconcile(where: Path, name: str | None, plan: bool, applies: bool, as_json: bool) -> None:
    """Compare account NAME with its exchange, now; without NAME all accounts, or those that stand still where some do.

    A step only ever lowers our share, or accepts orders as the owner's. No order is sent, and running it again changes nothing.
    """
    if plan and applies:
        raise CliError("expected one of --plan and --apply", Exit.USAGE)
    if name is None:
        if applies:
            raise CliError("expected NAME with --apply: one account at a time is corrected", Exit.USAGE)
        _show_all(ask(where, "reconcile_all", by=who()), as_json)
        return
    told = ask(where, "reconcile", name=name, apply=applies, by=who())
    if as_json:
        emit_json(told)
        return
    _show(told, applies)
    if not applies and any(each["kind"] in ("share", "foreign") for each in told["steps"]):
        click.echo(f"  to apply: rexalgo reconcile {name} --apply")


def _show(told: dict[str, Any], applies: bool = False) -> None:
    click.echo(f"{told['account']} [{told['environment'].upper()}]")
    for each in told["steps"]:
        click.echo(f"  {each['differs']}\n    {'done' if applies else 'step'}: {each['step']}")
    if not told["steps"]:
        click.echo("  the ledger and the exchange agree")


def _show_all(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(told)
        return
    for each in told["still"]:
        click.echo(f"{each['account'] or 'this place'} stands still since {each['since']}: {each['cause']}")
    for each in told["accounts"]:
        if each["problem"]:
            click.echo(f"{each['account']} [{each['environment'].upper()}]\n  it could not be read: {each['problem']}")
        else:
            _show(each)
    if told["still"]:
        click.echo("nothing is sent. To write these steps down and let orders out again: rexalgo restore confirm")
