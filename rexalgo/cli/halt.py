"""``rexalgo halt entries`` and ``rexalgo resume entries``: the switch for new entries, at every scope."""

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
    return click.option("--all", "everything", is_flag=True, help="Everything in this place.")(command)


def _chosen(everything: bool, account: str | None, strategy: str | None, exchange: str | None) -> dict[str, str]:
    given = [
        (scope, name) for scope, name in zip(_SCOPES, (account, strategy, exchange), strict=True) if name is not None
    ] + ([("all", "")] if everything else [])  # fmt: skip
    if len(given) != 1:
        raise CliError("expected exactly one of --account NAME, --strategy NAME, --exchange NAME, --all", Exit.USAGE)
    return {"scope": given[0][0], "target": given[0][1]}


def _words(scope: dict[str, str]) -> str:
    return "everything" if scope["scope"] == "all" else f"{scope['scope']} {scope['target']}"


@click.group()
def halt() -> None:
    """Stop new entries; exits still go through."""


@halt.command("entries")
@_scope_options
@click.option("--note", default="", help="Why; shown to followers with every entry that is skipped.")
@json_option
@click.pass_obj
def halt_entries(where: Path, /, as_json: bool, note: str, **scope: Any) -> None:
    """Send no new entry until someone resumes. Holds at once, also for entries that are being planned; exits still go through."""
    chosen = _chosen(**scope)
    answer = ask(where, "halt", **chosen, note=note, by=who())
    if as_json:
        emit_json(answer)
        return
    before = " (they were already; the note is renewed)" if answer["was_off_already"] else ""
    click.echo(f"new entries are OFF for {_words(chosen)}{before}. Exits still go through.")
    flags = "--all" if chosen["scope"] == "all" else f"--{chosen['scope']} {chosen['target']}"
    click.echo(f"  to allow them again: rexalgo resume entries {flags}")


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
