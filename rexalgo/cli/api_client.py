"""One place's API for one person: its address, their token, and asking it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click
import httpx

from rexalgo.cli.common import CliError, Exit, read_word
from rexalgo.cli.mcp_server import Fetched

ENVIRONMENT: Final = "REXALGO_API_TOKEN"
ADDRESS: Final = "REXALGO_API_URL"
_HERE: Final = ("localhost", "127.0.0.1", "::1")
_TIMEOUT_S: Final = 30
C = TypeVar("C", bound=Callable[..., Any])


def place_options(command: C) -> C:
    """Give a command the options that say which place is asked, and as whom."""
    command = click.option(
        "--token-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help=f"A file with the API token; otherwise {ENVIRONMENT} in the environment.",
    )(command)
    return click.option(
        "--url",
        envvar=ADDRESS,
        default="",
        help=f"The address of the server, such as https://copy.example; otherwise {ADDRESS}.",
    )(command)


@contextmanager
def api_client(url: str, token_file: Path | None) -> Iterator["ApiClient"]:
    """Ask the API of a server with a token; raises CliError where address or token is none."""
    with httpx.Client(
        base_url=_root(url),
        headers={"Authorization": f"Bearer {_token(token_file)}"},
        timeout=_TIMEOUT_S,
        trust_env=False,
        follow_redirects=False,
    ) as client:
        yield ApiClient(client)


class ApiClient:
    """The API of one place with one token."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def fetch(self, method: str, path: str, **headers: str) -> Fetched:
        """Ask once; what prevents an answer is told as one with the status 503."""
        try:
            answer = self._client.request(method, path.removeprefix("/"), headers=headers)
            told: Any = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            return Fetched(503, {"message": f"no answer from the server: {type(error).__name__}"})
        return Fetched(answer.status_code, told if isinstance(told, dict) else {})


def refused(fetched: Fetched) -> CliError:
    """Return the error for an answer that is none."""
    code = {404: Exit.NOTHING, 422: Exit.USAGE}.get(fetched.status, Exit.NO)
    message = fetched.answer.get("message") or f"the server answered {fetched.status}"
    return CliError(str(message), code)


def _root(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in _HERE)
    if not is_safe or not host:
        raise CliError(
            "--url: expected an address that begins with https:// (http:// only for this machine), "
            "because it carries your token",
            Exit.USAGE,
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/api/v1/"


def _token(file: Path | None) -> str:
    token = os.environ.get(ENVIRONMENT, "").strip() if file is None else read_word(file)
    if not token or not token.isascii() or not token.isprintable():
        raise CliError(
            f"expected an API token in --token-file FILE or in {ENVIRONMENT}; make one under Security, "
            "API tokens",
            Exit.USAGE,
        )
    return token
