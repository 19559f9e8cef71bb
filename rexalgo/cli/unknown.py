"""``rexalgo unknown list``: orders whose fate is not proven."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option


@click.group()
def unknown() -> None:
    """List orders whose fate is not known, and decide about them."""


@unknown.command("list")
@json_option
@click.pass_obj
def list_(where: Path, as_json: bool) -> None:
    """List orders that were sent without proof of what became of them, oldest first. They are
    looked up, never repeated.
    """
    rows = ask(where, "unknown")["unknown"]
    if as_json:
        emit_json({"unknown": rows})
        return
    if not rows:
        click.echo("no order is unknown")
        return
    for each in rows:
        state = (
            "looked up long enough, no trace: check the account"
            if each["state"] == "not_confirmed"
            else "being looked up"
        )
        click.echo(
            f"{each['account']} [{each['environment'].upper()}]  {each['side']} "
            f"{each['quantity']} {each['symbol']}  {state}"
        )
        click.echo(
            f"  since {each['claimed_at']}, cause: {each['cause'] or 'not known'}, client order "
            f"id {each['client_order_id']}"
        )
        click.echo(f"  rexalgo why {each['signal_id']} {each['account']}")


@unknown.command()
@click.argument("signal")
@click.argument("follower")
@click.option(
    "--none", "none", is_flag=True, help="You looked at the exchange, and the order is not there."
)
@click.option(
    "--done",
    is_flag=True,
    help="A closing order: you looked at the account, and what it was to close is closed.",
)
@click.option(
    "--order",
    metavar="ID",
    default="",
    help="The exchange's own id of the order: you found it there.",
)
@click.option("--note", required=True, help="What you looked at; kept with your name.")
@json_option
@click.pass_obj
def decide(
    where: Path,
    signal: str,
    follower: str,
    none: bool,
    done: bool,
    order: str,
    note: str,
    as_json: bool,
) -> None:
    """Decide about FOLLOWER's unproven order of SIGNAL: it does not exist (--none), it is this one
    (--order ID), or it closed (--done).

    With --none nothing is sent in its place, and its symbol takes entries again. Look at the
    account at the exchange first: an order that is there after all would from now on be taken for
    the owner's own. With --order the exchange is asked for that order, and its fill counts. --done
    is for an exchange that shows no order of a close: the share is lowered, and the price stays
    unknown until it is told.
    """
    if none + done + bool(order) != 1:
        raise CliError("expected exactly one of --none, --done and --order ID", Exit.USAGE)
    told = ask(
        where,
        "decide",
        signal=signal,
        follower=follower,
        order=order,
        done=done,
        note=note,
        by=who(),
    )
    if as_json:
        emit_json(told)
        return
    if order:
        click.echo(f"decided: the order of {follower} is {order}; its fill counts")
        return
    if done:
        click.echo(
            f"decided: {told['decided']} closing order(s) of {follower} are done; their price is "
            "not known yet"
        )
        return
    click.echo(
        f"decided: {told['decided']} order(s) of {follower} are not at the exchange. Nothing was "
        "sent."
    )
