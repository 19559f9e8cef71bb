"""The API answers what pages show, from the same read models, to whoever carries a token."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from api_place import Program, program
from test_web_home import SETTINGS, follow
from web_place import Browser, WebPlace, web_place

from bench.past import write_past
from engine.domain.person import Role
from engine.domain.signal import PositionSide
from engine.ledger.query import fetch_all, fetch_one


def leaves(value: Any) -> Iterator[Any]:
    """Yield every plain value within an answer."""
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def is_short(place: WebPlace) -> bool:
    """Return whether the newest reading of bob's account shows the last position."""
    task = place.context.live.named("bob") if place.context.live else None
    report = None if task is None else task.account.report
    return report is not None and [each.side for each in report.positions] == [PositionSide.SHORT]


async def traded(place: WebPlace, past: int = 0) -> tuple[str, Browser, Browser]:
    """Let bob copy one closed and one open trade of ada, after a past of so many outcomes; return
    the strategy and their browsers.
    """
    ada = await place.person("ada", Role.MASTER)
    strategy = await place.strategy(ada, symbols="BTCUSDT,ETHUSDT")
    bob = await place.person("bob", balance="1000")
    await follow(bob, strategy, "bob", "BTCUSDT")
    db = place.context.ledger.db
    await place.context.ledger.write(lambda db: write_past(db, past, place.clock.now()))
    await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
    await place.until(lambda: fetch_all(db, "SELECT 1 FROM holding WHERE share != '0'"))
    await place.signal(strategy, action="close", symbol="BTCUSDT")
    await place.until(
        lambda: fetch_one(db, "SELECT state FROM trade ORDER BY id DESC") == ("settled",)
    )
    await place.signal(strategy, action="open", symbol="BTCUSDT", side="SHORT")
    await place.until(lambda: fetch_all(db, "SELECT 1 FROM holding WHERE share != '0'"))
    await place.signal(strategy, action="open", symbol="ETHUSDT", side="LONG")
    await place.until(
        lambda: fetch_all(db, "SELECT 1 FROM copy WHERE code = 'denied.symbol_not_agreed'")
    )
    await place.until(lambda: is_short(place))
    return strategy, ada, bob


