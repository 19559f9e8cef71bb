"""Stop and target of a position: set, moved, removed, read back, triggered, and gone with the
position.
"""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from mudrex_world import BTC, World, mudrex_world, protection

from plugins.mudrex import requests
from rexalgo import (
    NotExecuted,
    OrderStatus,
    OutcomeUnknown,
    PositionSide,
    Price,
    ProtectionOrder,
    Rejected,
    RejectionKind,
)

ROW = {
    "id": "p1",
    "symbol": "BTCUSDT",
    "order_type": "LONG",
    "stoploss": {"price": "60000", "order_id": "s1", "order_type": "SHORT"},
    "takeprofit": {"price": "0", "order_id": ""},
}


@pytest.mark.parametrize(
    ("stop", "target", "told"),
    [
        ("60000", None, []),
        ("60000.0", None, []),
        ("61000", None, [("PATCH", {"stoploss_order_id": "s1", "stoploss_price": "61000"})]),
        ("60000", "70000", [("POST", {"takeprofit_price": "70000", "is_takeprofit": True})]),
        (
            "61000",
            "70000",
            [("POST", {"takeprofit_price": "70000"}), ("PATCH", {"stoploss_price": "61000"})],
        ),
        (None, "70000", [("POST", {"takeprofit_price": "70000"}), ("DELETE", {})]),
        (None, None, [("DELETE", {})]),
    ],
)
def test_protection_takes_the_fewest_requests_and_removes_last(
    stop: str | None, target: str | None, told: list[tuple[str, dict]]
) -> None:
    steps = requests.protection_steps(ROW, protection(stop, target))
    assert [each.method for each in steps] == [method for method, _ in told]
    for step, (_, part) in zip(steps, told, strict=True):
        assert part.items() <= step.body.items()
        assert step.body["trade_currency"] == "USDT"
    assert requests.stands(ROW, protection(stop, target)) is (not steps)


async def standing(world: World) -> tuple[Price | None, Price | None]:
    """Read the position's stop and target."""
    report = await world.connection.fetch_account()
    return report.positions[0].stop_loss, report.positions[0].take_profit


async def test_a_stop_and_a_target_are_set_moved_and_removed(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.enter()
        await world.order("filled")
        for stop, target in (
            ("60000", None),
            ("61000", "70000"),
            ("61000", "71000"),
            (None, "71000"),
            (None, None),
        ):
            await world.connection.set_protection(protection(stop, target))
            await world.connection.set_protection(protection(stop, target))  # twice does no harm
            seen = await standing(world)
            assert tuple(None if each is None else str(each) for each in seen) == (stop, target)
        assert world.simulator.counts["PATCH /fapi/v1/futures/positions/ID/riskorder 200"] == 2


async def test_the_stop_of_an_entry_is_read_back_and_set_again_where_the_exchange_lost_it(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.fault("/order", "drop_protection")
        await world.enter(stop_loss=Price(Decimal(60000)))
        await world.order("filled")
        assert await standing(world) == (None, None)
        await world.connection.set_protection(protection("60000"))
        assert await standing(world) == (60000, None)
        await world.enter("rx2", take_profit=Price(Decimal(70000)))
        await world.order("filled")
        assert await standing(world) == (60000, 70000)


async def test_a_stop_closes_the_position_when_the_price_crosses_it_and_the_target_vanishes(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.enter(stop_loss=Price(Decimal(60000)), take_profit=Price(Decimal(70000)))
        await world.order("filled")
        await world.control("price", symbol="BTCUSDT", price="60000.1")
        assert len((await world.connection.fetch_account()).positions) == 1
        await world.control("price", symbol="BTCUSDT", price="59990")
        report = await world.connection.fetch_account()
        assert report.positions == ()
        assert report.open_orders == ()
        seen = (await world.control("accounts"))["someone"]
        assert (
            seen["working"],
            seen["closed"][0]["status"],
            seen["closed"][0]["closed_price"],
        ) == ([], "CLOSED", "59990")
        with pytest.raises(Rejected) as caught:
            await world.connection.set_protection(protection("58000"))
        assert caught.value.kind is RejectionKind.POSITION_NOT_OPEN


async def test_legs_that_stay_behind_are_no_resting_orders(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.control("switches", legs_vanish_with_position=False)
        await world.enter(stop_loss=Price(Decimal(60000)))
        await world.order("filled")
        await world.control("liquidate", account="someone", symbol="BTCUSDT")
        assert len((await world.control("accounts"))["someone"]["working"]) == 1
        report = await world.connection.fetch_account()
        assert (report.positions, report.open_orders) == ((), ())


async def test_a_stop_beyond_the_liquidation_price_is_refused_and_a_lost_answer_is_asked_again(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.enter()
        assert (await world.order("filled")).status is OrderStatus.FILLED
        with pytest.raises(Rejected, match="Risk order creation failed"):
            await world.connection.set_protection(protection("1000"))
        await world.fault("/riskorder", "accept_then_503")
        with pytest.raises(OutcomeUnknown):
            await world.connection.set_protection(protection("60000"))
        await world.connection.set_protection(protection("60000"))
        assert await standing(world) == (60000, None)
        assert "PATCH /fapi/v1/futures/positions/ID/riskorder 200" not in world.simulator.counts
        await world.fault("/riskorder", "drop_protection")
        with pytest.raises(OutcomeUnknown, match="does not show them yet"):
            await world.connection.set_protection(protection("61000"))
        for fault in ("rate_limit_nested", "refuse_200", "blocked"):
            await world.fault("/riskorder", fault)
            with pytest.raises(NotExecuted):
                await world.connection.set_protection(protection("61000"))
        for fault in ("refuse_200", "blocked", "not_found"):
            await world.fault("/orders/", fault, method="DELETE")
            with pytest.raises(NotExecuted):
                await world.connection.set_protection(protection())
        with pytest.raises(Rejected):
            await world.connection.set_protection(
                ProtectionOrder(BTC, PositionSide.SHORT, Price(Decimal(70000)))
            )
        ours = (await world.connection.fetch_account()).positions[0].id
        await world.control("owner", account="someone", act="close", symbol="BTCUSDT")
        await world.control(
            "owner", account="someone", act="open", symbol="BTCUSDT", side="LONG", quantity="0.03"
        )
        with pytest.raises(Rejected, match=f"position {ours} is not open"):
            await world.connection.set_protection(replace(protection("61000"), position_id=ours))
        assert await standing(world) == (None, None)
