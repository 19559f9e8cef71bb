"""A real server and a simulated exchange as processes, for ``crash``: what bots send, how a life
ends, what is compared.

A bot sends everything again, under the same key, that was not acknowledged. At the end a person
decides about orders without trace, as the alert asks, after each was compared with the exchange's
record.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
import httpx
import trio

from engine.control import ask_server
from engine.ledger.database import open_reader
from engine.ledger.query import fetch_all
from tests.faults.evidence import Evidence, Ordered
from tests.faults.invariants import violations
from tests.faults.turns import watch_turns
from tests.journeys.forked import Process, start
from tests.journeys.journey_place import REXALGO, Place, run_cli

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "DOGEUSDT")
FOLLOWERS: Final = 2
LIFE_S: Final = 30.0
AFTERMATH_S: Final = 120.0
LOOK_S: Final = 0.02
ENGINE: Final = "not_confirmed_after_s = 5\nbreaker_entries_per_minute = 100000"
KILLING: Final = [sys.executable, "-m", "tests.faults.killing_serve"]
SETTINGS: Final = '[plugin.mudrex]\nbase_url = "{url}"\norders_per_s = 100\nreads_per_s = 100'
STRATEGY: Final = """
[[strategy]]
name = "s{life}"
master = "alpha"
kind = "copy_trading"
symbols = ["BTCUSDT", "ETHUSDT", "DOGEUSDT"]
leverage = "5"
[[follower]]
name = "l{life}-{{n:02}}"
count = {followers}
exchange = "mudrex"
secret = "{prefix}-l{life}-{{n:02}}"
strategy = "s{life}"
sizing = {{ mode = "fixed_margin", margin = "50" }}
"""
ROUNDS: Final[tuple[tuple[dict[str, object], ...], ...]] = (
    (
        {"action": "open", "symbol": "BTCUSDT", "side": "LONG"},
        {"action": "open", "symbol": "ETHUSDT", "side": "SHORT"},
        {"action": "open", "symbol": "DOGEUSDT", "side": "LONG"},
    ),
    (
        {"action": "add", "symbol": "BTCUSDT", "side": "LONG"},
        {"action": "reduce", "symbol": "ETHUSDT", "size": {"mode": "fraction", "fraction": "0.5"}},
        {"action": "reverse", "symbol": "DOGEUSDT", "side": "SHORT"},
    ),
    ({"action": "close", "symbol": "BTCUSDT"}, {"action": "close", "symbol": "ETHUSDT"}),
)
_OPEN_COPIES: Final = "code IS NULL OR code IN ('unknown', 'placed', 'partially_filled')"
_OPEN_ATTEMPTS: Final = "state IN ('claimed', 'unknown', 'placed', 'partially_filled')"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The simulated exchange's addresses."""

    base_url: str
    control: str

    def ask(self, what: str) -> Any:
        """Read one page of its record."""
        return httpx.get(f"{self.control}/{what}", trust_env=False, timeout=20).json()


@contextmanager
def simulator(folder: Path) -> Iterator[Exchange]:
    """Run ``rexalgo simulate mudrex`` in a process of its own."""
    command = [
        *REXALGO,
        "simulate",
        "mudrex",
        "--json",
        "--latency-ms",
        "5",
        "--per-second",
        "0",
        "--state",
        str(folder / "orders.jsonl"),
    ]
    with start(command, folder) as process:
        assert process.stdout is not None
        told = json.loads(_head(process))
        try:
            yield Exchange(told["base_url"], told["control"])
        finally:
            process.send_signal(signal.SIGTERM)
        process.wait(60)


def _head(process: Process) -> str:
    """Read the JSON object that a process prints when it is ready; empty if it ended before."""
    assert process.stdout is not None
    head = ""
    while not head.endswith("}\n"):
        line = process.stdout.readline()
        if not line:
            return ""
        head += line
    return head


@dataclass
class Aftermath:
    """The findings about one installation: its ledger against the record."""

    violations: list[str]
    signals: int
    orders: int
    unknown: int
    not_confirmed: int


