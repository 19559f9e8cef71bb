"""Write what an operator did into the audit, with the change itself.

A switch must work even if the keys are not available (a server that hangs, an environment without
them): then it is set all the same, its event says who did it, and the log says that the audit lacks
the row.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from engine.commands.parameters import asked_from
from engine.context import EngineContext
from engine.domain.errors import RexAlgoError
from engine.ledger import Database
from engine.ledger.audit import AuditKey, append_audit

_LOG = logging.getLogger("rexalgo.audit")
Record = Callable[[Database, str, str, str, Mapping[str, object]], None]
"""Appends (who, act, subject, data) within the caller's transaction."""


async def sure_recorder(context: EngineContext, params: dict[str, Any] | None = None) -> Record:
    """Return a function that appends to the audit, with the command's origin; raises RexAlgoError if
    its key is not available. Without ``params`` the shell asks.
    """
    now, address = context.clock.now(), asked_from(params or {})
    return _appending(await context.audit_key(), now, address)


async def recorder(context: EngineContext, params: dict[str, Any]) -> Record:
    """As ``sure_recorder``, but where the key is not available nothing is appended."""
    now, address = context.clock.now(), asked_from(params)
    try:
        return _appending(await context.audit_key(), now, address)
    except RexAlgoError as error:
        _LOG.warning(
            "what follows is not in the audit, because its key is not available: %s", error
        )
        return lambda db, by, act, subject, data: None


def _appending(key: AuditKey, now: datetime, address: str) -> Record:
    return lambda db, by, act, subject, data: append_audit(
        db, key=key, by=by, act=act, subject=subject, data=data, at=now, address=address
    )
