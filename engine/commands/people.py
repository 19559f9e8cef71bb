"""Commands about people: operators, roles, one-time links, invitations, and the audit."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cache, partial
from typing import Any, Final

import trio

from engine.commands.auditing import sure_recorder
from engine.commands.parameters import Reads, Run, asked_from, jsonable, no_such, text, whole
from engine.context import EngineContext
from engine.domain.errors import InvalidValue, NothingThere
from engine.domain.holding import SwitchLevel
from engine.domain.identifiers import parse_name
from engine.domain.person import Person, Role, parse_role
from engine.keys.sealed_secrets import audit_key_of, new_person
from engine.ledger import Database
from engine.ledger.audit import (
    SHELL,
    AuditFilter,
    AuditRow,
    audit_end,
    audit_rows,
    parse_audit_end,
    verified_so_far,
)
from engine.ledger.following import accounts_of
from engine.ledger.identity import (
    PeopleFilter,
    all_people,
    count_people,
    decide_master_request,
    factor,
    give_role,
    master_requests,
    person,
    person_named,
    set_totp,
    take_role,
)
from engine.ledger.outcomes import write_event
from engine.ledger.passkeys import delete_passkeys, passkeys_of
from engine.ledger.people import insert_person, master_of, strategies, strategy_named
from engine.ledger.sessions import invitations, revoke_sessions, revoke_ticket, sessions_of
from engine.ledger.suspending import (
    NOTE_CHARACTERS_MAX,
    end_suspension,
    suspend,
    suspension,
)
from engine.ledger.touching import held, resting_entries
from engine.services.identity import make_invitation, make_link
from engine.services.mastering import become_master
from engine.services.passkeys import passkey_host

_LOOKED_AT_ONCE: Final = 2_000
_STANDS_FOR: Final = {Role.FOLLOWER: "accounts", Role.MASTER: "strategies"}
"""What takes no entries while its owner's role is taken, as ``_theirs`` names it."""


