"""``books check`` shows both sides, names a trade that differs, and says what was not read."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from engine_world import World, world
from test_books_are_completed import stopped_out
from test_books_hold import by_hand, closed, opened, price_is, trades
from test_wallet_identity import cash
from trio.testing import MockClock

from engine.commands import Commands
from engine.context import EngineContext
from engine.domain.account import UnreadableRow
from engine.domain.amounts import Price
from engine.domain.errors import NothingThere, RexAlgoError
from engine.domain.order import OrderSide
from engine.domain.signal import Action
from engine.keys.vault import Vault
from engine.ledger.folding import fold_episodes, unfolded_episodes
from engine.plugin.host import Plugins
from engine.settings.config import load_config

D = Decimal


async def checked(
    house: World, *, live: bool = True, name: str = "f0", fold: bool = True
) -> dict[str, Any]:
    """Check the books, once they are folded."""

    async def no_keys() -> Vault:
        raise RexAlgoError("no keys here")

    def no_plugins() -> Plugins:
        raise AssertionError

    if fold:
        await house.ledger.write(lambda db: fold_episodes(db, unfolded_episodes(db, 100)))
    context = EngineContext(
        load_config(house.folder, {}),
        house.ledger,
        house.shared.clock,
        no_plugins,
        no_keys,
        trio.lowlevel.checkpoint,
        house.account_tasks if live else None,
    )
    return await Commands(context).run("books_check", {"name": name})


def problems(told: dict[str, Any]) -> list[str]:
    return [each["what"] for each in told["problems"]]


async def test_a_fill_that_no_trade_shows_yet_is_not_agreement(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        await closed(house)
        await trio.sleep(30)
        assert (await checked(house))["verdict"] == "agrees"
        await house.ledger.write(lambda db: db.execute("UPDATE fill SET folded = 0"))
        told = await checked(house, fold=False)
        assert (told["agrees"], told["verdict"], problems(told)) == (
            False,
            "not_settled",
            ["not settled"],
        )


class Answering:
    """A connection whose readings the test changes."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.account: Any = lambda report: report
        self.closed: Any = lambda told: told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def fetch_account(self) -> Any:
        return self.account(await self._real.fetch_account())

    async def closed_positions(self, since: Any, ids: Any = ()) -> Any:
        return self.closed(await self._real.closed_positions(since, ids))


def answering(house: World) -> Answering:
    session = house.followers[0].account.session
    assert session is not None
    session._connection = line = Answering(session._connection)  # type: ignore[assignment]
    return line


async def test_after_a_stop_a_hand_and_a_signal_both_sides_agree_to_the_cent(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house, stop_loss=Price(D(64000)))
        await stopped_out(house)
        await trio.sleep(20)
        await house.outcome(await house.send(Action.CLOSE))
        await opened(house)
        await closed(house)
        await trio.sleep(5)
        await opened(house)
        await by_hand(house, OrderSide.SELL, "0.001")
        price_is(house, "65500")
        await house.followers[0].reader.read_account()
        await trio.sleep(30)
        told = await checked(house)
        assert (
            problems(told),
            told["agrees"],
            told["verdict"],
            told["unsettled"],
            told["rows"],
        ) == ([], True, "agrees", [], [])
        assert [
            (each["books"], each["share"], each["exchange"]) for each in told["quantities"]
        ] == [("0.002", "0.002", "0.002")]
        assert [each["agrees"] for each in told["trades"]] == [
            True,
            True,
        ]  # two positions are closed, each a trade of ours
        wallet = told["wallet"]
        assert (
            D(wallet["began_with"]) + D(wallet["explained"]) - cash(house)
            == D(wallet["difference"]) * -1
            == 0
        )
        assert D(wallet["open_result"]) == 1  # 0.002 from 65000 to 65500
        assert D(wallet["lines"]["results"]) < 0 < D(wallet["lines"]["order_fees"])


async def test_a_trade_that_the_exchange_has_otherwise_is_named(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        await closed(house)
        (trade,) = await trades(house)
        answering(house).closed = lambda told: replace(
            told,
            rows=tuple(
                replace(each, exit_price=Price(D(64000)), result=D(-3)) for each in told.rows
            ),
        )
        told = await checked(house)
        assert (problems(told), told["verdict"]) == ([f"trade {trade.id} (BTCUSDT)"], "differs")
        assert "exit 64000, result -3" in told["problems"][0]["expected"]


async def test_everything_that_cannot_be_read_is_said_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    def fails(_: Any) -> Any:
        raise ValueError("expected a list, found 7")

    async with world(tmp_path, followers=1) as house:
        await opened(house)
        line = answering(house)
        bad = (
            UnreadableRow("position", "P9", None, "expected a side, found 'BOTH'"),
            UnreadableRow("order", "", None, "no time"),
        )
        line.account = lambda report: replace(report, unreadable=bad)
        line.closed = fails
        told = await checked(house)
        assert problems(told) == ["not read", "position P9", "order ?"]
        assert (told["read"], told["agrees"], told["wallet"]["difference"]) == (True, False, None)
        assert told["verdict"] == "not_read"  # what nobody could read does not differ
        line.account = fails
        told = await checked(house)
        assert (problems(told), told["read"], told["quantities"][0]["exchange"]) == (
            ["not read"],
            False,
            None,
        )
        assert "expected a list, found 7" in told["problems"][0]["found"]


async def test_without_a_server_the_ledger_is_shown_and_the_exchange_is_said_to_be_unread(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        told = await checked(house, live=False)
        assert (problems(told), told["read"]) == (["not read"], False)
        assert told["quantities"][0]["books"] == "0.003"
        with pytest.raises(NothingThere, match="f00"):
            await checked(house, name="f00")


async def test_a_share_without_its_books_is_a_problem_with_both_numbers(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with world(tmp_path, followers=1) as house:
        await opened(house)
        await house.ledger.write(
            lambda db: db.execute(
                "UPDATE fill SET state = 'open'; UPDATE book SET quantity = '0.002'"
            )
        )
        told = await checked(house)
        assert problems(told)[:1] == ["quantity of LONG BTCUSDT of trend"]
        assert "not settled" in problems(told)
