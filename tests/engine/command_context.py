"""The parts that commands need without a running engine."""

import pytest
import trio

from engine.context import EngineContext
from engine.keys.keyring import Keyring
from engine.ledger import Ledger
from engine.ports.clock import Clock
from engine.settings.config import Config


def command_context(
    config: Config, ledger: Ledger, clock: Clock, keyring: Keyring
) -> EngineContext:
    """Return the context of commands on a ledger; it has no plugins."""
    return EngineContext(
        config,
        ledger,
        clock,
        lambda: pytest.fail("no plugins here"),
        keyring.open,
        trio.lowlevel.checkpoint,
        keyring=keyring,
    )
