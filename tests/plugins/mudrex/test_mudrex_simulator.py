"""The simulator itself: its faults, its state over a restart, its orders."""

import json
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mudrex_world import (
    BTC,
    STILL_NOW,
    entry,
    exchange,
    leave,
    mudrex_world,
    place,
    protection,
    recorded,
)

from plugins.mudrex.simulator.contracts import CONTRACTS
from plugins.mudrex.simulator.faults import (
    KINDS,
    Drill,
    Faults,
    Rule,
    drill_of,
    presets,
    read_drill,
    read_rule,
)
from plugins.mudrex.simulator.simulated import Limits, Simulator
from plugins.mudrex.simulator.switches import Switches
from plugins.mudrex.simulator.values import Refusal
from rexalgo import FeeKind, OrderStatus, OrderType, Price
from rexalgo.cli import main

NOW = STILL_NOW


# What goes wrong


def test_every_fault_and_every_preset_can_be_read_and_has_words() -> None:
    assert all(read_rule({"fault": kind}, 0).times == 1 for kind in KINDS)
    assert set(presets()) == {"calm", "lossy", "storm", "slow", "hostile", "unrecorded"}
    for name, table in presets().items():
        assert drill_of(table).rules == tuple(table["rules"])
        assert table["about"], name
        Switches().changed(table.get("switches", {}))


@pytest.mark.parametrize(
    "table",
    [
        {"rules": [{"fault": "nothing"}]},
        {"rules": [{"fault": "drip", "color": 1}]},
        {"rules": [{"fault": "drip", "probability": 2}]},
        {"speed": 1},
    ],
)
def test_a_drill_with_a_mistake_is_refused_with_words(
    table: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="expected"):
        drill_of(table)
    file = tmp_path / "drill.json"
    file.write_text(json.dumps(table))
    with pytest.raises(ValueError, match="expected"):
        read_drill(str(file))


def test_a_drill_is_read_from_toml_and_a_missing_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'clock_skew_s = 3\nrules = [{ fault = "drip", times = 0 }]\n[switches]\nv2_orders = false\n'
    )
    assert read_drill(str(file)) == Drill(
        ({"fault": "drip", "times": 0},), {"v2_orders": False}, 3.0
    )
    with pytest.raises(ValueError, match="calm, lossy, storm, slow, hostile, unrecorded"):
        read_drill("tempest")


def test_rules_count_have_a_method_a_time_and_a_seeded_chance() -> None:
    faults = Faults(7, [Rule("drop", "/order", "POST", times=2, for_s=10, since=100)])
    assert faults.choose("GET", "/order", 101) is None
    assert faults.choose("POST", "/other", 101) is None
    assert faults.choose("POST", "/order", 111) is None
    assert [faults.choose("POST", "/order", 105) is not None for _ in range(3)] == [
        True,
        True,
        False,
    ]
    seen = [
        [Faults(seed, [Rule("drop", times=0, probability=0.3)]) for _ in range(2)]
        for seed in (1, 2)
    ]
    drawn = [
        [[each.choose("GET", "/", 0) is not None for _ in range(200)] for each in pair]
        for pair in seen
    ]
    assert drawn[0][0] == drawn[0][1] != drawn[1][0]
    assert 30 < sum(drawn[0][0]) < 90


@pytest.mark.parametrize(
    "table",
    [
        {"legs_vanish": True},
        {"v2_orders": 1},
        {"margin_freed_after_s": True},
        {"v2_orders": "yes"},
        {"closing_row": "soon"},
        {"closing_row": 1},
    ],
)
def test_a_switch_with_a_mistake_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="switch"):
        Switches().changed(table)


def test_limits_hold_per_key_and_window() -> None:
    limits = Limits([(1.0, 2), (60.0, 3)])
    assert [limits.take("a", 0.0) for _ in range(3)] == [True, True, False]
    assert [limits.take("a", 1.0) for _ in range(2)] == [True, False]  # the minute is used up
    assert limits.take("b", 1.0)
    assert limits.take("a", 60.0)


# What becomes of orders


def test_an_order_may_be_rejected_after_it_was_accepted_and_may_show_up_late() -> None:
    rejected = place(exchange(), fate="reject_later")
    assert (rejected.orders[0].status, rejected.positions, rejected.balance) == (
        "REJECTED",
        {},
        10_000,
    )
    late = place(exchange(), fate="late")
    assert late.orders[0].visible_from == NOW + 6
    assert late.positions[BTC].quantity == Decimal("0.01")


