"""``rexalgo account list|show|check|release|reset-drawdown``: what accounts hold, how they do, and
decisions that let one go on.
"""

from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import Exit, emit_json, json_option


@click.group()
def account() -> None:
    """List accounts, show one, check one at its exchange, end a quarantine, let its highest equity
    begin anew.
    """


@account.command("list")
@click.option("--troubled", is_flag=True, help="Only accounts with a problem or an unproven order.")
@json_option
@click.pass_obj
def list_(where: Path, troubled: bool, as_json: bool) -> None:
    """List every account: exchange, what it holds, what is unproven, and how its task does."""
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
            "no account is troubled"
            if troubled
            else "no account is here yet: rexalgo provision FILE"
        )


@account.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(where: Path, name: str, as_json: bool) -> None:
    """Show one account: what strategies hold in it, what waits, and how its task does."""
    seen = ask(where, "accounts", name=name)
    each = seen["accounts"][0]
    if as_json:
        emit_json(each)
        return
    click.echo(f"{each['name']}  {each['exchange']} [{each['environment'].upper()}]")
    for held in each["holdings"]:
        click.echo(
            f"  holds {held['side']} {held['share']} {held['symbol']}, strategy {held['strategy']}"
        )
    click.echo(f"  {each['waiting']} orders to plan, {each['unproven']} unproven")
    if each["funding_paid"] != "0":
        click.echo(
            f"  funding paid while the engine held: {each['funding_paid']} USDT (below 0: received)"
        )
    _show_books(each["books"])
    state = _trouble(each) or ("reads well" if seen["engine"] else "the engine does not run")
    if each["task"] and each["task"].get("preflight") not in (None, "ok"):
        click.echo(
            f"  last check: {each['task']['preflight'].replace('_', ' ')}; see: rexalgo account "
            f"check {name}"
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
            f"  {books['fills_not_settled']} fills lack a price, a fee or a cause; the exchange "
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
    """Check an account at its exchange now: key, free money, positions, and the smallest entry of
    each contract. Changes nothing.

    Exit code 1 where something stops entries.
    """
    found = ask(where, "check", name=name)
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{found['account']}  {found['exchange']} [{found['environment'].upper()}]")
        for each in found["items"]:
            click.echo(
                f"  {_MARKS[each['level']]}  {each['about']}: {each['sentence']}"
                + (f" -> {each['do']}" if each["do"] else "")
            )
    if found["level"] == "stops_entries":
        raise SystemExit(int(Exit.NO))


@account.command()
@click.argument("name")
@json_option
@click.pass_obj
def release(where: Path, name: str, as_json: bool) -> None:
    """End the quarantine of an account whose task kept failing: it takes entries again. Look at the
    log first.
    """
    told = ask(where, "release", name=name, by=who())
    if as_json:
        emit_json(told)
    else:
        click.echo(
            f"account {name} takes entries again"
            if told["was_quarantined"]
            else f"account {name} was not quarantined"
        )


@account.command("reset-drawdown")
@click.argument("name")
@click.option("--note", required=True, help="Why it may go on; kept with your name.")
@json_option
@click.pass_obj
def reset_drawdown(where: Path, name: str, note: str, as_json: bool) -> None:
    """Let an account go on that is too far below its highest equity: that begins anew, at what the
    account is worth now.

    The day's loss is counted on as before, and switches stay as they are.
    """
    told = ask(where, "reset_drawdown", name=name, note=note, by=who())
    if as_json:
        emit_json(told)
        return
    now = (
        f"begins anew at {told['now']}"
        if told["now"] is not None
        else "begins anew with its next reading"
    )
    click.echo(f"the highest equity of account {name} was {told['was']} and {now}")


def _trouble(each: dict[str, Any]) -> str:
    task = each["task"]
    if task is None:
        return ""
    if task["quarantined"]:
        return f"QUARANTINED, no new entries: {task['last_error']}"
    return str(task["problem"]) or ("" if task["running"] else f"restarting: {task['last_error']}")
