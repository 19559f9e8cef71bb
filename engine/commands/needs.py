"""State in one sentence that all is well, or what needs a person: for the top of the operator's
page and of ``rexalgo status``. Pure.

What always holds: "all is well" is said only if the engine runs, the ledger takes writes, every
account and exchange can be read, no order waits for a person, nothing is late, nothing that was
verified was refused, and alerts reach their channels; each need names how many, and has a code by
which a page finds where to act on it.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from engine.domain.alert import AlertCode

_CALM: Final = ("switches", "wishes")
"""Needs that somebody decided, or may decide in their own time: nothing is wrong."""
_REFUSED_FOR: Final = {
    "conflict": "its id was used before",
    "limited": "too many came, and it is not sent again",
    "unavailable": "it could not be recorded here, and is not sent again",
}
_SEVERAL: Final = {
    "entry": "entries",
    "exit": "exits",
    "cancel": "cancels",
    "protection": "protections",
}
BUSY_MS: Final = 500
"""Turns of the loop from which a place is overloaded: some senders wait 3 s in all."""
ALERT_IS_NEW_FOR: Final = timedelta(hours=1)
"""Alerts cannot be ticked off: an older one is on its own page, and its subject shows here for as
long as it lasts.
"""

UNTOLD_AFTER_S: Final = 60
"""A channel that failed once tells the alert within a minute."""


def how_it_is(
    seen: Mapping[str, Any], wishes: int, now: datetime
) -> tuple[str, list[dict[str, Any]]]:
    """Return a sentence that all is well (empty if it is not), and everything that needs a person,
    the worst first.

    ``is_wrong`` is whether something does not do what it should; else somebody decided it, or may
    decide in their own time. ``seen`` is the answer of the command ``status``; ``wishes`` counts
    people who ask to become masters.
    """
    needs = [
        {"code": code, "what": what, "do": do, "is_wrong": code not in _CALM}
        for code, what, do in _needs(seen, wishes, now)
    ]
    return ("" if needs else _well(seen, now)), needs


def _needs(seen: Mapping[str, Any], wishes: int, now: datetime) -> Iterator[tuple[str, str, str]]:
    engine, orders = seen["engine"], seen["open_orders"]
    if not engine["running"]:
        yield "engine", "the engine does not run: nothing is copied", "rexalgo serve"
    elif silent := engine["silent"]:
        yield (
            "engine",
            f"the engine runs ({silent['what']}, process {silent['pid']}, since {silent['since']}) "
            "and does not answer: it is starting, or something such as a plugin blocks it, and "
            "meanwhile nothing is copied and no exit is sent; the end of its log says more",
            f"rexalgo serve, if it stays silent and after it was ended with: kill -9 {silent['pid']}",
        )
    if frozen := seen["still"]:
        who = (
            "this installation is"
            if not frozen[0]["account"]
            else f"{_some([each['account'] for each in frozen])} "
            + ("is" if len(frozen) == 1 else "are")
        )
        yield (
            "still",
            f"{who} frozen, no order of any kind is sent: {frozen[0]['cause']}",
            "rexalgo reconcile --plan, then rexalgo restore confirm",
        )
    if not engine["ledger_healthy"]:
        yield (
            "ledger",
            "the last write to the ledger failed: senders get 503 until it works; look at disk "
            "space and the log",
            "rexalgo doctor",
        )
    if count := orders.get("not_confirmed", 0):
        yield (
            "unknowns",
            f"{_count(count, 'order')} not confirmed: look at the exchange and decide",
            "rexalgo unknown list",
        )
    quarantined = [name for name, each in engine["troubled"].items() if each["quarantined"]]
    if quarantined:
        yield (
            "quarantine",
            f"{_count(len(quarantined), 'account')} in quarantine: {_some(quarantined)}",
            "rexalgo account release NAME",
        )
    others = [name for name in engine["troubled"] if name not in quarantined]
    if others:
        yield (
            "troubled",
            f"{_count(len(others), 'account')} in trouble: {_some(others)}",
            "rexalgo account list --troubled",
        )
    for name, problem in engine["failing"].items():
        yield "failing", f"{name} keeps failing and is restarted: {problem}", "rexalgo doctor"
    for exchange, problem in engine["exchanges_in_trouble"].items():
        yield "exchange", f"prices of {exchange} cannot be read: {problem}", "rexalgo doctor"
    for each in seen["untold"] if engine["running"] and not engine["silent"] else ():
        if _age_s(each["since"], now) > UNTOLD_AFTER_S:
            yield "channels", _untold(each), f"rexalgo alert test {each['channel']}"
    if seen["late"]:
        yield "late", _late(seen["late"]), "rexalgo account list --troubled"
    elif slow := _slow(seen, now):
        yield "slow", slow, "rexalgo system"
    if busy := _busy(seen):
        yield "busy", busy, "rexalgo system"
    if step := _step(seen["alerts"], now):
        yield "clock", step, "rexalgo unknown list"
    if seen["missed"]["late"]:
        yield "missed", _missed(seen["missed"]), "rexalgo why last NAME"
    for each in seen["refused"]:
        yield "refused", _refused(each), "rexalgo alert list"
    if seen["backup"]["overdue"]:
        yield "backup", _overdue(seen["backup"]), "rexalgo backup"
    if off := [each for each in seen["switches"] if not each.get("is_owners")]:
        where = _some(
            [
                "everything" if each["scope"] == "all" else f"{each['scope']} {each['target']}"
                for each in off
            ]
        )
        yield (
            "switches",
            f"new entries are off for {where} until somebody resumes",
            resume(off),
        )
    refused = {each["strategy"] for each in seen["refused"]}
    new = [
        each
        for each in seen["alerts"]
        if each["wakes"]
        and datetime.fromisoformat(each["at"]) > now - ALERT_IS_NEW_FOR
        and not is_told_apart(each["code"], each["subject"], refused)
    ]
    if new:
        yield (
            "alerts",
            f"{len(new)} new {'alert asks' if len(new) == 1 else 'alerts ask'} for somebody",
            "rexalgo alert list",
        )
    if wishes:
        yield (
            "wishes",
            f"{wishes} {'person asks' if wishes == 1 else 'people ask'} to become a master",
            "rexalgo user list",
        )


def _late(late: list[dict[str, Any]]) -> str:
    """Return which orders wait to be sent, and since when."""
    kinds = ", ".join(
        f"{each['count']} {each['kind'] if each['count'] == 1 else _SEVERAL[each['kind']]}"
        for each in late
    )
    since = f"since {late[0]['since'][11:19]} UTC"
    if sum(each["count"] for each in late) == 1:
        return f"{kinds} waits to be sent, {since}"
    return f"{kinds} wait to be sent, the oldest {since}"


def _untold(each: Mapping[str, Any]) -> str:
    """Return which channel tells nothing, and since when."""
    waiting, since = each["waiting"], f"since {each['since'][11:19]} UTC"
    return (
        f"{_count(waiting, 'alert')} not told to {each['channel']}, "
        f"{since if waiting == 1 else f'the oldest {since}'}: nobody may be reached"
    )


def _slow(seen: Mapping[str, Any], now: datetime) -> str:
    """Return that entries wait for half of the time after which they are not sent; empty if none
    does.
    """
    entries = next((each for each in seen["queue"] if each["kind"] == "entry"), None)
    age_s = 0.0 if entries is None else _age_s(entries["since"], now)
    if entries is None or age_s * 2 < seen["entry_age_s"]:
        return ""
    waits = "1 entry waits" if entries["count"] == 1 else f"{entries['count']} entries wait"
    return (
        f"entries are getting late: {waits}, the oldest for {age_s:.1f} s; after "
        f"{seen['entry_age_s']} s they are not sent"
    )


def _busy(seen: Mapping[str, Any]) -> str:
    turns = seen["loop_turns"]
    if turns is None or turns["p99_ms"] < BUSY_MS:
        return ""
    return (
        f"the engine is overloaded: 1 of 100 turns of its loop took over {turns['p99_ms']:.0f} ms, "
        f"the longest {turns['longest_ms']:.0f} ms, and no webhook is read meanwhile"
    )


def _step(alerts: list[dict[str, Any]], now: datetime) -> str:
    """Return how the machine's clock was last set; empty if that is an hour ago, or never was."""
    for each in alerts:
        at = datetime.fromisoformat(each["at"])
        if each["code"] == AlertCode.CLOCK_STEPPED.value and abs(now - at) < ALERT_IS_NEW_FOR:
            told: str = each["sentence"]
            return (
                f"{told.rstrip('.')}, at {each['at'][11:16]} UTC: see that it follows a time source"
            )
    return ""


