"""``rexalgo signal send``: sign a signal and post it, as a bot would."""

import json
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
import httpx

from rexalgo import Secret, sign_a, sign_b, squashed
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
@click.option("--key", help="The idempotency key for a body without one, to repeat a signal.")
@json_option
@click.argument("file", type=click.File("rb"))
def send(
    url: str,
    secret: str | None,
    secret_file: Path | None,
    signature: str,
    key: str | None,
    as_json: bool,
    file: IO[bytes],
) -> None:
    """Sign FILE with the current time and post it once.

    FILE is a JSON body, or - for standard input. Sends its bytes unchanged. If the body has no
    idempotency_key, puts one in front of its fields, because the server requires it; to repeat
    such a signal safely, send the same FILE with --key. Ends with 0 when the signal is recorded
    (202, or 200 for a repeat or a dry run), else with 1.
    """
    text = file.read()
    body, key = _with_key(text, key)
    again = "the same file" if body == text else f"the same file with --key {key}"
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
            f"no answer from {url}: {type(error).__name__}: {error}. You may safely send {again} "
            "again: it is one signal"
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


def _print(status: int, key: str, answer: dict[str, Any]) -> None:
    if answer.get("dry_run") is True:
        _print_dry_run(status, answer)
        return
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
    said = answer.get("message") or answer.get("error")
    wrong = f"  {answer['field']}: expected {answer.get('expected')}" if answer.get("field") else ""
    recorded = f"  signal {answer['signal_id']}" if answer.get("signal_id") else ""
    click.echo(f"{status} not taken: {said}{wrong}{recorded}{hint}", err=True)


def _print_dry_run(status: int, answer: dict[str, Any]) -> None:
    would = ", ".join(f"{count} {code}" for code, count in (answer.get("would") or {}).items())
    repeated = "  (a repeat: this signal is recorded)" if answer.get("duplicate") else ""
    reason = f"  NOT MIRRORED: {answer.get('reason')}" if answer.get("mirrored") is False else ""
    click.echo(f"{status} dry run: nothing was recorded or sent{repeated}{reason}")
    click.echo(f"  copies   {answer.get('copies')}\n  would    {would or 'nothing'}")


def _with_key(body: bytes, key: str | None) -> tuple[bytes, str]:
    """Return the body to send and its key. A body that names a key in any form is left to the
    server.
    """
    try:
        pairs = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_Members)
    except ValueError as error:
        raise CliError(f"FILE: expected one JSON object, found: {error}", Exit.USAGE) from None
    if not isinstance(pairs, _Members):
        raise CliError("FILE: expected one JSON object", Exit.USAGE)
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CliError(f"FILE: expected every key once, found {twice[0]!r} twice", Exit.USAGE)
    keys = [value for name, value in pairs if squashed(name) == "idempotencykey"]
    if keys and key is not None:
        raise CliError("expected one idempotency key: FILE has one, so leave --key out", Exit.USAGE)
    if keys:
        return body, keys[0] if isinstance(keys[0], str) else json.dumps(keys[0])
    key = key or f"cli-{secrets.token_hex(12)}"
    before, brace, rest = body.partition(b"{")
    comma = ", " if pairs else ""
    return before + brace + f'"idempotency_key": {json.dumps(key)}{comma}'.encode() + rest, key


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, in order."""


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
