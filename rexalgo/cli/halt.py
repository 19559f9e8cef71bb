"""``rexalgo halt entries|reduce|flatten`` and ``rexalgo resume entries``: the trading switches."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option

_SCOPES = ("account", "strategy", "exchange")


def _scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for scope in reversed(_SCOPES):
        command = click.option(f"--{scope}", metavar="NAME", help=f"Only this {scope}.")(command)
    return click.option("--all", "everything", is_flag=True, help="All accounts.")(command)


def _chosen(
    everything: bool, account: str | None, strategy: str | None, exchange: str | None
) -> dict[str, str]:
    given = [
        (scope, name)
        for scope, name in zip(_SCOPES, (account, strategy, exchange), strict=True)
        if name is not None
    ] + ([("all", "")] if everything else [])
    if len(given) != 1:
        raise CliError(
            "expected exactly one of --account NAME, --strategy NAME, --exchange NAME, --all",
            Exit.USAGE,
        )
    return {"scope": given[0][0], "target": given[0][1]}


def _words(scope: dict[str, str]) -> str:
    return "everything" if scope["scope"] == "all" else f"{scope['scope']} {scope['target']}"


LOOK_S = 0.5
FROZEN_SHOWN = 20


@click.group()
def halt() -> None:
    """Stop new entries (entries), also cancel resting entries (reduce), or also close what the
    engine opened (flatten).
    """


def _halt(where: Path, level: str, chosen: dict[str, str], note: str) -> dict[str, Any]:
    return ask(where, "halt", **chosen, level=level, note=note, by=who())


def _flags(chosen: dict[str, str]) -> str:
    return "--all" if chosen["scope"] == "all" else f"--{chosen['scope']} {chosen['target']}"


def _print(answer: dict[str, Any], level: str, chosen: dict[str, str]) -> None:
    before = (
        f" (they were off already, at level {answer['was']}; the note is updated)"
        if answer["was"]
        else ""
    )
    still = answer.get("still", [])  # a server of an older version says nothing of it
    click.echo(
        f"new entries are OFF for {_words(chosen)}{before}."
        + ("" if still else " Exits still go through.")
    )
    for each in still[:FROZEN_SHOWN]:
        click.echo(
            f"  FROZEN: no order of {each['account'] or 'this installation'} is sent, no exit and no "
            f"cancellation, since {each['since']}: {each['cause']}"
        )
    if still:
        click.echo(
            "  close by hand at the exchange what cannot wait; then rexalgo reconcile --plan and "
            "rexalgo restore confirm"
        )
    if answer["level"] in ("reduce", "flatten"):
        click.echo(
            "  resting entries are cancelled"
            + ("" if answer["engine"] else " as soon as a server answers here")
            + (", except where it is frozen" if still else "")
        )
    if answer["level"] != level:
        click.echo(f"  the stronger level {answer['level']} was set already and stays")
    click.echo(f"  to allow entries again: rexalgo resume entries {_flags(chosen)}")


_NOTE = click.option(
    "--note", default="", help="The reason; followers see it with every skipped entry."
)


@halt.command("entries")
@_scope_options
@_NOTE
@json_option
@click.pass_obj
def halt_entries(where: Path, /, as_json: bool, note: str, **scope: Any) -> None:
    """Stop new entries until someone resumes them. Takes effect at once, also for entries in
    planning. Exits still go through.
    """
    chosen = _chosen(**scope)
    answer = _halt(where, "entries", chosen, note)
    if as_json:
        emit_json(answer)
    else:
        _print(answer, "entries", chosen)


@halt.command("reduce")
@_scope_options
@_NOTE
@json_option
@click.pass_obj
def halt_reduce(where: Path, /, as_json: bool, note: str, **scope: Any) -> None:
    """Stop new entries and cancel resting ones. Open positions stay. Exits still go through."""
    chosen = _chosen(**scope)
    answer = _halt(where, "reduce", chosen, note)
    if as_json:
        emit_json(answer)
    else:
        _print(answer, "reduce", chosen)


@halt.command("flatten")
@_scope_options
@_NOTE
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, 3600),
    default=60,
    show_default=True,
    help="Seconds to wait until it is flat.",
)
@json_option
@click.pass_obj
def halt_flatten(
    where: Path, /, as_json: bool, note: str, yes: bool, wait_s: int, **scope: Any
) -> None:
    """Stop new entries, cancel resting ones, close what the engine opened.

    Positions that owners opened themselves stay open. Ends with 0 when everything is flat. If
    positions are left after --wait seconds, ends with 1 and lists each with the reason; closing
    continues.
    """
    chosen = _chosen(**scope)
    if not yes:
        if not sys.stdin.isatty():
            raise CliError(
                "expected --yes: there is no terminal to ask whether to close everything",
                Exit.USAGE,
            )
        positions = ask(where, "still_open", **chosen)["open"]
        accounts = len({each["account"] for each in positions})
        if not click.confirm(
            f"Close {len(positions)} positions of {accounts} accounts ({_words(chosen)}) at market "
            "price?"
        ):
            raise CliError("nothing was changed", Exit.NO)
    answer = _halt(where, "flatten", chosen, note)
    left = _wait_until_flat(where, chosen, wait_s if answer["engine"] else 0)
    if as_json:
        emit_json({**answer, "flat": not left, "left": left})
    else:
        _print(answer, "flatten", chosen)
        if not answer["engine"]:
            click.echo("  no server answers here; closing begins when one does (rexalgo serve)")
        click.echo(
            f"FLAT: the engine has nothing open for {_words(chosen)}"
            if not left
            else f"NOT FLAT, {len(left)} left:"
        )
        for each in left:
            share = "" if each["share"] == "0" else f"{each['share']} "
            what = f"{each['side']} {share}{each['symbol']}"
            click.echo(
                f"  {each['account']} [{each['environment'].upper()}] {what} of "
                f"{each['strategy']}: {each['why']}"
            )
    if left:
        raise click.exceptions.Exit(Exit.NO)


def _wait_until_flat(where: Path, chosen: dict[str, str], wait_s: int) -> list[dict[str, Any]]:
    """Wait until nothing is open; not while everything is frozen, because then nothing closes."""
    until = time.monotonic() + wait_s
    while True:
        answer = ask(where, "still_open", **chosen)
        left: list[dict[str, Any]] = answer["open"]
        if any(not each["account"] for each in answer.get("still", ())):
            return left
        if not left or time.monotonic() >= until:
            return left
        time.sleep(LOOK_S)


@click.group()
def resume() -> None:
    """Allow new entries again."""


@resume.command("entries")
@_scope_options
@json_option
@click.pass_obj
def resume_entries(where: Path, /, as_json: bool, **scope: Any) -> None:
    """Allow new entries again. Entries that were skipped stay skipped."""
    chosen = _chosen(**scope)
    answer = ask(where, "resume", **chosen, by=who())
    if as_json:
        emit_json(answer)
        return
    if not answer["was_off"]:
        click.echo(f"new entries were not switched off for {_words(chosen)}; nothing changed")
    else:
        click.echo(f"new entries are on again for {_words(chosen)}")
    for each in answer["still_off"]:
        click.echo(f"  still OFF: {each}")
