"""Promises about money, checked against the simulated exchange's own record: quick closes, manual
trades, bursts, exits in a storm.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until
from simulated_mudrex import Simulator, simulated

FOLLOWERS = 100
CAPPED = """
[[strategy]]
name = "burst"
master = "alpha"
kind = "copy_trading"
symbols = ["BTCUSDT", "ETHUSDT", "DOGEUSDT", "AAPLUSDT", "NOTLISTEDUSDT"]
leverage = "5"
[[follower]]
name = "capped"
exchange = "mudrex"
secret = "sim-capped"
strategy = "burst"
sizing = { mode = "fixed_margin", margin = "100" }
limits = { open_positions = 2, account_notional = "1100" }
"""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulated(
        tmp_path_factory.mktemp("mudrex") / "orders.jsonl", "--accounts", str(FOLLOWERS)
    ) as made:
        yield made


@pytest.fixture(scope="module")
def place(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(
        tmp_path_factory.mktemp("place"), f'[plugin.mudrex]\nbase_url = "{simulator.base_url}"'
    )
    file = made.folder / "rexalgo.toml"
    text = file.read_text(encoding="utf-8").replace(
        "[engine]", "[engine]\nreconcile_active_s = 5\nreconcile_idle_s = 5\nentry_age_s = 60"
    )
    file.write_text(text, encoding="utf-8")
    run_cli("plugin", "enable", "mudrex", cwd=made.folder)
    people = (
        DECLARATIONS.format(followers=FOLLOWERS)
        .replace('"paper"', '"mudrex"')
        .replace("paper-{n:04}", "sim-{n:04}")
    )
    made.provision(people + CAPPED)
    with running(made):
        yield made


def held(simulator: Simulator) -> dict[str, list[dict[str, Any]]]:
    """Return the open positions by account, without accounts that have none."""
    seen = httpx.get(f"{simulator.control}/accounts", trust_env=False, timeout=20).json()
    return {name: each["positions"] for name, each in seen.items() if each["positions"]}


class Owner:
    """The owner of an account, who acts by hand and tries again after a rate limit (the engine uses
    the same key).
    """

    def __init__(self, simulator: Simulator, key: str) -> None:
        self._base, self._headers = simulator.base_url, {"X-Authentication": key}

    def does(self, path: str, body: dict[str, object] | None = None) -> None:
        """Repeat an act until the rate limit allows it; fail the test for any other refusal."""
        with httpx.Client(
            base_url=self._base, headers=self._headers, trust_env=False, timeout=20
        ) as hands:
            until(lambda: self._done(hands.post(path, json=body)))

    @staticmethod
    def _done(answer: httpx.Response) -> bool:
        if (
            answer.status_code == 429
        ):  # the exchange took nothing: this documented refusal comes before the order is looked at
            return False
        answer.raise_for_status()
        return True

    def opens(self, leverage: int) -> None:
        """Open, or add to, a long position of 0.01 BTCUSDT."""
        order: dict[str, object] = {
            "leverage": leverage,
            "quantity": 0.01,
            "order_price": 60000,
            "order_type": "LONG",
            "trigger_type": "MARKET",
            "reduce_only": False,
            "trade_currency": "USDT",
        }
        self.does("/v1/futures/BTCUSDT/order?is_symbol", order)

    def closes(self, position: dict[str, Any]) -> None:
        """Close a whole position."""
        self.does(f"/v1/futures/positions/{position['id']}/close")


def test_a_close_while_its_open_still_leaves_leaves_no_orphan(
    simulator: Simulator, place: Place
) -> None:
    before = len(simulator.orders())
    opened = place.send(opening("quick"))
    until(lambda: len(simulator.orders()) > before)  # the first have left, most have not
    closed = place.send(closing("quick-close"))
    codes = Counter(place.settled(opened))
    assert sum(codes.values()) == FOLLOWERS
    place.settled(closed)
    until(lambda: not held(simulator))
    per_account = Counter(each["account"] for each in simulator.orders())
    assert max(per_account.values()) <= 2, per_account
    assert set(codes) <= {"filled", "skipped.superseded"}, codes


def test_what_the_owner_closes_by_hand_is_not_opened_again(
    simulator: Simulator, place: Place
) -> None:
    place.settled(place.send(opening("hand")))
    Owner(simulator, "sim-0001").closes(held(simulator)["sim-0001"][0])
    until(lambda: "sim-0001" not in held(simulator))
    until(
        lambda: (
            json.loads(run_cli("account", "show", "f0001", "--json", cwd=place.folder))["holdings"]
            == []
        ),
    )
    before = len(simulator.orders())
    again = place.send(opening("hand-again"))
    codes = dict(zip(_accounts(place, again), place.settled(again), strict=True))
    assert codes["f0001"] == "skipped.detached"
    assert len(simulator.orders()) == before
    place.settled(place.send(closing("hand-close")))
    until(lambda: not held(simulator))


def _accounts(place: Place, signal_id: str) -> list[str]:
    sql = (
        "SELECT account.name FROM copy JOIN signal ON signal.number = copy.signal_number JOIN "
        "account ON account.id = account_id"
        " WHERE signal.id = ? ORDER BY account_id"
    )
    return [str(row[0]) for row in place.rows(sql, signal_id)]


def test_the_owners_own_position_is_neither_entered_nor_touched(
    simulator: Simulator, place: Place
) -> None:
    hands = Owner(simulator, "sim-0002")
    hands.does("/v1/futures/BTCUSDT/leverage?is_symbol", {"margin_type": "ISOLATED", "leverage": 3})
    hands.opens(3)
    until(lambda: "sim-0002" in held(simulator))
    until_read_again(place, "f0002")
    before = held(simulator)["sim-0002"]
    opened = place.send(opening("own"))
    codes = dict(zip(_accounts(place, opened), place.settled(opened), strict=True))
    assert codes["f0002"] == "skipped.own_position"
    place.settled(place.send(closing("own-close")))
    until(lambda: set(held(simulator)) == {"sim-0002"})
    assert held(simulator)["sim-0002"][0]["quantity"] == before[0]["quantity"]
    hands.closes(before[0])
    until(lambda: not held(simulator))


def until_read_again(place: Place, name: str) -> None:
    """Wait until the engine has read an account twice: the second reading began after now, so it
    has what the owner opened before.
    """

    def read_at() -> str:
        shown = json.loads(run_cli("account", "show", name, "--json", cwd=place.folder))
        return str(shown["task"]["read_at"])

    seen = {read_at()}

    def read_twice() -> bool:
        seen.add(read_at())
        return len(seen) > 2

    until(read_twice)


def test_a_burst_of_twenty_signals_never_exceeds_a_cap(simulator: Simulator, place: Place) -> None:
    symbols = (
        "BTCUSDT",
        "ETHUSDT",
        "DOGEUSDT",
        "AAPLUSDT",
        "NOTLISTEDUSDT",
    )  # a contract that is not there costs the others nothing
    sent = [place.send(opening(f"burst-{n}", symbol=symbols[n % 5]), "burst") for n in range(20)]
    for each in sent:
        place.settled(each)
    mine = held(simulator).get("sim-capped", [])
    assert len(mine) <= 2, mine
    worth = sum(float(each["quantity"]) * float(each["entry_price"]) for each in mine)
    assert worth <= 1_100, mine
    assert len(mine) >= 1
    for symbol in symbols:
        place.settled(place.send(closing(f"burst-close-{symbol}", symbol=symbol), "burst"))
    until(lambda: not held(simulator))


def test_a_close_whose_answer_was_lost_never_closes_more_than_our_share(
    simulator: Simulator, place: Place
) -> None:
    place.settled(place.send(opening("share")))
    hands = Owner(simulator, "sim-0003")
    hands.opens(5)  # the owner adds to what we hold
    ours = float(held(simulator)["sim-0004"][0]["quantity"])
    until(lambda: abs(float(held(simulator)["sim-0003"][0]["quantity"]) - ours - 0.01) < 1e-9)
    until_read_again(place, "f0003")
    simulator.fault("/close", "accept_then_drop", FOLLOWERS)
    place.settled(place.send(closing("share-close")))
    simulator.rules()
    until(lambda: set(held(simulator)) == {"sim-0003"})
    left = held(simulator)["sim-0003"][0]
    assert abs(float(left["quantity"]) - 0.01) < 1e-9, left
    hands.closes(left)
    until(lambda: not held(simulator))


def test_exits_leave_during_a_storm_of_429(simulator: Simulator, place: Place) -> None:
    place.settled(place.send(opening("storm")))
    simulator.rules(
        {"fault": "rate_limit", "times": 0, "probability": 0.2},
        {"fault": "rate_limit_wait", "times": 0, "probability": 0.05},
    )
    place.send(closing("storm-close"))
    until(
        lambda: len(held(simulator)) <= FOLLOWERS // 10
    )  # in the storm; the unlucky ones come to pauses of up to 60 s
    simulator.rules()
    until(lambda: not held(simulator))
    counts = Counter(each["account"] for each in simulator.orders())
    assert counts
