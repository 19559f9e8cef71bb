"""``rexalgo reconcile [NAME]``: compare accounts with their exchange, as a plan that can be read,
and apply it.
"""

from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option


@click.command()
@click.argument("name", required=False)
@click.option("--plan", is_flag=True, help="Only show what differs (the default).")
@click.option(
    "--apply",
    "applies",
    is_flag=True,
    help="Correct the ledger as the plan says. No order is ever sent.",
)
@json_option
@click.pass_obj
def reconcile(where: Path, name: str | None, plan: bool, applies: bool, as_json: bool) -> None:
    """Compare account NAME with its exchange, now; without NAME all accounts, or those that stand
    still where some do.

    A step only ever lowers our share, or accepts orders as the owner's. No order is sent, and
    running it again changes nothing. Exit code 1 where something differs and is not applied, or
    could not be compared; what the owner holds beside us is no difference.
    """
    if plan and applies:
        raise CliError("expected one of --plan and --apply", Exit.USAGE)
    if name is None:
        if applies:
            raise CliError(
                "expected NAME with --apply: one account at a time is corrected", Exit.USAGE
            )
        _show_all(ask(where, "reconcile_all", by=who()), as_json)
        return
    told = ask(where, "reconcile", name=name, apply=applies, by=who())
    if as_json:
        emit_json(told)
    else:
        _show(told, applies)
    if told["not_compared"] or (told["differs"] and not applies):
        raise SystemExit(int(Exit.NO))


def _show(told: dict[str, Any], applies: bool) -> None:
    click.echo(f"{told['account']} [{told['environment'].upper()}]")
    for each in told["steps"]:
        found = {"own": "beside ", "stays": "ours   ", "sends": "waits  ", "open": "open   "}.get(
            each["kind"], "differs"
        )
        click.echo(
            f"  {found}: {each['differs']}\n  {'done' if applies else 'step'}:    {each['step']}"
        )
    if told["not_compared"]:
        where = ", ".join(told["not_compared"])
        click.echo(
            f"  not compared: {where}, where an order of ours is on its way or a row cannot be "
            "read; ask again"
        )
    elif not told["steps"]:
        click.echo("  the ledger and the exchange agree")
    if told["still"]:
        click.echo(
            f"  nothing is sent: {told['still']}. To write the steps down and let orders out "
            "again: rexalgo restore confirm"
        )
    elif told["differs"] and not applies:
        click.echo(f"  to apply: rexalgo reconcile {told['account']} --apply")


def _show_all(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(told)
    else:
        for each in told["accounts"]:
            if each["problem"]:
                click.echo(
                    f"{each['account']} [{each['environment'].upper()}]\n  it could not be read: "
                    f"{each['problem']}"
                )
            else:
                _show(each, applies=False)
    if any(each["problem"] or each["not_compared"] or each["differs"] for each in told["accounts"]):
        raise SystemExit(int(Exit.NO))
