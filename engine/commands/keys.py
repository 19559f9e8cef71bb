"""Commands about root keys: what is sealed under which, adding one, moving everything under it,
removing an old one.

They run in the process that holds the folder's lock: the server if one runs, which thereby knows
the new key at once, else the command itself. Each is one step that may be killed anywhere and
repeated: a key is in its file before anything needs it, and is counted as unused and disabled
before it leaves the file.
"""

from collections.abc import Mapping
from typing import Any, Final

from engine.commands.auditing import sure_recorder
from engine.commands.parameters import Reads, Run, jsonable, text
from engine.commands.session_keys import session_key_status
from engine.context import EngineContext
from engine.domain.errors import InvalidValue, NothingThere, RexAlgoError
from engine.keys.keyring import Keyring
from engine.keys.rewrapping import begin, keep_audit_keys, left_under_others, move_batch
from engine.keys.vault import new_root_key
from engine.ledger import Database
from engine.ledger.root_keys import (
    counts_under,
    disable_root_key,
    end_rewrap,
    note_removed,
    rewrap_of,
    root_keys,
)

BATCHES: Final = 10
BATCHES_MAX: Final = 100
_WORDS: Final = {
    "data_keys": "wrapped data keys",
    "logins": "fingerprints of exchange logins",
    "declared_logins": "fingerprints of declared logins",
    "audit_keys": "kept audit keys",
    "audit_rows": "audit rows whose key is not kept yet",
}


def _keyring(context: EngineContext) -> Keyring:
    if context.keyring is None:
        raise RexAlgoError("root keys cannot be changed here")
    return context.keyring


def words_of(counts: Mapping[str, int]) -> str:
    """Return counts by kind in words."""
    return ", ".join(f"{count} {_WORDS[kind]}" for kind, count in counts.items())


