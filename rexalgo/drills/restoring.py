"""Rehearse a restore: prove that a backup starts, agrees with the exchange, and would go on.

The backup is restored into a folder of its own inside the data folder, and the engine runs there
without web, alerts, heartbeat and backups. It starts frozen and is never confirmed, so nothing is
sent; it only reads the real accounts. The installation itself, which may be serving, is only read.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import trio

from engine.control import FolderLock
from engine.domain.errors import NothingThere
from engine.ledger import LedgerError
from engine.ledger.database import open_reader
from engine.ledger.lineage import AccountEnd, account_ends, read_end
from engine.ports.secret import Secret
from engine.recovery.backups import newest_backup
from engine.recovery.restoring import RestoreRefused, restore
from engine.run import Engine, run_engine
from engine.settings.config import Config
from engine.settings.files import make_folder
from rexalgo.drills.plays import Held

ABOUT: Final = "your newest backup starts, agrees with the exchange, and would go on"
READ_WITHIN_S: Final = 60.0
LOOK_S: Final = 0.2
AGAIN_S: Final = 3.0
SHOWN: Final = 5
_FOLDER: Final = "drill-"


def chosen_backup(config: Config, file: Path | None, now: datetime) -> Path:
    """Return the backup to rehearse with: the given file, or the newest one. Raises NothingThere."""
    if file is not None:
        return file
    newest = newest_backup(config, now)
    if newest is None:
        raise NothingThere(
            f"expected a backup in {config.backup.folder}, found none: rexalgo backup, or name a "
            "file with --backup FILE"
        )
    return newest.file


async def rehearse(
    config: Config,
    backup: Path,
    private_key: Secret | None,
    now: datetime,
    say: Callable[[str], None],
) -> list[Held]:
    """Restore a backup beside the installation, run it without letting anything out, and return
    what was checked.
    """
    make_folder(config.data_dir)
    with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=config.data_dir) as folder:
        there = _apart(config, Path(folder))
        make_folder(there.data_dir)
        for each in ("plugins", "kit"):  # the paper exchange's own record; the proofs of adapters
            if (config.data_dir / each).is_dir():
                shutil.copytree(config.data_dir / each, there.data_dir / each)
        say(f"restore {backup.name} into a folder of its own")
        try:
            with FolderLock(there.data_dir, "rexalgo drill restore", now):
                await restore(there, backup, now, private_key)
        except RestoreRefused as error:
            return [Held("the backup is whole, and the keys here open it", False, str(error))]
        held = [Held("the backup is whole, and the keys here open it", True, str(backup))]
        before, ends = _ends(there)
        say("start the engine there, frozen, and read every account")
        async with run_engine(there, what="rexalgo drill restore") as engine:
            held += await _checks(engine, ends, _present(config))
        after = _ends(there)[0]
        return [
            *held,
            Held("nothing was sent", before == after, f"{after - before} orders were begun"),
        ]


def _apart(config: Config, folder: Path) -> Config:
    """Return the configuration of the rehearsal: the same plugins, keys and limits; nobody is
    alerted.
    """
    return replace(
        config,
        ledger=replace(config.ledger, path=folder / "data" / config.ledger.path.name),
        backup=replace(config.backup, every_hours=0),
        operator=replace(config.operator, alerts=(), heartbeat_url=""),
    )


async def _checks(
    engine: Engine, ends: Mapping[str, AccountEnd], present: Mapping[str, AccountEnd] | None
) -> list[Held]:
    status = await engine.commands.run("status", {})
    frozen = [each["cause"] for each in status["still"] if not each["account"]]
    for _ in range(round(READ_WITHIN_S / LOOK_S)):
        if await _all_read(engine):
            break
        await trio.sleep(LOOK_S)
    first, second = await _steady_plans(engine)
    unread = [
        f"{each['account']}: {each['problem'] or 'not compared: ' + ', '.join(each['not_compared'])}"
        for each in second
        if each["problem"] or each["not_compared"]
    ]
    differs = [each for each in second if each["differs"]]
    unexplained = [
        f"{each['account']}: {each['steps'][0]['differs']}"
        for each in differs
        if present is None or present.get(each["account"]) == ends.get(each["account"])
    ]
    moved = [a["account"] for a, b in zip(first, second, strict=True) if a["steps"] != b["steps"]]
    agreeing = f"{len(second) - len(differs)} of {len(second)} accounts agree"
    later = len(differs) - len(unexplained)
    return [
        Held("it starts frozen", bool(frozen), frozen[0] if frozen else "orders could leave"),
        Held("every account is read", not unread, _some(unread) or f"{len(second)} accounts"),
        Held(
            "it agrees with the exchange, but for what was done after it",
            not unexplained,
            _some(unexplained)
            or agreeing + (f"; {later} traded after the backup" if later else ""),
        ),
        Held(
            "it would go on: rexalgo restore confirm would be taken",
            bool(frozen) and not moved and not unread,
            _some([f"the plan of {each} changed between two readings" for each in moved])
            or "each plan stayed the same in a second reading",
        ),
    ]


async def _plans(engine: Engine) -> list[dict[str, Any]]:
    plans: list[dict[str, Any]] = (await engine.commands.run("reconcile_all", {}))["accounts"]
    return plans


async def _comparable_plans(engine: Engine) -> list[dict[str, Any]]:
    """Return the plan of every account once all were read and all contracts can be compared: an
    exchange shows a fill some seconds late, and a backup may have been made right after one.
    """
    until = trio.current_time() + READ_WITHIN_S
    while True:
        plans = await _plans(engine)
        is_whole = not any(each["problem"] or each["not_compared"] for each in plans)
        if is_whole or trio.current_time() > until:
            return plans
        await trio.sleep(AGAIN_S)


async def _steady_plans(engine: Engine) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the plans of two readings in a row, the first two that say the same if any do: orders
    that were in flight in the backup are looked up meanwhile, and a person would read again too.
    """
    until = trio.current_time() + READ_WITHIN_S
    first = await _comparable_plans(engine)
    while True:
        second = await _comparable_plans(engine)
        if first == second or trio.current_time() > until:
            return first, second
        first = second
        await trio.sleep(AGAIN_S)


async def _all_read(engine: Engine) -> bool:
    seen = await engine.monitor.readiness()
    return seen.accounts_reconciled + len(seen.accounts_failed) >= seen.accounts


def _ends(config: Config) -> tuple[int, Mapping[str, AccountEnd]]:
    """Return how many orders a ledger has begun, and where each of its accounts ends."""
    db = open_reader(str(config.ledger.path))
    try:
        return read_end(db).numbers.get("attempt", 0), account_ends(db)
    finally:
        db.close()


def _present(config: Config) -> Mapping[str, AccountEnd] | None:
    """Return where the accounts of the installation itself end now; None if its ledger is gone."""
    if not config.ledger.path.exists():
        return None
    try:
        return _ends(config)[1]
    except LedgerError:
        return None


def _some(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return "; ".join(words[:SHOWN]) + more
