"""``rexalgo plugin list|show|enable|disable|test|new``: manage, test and create plugins."""

import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click
import tomlkit

from engine.plugin.host import InstalledPlugin, list_installed, load_plugins
from engine.plugin.kit_record import KitRecord, read_record, why_unproven
from engine.ports.exchange import ExchangeAdapter
from engine.settings.config import Config, load_config
from engine.settings.files import replace_file
from rexalgo.cli.common import CliError, Exit, config_file, emit_json, json_option, read_config
from rexalgo.cli.installed import installed
from rexalgo.cli.plugin_new import new
from rexalgo.cli.plugin_test import test


@click.group()
def plugin() -> None:
    """List, show, enable, disable, test and create plugins. RexAlgo loads only the plugins that
    rexalgo.toml enables.
    """


plugin.add_command(test)
plugin.add_command(new)


@plugin.command("list")
@json_option
@click.pass_obj
def list_(where: Path, as_json: bool) -> None:
    """List installed plugins and whether each is enabled. Imports none of them."""
    enabled = read_config(where).plugins.enabled
    installed = list_installed()
    rows = [_row(each, each.name in enabled) for each in installed]
    missing = [name for name in enabled if name not in {each.name for each in installed}]
    if as_json:
        emit_json({"plugins": rows, "enabled_but_not_installed": missing})
        return
    for row in rows:
        click.echo(
            f"{'enabled ' if row['enabled'] else 'disabled'}  {row['name']:<20}  "
            f"{row['distribution']} {row['version']}"
        )
    for name in missing:
        click.echo(
            f"missing   {name:<20}  enabled but not installed: install it, or run: rexalgo plugin "
            f"disable {name}"
        )


def _row(each: InstalledPlugin, enabled: bool) -> dict[str, object]:
    return {
        "name": each.name,
        "distribution": each.distribution,
        "version": each.version,
        "module": each.module,
        "enabled": enabled,
    }


@plugin.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(where: Path, name: str, as_json: bool) -> None:
    """Show what plugin NAME provides, its settings and kit results."""
    read = read_config(where)
    source = installed(name)
    plugins = load_plugins([name], read.plugin_settings)
    loaded, logins = (
        plugins.loaded[0],
        [row for each in plugins.exchanges.values() for row in _login(each)],
    )
    record, read_only = (
        read_record(read.data_dir, name),
        read_record(read.data_dir, name, read_only=True),
    )
    why = why_unproven(read.data_dir, name, loaded.version, loaded.code)
    answer = _row(source, name in read.plugins.enabled) | {
        "provides": list(loaded.provides),
        "settings": dict(loaded.defaults),
        "login": logins,
        "kit": None if record is None else asdict(record),
        "kit_read_only": None if read_only is None else asdict(read_only),
        "proven": not why,
    }
    if as_json:
        emit_json(answer)
        return
    click.echo(
        f"{name}: {'enabled' if answer['enabled'] else 'disabled'}, {source.distribution} "
        f"{source.version} ({source.module})"
    )
    click.echo("provides: " + ", ".join(loaded.provides))
    click.echo("kit: " + _kit_words(record, why))
    if read_only is not None:
        click.echo("kit, read-only: " + _kit_words(read_only, ""))
    click.echo(
        f"settings of [plugin.{name}] and their defaults:" if loaded.defaults else "no settings"
    )
    for key, value in loaded.defaults.items():
        click.echo(f"  {key} = {value!r}")
    for field in logins:
        text = ". ".join(
            part.rstrip(".")
            for part in (field["help"], field["where"] and f"From {field['where']}", field["lasts"])
            if part
        )
        click.echo(f"credential {field['name']} ({field['label']}): {text}.")


def _login(adapter: ExchangeAdapter) -> list[dict[str, str]]:
    """Return what a person pastes to connect an account, its source, and how long it is valid."""
    days = adapter.traits.credentials_last_days
    lasts = "" if days is None else f"Valid for {days} days"
    return [
        {
            "name": each.name,
            "label": each.label,
            "help": each.help,
            "where": each.where,
            "lasts": lasts if each.secret else "",
        }
        for each in adapter.credential_fields
    ]


def _kit_words(record: KitRecord | None, why_unproven: str) -> str:
    if record is None:
        return "never run here (rexalgo plugin test)"
    text = (
        f"{'passed' if record.passed else 'failed ' + ', '.join(record.failed)}, {record.cases} "
        f"cases, {record.at[:10]}"
    )
    where = f"version {record.version}, {record.environment or 'no exchange'}"
    return f"{text} ({where})" + (
        f"; not valid for real money: {why_unproven}" if why_unproven else ""
    )


@plugin.command()
@click.argument("name")
@json_option
@click.pass_obj
def enable(where: Path, name: str, as_json: bool) -> None:
    """Load plugin NAME once as a check, then enable it."""
    installed(name)
    read = read_config(where)
    load_plugins([name], read.plugin_settings)
    _change(
        where,
        read=read,
        name=name,
        change=lambda enabled: enabled if name in enabled else [*enabled, name],
        as_json=as_json,
    )


@plugin.command()
@click.argument("name")
@json_option
@click.pass_obj
def disable(where: Path, name: str, as_json: bool) -> None:
    """Disable plugin NAME in rexalgo.toml. Does not load it, so a broken plugin can be disabled."""
    read = read_config(where)
    _change(
        where,
        read=read,
        name=name,
        change=lambda enabled: [each for each in enabled if each != name],
        as_json=as_json,
    )


def _change(
    where: Path, read: Config, name: str, change: Callable[[list[str]], list[str]], as_json: bool
) -> None:
    before = list(read.plugins.enabled)
    after = change(before)
    file = config_file(where)
    if after != before:
        _write_enabled(file, after)
    if as_json:
        emit_json(
            {"name": name, "enabled": name in after, "changed": after != before, "file": str(file)}
        )
        return
    state = "enabled" if name in after else "disabled"
    note = f"in {file}; restart rexalgo serve" if after != before else "already; nothing changed"
    click.echo(f"{name} is {state} {note}")


def _write_enabled(file: Path, enabled: list[str]) -> None:
    """Rewrite the array ``plugins.enabled``, and check that no other setting changed before
    replacing the file.
    """
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    document = tomlkit.parse(text)
    section = document.setdefault("plugins", tomlkit.table())
    array = tomlkit.array()
    array.extend(enabled)
    section["enabled"] = array
    written = tomlkit.dumps(document)
    expected = tomllib.loads(text)
    expected["plugins"] = {**expected.get("plugins", {}), "enabled": enabled}
    if tomllib.loads(written) != expected:
        raise CliError(
            f"{file} cannot be rewritten safely; set [plugins] enabled = {enabled!r} by hand",
            Exit.REFUSED,
        )
    replace_file(file, written)
    load_config(file, {})