async def _key_status(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return which root keys there are, what needs each, and how far a rewrap has come; never a
    key.
    """
    keyring, db, now = _keyring(context), context.ledger.db, context.clock.now()
    lying, recorded = keyring.kids(), root_keys(db)
    active = lying[0]
    counts = counts_under(db, active)
    rows = []
    for kid in [*lying, *sorted(({*recorded, *counts}) - {*lying})]:
        row = recorded.get(kid)
        added, disabled, removed = (
            (None, None, None) if row is None else (row.added, row.disabled, row.removed)
        )
        state = (
            "active"
            if kid == active
            else "removed"
            if removed
            else "disabled"
            if disabled
            else "old"
        )
        rows.append(
            {
                "kid": kid,
                "state": state,
                "lies_there": kid in lying,
                "added": added,
                "disabled": disabled,
                "removed": removed,
                "age_days": None if added is None else (now - added).days,
                "under": counts.get(kid, {}),
            }
        )
    place, at = keyring.place, rewrap_of(db, active)
    rewrap = (
        None
        if at is None
        else {
            "begun": at.begun,
            "part": at.part,
            "cursor": at.cursor,
            "moved": at.moved,
            "ended": at.ended,
        }
    )
    left = sum(sum(each.values()) for each in left_under_others(db, active).values())
    return dict(
        jsonable(
            {
                "place": "" if place is None else place.label,
                "can_be_written": place is not None and place.file is not None,
                "active": active,
                "in_use": keyring.in_use,
                "keys": rows,
                "rewrap": rewrap,
                "left": left,
                "sessions": session_key_status(context),
            }
        )
    )


async def _key_rotate(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Create a root key and make it the active one; if something is still sealed under an older
    one, continue that rewrap instead.

    ``leaked``: every key of before leaked, so a new one is made in any case.
    """
    leaked = params.get("leaked") is True
    by, keyring, db = text(params, "by", "operator"), _keyring(context), context.ledger.db
    async with context.one_at_a_time:
        vault = await keyring.renew()
        is_new = leaked or not left_under_others(db, vault.active_kid)
        if is_new:
            if keyring.place is None or keyring.place.file is None:
                raise RexAlgoError(
                    "the root keys are in the environment of the process, which no command can "
                    "change: put a key of `rexalgo key new` in "
                    "front of the others there, restart the server, and run `rexalgo key rewrap`"
                )
            vault = await keyring.put_first(new_root_key())
        await _begin(context, by, leaked=leaked)
        left = left_under_others(db, vault.active_kid)
    return {
        "active": vault.active_kid,
        "made": is_new,
        "place": "" if keyring.place is None else keyring.place.label,
        # of the file, not of the vault: a removal that was cut short left a disabled key there
        "old": sorted({*keyring.kids()} - {vault.active_kid}),
        "left": sum(sum(each.values()) for each in left.values()),
    }


async def _begin(context: EngineContext, by: str, *, leaked: bool = False) -> None:
    """Begin the rewrap to the active root key, or continue it."""
    vault, record, now = (
        await context.open_vault(),
        await sure_recorder(context),
        context.clock.now(),
    )

    def write(db: Database) -> None:
        if begin(db, vault, now, renews=leaked):
            record(
                db,
                by,
                "root_key_activated",
                vault.active_kid,
                {
                    "others": sorted(vault.kids - {vault.active_kid}),
                    **({"leaked": True} if leaked else {}),
                },
            )

    await context.ledger.write(write)


async def _key_rewrap(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Move some batches under the active root key, from where the last call ended; ``done`` once
    nothing is sealed under another.

    ``is_through``: every row was read once, so what is ``left`` does not open, or arrived
    meanwhile.
    """
    batches, by = params.get("batches", BATCHES), text(params, "by", "operator")
    if isinstance(batches, bool) or not isinstance(batches, int) or not 1 <= batches <= BATCHES_MAX:
        raise InvalidValue("batches", f"a whole number from 1 to {BATCHES_MAX}", batches)
    async with context.one_at_a_time:
        vault = await _keyring(context).renew()
        if not _is_under_way(context, vault.active_kid) and not left_under_others(
            context.ledger.db, vault.active_kid
        ):
            return {
                "active": vault.active_kid,
                "moved": 0,
                "left": {},
                "is_through": True,
                "done": True,
            }
        await _begin(context, by)
        moved, is_through = 0, False
        for _ in range(batches):
            one, is_through = await _one_batch(context)
            moved += one
            if is_through:
                break
        left = (
            await _finish(context, by)
            if is_through
            else left_under_others(context.ledger.db, vault.active_kid)
        )
    return {
        "active": vault.active_kid,
        "moved": moved,
        "left": {kid: dict(each) for kid, each in left.items()},
        "is_through": is_through,
        "done": not left,
    }


def _is_under_way(context: EngineContext, kid: str) -> bool:
    at = rewrap_of(context.ledger.db, kid)
    return at is not None and at.ended is None


async def _one_batch(context: EngineContext) -> tuple[int, bool]:
    """Move one batch in one transaction; return how many rows were moved, and whether that was the
    last of the last part.
    """
    vault = await context.open_vault()

    def write(db: Database) -> tuple[int, bool]:
        before = rewrap_of(db, vault.active_kid)
        assert before is not None
        goes_on = move_batch(db, vault, before)
        after = rewrap_of(db, vault.active_kid)
        assert after is not None
        return after.moved - before.moved, not goes_on

    return await context.ledger.write(write)


async def _finish(context: EngineContext, by: str) -> Mapping[str, Mapping[str, int]]:
    """Count what is left within one transaction, and record the end if nothing is."""
    vault, record, now = (
        await context.open_vault(),
        await sure_recorder(context),
        context.clock.now(),
    )
    active = vault.active_kid

    def write(db: Database) -> Mapping[str, Mapping[str, int]]:
        left, at = left_under_others(db, active), rewrap_of(db, active)
        if not left and at is not None:
            end_rewrap(db, active, now)
            record(db, by, "root_key_rewrapped", active, {"moved": at.moved, "left": 0})
        return left

    return await context.ledger.write(write)


async def _key_remove(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Disable a root key that nothing needs, then erase it from its store; refuse while anything
    needs it.
    """
    kid, by, keyring = text(params, "kid"), text(params, "by", "operator"), _keyring(context)
    async with context.one_at_a_time:
        vault = await keyring.renew()
        lying, recorded = keyring.kids(), root_keys(context.ledger.db)
        if kid not in recorded:
            raise NothingThere(
                f"no root key {kid} is known here; known are {', '.join(recorded) or 'none'}"
            )
        if kid == vault.active_kid:
            raise RexAlgoError(
                f"root key {kid} is the active one and stays: `rexalgo key rotate` makes another "
                "one active"
            )
        if kid not in lying and recorded[kid].removed is not None:
            raise NothingThere(f"root key {kid} was removed on {recorded[kid].removed:%Y-%m-%d}")
        if recorded[kid].disabled is None:
            await _disable(context, kid, by)
        is_erased = await _erase(context, kid, by)
    return {
        "kid": kid,
        "active": vault.active_kid,
        "erased": is_erased,
        "place": "" if keyring.place is None else keyring.place.label,
    }


async def _disable(context: EngineContext, kid: str, by: str) -> None:
    vault, record, now = (
        await context.open_vault(),
        await sure_recorder(context),
        context.clock.now(),
    )

    def write(db: Database) -> None:
        keep_audit_keys(db, vault)
        counts = counts_under(db, _keyring(context).kids()[0]).get(kid, {})
        if counts:
            raise RexAlgoError(
                f"root key {kid} is still needed by {words_of(counts)}; nothing was removed. "
                "First: rexalgo key rewrap"
            )
        disable_root_key(db, kid, now)
        record(db, by, "root_key_disabled", kid, {})

    await context.ledger.write(write)
    await _keyring(context).renew()


async def _erase(context: EngineContext, kid: str, by: str) -> bool:
    """Erase a disabled root key from its store; return False if only a person can do that."""
    keyring, record, now = _keyring(context), await sure_recorder(context), context.clock.now()
    if kid in keyring.kids():
        if keyring.place is None or keyring.place.file is None:
            return False
        keyring.erase(kid)
        await keyring.renew()

    def write(db: Database) -> None:
        if note_removed(db, kid, now):
            record(db, by, "root_key_removed", kid, {})

    await context.ledger.write(write)
    return True


KEYS: Final[Mapping[str, Run]] = {
    "key_status": Reads(_key_status),
    "key_rotate": _key_rotate,
    "key_rewrap": _key_rewrap,
    "key_remove": _key_remove,
}
"""Every command about root keys."""
