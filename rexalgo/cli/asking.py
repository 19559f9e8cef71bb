"""Ask this place something: through its server where one runs, else on the ledger itself."""

import getpass
import os
from pathlib import Path
from typing import Any

from engine.control import call
from rexalgo.cli.common import read_config
from rexalgo.cli.serving import run_trio


def ask(where: Path, method: str, **params: Any) -> dict[str, Any]:
    """Run one command and return its answer."""
    config = read_config(where)

    async def asked() -> dict[str, Any]:
        return await call(config, method, params)

    return run_trio(asked)


def who() -> str:
    """Return who asks, for the record of switches."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return f"user {os.getuid()}"