def _age_s(since: str, now: datetime) -> float:
    return max(0.0, (now - datetime.fromisoformat(since)).total_seconds())


def _missed(missed: Mapping[str, Any]) -> str:
    """Return how many entries were not sent because they waited too long, and since when."""
    what = _number(missed["late"], "entry of the last hour", "entries of the last hour")
    return (
        f"{what} waited too long and {'was' if missed['late'] == 1 else 'were'} not sent, since "
        f"{missed['since'][11:16]} UTC"
    )


def is_told_apart(code: str, subject: str, refused: Collection[str]) -> bool:
    """Return whether an alert tells what a need of its own tells as long as it lasts: what is
    frozen, and the refused exit of a strategy. ``refused``: names of the strategies that need it.
    """
    return code == AlertCode.STANDS_STILL.value or (
        code == AlertCode.EXIT_REFUSED.value and subject in refused
    )


def _refused(each: Mapping[str, Any]) -> str:
    """Return what was delivered to a strategy, verified and refused, and is not settled."""
    what = "an exit" if each["reads_exit"] else "a message"
    often = f"{each['count']} times, last" if each["count"] > 1 else "once,"
    why = _REFUSED_FOR.get(
        each["kind"], f"{each['place']}: expected {each['expected'] or 'another body'}"
    )
    held = _number(each["held"], "position of it is", "positions of it are") if each["held"] else ""
    still_open = f"; {held or 'no position of it is'} open" if each["reads_exit"] else ""
    return (
        f"{what} of strategy {each['strategy']} was refused {often} at {each['at'][11:16]} UTC "
        f"({why}){still_open}"
    )


