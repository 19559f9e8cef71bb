"""``rexalgo account list|show|check|release|reset-drawdown``: inspect accounts, and let one trade
again.
"""

from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import Exit, emit_json, json_option


@click.group()
def account() -> None:
    """List accounts, show one, check one at its exchange, end a quarantine, reset a drawdown."""


@account.command("list")
@click.option(
    "--troubled", is_flag=True, help="Show only accounts with a problem or an unproven order."
)
@json_option
@click.pass_obj
def list_(where: Path, troubled: bool, as_json: bool) -> None:
    """List every account with its positions, orders and state."""
    rows = [
        each
        for each in ask(where, "accounts")["accounts"]
        if not troubled or each["unproven"] or _trouble(each)
    ]
    if as_json:
        emit_json({"accounts": rows})
        return
    width = max((len(each["name"]) for each in rows), default=4)
    for each in rows:
        unproven = f"  {each['unproven']} UNPROVEN" if each["unproven"] else ""
        trouble = f"  {_trouble(each)}" if _trouble(each) else ""
        click.echo(
            f"{each['name']:<{width}}  {each['exchange']} [{each['environment'].upper()}]  holds "
            f"{each['held']}{unproven}{trouble}"
        )
    if not rows:
        click.echo(
            "no account has a problem"
            if troubled
            else "there is no account yet: rexalgo provision FILE"
        )


@account.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(where: Path, name: str, as_json: bool) -> None:
    """Show the positions, orders, books and state of one account."""
    answer = ask(where, "accounts", name=name)
    each = answer["accounts"][0]
    if as_json:
        emit_json(each)
        return
    click.echo(f"{each['name']}  {each['exchange']} [{each['environment'].upper()}]")
    for holding in each["holdings"]:
        click.echo(
            f"  holds {holding['side']} {holding['share']} {holding['symbol']}, strategy "
            f"{holding['strategy']}"
        )
    click.echo(f"  {each['waiting']} orders to plan, {each['unproven']} unproven")
    if each["funding_paid"] != "0":
        click.echo(
            f"  funding paid while the engine held: {each['funding_paid']} USDT (below 0: received)"
        )
    _show_books(each["books"])
    state = _trouble(each) or ("reads well" if answer["engine"] else "no engine answers")
    if each["task"] and each["task"].get("preflight") not in (None, "ok"):
        click.echo(
            f"  last check: {each['task']['preflight'].replace('_', ' ')} at "
            f"{each['task'].get('checked_at', 'a time that this server does not tell')}; see: "
            f"rexalgo account check {name}"
        )
    click.echo(
        f"  task: {state}" + (f", {each['task']['restarts']} restarts" if each["task"] else "")
    )


_LINES = {
    "results": "results",
    "fees": "fees",
    "funding": "funding",
    "owner": "the owner's own",
    "unexplained": "unexplained",
}


def _show_books(books: dict[str, Any]) -> None:
    if books["since"] is None:
        return
    lines = ", ".join(f"{words} {books[line]}" for line, words in _LINES.items())
    click.echo(
        f"  the books explain {books['change']} USDT of the wallet's change since "
        f"{books['since'][:19]}: {lines}"
    )
    click.echo(
        f"  {books['trades_reconciled']} trades reconciled, {books['trades_not_reconciled']} not"
    )
    if books["fills_not_settled"]:
        click.echo(
            f"  {books['fills_not_settled']} fills have no price, fee or cause yet; the exchange "
            "is asked again"
        )
    for row in books["rows"]:
        click.echo(
            f"  {row['kind']}: {row['amount']} USDT between {row['since'][:19]} and "
            f"{row['until'][:19]}"
        )


_MARKS = {"ok": "ok     ", "warning": "WARNING", "stops_entries": "STOPS  "}


@account.command()
@click.argument("name")
@json_option
@click.pass_obj
def check(where: Path, name: str, as_json: bool) -> None:
    """Check account NAME at its exchange now.

    Checks the key, the available balance, positions, and the smallest entry of each contract.
    Changes nothing. Ends with 1 when something stops entries.
    """
    answer = ask(where, "check", name=name)
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"{answer['account']}  {answer['exchange']} [{answer['environment'].upper()}]")
        for each in answer["items"]:
            click.echo(
                f"  {_MARKS[each['level']]}  {each['about']}: {each['sentence']}"
                + (f" -> {each['do']}" if each["do"] else "")
            )
    if answer["level"] == "stops_entries":
        raise SystemExit(int(Exit.NO))


@account.command()
@click.argument("name")
@json_option
@click.pass_obj
def release(where: Path, name: str, as_json: bool) -> None:
    """End the quarantine of account NAME.

    The account takes entries again. Read the log first: an account is quarantined when its task
    keeps failing.
    """
    answer = ask(where, "release", name=name, by=who())
    if as_json:
        emit_json(answer)
    else:
        click.echo(
            f"account {name} takes entries again"
            if answer["was_quarantined"]
            else f"account {name} was not quarantined"
        )


@account.command("reset-drawdown")
@click.argument("name")
@click.option("--note", required=True, help="The reason; recorded with your name.")
@json_option
@click.pass_obj
def reset_drawdown(where: Path, name: str, note: str, as_json: bool) -> None:
    """Reset the equity peak of account NAME.

    The current equity becomes the peak. Use it for an account that its drawdown limit has
    stopped. The daily loss and the switches do not change.
    """
    answer = ask(where, "reset_drawdown", name=name, note=note, by=who())
    if as_json:
        emit_json(answer)
        return
    now = answer["now"] if answer["now"] is not None else "the equity of the next reading"
    click.echo(f"the equity peak of account {name} was {answer['was']}; it is now {now}")


def _trouble(each: dict[str, Any]) -> str:
    task = each["task"]
    if task is None:
        return ""
    if task["quarantined"]:
        return f"QUARANTINED, no new entries: {task['last_error']}"
    return str(task["problem"]) or ("" if task["running"] else f"restarting: {task['last_error']}")
