"""``rexalgo books check NAME|--all``: compare the books of accounts with their exchange."""

from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask
from rexalgo.cli.common import CliError, Exit, emit_json, json_option

_LINES = {
    "results": "results of strategies, before fees",
    "owner": "the owner's own closes",
    "order_fees": "fees reported with orders",
    "fee_rows": "fees and rebates of the fee history",
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
    """Compare the books of account NAME with its exchange: quantities, the wallet line by line,
    trades, and fills without a price or fee. Changes nothing.

    Ends with 1 when something differs, is not settled yet, or could not be read, and names it.
    """
    if everybody == (name is not None):
        raise CliError("expected an account's NAME, or --all", Exit.USAGE)
    names = (
        [name]
        if name is not None
        else [each["name"] for each in ask(where, "accounts")["accounts"]]
    )
    answers = []
    for account in names:
        answers.append(ask(where, "books_check", name=account))
        if not as_json:
            _show(answers[-1])
    if as_json:
        emit_json({"accounts": answers, "agrees": all(each["agrees"] for each in answers)})
    elif not answers:
        click.echo("there is no account yet: rexalgo provision FILE")
    if not all(each["agrees"] for each in answers):
        raise SystemExit(int(Exit.NO))


def _show(account: dict[str, Any]) -> None:
    click.echo(
        f"{account['account']}  {account['exchange']} [{account['environment'].upper()}]  "
        f"{_VERDICTS[account['verdict']]}"
    )
    _show_quantities(account["quantities"])
    _show_wallet(account["wallet"])
    _show_rows(account)
    _show_problems(account["problems"])


def _show_quantities(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        exchange = "not read" if row["exchange"] is None else row["exchange"]
        owner = f", owner {row['owner']}" if row["owner"] != "0" else ""
        who = row["strategy"] or "the owner"
        click.echo(
            f"  {row['side']} {row['symbol']} of {who}: books {row['books']}, share "
            f"{row['share']}{owner}, exchange {exchange}"
        )


def _show_wallet(wallet: dict[str, Any] | None) -> None:
    if wallet is None:
        click.echo("  the account was never read, so its wallet has no starting balance yet")
        return
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
    click.echo(
        f"    explained: {wallet['explained']} USDT; not explained: "
        f"{_usdt(wallet['difference'], 'not known')}; open result, not included: "
        f"{_usdt(wallet['open_result'], 'not known')}"
    )


def _show_rows(account: dict[str, Any]) -> None:
    compared = sum(1 for row in account["trades"] if row["agrees"] is not None)
    if account["trades"]:
        click.echo(
            f"  {compared} of {len(account['trades'])} closed positions of the last week can be "
            "compared with our trades one by one"
        )
    for row in account["rows"]:
        tied = f", fill {row['fill']}" if row["fill"] else ""
        click.echo(
            f"  {row['kind']}: {row['amount']} USDT between {row['since'][:19]} and "
            f"{row['until'][:19]}{tied}"
        )
    for row in account["unsettled"]:
        state = "UNEXPLAINED" if row["state"] == "unexplained" else "not known yet"
        what = "entry" if row["is_entry"] else "close"
        missing = ", ".join(row["lacks"])
        click.echo(
            f"  {state}: {what} of {row['quantity']} {row['symbol']} at {row['at'][:19]} lacks "
            f"{missing}"
        )


def _show_problems(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        # where the verdict is the subject too, naming the subject would say it twice
        repeats = row["what"].replace(" ", "_") == row["verdict"]
        what = (
            row["found"]
            if repeats and row["verdict"] == "not_read"
            else f"expected {row['expected']}, found {row['found']}"
        )
        about = "" if repeats else f" {row['what']}"
        click.echo(f"  {_MARKS[row['verdict']]}{about}: {what}\n        do: {row['do']}")


def _usdt(amount: str | None, otherwise: str) -> str:
    return otherwise if amount is None else f"{amount} USDT"
