"""What can be asked by the command line, and by the operator's pages: each command takes and returns plain JSON types.

The same commands work whether a server runs (over the control socket) or not (on the opened ledger).
"""

from collections.abc import Mapping
from functools import partial

from engine.commands.books import BOOKS
from engine.commands.drawdown import DRAWDOWN
from engine.commands.keys import KEYS
from engine.commands.operating import OPERATING, chosen_notifiers
from engine.commands.people import PEOPLE
from engine.commands.provisioning import PROVISIONING
from engine.commands.restoring import RESTORING
from engine.commands.system import SYSTEM
from engine.office import NothingThere, Office
from engine.service import Command

__all__ = ["NothingThere", "chosen_notifiers", "commands_of"]


def commands_of(office: Office) -> Mapping[str, Command]:
    """Return every command by name."""
    commands = {**OPERATING, **DRAWDOWN, **BOOKS, **PEOPLE, **SYSTEM, **KEYS, **RESTORING, **PROVISIONING}
    return {name: partial(run, office) for name, run in commands.items()}
