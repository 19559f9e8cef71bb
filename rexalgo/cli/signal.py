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
from rexalgo.cli.common import CliError, Exit, emit_json, json_option

ENVIRONMENT = "REXALGO_WEBHOOK_SECRET"


@click.group()
def signal() -> None:
    """Sign and send a signal."""


@signal.command()
@click.option("--url", required=True, help="The webhook address of the strategy.")
@click.option(
    "--secret",
    help=(
        "The webhook secret. Others on this machine can see it; better: --secret-file, or "
        f"{ENVIRONMENT}."
    ),
)
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the webhook secret.",
)
@click.option(
    "--dialect",
    type=click.Choice(["a", "b"]),
    default="a",
    help="a: X-RexAlgo-Signature. b: Standard Webhooks.",
)
@json_option
@click.argument("file", type=click.File("rb"))
def send(
    url: str,
    secret: str | None,
    secret_file: Path | None,
    dialect: str,
    as_json: bool,
    file: IO[bytes],
) -> None:
    """Sign FILE (a JSON body; - is standard input) with this moment's time and post it once.

    The bytes are sent as they are. Only where the body has no idempotency_key, one is added,
    because without it nothing is accepted; send the same key again to repeat a signal safely. Ends
    with 0 when the signal is safe (202, or 200 for a repeated one), else 1.
    """
    body, key = _with_key(file.read())
    now, chosen = datetime.now(UTC), Secret(_secret(secret, secret_file))
    headers = sign_a(chosen, body, now) if dialect == "a" else sign_b(chosen, body, key, now)
    try:
        answer = httpx.post(
            url,
            content=body,
            headers={**headers, "Content-Type": "application/json"},
            timeout=10,
            trust_env=False,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CliError(
            f"no answer from {url}: {type(error).__name__}: {error}. It is safe to send the same "
            f"idempotency_key again ({key})"
        ) from None
    try:
        told = answer.json()
    except ValueError:
        told = {"ok": False, "message": answer.text[:200]}
    if as_json:
        emit_json({"status": answer.status_code, "idempotency_key": key, **told})
    else:
        _print(answer.status_code, key, told)
    sys.exit(Exit.OK if answer.status_code in (200, 202) else Exit.NO)


def _print(status: int, key: str, told: dict[str, object]) -> None:
    if status in (200, 202):
        repeated = "  (a repeat: it was recorded before)" if told.get("duplicate") else ""
        held = f"  NOT MIRRORED: {told.get('reason')}" if told.get("mirrored") is False else ""
        click.echo(
            f"{status} recorded{repeated}{held}\n  signal   {told.get('signal_id')}\n  receipt  "
            f"{told.get('receipt')}\n  key      {key}"
        )
        click.echo(f"  next: rexalgo why {told.get('signal_id')} FOLLOWER")
        return
    hint = "  Look at the secret, the address, and this machine's clock." if status == 401 else ""
    click.echo(f"{status} not taken: {told.get('message') or told.get('error')}{hint}", err=True)


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
    found = [
        each
        for each in (given, None if file is None else file.read_text(encoding="utf-8").strip())
        if each
    ]
    if not found and os.environ.get(ENVIRONMENT):
        found = [os.environ[ENVIRONMENT]]
    if len(found) != 1:
        raise CliError(
            f"expected the webhook secret once: --secret-file FILE, --secret S, or {ENVIRONMENT} "
            "in the environment",
            Exit.USAGE,
        )
    return found[0]
