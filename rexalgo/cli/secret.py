"""``rexalgo secret rotate``: a new webhook secret, with an overlap for the old one."""

from pathlib import Path

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import emit_json, json_option


@click.group()
def secret() -> None:
    """Renew a strategy's webhook secret."""


@secret.command()
@click.option(
    "--strategy", required=True, metavar="NAME", help="The strategy whose secret to renew."
)
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, 720),
    default=24,
    show_default=True,
    help="How long the old secret stays valid.",
)
@click.option(
    "--revoke-now",
    is_flag=True,
    help="Refuse the old secret at once, as --overlap-hours 0 does.",
)
@json_option
@click.pass_obj
def rotate(where: Path, strategy: str, overlap_hours: int, revoke_now: bool, as_json: bool) -> None:
    """Create a new secret and show it once. The address does not change."""
    answer = ask(
        where,
        "rotate",
        strategy=strategy,
        overlap_hours=0 if revoke_now else overlap_hours,
        by=who(),
    )
    if as_json:
        emit_json(answer)
        return
    click.echo(
        f"strategy {answer['strategy']}\n  webhook  {answer['webhook_url']}\n  secret   "
        f"{answer['secret']}"
    )
    click.echo("  Store the secret now: it is not shown again.")
    click.echo(
        "The old secret is refused from now on."
        if revoke_now or not overlap_hours
        else f"The old secret is valid until {answer['old_secrets_valid_until']}."
    )
    for each in answer["old_secrets"]:
        if each["last_used"]:
            click.echo(
                f"  an older secret was last used {each['last_used']} from {each['last_used_from']}"
            )
