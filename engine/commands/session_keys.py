"""Commands about the keys that sign session cookies: what there is, adding one, removing one.

A rotation puts a new key in front of the former one, which still reads the cookies that it wrote;
so nobody is signed out. The former one leaves when no session of before can be alive. Each command
may be killed anywhere and repeated: a key that is in the file and not in the ledger is one whose
rotation was cut short, and the next call completes it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from engine.commands.auditing import sure_recorder
from engine.commands.parameters import Run, text
from engine.context import EngineContext
from engine.domain.errors import NothingThere, RexAlgoError
from engine.ledger import Database
from engine.ledger.session_keys import (
    note_session_key,
    note_session_key_removed,
    session_keys,
    sessions_begun_before,
)

HOW_IN_ENVIRONMENT: Final = (
    "JWT_SECRET is in the environment of the process, which no command can change: put a new value "
    "and a comma in front of it there, and restart the server"
)


async def note_session_keys(context: EngineContext) -> None:
    """Record the keys that this process found and the ledger does not know yet."""
    keys, now = context.session_keys, context.clock.now()
    if keys.place is None:
        return
    unknown = set(keys.current().kids) - set(session_keys(context.ledger.db))

    def write(db: Database) -> None:
        for kid in sorted(unknown):
            note_session_key(db, kid, now)

    if unknown:
        await context.ledger.write(write)


def session_key_status(context: EngineContext) -> dict[str, Any]:
    """Return which keys there are, and until when the former ones are needed; never a key."""
    keys, db, now = context.session_keys, context.ledger.db, context.clock.now()
    kids, known = keys.current().kids, session_keys(db)
    needed, until = _needed(context, now) if len(kids) > 1 else (0, None)
    return {
        "place": "" if keys.place is None else keys.place.label,
        "can_be_written": keys.can_be_written,
        "keys": [
            {
                "kid": kid,
                "state": "active" if kid == kids[0] else "old",
                "added": known[kid].added.isoformat() if kid in known else None,
            }
            for kid in kids
        ],
        "sessions": needed,
        "until": None if until is None else until.isoformat(),
    }


def _needed(context: EngineContext, now: datetime) -> tuple[int, datetime | None]:
    """Count the sessions that an older key may have signed, and return when the last one ends."""
    db, active = context.ledger.db, context.session_keys.current().kids[0]
    row = session_keys(db).get(active)
    return sessions_begun_before(db, now if row is None else row.added, now)


async def _rotate(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Create a key and make it the active one; the former one still reads. Refuse while one of
    before is there.
    """
    by, keys = text(params, "by", "operator"), context.session_keys
    async with context.one_at_a_time:
        if not keys.can_be_written and keys.place is not None:
            raise RexAlgoError(HOW_IN_ENVIRONMENT)
        kids = keys.current().kids
        is_new = len(kids) == 1 or kids[0] in session_keys(context.ledger.db)
        if is_new and len(kids) > 1:
            needed, until = _needed(context, context.clock.now())
            when = f"from {until:%Y-%m-%d %H:%M} UTC on" if needed and until else "now"
            raise RexAlgoError(
                f"the former session key {kids[1]} is still there, and two are enough: "
                f"`rexalgo key remove {kids[1]}` can remove it {when}"
            )
        if is_new:
            keys.put_first()
        await _record(context, by)
    kids = keys.current().kids
    return {
        "active": kids[0],
        "old": kids[1:],
        "made": is_new,
        "place": "" if keys.place is None else keys.place.label,
    }


async def _record(context: EngineContext, by: str) -> None:
    kids = context.session_keys.current().kids
    record, now = await sure_recorder(context), context.clock.now()

    def write(db: Database) -> None:
        for kid in kids:
            note_session_key(db, kid, now)
        record(db, by, "session_key_activated", kids[0], {"others": kids[1:]})

    await context.ledger.write(write)


async def _remove(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Erase a key that only reads; refuse while a session may carry a cookie that it signed."""
    kid, by, keys = text(params, "kid"), text(params, "by", "operator"), context.session_keys
    async with context.one_at_a_time:
        kids, row = keys.current().kids, session_keys(context.ledger.db).get(kid)
        if kid not in kids and (row is None or row.removed is not None):
            raise NothingThere(f"no session key {kid} is here; here are {', '.join(kids)}")
        if kid == kids[0]:
            raise RexAlgoError(
                f"session key {kid} is the active one and stays: `rexalgo key rotate jwt` makes "
                "another one active"
            )
        needed, until = _needed(context, context.clock.now())
        if needed and until is not None and kid in kids:
            raise RexAlgoError(
                f"session key {kid} is still needed: {needed} sessions began before the active one, "
                f"and the last of them ends at {until:%Y-%m-%d %H:%M} UTC. Remove it then; "
                "if it leaked: rexalgo key leaked jwt"
            )
        if kid in kids:
            if not keys.can_be_written:
                raise RexAlgoError(
                    "JWT_SECRET is in the environment of the process, which no command can change: "
                    f"take the value behind the comma away there (key {kid}), and restart the server"
                )
            keys.erase(kid)
        await _note_removed(context, kid, by)
    return {"kid": kid, "active": keys.current().kids[0], "erased": True}


async def _note_removed(context: EngineContext, kid: str, by: str) -> None:
    record, now = await sure_recorder(context), context.clock.now()

    def write(db: Database) -> None:
        note_session_key(db, kid, now)
        if note_session_key_removed(db, kid, now):
            record(db, by, "session_key_removed", kid, {})

    await context.ledger.write(write)


SESSION_KEYS: Final[Mapping[str, Run]] = {
    "session_key_rotate": _rotate,
    "session_key_remove": _remove,
}
"""Every command about session keys; ``key_status`` names them beside the root keys."""
