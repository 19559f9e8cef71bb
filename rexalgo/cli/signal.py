"""``rexalgo signal send``: sign a signal and post it, as a bot would."""

import json
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click
import httpx

from rexalgo import Secret, sign_a, sign_b
from rexalgo.cli.common import CliError, Exit, emit_json, json_option, read_word

ENVIRONMENT = "REXALGO_WEBHOOK_SECRET"


@click.group()
def signal() -> None:
    """Sign and send a signal."""


@signal.command()
@click.option("--url", required=True, help="The webhook address of the strategy.")
@click.option(
    "--secret",
    help=(
        "The webhook secret. Other users of this machine can see it; prefer --secret-file or "
        f"{ENVIRONMENT}."
    ),
)
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the webhook secret.",
)
@click.option(
    "--signature",
    type=click.Choice(["rexalgo", "standard"]),
    default="rexalgo",
    help="rexalgo: the header X-RexAlgo-Signature. standard: Standard Webhooks.",
)
@json_option
@click.argument("file", type=click.File("rb"))
def send(
    url: str,
    secret: str | None,
    secret_file: Path | None,
    signature: str,
    as_json: bool,
    file: IO[bytes],
) -> None:
    """Sign FILE with the current time and post it once.

    FILE is a JSON body, or - for standard input. Sends the bytes unchanged. If the body has no
    idempotency_key, adds one, because the server requires it; to repeat a signal safely, send the
    same key again. Ends with 0 when the signal is recorded (202, or 200 for a repeat), else with 1.
    """
    body, key = _with_key(file.read())
    now, chosen = datetime.now(UTC), Secret(_secret(secret, secret_file))
    headers = (
        sign_a(chosen, body, now) if signature == "rexalgo" else sign_b(chosen, body, key, now)
    )
    try:
        response = httpx.post(
            url,
            content=body,
            headers={**headers, "Content-Type": "application/json"},
            timeout=10,
            trust_env=False,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CliError(
            f"no answer from {url}: {type(error).__name__}: {error}. You may safely send the same "
            f"idempotency_key again ({key})"
        ) from None
    try:
        answer = response.json()
    except ValueError:
        answer = {"ok": False, "message": response.text[:200]}
    if as_json:
        emit_json({"status": response.status_code, "idempotency_key": key, **answer})
    else:
        _print(response.status_code, key, answer)
    sys.exit(Exit.OK if response.status_code in (200, 202) else Exit.NO)


def _print(status: int, key: str, answer: dict[str, object]) -> None:
    if status in (200, 202):
        repeated = "  (a repeat: recorded before)" if answer.get("duplicate") else ""
        not_mirrored = (
            f"  NOT MIRRORED: {answer.get('reason')}" if answer.get("mirrored") is False else ""
        )
        click.echo(
            f"{status} recorded{repeated}{not_mirrored}\n  signal   {answer.get('signal_id')}\n  "
            "receipt  "
            f"{answer.get('receipt')}\n  key      {key}"
        )
        click.echo(f"  next: rexalgo why {answer.get('signal_id')} FOLLOWER")
        return
    hint = "  Check the secret, the address, and this machine's clock." if status == 401 else ""
    click.echo(
        f"{status} not taken: {answer.get('message') or answer.get('error')}{hint}", err=True
    )


def _with_key(body: bytes) -> tuple[bytes, str]:
    try:
        table = json.loads(body)
    except ValueError as error:
        raise CliError(f"FILE: expected one JSON object, found: {error}", Exit.USAGE) from None
    if not isinstance(table, dict):
        raise CliError("FILE: expected one JSON object", Exit.USAGE)
    key = table.get("idempotency_key")
    if isinstance(key, str) and key:
        return body, key
    key = f"cli-{secrets.token_hex(12)}"
    return json.dumps({**table, "idempotency_key": key}).encode(), key


def _secret(given: str | None, file: Path | None) -> str:
    secrets_given = [each for each in (given, None if file is None else read_word(file)) if each]
    if not secrets_given and os.environ.get(ENVIRONMENT):
        secrets_given = [os.environ[ENVIRONMENT]]
    if len(secrets_given) != 1:
        raise CliError(
            f"expected the webhook secret once: --secret-file FILE, --secret S, or {ENVIRONMENT} "
            "in the environment",
            Exit.USAGE,
        )
    return secrets_given[0]
