"""The simulator behaves as the exchange was recorded, has a switch for every open question, and
keeps an exact record of money.
"""

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mudrex_world import BTC, STILL_NOW, body, exchange, place
from recorded_rows import NO_LEG, closed_row, fee_row, order_row, position_row

from plugins.mudrex.parsing import minted_at
from plugins.mudrex.simulator import owner
from plugins.mudrex.simulator.contracts import CONTRACTS
from plugins.mudrex.simulator.exchange import Exchange
from plugins.mudrex.simulator.messages import Request
from plugins.mudrex.simulator.routes import route
from plugins.mudrex.simulator.values import Account, Refusal, stamp

NOW = STILL_NOW


def shown(on: Exchange, path: str, now: float, **query: str) -> Any:
    """Return a list as a client sees it."""
    asked = {name: [value] for name, value in query.items()}
    return route(on, Request("GET", f"/fapi/v1/futures/{path}", asked, "key", {}), now, "")[1]


def closed(on: Exchange, now: float = NOW + 5) -> Account:
    """Open and close a position, and return the account a second later."""
    account = place(on)
    on.close("key", account.positions[BTC].id, None, now)
    return on.account("key", now + 1)


def test_an_entry_and_its_close_leave_the_rows_that_were_recorded() -> None:
    world = exchange()
    account = place(world)
    position = account.positions[BTC].id
    world.set_price("BTCUSDT", Decimal(66000), NOW + 4)
    closed_by = world.close("key", position, None, NOW + 5)
    closing, opening = shown(world, "orders/history", NOW + 6)
    assert set(opening) == set(closing) == set(order_row())
    assert (opening["reason"], closing["reason"]) == ({"message": "OK"}, None)
    assert (
        opening["position_id"]
        == closing["position_id"]
        == closing["future_position_uuid"]
        == position
    )
    assert closing["price"] == closing["filled_price"] == 66000
    assert (closing["client_order_id"], closing["order_type"], closing["actual_amount"]) == (
        None,
        "SHORT",
        660,
    )
    minted, made = minted_at(position), minted_at(opening["id"])
    assert minted is not None
    assert made is not None
    assert 2 <= (made - minted).total_seconds() * 1000 <= 3
    assert shown(world, "positions/history", NOW + 5.2) == []
    (gone,) = shown(world, "positions/history", NOW + 6)
    assert set(gone) == set(closed_row())
    assert (gone["position_id"], gone["order_id"], gone["status"], gone["pnl"]) == (
        position,
        closed_by.id,
        "CLOSED",
        "10",
    )
    assert gone["id"] not in (position, closed_by.id)


def test_times_are_rounded_and_a_missing_leg_is_an_object_without_price_and_order() -> None:
    world = exchange()
    place(world, NOW + 0.6)
    assert shown(world, "orders/history", NOW + 2)[0]["created_at"] == stamp(NOW + 1)
    (held,) = shown(world, "positions", NOW + 2)
    assert set(held) == set(position_row())
    assert held["stoploss"] == held["takeprofit"] == NO_LEG
    assert held["id"] == held["position_id"]


def test_fee_rows_are_born_later_name_no_order_and_bring_a_rebate_and_a_liquidation_none() -> None:
    world = exchange()
    place(world)
    assert shown(world, "fee/history", NOW + 0.9) == []
    back, fee = shown(world, "fee/history", NOW + 1.7)
    assert set(fee) == set(fee_row())
    assert (fee["fee_type"], fee["fee_amount"], fee["gst_amount"], fee["transaction_amount"]) == (
        "TRANSACTION",
        "0.3835",
        "0.0585",
        "650",
    )
    assert (back["fee_type"], back["fee_amount"], "gst_amount" in back) == (
        "REBATE",
        "0.1534",
        False,
    )
    world.liquidate("key", "BTCUSDT", NOW + 3)
    assert [each["fee_type"] for each in shown(world, "fee/history", NOW + 5)] == [
        "TRANSACTION",
        "REBATE",
        "TRANSACTION",
    ]
    (row, _) = shown(world, "orders/history", NOW + 5)
    (gone,) = shown(world, "positions/history", NOW + 5)
    assert (
        row["order_type"],
        row["reason"],
        row["status"],
        row["filled_price"] != row["price"],
    ) == ("SHORT", None, "FILLED", True)
    assert (gone["status"], gone["order_id"], Decimal(gone["closed_price"])) == (
        "LIQUIDATED",
        row["id"],
        Decimal(str(row["filled_price"])),
    )


