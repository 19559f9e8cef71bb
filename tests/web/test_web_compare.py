"""Strategies are compared by figures that agree with the wallets of their followers."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median

from test_web_home import SETTINGS, follow
from web_place import WebPlace, web_place

from engine.domain.person import Role
from engine.ledger import Database
from engine.ledger.query import fetch_all, fetch_one


def wallet(place: WebPlace, name: str) -> Decimal | None:
    """Return what the exchange says that a flat account owns, None while it is not flat."""
    task = place.context.live.named(name) if place.context.live else None
    report = None if task is None else task.account.report
    return None if report is None or report.positions else report.balance.total


async def test_returns_agree_with_the_wallets_of_the_followers(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada)
        await place.strategy(ada, "idle")
        names = ("bob", "eve", "kim")
        people = {name: await place.person(name, balance="1000") for name in names}
        for name in names:
            await follow(people[name], strategy, name, "BTCUSDT")
        db = place.context.ledger.db
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
        shares = (
            "SELECT name, share FROM holding JOIN account ON id = account_id WHERE share != '0'"
        )
        await place.until(lambda: len(fetch_all(db, shares)) == 3)
        margins = {row[0]: Decimal(row[1]) * 65_000 / 5 for row in fetch_all(db, shares)}
        await place.signal(strategy, action="close", symbol="BTCUSDT")
        settled = "SELECT count(*) FROM trade WHERE state = 'settled'"
        await place.until(
            lambda: (
                fetch_one(db, settled) == (3,)
                and all(wallet(place, name) not in (None, 1000) for name in names)
            )
        )
        returns = [
            ((wallet(place, name) or Decimal(0)) - 1000) * 100 / margins[name] for name in names
        ]
        bob = people["bob"]
        await bob.get("/strategies?view=table&sort=signal")
        shown = f"{median(returns):+.2f}".replace("-", "\u2212")
        row = bob.text.partition(">trend<")[2].partition("</tr>")[0]
        assert re.findall(r'data-label="Return[^"]*"><span class="num loss">([^<&]*)', row) == [
            shown,
            shown,
        ]
        assert 'data-label="Win rate">0.0' in row
        assert 'data-label="Copied">100.0' in row
        assert 'data-label="Days running">1<' in row
        assert bob.text.index(">trend<") < bob.text.index(">idle<"), "without figures comes last"
        await bob.get("/strategies?of=live&days=7&view=3d&sort=luck")
        assert shown in bob.words, "what is not offered is the first of what is"
        assert "No position of a follower was closed" in bob.words
        await bob.get(f"/strategies/{strategy}")
        figure = re.findall(
            r"<dt>Return per \w+</dt><dd><span class=\"num loss\">([^<&]*)", bob.text
        )
        assert figure == [shown, shown], "its own page shows what the table shows"
        low, high = (f"{each:+.2f}".replace("-", "\u2212") for each in (min(returns), max(returns)))
        assert f"{low} % to {high} %" in bob.words.replace("\xa0", " ")
        assert " USDT" not in bob.words.partition("Results of its signals")[2], "no sum of money"
        assert "Filled 6" in bob.words, "what became of its signals"
        await separate_environment(place, "kim")
        place.clock.passed += timedelta(
            seconds=61
        )  # counts of settled signals are kept for a minute
        await bob.get(f"/strategies/{strategy}?of=simulated")
        alone = f"{returns[2]:+.2f}".replace("-", "\u2212")
        assert bob.text.count(f">{alone}&nbsp;%<") > 1, "only the trade of that environment"
        assert "Filled 2" in bob.words
        assert "SIMULATED" in bob.words


async def separate_environment(place: WebPlace, name: str) -> None:
    """Move an account and its trades to another environment."""

    def change(db: Database) -> None:
        row = fetch_one(db, "SELECT id FROM account WHERE name = ?", (name,))
        db.execute("UPDATE account SET environment = 'simulated' WHERE id = ?", row)
        db.execute("UPDATE trade SET environment = 'simulated' WHERE account_id = ?", row)
        db.execute(
            "INSERT INTO strategy_day (strategy_id, environment, day, trades, won, result, fees, "
            "unreconciled) SELECT strategy_id, 'simulated', day, trades, won, result, fees, 0 "
            "FROM strategy_day"
        )

    await place.context.ledger.write(change)
