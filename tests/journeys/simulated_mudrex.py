"""The simulated Mudrex in a process of its own, and an installation whose followers trade there."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from journey_place import DECLARATIONS, REXALGO, Place, run_cli, running

from tests.journeys.forked import start


@dataclass
class Simulator:
    """The simulator's addresses."""

    base_url: str
    control: str

    def orders(self) -> list[dict[str, Any]]:
        """Return every order it ever accepted."""
        return list(httpx.get(f"{self.control}/orders", trust_env=False, timeout=20).json())

    def counts(self) -> dict[str, int]:
        """Return how many requests it answered, by method, path and status, and how many faults."""
        return dict(httpx.get(f"{self.control}/counts", trust_env=False, timeout=20).json())

    def held(self) -> dict[tuple[str, str], Decimal]:
        """Return the quantity of every open position, by account and contract."""
        seen = httpx.get(f"{self.control}/accounts", trust_env=False, timeout=20).json()
        return {
            (name, row["symbol"]): Decimal(str(row["quantity"]))
            for name, each in seen.items()
            for row in each["positions"]
        }

    def positions(self) -> int:
        """Return the number of open positions of all accounts."""
        seen = httpx.get(f"{self.control}/accounts", trust_env=False, timeout=20).json()
        return sum(len(each["positions"]) for each in seen.values())

    def skew(self, seconds: int) -> None:
        """Set its clock ahead of ours, or behind."""
        httpx.post(
            f"{self.control}/clock", json={"skew_s": seconds}, trust_env=False
        ).raise_for_status()

    def fund(self, symbol: str, rate: str) -> None:
        """Charge funding on every position of a contract."""
        httpx.post(
            f"{self.control}/funding", json={"symbol": symbol, "rate": rate}, trust_env=False
        ).raise_for_status()

    def fault(self, path: str, fault: str, times: int, **more: object) -> None:
        """Inject a fault into the next requests."""
        self.rules({"path": path, "fault": fault, "times": times, **more})

    def does(self, what: str, **body: object) -> None:
        """Cause an event at the exchange: a price, an owner's act, funding, a liquidation, a
        transfer.
        """
        httpx.post(
            f"{self.control}/{what}", json=body, trust_env=False, timeout=20
        ).raise_for_status()

    def switch(self, **switches: object) -> None:
        """Change its switches from now on."""
        self.does("switches", **switches)

    def wallet(self, key: str) -> dict[str, Any]:
        """Return its own record of one wallet, which no client sees."""
        seen: dict[str, Any] = httpx.get(
            f"{self.control}/wallets", trust_env=False, timeout=20
        ).json()
        return dict(seen[key])

    def rules(self, *rules: dict[str, object]) -> None:
        """Set exactly these faults."""
        httpx.post(
            f"{self.control}/faults", json={"rules": list(rules)}, trust_env=False
        ).raise_for_status()


@contextmanager
def simulated(state: Path, *options: str) -> Iterator[Simulator]:
    """Run a simulator in its own process while the block runs. It must end without an error."""
    command = [*REXALGO, "simulate", "mudrex", "--json", "--state", str(state), *options]
    with start(command, Path.cwd()) as process:
        assert process.stdout is not None
        head = ""
        while not head.endswith("}\n"):
            line = process.stdout.readline()
            assert line, "the simulator ended before it said where it is"
            head += line
        told = json.loads(head)
        try:
            yield Simulator(told["base_url"], told["control"])
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@contextmanager
def trading_there(
    simulator: Simulator, folder: Path, followers: int, **engine: object
) -> Iterator[Place]:
    """Serve an installation whose followers have accounts at the simulator, with these engine
    settings.
    """
    place = Place(folder, f'[plugin.mudrex]\nbase_url = "{simulator.base_url}"')
    settings = "\n".join(["[engine]", *(f"{name} = {value}" for name, value in engine.items())])
    file = place.folder / "rexalgo.toml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("[engine]", settings), encoding="utf-8"
    )
    run_cli("plugin", "enable", "mudrex", cwd=place.folder)
    place.provision(
        DECLARATIONS.format(followers=followers)
        .replace('"paper"', '"mudrex"')
        .replace("paper-", "sim-")
    )
    with running(place):
        yield place
