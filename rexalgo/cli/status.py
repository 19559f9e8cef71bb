"""``rexalgo status``: what runs, what needs attention, and the last signal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask
from rexalgo.cli.common import emit_json, json_option


@click.command()
@json_option
@click.pass_obj
def status(where: Path, as_json: bool) -> None:
    """Show whether the engine runs, what needs attention, and the outcomes of the last signal.
    Counts cover the last 24 hours.
    """
    answer = ask(where, "status")
    if as_json:
        emit_json(answer)
        return
    for line in _lines(answer):
        click.echo(line)


def _lines(answer: dict[str, Any]) -> list[str]:
    engine, orders, came = answer["engine"], answer["open_orders"], answer["ingress"]
    accounts = sum(answer["accounts"].values())
    kinds = (
        ", ".join(f"{count} {name.upper()}" for name, count in answer["accounts"].items()) or "none"
    )
    lines = (
        [answer["well"]]
        if answer["well"]
        else [f"NEEDS YOU   {each['what']}  ({each['do']})" for each in answer["needs"]]
    )
    answers = engine["running"] and not engine.get("silent")
    lines += [
        f"engine      {_engine(engine)}",
        f"accounts    {kinds}"
        + (f"; {engine['accounts_read']} of {accounts} read" if answers else ""),
        f"positions   {answer['positions']} held by strategies",
        f"new entries {'OFF: see below' if answer['switches'] else 'on'}",
        f"unproven    {orders.get('unknown', 0)} unknown, {orders.get('not_confirmed', 0)} not "
        "confirmed"
        + (
            "  (rexalgo unknown list)"
            if orders.get("unknown") or orders.get("not_confirmed")
            else ""
        ),
        f"webhooks    {came['taken']} taken, {came['repeated']} repeated, {came['refused']} "
        f"refused; newest {came['last_at'] or 'never'}",
        f"waiting     {answer['waiting']} orders to plan, {orders.get('claimed', 0)} being sent",
    ]
    return [*lines, *_switches(answer), *_signals(answer), *_troubles(answer)]


def _engine(engine: dict[str, Any]) -> str:
    if not engine["running"]:
        return "NOT RUNNING (start it: rexalgo serve)"
    if (silent := engine.get("silent")) is not None:  # an earlier server says nothing of it
        return (
            f"RUNNING, DOES NOT ANSWER: {silent['what']}, process {silent['pid']}, since "
            f"{silent['since']}; what is below is from the ledger"
        )
    return f"running, version {engine['version']}"


def _switches(answer: dict[str, Any]) -> Iterator[str]:
    for switch in answer["switches"]:
        is_all = switch["scope"] == "all"
        what = "everything" if is_all else f"{switch['scope']} {switch['target']}"
        level = {"entries": "OFF", "reduce": "REDUCE ONLY", "flatten": "FLATTEN"}[switch["level"]]
        yield (
            f"  {level} for {what} since {switch['set_at']} by {switch['set_by']}: "
            f"{switch['note'] or 'no note'}"
        )


def _signals(answer: dict[str, Any]) -> Iterator[str]:
    if answer["copies"]:
        yield "copies      " + ", ".join(
            f"{count} {code}" for code, count in answer["copies"].items()
        )
    last = answer["last_signal"]
    if last is not None:
        outcomes = ", ".join(f"{count} {code}" for code, count in last["outcomes"].items())
        yield (
            f"last signal {last['action']} {last['symbol']} at {last['received_at']}: "
            f"{outcomes or 'no follower'}"
        )


def _troubles(answer: dict[str, Any]) -> Iterator[str]:
    engine = answer["engine"]
    worse = [
        f"{count} {name.replace('_', ' ')}"
        for name, count in engine.get("checks", {}).items()
        if name != "ok"
    ]
    if worse:
        yield f"checks      {', '.join(worse)}  (rexalgo account check NAME)"
    for name, task in list(engine["troubled"].items())[:20]:
        what = (
            "QUARANTINED: no new entries"
            if task["quarantined"]
            else task["problem"] or task["last_error"] or "starting"
        )
        yield f"  account {name}: {what}"
    for alert in answer["alerts"][:10]:
        yield f"  alert {alert['at']}  {alert['sentence']}"
        yield f"        do: {alert['do']}"
