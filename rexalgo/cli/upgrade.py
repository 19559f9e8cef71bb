"""``rexalgo upgrade --check``: what this version will do to an installation, and the way back."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from engine.ledger.migrating import WAY_BACK
from engine.plugin.host import PluginError, load_plugins
from engine.recovery.upgrading import UpgradeCheck, check_upgrade, refused_addresses
from engine.settings.config import Config, ConfigErrors, load_config
from rexalgo.cli.common import CliError, Exit, emit_json, json_option


@click.command()
@click.option("--check", is_flag=True, help="Say what a start of this version would do.")
@json_option
@click.pass_obj
@click.pass_context
def upgrade(ctx: click.Context, where: Path, check: bool, as_json: bool) -> None:
    """Show what this version will migrate, and whether there is a way back. Changes nothing.

    Run it with the new version before you restart the server; the old one may still run. The
    migration is tried on a copy. Names addresses in the settings that it will not call. The upgrade
    itself is `rexalgo serve`: it copies an older ledger beside itself, verified, and then migrates
    it. Ends with 1 when something prevents that.
    """
    if not check:
        raise CliError(
            "expected --check: the upgrade itself is done by rexalgo serve at its start", Exit.USAGE
        )
    problems: list[str] = []
    config = _read(where, problems)
    seen = None if config is None else check_upgrade(config)
    problems += () if seen is None else seen.problems
    problems += () if config is None else refused_addresses(config)
    if as_json:
        emit_json(
            {"possible": not problems, "problems": problems}
            | ({} if seen is None else {**asdict(seen), "problems": problems})
        )
    else:
        _show(seen, problems)
    if problems:
        ctx.exit(Exit.NO)


def _read(where: Path, problems: list[str]) -> Config | None:
    """Read the configuration as this version understands it, and load its plugins; collect what is
    wrong.
    """
    try:
        config = load_config(where, os.environ)
    except ConfigErrors as error:
        problems += [f"configuration: {each}" for each in error.errors]
        return None
    try:
        load_plugins(config.plugins.enabled, config.plugin_settings)
    except PluginError as error:
        problems.append(f"plugin {error.name}: {error.wrong}; {error.do}")
    return config


def _show(seen: UpgradeCheck | None, problems: list[str]) -> None:
    if seen is not None:
        if not seen.found:
            click.echo(f"no ledger is here yet; this program makes one of version {seen.known}")
        elif not seen.steps and not seen.problems:
            click.echo(
                f"nothing to migrate: the ledger is of version {seen.found}, as this program"
            )
        for step in seen.steps:
            click.echo(f"to version {step.version}: {', '.join(step.tables) or 'indexes'}")
        if seen.took_s is not None:
            click.echo(f"on a copy that took {seen.took_s:.1f} s, and the copy is sound")
        if seen.copy is not None:
            click.echo(
                f"way back: the start first writes {seen.copy}. To go back, "
                f"{WAY_BACK.format(copy=seen.copy)}, at once or not at all: what is traded meanwhile "
                "is not in it. Never move it over the ledger"
            )
    for problem in problems:
        click.echo(f"PREVENTS IT  {problem}")
    click.echo("the upgrade is not possible" if problems else "the upgrade is possible")