async def test_every_read_answers_from_the_read_models_of_the_pages(tmp_path: Path) -> None:
    """In two processes: what a token asks of the engine is asked over the control socket."""
    async with web_place(tmp_path, SETTINGS, two_roles=True) as place:
        strategy, ada, bob = await traded(place)
        asks = await program(place, bob)
        user = place.services.identity.user_again(asks.token, "")
        assert user is not None
        following, performance = place.services.following, place.services.performance

        me = await asks.ask("/me")
        assert (me["name"], me["roles"], me["nothing_sent"]) == ("bob", ["follower"], "")
        assert (await asks.ask("/needs"))["needs"] == []
        told = await asks.ask("/accounts")
        (card,) = await following.cards(user)
        (account,) = told["accounts"]
        assert account == await asks.ask("/accounts/bob")
        assert account["environment"] == "paper"
        assert account["state"] == card.told.state.value == "copying"
        assert Decimal(account["equity"]) == card.equity
        assert Decimal(told["totals"][0]["equity"]) == card.equity
        (position,) = (await asks.ask("/positions"))["positions"]
        assert (position["symbol"], position["side"]) == ("BTCUSDT", "SHORT")
        (compared,) = (await asks.ask("/strategies?days=all"))["strategies"]
        (record,) = [each.record for each in await performance.compared(user, "paper", None)]
        assert record is not None
        assert compared["trades"] == 1
        assert Decimal(compared["per_signal"]) == record.per_signal
        (agreement,) = (await asks.ask("/agreements"))["agreements"]
        assert agreement["strategy"] == strategy
        assert agreement["sizing"] == {"mode": "fixed_margin", "value": "100"}
        assert agreement["symbols"] == ["BTCUSDT"]
        signals = await asks.ask("/signals")
        assert [each["code"] for each in signals["signals"]] == [
            "denied.symbol_not_agreed",
            "filled",
            "filled",
            "filled",
        ]
        denied = await asks.ask("/signals?family=denied&account=bob&strategy=trend")
        assert denied["signals"] == signals["signals"][:1]
        newest = signals["signals"][1]
        why = await asks.ask(f"/signals/{newest['signal']}/bob")
        assert why["attempts"][0]["state"] == "filled"
        assert why["sentence"] == newest["sentence"]
        (week,) = (await asks.ask("/missed"))["weeks"]
        assert (week["copied"], week["missed"]) == (2, 1)
        assert len((await asks.ask("/orders"))["orders"]) == 3
        results = await asks.ask("/accounts/bob/results?by=month")
        assert Decimal(results["result"]) == performance.figures(card.row).result
        assert [each["trades"] for each in results["periods"]] == [1]
        points = (await asks.ask("/accounts/bob/equity?range=all"))["points"]
        assert Decimal(points[-1]["equity"]) == card.equity
        (trade,) = (await asks.ask("/trades"))["trades"]
        assert (trade["symbol"], trade["ended_by"]) == ("BTCUSDT", "signal")
        assert trade["closed_by"] == signals["signals"][2]["signal"]
        assert (await asks.ask("/funding"))["funding"] == []
        assert (await asks.ask("/orders?environment=live"))["orders"] == []
        assert (await asks.ask("/alerts")) == {"unseen": 0, "alerts": []}
        assert not [each for each in (await asks.ask("/channels"))["channels"] if each["told"]]

        total = await asks.ask("/equity?range=all")
        assert (total["environment"], total["points"]) == ("paper", points)
        month = await asks.ask("/calendar")
        assert (month["trades"], month["result"]) == (1, results["result"])
        assert [day["trades"] for day in month["days"] if day["trades"]] == [1]
        assert [Decimal(each["pnl"]) for each in results["curve"]][-1] == Decimal(results["result"])
        books = await asks.ask("/accounts/bob/books")
        assert Decimal(books["change"]) == performance.books(card.row).change
        assert books["results"] == trade["gross"]
        (held,) = (await asks.ask("/accounts/bob/open"))["open"]
        assert (held["strategy"], held["symbol"], held["share"]) == (
            strategy,
            "BTCUSDT",
            position["share"],
        )
        terms = await asks.ask(f"/accounts/bob/strategies/{strategy}")
        assert terms["agreement"] == agreement
        assert [each["symbol"] for each in terms["entries"]] == ["BTCUSDT"]
        shadow = await asks.ask(f"/accounts/bob/strategies/{strategy}/shadow")
        assert (shadow["shadow"], "live" in shadow["why_none"]) == (None, True)
        opened = await asks.ask("/accounts/bob/positions/BTCUSDT")
        assert opened["position"]["entry_price"] == position["entry_price"]
        assert [each["is_entry"] for each in opened["fills"]] == [True]
        closed = await asks.ask(f"/trades/{trade['id']}")
        assert closed["trade"] == trade
        assert [each["is_entry"] for each in closed["fills"]] == [True, False]
        recorded = await asks.ask(f"/strategies/{strategy}")
        assert recorded["strategy"]["per_signal"] == compared["per_signal"]
        last = record.curve[-1][1].quantize(Decimal("0.01"))
        assert Decimal(recorded["curve"][-1]["percent"]) == last
        assert [each["signals"] for each in recorded["months"]] == [1]
        assert recorded["outcomes"] == {"paper": {"filled": 3, "denied": 1}}
        await _is_plain(asks)

        masters = await program(place, ada)
        (own,) = (await masters.ask("/studio/strategies"))["strategies"]
        assert (own["id"], own["signals"], own["state"]) == (strategy, 4, "published")
        view = await masters.ask(f"/studio/strategies/{strategy}")
        assert [(each["mode"], each["count"]) for each in view["followers"]] == [("live", 1)]
        assert view["copied"] == [
            {
                "environment": "paper",
                "wanted": 3,
                "copied": 2,
                "copied_percent": "66.67",
                "others": {"denied.symbol_not_agreed": 1},
            }
        ]
        sent = (await masters.ask(f"/studio/strategies/{strategy}/signals"))["signals"]
        assert [each["action"] for each in sent] == ["open", "open", "close", "open"]
        became = await masters.ask(f"/studio/strategies/{strategy}/signals/{sent[0]['signal']}")
        assert became["became"][0]["code"] == "denied.symbol_not_agreed"
        assert (
            len((await masters.ask(f"/studio/strategies/{strategy}/deliveries"))["deliveries"]) == 4
        )
        assert "bob" not in str((view, sent, became)), "followers are counts"


