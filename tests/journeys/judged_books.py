"""Check the books of followers at the simulated Mudrex against the exchange's own record of their
wallets, which no client sees.
"""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx
from browser_free import User
from journey_place import Place, run_cli, until

CENT = Decimal("0.01")
TRADES = """SELECT account.name, fill.position_id, trade.result, trade.state, trade.cause, trade.exit_price FROM trade
    JOIN account ON account.id = trade.account_id JOIN fill ON fill.id = trade.fill_id WHERE trade.strategy_id != ''"""

OPEN = "SELECT id FROM fill WHERE (state != 'settled' AND state != 'old') OR NOT folded"


def books_agree(place: Place, control: str, key_of: Mapping[str, str]) -> int:
    """Wait until ``rexalgo books check --all`` agrees, check each trade against the exchange's
    record, and return the number of trades.

    The result of a trade is the change of the wallet by its position: fills, fees, rebates and
    funding.
    """
    wait_until_settled(place)
    wallets: dict[str, Any] = httpx.get(f"{control}/wallets", trust_env=False, timeout=20).json()
    trades: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    rows = place.rows(TRADES)
    for name, position_id, result, state, cause, price in rows:
        assert (state, cause in ("signal", "flatten"), Decimal(price) > 0) == (
            "settled",
            True,
            True,
        ), (name, position_id, cause, price)
        trades[name, position_id] += Decimal(result)
    for name, key in key_of.items():
        came_to: defaultdict[str, Decimal] = defaultdict(Decimal)
        for change in wallets[key]["changes"]:
            if change.get("position_id"):
                came_to[change["position_id"]] += Decimal(change["amount"])
        ours = {
            position: result for (account, position), result in trades.items() if account == name
        }
        assert ours.keys() == came_to.keys(), (name, ours, came_to)
        assert all(abs(ours[each] - amount) <= CENT for each, amount in came_to.items()), (
            name,
            ours,
            came_to,
        )
    _shown(place, name, list(came_to.values()))
    return len(rows)


def wait_until_settled(place: Place) -> None:
    """Wait until every fill has a price, a fee and a cause, and ``rexalgo books check --all``
    agrees.
    """
    # asked of the ledger: the exchange is asked by those who trade
    until(lambda: place.rows(OPEN) == [])
    until(
        lambda: bool(
            json.loads(run_cli("books", "check", "--all", "--json", cwd=place.folder, code=None))[
                "agrees"
            ]
        )
    )


def _shown(place: Place, name: str, came_to: list[Decimal]) -> None:
    """Check what a person sees of one account against the results of its trades."""
    books = json.loads(run_cli("account", "show", name, "--json", cwd=place.folder))["books"]
    assert (books["trades_reconciled"], books["trades_not_reconciled"]) == (len(came_to), 0)
    assert abs(Decimal(books["result_reconciled"]) - sum(came_to)) <= CENT * len(came_to)


def came_to(wallet: Mapping[str, Any]) -> Decimal:
    """Return the result of trading by the exchange's own record: the change of a wallet without its
    starting balance.
    """
    return sum(
        (Decimal(each["amount"]) for each in wallet["changes"] if each.get("position_id")),
        Decimal(0),
    )


def pages_agree(user: User, change: Decimal) -> None:
    """Check the page and both files of an account with only our trades against its wallet."""
    trades, paid = (
        list(csv.DictReader(io.StringIO(user.get(path))))
        for path in ("/performance.csv", "/performance/funding.csv")
    )
    assert {(each["state"], each["environment"]) for each in trades} == {("settled", "simulated")}
    told = sum((Decimal(each["result"]) for each in trades), Decimal(0)) - sum(
        (Decimal(each["paid"]) for each in paid), Decimal(0)
    )
    assert abs(told - change) <= CENT * len(trades), (trades, paid, change)
    page = user.get("/performance")
    assert abs(figure(page, "Total") - change) <= CENT * len(trades)
    result = sum((Decimal(each["result"]) for each in trades), Decimal(0))
    assert (figure(page, "Realised P&amp;L"), "SIMULATED" in page) == (round(result, 2), True)


def figure(page: str, name: str) -> Decimal:
    """Return a number of a page by its name."""
    found = re.search(rf"<dt>{re.escape(name)}</dt><dd>(?:<[^>]*>)?([+−0-9.,]+)", page)
    assert found, name
    return Decimal(found[1].replace("−", "-").replace(",", ""))
