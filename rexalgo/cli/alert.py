"""``rexalgo alert list|test``: recent alerts, the state of each channel, and a test of one."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import Exit, emit_json, json_option


@click.group()
def alert() -> None:
    """List alerts, and test a channel."""


@alert.command("list")
@click.option(
    "--hours",
    type=click.IntRange(1, 8784),
    default=24,
    show_default=True,
    help="Alerts of the last so many hours.",
)
@json_option
@click.pass_obj
def list_(where: Path, hours: int, as_json: bool) -> None:
    """List alerts, newest first, with what to do."""
    answer = ask(where, "alerts", hours=hours)
    if as_json:
        emit_json(answer)
        return
    for each in answer["alerts"]:
        click.echo(f"{each['at'][:19]}Z  {'URGENT ' if each['wakes'] else ''}{each['code']}")
        click.echo(
            f"  {each['sentence']}\n  done: {each['done']}\n  type: {each['do']}\n  else: "
            f"{each['otherwise']}"
        )
    if not answer["alerts"]:
        click.echo(f"no alert in the last {hours} h")
    for name, state in answer["channels"].items():
        click.echo(
            f"channel {name}: "
            + (
                f"{state['waiting']} alerts wait to be delivered"
                if state["waiting"]
                else "everything delivered"
            )
        )
    if not answer["channels"]:
        click.echo("no channel is set, so no alert is sent: set operator.alerts")


@alert.command()
@click.argument("channel")
@json_option
@click.pass_obj
def test(where: Path, channel: str, as_json: bool) -> None:
    """Send a test alert through CHANNEL now, and show the result."""
    answer = ask(where, "alert_test", channel=channel, by=who())
    if as_json:
        emit_json(answer)
    elif answer["delivered"]:
        click.echo(f"channel {channel}: delivered")
    else:
        click.echo(f"channel {channel}: NOT delivered: {answer['problem']}")
    if not answer["delivered"]:
        raise click.exceptions.Exit(Exit.NO)
