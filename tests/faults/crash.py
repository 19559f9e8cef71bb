"""``python -m tests.faults.crash``: SIGKILL the real server at every commit and send boundary; the simulator's own record judges.

A real ``rexalgo simulate mudrex`` process and a real ``rexalgo serve`` process. A bot posts opens and closes and repeats an unanswered post
with the same id; the server dies at boundary 1, 2, 3 ... and is started again. In the end every signal has one copy for each account, every
entry at most one order, every filled copy its order, no *not confirmed* order exists at the exchange, and no position is left.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "journeys"))

from journey_place import DECLARATIONS, REXALGO, Bot, Place, closing, opening, run_cli, until  # noqa: E402 - the path comes first

FOLLOWERS: Final = 3
BOUNDARIES: Final = 48
ROUND_S: Final = 20.0
FINAL: Final = "code IS NOT NULL AND code NOT IN ('unknown', 'placed', 'partially_filled')"


@dataclass
class Crash:
    """Hold one series of kills against one place and one simulator."""

    place: Place
    control: str
    kills: Counter[str] = field(default_factory=Counter)
    signals: int = 0
    acknowledged: set[str] = field(default_factory=set)
    unanswered: dict[str, Any] | None = None

    def start(self, kill_at: int) -> bool:
        """Start the server, to die at a boundary (0: never); False where it died before it was ready."""
        env = {**os.environ, "KILL_AT": str(kill_at), "KILLED_AT": str(self.place.folder / "killed")}
        with (self.place.folder / "log").open("a", encoding="utf-8") as log:
            self.place.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests" / "faults" / "killing_serve.py"), "serve", "--port", "0", "--json"],
                cwd=self.place.folder, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True, env=env,
            )  # fmt: skip
        head = ""
        assert self.place.process.stdout is not None
        while not head.endswith("}\n"):
            line = self.place.process.stdout.readline()
            if not line:
                return False
            head += line
        self.place.url = json.loads(head)["url"]
        bot = self.place.bots["trend"]
        bot.url = self.place.url + "/api/webhooks" + bot.url.partition("/api/webhooks")[2]
        return True

    def end(self) -> None:
        """See the process off; a kill that happened is counted by its boundary."""
        process = self.place.process
        assert process is not None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
        mark = self.place.folder / "killed"
        if process.returncode == -signal.SIGKILL:
            self.kills[mark.read_text(encoding="utf-8")] += 1
        self.place.process = None

    def post(self, client: httpx.Client) -> None:
        """Send the unanswered signal again, or the next one; alternately an open and a close."""
        body = self.unanswered
        if body is None:
            self.signals += 1
            make = opening if self.signals % 2 else closing
            body = make(f"signal-{self.signals}")
        self.unanswered = body
        try:
            answer = self.place.bots["trend"].post(client, body)
        except httpx.HTTPError:
            return
        if answer.status_code in (200, 202):
            self.acknowledged.add(str(body["idempotency_key"]))
            self.unanswered = None

    def is_busy(self) -> bool:
        """Tell whether the server lives and a copy has no final outcome yet."""
        assert self.place.process is not None
        if self.place.process.poll() is not None:
            return False
        return bool(self.place.rows(f"SELECT 1 FROM copy WHERE NOT ({FINAL}) LIMIT 1"))

    def round(self, client: httpx.Client, kill_at: int) -> None:
        """Start, post, and let it work until it dies or is done."""
        if self.start(kill_at):
            self.post(client)
            until(lambda: not self.is_busy(), ROUND_S * 6)
        self.end()

    def settle(self, client: httpx.Client) -> None:
        """Let everything end in peace, with a last close."""
        assert self.start(0)
        while self.unanswered is not None or self.signals % 2:
            self.post(client)
        until(lambda: not self.is_busy(), ROUND_S * 6)
        until(lambda: self.positions() == 0, ROUND_S * 6)
        self.end()

    def positions(self) -> int:
        """Count open positions at the exchange."""
        seen = httpx.get(f"{self.control}/accounts", trust_env=False).json()
        return sum(len(each["positions"]) for each in seen.values())

    def judge(self) -> list[str]:
        """Return everything that is not as promised, by the exchange's own record."""
        orders = httpx.get(f"{self.control}/orders", trust_env=False).json()
        accepted = Counter(each["client_order_id"] for each in orders if each.get("client_order_id"))
        found = [f"doubled: {cid} accepted {count} times" for cid, count in accepted.items() if count > 1]
        copies = dict(self.place.rows("SELECT dedupe_key, count(copy.id) FROM signal JOIN copy ON signal_number = number GROUP BY number"))
        found += [f"lost: {key} has {copies.get(key, 0)} copies" for key in self.acknowledged if copies.get(key) != FOLLOWERS]
        found += [f"open: {copy} ended {code}" for copy, code in self.place.rows(f"SELECT id, code FROM copy WHERE NOT ({FINAL})")]
        for cid, state in self.place.rows("SELECT client_order_id, state FROM attempt WHERE kind = 'entry'"):
            if state == "not_confirmed" and cid in accepted:
                found.append(f"untrue: {cid} is called not confirmed, and the exchange has it")
            if state in ("filled", "placed") and cid not in accepted:
                found.append(f"untrue: {cid} is called {state}, and the exchange never had it")
        known = {row[0] for row in self.place.rows("SELECT client_order_id FROM attempt")}
        found += [f"foreign: {cid} is at the exchange and not in the ledger" for cid in accepted if cid not in known]
        if self.positions():
            found.append(f"left: {self.positions()} positions are open after the last close")
        return found


