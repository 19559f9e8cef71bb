"""Shared parts of the commands: exit codes, expected errors, JSON answers, the configuration."""

import json
import os
from enum import IntEnum
from pathlib import Path
from pwd import getpwuid

import click

from engine.domain.errors import (
    InUse,
    InvalidValue,
    NothingThere,
    RexAlgoError,
    UnusableFile,
)
from engine.plugin.host import PluginError
from engine.settings.config import FILE_NAME, Config, ConfigErrors, load_config


class Exit(IntEnum):
    """The exit codes of the command line."""

    OK = 0
    NO = 1
    USAGE = 2
    REFUSED = 3
    NOTHING = 4


class CliError(click.ClickException):
    """Raised to end the command with a message on stderr and an exit code.

    The message says what was expected, what was found, and what to do next.
    """

    def __init__(self, message: str, code: Exit = Exit.NO) -> None:
        super().__init__(message)
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click declares a class variable; each error here has its own code
        """Return the exit code of the process."""
        return int(self.code)


def as_click_error(error: Exception) -> CliError | None:
    """Return an expected error as a message with an exit code, or None for any other error."""
    match error:
        case ConfigErrors():
            return CliError(
                f"{len(error.errors)} problem(s) in the configuration\n{error}", Exit.USAGE
            )
        case PluginError() | InvalidValue() | UnusableFile():
            return CliError(str(error), Exit.USAGE)
        case NothingThere():
            return CliError(str(error), Exit.NOTHING)
        case InUse():
            return CliError(str(error), Exit.REFUSED)
        case RexAlgoError():
            return CliError(str(error), Exit.NO)
        case PermissionError(filename=str() | Path() as file):
            return CliError(_whose(Path(file), error), Exit.NO)
        case OSError(filename=str() | Path() as file):
            return CliError(f"{file}: {error.strerror}", Exit.NO)
        case _:
            return None


def _whose(file: Path, error: PermissionError) -> str:
    """Return what this user may not open, and what to do about it."""
    keeper = _owner(file.parent)
    owner = _owner(file) or keeper
    what = f"{file}: {error.strerror}"
    if owner and owner == _user():
        return f"{what}; it is yours, and its mode forbids it: chmod u+rwX {file}"
    if owner != keeper:
        return (
            f"{what}; it belongs to {owner} and its folder to {keeper}: sudo chown "
            f"--reference={file.parent} {file}"
        )
    return f"{what}; it belongs to {owner}: run the command as that user (sudo -u {owner} ...)"


def _user() -> str:
    try:
        return getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def _owner(path: Path) -> str:
    """Return whose a file is, by name or number; empty if nobody can see it."""
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"
    except OSError:
        return ""


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the answer as one JSON value."
)
"""The ``--json`` option of every command; its parameter is ``as_json``."""


def emit_json(value: object) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def read_word(file: Path) -> str:
    """Read the one secret or token that a file holds, without the space around it; raises CliError
    where nobody can read it.
    """
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise CliError(f"{file}: expected a readable file in UTF-8", Exit.USAGE) from None


def read_config(where: Path) -> Config:
    """Read the configuration that ``--config`` names, with the environment of this process."""
    return load_config(where, os.environ)


def config_file(where: Path) -> Path:
    """Return the path of the rexalgo.toml that ``--config`` names; the file may not exist."""
    return where / FILE_NAME if where.is_dir() else where
