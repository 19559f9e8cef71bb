"""The books of followers at the simulated Mudrex, compared with the exchange's own record of every
change of their wallets.

One follower each for a stop, a liquidation, the owner's manual trades (close all, close a part,
add), a deposit, funding and rebates. The record that no client sees decides, to 0.01 for each
trade.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser_free import close_all
from coming_in import come_in
from journey_place import Place, closing, opening, run_cli, until
from judged_books import came_to, pages_agree, wait_until_settled
from simulated_mudrex import Simulator, simulated, trading_there

FOLLOWERS = 7
ALL = [f"f{number:04}" for number in range(1, FOLLOWERS + 1)]
STOPPED, BY_HAND, IN_PART, MORE, LIQUIDATED, PAID_IN, BY_SIGNAL = ALL
CENT = Decimal("0.01")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulated(tmp_path_factory.mktemp("mudrex") / "orders.jsonl") as made:
        yield made


@pytest.fixture(scope="module")
def place(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with trading_there(
        simulator, folder, FOLLOWERS, reconcile_active_s=5, reconcile_idle_s=10
    ) as made:
        yield made
        close_all()


def key(name: str) -> str:
    return name.replace("f", "sim-")


def shown(place: Place, name: str) -> dict[str, Any]:
    return dict(json.loads(run_cli("account", "show", name, "--json", cwd=place.folder)))


def checked(place: Place) -> dict[str, Any]:
    """Check the books of every account, whatever the answer is."""
    return dict(
        json.loads(run_cli("books", "check", "--all", "--json", cwd=place.folder, code=None))
    )


def shares(place: Place, name: str) -> list[str]:
    return [each["share"] for each in shown(place, name)["holdings"]]


def test_every_way_in_which_a_position_ends_agrees_with_the_wallet(
    simulator: Simulator, place: Place
) -> None:
    began = {name: Decimal(simulator.wallet(key(name))["total"]) for name in ALL}
    with httpx.Client(trust_env=False, timeout=20) as client:
        simulator.does("price", symbol="BTCUSDT", price="60000")
        opened = (
            place.bots["trend"]
            .post(client, opening("books", stop_loss="57000"))
            .json()["signal_id"]
        )
        assert set(place.settled(opened)) == {"filled"}
        (whole,) = shares(place, IN_PART)
        until(
            lambda: all(shown(place, name)["books"]["fills_not_settled"] == 0 for name in ALL)
        )  # fees and rebates are told
        simulator.does("funding", symbol="BTCUSDT", rate="0.001")
        simulator.does("price", symbol="BTCUSDT", price="60500")
        simulator.does("owner", account=key(BY_HAND), act="close", symbol="BTCUSDT")
        simulator.does(
            "owner", account=key(IN_PART), act="close", symbol="BTCUSDT", quantity="0.001"
        )
        simulator.does("owner", account=key(MORE), act="add", symbol="BTCUSDT", quantity="0.002")
        simulator.does("liquidate", account=key(LIQUIDATED), symbol="BTCUSDT")
        simulator.does("transfer", account=key(PAID_IN), amount="100")
        until(
            lambda: (
                shares(place, BY_HAND) == []
                and shares(place, LIQUIDATED) == []
                and shares(place, IN_PART) != [whole]
                # an addition that a stop closes before any reading saw it stays unexplained
                and place.rows(
                    "SELECT 1 FROM book JOIN account ON account.id = book.account_id WHERE name = ? "
                    "AND strategy_id = ''",
                    MORE,
                )
                != []
            ),
        )
        simulator.does("price", symbol="BTCUSDT", price="56900")
        until(lambda: all(shares(place, name) == [] for name in ALL))
        simulator.does("price", symbol="BTCUSDT", price="57000")
        closed = place.bots["trend"].post(client, closing("books-close")).json()["signal_id"]
        assert set(place.settled(closed)) == {"skipped.nothing_to_close"}
    wait_until_settled(place)
    for name in ALL:
        books = shown(place, name)["books"]
        change = Decimal(simulator.wallet(key(name))["total"]) - began[name]
        assert abs(Decimal(books["change"]) - change) <= CENT * 4, (
            name,
            books,
            simulator.wallet(key(name)),
        )
        explained = Decimal(books["unexplained"])
        assert abs(explained - (100 if name == PAID_IN else 0)) <= CENT * 4, (name, books)
        assert books["trades_not_reconciled"] == 0, (name, books)
    told = {each["account"]: each for each in checked(place)["accounts"]}
    assert all(row["agrees"] is not False for each in told.values() for row in each["trades"])


def test_how_each_trade_ended_is_told(place: Place) -> None:
    with place._ledger() as db:  # the record of this place, as every page reads it
        rows = db.execute(
            "SELECT account.name, cause FROM trade JOIN account ON account.id = account_id WHERE "
            "strategy_id != '' ORDER BY trade.id"
        ).fetchall()
    causes: dict[str, list[str]] = {}
    for name, cause in rows:
        causes.setdefault(name, []).append(cause)
    assert causes == {
        STOPPED: ["stop_loss"],
        BY_HAND: ["owner"],
        IN_PART: ["owner", "stop_loss"],
        MORE: ["stop_loss"],
        LIQUIDATED: ["liquidation"],
        PAID_IN: ["stop_loss"],
        BY_SIGNAL: ["stop_loss"],
    }


@pytest.mark.parametrize("name", [STOPPED, BY_HAND, IN_PART, LIQUIDATED, BY_SIGNAL])
def test_pages_and_files_of_a_trader_come_to_what_the_wallet_lost(
    simulator: Simulator, place: Place, name: str
) -> None:
    pages_agree(
        come_in(place, "user", "link", f"follower:{name}"), came_to(simulator.wallet(key(name)))
    )


def test_what_is_not_there_and_what_is_not_clear_is_said(place: Place, tmp_path: Path) -> None:
    run_cli("books", "check", "f9999", cwd=place.folder, code=4)
    run_cli("books", "check", cwd=place.folder, code=2)
    run_cli("books", "check", "f0001", "--all", cwd=place.folder, code=2)
