"""Commands for a secret that leaked: what the place can do at once, in one transaction each, and what
only a person can do, returned as counts and names.

A leaked root key is renewed step by step (``engine.commands.keys``): each call begins with a key
that was made after it was asked for, so that nothing is assumed of a run that was cut short.
"""

from collections.abc import Mapping
from typing import Any, Final

from engine.commands.auditing import sure_recorder
from engine.commands.parameters import Run, asked_from, jsonable, no_such, text
from engine.commands.session_keys import HOW_IN_ENVIRONMENT
from engine.context import EngineContext
from engine.domain.errors import NothingThere, RexAlgoError
from engine.domain.holding import Switch, SwitchScope
from engine.ledger import Database
from engine.ledger.identity import all_people, factor, note_leaked_login, person
from engine.ledger.people import (
    account_named,
    accounts,
    declared,
    endpoint_owner,
    endpoints,
    strategies,
    strategy_named,
)
from engine.ledger.reports import set_switch
from engine.ledger.session_keys import (
    end_all_sessions,
    note_session_key,
    note_session_key_removed,
)
from engine.ledger.sessions import revoke_sessions
from engine.services.endpoints import renew_capabilities

LEAKED_NOTE: Final = "its exchange key leaked: its owner renews it, then the operator resumes"


async def _jwt(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Put one new session key in place of all, and end every session."""
    by, keys = text(params, "by", "operator"), context.session_keys
    async with context.one_at_a_time:
        if keys.place is not None and not keys.can_be_written:
            raise RexAlgoError(f"{HOW_IN_ENVIRONMENT}; leave the leaked value out")
        former = keys.current().kids
        keys.replace_all()
        (active,) = keys.current().kids
        record, now = await sure_recorder(context, params), context.clock.now()

        def write(db: Database) -> int:
            for kid in (active, *former):
                note_session_key(db, kid, now)
            for kid in former:
                note_session_key_removed(db, kid, now)
            ended = end_all_sessions(db, now)
            record(
                db,
                by,
                "session_key_leaked",
                ", ".join(former),
                {"active": active, "sessions_ended": ended},
            )
            return ended

        ended = await context.ledger.write(write)
    place = "" if keys.place is None else keys.place.label
    return {"active": active, "erased": former, "sessions_ended": ended, "place": place}


async def _account(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Stop the entries of an account, take its login for no proof any more, and end its owner's
    sessions. Exits go on.

    The login is still known as this account's: whoever has it cannot connect it as another one.
    """
    name, by, db = text(params, "name"), text(params, "by", "operator"), context.ledger.db
    row = account_named(db, name)
    if row is None:
        raise NothingThere(no_such("account", name, [each.name for each in accounts(db)]))
    record, now = await sure_recorder(context, params), context.clock.now()
    switch = Switch(scope=SwitchScope.ACCOUNT, target=name, note=LEAKED_NOTE, set_by=by, set_at=now)

    def write(writing: Database) -> int:
        set_switch(writing, switch)
        note_leaked_login(writing, row.id)
        ended = revoke_sessions(writing, row.person, now)
        record(
            writing,
            by,
            "exchange_key_leaked",
            name,
            {"exchange": row.exchange, "sessions_ended": ended},
        )
        return ended

    ended = await context.ledger.write(write, first=True)
    await context.changed()
    return {
        "account": name,
        "owner": person(db, row.person).called,
        "exchange": row.exchange,
        "sessions_ended": ended,
        "declared": ("follower", name, "login") in declared(db),
        "page": f"{context.webhook_address}/accounts/{name}/key",
    }


async def _exposed(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return what a copy of the ledger opens with its root key: names to renew, never a secret."""
    db = context.ledger.db
    with_address = {each.strategy for each in endpoints(db) if not each.is_deleted}
    return {
        "accounts": [each.name for each in accounts(db)],
        "strategies": [each.name for each in strategies(db) if each.id in with_address],
        "second_factors": [
            each.called for each in all_people(db) if factor(db, each.id).totp_sealed is not None
        ],
    }


async def _addresses(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Count the addresses of a strategy that are themselves the proof."""
    name, db = text(params, "strategy"), context.ledger.db
    ids = {each.id for each in strategies(db) if each.name == name}
    count = sum(
        1
        for each in endpoints(db)
        if each.strategy in ids and each.token_hash is not None and not each.is_deleted
    )
    return {"strategy": name, "addresses": count}


async def _capabilities(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Renew every address of a strategy that is itself the proof; return each, shown only now."""
    name, by, db = text(params, "strategy"), text(params, "by", "operator"), context.ledger.db
    strategy = strategy_named(db, name)
    if strategy is None:
        raise NothingThere(no_such("strategy", name, [each.name for each in strategies(db)]))
    if not (await _addresses(context, params))["addresses"]:
        raise NothingThere(
            f"strategy {name} has no address that is itself the proof; for the secret of its bot: "
            f"rexalgo key leaked webhook {name}"
        )
    renewed = await renew_capabilities(context, strategy.id, name, by, asked_from(params))
    return {
        "strategy": name,
        "owner": person(db, endpoint_owner(db, renewed[0][0].id)).called,
        "addresses": [
            {"source": row.source, "settings": jsonable(dict(row.settings)), "url": url}
            for row, url in renewed
        ],
        "page": f"{context.webhook_address}/studio/strategies/{strategy.id}",
    }


LEAKS: Final[Mapping[str, Run]] = {
    "leaked_jwt": _jwt,
    "leaked_account": _account,
    "leaked_exposed": _exposed,
    "leaked_addresses": _addresses,
    "leaked_capabilities": _capabilities,
}
"""Every command about leaked secrets; root keys and webhook secrets go through their own commands."""
