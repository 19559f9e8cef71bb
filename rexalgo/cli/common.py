"""What every command shares: exit codes, expected errors, JSON answers, and reading the
configuration.
"""

import json
import os
from enum import IntEnum
from pathlib import Path

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
    """Every exit code of the command line."""

    OK = 0
    NO = 1
    USAGE = 2
    REFUSED = 3
    NOTHING = 4


class CliError(click.ClickException):
    """End the command with a sentence on stderr and an exit code; say what was expected, what was
    found, what to do next.
    """

    def __init__(self, message: str, code: Exit = Exit.NO) -> None:
        super().__init__(message)
        self.code = code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click declares a class variable; each error here has its own code
        """Return the exit code of the process."""
        return int(self.code)


def as_click_error(error: Exception) -> CliError | None:
    """Turn an expected error into its sentence and exit code; None for anything else, which keeps
    its traceback.
    """
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
        case _:
            return None


json_option = click.option("--json", "as_json", is_flag=True, help="Answer with one JSON value.")
"""Give a command its ``--json``; the parameter is called ``as_json``."""


def emit_json(value: object) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def read_config(where: Path) -> Config:
    """Read the configuration that ``--config`` names (``ctx.obj``), with the environment of this
    process.
    """
    return load_config(where, os.environ)


def config_file(where: Path) -> Path:
    """Return the rexalgo.toml that ``--config`` names, whether it exists or not."""
    return where / FILE_NAME if where.is_dir() else where
