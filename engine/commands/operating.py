"""The operator's commands: the same whether a server runs (over the control socket) or not (on the
opened ledger).

Every command takes and returns plain JSON types. A switch and the event that reports it are one
transaction, and they hold from the moment it is durable: a running engine checks its switches right
before each entry is written.
"""

import resource
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

import trio

from engine.commands.auditing import recorder
from engine.commands.backing_up import backup_state
from engine.commands.needs import how_it_is, is_told_apart
from engine.commands.parameters import (
    Reads,
    Run,
    asked_from,
    installed_version,
    jsonable,
    no_such,
    text,
    whole,
)
from engine.commands.restoring import note_shown, told_freezes, told_plan
from engine.context import EngineContext
from engine.decisions.reconciliation import Correction, words_of
from engine.decisions.routing import concerns, within
from engine.domain.alert import Alert, AlertCode
from engine.domain.amounts import ZERO, plain
from engine.domain.errors import InvalidValue, NothingThere, RexAlgoError
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import AccountId
from engine.ledger import Database
from engine.ledger.alerts import channel_state, newest_alerts
from engine.ledger.attempts import read_attempt
from engine.ledger.books import differences
from engine.ledger.books_view import books_summary
from engine.ledger.deliveries import ingress
from engine.ledger.freeze import EVERYBODY, read_freezes
from engine.ledger.funding import funding_by_day
from engine.ledger.identity import master_requests
from engine.ledger.lateness import late_orders, missed_entries, waiting_orders
from engine.ledger.open_shares import still_open
from engine.ledger.outcomes import write_event
from engine.ledger.people import (
    account_named,
    accounts,
    endpoints,
    secrets_in_use,
    strategies,
    strategy_named,
)
from engine.ledger.refused import place_of, unsettled_refusals
from engine.ledger.reports import (
    account_rows,
    clear_switch,
    newest_receipt,
    set_switch,
    signal_number,
    status,
    switches,
    unknown,
    unproven_accounts,
    unproven_attempts,
)
from engine.ledger.resolving import decide_done, decide_none
from engine.ledger.results import account_days
from engine.ledger.unsettled import count_unsettled
from engine.plugin.host import Plugins
from engine.ports.notifier import Notifier
from engine.services.endpoints import rotate_secret
from engine.services.explaining import explain_copy
from engine.settings.config import Config
from engine.transport.alert_delivery import deliver

NOTE_CHARACTERS_MAX: Final = 200
_ALERTS_MAX: Final = 200
_ALERTS_READ: Final = 20
OVERLAP_H: Final = 24
OVERLAP_H_MAX: Final = 24 * 30


async def _ping(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": installed_version("rexalgo"),
        "engine": context.live is not None,
        "files_max": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "web": context.web(),
    }