def test_an_order_may_fill_in_two_parts_or_in_part_only() -> None:
    world = exchange()
    account = place(world, fate="fill_partly")
    assert (account.orders[0].status, account.orders[0].filled) == (
        "PARTIALLY_FILLED",
        Decimal("0.005"),
    )
    assert world.account("key", NOW + 3).orders[0].status == "FILLED"
    assert account.positions[BTC].quantity == Decimal("0.01")
    part = place(exchange(), fate="fill_part_only")
    assert (part.orders[0].status, part.positions[BTC].quantity) == ("CANCELLED", Decimal("0.005"))
    resting = exchange()
    limit = place(resting, fate="fill_part_only", trigger_type="LIMIT", order_price="65000")
    assert limit.orders[0].status == "PARTIALLY_FILLED"
    resting.account("key", NOW + 100)
    resting.cancel("key", limit.orders[0].id, NOW + 101)
    assert (limit.orders[0].status, limit.orders[0].filled) == ("CANCELLED", Decimal("0.005"))


def test_a_limit_rests_until_the_price_comes_and_one_beyond_the_market_fills_at_the_market() -> (
    None
):
    world = exchange()
    account = place(world, trigger_type="LIMIT", order_price="64000")
    assert account.orders[0].status == "CREATED"
    world.set_price("BTCUSDT", Decimal(63990), NOW + 5)
    assert (account.orders[0].status, account.orders[0].filled_price) == ("FILLED", 64000)
    crossed = place(exchange(), trigger_type="LIMIT", order_price="66000")
    assert crossed.orders[0].filled_price == 65000


def test_positions_net_average_shrink_and_turn_by_a_switch() -> None:
    world = exchange()
    account = place(world)
    world.set_price("BTCUSDT", Decimal(66000), NOW + 5)
    place(world, NOW + 10, quantity="0.03")
    assert (account.positions[BTC].quantity, account.positions[BTC].entry_price) == (
        Decimal("0.04"),
        65750,
    )
    place(world, NOW + 20, side="SHORT", quantity="0.05")
    assert (account.positions, account.orders[-1].filled) == ({}, Decimal("0.04"))
    assert account.closed[0]["pnl"] == "10"
    assert account.locked == 0
    turned = exchange(opposite_larger_flips=True)
    place(turned)
    held = place(turned, NOW + 10, side="SHORT", quantity="0.03").positions[BTC]
    assert (held.side, held.quantity) == ("SHORT", Decimal("0.02"))


def test_money_is_conserved_but_for_fees_and_profit_and_comes_back_late() -> None:
    world = exchange(margin_freed_after_s=1.0)
    account = place(world)
    paid = Decimal(650) * Decimal("0.00059") - Decimal(
        "0.1534"
    )  # 40 % of the fee comes back, in steps of 0.0001
    assert account.balance + account.locked == 10_000 - paid
    world.set_price("BTCUSDT", Decimal(66000), NOW + 5)
    world.close("key", account.positions[BTC].id, None, NOW + 5)
    world.account("key", NOW + 5.6)
    assert account.locked > 0
    world.account("key", NOW + 7)
    assert (account.locked, account.balance) == (
        0,
        10_000 - paid - Decimal(660) * Decimal("0.00059") + Decimal("0.1557") + 10,
    )


def test_two_closing_calls_at_once_close_once() -> None:
    world = exchange()
    account = place(world)
    position = account.positions[BTC].id
    world.close("key", position, None, NOW + 2)
    world.close("key", position, None, NOW + 2)
    world.account("key", NOW + 3)
    assert account.positions == {}
    assert [each.status for each in account.orders] == ["FILLED", "FILLED", "CANCELLED"]
    with pytest.raises(Refusal, match="position is not open"):
        world.close("key", position, None, NOW + 4)


def test_reduce_only_is_capped_or_refused_by_a_switch_and_never_opens() -> None:
    world = exchange(reduce_only_larger_is_capped=False)
    with pytest.raises(Refusal, match="reduce only"):
        place(world, reduce_only=True)
    place(world)
    with pytest.raises(Refusal, match="quantity out of"):
        place(world, NOW + 5, side="SHORT", quantity="0.02", reduce_only=True)
    world.switch(reduce_only_larger_is_capped=True)
    assert place(world, NOW + 5, side="SHORT", quantity="0.02", reduce_only=True).positions == {}


def test_a_position_is_liquidated_at_its_price_and_leverage_obeys_a_switch() -> None:
    world = exchange(leverage_changes_with_position=False)
    world.set_leverage("key", world_contract(), Decimal(10), NOW)
    account = place(world)
    with pytest.raises(Refusal, match="while a position is open"):
        world.set_leverage("key", world_contract(), Decimal(5), NOW + 2)
    world.set_price("BTCUSDT", Decimal("58500.1"), NOW + 3)
    assert account.positions
    world.set_price("BTCUSDT", Decimal(58500), NOW + 4)
    assert (account.positions, account.closed[0]["status"]) == ({}, "LIQUIDATED")


def world_contract() -> Any:
    """Return BTC's contract."""
    return CONTRACTS["BTCUSDT"]


def test_the_v1_call_wants_a_price_and_leverage_and_an_unreadable_number_is_a_params_error() -> (
    None
):
    world = exchange()
    with pytest.raises(Refusal, match="Params error"):
        place(world, version=1, leverage="5")
    assert place(world, version=1, leverage="5", order_price="1000000").positions[BTC].leverage == 5
    for wrong in ("NaN", "much", None):
        with pytest.raises(Refusal, match="Params error"):
            place(exchange(), quantity=wrong)