def _overdue(backup: Mapping[str, Any]) -> str:
    if backup["age_hours"] is None:
        return "there is no backup of the ledger"
    return f"the newest backup of the ledger is {how_old(backup['age_hours'])}"


def _waits(queue: list[dict[str, Any]], now: datetime) -> str:
    """Return how many orders wait to be sent, and for how long the oldest does."""
    if not queue:
        return "no order waits"
    count = sum(each["count"] for each in queue)
    age_s = _age_s(queue[0]["since"], now)
    return f"{count} {'order waits' if count == 1 else 'orders wait'}, the oldest for {age_s:.1f} s"


def _backed_up(backup: Mapping[str, Any]) -> str:
    if backup["age_hours"] is None:
        return "there is no backup yet" if backup["every_hours"] else "no backup is made"
    return f"the newest backup is {how_old(backup['age_hours'])}"


def how_old(hours: float) -> str:
    """Return an age of hours in words."""
    if hours < 1:
        return f"{hours * 60:.0f} min old" if hours * 60 >= 1 else "less than a minute old"
    return f"{hours:.0f} h old"


def _well(seen: Mapping[str, Any], now: datetime) -> str:
    waits = _waits(seen["queue"], now)
    accounts, looked_up = sum(seen["accounts"].values()), seen["open_orders"].get("unknown", 0)
    if not accounts:
        return "The engine runs and the ledger is healthy; no account is here yet."
    read = seen["engine"]["accounts_read"]
    proven = f"{_count(looked_up, 'order')} being looked up" if looked_up else "no order is unknown"
    begin = "All is well" if read >= accounts else "Nothing is wrong so far"
    overtaken = seen["missed"]["overtaken"]
    flips = (
        f" In the last hour later signals overtook {_number(overtaken, 'entry', 'entries')} "
        "within seconds: not sent."
    )
    sentence = (
        f"{begin}: {read} of {_count(accounts, 'account')} read, {waits}, {proven}, new entries are "
        f"taken everywhere, {_backed_up(seen['backup'])}."
    )
    return sentence + flips if overtaken else sentence


def _number(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _count(count: int, noun: str) -> str:
    return f"1 {noun} is" if count == 1 else f"{count} {noun}s are"


def resume(switches: list[Any]) -> str:
    """Return the command that resumes; if there are several, ``doctor`` has one for each."""
    if len(switches) > 1:
        return "rexalgo doctor"
    (only,) = switches
    if only.get("role"):
        return f"rexalgo user role {only['person']} {only['role']}"
    if only["person"]:
        return f"rexalgo user resume {only['person']}"
    return "rexalgo resume entries " + (
        "--all" if only["scope"] == "all" else f"--{only['scope']} {only['target']}"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
