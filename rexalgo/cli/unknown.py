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
    """List orders that were sent without proof of what became of them, oldest first. They are looked up, never repeated."""
    rows = ask(where, "unknown")["unknown"]
    if as_json:
        emit_json({"unknown": rows})
        return
    if not rows:
        click.echo("no order is unknown")
        return
    for each in rows:
        state = "looked up long enough, no trace: check the account" if each["state"] == "not_confirmed" else "being looked up"
        click.echo(f"{each['account']} [{each['environment'].upper()}]  {each['side']} {each['quantity']} {each['symbol']}  {state}")
        click.echo(f"  since {each['claimed_at']}, cause: {each['cause'] or 'not known'}, client order id {each['client_order_id']}")
        click.echo(f"  rexalgo why {each['signal_id']} {each['account']}")


@unknown.command()
@click.argument("signal")
@click.argument("follower")
@click.option("--none", "none", is_flag=True, help="You looked at the exchange, and the order is not there.")
@click.option("--note", required=True, help="What you looked at; kept with your name.")
@json_option
@click.pass_obj
def decide(where: Path, signal: str, follower: str, none: bool, note: str, as_json: bool) -> None:
    """Decide that FOLLOWER's unproven order of SIGNAL does not exist. Nothing is sent in its place; its symbol takes entries again.

    Look at the account at the exchange first: an order that is there after all would from now on be taken for the owner's own.
    """
    if not none:
        raise CliError("expected --none, the one decision there is: an order that exists is found by reading, not by decision", Exit.USAGE)
    told = ask(where, "decide", signal=signal, follower=follower, note=note, by=who())
    if as_json:
        emit_json(told)
        return
    click.echo(f"decided: {told['decided']} order(s) of {follower} are not at the exchange. Nothing was sent.")
