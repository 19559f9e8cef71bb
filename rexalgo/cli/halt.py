"""``rexalgo halt entries|reduce|flatten`` and ``rexalgo resume entries``: the switches, at every
scope.
"""

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
    return click.option("--all", "everything", is_flag=True, help="Everything in this place.")(
        command
    )


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


@click.group()
def halt() -> None:
    """Stop new entries (entries), take resting ones back too (reduce), or close everything as well
    (flatten).
    """


def _halt(where: Path, level: str, chosen: dict[str, str], note: str) -> dict[str, Any]:
    return ask(where, "halt", **chosen, level=level, note=note, by=who())


def _flags(chosen: dict[str, str]) -> str:
    return "--all" if chosen["scope"] == "all" else f"--{chosen['scope']} {chosen['target']}"


def _tell(answer: dict[str, Any], level: str, chosen: dict[str, str]) -> None:
    before = (
        f" (they were already, at level {answer['was']}; the note is renewed)"
        if answer["was"]
        else ""
    )
    click.echo(f"new entries are OFF for {_words(chosen)}{before}. Exits still go through.")
    if answer["level"] in ("reduce", "flatten"):
        click.echo(
            "  resting entries are taken back"
            + ("" if answer["engine"] else " as soon as a server runs here")
        )
    if answer["level"] != level:
        click.echo(f"  the stronger level {answer['level']} stood there and stays")
    click.echo(f"  to allow them again: rexalgo resume entries {_flags(chosen)}")


_NOTE = click.option(
    "--note", default="", help="Why; shown to followers with every entry that is skipped."
)


@halt.command("entries")
@_scope_options
@_NOTE
@json_option
@click.pass_obj
def halt_entries(where: Path, /, as_json: bool, note: str, **scope: Any) -> None:
    """Send no new entry until someone resumes. Holds at once, also for entries that are being
    planned; exits still go through.
    """
    chosen = _chosen(**scope)
    answer = _halt(where, "entries", chosen, note)
    if as_json:
        emit_json(answer)
    else:
        _tell(answer, "entries", chosen)


@halt.command("reduce")
@_scope_options
@_NOTE
@json_option
@click.pass_obj
def halt_reduce(where: Path, /, as_json: bool, note: str, **scope: Any) -> None:
    """Reduce only: no new entries, and resting ones are taken back. What is held stays; exits still
    go through.
    """
    chosen = _chosen(**scope)
    answer = _halt(where, "reduce", chosen, note)
    if as_json:
        emit_json(answer)
    else:
        _tell(answer, "reduce", chosen)


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
    """Close everything that the engine opened, take resting entries back, and send no new ones.

    What the owners opened themselves is left alone. Ends with 0 when all is flat, and with 1 and
    the list of what is left, and why, when it is not after --wait seconds; closing goes on all the
    same.
    """
    chosen = _chosen(**scope)
    found = ask(where, "still_open", **chosen)["open"]
    if not yes:
        if not sys.stdin.isatty():
            raise CliError(
                "expected --yes: there is no terminal here to ask whether to close everything",
                Exit.USAGE,
            )
        accounts = len({each["account"] for each in found})
        if not click.confirm(
            f"Close {len(found)} positions of {accounts} accounts ({_words(chosen)}) at market "
            "price?"
        ):
            raise CliError("nothing was changed", Exit.NO)
    answer = _halt(where, "flatten", chosen, note)
    left = _wait_until_flat(where, chosen, wait_s if answer["engine"] else 0)
    if as_json:
        emit_json({**answer, "flat": not left, "left": left})
    else:
        _tell(answer, "flatten", chosen)
        if not answer["engine"]:
            click.echo("  no server runs here: closing begins when one starts (rexalgo serve)")
        click.echo(
            f"FLAT: nothing of the engine is open for {_words(chosen)}"
            if not left
            else f"NOT FLAT, {len(left)} left:"
        )
        for each in left:
            what = f"{each['side']} {each['share']} {each['symbol']}"
            click.echo(
                f"  {each['account']} [{each['environment'].upper()}] {what} of "
                f"{each['strategy']}: {each['why']}"
            )
    if left:
        raise click.exceptions.Exit(Exit.NO)


def _wait_until_flat(where: Path, chosen: dict[str, str], wait_s: int) -> list[dict[str, Any]]:
    until = time.monotonic() + wait_s
    while True:
        left: list[dict[str, Any]] = ask(where, "still_open", **chosen)["open"]
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
    """Allow new entries again. What was skipped meanwhile stays skipped."""
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
