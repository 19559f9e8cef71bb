"""A provisioning file is checked as the pages check: unreasonable leverage, sizes and limits are
printed, and stop nothing.
"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rexalgo.cli import main

FILE = """
[[master]]
name = "alpha"
[[strategy]]
name = "trend"
master = "alpha"
symbols = ["BTCUSDT"]
leverage = "{asked}"
[[follower]]
name = "f{{n}}"
count = 5
exchange = "paper"
secret = "paper:1000:{{n}}"
strategy = "trend"
sizing = {{ mode = "fixed_margin", margin = "{margin}" }}
leverage = "{leverage}"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    fixed = 'plugin.paper.price_fixed={ BTCUSDT = "65000" }'
    made = CliRunner().invoke(
        main,
        ["init", "--dir", str(folder), "--exchange", "paper", "--set", fixed],
        catch_exceptions=False,
    )
    assert made.exit_code == 0, made.output
    return folder


def provision(
    place: Path, *flags: str, asked: str = "5", leverage: str = "5", margin: str = "50"
) -> Result:
    file = place / "people.toml"
    file.write_text(FILE.format(asked=asked, leverage=leverage, margin=margin))
    told = CliRunner().invoke(main, ["--config", str(place), "provision", str(file), *flags])
    assert told.exit_code == 0, told.output
    return told


def test_absurd_declarations_are_applied_and_told(place: Path) -> None:
    told = provision(place, leverage="500", margin="0.0000001", asked="5").output
    assert "created: 1 master, 1 strategy, 5 followers, 5 subscriptions" in told
    whose = "warning: f1, f2, f3 and 2 more: terms of trend"
    assert (
        f"{whose}: leverage: 500x is more than the 5x that the strategy asks for at most; nobody "
        "needs a ceiling above that." in told
    )
    assert (
        f"{whose}: leverage: BTCUSDT takes 1x to 100x at the exchange: an entry at 500x is denied."
        in told
    )
    assert (
        f"{whose}: size: BTCUSDT: at 65000 and 5x this comes to less than the smallest entry"
        in told
    )
    assert "The smallest that trades now is 13." in told
    assert "not compared with the balance of f1, f2, f3 and 2 more" in told
    assert "rexalgo account check f1" in told
    again = provision(place, leverage="500", margin="0.0000001").output
    assert "created: nothing new" in again
    assert "warning: " in again, "what stands is still absurd"


def test_an_absurd_strategy_is_told_once_with_its_exchange(place: Path) -> None:
    told = json.loads(provision(place, "--json", asked="500").output)
    assert {"what": "strategy trend", "followers": [], "field": "leverage"}.items() <= told[
        "warnings"
    ][0].items()
    assert (
        told["warnings"][0]["sentence"]
        == "BTCUSDT takes 1x to 100x at paper: an entry at 500x is denied."
    )
    assert len(told["warnings"]) == 1


def test_ordinary_declarations_are_not_talked_about(place: Path) -> None:
    assert "warning" not in provision(place).output
