"""Books with late facts: an order that fills after it was given up, and a close whose price the
exchange reports later.

An unknown value is shown as unknown on the page, in the file and by both commands, and is never
zero; a late value corrects the result. The simulated exchange's own record of the wallets decides.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from browser_free import close_all
from coming_in import come_in
from journey_place import Place, closing, opening, run_cli, until
from judged_books import CENT, came_to, pages_agree, wait_until_settled
from simulated_mudrex import Simulator, simulated, trading_there

ALL = ["f0001", "f0002", "f0003"]
NEVER_S = 1_000_000


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulated(tmp_path_factory.mktemp("mudrex") / "orders.jsonl") as made:
        made.switch(prices_move=False)
        yield made


@pytest.fixture(scope="module")
def place(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with trading_there(
        simulator,
        folder,
        len(ALL),
        reconcile_active_s=5,
        reconcile_idle_s=5,
        not_confirmed_after_s=5,
    ) as made:
        yield made
        close_all()


def gained(simulator: Simulator, name: str) -> Decimal:
    return came_to(simulator.wallet(name.replace("f", "sim-")))


def checked(place: Place, code: int) -> list[dict[str, Any]]:
    told = json.loads(run_cli("books", "check", "--all", "--json", cwd=place.folder, code=code))
    assert told["agrees"] is (code == 0)
    return list(told["accounts"])


def last_order(place: Place, signal_id: str) -> tuple[str, str | None, str | None]:
    """Return what ``rexalgo why`` shows of the order of a signal: leg, price, fee."""
    order = json.loads(run_cli("why", signal_id, ALL[0], "--json", cwd=place.folder))["attempts"][
        -1
    ]
    return order["kind"], order["price"], order["fee"]


def test_an_order_that_was_given_up_and_fills_late_is_in_the_books(
    simulator: Simulator, place: Place
) -> None:
    """Its answer is lost, nothing shows it for longer than it is looked for, and then its limit is
    reached.
    """
    simulator.does("price", symbol="BTCUSDT", price="60000")
    simulator.rules(
        {"path": "/v2/futures/order", "method": "POST", "fault": "accept_then_drop", "times": 0},
        {"path": "/orders", "method": "GET", "fault": "missing_rows", "times": 0},
    )
    entry = place.send(opening("late", order_type="LIMIT", price="59000"))
    until(lambda: set(place.codes(entry)) == {"not_confirmed"})
    simulator.does("price", symbol="BTCUSDT", price="58900")
    simulator.rules()
    until(lambda: set(place.codes(entry)) == {"filled"})
    left = place.send(closing("late-close"))
    assert place.settled(left) == ["filled"] * len(ALL)
    assert simulator.positions() == 0
    wait_until_settled(place)
    prices = place.rows(
        "SELECT entry_price, exit_price, cause, state FROM trade WHERE strategy_id != ''"
    )
    assert [(Decimal(a), Decimal(b), c, d) for a, b, c, d in prices] == [
        (Decimal(59000), Decimal(58900), "signal", "settled")
    ] * len(ALL)


def test_a_close_whose_price_nobody_tells_is_not_known_until_somebody_does(
    simulator: Simulator, place: Place
) -> None:
    """No order row of the close, and the positions' history minutes late: the position proves the
    exit, and nothing its price.
    """
    began = {name: gained(simulator, name) for name in ALL}
    simulator.switch(closing_row="never", closed_rows_late_s=45)
    simulator.does("price", symbol="BTCUSDT", price="60000")
    assert place.settled(place.send(opening("untold"))) == ["filled"] * len(ALL)
    simulator.does("price", symbol="BTCUSDT", price="60300")
    left = place.send(closing("untold-close"))
    assert place.settled(left) == ["filled"] * len(ALL)
    assert simulator.positions() == 0
    for told in checked(place, code=1):
        assert "not settled" in {each["what"] for each in told["problems"]}
    assert last_order(place, left) == ("exit", None, None)
    assert "price not known yet, fee not known yet" in run_cli(
        "why", left, ALL[0], cwd=place.folder
    )
    user = come_in(place, "user", "link", f"follower:{ALL[0]}")
    newest = next(csv.DictReader(io.StringIO(user.get("/performance.csv"))))
    assert (newest["entry_price"], newest["exit_price"], newest["result"], newest["state"]) == (
        "60000",
        "",
        "",
        "open",
    )
    assert "not known yet" in user.get("/performance")
    shown = json.loads(run_cli("account", "show", ALL[0], "--json", cwd=place.folder))["books"]
    assert (shown["trades_not_reconciled"], shown["fills_not_settled"] > 0) == (1, True)
    wait_until_settled(place)
    for name in ALL:
        ((result,),) = place.rows(
            "SELECT result FROM trade JOIN account ON account.id = account_id WHERE account.name "
            "= ? ORDER BY trade.id DESC LIMIT 1",
            name,
        )
        assert abs(Decimal(result) - (gained(simulator, name) - began[name])) <= CENT
    kind, price, fee = last_order(place, left)
    assert (kind, price, Decimal(fee or 0) > 0) == ("exit", "60300", True)
    pages_agree(user, gained(simulator, ALL[0]))
    assert Counter(each["agrees"] for each in checked(place, code=0)) == {True: len(ALL)}
