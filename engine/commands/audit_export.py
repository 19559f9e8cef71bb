"""Commands that give the audit away: its rows with their seals, and the keys that verify them."""

from collections.abc import Mapping
from typing import Any, Final

from engine.commands.auditing import sure_recorder
from engine.commands.parameters import Reads, Run, text
from engine.context import EngineContext
from engine.domain.errors import InvalidValue
from engine.keys.sealed_secrets import audit_key_of
from engine.ledger import Database
from engine.ledger.audit import (
    SealedRow,
    audit_end,
    parse_audit_end,
    seal_export,
    sealed_rows,
)

PART: Final = 500
"""Rows of one answer: an answer is one line over the control socket."""


async def _audit_export(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return the rows behind ``after``, up to the ``end`` that the first answer named. The last
    answer seals that end.
    """
    db, now = context.ledger.db, context.clock.now()
    after, named = params.get("after", 0), text(params, "end", "")
    if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after < 2**62:
        raise InvalidValue("after", "the number of a row, or 0", after)
    end = parse_audit_end(named) if named else audit_end(db)
    rows = sealed_rows(db, after, end.number, PART)
    answer: dict[str, Any] = {"rows": [_row(each) for each in rows], "end": str(end)}
    if not rows or rows[-1].row.number == end.number:
        key = await context.audit_key()
        answer["sealed"] = {
            "end": str(end),
            "exported": now.isoformat(timespec="microseconds"),
            "kid": key.kid,
            "seal": seal_export(key, end, now),
        }
    return answer


def _row(sealed: SealedRow) -> dict[str, object]:
    row = sealed.row
    return {
        "number": row.number,
        "at": row.at.isoformat(timespec="microseconds"),
        "by": row.by,
        "from": row.address,
        "act": row.act,
        "subject": row.subject,
        "data": row.data,
        "kid": sealed.kid,
        "seal": sealed.seal,
    }


async def _audit_keys(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return the keys that verify rows of these ``kids``, and record who asked for them. They open no
    other secret, and whoever has them can also forge rows.
    """
    kids = params.get("kids")
    if not isinstance(kids, list) or not all(isinstance(each, str) for each in kids):
        raise InvalidValue("kids", "a list of the kids of rows", kids)
    vault, record = await context.open_vault(), await sure_recorder(context, params)
    keys = {kid: audit_key_of(context.ledger.db, vault, kid).hex() for kid in kids}
    by = text(params, "by")

    def write(writing: Database) -> None:
        record(writing, by, "audit_keys_exported", "audit", {"kids": kids})

    await context.ledger.write(write)
    return {"keys": keys}


AUDIT_EXPORT: Final[Mapping[str, Run]] = {
    "audit_export": _audit_export,
    "audit_keys": Reads(_audit_keys),
}
"""Every command that gives the audit away."""
