"""A real place under the fuzzer: ``rexalgo serve`` as a process of its own, its two doors, and what
it recorded.
"""

import json
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, Final

from tests.fuzz_doors.judge import Doors

JOURNEYS: Final = Path(__file__).resolve().parents[1] / "journeys"
if str(JOURNEYS) not in sys.path:  # `python -m tests.fuzz_doors` has no collection that adds it
    sys.path.insert(0, str(JOURNEYS))

from browser_free import close_all  # noqa: E402
from coming_in import come_in  # noqa: E402
from journey_place import Place, run_cli  # noqa: E402

SETTINGS: Final = (
    'plugins.enabled=["paper", "signed_webhook", "tradingview", "gcra", "log"]',
    'plugin.tradingview.addresses=["127.0.0.1"]',
    "engine.webhook_rate_per_minute=100000",
    # the first backup of a process keeps one descriptor for all later ones: SQLite closes none while
    # another connection of the process holds a lock on the file (3.54.1)
    "backup.every_hours=0",
)
STRATEGY: Final = """
[[master]]
name = "alpha"
[[strategy]]
name = "trend"
master = "alpha"
kind = "copy_trading"
symbols = ["BTCUSDT"]
leverage = "5"
"""


@dataclass(frozen=True, slots=True)
class FuzzedPlace:
    """A served place. ``signed`` and ``address`` are the ids of its endpoints."""

    place: Place
    doors: Doors
    port: int
    endpoints: dict[str, str]

    def held(self) -> dict[str, int]:
        """Return what the server holds: tasks, descriptors, objects and memory."""
        process = self.place.process
        assert process is not None
        assert process.stdout is not None
        process.send_signal(signal.SIGUSR1)
        counts: dict[str, int] = json.loads(process.stdout.readline())
        return counts

    def descriptors(self) -> Counter[str]:
        """Count what the server's descriptors lead to; sockets count as one name."""
        assert self.place.process is not None
        found: Counter[str] = Counter()
        for each in Path(f"/proc/{self.place.process.pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found[str(each.readlink()).partition(":[")[0]] += 1
        return found

    def has_ended(self) -> bool:
        """Return whether the server's process has ended."""
        return self.place.process is None or self.place.process.poll() is not None

    def complaints(self) -> str:
        """Return the errors and tracebacks of the server's log."""
        log = (self.place.folder / "log").read_text(encoding="utf-8", errors="replace")
        found = re.search(
            r"^.*(?:Traceback| ERROR | CRITICAL |ended with an error)", log, re.MULTILINE
        )
        return "" if found is None else log[found.start() : found.start() + 8_000]

    def signals(self, after: int) -> list[tuple[int, str, str, bytes, dict[str, Any]]]:
        """Return what was recorded after a number: number, id, door, hash of the body, draft."""
        rows = self.place.rows(
            "SELECT number, id, origin, body_hash, draft FROM signal WHERE number > ? ORDER BY number",
            after,
        )
        return [
            (
                number,
                id,
                self.endpoints[origin.removeprefix("endpoint:")],
                bytes(digest),
                json.loads(draft),
            )
            for number, id, origin, digest, draft in rows
        ]


@contextmanager
def fuzzed_place(folder: Path) -> Iterator[FuzzedPlace]:
    """Serve a place with both doors while the block runs."""
    folder.mkdir()
    run_cli("init", *(part for each in SETTINGS for part in ("--set", each)), cwd=folder)
    watched = str(Path(__file__).with_name("watched_serve.py"))
    place = Place(folder, serving=[sys.executable, watched])
    place.provision(STRATEGY)
    place.serve()
    try:
        bot = place.bots["trend"]
        port = int(place.url.rpartition(":")[2])
        doors = Doors(
            signed_path=bot.url.removeprefix(place.url),
            secret=bot.secret.reveal(),
            address_path=_address(place),
        )
        rows = place.rows("SELECT id, token_hash IS NULL FROM endpoint")
        endpoints = {id: "signed" if is_signed else "address" for id, is_signed in rows}
        yield FuzzedPlace(place, doors, port, endpoints)
    finally:
        close_all()
        if place.process is not None and place.process.poll() is None:
            place.end(signal.SIGTERM)


def _address(place: Place) -> str:
    """Create an address in the studio, as its master; return its path."""
    master = come_in(place, "user", "link", "master:alpha")
    found = re.search(r"/studio/strategies/(str_[0-9a-f]+)", master.get("/studio"))
    assert found is not None
    way = f"/studio/strategies/{found[1]}/addresses/tradingview"
    master.get(way)
    shown = master.post(way, setting_sell="close", only="all", days="30", pace="600")
    address = re.search(r'id="url">([^<]+)<', shown)
    assert address is not None
    return "/hooks" + unescape(address[1]).partition("/hooks")[2]
