"""``rexalgo reconcile NAME``: compare one account with its exchange, as a plan that can be read, and apply it."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option


@click.command()
@click.argument("name")
@click.option("--plan", is_flag=True, help="Only show what differs (the default).")
@click.option("--apply", "applies", is_flag=True, help="Correct the ledger as the plan says. No order is ever sent.")
@json_option
@click.pass_obj
def reconcile(where: Path, name: str, plan: bool, applies: bool, as_json: bool) -> None:
    """Compare account NAME with its exchange, now.

    A step only ever lowers our share, or accepts orders as the owner's. No order is sent, and running it again changes nothing.
    """
    if plan and applies:
        raise CliError("expected one of --plan and --apply", Exit.USAGE)
    told = ask(where, "reconcile", name=name, apply=applies, by=who())
    if as_json:
        emit_json(told)
        return
    click.echo(f"{told['account']} [{told['environment'].upper()}]")
    for each in told["steps"]:
        click.echo(f"  differs: {each['differs']}\n  {'done' if applies else 'step'}:    {each['step']}")
    if not told["steps"]:
        click.echo("  the ledger and the exchange agree")
    elif not applies and any(each["kind"] != "own" for each in told["steps"]):
        click.echo(f"  to apply: rexalgo reconcile {name} --apply")
