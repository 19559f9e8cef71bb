"""Histories on pages and as files: filtered, page by page, one owner's alone, and readable after an
account is disconnected; in one process and in two.
"""

import csv
import io
import re
import zipfile
from decimal import Decimal
from html import unescape
from pathlib import Path

import pytest

from engine.domain.person import Role
from engine.ledger.books_view import books_summary
from engine.ledger.query import fetch_all
from tests.web.web_place import PASSWORD, Browser, web_place

TERMS = {
    "mode": "live",
    "sizing": "fixed_notional",
    "size": "130",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}


async def rows(browser: Browser, address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(await browser.get(address))))


async def year(browser: Browser, number: int) -> dict[str, list[dict[str, str]]]:
    """Download a year and read its files."""
    answer = await browser.client.get(f"/year.zip?year={number}&of=paper")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(await answer.get_data(as_text=False))) as made:
        assert made.testzip() is None
        assert "Times in the files are UTC" in made.read("README.txt").decode()
        return {
            name: list(csv.DictReader(io.StringIO(made.read(name).decode())))
            for name in made.namelist()
            if name.endswith(".csv")
        }


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_history_is_found_page_by_page_and_stays_its_owners(
    tmp_path: Path, two_roles: bool
) -> None:
    async with web_place(tmp_path, two_roles=two_roles) as place:
        alice = await place.person("alice", Role.MASTER)
        strategy = await place.strategy(alice)
        bob = await place.person("bob", balance="10000")
        eve = await place.person("eve", balance="10000")
        follow = f"/strategies/{strategy}/follow"
        await bob.get(f"{follow}?account=bob")
        await bob.post(follow, do="agree", **TERMS)
        await bob.post(follow, factor=PASSWORD)
        signals = []
        for action in ("open", "close") * 2:
            side = {"side": "LONG"} if action == "open" else {}
            told = await place.signal(strategy, action=action, symbol="BTCUSDT", **side)
            signals.append(str(told.signal_id))
            await place.until(
                lambda: (
                    place.context.ledger.db.execute(
                        "SELECT count(*) FROM copy WHERE code = 'filled'"
                    ).fetchone()[0]
                    == len(signals)
                )
            )
        await place.until(
            lambda: (
                place.context.ledger.db.execute(
                    "SELECT count(*) FROM trade WHERE state = 'settled'"
                ).fetchone()[0]
                == 2
            )
        )

        orders = await rows(bob, "/orders.csv")
        assert [each["signal_id"] for each in orders] == signals[::-1]
        assert {each["sent_at"][-6:] for each in orders} == {"+00:00"}
        trades = await rows(bob, "/trades.csv?sort=oldest")
        assert [(each["entry_signal_id"], each["exit_signal_id"]) for each in trades] == [
            (signals[0], signals[1]),
            (signals[2], signals[3]),
        ]
        assert [
            each["signal_id"] for each in await rows(bob, f"/signals.csv?find={signals[1]}")
        ] == [signals[1]]
        assert (await bob.get("/signals")).count("/signals/sig_") == 4
        assert "BTCUSDT" in await bob.get("/trades?find=btc")
        assert "Nothing matches these filters" in await bob.get("/trades?find=eth")
        assert "Nothing here yet" in await bob.get("/funding")
        assert await rows(bob, "/orders.csv?to=2026-01-01") == []
        assert len(await rows(bob, "/orders.csv?from=2026-01-01")) == 4

        assert "Expected a day such as" in await bob.get("/orders?from=yesterday", 422)
        assert "Expected a day that is not before" in await bob.get(
            "/orders?from=2026-02-02&to=2026-02-01", 422
        )
        for hostile in (
            "from=9999-12-31",
            "from=0001-01-01",
            "to=2026-13-01",
            "from=%EF%BC%92026-01-01",
        ):
            assert "Expected a day" in await bob.get(f"/trades?{hostile}", 422)
            assert "Expected a day" in await bob.get(f"/trades.csv?{hostile}", 422)
        await bob.get("/orders?past=WzFlOTld&find=%27%22%3Cscript%3E&account=nobody", 404)
        await bob.get("/orders?past=WzFlOTld&find=%27%22%3Cscript%3E")
        assert "<script>" not in bob.text

        db = place.context.ledger.db
        [(account,)] = fetch_all(db, "SELECT id FROM account WHERE name = 'bob'")
        books = books_summary(db, account)
        files = await year(bob, place.clock.now().year)
        sums = files["sums.csv"][0]
        assert (sums["trades"], sums["not_reconciled"], sums["currency"]) == ("2", "0", "USDT")
        assert (Decimal(sums["gross"]), Decimal(sums["fees"]), Decimal(sums["funding_paid"])) == (
            books.results,
            books.fees,
            books.funding,
        )
        assert Decimal(sums["net"]) == books.change - books.unexplained - books.owner
        assert sum(Decimal(each["result"]) for each in files["trades.csv"]) == Decimal(
            sums["result"]
        )
        assert files["trades.csv"] == trades
        assert await year(bob, 2001) == {
            "trades.csv": [],
            "funding.csv": [],
            "sums.csv": [
                {**sums, **dict.fromkeys(("gross", "fees", "result", "net"), "0"), "trades": "0"}
            ],
        }
        calendar = await bob.get("/calendar")
        assert "2 trades" in bob.words
        link = re.search(r'href="(/trades[^"]*)"><span class="day-name"', calendar)
        assert link is not None
        await bob.get(unescape(link[1]))
        assert bob.text.count('data-label="P&amp;L"') == 2
        assert "No trade was closed in this month" in await bob.get("/calendar?month=2001-02")
        assert "February 2001" in bob.text
        for hostile in ("month=9999-99", "month=%00", "month=2026-11-01", "month=1999-12"):
            await bob.get(f"/calendar?{hostile}", 400 if "%00" in hostile else 200)
        for hostile in (
            "year=1e3",
            "year=99999999999",
            "year=%D9%A2026",
            "year=000002026",
            "year=" + "2" * 4400,
        ):
            await bob.get(f"/year.zip?{hostile}&of=paper", 422)
        assert (await bob.client.get("/year.zip")).status_code == 200
        await bob.get("/year.zip?year=2026&of=live", 404)
        await bob.get("/calendar?of=live", 404)
        await eve.get("/calendar?account=bob", 404)

        for address in ("/orders", "/trades", "/signals", "/funding"):
            assert "bob" not in await eve.get(address)
            await eve.get(f"{address}?account=bob", 404)
            await eve.get(f"{address}.csv?account=bob", 404)
        assert await rows(eve, "/orders.csv") == []

        await bob.get("/accounts/bob/disconnect")
        await bob.post("/accounts/bob/disconnect", keep="yes")
        assert await rows(bob, "/orders.csv") == orders
        assert await rows(bob, "/trades.csv?sort=oldest") == trades
        assert "bob (disconnected)" in await bob.get("/orders")

        await place.context.ledger.write(
            lambda db: db.execute("UPDATE trade SET state = 'unexplained', result = NULL")
        )
        await bob.get("/calendar")
        assert "0 trades, 2 more not settled yet" in bob.words
        assert "No trade was closed" not in bob.words
        assert f'{unescape(link[1])}"' in unescape(bob.text), "its day leads to it"
