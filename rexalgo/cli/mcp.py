"""``rexalgo mcp``: let a person's assistant ask and pause, over the Model Context Protocol."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from engine.domain.person import Role
from engine.domain.token import TokenScope
from rexalgo.cli.api_client import ApiClient, api_client, place_options, refused
from rexalgo.cli.common import CliError, Exit, emit_json, json_option
from rexalgo.cli.mcp_server import McpServer, tool, tools_for
from web.api.table import Endpoint

_LINE_MAX: Final = 1024 * 1024


@click.command()
@place_options
@json_option
def mcp(url: str, token_file: Path | None, as_json: bool) -> None:
    """Serve an assistant over standard input and output (Model Context Protocol).

    The assistant reads what your pages show, and pauses if the token may. It can never open, close
    or resume. Make a token with the scope read or pause under Security, API tokens. --json prints
    the tools instead of serving.
    """
    with api_client(url, token_file) as api:
        tools = _tools(api)
        if as_json:
            emit_json({"tools": [tool(each) for each in tools]})
        else:
            _serve(McpServer(tools, api.fetch, version("rexalgo")))


def _serve(server: McpServer) -> None:
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # both are text files here
    while line := sys.stdin.readline(_LINE_MAX):
        answer = server.answer(line) if line.strip() else None
        if answer is not None:
            sys.stdout.write(answer + "\n")
            sys.stdout.flush()


def _tools(api: ApiClient) -> tuple[Endpoint, ...]:
    me = api.fetch("GET", "/me")
    if me.status != 200:
        raise refused(me)
    scope = TokenScope(me.answer["token"]["scope"])
    if scope is TokenScope.REDUCE:
        raise CliError(
            "expected a token with the scope read or pause, found one with reduce: an assistant "
            "needs no more; make another token under Security, API tokens",
            Exit.REFUSED,
        )
    return tools_for(scope, frozenset(map(Role, me.answer["roles"])))
