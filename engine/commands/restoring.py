"""Commands about a frozen installation: show what a confirmation would change, and confirm.

A plan is shown by the server that will let orders out, and counts until that server ends. It is
confirmed only as it was shown: what each account decides is compared with a freshly made plan.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from engine.commands.auditing import recorder
from engine.commands.parameters import Run, text
from engine.context import EngineContext
from engine.decisions.reconciliation import Changed, OwnPosition, Plan, Told, digest, words_of
from engine.domain.errors import NothingThere, RexAlgoError
from engine.ledger import Database
from engine.ledger.freeze import EVERYBODY, Freeze, read_freezes, unfreeze
from engine.live import LiveAccount, LiveAccounts

_LOG = logging.getLogger("rexalgo.restore")
SHOWN: Final = 20
UNREADABLE: Final = "unreadable"


class NotConfirmed(RexAlgoError):
    """Raised with everything that prevents a confirmation: nothing was changed."""


def _chosen(live: LiveAccounts, freezes: Sequence[Freeze]) -> list[LiveAccount]:
    """Return the frozen accounts, by name."""
    all_of_them = any(each.account == EVERYBODY for each in freezes)
    ids = {each.account for each in freezes}
    return sorted(
        (each for each in live.tasks() if all_of_them or each.account.id in ids),
        key=lambda each: each.account.name,
    )


async def _reconcile_all(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Show the plan of every account, or of the frozen ones if there are any; changes nothing."""
    if context.live is None:
        raise NothingThere(
            "the exchange must be read for that, and no server runs here: rexalgo serve"
        )
    freezes = read_freezes(context.ledger.db)
    chosen = (
        _chosen(context.live, freezes)
        if freezes
        else sorted(context.live.tasks(), key=lambda each: each.account.name)
    )
    plans = await context.live.plans(chosen)
    for each, plan in plans.items():
        note_shown(each, plan)
    return {
        "still": told_freezes(freezes),
        "accounts": [
            told_plan(each, () if isinstance(plan, str) else plan)
            | {"problem": plan if isinstance(plan, str) else ""}
            for each, plan in plans.items()
        ],
    }


def told_freezes(freezes: Iterable[Freeze]) -> list[dict[str, Any]]:
    """Return what is frozen; an empty account is everybody."""
    return [
        {"account": each.name, "cause": each.cause, "since": each.since.isoformat()}
        for each in freezes
    ]


def told_plan(task: LiveAccount, plan: Plan) -> dict[str, Any]:
    """Return the plan of an account; ``differs``: a step of it changes what the ledger says; what
    the owner holds beside us is no such step.
    """
    return {
        "account": task.account.name,
        "environment": task.account.environment,
        "still": task.account.why_held,
        "differs": any(not isinstance(each, OwnPosition | Told) for each in plan),
        "not_compared": sorted(task.account.not_compared()),
        "steps": [words_of(each) for each in plan],
    }


def note_shown(task: LiveAccount, plan: Plan | str) -> None:
    """Remember that this plan of an account was shown to a person."""
    task.note_shown(_digest(plan))


def _digest(plan: Plan | str) -> str:
    return UNREADABLE if isinstance(plan, str) else digest(plan)


async def _confirm(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Let orders out again, with every shown plan recorded; an account that could not be read stays
    frozen.
    """
    by, at = text(params, "by", "operator"), context.clock.now()
    freezes = read_freezes(context.ledger.db)
    if not freezes:
        raise NothingThere("nothing is frozen here: there is nothing to confirm")
    if context.live is None:
        raise NothingThere(
            "each account must be read for that, and no server runs here: rexalgo serve, then "
            "rexalgo reconcile --plan"
        )
    plans = await context.live.plans(_chosen(context.live, freezes))
    problems = [why for each, plan in plans.items() if (why := _why_not(each, plan))]
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise NotConfirmed(
            "nothing was confirmed: run rexalgo reconcile --plan and read it\n  "
            + "\n  ".join(problems[:SHOWN])
            + more
        )
    unread = [
        Freeze(each.account.id, each.account.name, f"it could not be read: {plan}", at)
        for each, plan in plans.items()
        if isinstance(plan, str)
    ]
    record = await recorder(context, params)

    def write(db: Database) -> int:
        for task, plan in plans.items():
            if not isinstance(plan, str):
                task.write_plan(plan, by, at, db)
        ended = unfreeze(db, was=freezes, keep=unread, by=by, at=at)
        record(
            db,
            by,
            "restore_confirmed",
            "this installation",
            {"accounts": len(plans), "still": [each.name for each in unread]},
        )
        return ended

    try:
        ended = await context.ledger.write(write)
    except Changed as error:
        raise NotConfirmed(
            f"nothing was confirmed: {error}; run rexalgo reconcile --plan and read it"
        ) from None
    _note_end(context)
    for each in plans:
        each.go_on()
    await context.changed()
    return {
        "confirmed": len(plans) - len(unread),
        "still": {each.name: each.cause for each in unread},
        "entries_ended": ended,
    }


def _why_not(task: LiveAccount, plan: Plan | str) -> str:
    if not task.shown_plan:
        return f"{task.account.name}: its plan was not shown since the server started"
    if task.shown_plan != _digest(plan):
        return f"{task.account.name}: what differs is not what was shown"
    return ""


def _note_end(context: EngineContext) -> None:
    if context.mark is None:
        return
    try:
        context.mark.confirm(context.clock.now())
    except OSError as error:  # the next start freezes everything once more, which does no harm
        _LOG.error("the mark beside the confirmed ledger could not be written: %s", error)


RESTORING: Final[Mapping[str, Run]] = {"reconcile_all": _reconcile_all, "restore_confirm": _confirm}
"""Every command about a frozen installation."""
