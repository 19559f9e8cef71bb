"""A real installation for journeys: a folder made by ``rexalgo init``, a real server process, real
sockets, a real ledger file.

Everything here goes through doors that people have: the command line, HTTP, and files that are
documented to be read. Waiting is for an answer, a line on a pipe or a fact, never for a time.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from engine.ledger.database import open_reader
from engine.ledger.query import fetch_all
from plugins.paper.journal import read_journal
from rexalgo import Secret, sign_a, sign_b
from tests.journeys.forked import Process, can_fork, run_forked, start

REXALGO = [sys.executable, "-m", "rexalgo"]
ASK_AGAIN_S = 0.02
PATIENCE_S = 180.0
"""When a wait gives up: far beyond what a busy machine needs, so only what never comes fails."""
HERE = '[outgoing]\ninternal = ["127.0.0.1"]'
"""Simulators and receivers run on this machine."""
FINAL = "('unknown', 'placed', 'partially_filled')"
DECLARATIONS = """
[[master]]
name = "alpha"
[[strategy]]
name = "trend"
master = "alpha"
kind = "copy_trading"
symbols = ["BTCUSDT"]
leverage = "5"
[[follower]]
name = "f{{n:04}}"
count = {followers}
exchange = "paper"
secret = "paper-{{n:04}}"
strategy = "trend"
sizing = {{ mode = "fixed_margin", margin = "50" }}
"""


def run_cli(*args: object, cwd: Path, code: int | None = 0, stdin: str = "") -> str:
    """Run the command line as a person would; return its output."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ENCRYPTION_KEY", "JWT_SECRET")
    }
    command = [*REXALGO, *map(str, args)]
    if can_fork(command):
        told = run_forked(command, cwd, stdin, env, 120)
    else:
        told = subprocess.run(
            command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=120, env=env
        )
    assert code is None or told.returncode == code, (
        args,
        told.returncode,
        told.stdout,
        told.stderr,
    )
    return told.stdout


@dataclass
class Bot:
    """A master's bot that signs."""

    url: str
    secret: Secret

    def request(
        self, body: Mapping[str, object], *, dialect: str = "a"
    ) -> tuple[bytes, dict[str, str]]:
        """Return the content and headers of one delivery, signed now."""
        content = json.dumps(body).encode()
        now = datetime.now(UTC)
        signed = (
            sign_a(self.secret, content, now)
            if dialect == "a"
            else sign_b(self.secret, content, str(body["idempotency_key"]), now)
        )
        return content, {**signed, "content-type": "application/json"}

    def post(
        self, client: httpx.Client, body: Mapping[str, object], *, dialect: str = "a"
    ) -> httpx.Response:
        """Deliver once."""
        content, headers = self.request(body, dialect=dialect)
        return client.post(self.url, content=content, headers=headers)


@dataclass
class Place:
    """One folder and, while it runs, its server. ``serving`` is the command of the server, and ``port`` its
    port, 0 for any that is free.
    """

    folder: Path
    settings: str = ""
    serving: list[str] = field(default_factory=lambda: [*REXALGO, "serve"])
    port: int = 0
    process: Process | None = None
    url: str = ""
    bots: dict[str, Bot] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "rexalgo.toml").exists():
            run_cli("init", cwd=self.folder)
            with (self.folder / "rexalgo.toml").open("a", encoding="utf-8") as file:
                file.write(f"\n{HERE}\n{self.settings}\n")

    def provision(self, declarations: str) -> dict[str, Any]:
        """Run ``rexalgo provision`` and store the bots' secrets."""
        file = self.folder / "people.toml"
        file.write_text(declarations, encoding="utf-8")
        told: dict[str, Any] = json.loads(run_cli("provision", file, "--json", cwd=self.folder))
        for each in told["strategies"]:
            if each["secret"]:
                self.bots[each["name"]] = Bot(each["webhook_url"], Secret(each["secret"]))
        return told

    def serve(self, *, ready: bool = True) -> None:
        """Start ``rexalgo serve`` and wait until every account was read; without ``ready`` only
        until it listens.
        """
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            self.process = start(
                [*self.serving, "--port", str(self.port), "--json"], self.folder, log
            )
        assert self.process.stdout is not None
        head = ""
        while not head.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, (self.folder / "log").read_text()
            head += line
        self.url = json.loads(head)["url"]
        for bot in self.bots.values():
            bot.url = self.url + "/api/webhooks" + bot.url.partition("/api/webhooks")[2]
        if ready:
            with httpx.Client(trust_env=False, timeout=20) as client:
                until(lambda: client.get(f"{self.url}/api/ready").status_code == 200)

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the server's process and wait for its end; return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    # What people can read afterwards

    @contextmanager
    def _ledger(self) -> Iterator[Any]:
        db = open_reader(str(self.folder / "data" / "ledger.sqlite3"))
        try:
            yield db
        finally:
            db.close()

    def send(self, body: Mapping[str, object], strategy: str = "trend") -> str:
        """Deliver a signal of a strategy once, and return its id: it must be accepted."""
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = self.bots[strategy].post(client, body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["signal_id"])

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read the ledger's file."""
        with self._ledger() as db:
            return fetch_all(db, sql, values)

    def codes(self, signal_id: str) -> list[str | None]:
        """Return the outcome of each copy of a signal."""
        sql = (
            "SELECT code FROM copy JOIN signal ON signal.number = copy.signal_number WHERE "
            "signal.id = ? ORDER BY account_id"
        )
        return [row[0] for row in self.rows(sql, signal_id)]

    def settled(self, signal_id: str) -> list[str]:
        """Wait until every copy of a signal has a final outcome."""
        with self._ledger() as db:
            sql = (
                "SELECT count(*) FROM copy JOIN signal ON number = signal_number WHERE id = ? "
                f"AND (code IS NULL OR code IN {FINAL})"
            )
            sql = sql.replace(" id = ", " signal.id = ")
            until(lambda: fetch_all(db, sql, (signal_id,))[0][0] == 0)
        return [str(code) for code in self.codes(signal_id)]

    @property
    def journal(self) -> Path:
        """Return the paper exchange's own record."""
        return self.folder / "data" / "plugins" / "paper" / "journal.jsonl"

    def orders(self) -> list[dict[str, Any]]:
        """Return the orders that the paper exchange accepted from us."""
        if not self.journal.exists():
            return []
        return [
            dict(each)
            for each in read_journal(self.journal)
            if each["kind"] == "order" and each["client_order_id"]
        ]


def reserved_port() -> socket.socket:
    """Bind a port that nobody uses. Close it right before it is used: until then no other program
    and no connection of this machine gets it.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    return held


def until(holds: Callable[[], bool]) -> None:
    """Ask until something holds. Between two questions it leaves the processor to the place that
    it waits for; how long decides nothing.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"did not come to hold within {PATIENCE_S} s"
        time.sleep(ASK_AGAIN_S)


@contextmanager
def running(place: Place) -> Iterator[Place]:
    """Serve while the block runs. A server that still runs at its end is stopped as an operator
    would.
    """
    place.serve()
    try:
        yield place
    finally:
        if place.process is not None:
            code = place.end(signal.SIGTERM)
            assert code == 0, (place.folder / "log").read_text()


def opening(key: str, **changes: object) -> dict[str, object]:
    """Return the body of an entry."""
    return {
        "idempotency_key": key,
        "action": "open",
        "symbol": "BTCUSDT",
        "side": "LONG",
        **changes,
    }


def closing(key: str, **changes: object) -> dict[str, object]:
    """Return the body of an exit."""
    return {"idempotency_key": key, "action": "close", "symbol": "BTCUSDT", **changes}
