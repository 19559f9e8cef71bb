"""``rexalgo doctor``: check every part of an installation, and say what to do."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from engine.commands.needs import how_old, resume
from engine.control import ServerSilent, ask_server, call
from engine.control.folder_lock import LOCK_NAME
from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import reads_as_former
from engine.ledger import LedgerError, check_ledger
from engine.ledger.errors import NotMigrated
from engine.plugin.host import PluginError, load_plugins
from engine.recovery.backups import DISK_FREE_MIN
from engine.recovery.ledger_place import SUFFIXES, mark_file, why_old_on_disk, why_unfit
from engine.settings.config import Config, ConfigErrors, check_exposure
from rexalgo.cli.asking import who
from rexalgo.cli.common import Exit, emit_json, json_option, read_config
from rexalgo.cli.finding import Finding
from rexalgo.cli.process import files_max, run_trio
from rexalgo.cli.production import do_without, ledger_findings, settings_findings

ROOT_KEY_DAYS_MAX: Final = 365
_LARGE_BYTES: Final = 256 * 2**20
"""From this size on, a word is said before the whole ledger is read."""


@click.command()
@click.option(
    "--production",
    is_flag=True,
    help="Also walk the checklist of an installation that strangers trust with keys.",
)
@json_option
@click.pass_obj
@click.pass_context
def doctor(ctx: click.Context, where: Path, production: bool, as_json: bool) -> None:
    """Check configuration, secrets, plugins, ledger, disk, server, accounts and orders. Changes
    nothing.

    Ends with 1 when something is wrong. Warnings alone end with 0.
    """
    findings = list[Finding]()
    for finding in _findings(where, production):  # each is told as it is known
        findings.append(finding)
        mark = {"ok": "ok   ", "warn": "WARN ", "wrong": "WRONG"}[finding.level]
        do = f"\n      do: {finding.do}" if finding.do else ""
        if not as_json:
            click.echo(f"{mark} {finding.what}{do}")
    if as_json:
        emit_json(
            {
                "ok": all(each.level != "wrong" for each in findings),
                "findings": [asdict(each) for each in findings],
            }
        )
    if any(each.level == "wrong" for each in findings):
        ctx.exit(Exit.NO)


def _findings(where: Path, production: bool) -> Iterator[Finding]:
    yield Finding("ok", f"Python {sys.version.split()[0]}")
    try:
        config = read_config(where)
    except ConfigErrors as error:
        yield from (
            Finding(
                "wrong",
                f"configuration: {each}",
                "correct it; rexalgo config check shows every value",
            )
            for each in error.errors
        )
        return
    yield Finding("ok", f"configuration of {config.folder}")
    if production:
        yield from settings_findings(config)
    yield from _access(config)
    if any(not _may_open(each) for each in _used(config)):
        return  # nothing of it can be read
    for check in (_secrets, _exposure, _plugins, _disk, _server):
        yield from check(config)
    damage = _damage(config)
    yield from _ledger(config, damage)
    if damage:
        return  # nothing that stands in it can be asked
    yield from _root_keys(config)
    yield from _state(config)
    if production:
        yield from ledger_findings(config)


def _used(config: Config) -> list[Path]:
    """Return what a server opens in the data folder, as far as it is there."""
    path = config.ledger.path
    files = [Path(f"{path}{suffix}") for suffix in SUFFIXES]
    names = (config.data_dir, *files, config.data_dir / LOCK_NAME, mark_file(config))
    return [each for each in names if os.path.lexists(each)]


def _may_open(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0))


def _owner(path: Path) -> int:
    return path.stat().st_uid


def _access(config: Config) -> Iterator[Finding]:
    """Name what the owner of the data folder, as whom the server runs, cannot open."""
    read_only = (config.ledger.path, mark_file(config))  # their modes are set anew, or never matter
    for each in _used(config):
        mode = each.stat().st_mode & 0o777
        needed = 0o700 if each == config.data_dir else 0o400 if each in read_only else 0o600
        if _owner(each) == 0 != _owner(config.data_dir):
            yield Finding(
                "wrong",
                f"{each} belongs to root, so the server's user cannot open it",
                f"sudo chown --reference={config.data_dir} {each}",
            )
        elif mode & needed != needed:
            yield Finding(
                "wrong",
                f"{each} has mode {mode:04o}, so its owner cannot use it",
                f"chmod u+rw{'x' if each == config.data_dir else ''} {each}",
            )
        elif not _may_open(each):
            yield Finding(
                "wrong",
                f"{each} cannot be opened as {who()}",
                "run the command as the server's user (sudo -u USER ...)",
            )


def _secrets(config: Config) -> Iterator[Finding]:
    for name, value in (
        ("ENCRYPTION_KEY", config.secrets.encryption_key),
        ("JWT_SECRET", config.secrets.jwt_secret),
    ):
        if value is None:
            yield Finding(
                "wrong",
                f"{name} is not set",
                do_without(config, name)
                or "rexalgo init writes a .env; or set it in the environment, or set NAME_FILE",
            )
        else:
            yield Finding("ok", f"{name} is set, from {config.origins[f'secrets.{name.lower()}']}")


def _exposure(config: Config) -> Iterator[Finding]:
    yield from (
        Finding("wrong", each, "correct it; rexalgo serve refuses to start until then")
        for each in check_exposure(config)
    )


def _plugins(config: Config) -> Iterator[Finding]:
    try:
        plugins = load_plugins(config.plugins.enabled, config.plugin_settings)
    except PluginError as error:
        yield Finding(
            "wrong", f"plugin {error.name} from {error.distribution}: {error.wrong}", error.do
        )
        return
    yield Finding("ok", "plugins: " + ", ".join(each.name for each in plugins.loaded))
    if config.plugins.rate_limiter not in plugins.limiters:
        yield Finding(
            "wrong",
            f"rate limiter {config.plugins.rate_limiter} is not registered",
            "enable its plugin",
        )
    if not plugins.webhook_sources:
        yield Finding(
            "wrong", "no webhook source is enabled", "rexalgo plugin enable signed_webhook"
        )
    if not config.operator.name:
        yield Finding(
            "warn",
            "no operator is named",
            "set operator.name; followers see it before they paste a key",
        )


def _disk(config: Config) -> Iterator[Finding]:
    folder = config.data_dir if config.data_dir.exists() else config.folder
    free = shutil.disk_usage(folder).free
    level = "ok" if free >= DISK_FREE_MIN else "wrong"
    yield Finding(
        level,
        f"{free // 2**20} MiB free at {folder}",
        "" if level == "ok" else "free some space; signals are refused when the disk is full",
    )


def _damage(config: Config) -> str:
    """Return what is damaged in the ledger; empty if it is sound, or if there is none to read."""
    if why_unfit(config) or not config.ledger.path.exists():
        return ""
    size = config.ledger.path.stat().st_size
    if size >= _LARGE_BYTES:
        click.echo(f"      reading the whole ledger, {size // 2**20} MiB ...", err=True)
    try:
        answer = check_ledger(config.ledger.path)
    except LedgerError as error:
        return str(error)
    return "" if answer == "ok" else f"the ledger is damaged: {answer[:200]}"


def _ledger(config: Config, damage: str) -> Iterator[Finding]:
    if unfit := why_unfit(config):
        yield Finding(
            "wrong",
            unfit,
            "rexalgo restore FILE with the newest backup; without a backup, ask for help before "
            "you start it",
        )
        return
    if not config.ledger.path.exists():
        yield Finding(
            "warn",
            f"no ledger yet at {config.ledger.path}",
            "rexalgo serve or rexalgo provision creates it",
        )
        return
    mode = config.ledger.path.stat().st_mode & 0o777
    if mode & 0o077:
        yield Finding("wrong", f"the ledger has mode {mode:04o}", f"chmod 600 {config.ledger.path}")
    if damage:
        yield Finding(
            "wrong",
            damage,
            "stop the server, then rexalgo restore FILE with the newest backup; without one, ask "
            "for help before you start it",
        )
        return
    yield Finding("ok", f"ledger {config.ledger.path}, quick check ok")
    if old := why_old_on_disk(config):
        yield Finding(
            "wrong",
            old,
            "rexalgo serve starts and sends no order; then rexalgo reconcile --plan and rexalgo "
            "restore confirm",
        )


def _server(config: Config) -> Iterator[Finding]:
    try:
        answer = run_trio(lambda: ask_server(config.data_dir, "ping", {}))
    except ServerSilent as error:
        yield Finding(
            "wrong",
            f"the server does not answer: {error}",
            "rexalgo halt entries --all still works; then read the server's log",
        )
    except OSError:
        yield Finding(
            "warn",
            "no server runs in this folder",
            "repair the ledger first, as said below" if why_unfit(config) else "rexalgo serve",
        )
        yield _files("a server started from here", files_max())
    else:
        yield Finding("ok", f"server runs, version {answer['version']}")
        if "files_max" in answer:  # a server from before an upgrade does not tell it
            yield _files("the server", answer["files_max"])
        if answer["web"] == "connected":
            yield Finding("ok", "a web process is connected")
        elif answer["web"] == "away":
            yield Finding(
                "wrong",
                "the engine runs without its web process: no webhook is taken, no page is shown",
                "rexalgo serve --role web, in this folder and of the same version; its log says why",
            )


def _files(who: str, files: int) -> Finding:
    # Loaded only now: it brings the engine and the web along.
    from rexalgo.cli.serving import few_files

    few = few_files(files)
    if not few:
        return Finding("ok", f"{who} may open {files} files")
    return Finding(
        "warn",
        f"{who} {few}",
        "raise the limit (LimitNOFILE= in the systemd unit, or ulimit -n), then start it again",
    )


def _root_keys(config: Config) -> Iterator[Finding]:
    if (
        not config.ledger.path.exists()
        or config.secrets.encryption_key is None
        or why_unfit(config)
    ):
        return
    try:
        answer: dict[str, Any] = run_trio(lambda: call(config, "key_status", {}))
    except NotMigrated:
        return  # told with the state
    except RexAlgoError as error:
        yield Finding(
            "wrong",
            f"the root keys cannot be read: {error}",
            "restore the keys from the copy that you keep elsewhere",
        )
        return
    lost = any(each["state"] == "old" and not each["lies_there"] for each in answer["keys"])
    if answer["in_use"] not in (None, answer["active"]) and not lost:
        yield Finding(
            "warn",
            f"the server still uses root key {answer['in_use']}; the active one is now "
            f"{answer['active']}",
            "rexalgo key rewrap",
        )
    for key in answer["keys"]:
        if key["state"] == "active" and (key["age_days"] or 0) > ROOT_KEY_DAYS_MAX:
            yield Finding(
                "warn",
                f"root key {key['kid']} has been active for {key['age_days']} days",
                "rexalgo key rotate",
            )
        if key["state"] != "active" and key["lies_there"] and not key["under"]:
            yield Finding(
                "ok",
                f"nothing here needs root key {key['kid']}",
                f"once no backup needs it: rexalgo key remove {key['kid']}",
            )
        if key["state"] == "old" and not key["lies_there"]:
            yield Finding(
                "wrong",
                f"root key {key['kid']} is missing from {answer['place']}, and is still needed",
                "put back the copy of .env that you keep elsewhere, or add the key behind the others",
            )
    sessions = answer["sessions"]
    for key in sessions["keys"]:
        if key["state"] == "old" and not sessions["sessions"]:
            yield Finding(
                "ok",
                f"no session needs session key {key['kid']}",
                f"rexalgo key remove {key['kid']}",
            )
    if lost:
        return  # no rewrap opens what only the missing key opens
    if answer["left"] or (answer["rewrap"] is not None and answer["rewrap"]["ended"] is None):
        yield Finding(
            "warn",
            f"the rotation to root key {answer['active']} is not finished: {answer['left']} "
            "secrets are still under another key",
            "rexalgo key rewrap",
        )


def _state(config: Config) -> Iterator[Finding]:
    if not config.ledger.path.exists() or why_unfit(config):
        return
    try:
        seen: dict[str, Any] = run_trio(lambda: call(config, "status", {}))
        named: dict[str, Any] = run_trio(lambda: call(config, "accounts", {"search": ".gone"}))
    except NotMigrated as error:
        yield Finding("warn", str(error), "rexalgo upgrade --check, then rexalgo serve")
        return
    except RexAlgoError as error:
        yield Finding("wrong", f"the state cannot be read: {error}", "see the lines above")
        return
    checks: tuple[Callable[[dict[str, Any]], Iterator[Finding]], ...] = (
        _frozen,
        _accounts,
        _switches,
        _orders,
        _needs,
        _books,
        _backups,
    )
    for check in checks:
        yield from check(seen)
    yield from _names([each["name"] for each in named["accounts"]])


def _names(names: list[str]) -> Iterator[Finding]:
    for name in filter(reads_as_former, names[:20]):
        yield Finding(
            "warn",
            f"account {name} is called like a disconnected account, so files and filters show it by "
            "another name; such names are refused now",
            f"ask its owner to disconnect it and to join by another name, or: rexalgo user suspend {name}",
        )


def _frozen(seen: dict[str, Any]) -> Iterator[Finding]:
    for each in seen["still"][:20]:
        yield Finding(
            "wrong",
            f"{each['account'] or 'everything'} has been frozen since {each['since']}, no order of "
            f"any kind is sent: {each['cause']}",
            "rexalgo reconcile --plan shows what differs; then rexalgo restore confirm",
        )


_DO_QUARANTINED: Final = "read the log; once the cause is gone: rexalgo account release NAME"
_DO_TROUBLED: Final = "the server retries; rexalgo account check NAME says what is wrong"


def _accounts(seen: dict[str, Any]) -> Iterator[Finding]:
    engine, total = seen["engine"], sum(seen["accounts"].values())
    if engine["running"] and not engine["ledger_healthy"]:
        yield Finding(
            "wrong",
            "the server's last write to the ledger failed",
            "check disk space and the log; signals get 503 meanwhile",
        )
    for name, task in list(engine["troubled"].items())[:20]:
        what = (
            "is quarantined: no new entries"
            if task["quarantined"]
            else task["problem"] or task["last_error"] or "is starting"
        )
        yield Finding(
            "wrong",
            f"account {name}: {what}",
            _DO_QUARANTINED if task["quarantined"] else _DO_TROUBLED,
        )
    yield Finding(
        "ok",
        f"{total} accounts, {seen['strategies']} strategies, {seen['positions']} positions held "
        "by strategies",
    )


def _switches(seen: dict[str, Any]) -> Iterator[Finding]:
    for each in seen["switches"]:
        flags = "--all" if each["scope"] == "all" else f"--{each['scope']} {each['target']}"
        if each.get("is_owners"):  # a server of an older version says nothing of it
            yield Finding(
                "ok",
                f"account {each['target']} takes no new entries (level {each['level']}): "
                f"{each['set_by']}, its owner, stopped them and resumes them",
            )
            continue
        yield Finding(
            "warn",
            f"new entries are off ({flags}, level {each['level']}) by {each['set_by']}: "
            f"{each['note']}",
            resume([each]),
        )


def _orders(seen: dict[str, Any]) -> Iterator[Finding]:
    open_orders = seen["open_orders"]
    if open_orders.get("not_confirmed"):
        yield Finding(
            "wrong",
            f"{open_orders['not_confirmed']} orders were sent and never confirmed",
            "rexalgo unknown list",
        )
    if open_orders.get("unknown"):
        yield Finding(
            "warn", f"{open_orders['unknown']} orders are being looked up", "rexalgo unknown list"
        )


_TOLD_APART: Final = (
    "engine",
    "still",
    "ledger",
    "unknowns",
    "quarantine",
    "troubled",
    "backup",
)
"""Needs that findings of their own tell in more detail."""


def _needs(seen: dict[str, Any]) -> Iterator[Finding]:
    for each in seen["needs"]:
        if each["is_wrong"] and each["code"] not in _TOLD_APART:
            is_here = each["do"] == "rexalgo doctor"
            do = "the server tries again; its log says why" if is_here else each["do"]
            yield Finding("wrong", each["what"], do)


def _books(seen: dict[str, Any]) -> Iterator[Finding]:
    books = seen["books"]
    for each in books["differ"][:20]:
        yield Finding(
            "wrong",
            f"the books of {each} differ in quantity from its share",
            "rexalgo books check NAME shows both sides",
        )
    if books["unsettled"]:
        yield Finding(
            "warn",
            f"{books['unsettled']} fills have no price, fee or cause yet",
            "the exchange is asked again; rexalgo books check NAME",
        )
    if books["unexplained"]:
        yield Finding(
            "warn",
            f"{books['unexplained']} fills remain unexplained",
            "rexalgo books check NAME names them",
        )
    if not books["differ"]:
        yield Finding("ok", "the books match what strategies hold")


def _backups(seen: dict[str, Any]) -> Iterator[Finding]:
    backup = seen["backup"]
    if not backup["every_hours"]:
        yield Finding(
            "warn",
            "RexAlgo makes no backups by itself (backup.every_hours is 0)",
            "set backup.every_hours, unless something else runs rexalgo backup",
        )
    what = (
        "there is no backup yet"
        if backup["newest"] is None
        else f"the newest backup is {how_old(backup['age_hours'])}: {backup['file']}"
    )
    if backup["overdue"]:
        yield Finding("wrong", what, "rexalgo backup; the log says why none was made")
    elif backup["newest"] is not None:
        yield Finding("ok", what)
