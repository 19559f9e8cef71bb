"""A position becomes its owner's own: nothing is sent, and nothing of the engine reaches it after."""

from datetime import timedelta
from pathlib import Path

import pytest
from test_web_home import SETTINGS, follow, followed, held
from web_place import PASSWORD, WebPlace, web_place

from engine.domain.identifiers import StrategyId
from engine.domain.person import Role
from engine.ledger.query import fetch_all, fetch_one
from engine.ledger.track_records import copied_trades

TAKE = "/accounts/bob/positions/BTCUSDT/take-over"


def attempts(place: WebPlace) -> int:
    return len(fetch_all(place.context.ledger.db, "SELECT 1 FROM attempt"))


def outcomes(place: WebPlace) -> list[str | None]:
    rows = fetch_all(place.context.ledger.db, "SELECT code FROM copy ORDER BY signal_number")
    return [row[0] for row in rows]


def quantity(place: WebPlace) -> str:
    """Return what the exchange shows of the contract on bob's account."""
    task = place.context.live.named("bob") if place.context.live else None
    report = None if task is None else task.account.report
    return "" if report is None else ",".join(str(each.quantity) for each in report.positions)


@pytest.mark.parametrize("two_roles", [False, True])
async def test_the_engine_lets_go_and_never_touches_it_again(
    tmp_path: Path, two_roles: bool
) -> None:
    async with web_place(tmp_path, SETTINGS, two_roles=two_roles) as place:
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada)
        bob = await place.person("bob", balance="1000")
        eve = await place.person("eve", balance="1000")
        await follow(bob, strategy, "bob", "BTCUSDT")
        await place.signal(
            strategy, action="open", symbol="BTCUSDT", side="LONG", stop_loss="60000"
        )
        await place.until(lambda: held(place) == [("bob", "BTCUSDT")])
        await bob.get("/accounts/bob/positions/BTCUSDT")
        assert f'href="{TAKE}"' in bob.text
        place.clock.passed += timedelta(minutes=6)  # not freshly confirmed
        await bob.get(TAKE)
        assert "Nobody closes it for you any more" in bob.words
        await bob.post(TAKE, 422, factor="wrong")
        assert held(place) == [("bob", "BTCUSDT")], "it raises risk: a factor is asked for"
        await bob.get(TAKE)
        pressed = place.clock.now()
        await bob.post(TAKE, factor=PASSWORD)
        task = place.engine.services.context.live.named("bob")
        assert task.account.read_at >= pressed, "the mark is of now"
        assert (bob.path, bob.query) == ("/accounts/bob/positions/BTCUSDT", "done=taken-over")
        assert held(place) == []
        assert "Your own: the engine does nothing with it" in bob.words
        assert attempts(place) == 1, "nothing is sent"
        assert fetch_one(
            place.context.ledger.db, "SELECT count(*) FROM audit WHERE act = 'position_taken_over'"
        ) == (1,)
        db = place.context.ledger.db
        await place.until(lambda: fetch_all(db, "SELECT 1 FROM trade WHERE state = 'settled'"))
        since = place.clock.now() - timedelta(days=1)
        record, _ = copied_trades(db, StrategyId(strategy), "paper", since, 9)
        assert record == [], "it is no trade of the strategy's record"
        await bob.get(TAKE)
        await bob.post(TAKE, 422, bare=True, csrf=bob.csrf)
        assert "holds no such position" in bob.words
        await eve.get("/home")
        await eve.post(TAKE, 404, bare=True, csrf=eve.csrf)

        for body in ({"action": "open", "side": "LONG"}, {"action": "close"}) * 2:
            await place.signal(strategy, symbol="BTCUSDT", **body)
            await place.until(lambda: None not in outcomes(place))
        assert outcomes(place) == [
            "filled",
            "skipped.detached",
            "skipped.nothing_to_close",
            "skipped.own_position",
            "skipped.nothing_to_close",
        ]
        await bob.get("/accounts/bob/flatten")
        await bob.post("/accounts/bob/flatten")
        assert attempts(place) == 1
        if not two_roles:
            assert quantity(place), "it is still open at the exchange"
            rows = "SELECT strategy_id FROM book"
            assert fetch_all(place.context.ledger.db, rows) == [("",)]


async def test_every_position_of_an_account_is_given_up_by_a_factor_only(tmp_path: Path) -> None:
    way = "/accounts/bob/disconnect"
    async with web_place(tmp_path, SETTINGS) as place:
        bob, strategy = await followed(place)
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
        await place.until(lambda: held(place) == [("bob", "BTCUSDT")])
        place.clock.passed += timedelta(minutes=6)  # an open browser that somebody found
        await bob.get(way)
        assert "Your password" in bob.words
        await bob.post(way, keep="yes")
        assert "Your password" in bob.words, "it is not done, and a factor is asked for"
        await bob.get(way)
        await bob.post(way, 422, keep="yes", factor="wrong")
        await change(place, "UPDATE account SET environment = 'live'")
        await change(place, "UPDATE holding SET share = '0'")
        await bob.get(way)
        assert "Your password" in bob.words, "a key is erased by a factor only"
        await bob.post(way)
        assert fetch_all(place.context.ledger.db, "SELECT name, disconnected_us FROM account") == [
            ("bob", None)
        ]
        await bob.get(way)
        await bob.post(way, factor=PASSWORD)
        assert bob.path == "/accounts"


async def change(place: WebPlace, statement: str) -> None:
    await place.context.ledger.write(lambda db: db.execute(statement))


async def test_while_something_is_on_its_way_it_is_refused(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        bob, strategy = await followed(place)
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
        await place.until(lambda: held(place) == [("bob", "BTCUSDT")])
        for busy, settled in (
            ("UPDATE holding SET entries_open = 1", "UPDATE holding SET entries_open = 0"),
            ("UPDATE leg SET state = 'unknown'", "UPDATE leg SET state = 'filled'"),
        ):
            await change(place, busy)
            await bob.get(TAKE)
            await bob.post(TAKE, 422)
            assert "is on its way in this contract" in bob.words
            await change(place, settled)
        await change(place, "UPDATE holding SET side = 'SHORT'")
        await bob.post(TAKE, 422)
        assert "shows another position than the engine holds" in bob.words
        assert held(place) == [("bob", "BTCUSDT")]