# Over the wire and over a restart


async def test_the_date_header_and_row_times_follow_the_skewed_clock(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.control("clock", skew_s=3600)
        await world.enter()
        found = await world.order("filled")
        assert 3500 < (found.created_at - world.context.clock.now()).total_seconds() < 3700
        answer = await world.context.http(f"{world.url}/fapi").get(
            "/v1/futures/ping", headers={"X-Authentication": "someone"}
        )
        assert (
            3500
            < (
                parsedate_to_datetime(answer.headers["date"]) - world.context.clock.now()
            ).total_seconds()
            < 3700
        )
        assert answer.json()["data"] == "pong"


async def test_rows_shown_twice_are_one_order_and_a_late_one_comes(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.enter()
        await world.order("filled")
        await world.fault("/history", "duplicate_rows", 0)
        await world.enter("rx2")
        await world.order("filled")
        found = await world.connection.find_orders(
            BTC, world.context.clock.now().replace(year=2020)
        )
        assert len(found.orders) == 2
        await world.fault("/history", "missing_rows", 1)
        assert (
            len(
                (
                    await world.connection.find_orders(
                        BTC, world.context.clock.now().replace(year=2020)
                    )
                ).orders
            )
            == 1
        )


async def test_slow_dripping_doubled_and_reordered_answers_are_read_whole_or_not_at_all(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        for fault in ("drip", "slow", "reorder"):
            await world.fault("/funds", fault, seconds=0.05)
            assert (await world.connection.fetch_account()).balance.available == 10_000
        await world.fault("/funds", "duplicate_answer")
        for _ in range(3):  # the second copy must never pass for the answer to another question
            assert (await world.connection.fetch_account()).positions == ()


async def test_a_restart_with_the_same_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    state = tmp_path / "state.jsonl"
    async with mudrex_world(tmp_path, state=state) as world:
        await world.enter(stop_loss=Price(Decimal(60000)))
        await world.order("filled")
        await world.connection.set_protection(protection("61000", "70000"))
        await world.enter("rx2", order_type=OrderType.LIMIT, limit_price=Price(Decimal(50000)))
        before = await world.connection.fetch_account()
        counted = len(world.simulator.orders)
    with state.open("a") as file:
        file.write('{"event": "acc')  # what a kill leaves
    assert [each["event"] for each in recorded_whole(state)].count("accepted") == counted == 2
    async with mudrex_world(tmp_path, state=state) as world:
        after = await world.connection.fetch_account()
        assert (after.positions, after.open_orders, after.balance) == (
            before.positions,
            before.open_orders,
            before.balance,
        )
        assert len(world.simulator.orders) == 2
        told = await world.until(
            lambda: world.connection.fees(before.as_of.replace(year=2020)),
            lambda found: len(found.rows) == 2,
        )
        assert [each.kind for each in told.rows] == [FeeKind.REBATE, FeeKind.TRADE]
        assert (await world.connection.place_order(leave())).status is OrderStatus.FILLED
        with pytest.raises(Exception, match="409"):
            await world.connection.place_order(entry("rx1"))
    assert Simulator(state).exchange.accounts["someone"].positions == {}


def recorded_whole(state: Path) -> list[dict[str, Any]]:
    """Read the file's whole lines."""
    text = state.read_text(encoding="utf-8")
    whole = state.with_name("whole.jsonl")
    whole.write_text(text[: text.rindex("\n") + 1], encoding="utf-8")
    return recorded(whole)


def test_a_state_file_of_an_older_form_and_an_unknown_preset_are_refused_in_words(
    tmp_path: Path,
) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text('{"account": "x", "id": "1"}\n')
    with pytest.raises(ValueError, match="older one"):
        Simulator(old)
    for options in (["--state", str(old)], ["--faults", "tempest"]):
        told = CliRunner().invoke(main, ["simulate", "mudrex", *options])
        assert (told.exit_code, "expected" in told.output) == (2, True)


async def test_accounts_can_be_there_before_anybody_comes_and_control_refuses_with_words(
    tmp_path: Path,
) -> None:
    simulator = Simulator(None, accounts=3)
    assert list(simulator.exchange.accounts) == ["sim-0001", "sim-0002", "sim-0003"]
    async with mudrex_world(tmp_path) as world:
        client = world.context.http(f"{world.url}/__control")
        for path, content in (
            ("/faults", {"rules": [{"fault": "no"}]}),
            ("/nothing", {"a": 1}),
            ("/price", {"symbol": "X", "price": "1"}),
        ):
            answer = await client.post(path, json=content)
            assert answer.status_code in (400, 404), path
            assert answer.json()["errors"][0]["text"]
        assert (await world.control("switches"))["legs_vanish_with_position"] is True
        assert (await world.control(""))["environment"] == "simulated"
