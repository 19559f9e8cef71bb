"""The stage of a drill: a simulated exchange, a real server, and a signing bot in a temporary
folder.

A drill touches nothing of the operator's own installation. It reads what happened from the
exchange's own record and compares that with what the engine says.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from engine.domain.errors import RexAlgoError
from engine.settings.files import create_file
from rexalgo import Secret, sign_a

REXALGO: Final = (sys.executable, "-m", "rexalgo")
LOOK_S: Final = 0.2
_PEOPLE: Final = """
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
exchange = "mudrex"
secret = "sim-{{n:04}}"
strategy = "trend"
sizing = {{ mode = "fixed_margin", margin = "100" }}
"""


class DrillFailed(RexAlgoError):
    """Raised when a drill cannot be played to its end; the drill has failed then."""


@dataclass
class Stage:
    """The two processes of a drill. ``say`` prints a line for the operator."""

    folder: Path
    followers: int
    seed: int
    say: Callable[[str], None]
    exchange: "subprocess.Popen[str] | None" = None
    server: "subprocess.Popen[str] | None" = None
    control: str = ""
    url: str = ""
    bot: tuple[str, Secret] = ("", Secret("-"))
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=20))

    # Processes

    def build(self) -> None:
        """Start the exchange, create the installation and its accounts, and start the server."""
        command = (
            "simulate",
            "mudrex",
            "--json",
            "--seed",
            str(self.seed),
            "--accounts",
            str(self.followers),
        )
        self.exchange = self._start(*command, "--state", str(self.folder / "orders.jsonl"))
        answer = _head(self.exchange)
        self.control = answer["control"]
        self.cli("init", "--dir", "place", where=self.folder)
        with (self.place / "rexalgo.toml").open("a", encoding="utf-8") as file:
            file.write(f'\n[plugin.mudrex]\nbase_url = "{answer["base_url"]}"\n')
            file.write('[outgoing]\ninternal = ["127.0.0.1"]\n')
        self.cli("plugin", "enable", "mudrex")
        create_file(self.place / "people.toml", _PEOPLE.format(followers=self.followers), 0o644)
        made = json.loads(self.cli("provision", "people.toml", "--json"))["strategies"][0]
        self.bot = (made["webhook_url"].partition("/api/")[2], Secret(made["secret"]))
        self.serve()

    @property
    def place(self) -> Path:
        """Return the folder of the drill's installation."""
        return self.folder / "place"

    def serve(self) -> None:
        """Start the server and wait until it is ready: each account was read or has a problem."""
        self.server = self._start("serve", "--port", "0", "--json", cwd=self.place)
        self.url = _head(self.server)["url"]
        self.wait(
            "the accounts to be read",
            lambda: self.http.get(f"{self.url}/api/ready").status_code == 200,
            60,
        )

    def kill(self) -> None:
        """Kill the server's process with SIGKILL."""
        assert self.server is not None
        self.server.send_signal(signal.SIGKILL)
        self.server.wait(10)

    def stop(self) -> float:
        """Stop the server with SIGTERM; return the seconds it took."""
        assert self.server is not None
        began = time.monotonic()
        self.server.send_signal(signal.SIGTERM)
        self.server.wait(30)
        return time.monotonic() - began

    def _start(self, *args: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
        with (self.folder / f"{args[0]}.log").open("a", encoding="utf-8") as log:
            return subprocess.Popen(  # noqa: S603 - our own command line
                [*REXALGO, *args],
                cwd=cwd or self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environment(),
            )

    def cli(self, *args: str, where: Path | None = None, may_fail: bool = False) -> str:
        """Run a rexalgo command; return its output. Raise DrillFailed if it fails and may not."""
        answer = subprocess.run(  # noqa: S603 - our own command line
            [*REXALGO, *args],
            cwd=where or self.place,
            capture_output=True,
            text=True,
            timeout=300,
            env=_environment(),
            check=False,
        )
        if answer.returncode and not may_fail:
            raise DrillFailed(
                f"rexalgo {' '.join(args)} ended with {answer.returncode}: "
                f"{answer.stderr.strip()[-400:]}"
            )
        return answer.stdout

    def close(self) -> None:
        """End both processes."""
        for process in (self.server, self.exchange):
            if process is not None:
                if process.poll() is None:
                    process.terminate()
                    process.wait(30)
                if process.stdout is not None:
                    process.stdout.close()
        self.http.close()

    # The bot, the exchange's record, the engine's answers

    def send(self, **body: object) -> str:
        """Send one signed signal; return its id."""
        content = json.dumps(
            {"idempotency_key": f"drill-{time.monotonic_ns()}", "symbol": "BTCUSDT", **body}
        ).encode()
        path, secret = self.bot
        headers = {**sign_a(secret, content, datetime.now(UTC)), "Content-Type": "application/json"}
        answer = self.http.post(f"{self.url}/api/{path}", content=content, headers=headers)
        if answer.status_code != 202:
            raise DrillFailed(f"expected 202 for a signal, found {answer.status_code}")
        return str(answer.json()["signal_id"])

    def rules(self, *rules: Mapping[str, object]) -> None:
        """Replace the fault rules of the exchange; without rules, end all faults."""
        self.http.post(f"{self.control}/faults", json={"rules": list(rules)}).raise_for_status()

    def rotate(self, account: str) -> None:
        """Replace an account's key at the exchange, so that the old key stops working."""
        self.http.post(
            f"{self.control}/rotate", json={"account": account, "key": "another-key"}
        ).raise_for_status()

    def orders(self) -> list[dict[str, Any]]:
        """Return every order that the exchange ever accepted."""
        return list(self.http.get(f"{self.control}/orders").json())

    def positions(self) -> dict[str, list[dict[str, Any]]]:
        """Return the open positions at the exchange by account, without accounts that have none."""
        seen = self.http.get(f"{self.control}/accounts").json()
        return {name: each["positions"] for name, each in seen.items() if each["positions"]}

    def status(self) -> dict[str, Any]:
        """Return the answer of ``rexalgo status``."""
        return dict(json.loads(self.cli("status", "--json")))

    def settled(self) -> bool:
        """Return whether no order is open and no copy waits for planning."""
        seen = self.status()
        return not seen["open_orders"] and not seen["waiting"]

    def wait(self, what: str, holds: Callable[[], bool], within_s: float) -> float:
        """Wait until ``holds`` is true; return the seconds it took. Raise DrillFailed at the
        timeout.
        """
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > within_s:
                raise DrillFailed(f"expected {what} within {within_s:.0f} s; it did not happen")
            time.sleep(LOOK_S)
        return time.monotonic() - began


@contextmanager
def staged(folder: Path, followers: int, seed: int, say: Callable[[str], None]) -> Iterator[Stage]:
    """Build a stage, and end its processes afterwards, also after an error."""
    stage = Stage(folder, followers, seed, say)
    try:
        stage.build()
        yield stage
    finally:
        stage.close()


def _environment() -> dict[str, str]:
    """Return the environment without the operator's own keys; the drill has keys of its own."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in ("ENCRYPTION_KEY", "JWT_SECRET")
    }


def _head(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Read the JSON value that a process prints when it is ready."""
    assert process.stdout is not None
    head = ""
    while not head.endswith("}\n"):
        line = process.stdout.readline()
        if not line:
            raise DrillFailed(
                "a process of the drill ended before it was ready; see the log in its folder"
            )
        head += line
    return dict(json.loads(head))
