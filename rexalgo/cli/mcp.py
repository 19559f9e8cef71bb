"""``rexalgo mcp``: let a person's assistant ask and pause, over the Model Context Protocol."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
import httpx

from engine.domain.token import TokenScope
from rexalgo.cli.common import CliError, Exit, emit_json, json_option
from rexalgo.cli.mcp_server import Fetched, McpServer, tool, tools_for

ENVIRONMENT: Final = "REXALGO_API_TOKEN"
_HERE: Final = ("localhost", "127.0.0.1", "::1")
_TIMEOUT_S: Final = 30
_LINE_MAX: Final = 1024 * 1024


@click.command()
@click.option(
    "--url", required=True, help="The address of the place, such as https://copy.example."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"A file with the API token; otherwise {ENVIRONMENT} in the environment.",
)
@json_option
def mcp(url: str, token_file: Path | None, as_json: bool) -> None:
    """Serve an assistant over standard input and output (Model Context Protocol).

    The assistant reads what your pages show, and pauses if the token may. It can never open, close
    or resume. Make a token with the scope read or pause under Security, API tokens. --json prints
    the tools instead of serving.
    """
    api = _Api(_root(url), _token(token_file))
    tools = tools_for(_scope(api))
    if as_json:
        emit_json({"tools": [tool(each) for each in tools]})
        return
    server = McpServer(tools, api.fetch, version("rexalgo"))
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # both are text files here
    while line := sys.stdin.readline(_LINE_MAX):
        answer = server.answer(line) if line.strip() else None
        if answer is not None:
            sys.stdout.write(answer + "\n")
            sys.stdout.flush()


class _Api:
    """The API of one place with one token."""

    def __init__(self, root: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=root,
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
            follow_redirects=False,
        )

    def fetch(self, method: str, path: str) -> Fetched:
        """Ask once; what prevents an answer is told as one with the status 503."""
        try:
            answer = self._client.request(method, path.removeprefix("/"))
            told: Any = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            return Fetched(503, {"message": f"no answer from the place: {type(error).__name__}"})
        return Fetched(answer.status_code, told if isinstance(told, dict) else {})


def _scope(api: _Api) -> TokenScope:
    me = api.fetch("GET", "/me")
    if me.status != 200:
        raise CliError(f"{me.answer.get('message') or f'the place answered {me.status}'}")
    scope = TokenScope(me.answer["token"]["scope"])
    if scope is TokenScope.REDUCE:
        raise CliError(
            "expected a token with the scope read or pause, found one with reduce: an assistant "
            "needs no more; make another token under Security, API tokens",
            Exit.REFUSED,
        )
    return scope


def _root(url: str) -> str:
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HERE)
    if not is_safe or not parts.hostname:
        raise CliError(
            "--url: expected an address that begins with https:// (http:// only for this machine), "
            "because it carries your token",
            Exit.USAGE,
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/api/v1/"


def _token(file: Path | None) -> str:
    text = os.environ.get(ENVIRONMENT, "") if file is None else file.read_text(encoding="utf-8")
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise CliError(
            f"expected an API token in --token-file FILE or in {ENVIRONMENT}; make one under "
            "Security, API tokens",
            Exit.USAGE,
        )
    return token
