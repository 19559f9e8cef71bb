"""``rexalgo status``: what runs, what needs attention, and the last signal."""

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
    seen = ask(where, "status")
    if as_json:
        emit_json(seen)
        return
    for line in _lines(seen):
        click.echo(line)


def _lines(seen: dict[str, Any]) -> list[str]:
    engine, orders, came = seen["engine"], seen["open_orders"], seen["ingress"]
    accounts = sum(seen["accounts"].values())
    kinds = (
        ", ".join(f"{count} {name.upper()}" for name, count in seen["accounts"].items()) or "none"
    )
    lines = (
        [seen["well"]]
        if seen["well"]
        else [f"NEEDS YOU   {each['what']}  ({each['do']})" for each in seen["needs"]]
    )
    lines += [
        "engine      "
        f"{'running, version ' + engine['version'] if engine['running'] else 'NOT RUNNING (start it: rexalgo serve)'}",
        f"accounts    {kinds}"
        + (f"; {engine['accounts_read']} of {accounts} read" if engine["running"] else ""),
        f"positions   {seen['positions']} held by strategies",
        f"new entries {'OFF: see below' if seen['switches'] else 'on'}",
        f"unproven    {orders.get('unknown', 0)} unknown, {orders.get('not_confirmed', 0)} not "
        "confirmed"
        + (
            "  (rexalgo unknown list)"
            if orders.get("unknown") or orders.get("not_confirmed")
            else ""
        ),
        f"webhooks    {came['taken']} taken, {came['repeated']} repeated, {came['refused']} "
        f"refused; newest {came['last_at'] or 'never'}",
        f"waiting     {seen['waiting']} orders to plan, {orders.get('claimed', 0)} being sent",
    ]
    for each in seen["switches"]:
        what = "everything" if each["scope"] == "all" else f"{each['scope']} {each['target']}"
        level = {"entries": "OFF", "reduce": "REDUCE ONLY", "flatten": "FLATTEN"}[each["level"]]
        lines.append(
            f"  {level} for {what} since {each['set_at']} by {each['set_by']}: "
            f"{each['note'] or 'no note'}"
        )
    if seen["copies"]:
        lines.append(
            "copies      " + ", ".join(f"{count} {code}" for code, count in seen["copies"].items())
        )
    last = seen["last_signal"]
    if last is not None:
        outcomes = ", ".join(f"{count} {code}" for code, count in last["outcomes"].items())
        lines.append(
            f"last signal {last['action']} {last['symbol']} at {last['received_at']}: "
            f"{outcomes or 'no follower'}"
        )
    worse = [
        f"{count} {name.replace('_', ' ')}"
        for name, count in engine.get("checks", {}).items()
        if name != "ok"
    ]
    if worse:
        lines.append(f"checks      {', '.join(worse)}  (rexalgo account check NAME)")
    for name, each in list(engine["troubled"].items())[:20]:
        what = (
            "QUARANTINED: no new entries"
            if each["quarantined"]
            else each["problem"] or each["last_error"] or "starting"
        )
        lines.append(f"  account {name}: {what}")
    for each in seen["alerts"][:10]:
        lines += [f"  alert {each['at']}  {each['sentence']}", f"        do: {each['do']}"]
    return lines
