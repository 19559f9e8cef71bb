"""Report what this version will do to the ledger that is here, by doing it to a copy.

Nothing of the installation is changed. The copy is made in the data folder, migrated, checked and
removed, so that a check takes about the time that the upgrade takes.
"""

import json
import logging
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.ledger import LedgerError, back_up, check_ledger
from engine.ledger.database import open_database, version_of
from engine.ledger.schema import MIGRATIONS
from engine.recovery.backups import DISK_FREE_MIN
from engine.settings.config import Config

_CHANGES: Final = re.compile(
    r"\b(CREATE TABLE|ALTER TABLE|DROP TABLE|UPDATE|INSERT INTO|INSERT OR IGNORE INTO)\s+([a-z_]+)"
)
_FOLDER: Final = "upgrade-"


@dataclass(frozen=True, slots=True)
class Step:
    """One migration, by the version that it leads to, and the tables that it creates or changes."""

    version: int
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpgradeCheck:
    """What an upgrade would do: the version that is here (0: no ledger yet) and the one that this
    program knows, the steps between them, and what prevents it.

    ``copy`` is the file that the start makes first: the way back. ``took_s`` is how long the steps
    took on a copy; None if they were not tried.
    """

    found: int
    known: int
    steps: tuple[Step, ...]
    copy: Path | None
    took_s: float | None
    problems: tuple[str, ...]


def check_upgrade(config: Config) -> UpgradeCheck:
    """Check what a start of this program would do to the ledger; a running server may use it."""
    path, known = config.ledger.path, len(MIGRATIONS)
    if not path.exists():
        return UpgradeCheck(0, known, (), None, None, ())
    try:
        found = version_of(path)
    except (LedgerError, OSError) as error:
        return UpgradeCheck(0, known, (), None, None, (str(error),))
    if found > known:
        return UpgradeCheck(found, known, (), None, None, (_too_new(path, found, known),))
    if found in (0, known):
        return UpgradeCheck(found, known, (), None, None, ())
    steps = tuple(Step(number + 1, _tables(MIGRATIONS[number])) for number in range(found, known))
    copy = Path(f"{path}.before-{found + 1}")
    problems = _space(path)
    took_s = None
    if not problems:
        try:
            took_s = _try(path)
        except (LedgerError, OSError) as error:
            problems = (f"on a copy it failed: {error}",)
    return UpgradeCheck(found, known, steps, copy, took_s, problems)


def refused_addresses(config: Config) -> tuple[str, ...]:
    """Return what in the settings leads only to addresses that ``outgoing.internal`` does not
    allow, with the line that allows them.

    A name is looked up; one that leads nowhere now is not told. An address in a file of its own is
    a secret and is not shown.
    """
    refused = {
        setting: found for setting, url in _addresses(config) if (found := _refused(config, url))
    }
    internal = [*map(str, config.outgoing.internal)]
    for found in refused.values():
        internal += [each for each in found if each not in internal]
    line = f"[outgoing] internal = {json.dumps(internal)}"
    return tuple(
        f"{setting} leads to "
        + ", ".join(f"{address} ({why})" for address, why in found.items())
        + f", which this version does not call; if it is meant, set {line} in rexalgo.toml"
        for setting, found in refused.items()
    )


def _addresses(config: Config) -> Iterator[tuple[str, str]]:
    """Yield each setting that holds an address, the file of one, or a host, as a URL."""
    yield "operator.heartbeat_url", config.operator.heartbeat_url
    for plugin in config.plugins.enabled:
        for name, value in config.plugin_settings.get(plugin, {}).items():
            text = value if isinstance(value, str) else ""
            if name.endswith("url_file") and text:
                try:
                    text = Path(text).read_text(encoding="utf-8").strip()
                except (OSError, ValueError):
                    continue  # the plugin itself says what is wrong with its file
            if name == "host":  # of a mail server
                text = f"https://[{text}]" if ":" in text else f"https://{text}"
            yield f"plugin.{plugin}.{name}", text


def _refused(config: Config, url: str) -> dict[str, str]:
    """Return the addresses that a URL leads to and why they are refused; empty if one is allowed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return {}
    if parts.scheme not in ("http", "https") or not host:
        return {}
    try:
        found = socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return {}
    why = {str(each[4][0]): config.outgoing.reach.why_not(str(each[4][0])) for each in found}
    return why if all(why.values()) else {}


def _too_new(path: Path, found: int, known: int) -> str:
    copies = sorted(each.name for each in path.parent.glob(f"{path.name}.before-*"))
    back = (
        f"a copy from before an upgrade is here: {copies[-1]}"
        if copies
        else "no older copy is here"
    )
    return (
        f"the ledger is of version {found}, this program knows {known}: start the newer program; "
        f"{back}"
    )


def _space(path: Path) -> tuple[str, ...]:
    """Return why the copy of the start, or the copy of this check, has no room."""
    needed = 2 * path.stat().st_size + DISK_FREE_MIN
    free = shutil.disk_usage(path.parent).free
    if free >= needed:
        return ()
    return (
        f"expected {needed // 2**20} MiB free at {path.parent} for the copy before the upgrade, "
        f"found {free // 2**20} MiB; free some space",
    )


def _try(path: Path) -> float:
    """Migrate a copy; return the seconds it took. Raises LedgerError."""
    with (
        tempfile.TemporaryDirectory(prefix=_FOLDER, dir=path.parent) as folder,
        _unmentioned(folder),
    ):
        copy = Path(folder) / path.name
        back_up(path, copy)
        began = time.monotonic()
        open_database(str(copy)).close()
        took_s = time.monotonic() - began
        state = check_ledger(copy)
        if state != "ok":
            raise LedgerError(f"the migrated copy is damaged ({state})")
        return took_s


@contextmanager
def _unmentioned(folder: str) -> Iterator[None]:
    """Keep what a migration says of files in a folder out of the log: they are removed at the end."""

    def is_lasting(record: logging.LogRecord) -> bool:
        return folder not in record.getMessage()

    log = logging.getLogger("rexalgo.ledger")
    log.addFilter(is_lasting)
    try:
        yield
    finally:
        log.removeFilter(is_lasting)


def _tables(migration: str) -> tuple[str, ...]:
    """Return the tables that a migration creates or changes, in order."""
    return tuple(dict.fromkeys(name for _, name in _CHANGES.findall(migration)))
