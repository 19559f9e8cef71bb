"""Judge the books of followers at the simulated Mudrex by the exchange's own record of their wallets, which no client sees."""

import json
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx
from journey_place import Place, run_cli, until

CENT = Decimal("0.01")
TRADES = """SELECT account.name, fill.position_id, trade.result, trade.state, trade.cause, trade.exit_price FROM trade
    JOIN account ON account.id = trade.account_id JOIN fill ON fill.id = trade.fill_id WHERE trade.strategy_id != ''"""

OPEN = "SELECT id FROM fill WHERE (state != 'settled' AND state != 'old') OR NOT folded"


def books_agree(place: Place, control: str, key_of: Mapping[str, str], within_s: float = 60) -> int:
    """Wait until ``rexalgo books check --all`` agrees, hold each trade against the exchange's record, and return how many there are.

    A trade came to what the wallet says of its position: fills, fees, rebates and funding.
    """
    until(lambda: place.rows(OPEN) == [], within_s)  # asked of the ledger: the exchange is asked by those who trade
    until(lambda: bool(_told(place)["agrees"]), within_s)
    wallets: dict[str, Any] = httpx.get(f"{control}/wallets", trust_env=False).json()
    trades: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    rows = place.rows(TRADES)
    for name, position_id, result, state, cause, price in rows:
        assert (state, cause in ("signal", "flatten"), Decimal(price) > 0) == ("settled", True, True), (name, position_id, cause, price)
        trades[name, position_id] += Decimal(result)
    for name, key in key_of.items():
        came_to: defaultdict[str, Decimal] = defaultdict(Decimal)
        for change in wallets[key]["changes"]:
            if change.get("position_id"):
                came_to[change["position_id"]] += Decimal(change["amount"])
        ours = {position: result for (account, position), result in trades.items() if account == name}
        assert ours.keys() == came_to.keys(), (name, ours, came_to)
        assert all(abs(ours[each] - amount) <= CENT for each, amount in came_to.items()), (name, ours, came_to)
    _shown(place, name, list(came_to.values()))
    return len(rows)


def _shown(place: Place, name: str, came_to: list[Decimal]) -> None:
    """Hold what a person sees of one account against what its trades came to."""
    books = json.loads(run_cli("account", "show", name, "--json", cwd=place.folder))["books"]
    assert (books["trades_reconciled"], books["trades_not_reconciled"]) == (len(came_to), 0)
    assert abs(Decimal(books["result_reconciled"]) - sum(came_to)) <= CENT * len(came_to)


def _told(place: Place) -> dict[str, Any]:
    return dict(json.loads(run_cli("books", "check", "--all", "--json", cwd=place.folder, code=None)))
