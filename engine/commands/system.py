"""Commands about the machine and the software: versions, disk, clock, backups, plugins, refused
deliveries.
"""

import json
import platform
import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from typing import Any, Final

from engine.commands.backing_up import backup_rows, backup_state
from engine.commands.parameters import Reads, Run, installed_version, jsonable
from engine.context import EngineContext
from engine.ledger.deliveries import refusals
from engine.live import KnownAccount
from engine.plugin.api import PLUGIN_API_VERSION
from engine.plugin.host import InstalledPlugin, LoadedPlugin, hooks_of, list_installed
from engine.plugin.kit_record import read_record, why_unproven

_OWN: Final = "rexalgo"
"""The distribution of the plugins that come with RexAlgo."""
LIBRARIES: Final = (
    "trio",
    "hypercorn",
    "quart",
    "quart-trio",
    "pluggy",
    "apsw",
    "pynacl",
    "httpx",
    "h11",
    "pyjwt",
    "msgspec",
    "jinja2",
)


async def _system(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return versions, disk, ledger, clock and the newest backup in this installation's folder."""
    config, now = context.config, context.clock.now()
    disk = shutil.disk_usage(config.data_dir)
    backup = backup_state(context)
    feeds = {} if context.live is None else feed_states(context)
    return {
        "versions": {
            "rexalgo": installed_version("rexalgo"),
            "python": platform.python_version(),
            **{each: installed_version(each) for each in LIBRARIES},
        },
        "plugin_api": PLUGIN_API_VERSION,
        "disk_free_mib": disk.free // 2**20,
        "disk_total_mib": disk.total // 2**20,
        "ledger": str(config.ledger.path),
        "ledger_mib": round(
            sum(each.stat().st_size for each in config.data_dir.glob(config.ledger.path.name + "*"))
            / 2**20,
            1,
        ),
        "ledger_healthy": context.ledger.healthy,
        "now": now.isoformat(),
        "newest_backup": backup["newest"],
        "backup_age_hours": backup["age_hours"],
        "public_url": context.webhook_address,
        "web": context.web(),
        "exchanges": feeds,
        "loop_turns": None if context.loop_turns is None else asdict(context.loop_turns()),
    }


def feed_states(context: EngineContext) -> dict[str, Any]:
    """Return for each exchange the state of its market data, how far its clock is ahead of ours
    (seconds; None: not known), and the share of its stated rate that is used.
    """
    assert context.live is not None
    feeds: dict[str, Any] = {}
    at: defaultdict[str, list[KnownAccount]] = defaultdict(list)
    for each in context.live.accounts:
        at[each.exchange].append(each)
    for exchange, mine in at.items():
        read = [each.report.as_of for each in mine if each.report is not None]
        feeds[exchange] = {
            "accounts": len(mine),
            "read": len(read),
            "problem": context.feeds[exchange].problem,
            "newest_reading": max(read).isoformat() if read else None,
            "clock_ahead_s": _ahead_s(mine),
            "rate_share": round(context.rates[exchange].share(context.clock.now()), 2),
        }
    return feeds


def _ahead_s(mine: list[KnownAccount]) -> float | None:
    offsets = [each.clock_offset_s for each in mine]
    measured = [each for each in offsets if each is not None]
    return round(median(measured), 1) if measured else None


async def _plugins(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """List what is installed: version, whether it is enabled, what it provides, its kit record.
    Settings hold no secrets.
    """
    config, loaded = context.config, {each.name: each for each in context.plugins().loaded}
    rows = []
    for installed in list_installed():
        record, here = read_record(config.data_dir, installed.name), loaded.get(installed.name)
        rows.append(
            {
                "name": installed.name,
                "version": installed.version,
                "distribution": installed.distribution,
                "enabled": here is not None,
                "is_built_in": installed.distribution == _OWN,
                "hooks": list(hooks_of(installed)),
                "provides": [] if here is None else list(here.provides),
                "kit": None if record is None else jsonable(record),
                "proven": not (why := _why_unproven(context, installed, here)),
                "why_unproven": why,
                "all_settings": {}
                if here is None
                else {name: _as_toml(value) for name, value in here.settings.items()},
                "settings": {
                    name: str(value)
                    for name, value in config.plugin_settings.get(installed.name, {}).items()
                },
            }
        )
    return {"plugins": rows, "plugin_api": PLUGIN_API_VERSION}


def _why_unproven(
    context: EngineContext, installed: InstalledPlugin, here: LoadedPlugin | None
) -> str:
    return why_unproven(
        context.config.data_dir,
        installed.name,
        installed.version,
        None if here is None else here.code,
    )


def _as_toml(value: object) -> str:
    """Return a setting as a line of rexalgo.toml has it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_as_toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value, default=str, ensure_ascii=False)


async def _backups(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """List the backups in the configured folder, the newest first."""
    return {**backup_state(context), "backups": backup_rows(context)}


async def _refusals(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """List the newest deliveries that were not taken."""
    rows = refusals(context.ledger.db, 100)
    return {
        "refusals": [
            {"strategy": name, "source": source, **jsonable(each)} for name, _, source, each in rows
        ]
    }


SYSTEM: Final[Mapping[str, Run]] = {
    "system": Reads(_system),
    "plugins": Reads(_plugins),
    "backups": Reads(_backups),
    "refusals": Reads(_refusals),
}
"""Every command about the machine and the software."""
