"""``rexalgo unknown list``: orders whose fate is not proven."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask
from rexalgo.cli.common import emit_json, json_option


@click.group()
def unknown() -> None:
    """List orders whose fate is not known."""


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
