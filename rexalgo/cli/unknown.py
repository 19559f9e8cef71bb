"""``rexalgo unknown list|decide``: orders whose result is not proven."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option


@click.group()
def unknown() -> None:
    """List orders with an unknown result, and decide about them."""


@unknown.command("list")
@json_option
@click.pass_obj
def list_(where: Path, as_json: bool) -> None:
    """List orders that were sent and have no proven result, oldest first. RexAlgo looks them up and
    never repeats them.
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
            "looked up, not shown: check the account at the exchange"
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
    "--none", "none", is_flag=True, help="The order is not at the exchange; you looked there."
)
@click.option(
    "--done",
    is_flag=True,
    help="A closing order did its work; you looked at the account.",
)
@click.option(
    "--order",
    metavar="ID",
    default="",
    help="The exchange's own id of the order; you found it there.",
)
@click.option("--note", required=True, help="What you looked at; recorded with your name.")
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
    """Decide about FOLLOWER's unproven order of SIGNAL.

    It does not exist (--none), it is this one (--order ID), or it closed the position (--done). With --none, RexAlgo sends nothing in its place, and its symbol takes entries again. Look at the
    account at the exchange first: if the order exists after all, it counts as the owner's own from
    then on. With --order, RexAlgo reads that order from the exchange and counts its fill. Use
    --done at an exchange that shows no order for a close: it lowers the share, and the price stays
    unknown until the exchange reports it.
    """
    if none + done + bool(order) != 1:
        raise CliError("expected exactly one of --none, --done and --order ID", Exit.USAGE)
    answer = ask(
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
        emit_json(answer)
        return
    if order:
        click.echo(f"decided: the order of {follower} is {order}; its fill counts")
        return
    if done:
        click.echo(
            f"decided: {answer['decided']} closing order(s) of {follower} are done; the price is "
            "not known yet"
        )
        return
    click.echo(
        f"decided: {answer['decided']} order(s) of {follower} are not at the exchange. Nothing was "
        "sent."
    )
