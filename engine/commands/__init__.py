"""What the command line, and the operator's pages, can ask for: each command takes and returns
plain JSON types.

The same commands work whether a server runs (over the control socket) or not (on the opened
ledger).
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import trio

from engine.commands.account_view import ACCOUNT_VIEW
from engine.commands.audit_export import AUDIT_EXPORT
from engine.commands.books import BOOKS
from engine.commands.drawdown import DRAWDOWN
from engine.commands.keys import KEYS
from engine.commands.leaks import LEAKS
from engine.commands.metrics import METRICS
from engine.commands.operating import OPERATING, chosen_notifiers
from engine.commands.parameters import Reads
from engine.commands.people import PEOPLE
from engine.commands.provisioning import PROVISIONING
from engine.commands.restoring import RESTORING
from engine.commands.session_keys import SESSION_KEYS
from engine.commands.system import SYSTEM
from engine.commands.touching import TOUCHING
from engine.context import EngineContext
from engine.domain.errors import RexAlgoError
from engine.domain.text import require_text

__all__ = ["Command", "Commands", "chosen_notifiers", "only_reads"]

Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
_ALL: Mapping[str, Callable[..., Awaitable[dict[str, Any]]]] = {
    **OPERATING,
    **ACCOUNT_VIEW,
    **TOUCHING,
    **DRAWDOWN,
    **BOOKS,
    **PEOPLE,
    **AUDIT_EXPORT,
    **SYSTEM,
    **KEYS,
    **SESSION_KEYS,
    **LEAKS,
    **METRICS,
    **RESTORING,
    **PROVISIONING,
}


def only_reads(method: str) -> bool:
    """Return whether a command only reads, as it was registered."""
    return isinstance(_ALL.get(method), Reads)


class Commands:
    """The commands by name, for the control socket and for the operator's pages."""

    def __init__(self, context: EngineContext) -> None:
        self._commands: Mapping[str, Command] = {
            name: partial(run, context) for name, run in _ALL.items()
        }

    async def run(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run one command; raises RexAlgoError for an unknown one, else what the command raises."""
        run = self._commands.get(method)
        if run is None:
            raise RexAlgoError(
                f"unknown command {method!r}; known are {', '.join(sorted(self._commands))}"
            )
        for name, value in params.items():
            for each in value if isinstance(value, list) else (value,):
                if isinstance(each, str):
                    require_text(each, name)
        await trio.lowlevel.checkpoint()  # orders go between the commands of one page
        return await run(params)