def test_closed_positions_come_newest_opened_first_and_lists_have_their_own_lengths() -> None:
    world = exchange()
    place(world)
    world.set_leverage("key", CONTRACTS["ETHUSDT"], Decimal(1), NOW)
    world.place("key", {**body("1"), "quantity": "0.1"}, NOW + 5, "ETHUSDT", version=2)
    account = world.account("key", NOW + 7)
    for symbol, after in (("ETHUSDT", 10), ("BTCUSDT", 20)):
        world.close("key", account.positions[symbol].id, None, NOW + after)
    assert [each["symbol"] for each in shown(world, "positions/history", NOW + 30)] == [
        "ETHUSDT",
        "BTCUSDT",
    ]
    for number in range(25):
        place(world, NOW + 40 + 2 * number, side="LONG" if number % 2 else "SHORT")
    assert (
        len(shown(world, "orders/history", NOW + 99)),
        len(shown(world, "orders/history", NOW + 99, limit="100")),
    ) == (20, 29)
    assert len(shown(world, "fee/history", NOW + 99)) == 10
    assert shown(world, "", NOW)[-1]["symbol"] == "BTCUSDT"
    world.switch(page_rows_max=5)
    assert len(shown(world, "orders/history", NOW + 99, limit="100")) == 5


@pytest.mark.parametrize(
    ("word", "soon", "later"), [("at_once", 2, 2), ("late", 1, 2), ("never", 1, 1)]
)
def test_the_closing_row_shows_at_once_late_or_never(word: str, soon: int, later: int) -> None:
    world = exchange(closing_row=word, closing_row_late_s=30.0)
    assert closed(world).positions == {}
    counts = [len(shown(world, "orders/history", NOW + after)) for after in (7, 36)]
    assert counts == [soon, later]
    assert len(shown(world, "positions/history", NOW + 7)) == 1


@pytest.mark.parametrize(
    ("word", "seen"),
    [
        ("none", [("LONG", "FILLED")]),
        ("leg", [("STOPLOSS", "FILLED"), ("LONG", "FILLED")]),
        ("order", [("SHORT", "FILLED"), ("LONG", "FILLED")]),
    ],
)
def test_a_stop_leaves_what_a_switch_says_and_its_fee_says_stop(
    word: str, seen: list[tuple[str, str]]
) -> None:
    world = exchange(stop_row=word)
    place(world, is_stoploss=True, stoploss_price="60000")
    world.set_price("BTCUSDT", Decimal(59000), NOW + 3)
    rows = shown(world, "orders/history", NOW + 6)
    assert [(each["order_type"], each["status"]) for each in rows] == seen
    assert {each["order_type"] for each in shown(world, "fee/history", NOW + 6)} == {
        "STOPLOSS",
        "LONG",
    }
    (gone,) = shown(world, "positions/history", NOW + 6)
    assert (gone["status"], gone["closed_price"]) == ("CLOSED", "59000")


@pytest.mark.parametrize(
    ("word", "told"), [("none", ["0.01"]), ("parts", ["0.01", "0.03"]), ("whole", ["0.04"])]
)
def test_partial_closes_leave_what_a_switch_says(word: str, told: list[str]) -> None:
    world = exchange(partial_closes=word)
    position = place(world, quantity="0.04").positions[BTC].id
    world.close("key", position, Decimal("0.03"), NOW + 3)
    world.account("key", NOW + 4)
    world.close("key", position, None, NOW + 5)
    assert [each["quantity"] for each in shown(world, "positions/history", NOW + 9)] == told


