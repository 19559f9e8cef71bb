"""``rexalgo secret rotate``: a new webhook secret, with an overlap in which the old one still
holds.
"""

from pathlib import Path

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import emit_json, json_option


@click.group()
def secret() -> None:
    """Renew a strategy's webhook secret."""


@secret.command()
@click.option("--strategy", required=True, metavar="NAME", help="Whose webhook.")
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, 720),
    default=24,
    show_default=True,
    help="How long the old secret still holds.",
)
@click.option(
    "--revoke-now",
    is_flag=True,
    help="Refuse the old secret from this moment; the same as --overlap-hours 0.",
)
@json_option
@click.pass_obj
def rotate(where: Path, strategy: str, overlap_hours: int, revoke_now: bool, as_json: bool) -> None:
    """Make a new secret and show it once. The address stays the same."""
    told = ask(
        where,
        "rotate",
        strategy=strategy,
        overlap_hours=0 if revoke_now else overlap_hours,
        by=who(),
    )
    if as_json:
        emit_json(told)
        return
    click.echo(
        f"strategy {told['strategy']}\n  webhook  {told['webhook_url']}\n  secret   "
        f"{told['secret']}"
    )
    click.echo("  Keep the secret now: it is not shown again.")
    click.echo(
        "The old secret is refused from now on."
        if revoke_now or not overlap_hours
        else f"The old one holds until {told['old_secrets_valid_until']}."
    )
    for each in told["old_secrets"]:
        if each["last_used"]:
            click.echo(
                f"  an older secret was last used {each['last_used']} from {each['last_used_from']}"
            )
