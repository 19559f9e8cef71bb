"""The paper exchange through its port: accounts, credentials, races, reading back, drills, and the
hook.
"""

import os
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
import trio
import trio.testing
from paper_world import BTC, START, PaperHouse, order

import plugins.paper
from plugins.paper.adapter import account_key
from plugins.paper.journal import read_journal
from rexalgo import Environment, OrderStatus, OutcomeUnknown, PositionSide, Rejected, RejectionKind


def orders_in(house):
    return [each for each in read_journal(house.journal) if each["kind"] == "order"]


async def test_the_hook_registers_one_exchange_labelled_paper(tmp_path):
    found = []
    plugins.paper.register_exchanges(found.append, plugins.paper.default_settings)
    (adapter,) = found
    assert (adapter.name, plugins.paper.rexalgo_api_version) == ("paper", 1)
    assert adapter.environment(PaperHouse(tmp_path).context) is Environment.PAPER
    assert adapter.traits.reads_client_order_id
    assert adapter.traits.protects_with_entry


@pytest.mark.parametrize(
    "secret", ["", "bad-key", "paper:", "paper:much:x", "paper:-5:x", "paper:0:x"]
)
async def test_a_key_that_is_not_good_is_refused_as_credentials(tmp_path, secret):
    with pytest.raises(Rejected) as refused:
        await PaperHouse(tmp_path).connect(secret)
    assert refused.value.kind is RejectionKind.CREDENTIALS


async def test_the_secret_may_choose_the_balance_and_the_journal_remembers_it(tmp_path):
    house = PaperHouse(tmp_path)
    assert (await (await house.connect("paper:500:small")).fetch_account()).balance.total == 500
    await house.connect("paper-1")
    richer = await house.after_crash(starting_balance="99").connect("paper-1")
    assert (await richer.fetch_account()).balance.total == 10_000


async def test_two_logins_with_one_secret_are_one_account(tmp_path):
    house = PaperHouse(tmp_path)
    one, two = await house.connect(account="acc1"), await house.connect(account="acc2")
    await one.place_order(order("BUY", "0.1"))
    assert (await two.fetch_account()).positions[0].quantity == Decimal("0.1")


async def test_the_account_shows_position_margin_and_liquidation_price(tmp_path):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    await connection.place_order(order("BUY", "0.1", stop="64000"))
    await connection.place_order(order("BUY", "0.1", "rx2", limit="60000"))
    report = await connection.fetch_account()
    (position,) = report.positions
    assert (position.side, position.margin, position.stop_loss) == (PositionSide.LONG, 650, 64000)
    assert position.liquidation_price == Decimal("58825")
    assert [each.client_order_id for each in report.open_orders] == ["rx2"]
    assert report.balance.available < report.balance.total - 650
    assert report.as_of == START


@pytest.mark.parametrize("flush", ["inline", "thread"])
async def test_orders_at_the_same_moment_cannot_spend_the_same_margin(tmp_path, flush):
    house = PaperHouse(tmp_path, {"flush": flush})
    connection = await house.connect("paper:1000:x")
    refused = []

    async def place(number):
        try:
            await connection.place_order(order("BUY", "0.1", f"rx{number}"))
        except Rejected as rejection:
            refused.append(rejection.kind)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(place, number)
    assert refused == [RejectionKind.BALANCE] * 4
    assert len(orders_in(house)) == 1


async def test_callers_that_give_up_do_not_leave_memory_behind_the_journal(tmp_path, monkeypatch):
    house = PaperHouse(tmp_path, {"flush": "thread"})
    connections = [await house.connect(f"paper-{number}") for number in range(3)]
    gate, write = threading.Event(), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *arguments: (gate.wait(10), write(*arguments))[1])
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            for connection in connections:
                nursery.start_soon(connection.place_order, order("BUY", "0.1"))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            gate.set()
    assert len(orders_in(house)) == 3
    assert [len((await connection.fetch_account()).positions) for connection in connections] == [
        1,
        1,
        1,
    ]


async def test_history_is_newest_first_complete_and_bounded_by_since(tmp_path):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    for number in range(3):
        await connection.place_order(order("BUY", "0.01", f"rx{number}"))
        house.clock.forward(10)
    found = await connection.find_orders(BTC, START + timedelta(seconds=10))
    assert ([each.client_order_id for each in found.orders], found.complete) == (
        ["rx2", "rx1"],
        True,
    )
    assert not (await connection.find_orders("ETHUSDT", START)).orders