def test_the_history_may_read_its_offset_as_a_time_pass_over_it_and_leave_out_what_rests() -> None:
    world = exchange()
    for number in range(3):
        place(world, NOW + 10 * number)
    place(world, NOW + 40, trigger_type="LIMIT", order_price="60000")
    first = [each["id"] for each in shown(world, "orders/history", NOW + 50)]
    assert [each["id"] for each in shown(world, "orders/history", NOW + 50, offset="2")] == first[
        2:
    ]
    world.switch(history_offset="passed_over")
    assert [each["id"] for each in shown(world, "orders/history", NOW + 50, offset="2")] == first
    world.switch(history_offset="time", history_shows_working=False)
    assert [
        each["id"]
        for each in shown(world, "orders/history", NOW + 50, offset=str(int(NOW + 10) * 1000))
    ] == first[2:]


def test_numbers_may_be_text_prices_long_and_rows_strange() -> None:
    world = exchange(numbers_as_text=True, fills_at_levels=True, strange_rows=True)
    place(world)
    strange, other, mine = shown(world, "orders/history", NOW + 2)
    assert (strange["symbol"], other["symbol"]) == ("SOLUSDT", "SOLUSDT")
    assert mine["filled_price"] == "65000.03333333333"


ACTS = st.sampled_from(
    [
        "enter",
        "close",
        "part",
        "add",
        "reverse",
        "price",
        "fund",
        "liquidate",
        "stop",
        "deposit",
        "withdraw",
    ]
)


@given(
    st.lists(st.tuples(ACTS, st.integers(1, 40)), max_size=12),
    st.sampled_from(["none", "leg", "order"]),
)
def test_every_change_of_a_wallet_is_written_down_exactly(
    acts: list[tuple[str, int]], stop_row: str
) -> None:
    world = exchange(stop_row=stop_row)
    now = NOW
    for act, number in acts:
        now += 5
        account = world.account("key", now)
        held = account.positions.get(BTC)
        quantity = Decimal(number) / 1000
        with contextlib.suppress(Refusal):
            match act:
                case "enter":
                    place(
                        world, now, quantity=str(quantity), side="LONG" if number % 2 else "SHORT"
                    )
                case "close" | "add" | "reverse":
                    owner.act(
                        world,
                        {
                            "account": "key",
                            "act": act,
                            "symbol": "BTCUSDT",
                            "quantity": str(quantity),
                        },
                        now,
                    )
                case "part":
                    owner.act(
                        world,
                        {
                            "account": "key",
                            "act": "close",
                            "symbol": "BTCUSDT",
                            "quantity": "0.001",
                        },
                        now,
                    )
                case "price":
                    world.set_price("BTCUSDT", Decimal(64000 + number * 50), now)
                case "fund":
                    world.fund("BTCUSDT", Decimal(number) / 10_000, now)
                case "liquidate":
                    world.liquidate("key", "BTCUSDT", now)
                case "stop" if held is not None:
                    world.protect(
                        "key",
                        held.id,
                        {"is_stoploss": True, "stoploss_price": "64500"},
                        now,
                        amends=False,
                    )
                case "deposit" | "withdraw":
                    owner.transfer(
                        world, "key", Decimal(number if act == "deposit" else -number), now
                    )
    account = world.account("key", now + 60)
    assert abs(
        account.total - sum(Decimal(str(each["amount"])) for each in account.wallet)
    ) < Decimal("1e-15")
    fills = [each for each in account.wallet if each["event"] == "fill"]
    left = sum(
        Decimal(str(each["quantity"])) * (1 if each["side"] == "LONG" else -1) for each in fills
    )
    held = account.positions.get(BTC)
    assert left == (0 if held is None else held.quantity * held.sign)
