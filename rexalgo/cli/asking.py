"""Run a command in the server if one is running, else directly on the ledger."""

import getpass
import os
from pathlib import Path
from typing import Any

from engine.control import call
from rexalgo.cli.common import read_config
from rexalgo.cli.process import run_trio


def ask(where: Path, method: str, **params: Any) -> dict[str, Any]:
    """Run one command and return its answer."""
    config = read_config(where)

    async def run() -> dict[str, Any]:
        return await call(config, method, params)

    return run_trio(run)


def who() -> str:
    """Return the name of the operating system user, for the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user of a container may have no name
        return f"user {os.getuid()}"