def run(kills: int, *, tell: bool = True) -> tuple[list[str], dict[str, Any]]:
    """Kill so many times; returns what is wrong, and figures."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        command = [*REXALGO, "simulate", "mudrex", "--json", "--latency-ms", "5", "--per-second", "0", "--state", f"{folder}/orders.jsonl"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
            assert simulator.stdout is not None
            head = ""
            while not head.endswith("}\n"):
                head += simulator.stdout.readline()
            told = json.loads(head)
            try:
                crash = _prepared(Path(folder) / "place", told["base_url"], told["control"])
                _kill(crash, kills, tell)
                wrong = crash.judge()
                codes = dict(crash.place.rows("SELECT code, count(*) FROM copy GROUP BY code"))
            finally:
                simulator.send_signal(signal.SIGTERM)
    figures = {"kills": sum(crash.kills.values()), "by_boundary": dict(crash.kills), "signals": crash.signals, "outcomes": codes,
               "wrong": len(wrong), "seconds": round(time.monotonic() - began, 1)}  # fmt: skip
    return wrong, figures


def _prepared(folder: Path, base_url: str, control: str) -> Crash:
    place = Place(folder, f'[plugin.mudrex]\nbase_url = "{base_url}"')
    file = folder / "rexalgo.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("[engine]", "[engine]\nnot_confirmed_after_s = 5"), encoding="utf-8")
    run_cli("plugin", "enable", "mudrex", cwd=folder)
    place.provision(DECLARATIONS.format(followers=FOLLOWERS).replace('"paper"', '"mudrex"'))
    assert isinstance(place.bots["trend"], Bot)
    return Crash(place, control)


def _kill(crash: Crash, kills: int, tell: bool) -> None:
    with httpx.Client(trust_env=False, timeout=20) as client:
        boundary = 0
        while sum(crash.kills.values()) < kills:
            boundary = boundary % BOUNDARIES + 1
            crash.round(client, boundary)
            if tell and sum(crash.kills.values()) % 20 == 0:
                print(f"{sum(crash.kills.values())} kills, {crash.signals} signals", flush=True)
        crash.settle(client)


def main() -> int:
    """Read the arguments, kill, print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.crash", description="SIGKILL the real server at every boundary.")
    parser.add_argument("--kills", type=int, default=300, help="how often (default 300)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    wrong, figures = run(asked.kills, tell=not asked.json)
    print(
        json.dumps({**figures, "what": wrong}) if asked.json else f"{figures}\n" + "\n".join(wrong[:20] or ["0 lost, 0 doubled, 0 untrue"])
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