async def test_the_newest_that_ended_is_listed_and_a_reading_says_where_it_is_not_all(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("plugins.paper.account.KEPT", 3)
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    resting = await connection.place_order(order("BUY", "0.01", "rests", limit="60000"))
    for number in range(4):
        house.clock.forward(10)
        await connection.place_order(order("BUY", "0.01", f"in{number}"))
        house.clock.forward(10)
        await connection.place_order(order("SELL", "0.01", f"out{number}", reduce_only=True))
    for each in (connection, await house.after_crash().connect()):
        found = await each.find_orders(BTC, START)
        names = [order.client_order_id for order in found.orders]
        assert (names, found.complete) == (["out3", "in3", "out2", "rests"], False)
        assert (await each.find_orders(BTC, START + timedelta(seconds=55))).complete
        assert not (await each.find_orders(BTC, START + timedelta(seconds=50))).complete
        closed = await each.closed_positions(START)
        assert (len(closed.rows), closed.complete) == (3, False)
        assert (await each.closed_positions(START + timedelta(seconds=21))).complete
        (open_order,) = (await each.fetch_account()).open_orders
        assert open_order.exchange_order_id == resting.exchange_order_id
    again = await each.place_order(order("BUY", "0.01", "after"))
    assert again.exchange_order_id == "P0000000010"


async def test_reading_writes_nothing(tmp_path):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    await connection.place_order(order("BUY", "0.1", stop="64000"))
    before = house.journal.read_bytes()
    house.clock.forward(5000)
    await connection.fetch_account()
    await connection.find_orders(BTC, START)
    await connection.prepare_entry(order("BUY", "0.1"))
    assert house.journal.read_bytes() == before


async def test_a_stop_reached_while_nobody_looked_stands_in_the_history(tmp_path):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    await connection.place_order(order("BUY", "0.1", stop="64000"))
    house.clock.forward(30)
    later = await house.after_crash(price_fixed={"BTCUSDT": "63000"}).connect()
    stop, entry = (await later.find_orders(BTC, START)).orders
    assert (stop.client_order_id, stop.status, stop.reduce_only) == (None, OrderStatus.FILLED, True)
    assert "stop loss 64000" in stop.reason
    assert entry.client_order_id == "rx1"
    assert not (await later.fetch_account()).positions


async def test_cancelling_frees_the_reserve_and_is_no_error_twice(tmp_path):
    connection = await PaperHouse(tmp_path).connect()
    resting = await connection.place_order(order("BUY", "0.1", limit="60000"))
    await connection.cancel_order(BTC, resting.exchange_order_id)
    await connection.cancel_order(BTC, resting.exchange_order_id)
    report = await connection.fetch_account()
    assert (report.open_orders, report.balance.available) == ((), 10_000)
    with pytest.raises(Rejected, match="does not exist"):
        await connection.cancel_order(BTC, "P0000000099")


async def test_prepare_entry_refuses_a_leverage_out_of_range(tmp_path):
    connection = await PaperHouse(tmp_path).connect()
    with pytest.raises(Rejected, match="leverage"):
        await connection.prepare_entry(order("BUY", "0.1", leverage="200"))


async def test_a_client_order_id_sent_twice_is_two_orders_unless_told_to_dedupe(tmp_path):
    for dedupe, count in ((False, 2), (True, 1)):
        house = PaperHouse(tmp_path / str(dedupe), {"dedupe_client_order_ids": dedupe})
        connection = await house.connect()
        first = await connection.place_order(order("BUY", "0.1"))
        second = await connection.place_order(order("BUY", "0.1"))
        assert len(orders_in(house)) == count
        assert (first.exchange_order_id == second.exchange_order_id) is dedupe


async def test_a_lost_answer_leaves_an_order_that_its_client_id_finds(tmp_path):
    house = PaperHouse(tmp_path, {"lose_answer_every": 2})
    connection = await house.connect()
    await connection.place_order(order("BUY", "0.1", "rx1"))
    with pytest.raises(OutcomeUnknown):
        await connection.place_order(order("BUY", "0.1", "rx2"))
    found = await connection.find_orders(BTC, START)
    assert [each.client_order_id for each in found.orders] == ["rx2", "rx1"]


async def test_every_nth_order_is_refused_and_nothing_is_written(tmp_path):
    house = PaperHouse(tmp_path, {"reject_every": 2})
    connection = await house.connect()
    await connection.place_order(order("BUY", "0.1", "rx1"))
    with pytest.raises(Rejected, match="reject_every"):
        await connection.place_order(order("BUY", "0.1", "rx2"))
    await connection.place_order(order("BUY", "0.1", "rx3"))
    assert [each["client_order_id"] for each in orders_in(house)] == ["rx1", "rx3"]


async def test_latency_passes_before_the_order_is_accepted(tmp_path, autojump_clock):
    house = PaperHouse(tmp_path, {"latency_ms": 20_000})
    connection = await house.connect()
    with trio.move_on_after(19):
        await connection.place_order(order("BUY", "0.1"))
    assert not orders_in(house)
    began = trio.current_time()
    await connection.place_order(order("BUY", "0.1"))
    assert trio.current_time() - began == pytest.approx(20)


async def test_hanging_and_raising_accounts_leave_the_others_alone(tmp_path, autojump_clock):
    house = PaperHouse(tmp_path, {"hang_for": ["hang"], "raise_for": ["raise"]})
    hanging, raising, good = [
        await house.connect(f"paper-{name}", f"{name}-1") for name in ("hang", "raise", "good")
    ]
    with trio.move_on_after(3600) as scope:
        await hanging.place_order(order("BUY", "0.1"))
    assert scope.cancelled_caught
    with pytest.raises(RuntimeError, match="raise_for"):
        await raising.fetch_account()
    await good.place_order(order("BUY", "0.1"))
    assert [each["account"] for each in orders_in(house)] == [account_key("paper-good")]


async def test_the_last_user_closes_the_venue_and_the_next_one_reopens_it(tmp_path):
    house = PaperHouse(tmp_path)
    data, connection = await house.adapter.market_data(house.context), await house.connect()
    await connection.place_order(order("BUY", "0.1"))
    await connection.aclose()
    assert house.adapter._shared
    await data.aclose()
    assert not house.adapter._shared
    assert (await (await house.connect()).fetch_account()).positions