async def _users(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Read people with roles and factors: those selected by ``search``, ``role``, ``suspended``,
    ``after`` and ``limit``.
    """
    db, limit, role = context.ledger.db, params.get("limit", -1), text(params, "role", "")
    wanted = PeopleFilter(
        search=text(params, "search", ""),
        role=parse_role(role) if role else None,
        suspended=params.get("suspended") is True,
    )
    total = count_people(db, wanted)
    shown = all_people(
        db,
        wanted,
        after=text(params, "after", ""),
        limit=limit if isinstance(limit, int) else -1,
    )
    rows = [_user_row(context, user) for user in shown]
    asked = [
        {"name": each.name, "note": each.note, "at": each.at.isoformat()}
        for each in master_requests(db)
    ]
    return {"users": rows, "total": total, "asked_to_be_master": asked}


def _user_row(context: EngineContext, user: Person) -> dict[str, Any]:
    db, now = context.ledger.db, context.clock.now()
    factors, held = factor(db, user.id), suspension(db, user.id)
    passkeys, host = passkeys_of(db, user.id), passkey_host(context)
    return {
        "name": user.name,
        "roles": sorted(role.value for role in user.roles),
        "password": factors.password is not None,
        "second_factor": factors.totp_sealed is not None or bool(passkeys),
        "passkeys": len(passkeys),
        "unusable_passkeys": sum(not each.is_usable(host) for each in passkeys),
        "sessions": len(sessions_of(db, user.id, now)),
        "suspended": None if held is None else jsonable(held),
    }


async def _user(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Read one person: roles, factors, sessions, accounts, strategies and how much is open there."""
    who, db, now = _person(context, text(params, "name")), context.ledger.db, context.clock.now()
    theirs = _theirs(context.ledger.db, who)
    rows = [
        {
            "id": each.id,
            "created_at": each.created_at.isoformat(),
            "seen_at": each.seen_at.isoformat(),
            "address": each.address,
            "agent": each.agent,
        }
        for each in sessions_of(db, who.id, now)
    ]
    mine = [each.id for each in accounts_of(db, who.id)]
    return {
        **_user_row(context, who),
        "session_rows": rows,
        **theirs,
        "open": sum(place.count for each in mine for place in held(db, each)),
        "resting": sum(place.count for each in mine for place in resting_entries(db, each)),
    }


async def _sign_out(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """End a person's sessions: every one, or the one with the id ``session``."""
    who, by = _person(context, text(params, "name")), text(params, "by", "operator")
    only, now, record = (
        text(params, "session", ""),
        context.clock.now(),
        await sure_recorder(context, params),
    )

    def write(db: Database) -> int:
        ended = revoke_sessions(db, who.id, now, only=only or None)
        if ended:
            record(db, by, "sessions_ended", who.name, {"sessions_ended": ended})
        return ended

    ended = await context.ledger.write(write)
    await context.changed()
    return {"name": who.name, "sessions_ended": ended}


def _person(context: EngineContext, name: str) -> Person:
    person = person_named(context.ledger.db, name)
    if person is None:
        raise NothingThere(
            no_such("person", name, [each.name for each in all_people(context.ledger.db)])
        )
    return person


async def _operator_create(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Create an operator, or make a person one, and return a one-time link to set password and
    second factor.
    """
    name, by = parse_name(text(params, "name")), text(params, "by", "operator")
    db, now, record = context.ledger.db, context.clock.now(), await sure_recorder(context, params)
    existing = person_named(db, name)
    new = None if existing is not None else new_person(await context.open_vault(), name)
    identifier = existing.id if existing is not None else new.id if new is not None else None
    assert identifier is not None

    def write(writing: Database) -> None:
        if new is not None:
            insert_person(writing, name, new.key, now)
        give_role(writing, identifier=identifier, role=Role.OPERATOR, by=by, at=now)
        revoke_sessions(writing, identifier, now)  # a new privilege begins with a new session
        record(writing, by, "role_given", name, {"role": "operator"})

    await context.ledger.write(write)
    return await _linked(context, person(db, identifier), by, asked_from(params))


async def _link(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Create a one-time sign-in link for somebody."""
    return await _linked(
        context,
        _person(context, text(params, "name")),
        text(params, "by", "operator"),
        asked_from(params),
    )


async def _linked(context: EngineContext, who: Person, by: str, address: str) -> dict[str, Any]:
    if suspension(context.ledger.db, who.id) is not None:
        raise InvalidValue(
            "name", f"somebody who is not suspended (rexalgo user resume {who.called})", who.name
        )
    token = await make_link(context, who.id, by, address)
    return {
        "name": who.name,
        "roles": sorted(each.value for each in who.roles),
        "link": f"{context.webhook_address}/welcome/{token}",
        "holds_minutes": 10,
    }


async def _role(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Give or take a role; a person's sessions end, because a privilege changed. What a taken role
    stood for takes no new entries until it is given back, and those that rest are cancelled; exits go
    on.
    """
    who, role, by = (
        _person(context, text(params, "name")),
        parse_role(params.get("role")),
        text(params, "by", "operator"),
    )
    taking, now, record = (
        params.get("take") is True,
        context.clock.now(),
        await sure_recorder(context, params),
    )
    if taking and role is Role.OPERATOR and who.name == by and asked_from(params) != SHELL:
        raise InvalidValue(
            "name", "somebody else: nobody takes the role operator from themselves", who.name
        )

    def write(db: Database) -> bool:
        if taking:
            changed = take_role(db, who.id, role, by, now)
        else:
            changed = give_role(db, identifier=who.id, role=role, by=by, at=now)
            if changed and role is Role.MASTER:
                become_master(db, who)
        if changed:
            revoke_sessions(db, who.id, now)
            if role in _STANDS_FOR and _theirs(db, who)[_STANDS_FOR[role]]:
                write_event(
                    db,
                    kind="switch",
                    subject=f"person {who.name}",
                    data={
                        "on": taking,
                        "level": SwitchLevel.REDUCE.value,
                        "role": role.value,
                        "by": by,
                    },
                    at=now,
                )
            record(db, by, "role_taken" if taking else "role_given", who.name, {"role": role.value})
        return changed

    changed = await context.ledger.write(write)
    await context.changed()
    now_has = person(context.ledger.db, who.id)
    return {
        "name": who.name,
        "changed": changed,
        "roles": sorted(each.value for each in now_has.roles),
        **_theirs(context.ledger.db, who),
    }


async def _suspend(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Suspend somebody: their sessions end, sign-in is refused, entries pause and those that rest are
    cancelled, exits go on.
    """
    who, by = _person(context, text(params, "name")), text(params, "by", "operator")
    note, now = text(params, "note", ""), context.clock.now()
    if len(note) > NOTE_CHARACTERS_MAX:
        raise InvalidValue(
            "note", f"at most {NOTE_CHARACTERS_MAX} characters", f"{len(note)} characters"
        )
    if who.name == by and asked_from(params) != SHELL:
        raise InvalidValue("name", "somebody else: nobody suspends themselves", who.name)
    record = await sure_recorder(context, params)

    def write(db: Database) -> tuple[bool, int]:
        if not suspend(db, who.id, by, note, now):
            return False, 0
        ended = revoke_sessions(db, who.id, now)
        write_event(
            db,
            kind="switch",
            subject=f"person {who.name}",
            data={"on": True, "level": SwitchLevel.REDUCE.value, "note": note, "by": by},
            at=now,
        )
        record(db, by, "person_suspended", who.name, {"note": note, "sessions_ended": ended})
        return True, ended

    changed, ended = await context.ledger.write(write)
    await context.changed()
    return {
        "name": who.name,
        "changed": changed,
        "sessions_ended": ended,
        **_theirs(context.ledger.db, who),
    }


async def _unsuspend(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """End somebody's suspension. Switches that were set otherwise stay."""
    who, by = _person(context, text(params, "name")), text(params, "by", "operator")
    now, record = context.clock.now(), await sure_recorder(context, params)

    def write(db: Database) -> bool:
        if not end_suspension(db, who.id):
            return False
        write_event(
            db,
            kind="switch",
            subject=f"person {who.name}",
            data={"on": False, "by": by},
            at=now,
        )
        record(db, by, "person_resumed", who.name, {})
        return True

    if not await context.ledger.write(write):
        raise NothingThere(f"{who.name} is not suspended")
    await context.changed()
    return {"name": who.name, **_theirs(context.ledger.db, who)}


async def _reset_factors(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Remove the second factors of somebody who lost them, app and passkeys: their sessions end, and
    the password alone signs in. Recovery codes stay.
    """
    who, by = _person(context, text(params, "name")), text(params, "by", "operator")
    if who.name == by and asked_from(params) != SHELL:
        raise InvalidValue("name", "somebody else: one's own are changed at /security", who.name)
    now, record = context.clock.now(), await sure_recorder(context, params)

    def write(db: Database) -> dict[str, Any]:
        had = factor(db, who.id)
        set_totp(db, who.id, sealed=None, version=had.totp_version + 1, step=0, at=now)
        removed = {
            "app": had.totp_sealed is not None,
            "passkeys": delete_passkeys(db, who.id),
            "sessions_ended": revoke_sessions(db, who.id, now),
        }
        record(db, by, "second_factors_reset", who.name, removed)
        return removed

    return {"name": who.name, **await context.ledger.write(write)}


def _theirs(db: Database, who: Person) -> dict[str, Any]:
    """Return the accounts and strategies of a person."""
    published = master_of(db, who.id)
    return {
        "accounts": [each.name for each in accounts_of(db, who.id)],
        "strategies": [each.name for each in strategies(db) if each.master == published],
    }


async def _decide_master(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Decide about somebody's request to publish strategies."""
    who, by, grant = (
        _person(context, text(params, "name")),
        text(params, "by", "operator"),
        params.get("grant") is True,
    )
    now, record = context.clock.now(), await sure_recorder(context, params)

    def write(db: Database) -> bool:
        if not decide_master_request(db, identifier=who.id, granted=grant, by=by, at=now):
            return False
        if grant and give_role(db, identifier=who.id, role=Role.MASTER, by=by, at=now):
            become_master(db, who)
            revoke_sessions(db, who.id, now)  # a new privilege begins with a new session
        record(db, by, "master_granted" if grant else "master_refused", who.name, {})
        return True

    if not await context.ledger.write(write):
        raise NothingThere(f"{who.name} does not wait for a decision")
    await context.changed()
    return {"name": who.name, "granted": grant}


async def _invite(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Create an invitation."""
    role, by = parse_role(params.get("role", "follower")), text(params, "by", "operator")
    named, uses, days = text(params, "strategy", ""), params.get("uses", 1), params.get("days", 7)
    if (
        isinstance(uses, bool)
        or not isinstance(uses, int)
        or isinstance(days, bool)
        or not isinstance(days, int)
    ):
        raise InvalidValue("uses, days", "whole numbers", f"{uses}, {days}")
    strategy = strategy_named(context.ledger.db, named) if named else None
    if named and strategy is None:
        raise NothingThere(
            no_such("strategy", named, [each.name for each in strategies(context.ledger.db)])
        )
    token, row = await make_invitation(
        context,
        role=role,
        strategy=None if strategy is None else strategy.id,
        uses=uses,
        days=days,
        by=by,
        address=asked_from(params),
    )
    return {
        "link": f"{context.webhook_address}/join?invite={token}",
        "id": row.id,
        "role": role.value,
        "uses": uses,
        "until": row.expires_at.isoformat(),
        "sign_up": context.config.web.sign_up,
    }


async def _invitations(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    return {
        "invitations": [
            jsonable(each) | {"role": each.role.value}
            for each in invitations(context.ledger.db, context.clock.now())
        ]
    }


async def _revoke_invitation(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    identifier, by = text(params, "id"), text(params, "by", "operator")
    record = await sure_recorder(context, params)

    def write(db: Database) -> bool:
        if not revoke_ticket(db, identifier):
            return False
        record(db, by, "invitation_revoked", identifier, {})
        return True

    if not await context.ledger.write(write):
        raise NothingThere(
            f"no invitation {identifier} holds any more; rexalgo invite list shows those that do"
        )
    return {"id": identifier, "revoked": True}


async def _audit(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Read the newest wanted rows in front of row ``before``. With ``looks`` at most so many rows are
    looked at; then ``looked_to`` is the last of them.
    """
    limit, before, looks = (
        whole(params, "limit", 50, 1_000),
        params.get("before"),
        params.get("looks"),
    )
    wanted = AuditFilter(
        search=text(params, "search", ""),
        said=_texts(params, "said"),
        acts=_texts(params, "acts"),
        since=_time(params, "since"),
        until=_time(params, "until"),
    )
    db = context.ledger.db
    end = audit_end(db).number + 1
    begin = end = min(end, before) if isinstance(before, int) else end
    least = max(1, begin - looks) if isinstance(looks, int) else 1
    rows: list[AuditRow] = []
    while end > least and len(rows) < limit:
        end, until = max(least, end - _LOOKED_AT_ONCE), end
        rows += audit_rows(db, limit - len(rows), until, wanted, end - 1)
        await trio.lowlevel.checkpoint()  # orders go first
    return {
        "audit": jsonable(rows),
        "looked_to": end if len(rows) < limit and end > 1 else None,
    }


def _texts(params: dict[str, Any], name: str) -> list[str]:
    values = params.get(name, [])
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise InvalidValue(name, "a list of texts", values)
    return values


def _time(params: dict[str, Any], name: str) -> datetime | None:
    value = text(params, name, "")
    try:
        at = datetime.fromisoformat(value) if value else None
    except ValueError:
        raise InvalidValue(name, "a time in ISO 8601 with its zone", value) from None
    if at is not None and at.tzinfo is None:
        raise InvalidValue(name, "a time in ISO 8601 with its zone", value)
    return at


async def _audit_verify(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Verify the whole chain of seals, passing through a former end if one is known."""
    known, vault, db = text(params, "known", ""), await context.open_vault(), context.ledger.db
    key_of = cache(partial(audit_key_of, db, vault))
    proofs = verified_so_far(db, key_of, parse_audit_end(known) if known else None)
    proof = next(proofs)
    for further in proofs:
        await trio.lowlevel.checkpoint()  # orders go first
        proof = further
    return asdict(proof)


PEOPLE: Final[Mapping[str, Run]] = {
    "users": Reads(_users),
    "user": Reads(_user),
    "user_sign_out": _sign_out,
    "operator_create": _operator_create,
    "user_link": _link,
    "user_role": _role,
    "user_suspend": _suspend,
    "user_resume": _unsuspend,
    "user_reset_factors": _reset_factors,
    "decide_master": _decide_master,
    "invite": _invite,
    "invitations": Reads(_invitations),
    "invitation_revoke": _revoke_invitation,
    "audit": Reads(_audit),
    "audit_verify": Reads(_audit_verify),
}
"""Every command about people."""