@dataclass
class CrashPlace:
    """One installation over all its lives."""

    place: Place
    exchange: Exchange
    prefix: str
    lives: int
    sent: dict[str, int] = field(default_factory=dict)
    unheard: list[tuple[int, dict[str, object]]] = field(default_factory=list)
    heard: list[tuple[int, dict[str, object]]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    not_confirmed: int = 0

    @classmethod
    def make(cls, folder: Path, exchange: Exchange, number: int, lives: int) -> "CrashPlace":
        """Create an installation as people do: init, enable, provision."""
        place = Place(folder, SETTINGS.format(url=exchange.base_url))
        file = folder / "rexalgo.toml"
        file.write_text(
            file.read_text(encoding="utf-8").replace("[engine]", f"[engine]\n{ENGINE}"),
            encoding="utf-8",
        )
        run_cli("plugin", "enable", "mudrex", cwd=folder)
        prefix = f"place{number}"
        people = "".join(
            STRATEGY.format(life=life, followers=FOLLOWERS, prefix=prefix) for life in range(lives)
        )
        place.provision('[[master]]\nname = "alpha"\n' + people)
        with closing(apsw.Connection(str(folder / "data" / "ledger.sqlite3"))) as db:
            watch_turns(db)
        return cls(place, exchange, prefix, lives)

    # One life

    def live_until(self, boundary: str, number: int, life: int, random: Random) -> bool:
        """Serve and send until the process kills itself; return False, after killing it, if it did
        not reach the boundary.
        """
        with (self.place.folder / "log").open("a", encoding="utf-8") as log:
            command = [*KILLING, boundary, str(number), "--port", "0", "--json"]
            process = start(command, self.place.folder, log, _environment())
        try:
            head = _head(process)
            if head:
                self._use(json.loads(head)["url"])
                self._send_all(process, life, random)
        finally:
            died = process.poll() is not None or (not head and process.wait(60) is not None)
            if not died:
                process.kill()
            code = process.wait(60)
            assert process.stdout is not None
            process.stdout.close()
        if died and code != -signal.SIGKILL:
            raise RuntimeError(
                f"expected the server to kill itself at {boundary} {number}, it ended with "
                f"{code}; see {self.place.folder}/log"
            )
        return died

    def _use(self, url: str) -> None:
        self.place.url = url
        for bot in self.place.bots.values():
            bot.url = url + "/api/webhooks" + bot.url.partition("/api/webhooks")[2]

    def _send_all(self, process: Process, life: int, random: Random) -> None:
        with httpx.Client(trust_env=False, timeout=10) as client:
            for index, bodies in enumerate(ROUNDS):
                for body in bodies:
                    keyed = {
                        "idempotency_key": f"{self.prefix}-{life}-{index}-{body['symbol']}",
                        **body,
                    }
                    self._deliver(client, life, keyed)
                    if random.random() < 0.2:
                        self._deliver(client, life, keyed)
                self._wait(process, life, random.choice((0.0, 0.3, LIFE_S)))

    def _deliver(self, client: httpx.Client, life: int, body: dict[str, object]) -> None:
        """Send once; keep what is not acknowledged, to send it again."""
        key = str(body["idempotency_key"])
        try:
            answer = self.place.bots[f"s{life}"].post(client, body)
        except httpx.HTTPError:
            if key not in self.sent and (life, body) not in self.unheard:
                self.unheard.append((life, body))
            return
        if answer.status_code not in (200, 202):
            self.problems.append(
                f"refused: {key} was answered {answer.status_code}: {answer.text[:100]}"
            )
            return
        signal_id = answer.json()["signal_id"]
        if self.answers.setdefault(key, signal_id) != signal_id:
            self.problems.append(
                f"doubled: {key} became the signals {self.answers[key]} and {signal_id}"
            )
        self.sent[key] = FOLLOWERS
        self.heard.append((life, body))

    def _wait(self, process: Process, life: int, within_s: float) -> None:
        """Wait until this life's copies have outcomes, the life ended, or the time is over."""
        until = time.monotonic() + within_s
        open_here = (
            "SELECT 1 FROM copy JOIN subscription ON subscription.id = subscription_id JOIN "
            "strategy ON strategy.id = strategy_id"
            f" WHERE strategy.name = 's{life}' AND ({_OPEN_COPIES}) LIMIT 1"
        )
        while time.monotonic() < until and self.place.rows(open_here):
            try:
                process.wait(LOOK_S)
                return
            except subprocess.TimeoutExpired:
                continue

    # Afterwards

    def aftermath(self) -> Aftermath:
        """Start a last life that looks everything up, decide what is left, close everything, and
        compare.
        """
        self.place.serve()
        try:
            with httpx.Client(trust_env=False, timeout=20) as client:
                for life, body in [*self.unheard, *self.heard[-5:]]:
                    self._deliver(client, life, body)
                self._until(
                    "is looked up", lambda: not self._open_attempts() and not self._free_copies()
                )
                self._decide()
                self._until("has ended", lambda: not self._open_copies())
                self.problems += self._untrue_positions()
                for life in range(self.lives):
                    for symbol in SYMBOLS:
                        body = {
                            "idempotency_key": f"{self.prefix}-{life}-end-{symbol}",
                            "action": "close",
                            "symbol": symbol,
                        }
                        self._deliver(client, life, body)
                self._until("is closed", lambda: not self._open_copies())
                return self._compared()
        finally:
            code = self.place.end(signal.SIGTERM)
            assert code == 0, f"the last life ended with {code}; see {self.place.folder}/log"

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.place.rows(sql)

    def _open_copies(self) -> list[tuple[Any, ...]]:
        return self._rows(f"SELECT id FROM copy WHERE {_OPEN_COPIES}")

    def _open_attempts(self) -> list[tuple[Any, ...]]:
        return self._rows(f"SELECT id FROM attempt WHERE {_OPEN_ATTEMPTS}")

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + AFTERMATH_S
        while not holds():
            if time.monotonic() > until:
                left = self._rows(
                    "SELECT copy.id, code, leg.kind, leg.state FROM copy JOIN leg ON copy_id = "
                    f"copy.id WHERE {_OPEN_COPIES}"
                )
                self.problems.append(
                    f"lost: not everything {what} within {AFTERMATH_S:.0f} s: {left[:5]}"
                )
                return
            assert self.place.process is not None
            try:
                code = self.place.process.wait(LOOK_S)
                raise RuntimeError(
                    f"the last life ended by itself with {code}; see {self.place.folder}/log"
                )
            except subprocess.TimeoutExpired:
                continue

    def _free_copies(self) -> list[tuple[Any, ...]]:
        """Return copies without outcome that only need time. Copies behind an order without trace
        wait for a person.
        """
        return self._rows(
            "SELECT copy.id FROM copy JOIN leg ON leg.copy_id = copy.id AND leg.state = 'new' "
            f"WHERE ({_OPEN_COPIES}) AND NOT EXISTS"
            " (SELECT 1 FROM attempt WHERE attempt.account_id = copy.account_id AND "
            "attempt.symbol = leg.symbol"
            " AND attempt.state = 'not_confirmed')"
        )

    def _decide(self) -> None:
        """Compare each order without trace with the record, then decide as a person would."""
        taken = {str(row.get("client_order_id")) for row in self.exchange.ask("orders")}
        rows = self._rows(
            "SELECT signal.id, account.name, attempt.client_order_id FROM attempt JOIN copy ON "
            "copy.id = copy_id JOIN signal ON"
            " signal.number = signal_number JOIN account ON account.id = attempt.account_id WHERE "
            "state = 'not_confirmed'"
        )
        self.not_confirmed = len(rows)
        self.problems += [
            f"untrue: {cid} of {name} is NOT_CONFIRMED, and the exchange has it"
            for _, name, cid in rows
            if cid in taken
        ]
        for signal_id, name in dict.fromkeys((row[0], row[1]) for row in rows):
            note = {
                "signal": signal_id,
                "follower": name,
                "note": "compared with the exchange's record",
            }
            trio.run(ask_server, self.place.folder / "data", "decide", note)

    def _untrue_positions(self) -> list[str]:
        """Compare, before the last closes, the ledger's shares with the exchange's positions, for
        every account and contract.
        """
        there = self._positions()
        held = {
            (name, symbol): Decimal(share)
            for name, symbol, share in self._rows(
                "SELECT name, symbol, share FROM holding JOIN account ON account.id = account_id"
            )
            if Decimal(share)
        }
        return [
            f"conserved: {place} has {there.get(place, 0)} at the exchange and a share of "
            f"{held.get(place, 0)}"
            for place in sorted({*there, *held})
            if there.get(place, 0) != held.get(place, 0)
        ]

    def _positions(self) -> dict[tuple[str, str], Decimal]:
        seen: Mapping[str, Any] = self.exchange.ask("accounts")
        return {
            (key.removeprefix(f"{self.prefix}-"), held["symbol"]): Decimal(held["quantity"])
            for key, account in seen.items()
            if key.startswith(f"{self.prefix}-")
            for held in account["positions"]
        }

    def _compared(self) -> Aftermath:
        mine = [
            row
            for row in self.exchange.ask("orders")
            if str(row["account"]).startswith(f"{self.prefix}-")
        ]
        orders = tuple(
            Ordered(
                str(row["account"]).removeprefix(f"{self.prefix}-"),
                row.get("client_order_id"),
                row["symbol"],
                "BUY" if row["order_type"] == "LONG" else "SELL",
                bool(row["reduce_only"]),
                Decimal(str(row["quantity"])),
            )
            for row in mine
        )
        bound = {row[0] for row in self._rows("SELECT exchange_order_id FROM attempt")}
        unknown = [row for row in mine if row["id"] not in bound]
        self.problems += [
            f"foreign: the exchange has order {row['id']} of {row['account']}, no attempt knows it"
            for row in unknown
        ]
        # The exchange itself refuses an id that it had before: asking it to is a doubled order that
        # only its own guard stopped.
        counts: Mapping[str, int] = self.exchange.ask("counts")
        twice = {
            what: count
            for what, count in counts.items()
            if what.startswith("POST") and what.endswith(" 409")
        }
        self.problems += [f"doubled: {what} {count} times" for what, count in twice.items()]
        db = open_reader(str(self.place.folder / "data" / "ledger.sqlite3"))
        try:
            seen = Evidence(db, orders, self._positions(), {}, self.sent, tuple(self.problems))
            told = fetch_all(
                db,
                "SELECT count(DISTINCT copy_id) FROM event WHERE kind = 'outcome' AND subject = "
                "'unknown'",
            )[0][0]
            return Aftermath(
                violations(seen), len(self.sent), len(orders), told, self.not_confirmed
            )
        finally:
            db.close()


def _environment() -> dict[str, str]:
    """Return an environment in which the installation's own .env decides, and tests.faults can be
    imported from its folder.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ENCRYPTION_KEY", "JWT_SECRET")
    }
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
