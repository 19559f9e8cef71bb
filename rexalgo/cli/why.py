"""``rexalgo why SIGNAL FOLLOWER``: the outcome of one copy, its numbers, and who has to act."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask
from rexalgo.cli.common import emit_json, json_option

_TO_DO = {
    "nobody": "nothing",
    "you": "the follower acts",
    "master": "the master acts",
    "operator": "the operator acts",
}


@click.command()
@click.argument("signal")
@click.argument("follower")
@json_option
@click.pass_obj
def why(where: Path, signal: str, follower: str, as_json: bool) -> None:
    """Explain the outcome of SIGNAL for FOLLOWER.

    SIGNAL is a signal id, a receipt, the bot's own idempotency key, or the word "last".
    """
    answer = ask(where, "why", signal=signal.removeprefix("/api/receipts/"), follower=follower)
    if as_json:
        emit_json(answer)
        return
    click.echo(
        f"{answer['account']} [{answer['environment'].upper()}]  {answer['action']} "
        f"{answer['symbol']}  "
        f"strategy {answer['strategy']}"
    )
    click.echo(f"  {answer['code'] or 'waiting'}: {answer['sentence']}")
    if answer["now"]:
        click.echo(f"  now:      {answer['now']}")
    if answer["setting"]:
        click.echo(f"  setting:  {answer['setting']}")
    click.echo(f"  to do:    {_TO_DO[answer['move']]}")
    if answer["numbers"]:
        click.echo(
            "  numbers:  "
            + ", ".join(f"{name} {value}" for name, value in answer["numbers"].items())
        )
    click.echo(f"  signal:   {answer['signal_id']}, received {answer['received_at']}")
    if turn := answer["turn"]:
        click.echo(
            f"  rank:     {turn['turn']} of {turn['copies']}, {turn['waited_ms']} ms after the signal"
        )
    for each in answer["attempts"]:
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
    if len(answer["history"]) > 1:
        for each in answer["history"]:
            click.echo(f"  {each['at']}  {each['code']}")