async def _is_plain(asks: Program) -> None:
    """Every number of an answer is text or a count, and every time is UTC."""
    for path in ("/accounts", "/positions", "/strategies", "/signals", "/orders", "/agreements"):
        for leaf in leaves(await asks.ask(path)):
            assert not isinstance(leaf, float), path
            if isinstance(leaf, str) and leaf[:2] == "20" and "T" in leaf:
                assert leaf.endswith("Z"), (path, leaf)
                datetime.fromisoformat(leaf)


async def test_what_is_somebody_elses_is_not_there_and_bad_input_is_named(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await place.person("eve", balance="1000")
        asks = await program(place, bob)
        for path in (
            "/accounts/eve",
            "/accounts/eve/results",
            "/accounts/eve/equity",
            "/trades?account=eve",
            "/signals?account=eve",
            "/signals/sg_1/eve",
            "/accounts/%00",
            "/nothing",
        ):
            assert (await asks.ask(path, 404))["error"] == "not_found", path
        for path, words in (
            ("/strategies?days=31", "days: expected one of 30, 90, all"),
            ("/orders?since=yesterday", "since: expected a day such as 2026-11-24"),
            ("/orders?since=2026-02-30", "since: expected a day such as 2026-11-24"),
            ("/orders?since=%EF%BC%92026-02-03", "since: expected a day such as"),
            ("/orders?since=2026-02-03&until=2026-02-02", "until: expected a day that is not"),
            ("/orders?past=1", "past: expected next of the page before"),
            ("/orders?find=1&find=2", "find: expected one value"),
            ("/orders?after=1", "query: expected only these parameters: environment"),
            ("/signals?account=" + "x" * 201, "account: expected at most 200 characters"),
            ("/signals?account=a%00b", "account: expected at most 200 characters"),
            ("/accounts/bob/equity?range=2Y", "range: expected one of 1D, 1W, 1M, 3M, all"),
            ("/me?x=1", "query: expected only these parameters: none"),
            ("/funding?order=up&until=1", "order: expected one of newest, oldest; until: expected"),
        ):
            refused = await asks.ask(path, 422)
            assert refused["ok"] is False
            assert refused["message"].startswith(words), (path, refused)
            said = [f"{name}: {text}" for name, text in refused["fields"].items()]
            assert refused["message"] == "; ".join(said)
        await asks.ask("/me", 405, method="DELETE")


async def test_a_cookie_opens_nothing_and_a_token_no_page(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        asks = await program(place, bob)
        answer = await bob.client.get("/api/v1/me")
        assert answer.status_code == 401
        carried = {"Authorization": f"Bearer {asks.token}"}
        page = await asks.client.get("/home", headers=carried)
        assert page.status_code == 303
        for header in (
            asks.token,
            f"Basic {asks.token}",
            "Bearer",
            f"Bearer {asks.token}x",
            f"Bearer {asks.token[:-1]}",
            f"Bearer {asks.token.lower()}",
        ):
            told = await asks.client.get("/api/v1/me", headers={"Authorization": header})
            assert told.status_code == 401, header
