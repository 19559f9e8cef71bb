"""Commands that an operator's pages ask before anybody acts: what is switched off, what a stop or a
resume would touch, and what a new place still lacks.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import trio

from engine.commands.parameters import Reads, Run, jsonable, text, whole
from engine.context import EngineContext
from engine.decisions.routing import concerns
from engine.domain.errors import InvalidValue
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import AccountId
from engine.domain.person import Role
from engine.ledger.identity import PeopleFilter, count_people
from engine.ledger.people import account_named, strategies
from engine.ledger.reports import account_names, copies_since, switch_views, switches
from engine.ledger.touching import (
    Place,
    connected,
    followed,
    has_filled_order,
    held,
    resting_entries,
    waiting_entries,
)

_NAMES_MAX: Final = 50


async def _touched(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return what a stop touches: everything and each exchange, or the one ``scope`` and
    ``target``.
    """
    db, now = context.ledger.db, context.clock.now()
    accounts, only = connected(db), None
    if "scope" in params:
        wanted = [_switch(params, now)]
        if wanted[0].scope is SwitchScope.ACCOUNT:
            named = account_named(db, wanted[0].target)
            only = AccountId("") if named is None else named.id
    else:
        wanted = [_bare(SwitchScope.ALL, "", now)] + [
            _bare(SwitchScope.EXCHANGE, name, now)
            for name in dict.fromkeys(exchange for exchange, _ in accounts)
        ]
    on = {
        (each.scope, each.target, each.is_owners): each for each in switches(db) if not each.person
    }
    reads = {"waiting": waiting_entries, "resting": resting_entries, "positions": held}
    places = {}
    for name, read in reads.items():
        places[name] = read(db, only)
        await trio.lowlevel.checkpoint()  # orders go first
    agreed = followed(db, only)
    shown = []
    for switch in wanted:
        mine = _those_in(switch, agreed)
        is_on = on.get((switch.scope, switch.target, False))
        is_owners = on.get((switch.scope, switch.target, True))
        shown.append(
            {
                "scope": switch.scope.value,
                "target": switch.target,
                "level": None if is_on is None else is_on.level.value,
                "owners": None if is_owners is None else is_owners.level.value,
                "accounts": _accounts_in(switch, mine, accounts),
                "strategies": len({each.strategy for each in mine}),
                **{
                    name: sum(each.count for each in _those_in(switch, found))
                    for name, found in places.items()
                },
            }
        )
    return {"touched": shown}


async def _switches(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return the switches that are on, the outcomes of the last ``hours``, and some names that a
    stop may give.
    """
    db, live = context.ledger.db, context.live
    since = context.clock.now() - timedelta(hours=whole(params, "hours", 1, 24))
    return {
        "switches": jsonable(switch_views(db)),
        "copies": dict(copies_since(db, since)),
        "names": {
            "exchange": [] if live is None else sorted({each.exchange for each in live.accounts}),
            "strategy": [each.name for each in strategies(db)],
            "account": account_names(db, _NAMES_MAX),
        },
    }


def _accounts_in(
    switch: Switch, agreed: Sequence[Place], connected: Mapping[tuple[str, str], int]
) -> dict[str, int]:
    """Count the accounts that a switch concerns by environment."""
    found = Counter[str]()
    match switch.scope:
        case SwitchScope.ALL | SwitchScope.EXCHANGE:  # also accounts that follow nothing yet
            for (exchange, environment), count in connected.items():
                if switch.scope is SwitchScope.ALL or exchange == switch.target:
                    found[environment] += count
        case SwitchScope.STRATEGY:  # an account follows a strategy once
            for each in agreed:
                found[each.environment] += each.count
        case SwitchScope.ACCOUNT:
            found.update({each.environment for each in agreed})
    return dict(found)


def _those_in(switch: Switch, places: Sequence[Place]) -> list[Place]:
    """Return the places that a switch concerns; those of one account were read alone."""
    if switch.scope is SwitchScope.ACCOUNT:
        return list(places)
    return [
        each
        for each in places
        if concerns(
            switch,
            account_id="",
            account_name="",
            strategy_id=each.strategy,
            strategy_name=each.strategy_name,
            exchange=each.exchange,
        )
    ]


def _switch(params: dict[str, Any], now: datetime) -> Switch:
    try:
        return _bare(SwitchScope(params.get("scope")), text(params, "target", ""), now)
    except ValueError:
        raise InvalidValue(
            "scope", "one of " + ", ".join(each.value for each in SwitchScope), params.get("scope")
        ) from None


def _bare(scope: SwitchScope, target: str, now: datetime) -> Switch:
    return Switch(
        scope=scope, target=target, note="", set_by="", set_at=now, level=SwitchLevel.ENTRIES
    )


async def _guide(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return which steps to the first copied signal are done; ``done`` once an order was filled."""
    db = context.ledger.db
    if has_filled_order(db):
        return {"done": True, "steps": {}}
    live = context.live
    return {
        "done": False,
        "steps": {
            "alerts": bool(context.config.operator.alerts),
            "master": count_people(db, PeopleFilter(role=Role.MASTER)) > 0,
            "strategy": bool(strategies(db)),
            "account": live is not None and any(each.report is not None for each in live.accounts),
            "terms": bool(followed(db)),
        },
    }


TOUCHING: Final[Mapping[str, Run]] = {
    "switches": Reads(_switches),
    "touched": Reads(_touched),
    "guide": Reads(_guide),
}
"""The commands that say what is off, before an act what it touches, and what a new place lacks."""
