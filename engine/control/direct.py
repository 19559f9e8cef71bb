"""Commands without a server: on the opened ledger, in the process of the command line."""

from dataclasses import asdict
from functools import partial
from typing import Any, Final

import trio

from engine.actors.clock import SystemClock
from engine.commands import Commands, only_reads
from engine.context import EngineContext
from engine.control.folder_lock import FolderLock, FolderLocked, Holder
from engine.domain.errors import NothingThere
from engine.keys.keyring import Keyring
from engine.ledger import LedgerError
from engine.ledger.freeze import EVERYBODY, freeze
from engine.plugin.host import Plugins, load_plugins
from engine.recovery.ledger_place import MarkKeeper, open_place, why_unfit
from engine.recovery.restoring import finish_restore
from engine.settings.config import Config
from engine.settings.files import make_folder

_SERVERS: Final = ("rexalgo serve", "rexalgo demo")


async def run_with_lock(
    config: Config, method: str, params: dict[str, Any], *, may_go_without: bool
) -> dict[str, Any]:
    """Run a command under the folder's lock, or, if it ``may_go_without``, beside a process that
    holds it. Raises what the command raised, or FolderLocked; NotMigrated for a ledger of an
    earlier version if it only reads.
    """
    if not config.ledger.path.exists() and may_go_without:
        if unfit := why_unfit(config):
            raise LedgerError(unfit)
        raise NothingThere(
            f"nothing is here yet: {config.ledger.path} does not exist; run rexalgo serve or "
            "rexalgo provision first"
        )
    make_folder(config.data_dir)
    try:
        with FolderLock(config.data_dir, f"rexalgo {method}", SystemClock().now()):
            finish_restore(config)
            return await _run_directly(config, method, params, holds=True)
    except FolderLocked as error:
        if not may_go_without:
            raise
        return await _run_directly(config, method, params, holder=error.holder)


async def _run_directly(
    config: Config,
    method: str,
    params: dict[str, Any],
    *,
    holds: bool = False,
    holder: Holder | None = None,
) -> dict[str, Any]:
    """Run a command on the opened ledger; if it ``holds`` the folder's lock, it also records where
    the ledger ends. ``holder`` is the process that holds it instead. Only a holder migrates it, for a command that writes.

    A ledger that may be old is frozen from then on: what is written to it may reach the numbers
    that showed it to be old.
    """
    may_migrate = holds and not only_reads(method)
    ledger, clock = open_place(config, inline=True, may_migrate=may_migrate), SystemClock()
    try:
        mark = MarkKeeper(config, ledger.db) if holds else None
        if mark is not None and mark.old:
            await ledger.write(
                lambda db, old=mark.old: freeze(
                    db, account=EVERYBODY, name="", cause=old, at=clock.now()
                )  # type: ignore[misc]
            )
        keyring = Keyring(ledger, clock, config.key_place, config.secrets.encryption_key)
        context = EngineContext(
            config=config,
            ledger=ledger,
            clock=clock,
            plugins=partial(_plugins, config),
            open_vault=keyring.open,
            changed=trio.lowlevel.checkpoint,
            keyring=keyring,
            silent=asdict(holder) if holder and holder.what.startswith(_SERVERS) else None,
        )
        answer = await Commands(context).run(method, params)
        if mark is not None:
            mark.keep(clock.now())
        return answer
    finally:
        await ledger.aclose()


def _plugins(config: Config) -> Plugins:
    return load_plugins(config.plugins.enabled, config.plugin_settings)
