"""Home shows all accounts as one, and closes one position and nothing else."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.amounts import Money
from engine.domain.person import Role
from engine.ledger import Database
from engine.ledger.codec import to_us
from engine.ledger.equity import mark_equity
from engine.ledger.preflight import note_new_credentials
from engine.ledger.query import fetch_all
from engine.ports.exchange import Rejected, RejectionKind
from plugins.paper.adapter import PaperConnection

TERMS = {
    "mode": "live",
    "sizing": "fixed_margin",
    "leverage_mode": "capped",
    "leverage": "5",
    "size": "100",
}
SETTINGS = """[plugins]
enabled = ["paper", "signed_webhook", "gcra", "log"]
[plugin.paper]
price_fixed = { BTCUSDT = "65000", ETHUSDT = "3000" }
flush = "inline"
[limits]
drawdown_percent = 90
[web]
sign_up = "open"
"""
SYMBOLS = ("BTCUSDT", "ETHUSDT")
CLOSE = "/accounts/bob/positions/BTCUSDT/close"


async def follow(browser: Browser, strategy: str, account: str, symbol: str) -> None:
    """Agree to live terms and confirm them."""
    way = f"/strategies/{strategy}/follow"
    await browser.get(f"{way}?account={account}")
    await browser.post(way, do="agree", symbols=symbol, **TERMS)
    if browser.path.endswith("/confirm"):
        await browser.post(way, factor=PASSWORD)
    assert "done=subscribed" in browser.query, browser.words[-800:]


async def followed(place: WebPlace) -> tuple[Browser, str]:
    """Have bob follow a strategy of ada in BTCUSDT; return bob and the strategy."""
    strategy = await place.strategy(await place.person("ada", Role.MASTER))
    bob = await place.person("bob", balance="1000")
    await follow(bob, strategy, "bob", "BTCUSDT")
    return bob, strategy


def held(place: WebPlace) -> list[tuple[str, str]]:
    rows = fetch_all(
        place.context.ledger.db,
        "SELECT account.name, symbol FROM holding JOIN account ON account.id = account_id WHERE "
        "share != '0' ORDER BY 1, 2",
    )
    return [(row[0], row[1]) for row in rows]


def exits(place: WebPlace) -> int:
    return len(fetch_all(place.context.ledger.db, "SELECT 1 FROM attempt WHERE kind = 'exit'"))


async def test_one_position_is_closed_once_and_everything_else_stays(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        ada = await place.person("ada", Role.MASTER)
        strategies = {
            symbol: await place.strategy(ada, f"s-{symbol.lower()}", symbols=symbol)
            for symbol in SYMBOLS
        }
        bob = await place.person("bob", balance="1000")
        eve = await place.person("eve", balance="1000")
        for symbol, strategy in strategies.items():
            await follow(bob, strategy, "bob", symbol)
            await follow(eve, strategy, "eve", symbol)
            await place.signal(strategy, action="open", symbol=symbol, side="LONG")
        everything = [(name, symbol) for name in ("bob", "eve") for symbol in SYMBOLS]
        await place.until(lambda: held(place) == everything)

        await bob.get("/home")
        assert f'href="{CLOSE}"' in bob.text
        await bob.get(CLOSE)
        assert "closes only this position" in bob.words
        await bob.post(CLOSE)
        assert (bob.path, bob.query) == ("/positions", "done=closing-position")
        await place.until(
            lambda: held(place) == [each for each in everything if each != everything[0]]
        )
        assert exits(place) == 1

        await bob.get(CLOSE)
        assert "holds no BTCUSDT on this account" in bob.words
        await bob.post(CLOSE, 422, bare=True, csrf=bob.csrf)
        assert "no such position on this account any more" in bob.words
        assert exits(place) == 1, "a second press sends nothing"
        await place.signal(strategies["BTCUSDT"], action="open", symbol="BTCUSDT", side="LONG")
        await place.until(lambda: ("bob", "BTCUSDT") in held(place))

        acts = fetch_all(place.context.ledger.db, "SELECT act FROM audit")
        assert sum("position_closed" in str(each[0]) for each in acts) == 1
        await eve.get(CLOSE, 404)
        await eve.get("/home")
        await eve.post(CLOSE, 404, bare=True, csrf=eve.csrf)
        assert ("bob", "BTCUSDT") in held(place), "somebody else's account is not found"


async def test_a_key_that_may_not_trade_a_limit_and_a_failing_exit_need_their_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.actors.exit_lane.EXIT_RETRY_S", (0.0,))
    async with web_place(tmp_path, SETTINGS) as place:
        ledger = place.context.ledger
        strategy = await place.strategy(await place.person("ada", Role.MASTER), "trend")
        bob = await place.person("bob", balance="1000")
        await follow(bob, strategy, "bob", "BTCUSDT")
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
        await place.until(lambda: held(place) == [("bob", "BTCUSDT")])
        await bob.get("/home")
        assert "One thing needs you" not in bob.words
        await bob.get("/accounts/bob")
        assert "BTCUSDT in trend" in bob.words, "agreed to after the last check"
        assert "From the reading of" in bob.words

        async def refused(*_: object) -> None:
            raise Rejected("this key may not trade", RejectionKind.CREDENTIALS)

        with monkeypatch.context() as patch:
            patch.setattr(PaperConnection, "place_order", refused)
            await place.signal(strategy, action="add", symbol="BTCUSDT", side="LONG")
            await place.until(
                lambda: bool(
                    fetch_all(ledger.db, "SELECT 1 FROM copy WHERE code = 'rejected.credentials'")
                )
            )
            await bob.get("/home")
            assert "One thing needs you" in bob.words
            assert "trading: the exchange refused the last order because of the key." in bob.words
            await bob.get("/accounts/bob")
            await bob.post("/accounts/bob/check")
            assert "the exchange refused the last order because of the key" in bob.words
            later = place.context.clock.now()
            await ledger.write(lambda db: note_new_credentials(db, "bob", later))
            await bob.get("/home")
            assert "One thing needs you" not in bob.words, "the new key was not refused"
            await place.signal(strategy, action="close", symbol="BTCUSDT")
            await place.until(lambda: exits(place) > 3)
            await bob.get("/home")
            assert "Closing BTCUSDT failed" in bob.words
            assert "times, the last time: this key may not trade." in bob.words
        await place.until(lambda: held(place) == [])
        await bob.get("/home")
        assert "One thing needs you" not in bob.words

        ((account,),) = fetch_all(ledger.db, "SELECT id FROM account")
        worth, now = Money(Decimal(100_000)), place.context.clock.now()
        await ledger.write(lambda db: mark_equity(db, account, worth, now, new_day=True))
        await bob.get("/home")
        assert "One thing needs you" in bob.words
        assert "limits in trend: the account is 99" in bob.words


async def test_what_is_watched_hides_nothing_that_is_traded_and_what_was_left_leads_on(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        db = place.context.ledger.db
        ada = await place.person("ada", Role.MASTER)
        copied, watched = await place.strategy(ada, "slow"), await place.strategy(ada, "fast")
        bob = await place.person("bob", balance="1000")
        await follow(bob, copied, "bob", "BTCUSDT")
        await bob.get(f"/strategies/{watched}/follow?account=bob")
        await bob.post(
            f"/strategies/{watched}/follow",
            do="agree",
            symbols="BTCUSDT",
            **{**TERMS, "mode": "watch"},
        )
        await place.signal(copied, action="open", symbol="BTCUSDT", side="LONG")
        await place.until(lambda: held(place) == [("bob", "BTCUSDT")])
        for _ in range(9):
            await place.signal(watched, action="close", symbol="BTCUSDT")
        await place.until(lambda: not fetch_all(db, "SELECT 1 FROM copy WHERE code IS NULL"))
        await bob.get("/home")
        traded, _, apart = bob.text.partition("Watched, not traded")
        assert f'<a href="/strategies/{copied}">slow</a></td>' in traded.partition('id="last"')[2]
        assert f"/strategies/{watched}" not in traded.partition('id="last"')[2]
        assert apart.count(f"/strategies/{watched}") == 3

        ((signal,),) = fetch_all(db, "SELECT id FROM signal WHERE strategy_id = ?", (copied,))
        await ada.get(f"/studio/strategies/{copied}")
        await ada.post(f"/studio/strategies/{copied}/state", state="private", factor=PASSWORD)
        await bob.get(f"/strategies/{copied}/leave?account=bob")
        await bob.post(f"/strategies/{copied}/leave", account="bob")
        for path in ("/home", "/signals", f"/signals/{signal}/bob"):
            await bob.get(path)
            assert f'href="/strategies/{copied}"' not in bob.text, "it would answer 404"
            assert '<a href="/signals?strategy=slow">' in bob.text


async def test_money_over_all_accounts_the_range_and_what_needs_its_owner(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        bob = await place.person("bob")
        await bob.get("/home")
        assert "No account is connected" in bob.words
        for balance in ("1000", "250"):
            await bob.get("/accounts/connect?exchange=paper")
            await bob.post("/accounts/connect", exchange="paper", balance=balance, factor=PASSWORD)
        await place.until(lambda: True)
        for name in ("bob", "bob-2"):
            task = place.context.live.named(name) if place.context.live else None
            assert task is not None, name
            await task.account.wait_read()
        await bob.get("/home?range=1D")
        assert "Total equity PAPER1,250.00USDT, 2 of 2 accounts" in bob.words
        assert 'href="/home?of=paper&amp;range=1D" aria-current="true"' in bob.text
        ledger, now = place.context.ledger, place.context.clock.now()
        first, second = fetch_all(ledger.db, "SELECT id FROM account ORDER BY name")
        readings = ((first[0], "1000", 30), (first[0], "1000", 2), (second[0], "250", 25))

        def earlier(db: Database) -> None:
            for account, worth, hours in readings:
                db.execute(
                    "INSERT INTO equity_point (account_id, at_us, equity) VALUES (?, ?, ?)",
                    (account, to_us(now - timedelta(hours=hours)), worth),
                )
            mark_equity(db, first[0], Money(Decimal(1500)), now - timedelta(days=2), new_day=True)

        await ledger.write(earlier)
        await bob.get("/home?range=1D")
        assert "From 1,250.00 USDT to 1,250.00 USDT" in bob.words, "both were read before the day"
        shown = "".join(bob.words.partition("Today’s P&L")[2].split())
        assert shown.startswith("0.00USDT,0.00%,depositsandwithdrawals"), "of the one read today"
        await bob.get("/home?range=never&of=moon")
        assert 'range=1W" aria-current="true"' in bob.text

        task = place.context.live.named("bob") if place.context.live else None
        assert task is not None
        task.account.problem = "the key was refused"
        await bob.get("/home")
        assert "One thing needs you" in bob.words
        assert bob.words.index("the key was refused") < bob.words.index("Total equity")


async def test_what_is_not_there_leads_on(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        bob = await place.person("bob", balance="1000")
        for path in ("/nothing", "/strategies/none", "/accounts/eve"):
            await bob.get(path, 404)
            assert "There is nothing here" in bob.words
            assert 'href="/positions"' in bob.text, path
        await bob.post("/home", 405, bare=True)
        assert 'href="/positions"' in bob.text
        stranger = place.browser()
        await stranger.get("/nothing", 404)
        assert 'href="/sign-in"' in stranger.text
        await stranger.get("/api/nothing", 404)
        assert '"ok":false' in stranger.text.replace(" ", "")


async def test_the_zone_of_the_browser_is_taken_with_the_first_password(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        for name, zone, kept in (
            ("kim", "Asia/Kolkata", "Asia/Kolkata"),
            ("lee", "Mars/Olympus", "UTC"),
            ("max", "", "UTC"),
        ):
            browser = place.browser()
            await browser.get("/join")
            await browser.post(
                "/join", name=name, exchange="paper", balance="1000", invite="", bare=True
            )
            assert browser.path == "/security/password", browser.words
            await browser.post("/security/password", password=PASSWORD, again=PASSWORD, zone=zone)
            await browser.get("/security")
            assert browser.value("zone") == kept


@pytest.mark.parametrize("two_roles", [False, True])
async def test_names_are_not_listed_through_joining(tmp_path: Path, two_roles: bool) -> None:
    """A form that is incomplete says whether its name is taken, and is counted as a try."""
    async with web_place(tmp_path, SETTINGS, two_roles=two_roles) as place:
        await place.person("bob")
        stranger, told = place.browser(), []
        await stranger.get("/join?exchange=paper")
        for _ in range(24):
            await stranger.post("/join", 422, name="bob", exchange="paper", balance="none")
            told.append("expected a name that nobody here has" in stranger.words)
        assert told == [True] * 20 + [False] * 4
        assert "There were several tries. Try again in" in stranger.words
