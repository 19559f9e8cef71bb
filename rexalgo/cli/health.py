"""``rexalgo health``: ask the running server whether it works, for the check of a container."""

import ssl
from pathlib import Path

import click
import httpx

from engine.settings.config import Config
from rexalgo.cli.common import CliError, Exit, emit_json, json_option, read_config

WITHIN_S = 4.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a server on every address is asked


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help="The port of the server instead of the configured one.",
)
@json_option
@click.pass_obj
def health(where: Path, port: int | None, as_json: bool) -> None:
    """Ask the running server at its own address whether it works.

    Ends with 1 if it says no, or does not answer within 4 s. An operator asks `rexalgo doctor`.
    """
    config = read_config(where)
    url = _address(config, port)
    try:
        with httpx.Client(trust_env=False, verify=_trust(config), timeout=WITHIN_S) as client:
            answer = client.get(f"{url}/api/health")
        told = dict(answer.json())
    except (httpx.HTTPError, ValueError, OSError) as error:
        raise CliError(
            f"expected an answer of the server at {url} within {WITHIN_S:.0f} s, found "
            f"{type(error).__name__}; read its log, or rexalgo doctor",
            Exit.NO,
        ) from None
    if as_json:
        emit_json(told)
    elif told.get("ok"):
        click.echo(f"the server at {url} works, version {told.get('version')}")
    if not told.get("ok"):
        raise CliError(
            f"the server at {url} does not work: {'; '.join(map(str, told.get('problems', ())))}",
            Exit.NO,
        )


def _address(config: Config, port: int | None) -> str:
    web = config.web
    host = _ANY.get(web.host, web.host)
    scheme = "http" if web.tls_certificate is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port or web.port}"


def _trust(config: Config) -> ssl.SSLContext | bool:
    """Trust the certificate that the server itself has, under whatever name."""
    if config.web.tls_certificate is None:
        return True
    trust = ssl.create_default_context(cafile=str(config.web.tls_certificate))
    trust.check_hostname = False
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return trust
