"""Entries by v2 and v1, leverage before and after, fees of fills, and money elsewhere."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from mudrex_world import BTC, entry, leave, mudrex_world

from engine.actors.exchange_session import ExchangeSession
from engine.plugin.host import load_plugins
from plugins.mudrex.simulator.faults import Drill
from rexalgo import (
    AccountId,
    AccountLogin,
    ExchangeError,
    NotExecuted,
    OrderSide,
    OrderStatus,
    OrderType,
    OutcomeUnknown,
    Price,
    Rejected,
    RejectionKind,
    Secret,
)

STILL = {"prices_move": False, "margin_freed_after_s": 0.0}


async def test_a_v1_entry_carries_leverage_and_a_price_and_no_id_comes_back(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path, {"entry_api": "v1"}) as world:
        assert not world.connection.reads_client_order_id
        await world.enter()
        found = await world.order("filled")
        assert (found.client_order_id, found.reduce_only, found.quantity) == (
            None,
            False,
            Decimal("0.01"),
        )
        assert (await world.connection.fetch_account()).positions[0].leverage == 5
        assert world.simulator.counts["POST /fapi/v1/futures/BTCUSDT/order 202"] == 1
        assert (await world.connection.place_order(leave())).status is OrderStatus.FILLED
        assert (await world.connection.fetch_account()).positions == ()
        limit = entry(order_type=OrderType.LIMIT, limit_price=Price(Decimal(60000)))
        await world.connection.prepare_entry(limit)
        await world.connection.place_order(limit)
        assert len((await world.connection.fetch_account()).open_orders) == 1


async def test_a_v1_market_order_without_a_price_at_hand_is_not_sent(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path, {"entry_api": "v1"}) as world:
        with pytest.raises(NotExecuted):
            await world.connection.place_order(entry())
        assert world.simulator.orders == []


@pytest.mark.parametrize(("is_there", "chosen"), [(True, True), (False, False)])
async def test_auto_is_settled_by_what_the_v2_path_answers_and_kept(
    tmp_path: Path, is_there: bool, chosen: bool
) -> None:
    drill = Drill(switches={**STILL, "v2_orders": is_there})
    async with mudrex_world(tmp_path, {"entry_api": "auto"}, drill=drill) as world:
        assert world.connection.reads_client_order_id is chosen
        assert json.loads((tmp_path / "entry-api.json").read_text()) == {
            "a1": "v2" if chosen else "v1"
        }
        world.simulator.exchange.switch(v2_orders=not is_there)
        again = await world.connect(account="a1")
        assert again.reads_client_order_id is chosen  # never changed by itself


@pytest.mark.parametrize("reads", [True, False])
async def test_the_engine_asks_the_connection_whether_entries_carry_our_id_and_exits_never_do(
    tmp_path: Path, reads: bool
) -> None:
    drill = Drill(switches={**STILL, "v2_orders": reads})
    async with mudrex_world(tmp_path, {"entry_api": "auto"}, drill=drill) as world:
        login = AccountLogin(AccountId("a1"), {"secret": Secret("someone")})
        session = ExchangeSession(
            world.adapter,
            login,
            world.context,
            load_plugins(["gcra"], {}).limiters["gcra"],
            8.0,
            why_held=str,
        )
        await session.open()
        assert session.reads_client_order_id(entry()) is reads
        assert not session.reads_client_order_id(leave())
        assert await session.funds_elsewhere() == []
        assert world.adapter.traits.credentials_last_days == 90
        await session.aclose()


async def test_auto_takes_a_client_order_id_in_the_history_for_proof(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path, {"entry_api": "auto"}) as world:
        await world.enter()
        await world.order("filled")
        world.simulator.exchange.switch(v2_orders=False)
        assert (await world.connect(account="new here")).reads_client_order_id


async def test_auto_decides_nothing_from_an_answer_that_proves_nothing(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path, {"entry_api": "auto"}) as world:
        for fault in ("refuse_503", "not_found"):  # the edge's 404 says nothing about the path
            await world.fault("/v2/futures/order", fault)
            with pytest.raises(ExchangeError):
                await world.connect(account="third")
        assert "third" not in json.loads((tmp_path / "entry-api.json").read_text())
        assert (await world.connect(account="third")).reads_client_order_id


# Leverage


async def test_leverage_is_set_once_a_minute_and_looked_at_again_after_a_position_shows_another(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.enter()
        await world.order("filled")
        await world.connection.prepare_entry(entry())
        counts = world.simulator.counts
        assert (
            counts["GET /fapi/v1/futures/BTCUSDT/leverage 404"],
            counts["POST /fapi/v1/futures/BTCUSDT/leverage 200"],
        ) == (1, 1)
        world.simulator.exchange.accounts["someone"].positions[BTC].leverage = Decimal(20)
        assert (await world.connection.fetch_account()).positions[0].leverage == 20
        await world.connection.prepare_entry(entry())
        assert counts["GET /fapi/v1/futures/BTCUSDT/leverage 200"] == 1


async def test_a_leverage_that_the_exchange_refuses_ends_before_the_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mudrex_world(tmp_path) as world:
        with pytest.raises(Rejected, match="leverage out of permissible range"):
            await world.connection.prepare_entry(entry(leverage=Decimal(500)))
        for fault in ("accept_then_503", "refuse_200", "blocked"):
            await world.fault("/leverage", fault, method="POST")
            with pytest.raises(NotExecuted):
                await world.connection.prepare_entry(entry(leverage=Decimal(7)))
            world.simulator.exchange.accounts["someone"].leverage.clear()
        # What the answer shows counts, not that it is one.
        world.simulator.exchange.accounts["someone"].leverage[BTC] = Decimal(20)
        monkeypatch.setattr(world.simulator.exchange, "set_leverage", lambda *_: None)
        with pytest.raises(NotExecuted, match="leverage 5 was asked for"):
            await world.connection.prepare_entry(entry())


# Fees


async def test_an_order_never_tells_a_fee_and_the_fee_history_does(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.enter()
        assert (await world.order("filled")).fee is None
        assert (await world.connection.place_order(leave())).fee is None
        since = datetime.now(UTC) - timedelta(minutes=1)
        told = await world.until(
            lambda: world.connection.fees(since), lambda found: len(found.rows) == 4
        )
        assert told.complete
        assert sorted(
            ((each.kind.value, each.side, each.traded, each.amount) for each in told.rows), key=str
        ) == [
            ("rebate", OrderSide.BUY, 650, Decimal("-0.1534")),
            ("rebate", OrderSide.SELL, 650, Decimal("-0.1534")),
            ("trade", OrderSide.BUY, 650, Decimal("0.3835")),
            ("trade", OrderSide.SELL, 650, Decimal("0.3835")),
        ]
        assert {each.tax for each in told.rows} == {0, Decimal("0.0585")}
        assert (await world.connection.fees(datetime.now(UTC) + timedelta(minutes=1))).rows == ()


async def test_an_unreadable_fee_history_does_not_hold_up_the_proof_of_an_order(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.fault("/fee/history", "refuse_503", 0)
        await world.enter()
        assert (await world.order("filled")).fee is None
        assert (await world.connection.place_order(leave())).status is OrderStatus.FILLED


AT = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)


# Money elsewhere, and what the exchange may do with an order


async def test_money_in_other_wallets_is_told_in_words(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path) as world:
        assert await world.connection.funds_elsewhere() == []
        await world.control("funds", account="someone", spot="120.5", inr="900")
        told = [
            (each.where, each.amount, each.currency)
            for each in await world.connection.funds_elsewhere()
        ]
        assert told == [
            ("the spot wallet", Decimal("120.5"), "USDT"),
            ("the rupee futures wallet", 900, "INR"),
        ]


async def test_a_lost_answer_is_unknown_and_the_same_id_is_refused_a_second_time(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        for fault in ("accept_then_503", "accept_then_500", "garbage", "empty"):
            await world.fault("/v2/futures/order", fault)
            with pytest.raises(OutcomeUnknown):
                await world.enter(f"rx-{fault}")
            assert (await world.order()).client_order_id == f"rx-{fault}"
        with pytest.raises(OutcomeUnknown, match="409"):
            await world.enter("rx-garbage")
        for fault in ("accept_then_drop", "reset_mid_body"):
            await world.fault("/v2/futures/order", fault)
            with pytest.raises(httpx.HTTPError):
                await world.enter(f"rx-{fault}")
        assert len(world.simulator.orders) == 6


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("rate_limit", NotExecuted),
        ("rate_limit_nested", NotExecuted),
        ("rate_limit_empty", NotExecuted),
        ("rate_limit_wait", NotExecuted),
        ("busy", NotExecuted),
        ("refuse_400", Rejected),
        ("refuse_200", NotExecuted),
        ("blocked", NotExecuted),
        ("unauthorized", Rejected),
        ("refuse_503", OutcomeUnknown),
        ("refuse_500", OutcomeUnknown),
    ],
)
async def test_what_was_not_taken_is_known_as_such_wherever_the_answer_proves_it(
    tmp_path: Path, fault: str, kind: type
) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.fault("/v2/futures/order", fault)
        with pytest.raises(kind):
            await world.enter()
        assert world.simulator.orders == []


async def test_a_rotated_key_is_told_as_the_key(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.enter()
        await world.control("rotate", account="someone", key="someone-else")
        with pytest.raises(Rejected) as caught:
            await world.connection.fetch_account()
        assert caught.value.kind is RejectionKind.CREDENTIALS
        renewed = await world.connect("someone-else", "a1")
        assert len((await renewed.find_orders(BTC, AT)).orders) == 1
