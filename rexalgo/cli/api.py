"""``rexalgo api``: what a person's pages show and what lowers risk, from a shell.

Its commands are the endpoints of the API: arguments are the parts of the address, options the query.
"""

import inspect
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from engine.domain.token import TokenScope
from rexalgo.cli.api_client import api_client, place_options, refused
from rexalgo.cli.common import CliError, Exit, emit_json, json_option
from web.api.dispatch import ENDPOINTS
from web.api.table import Endpoint

_KEY: Final = "Idempotency-Key"


@click.group()
@place_options
@click.pass_context
def api(ctx: click.Context, url: str, token_file: Path | None) -> None:
    """Read what your pages show, pause and reduce, with an API token of your own.

    Works from any machine. Make a token under Security, API tokens; its scope says what it may. No
    command opens, resumes or raises a limit.
    """
    ctx.obj = partial(api_client, url, token_file)


def _command(endpoint: Endpoint) -> click.Command:
    @json_option
    @click.pass_context
    def run(ctx: click.Context, /, as_json: bool, **given: str | None) -> None:
        key = given.pop("key", None)
        if endpoint.scope is TokenScope.REDUCE and not given.pop("yes", False):
            _confirm(_summary(endpoint))
        path = endpoint.path({name: text for name, text in given.items() if text is not None})
        headers = {} if key is None else {_KEY: key}
        with ctx.obj() as client:
            fetched = client.fetch(endpoint.method, path, **headers)
        if fetched.status != 200:
            raise refused(fetched)
        if as_json:
            emit_json(fetched.answer)
        else:
            for line in lines(fetched.answer):
                click.echo(line)

    for parameter in reversed(endpoint.query):
        choices = click.Choice(parameter.choices) if parameter.choices else click.STRING
        shown = f"--{parameter.name}"
        run = click.option(shown, parameter.name, type=choices, help=parameter.words)(run)
    if endpoint.method == "POST":
        run = click.option("--key", help="Do it once: a repeat with this key does nothing.")(run)
    if endpoint.scope is TokenScope.REDUCE:
        run = click.option("--yes", is_flag=True, help="Do not ask.")(run)
    for part in reversed(endpoint.parts):
        run = click.argument(part, metavar=part.upper())(run)
    return click.command(endpoint.name.replace("_", "-"), help=_summary(endpoint))(run)


def _summary(endpoint: Endpoint) -> str:
    return " ".join(inspect.cleandoc(endpoint.summary).replace("``", "").split())


def _confirm(what: str) -> None:
    if not sys.stdin.isatty():
        raise CliError("expected --yes: there is no terminal to ask whether to do it", Exit.USAGE)
    if not click.confirm(f"{what}\nDo it?"):
        raise CliError("nothing was changed", Exit.NO)


def lines(value: Any, indent: str = "") -> Iterator[str]:
    """Yield an answer for people: names and values, what is not known left out."""
    for name, each in value.items():
        if isinstance(each, dict) and each:
            yield f"{indent}{name}:"
            yield from lines(each, f"{indent}  ")
        elif isinstance(each, list) and each:
            yield f"{indent}{name}:"
            for one in each:
                inner = lines(one, f"{indent}    ") if isinstance(one, dict) else iter([str(one)])
                yield f"{indent}  - {next(inner, '').strip()}"
                yield from inner
        elif each not in (None, "", {}):
            shown = {True: "yes", False: "no"}[each] if isinstance(each, bool) else each
            yield f"{indent}{name}: {'none' if shown == [] else shown}"


for _each in ENDPOINTS:
    api.add_command(_command(_each))
