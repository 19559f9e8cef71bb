"""``rexalgo books check NAME|--all``: compare the books of accounts with their exchange, line by
line.
"""

from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask
from rexalgo.cli.common import CliError, Exit, emit_json, json_option

_LINES = {
    "results": "results of strategies, before fees",
    "owner": "the owner's own closes",
    "order_fees": "fees told with orders",
    "fee_rows": "fees and rebates, by the fee history",
    "funding": "funding",
    "unexplained": "unexplained",
}
_VERDICTS = {
    "agrees": "agrees",
    "differs": "DIFFERS",
    "not_read": "NOT READ",
    "not_settled": "NOT SETTLED yet",
}
_MARKS = {"differs": "WRONG", "not_read": "NOT READ", "not_settled": "NOT SETTLED"}


@click.group()
def books() -> None:
    """Compare the books with the exchange."""


@books.command()
@click.argument("name", required=False)
@click.option("--all", "everybody", is_flag=True, help="Every account.")
@json_option
@click.pass_obj
def check(where: Path, name: str | None, everybody: bool, as_json: bool) -> None:
    """Show both sides of account NAME: quantities, every line of its wallet, trades, and what
    nobody told. Changes nothing.

    Exit code 1 where something differs, is not settled yet, or could not be read; what differs is
    named.
    """
    if everybody == (name is not None):
        raise CliError("expected an account's NAME, or --all", Exit.USAGE)
    names = (
        [name]
        if name is not None
        else [each["name"] for each in ask(where, "accounts")["accounts"]]
    )
    told = []
    for each in names:
        told.append(ask(where, "books_check", name=each))
        if not as_json:
            _show(told[-1])
    if as_json:
        emit_json({"accounts": told, "agrees": all(each["agrees"] for each in told)})
    elif not told:
        click.echo("no account is here yet: rexalgo provision FILE")
    if not all(each["agrees"] for each in told):
        raise SystemExit(int(Exit.NO))


def _show(each: dict[str, Any]) -> None:
    click.echo(
        f"{each['account']}  {each['exchange']} [{each['environment'].upper()}]  "
        f"{_VERDICTS[each['verdict']]}"
    )
    for row in each["quantities"]:
        there = "not read" if row["exchange"] is None else row["exchange"]
        owner = f", owner {row['owner']}" if row["owner"] != "0" else ""
        who = row["strategy"] or "the owner"
        click.echo(
            f"  {row['side']} {row['symbol']} of {who}: books {row['books']}, share "
            f"{row['share']}{owner}, exchange {there}"
        )
    wallet = each["wallet"]
    if wallet is None:
        click.echo("  the account was never read, so its wallet has no beginning yet")
    else:
        click.echo(
            f"  wallet since {wallet['since'][:19]}: began with {wallet['began_with']} USDT, now "
            f"{_usdt(wallet['now'], 'not read')}"
        )
        if wallet["now_at_cost"] not in (None, wallet["now"]):
            click.echo(
                "    now, with open positions at the entry prices of the books: "
                f"{wallet['now_at_cost']} USDT"
            )
        for line, words in _LINES.items():
            if wallet["lines"][line] != "0":
                sign = "" if line in ("results", "owner", "unexplained") else "less "
                click.echo(f"    {sign}{words}: {wallet['lines'][line]}")
        left, still_open = (
            _usdt(wallet["difference"], "not known"),
            _usdt(wallet["open_result"], "not known"),
        )
        click.echo(
            f"    explained: {wallet['explained']} USDT; not explained: {left}; open result, "
            f"beside it: {still_open}"
        )
    compared = sum(1 for row in each["trades"] if row["agrees"] is not None)
    if each["trades"]:
        click.echo(
            f"  {compared} of {len(each['trades'])} closed positions of the last week can be "
            "compared with our trades one by one"
        )
    for row in each["rows"]:
        tied = f", fill {row['fill']}" if row["fill"] else ""
        click.echo(
            f"  {row['kind']}: {row['amount']} USDT between {row['since'][:19]} and "
            f"{row['until'][:19]}{tied}"
        )
    for row in each["unsettled"]:
        state = "UNEXPLAINED" if row["state"] == "unexplained" else "not known yet"
        what = "entry" if row["is_entry"] else "close"
        lacks = ", ".join(row["lacks"])
        click.echo(
            f"  {state}: {what} of {row['quantity']} {row['symbol']} at {row['at'][:19]} lacks "
            f"{lacks}"
        )
    for row in each["problems"]:
        plainly = (
            row["what"].replace(" ", "_") == row["verdict"]
        )  # what it is about stands in what was found
        what = (
            row["found"]
            if plainly and row["verdict"] == "not_read"
            else f"expected {row['expected']}, found {row['found']}"
        )
        about = "" if plainly else f" {row['what']}"
        click.echo(f"  {_MARKS[row['verdict']]}{about}: {what}\n        do: {row['do']}")


def _usdt(amount: str | None, otherwise: str) -> str:
    return otherwise if amount is None else f"{amount} USDT"
