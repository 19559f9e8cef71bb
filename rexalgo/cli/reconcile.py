"""``rexalgo reconcile [NAME]``: compare accounts with their exchange and correct the ledger."""

from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option


@click.command()
@click.argument("name", required=False)
@click.option("--plan", is_flag=True, help="Only show the differences (the default).")
@click.option(
    "--apply",
    "applies",
    is_flag=True,
    help="Correct the ledger by the plan. Never sends an order.",
)
@json_option
@click.pass_obj
def reconcile(where: Path, name: str | None, plan: bool, applies: bool, as_json: bool) -> None:
    """Compare account NAME with its exchange now. Without NAME, compare the frozen accounts,
    or all accounts if none is frozen.

    A step only lowers our share, or accepts orders as the owner's. It sends no order, and a second
    run changes nothing. Ends with 1 when a difference is left, or something could not be compared.
    The owner's own positions are not a difference.
    """
    if plan and applies:
        raise CliError("expected one of --plan and --apply", Exit.USAGE)
    if name is None:
        if applies:
            raise CliError(
                "expected NAME with --apply: it corrects one account at a time", Exit.USAGE
            )
        _show_all(ask(where, "reconcile_all", by=who()), as_json)
        return
    answer = ask(where, "reconcile", name=name, apply=applies, by=who())
    if as_json:
        emit_json(answer)
    else:
        _show(answer, applies)
    if answer["not_compared"] or (answer["differs"] and not applies):
        raise SystemExit(int(Exit.NO))


def _show(answer: dict[str, Any], applies: bool) -> None:
    click.echo(f"{answer['account']} [{answer['environment'].upper()}]")
    for each in answer["steps"]:
        label = {"own": "beside ", "stays": "ours   ", "sends": "waits  ", "open": "open   "}.get(
            each["kind"], "differs"
        )
        click.echo(
            f"  {label}: {each['differs']}\n  {'done' if applies else 'step'}:    {each['step']}"
        )
    if answer["not_compared"]:
        where = ", ".join(answer["not_compared"])
        click.echo(
            f"  not compared: {where}: an order of ours is in flight, or a row cannot be read; "
            "run this again"
        )
    elif not answer["steps"]:
        click.echo("  the ledger and the exchange agree")
    if answer["still"]:
        click.echo(
            f"  nothing is sent: {answer['still']}. To apply the steps and send orders again: "
            "rexalgo restore confirm"
        )
    elif answer["differs"] and not applies:
        click.echo(f"  to apply: rexalgo reconcile {answer['account']} --apply")


def _show_all(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(answer)
    else:
        for each in answer["accounts"]:
            if each["problem"]:
                click.echo(
                    f"{each['account']} [{each['environment'].upper()}]\n  could not be read: "
                    f"{each['problem']}"
                )
            else:
                _show(each, applies=False)
    if any(
        each["problem"] or each["not_compared"] or each["differs"] for each in answer["accounts"]
    ):
        raise SystemExit(int(Exit.NO))
