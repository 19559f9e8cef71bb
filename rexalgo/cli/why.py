"""``rexalgo why SIGNAL FOLLOWER``: what happened to one copy, with numbers, the setting behind it,
and whose move it is.
"""

from pathlib import Path

import click

from rexalgo.cli.asking import ask
from rexalgo.cli.common import emit_json, json_option

_MOVES = {
    "nobody": "nobody has to do anything",
    "you": "it is the follower's move",
    "master": "it is the master's move",
    "operator": "it is the operator's move",
}


@click.command()
@click.argument("signal")
@click.argument("follower")
@json_option
@click.pass_obj
def why(where: Path, signal: str, follower: str, as_json: bool) -> None:
    """Explain what became of SIGNAL for FOLLOWER.

    SIGNAL is the signal's id, its receipt, the bot's own idempotency id, or the word "last".
    """
    told = ask(where, "why", signal=signal.removeprefix("/api/receipts/"), follower=follower)
    if as_json:
        emit_json(told)
        return
    click.echo(
        f"{told['account']} [{told['environment'].upper()}]  {told['action']} {told['symbol']}  "
        f"strategy {told['strategy']}"
    )
    click.echo(f"  {told['code'] or 'waiting'}: {told['sentence']}")
    if told["now"]:
        click.echo(f"  now:      {told['now']}")
    if told["setting"]:
        click.echo(f"  setting:  {told['setting']}")
    click.echo(f"  move:     {_MOVES[told['move']]}")
    if told["numbers"]:
        click.echo(
            "  numbers:  " + ", ".join(f"{name} {value}" for name, value in told["numbers"].items())
        )
    click.echo(f"  signal:   {told['signal_id']}, received {told['received_at']}")
    for each in told["attempts"]:
        order = each["exchange_order_id"] or "no id"
        cause = f" ({each['cause']})" if each["cause"] else ""
        label = f"{each['kind']} attempt {each['number']}"
        click.echo(
            f"  {label}: {each['side']} {each['quantity']} {each['state']}{cause}, exchange order "
            f"{order}"
        )
        if each["filled"] != "0":
            price, fee = each["price"] or "not known yet", each["fee"] or "not known yet"
            click.echo(f"    filled {each['filled']}, price {price}, fee {fee}")
    if len(told["history"]) > 1:
        for each in told["history"]:
            click.echo(f"  {each['at']}  {each['code']}")
