"""``rexalgo key leaked``: the whole procedure for a secret that leaked, and what only a person can do."""

import sys
from pathlib import Path
from typing import Any

import click

from rexalgo.cli.asking import ask, who
from rexalgo.cli.common import CliError, Exit, emit_json, json_option
from rexalgo.cli.rewrapping import rewrap_all

_NAMED = {"webhook": "the strategy", "addresses": "the strategy", "account": "the account"}


@click.command()
@click.argument("kind", type=click.Choice(["jwt", "root", "webhook", "addresses", "account"]))
@click.argument("name", required=False)
@click.option("--yes", is_flag=True, help="Do not ask before the old root keys are erased.")
@json_option
@click.pass_obj
def leaked(where: Path, kind: str, name: str | None, yes: bool, as_json: bool) -> None:
    """Do everything at once for a secret that leaked, and say what only you can do.

    jwt: a new session key; everybody signs in again. root: a new root key and new data keys, every
    secret sealed again, the old keys erased. webhook NAME: a new secret for that strategy, the old
    one refused at once. addresses NAME: new addresses in place of that strategy's secret ones, such
    as TradingView's. account NAME: no new entries, no sign-in with that exchange key, its owner's
    sessions end.

    If it is killed, run it again.
    """
    if (kind in _NAMED) != (name is not None):
        found = "no NAME" if name is None else f"{name!r}"
        expected = f"the name of {_NAMED[kind]}" if kind in _NAMED else "no NAME"
        raise CliError(f"key leaked {kind}: expected {expected}, found {found}", Exit.USAGE)
    match kind:
        case "jwt":
            answer, done, left = _jwt(where)
        case "root":
            answer, done, left = _root(where, yes)
        case "webhook":
            answer, done, left = _webhook(where, str(name))
        case "addresses":
            answer, done, left = _addresses(where, str(name))
        case _:
            answer, done, left = _account(where, str(name))
    if as_json:
        emit_json({**answer, "done": done, "left_to_you": left})
        return
    click.echo("Done:")
    for each in done:
        click.echo(f"  {each}")
    click.echo("Only you can do this, in this order:")
    for number, each in enumerate(left, 1):
        click.echo(f"  {number}. {each}")


Told = tuple[dict[str, Any], list[str], list[str]]
"""The answer, what was done, and what is left to a person."""


def _jwt(where: Path) -> Told:
    answer = ask(where, "leaked_jwt", by=who())
    done = [
        f"session key {answer['active']} in {answer['place']} replaces {', '.join(answer['erased'])}",
        f"{answer['sessions_ended']} sessions ended; everybody signs in again",
    ]
    left = [
        f"copy {answer['place']} to your safe place, and destroy the older copies",
        "find out how it leaked; if the same file has ENCRYPTION_KEY: rexalgo key leaked root",
        "read who signed in meanwhile: rexalgo audit list --search signed_in",
    ]
    return answer, done, left


def _root(where: Path, yes: bool) -> Told:
    if not yes and not sys.stdin.isatty():
        raise CliError(
            "expected --yes: there is no terminal to ask whether backups that need the leaked key "
            "may be lost",
            Exit.USAGE,
        )
    if not yes and not click.confirm(
        "The leaked root keys are erased at the end. Backups of before cannot be opened without "
        "them. Go on?"
    ):
        raise CliError("nothing was changed", Exit.NO)
    made = ask(where, "key_rotate", by=who(), leaked=True)
    moved = rewrap_all(where)["moved"]
    for kid in made["old"]:
        ask(where, "key_remove", kid=kid, by=who())
    exposed = ask(where, "leaked_exposed")
    done = [
        f"root key {made['active']} in {made['place']} is the only one; {moved} secrets are under it",
        "everybody has another data key: what is stored from now on does not open with the old ones",
        f"erased there: {', '.join(made['old'])}",
    ]
    left = [
        f"copy {made['place']} to your safe place, and destroy the older copies",
        "make a new backup (rexalgo backup FILE), and destroy the older ones: with the leaked key "
        "they open",
        "if a copy of the ledger may have leaked too, renew what it contained: "
        f"{_names(exposed['accounts'], 'account')} (rexalgo key leaked account NAME), "
        f"{_names(exposed['strategies'], 'webhook')} (rexalgo key leaked webhook NAME), "
        f"{_names(exposed['second_factors'], 'second factor')} (each person, at /security)",
    ]
    return {"active": made["active"], "erased": made["old"], "moved": moved, **exposed}, done, left


def _names(names: list[str], kind: str) -> str:
    count = f"{len(names)} {kind}{'' if len(names) == 1 else 's'}"
    return count + (
        f" ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" if names else ""
    )


def _webhook(where: Path, name: str) -> Told:
    addresses = ask(where, "leaked_addresses", strategy=name)["addresses"]
    answer = ask(where, "rotate", strategy=name, overlap_hours=0, by=who())
    done = [
        f"the old secret of strategy {name} is refused from now on",
        f"new secret (not shown again): {answer['secret']}  for {answer['webhook_url']}",
    ]
    left = [
        "give the new secret to the bot, through a channel that only its owner reads",
        f"look for signals that the bot did not send: /studio, deliveries of {name}; if there are "
        f"any: rexalgo halt flatten --strategy {name} --note WHY",
    ]
    if addresses:
        left.append(
            f"{addresses} of its addresses are themselves the proof and stay valid: if one of them "
            f"may have leaked too: rexalgo key leaked addresses {name}"
        )
    return answer, done, left


def _addresses(where: Path, name: str) -> Told:
    answer = ask(where, "leaked_capabilities", strategy=name, by=who())
    done = [
        f"every former address of strategy {name} is refused from now on",
        *(
            f"new address at {each['source']}, {_scope(each['settings'])} (not shown again): "
            f"{each['url']}"
            for each in answer["addresses"]
        ),
    ]
    left = [
        f"have {answer['owner']} put each new address into its alerts, through a channel that only "
        "they read; until then those alerts are refused, exits too",
        f"what must not wait for that: rexalgo halt flatten --strategy {name} --note WHY",
        f"look for signals that {answer['owner']} did not send: deliveries of {name} in the studio",
    ]
    return answer, done, left


def _scope(settings: dict[str, Any]) -> str:
    """Return what an address may send, in the words of its page in the studio."""
    what = "closes only" if settings.get("actions") else "entries and closes"
    symbols = f" of {', '.join(settings['symbols'])}" if settings.get("symbols") else ""
    until = f", until {settings['expires_at'][:10]}" if settings.get("expires_at") else ""
    return f"{what}{symbols}{until}"


def _account(where: Path, name: str) -> Told:
    answer = ask(where, "leaked_account", name=name, by=who())
    done = [
        f"account {name}: no new entries; exits go on with the old key until it is replaced",
        f"the old key signs nobody in here; {answer['sessions_ended']} sessions of "
        f"{answer['owner']} ended",
    ]
    left = [
        f"revoke the key at {answer['exchange']} now, and make a new one that cannot withdraw",
        "look there for orders, transfers and other keys that nobody here made",
        f"give the new key at {answer['page']}"
        + (" and in the provisioning file" if answer["declared"] else ""),
        f"rexalgo account check {name}, then rexalgo resume entries --account {name}",
    ]
    return answer, done, left
