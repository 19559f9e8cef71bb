"""``rexalgo init``: write rexalgo.toml and .env for a new installation; never overwrite."""

import base64
import json
import secrets
import sys
import tomllib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

import click
import tomlkit

from engine.keys.vault import new_root_key
from engine.plugin.host import list_installed
from engine.settings.config import load_config
from engine.settings.files import create_file, make_folder
from rexalgo.cli.common import CliError, Exit, emit_json, json_option

_QUESTIONS: Final = {
    "public_url": (
        "Public address, such as https://copy.example.org (empty: this machine only)",
        "",
    ),
    "exchange": ("Exchange plugin (paper for practice)", "paper"),
    "operator": ("Name of the operator, shown to people before they paste a key", ""),
    "zone": ("Time zone of the trading day", "UTC"),
    "alerts": ("Notifier plugin for alerts", "log"),
}


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write into. Default: the current one.",
)
@click.option("--public-url", help="Public address of this installation.")
@click.option("--exchange", help="Name of an exchange plugin; paper for practice.")
@click.option("--operator", help="Name of the operator, shown to people before they paste a key.")
@click.option("--zone", help="Time zone of the trading day, such as Europe/Berlin.")
@click.option("--alerts", help="Name of the notifier plugin that sends alerts.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another setting, such as plugin.mudrex.base_url=URL; may be repeated.",
)
@json_option
@click.pass_obj
def init(
    where: Path,
    /,
    folder: Path | None,
    settings: tuple[str, ...],
    as_json: bool,
    **flags: str | None,
) -> None:
    """Write rexalgo.toml and .env (generated secrets, mode 0600) for a new installation.

    Asks only for what no option gives, and asks nothing without a terminal. Never overwrites: if a
    file exists, ends with 3 and names it.
    """
    target = (folder or (where if where.is_dir() else where.parent)).absolute()
    files = (target / "rexalgo.toml", target / ".env")
    present = [str(file) for file in files if file.exists()]
    if present:
        raise CliError(
            f"{' and '.join(present)} already exist(s); nothing was written. Move the old files "
            "away, or use --dir",
            Exit.REFUSED,
        )
    asks = sys.stdin.isatty() and not as_json
    answers = {key: _answer(key, flag, asks) for key, flag in flags.items()}
    make_folder(target, 0o777)
    _write(files, answers, [_setting(each) for each in settings])
    if as_json:
        emit_json({"config": str(files[0]), "env": str(files[1]), "next": _next_commands(target)})
        return
    click.echo(f"wrote {files[0]}\nwrote {files[1]} (mode 0600)\n")
    click.echo(
        "Keep a copy of .env elsewhere: without it every follower must connect again.\n\nNext:"
    )
    for command in _next_commands(target):
        click.echo(f"  {command}")


def _answer(key: str, flag: str | None, asks: bool) -> str:
    question, default = _QUESTIONS[key]
    if flag is not None:
        return flag
    return str(click.prompt(question, default=default)) if asks else default


def _setting(text: str) -> tuple[list[str], object]:
    """Parse NAME=VALUE: a dotted name and a TOML value; anything that is not TOML is a text."""
    name, sign, value = text.partition("=")
    parts = [each.strip() for each in name.split(".")]
    if not sign or len(parts) < 2 or not all(parts):
        raise CliError(
            f"--set: expected a name such as engine.entry_age_s, = and a value, found {text!r}",
            Exit.USAGE,
        )
    try:
        return parts, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return parts, value


def _with_settings(text: str, settings: list[tuple[list[str], object]]) -> str:
    document = tomlkit.parse(text)
    for parts, value in settings:
        table: Any = document
        for each in parts[:-1]:
            table = table.setdefault(each, tomlkit.table())
            if not isinstance(table, MutableMapping):
                raise CliError(
                    f"--set: {'.'.join(parts)} is not a setting: {each} is a value, not a table",
                    Exit.USAGE,
                )
        table[parts[-1]] = value
    return tomlkit.dumps(document)


def _write(
    files: tuple[Path, Path], answers: dict[str, str], settings: list[tuple[list[str], object]]
) -> None:
    """Write both files, read the configuration back, and remove both if it is invalid."""
    installed = {each.name for each in list_installed()}
    for key in ("exchange", "alerts"):
        if answers[key] not in installed:
            raise CliError(
                f"{key}: expected an installed plugin ({', '.join(sorted(installed))}), found "
                f"{answers[key]!r}",
                Exit.USAGE,
            )
    made: list[Path] = []
    try:
        for file, text, mode in (
            (files[1], new_env_text(), 0o600),
            (files[0], _with_settings(_toml_text(answers), settings), 0o644),
        ):
            create_file(file, text, mode)
            made.append(file)
        load_config(files[0], {})
    except FileExistsError as error:
        _unlink(made)
        raise CliError(
            f"{error.filename2} was created meanwhile; nothing was written", Exit.REFUSED
        ) from error
    except BaseException:
        _unlink(made)
        raise


def _unlink(made: list[Path]) -> None:
    for file in made:
        file.unlink()


def _toml_text(answers: dict[str, str]) -> str:
    enabled = list(
        dict.fromkeys([answers["exchange"], "signed_webhook", "gcra", "log", answers["alerts"]])
    )
    return f"""\
# Settings of this installation. Everything else has its default: rexalgo config check shows every value and its origin.
# Secrets are in .env beside this file, never here.

[web]
public_url = {_quoted(answers["public_url"])}

[plugins]
enabled = [{", ".join(_quoted(name) for name in enabled)}]

[engine]
trading_day_zone = {_quoted(answers["zone"])}

[operator]
name = {_quoted(answers["operator"])}
alerts = {_quoted(answers["alerts"])}
"""


def _quoted(text: str) -> str:
    """Return a TOML basic string. The escapes of JSON are valid in TOML, except for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def new_env_text() -> str:
    """Return the text of a new ``.env`` with fresh secrets."""
    return f"""\
# Secrets of this installation. Keep a copy elsewhere: without ENCRYPTION_KEY every follower must connect again.
ENCRYPTION_KEY={new_root_key()}
JWT_SECRET={base64.b64encode(secrets.token_bytes(32)).decode()}
"""


def _next_commands(target: Path) -> list[str]:
    option = "" if target == Path.cwd() else f"--config {target} "
    return [
        f"rexalgo {option}config check",
        f"rexalgo {option}serve",
        f"rexalgo {option}operator create NAME",
    ]