async def _status(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return the status of this installation; counts of copies and alerts cover the last ``hours``.
    Without ``last_signal`` it does not say what became of the newest signal, which takes a step for
    each follower.
    """
    hours, live = whole(params, "hours", 24, 24), context.live
    seen = jsonable(status(context.ledger.db, context.clock.now(), timedelta(hours=hours)))
    if params.get("last_signal", True):
        seen["last_signal"] = jsonable(newest_receipt(context.ledger.db))
    wrong = {} if live is None else live.vitals(frozenset(live.troubled()))
    seen["still"] = told_freezes(read_freezes(context.ledger.db))
    seen["alerts"] = [
        each
        for each in seen["alerts"]
        if seen["still"] or each["code"] != AlertCode.STANDS_STILL.value
    ]
    seen["ingress"] = jsonable(
        ingress(context.ledger.db, context.clock.now() - timedelta(hours=hours))
    )
    await trio.lowlevel.checkpoint()  # orders go first
    lacking = count_unsettled(context.ledger.db)
    named = (
        {each.id: each.name for each in accounts(context.ledger.db)}
        if (off := differences(context.ledger.db))
        else {}
    )
    seen["books"] = {
        "unsettled": lacking.open,
        "unexplained": lacking.unexplained,
        "differ": [
            f"{named.get(AccountId(each.account), each.account)} {each.symbol}" for each in off
        ],
    }
    await trio.lowlevel.checkpoint()
    now = context.clock.now()
    seen["queue"] = jsonable(waiting_orders(context.ledger.db, now))
    seen["entry_age_s"] = context.config.engine.entry_age_s
    seen["loop_turns"] = None if context.loop_turns is None else asdict(context.loop_turns())
    seen["late"] = jsonable(late_orders(context.ledger.db, now))
    seen["missed"] = jsonable(missed_entries(context.ledger.db, now))
    await trio.lowlevel.checkpoint()
    refused = unsettled_refusals(context.ledger.db, context.clock.now())
    seen["refused"] = [{**jsonable(each), "place": place_of(each.field)} for each in refused]
    seen["untold"] = [
        {"channel": name, "waiting": each.waiting, "since": jsonable(each.since)}
        for name in context.config.operator.alerts
        if (each := channel_state(context.ledger.db, name)).waiting
    ]
    seen["backup"] = backup_state(context)
    seen["engine"] = {
        "running": live is not None or context.silent is not None,
        "silent": context.silent,
        "version": installed_version("rexalgo"),
        "ledger_healthy": context.ledger.healthy,
        "accounts_read": 0
        if live is None
        else sum(1 for each in live.accounts if each.report is not None),
        "checks": {} if live is None else live.checks(),
        "troubled": wrong,
        "failing": {} if live is None else live.failing(),
        "exchanges": [] if live is None else sorted({each.exchange for each in live.accounts}),
        "exchanges_in_trouble": {} if live is None else live.exchange_problems(),
    }
    seen["well"], seen["needs"] = how_it_is(
        seen, len(master_requests(context.ledger.db)), context.clock.now()
    )
    return dict(seen)


async def _why(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    signal, follower = text(params, "signal"), text(params, "follower")
    db = context.ledger.db
    if signal_number(db, signal) is None:
        raise NothingThere(
            f"no signal {signal} is recorded here; give the id or the receipt of the answer, the "
            "bot's own id, or: last"
        )
    explained = explain_copy(context, signal, follower)
    if explained is not None:
        return dict(jsonable(explained))
    names = [each.name for each in accounts(db)]
    if follower in names:
        raise NothingThere(
            f"follower {follower} has no copy of signal {signal}: it was not subscribed when the "
            "signal arrived"
        )
    raise NothingThere(no_such("follower", follower, names))


async def _unknown(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    return {"unknown": jsonable(unknown(context.ledger.db))}


async def _accounts(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """List accounts with their tasks: one by ``name``, or those selected by ``search``,
    ``troubled``, ``after`` and ``limit``.
    """
    db, name, limit = context.ledger.db, text(params, "name", ""), params.get("limit", -1)
    only = None
    if params.get("troubled") is True:
        only = [*([] if context.live is None else context.live.troubled()), *unproven_accounts(db)]
    rows = account_rows(
        db,
        name=name,
        search=text(params, "search", ""),
        after=text(params, "after", ""),
        only=only,
        limit=limit if isinstance(limit, int) else -1,
    )
    if name and not rows:
        raise NothingThere(no_such("account", name, [each.name for each in accounts(db)]))
    tasks = {} if context.live is None else context.live.vitals({each.name for each in rows})
    shown = [{**jsonable(each), "task": tasks.get(each.name)} for each in rows]
    if name:
        row = account_named(db, name)
        assert row is not None, "its row was read a moment ago"
        identifier = row.id
        shown[0]["funding_paid"] = plain(sum(funding_by_day(db, identifier).values(), ZERO))
        shown[0]["books"] = _books(db, identifier)
    return {"accounts": shown, "engine": context.live is not None}


def _books(db: Database, account: AccountId) -> dict[str, Any]:
    """Return each line by which an account's wallet changed, and the state of its trades, as
    numbers written in full.
    """
    books, days = books_summary(db, account), account_days(db, account)
    return {
        "since": None if books.since is None else books.since.isoformat(),
        **{
            name: plain(getattr(books, name))
            for name in ("results", "owner", "fees", "funding", "unexplained", "change")
        },
        "rows": [
            {
                "kind": each.kind.value,
                "amount": plain(each.amount),
                "since": each.since.isoformat(),
                "until": each.until.isoformat(),
            }
            for each in books.rows
        ],
        "fills_not_settled": books.open_fills,
        "fills_unexplained": books.unexplained_fills,
        "trades_reconciled": sum(each.trades for each in days),
        "trades_not_reconciled": sum(each.unreconciled for each in days),
        "result_reconciled": plain(sum((each.result for each in days), ZERO)),
    }


async def _check(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Check an account against its exchange now: key, money, positions, what each contract needs."""
    name = text(params, "name")
    if name not in (names := [each.name for each in accounts(context.ledger.db)]):
        raise NothingThere(no_such("account", name, names))
    if context.live is None:
        raise NothingThere(
            "no engine runs here, and a check reads the exchange through it: start rexalgo serve "
            "first"
        )
    preflight = await context.live.check(name)
    items = [{**asdict(each), "level": each.level.value} for each in preflight.items]
    return {**jsonable(preflight), "level": preflight.level.value, "items": items}


async def _release(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """End an account's quarantine: its task may take entries again, and failures are counted
    afresh.
    """
    name, by = text(params, "name"), text(params, "by", "operator")
    tasks = {} if context.live is None else context.live.vitals()
    if context.live is None:
        raise NothingThere(
            "no engine runs here, so no account is quarantined; a start begins without quarantines"
        )
    if name not in tasks:
        raise NothingThere(no_such("account", name, sorted(tasks)))
    was = bool(tasks[name]["quarantined"])
    if was:
        at, record = context.clock.now(), await recorder(context, params)

        def write(db: Database) -> None:
            write_event(
                db, kind="decision", subject=name, data={"quarantine": "ended", "by": by}, at=at
            )
            record(db, by, "quarantine_ended", name, {})

        await context.ledger.write(write)
        context.live.unquarantine(name)
    return {"account": name, "was_quarantined": was}


async def _decide(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Record a person's decision about a copy's unproven orders: which exchange order it is, that
    there is none, or that it is done.
    """
    signal, follower, order = (
        text(params, "signal"),
        text(params, "follower"),
        text(params, "order", ""),
    )
    note, by = text(params, "note"), text(params, "by", "operator")
    if not 1 <= len(note) <= NOTE_CHARACTERS_MAX:
        raise InvalidValue(
            "note",
            f"1 to {NOTE_CHARACTERS_MAX} characters: what you looked at",
            f"{len(note)} characters",
        )
    attempts = unproven_attempts(context.ledger.db, signal, follower)
    if not attempts:
        raise NothingThere(
            f"no order of {follower} for signal {signal} is unknown or not confirmed; rexalgo "
            "unknown list shows those that are"
        )
    at = context.clock.now()
    is_done = params.get("done") is True
    decided = order or ("done" if is_done else "none")
    data: dict[str, object] = {"signal": signal, "order": decided, "note": note, "by": by}
    record = await recorder(context, params)

    def write_down(db: Database) -> None:
        write_event(db, kind="decision", subject=follower, data=data, at=at)
        record(db, by, "unknown_decided", follower, data)

    if order:
        await _bind(context, follower=follower, attempts=attempts, order=order, also=write_down)
    elif is_done:
        await _decide_done(context, attempts, at, write_down)
    else:
        await _decide_none(context, attempts=attempts, note=note, by=by, at=at, also=write_down)
    await context.changed()
    return {"decided": len(attempts), "follower": follower, "order": decided}


async def _decide_done(
    context: EngineContext, attempts: list[int], at: datetime, also: Callable[[Database], None]
) -> None:
    if any(read_attempt(context.ledger.db, each).is_entry for each in attempts):
        raise NothingThere(
            "expected a closing order, found an entry: name it with --order ID, or decide --none"
        )

    def write(db: Database) -> None:
        for each in attempts:
            decide_done(db, each, at)
        also(db)

    await context.ledger.write(write)


async def _bind(
    context: EngineContext,
    follower: str,
    attempts: list[int],
    order: str,
    also: Callable[[Database], None],
) -> None:
    task = None if context.live is None else context.live.named(follower)
    if task is None:
        raise NothingThere(
            "the exchange must be asked about that order, and no server runs here: rexalgo serve"
        )
    if len(attempts) != 1:
        raise NothingThere(
            f"{len(attempts)} orders of this copy are not proven, so one id cannot be all of "
            "them; wait, or decide --none"
        )
    await task.bind(attempts[0], order, also)


async def _decide_none(
    context: EngineContext,
    attempts: list[int],
    note: str,
    by: str,
    at: datetime,
    also: Callable[[Database], None],
) -> None:
    copies = [read_attempt(context.ledger.db, each) for each in attempts]

    def write(db: Database) -> None:
        for each in attempts:
            decide_none(db, attempt_id=each, note=note, by=by, at=at)
        also(db)

    await context.ledger.write(write)
    if context.live is not None:
        for each in copies:
            context.live.released(each.account, each.copy)


async def _reconcile(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Compare an account with its exchange, and with ``apply`` correct the ledger; never sends an
    order.
    """
    name, apply, by = (
        text(params, "name"),
        params.get("apply") is True,
        text(params, "by", "operator"),
    )
    names = [each.name for each in accounts(context.ledger.db)]
    if name not in names:
        raise NothingThere(no_such("account", name, names))
    task = None if context.live is None else context.live.named(name)
    if task is None:
        raise NothingThere(
            "the exchange must be read for that, and no server runs here: rexalgo serve"
        )
    record = await recorder(context, params)

    def write_down(db: Database, plan: tuple[Correction, ...]) -> None:
        record(db, by, "reconciled", name, {"steps": [words_of(each) for each in plan]})

    if apply and task.account.why_held:
        raise RexAlgoError(
            f"{name} is frozen ({task.account.why_held}): rexalgo restore confirm writes the "
            "shown plans down"
        )
    plan = await (task.apply_corrections(by, write_down) if apply else task.plan_corrections())
    note_shown(task, plan)
    return told_plan(task, plan) | {"applied": apply}


# Switches


async def _halt(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    scope, target = _scope(context, params)
    note, by = text(params, "note", ""), text(params, "by", "operator")
    if len(note) > NOTE_CHARACTERS_MAX:
        raise InvalidValue(
            "note", f"at most {NOTE_CHARACTERS_MAX} characters", f"{len(note)} characters"
        )
    try:
        level = SwitchLevel(text(params, "level", SwitchLevel.ENTRIES.value))
    except ValueError:
        raise InvalidValue(
            "level", "one of " + ", ".join(each.value for each in SwitchLevel), params.get("level")
        ) from None
    switch = Switch(
        scope=scope, target=target, note=note, set_by=by, set_at=context.clock.now(), level=level
    )
    record = await recorder(context, params)

    def write(db: Database) -> SwitchLevel | None:
        before = set_switch(db, switch)
        record(db, by, "switched_on", switch.label, {"level": level.value, "note": note})
        return before

    was = await context.ledger.write(write, first=True)
    await context.changed()
    now = level if was is None or was.rank < level.rank else was
    return {
        "level": now.value,
        "was": None if was is None else was.value,
        "scope": scope.value,
        "target": target,
        "engine": context.live is not None,
        "still": _still(context.ledger.db, switch),
    }


def _still(db: Database, switch: Switch) -> list[dict[str, Any]]:
    """Return what is frozen within a switch's scope: no exit and no cancellation of it is sent.

    A frozen account may follow any strategy.
    """
    freezes = read_freezes(db)
    exchanges = {each.id: each.exchange for each in accounts(db)} if freezes else {}
    return told_freezes(
        each
        for each in freezes
        if each.account == EVERYBODY
        or switch.scope is SwitchScope.STRATEGY
        or concerns(
            switch,
            account_id=each.account,
            account_name=each.name,
            strategy_id="",
            strategy_name="",
            exchange=exchanges.get(each.account, ""),
        )
    )


async def _still_open(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return what the engine still has open within a scope, and why; with ``known`` only for a
    target that exists.
    """
    scope, target = _scope(context, params, known_only=params.get("known") is True)
    switch = Switch(scope=scope, target=target, note="", set_by="", set_at=context.clock.now())
    rows = within(switch, still_open(context.ledger.db))
    shown = [
        {name: value for name, value in asdict(each).items() if not name.endswith("_id")}
        for each in rows
    ]
    return {
        "open": jsonable(shown),
        "engine": context.live is not None,
        "still": _still(context.ledger.db, switch),
    }


async def _resume(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Turn a switch off; the one that an account's owner turned on is left to them."""
    scope, target = _scope(context, params, known_only=False)
    by, at = text(params, "by", "operator"), context.clock.now()
    record = await recorder(context, params)

    def write(db: Database) -> bool:
        changed = clear_switch(db, scope=scope, target=target, by=by, at=at)
        if changed:
            record(
                db,
                by,
                "switched_off",
                Switch(scope=scope, target=target, note="", set_by=by, set_at=at).label,
                {},
            )
        return changed

    was = await context.ledger.write(write, first=True)
    await context.changed()
    remaining = [
        f"{each.label}, by {each.set_by}, who alone resumes it" if each.is_owners else each.label
        for each in switches(context.ledger.db)
    ]
    return {
        "entries": "on" if not remaining else "still off elsewhere",
        "scope": scope.value,
        "target": target,
        "was_off": was,
        "still_off": remaining,
    }


def _scope(
    context: EngineContext, params: dict[str, Any], *, known_only: bool = True
) -> tuple[SwitchScope, str]:
    try:
        scope = SwitchScope(params.get("scope"))
    except ValueError:
        raise InvalidValue(
            "scope", "one of " + ", ".join(each.value for each in SwitchScope), params.get("scope")
        ) from None
    if scope is SwitchScope.ALL:
        return scope, ""
    target = text(params, "target")
    if known_only and target not in (names := _targets(context, scope)):
        raise NothingThere(no_such(scope.value, target, names))
    return scope, target


def _targets(context: EngineContext, scope: SwitchScope) -> list[str]:
    db = context.ledger.db
    match scope:
        case SwitchScope.ACCOUNT:
            return [each.name for each in accounts(db)]
        case SwitchScope.STRATEGY:
            return [each.name for each in strategies(db)]
        case _:
            return sorted({each.exchange for each in accounts(db)})


# Webhook secrets


async def _rotate(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Give a strategy's webhook a new secret; the old ones are valid until the overlap ends (0:
    they are refused from now on).
    """
    name, overlap_h = text(params, "strategy"), params.get("overlap_hours", OVERLAP_H)
    if (
        isinstance(overlap_h, bool)
        or not isinstance(overlap_h, int)
        or not 0 <= overlap_h <= OVERLAP_H_MAX
    ):
        raise InvalidValue("overlap_hours", f"a whole number from 0 to {OVERLAP_H_MAX}", overlap_h)
    db, now = context.ledger.db, context.clock.now()
    strategy = strategy_named(db, name)
    if strategy is None:
        raise NothingThere(no_such("strategy", name, [each.name for each in strategies(db)]))
    endpoint = next(
        (
            each
            for each in endpoints(db)
            if each.strategy == strategy.id
            and each.source == strategy.source
            and not each.is_deleted
        ),
        None,
    )
    source = context.plugins().webhook_sources.get(strategy.source)
    if endpoint is None or source is None:
        raise NothingThere(
            f"strategy {name} has no webhook here (kind {strategy.kind}, source {strategy.source})"
        )
    before = secrets_in_use(db, endpoint.id)
    until = now + timedelta(hours=overlap_h)
    secret = await rotate_secret(
        context,
        endpoint=endpoint,
        strategy=name,
        source=source,
        until=until,
        by=text(params, "by", "operator"),
        address=asked_from(params),
    )
    still = [
        {"last_used": jsonable(used), "last_used_from": where}
        for _, valid, used, where in before
        if valid is None or valid > now
    ]
    return {
        "strategy": name,
        "webhook_url": f"{context.webhook_address}/api/webhooks/copy-trading/{endpoint.id}",
        "secret": secret.reveal(),
        "old_secrets_valid_until": until.isoformat(),
        "old_secrets": still,
    }


# Alerts


def chosen_notifiers(config: Config, plugins: Plugins) -> tuple[Notifier, ...]:
    """Return the notifiers that get alerts; raises RexAlgoError for a name that no enabled plugin
    registers.
    """
    unknown = [name for name in config.operator.alerts if name not in plugins.notifiers]
    if unknown:
        have = ", ".join(sorted(plugins.notifiers)) or "none"
        raise RexAlgoError(
            f"operator.alerts: expected registered notifiers (have: {have}), found "
            f"{', '.join(unknown)}"
        )
    return tuple(plugins.notifiers[name] for name in config.operator.alerts)


async def _alerts(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return the newest alerts in front of alert ``before``, and with which ``before`` older ones
    follow; None: with none. With ``waking`` those that wake somebody and no need tells already,
    found among the newest 200.
    """
    db, before = context.ledger.db, params.get("before")
    hours = whole(params, "hours", 24, 24 * 366)
    limit = whole(params, "limit", _ALERTS_MAX, _ALERTS_MAX)
    since = context.clock.now() - timedelta(hours=hours)
    before = before if isinstance(before, int) else None
    older = None
    if params.get("waking") is True:
        alerts = _waking(context, since, limit, before)
    else:
        alerts = newest_alerts(db, since, limit + 1, before)
        older = alerts[limit - 1].number if len(alerts) > limit else None
        alerts = alerts[:limit]
    channels = {name: jsonable(channel_state(db, name)) for name in context.config.operator.alerts}
    words = ("sentence", "done", "do", "otherwise", "wakes", "subject", "count", "number")
    rows = [
        {
            "at": each.at.isoformat(),
            "code": each.code.value,
            **{name: getattr(each, name) for name in words},
        }
        for each in alerts
    ]
    registered = sorted(context.plugins().notifiers)
    return {"alerts": rows, "older": older, "channels": channels, "registered": registered}


def _waking(context: EngineContext, since: datetime, limit: int, before: int | None) -> list[Alert]:
    db = context.ledger.db
    refused = {each.strategy for each in unsettled_refusals(db, context.clock.now())}
    found: list[Alert] = []
    for _ in range(_ALERTS_MAX // _ALERTS_READ):  # few are shown, so few are read
        part = newest_alerts(db, since, _ALERTS_READ, before)
        found += [
            each
            for each in part
            if each.wakes and not is_told_apart(each.code.value, each.subject, refused)
        ]
        if len(found) >= limit or len(part) < _ALERTS_READ:
            break
        before = part[-1].number
    return found[:limit]


async def _alert_test(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Send a test through one channel now, past the outbox, and return the result."""
    channel, by = text(params, "channel"), text(params, "by", "operator")
    notifiers = context.plugins().notifiers
    if channel not in notifiers:
        raise NothingThere(no_such("channel", channel, sorted(notifiers)))
    try:
        await deliver(
            notifiers[channel],
            Alert(
                number=0,
                code=AlertCode.TEST,
                subject=channel,
                at=context.clock.now(),
                details={"by": by},
            ),
            context.config.outgoing.reach,
        )
    except Exception as error:  # the boundary to a plugin: whatever it raised is the answer
        return {
            "channel": channel,
            "delivered": False,
            "problem": f"{type(error).__name__}: {error}"[:300],
        }
    record = await recorder(context, params)
    await context.ledger.write(lambda db: record(db, by, "alert_tested", channel, {}))
    return {"channel": channel, "delivered": True, "problem": ""}


OPERATING: Final[Mapping[str, Run]] = {
    "ping": _ping,
    "status": Reads(_status),
    "why": Reads(_why),
    "unknown": Reads(_unknown),
    "accounts": Reads(_accounts),
    "release": _release,
    "check": _check,
    "decide": _decide,
    "reconcile": _reconcile,
    "halt": _halt,
    "still_open": _still_open,  # may migrate: a flatten follows, which nothing may keep away
    "resume": _resume,
    "rotate": _rotate,
    "alerts": Reads(_alerts),
    "alert_test": _alert_test,
}
"""Every command about operating this installation."""
