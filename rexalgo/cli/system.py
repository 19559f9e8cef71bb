"""``rexalgo system``: versions, disk, clock, backups, and the newest refused deliveries."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask
from rexalgo.cli.common import emit_json, json_option


@click.command()
@click.option(
    "--refusals", is_flag=True, help="Show the newest refused webhook deliveries instead."
)
@json_option
@click.pass_obj
def system(where: Path, refusals: bool, as_json: bool) -> None:
    """Show versions, disk, ledger, clock and the newest backup."""
    answer = ask(where, "refusals" if refusals else "system")
    if as_json:
        emit_json(answer)
    elif refusals:
        for each in answer["refusals"]:
            why = f"{each['field']}: expected {each['expected']}" if each["field"] else ""
            click.echo(
                f"{each['at']}  {each['strategy']}  {each['kind']}  from {each['peer']}  {why}"
            )
        if not answer["refusals"]:
            click.echo("no delivery was refused so far")
    else:
        for name, value in answer.items():
            if not isinstance(value, dict) and name != "loop_turns":
                click.echo(f"{name.replace('_', ' '):<18} {value}")
        if turns := answer["loop_turns"]:
            click.echo(
                f"{'turns of the loop':<18} 99 of 100 took at most {turns['p99_ms']} ms, the longest "
                f"{turns['longest_ms']} ms (last minutes)"
            )
        for name, each in answer["exchanges"].items():
            click.echo(
                f"{'exchange ' + name:<18} {each['read']} of {each['accounts']} accounts read, "
                f"{each['rate_share']:.0%} of its stated rate in use"
                + (f", {each['problem']}" if each["problem"] else "")
            )
        click.echo(
            "versions           "
            + ", ".join(f"{name} {value}" for name, value in answer["versions"].items())
        )
