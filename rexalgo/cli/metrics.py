"""``rexalgo metrics``: the metrics of the running server, as /metrics answers them."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask
from rexalgo.cli.common import emit_json, json_option


@click.command()
@json_option
@click.pass_obj
def metrics(where: Path, as_json: bool) -> None:
    """Print the metrics of the running server in the text format of Prometheus."""
    answer = ask(where, "metrics")
    emit_json(answer) if as_json else click.echo(answer["text"], nl=False)
