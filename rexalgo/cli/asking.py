"""Run a command in the server if one is running, else directly on the ledger."""

import getpass
import os
from pathlib import Path
from typing import Any, Final

import click

from engine.control import NoServer, call
from engine.settings.config import ConfigErrors, load_sound_part
from rexalgo.cli.common import read_config
from rexalgo.cli.process import run_trio

_TOLD: Final = "rexalgo.wrong_configuration"


def ask(where: Path, method: str, **params: Any) -> dict[str, Any]:
    """Run one command and return its answer.

    With a wrong configuration only the running server is asked: whatever became of the files, it
    trades, and can be stopped. Without one, the errors are raised.
    """
    try:
        config, wrong = read_config(where), None
    except ConfigErrors as error:
        if not where.exists():
            raise
        config, wrong = load_sound_part(where, os.environ), error

    async def run() -> dict[str, Any]:
        return await call(config, method, params, by_server=wrong is not None)

    try:
        answer = run_trio(run)
    except NoServer:
        if wrong is None:
            raise
        raise wrong from None
    if wrong is not None:
        _warn(wrong)
    return answer


def _warn(wrong: ConfigErrors) -> None:
    """Tell once in a command what is wrong with the configuration."""
    told = click.get_current_context().meta
    if _TOLD not in told:
        told[_TOLD] = True
        click.echo(
            "the server that runs was asked, and the configuration is wrong: correct it before the "
            f"next start\n{wrong}",
            err=True,
        )


def who() -> str:
    """Return the name of the operating system user, for the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user of a container may have no name
        return f"user {os.getuid()}"
