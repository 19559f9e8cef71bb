"""``rexalgo config check``: show every effective value and its origin, or every error."""

import re
from pathlib import Path
from typing import Final

import click

from engine.plugin.host import PluginError, Plugins, load_plugins
from engine.settings.config import Config, ConfigErrors, check_exposure, describe
from rexalgo.cli.common import Exit, as_click_error, emit_json, json_option, read_config

_SENSITIVE: Final = re.compile(r"secret|token|password|passphrase|key", re.IGNORECASE)


@click.group()
def config() -> None:
    """Check the configuration and show the source of each value."""


@config.command()
@json_option
@click.pass_obj
@click.pass_context
def check(ctx: click.Context, where: Path, as_json: bool) -> None:
    """Show every effective value and its origin.

    Includes the settings of plugins. A secret is shown as set or missing.

    Ends with 2 and lists every error when the configuration is wrong. Starts and writes nothing.
    """
    try:
        read = read_config(where)
        plugins = load_plugins(read.plugins.enabled, read.plugin_settings)
    except (ConfigErrors, PluginError) as error:
        if as_json:
            emit_json({"ok": False, "errors": _errors(error)})
        expected = as_click_error(error)
        click.echo(f"Error: {expected.message if expected else error}", err=True)
        ctx.exit(Exit.USAGE)
    values, warnings = _values(read, plugins), check_exposure(read)
    if as_json:
        emit_json({"ok": True, "settings": values, "warnings": warnings})
        return
    _print(values)
    for warning in warnings:
        click.echo(f"warning: rexalgo serve will refuse: {warning}", err=True)


def _errors(error: ConfigErrors | PluginError) -> list[dict[str, str | None]]:
    if isinstance(error, PluginError):
        return [
            {
                "file": error.distribution,
                "key": f"plugin.{error.name}",
                "expected": error.do,
                "found": error.wrong,
            }
        ]
    return [
        {"file": each.file, "key": each.key, "expected": each.expected, "found": each.found}
        for each in error.errors
    ]


def _values(read: Config, plugins: Plugins) -> dict[str, dict[str, object]]:
    values = {
        key: {"value": value, "origin": read.origins[key]} for key, value in describe(read).items()
    }
    for plugin in plugins.loaded:
        for name, value in plugin.settings.items():
            key = f"plugin.{plugin.name}.{name}"
            shown = "set" if _SENSITIVE.search(name) and isinstance(value, str) and value else value
            values[key] = {
                "value": shown,
                "origin": read.origins.get(key, f"default of plugin {plugin.name}"),
            }
    return values


def _print(values: dict[str, dict[str, object]]) -> None:
    width = max(len(key) for key in values)
    for key, row in values.items():
        shown = (
            "(none)"
            if row["value"] is None
            else repr(row["value"])
            if isinstance(row["value"], str)
            else str(row["value"])
        )
        click.echo(f"{key:<{width}}  {shown:<28}  {row['origin']}")
