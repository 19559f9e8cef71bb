"""``rexalgo account check``: one command says whether an account can copy, and if not, why and what
to do.
"""

import json
import subprocess
from pathlib import Path

import httpx
from journey_place import DECLARATIONS, REXALGO, Place, run_cli, running
from simulated_mudrex import simulated


def test_a_check_tells_about_key_money_positions_and_contracts_and_notices_a_rotated_key(
    tmp_path: Path,
) -> None:
    with simulated(tmp_path / "orders.jsonl", "--accounts", "3", "--faults", "calm") as simulator:
        control = simulator.control
        place = Place(tmp_path / "place", f'[plugin.mudrex]\nbase_url = "{simulator.base_url}"')
        run_cli("plugin", "enable", "mudrex", cwd=place.folder)
        people = (
            DECLARATIONS.format(followers=2)
            .replace('"paper"', '"mudrex"')
            .replace("paper-{n:04}", "sim-{n:04}")
        )
        place.provision(people)
        assert "start rexalgo serve" in run_cli_error(place, "account", "check", "f0001")
        with running(place):
            good = json.loads(run_cli("account", "check", "f0001", "--json", cwd=place.folder))
            assert (good["level"], good["environment"]) == ("ok", "simulated")
            assert [each["about"] for each in good["items"]] == ["key", "funds", "BTCUSDT in trend"]
            funds = {"account": "sim-0001", "balance": "1", "spot": "120.5", "inr": "900"}
            httpx.post(
                f"{control}/funds", json=funds, trust_env=False, timeout=20
            ).raise_for_status()
            poor = run_cli("account", "check", "f0001", cwd=place.folder, code=1)
            assert "120.5 USDT in the spot wallet and 900 INR in the rupee futures wallet" in poor
            assert "[SIMULATED]" in poor
            assert "move money to the futures wallet" in poor
            assert "checks      1 stops entries" in run_cli("status", cwd=place.folder)
            assert "last check: stops entries" in run_cli(
                "account", "show", "f0001", cwd=place.folder
            )
            httpx.post(
                f"{control}/rotate", json={"account": "sim-0001", "key": "sim-new"}, trust_env=False
            ).raise_for_status()
            refused = run_cli("account", "check", "f0001", cwd=place.folder, code=1)
            assert "the exchange refuses the key" in refused
            assert "sim-0001" not in refused
            assert (
                json.loads(run_cli("account", "check", "f0002", "--json", cwd=place.folder))[
                    "level"
                ]
                == "ok"
            )
            run_cli("account", "check", "nobody", cwd=place.folder, code=4)


def run_cli_error(place: Place, *args: str) -> str:
    """Run a failing command; return its error output."""
    told = subprocess.run(
        [*REXALGO, *args], cwd=place.folder, capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 4
    return told.stderr
