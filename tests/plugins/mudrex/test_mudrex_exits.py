"""Exits over a real socket: the rows that prove them, their cost, and that no foreign row stops
them.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from mudrex_world import BTC, World, entry, leave, mudrex_world
from recorded_rows import order_row

from plugins.mudrex import connection, requests
from plugins.mudrex.connection import CLOSE_SEEN_WITHIN_S, LOOKS_S
from plugins.mudrex.simulator.faults import Drill
from rexalgo import (
    ClosedBy,
    NotExecuted,
    OrderStatus,
    OutcomeUnknown,
    Price,
    Rejected,
    RejectionKind,
    Symbol,
)

STILL = {"prices_move": False, "margin_freed_after_s": 0.0}
HISTORY = "GET /fapi/v1/futures/orders/history 200"
CLOSED = "GET /fapi/v1/futures/positions/history 200"


def drill(**switches: object) -> Drill:
    """Return a drill without faults, with some switches."""
    return Drill(switches={**STILL, **switches})


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look five times as often; the proof of an exit does not depend on it."""
    monkeypatch.setattr(connection, "LOOKS_S", tuple(each / 5 for each in LOOKS_S))


async def opened(world: World, quantity: str = "0.01") -> str:
    """Open a long position and return its id."""
    await world.enter(quantity=Decimal(quantity))
    report = await world.until(world.connection.fetch_account, lambda found: bool(found.positions))
    return report.positions[0].id


def requests_of(world: World) -> int:
    """Count the requests that the exchange answered."""
    return sum(
        count for name, count in world.simulator.counts.items() if name[:3] in ("GET", "POS")
    )


def test_the_looks_for_a_closing_order_end_within_their_time() -> None:
    assert sum(LOOKS_S) == pytest.approx(CLOSE_SEEN_WITHIN_S)


async def test_an_exit_is_proven_by_the_row_that_names_its_position_in_three_requests(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        position = await opened(world)
        before = requests_of(world)
        closed = await world.connection.place_order(leave())
        assert (closed.position_id, closed.status, closed.filled_quantity) == (
            position,
            OrderStatus.FILLED,
            Decimal("0.01"),
        )
        assert requests_of(world) - before == world.adapter.traits.exit_requests == 3


async def test_rounds_of_parts_of_the_same_size_are_each_proven_by_their_own_order(
    tmp_path: Path, quick_looks: None
) -> None:
    async with mudrex_world(tmp_path) as world:
        await opened(world, "0.03")
        for fault in ("refuse_200", "blocked"):
            await world.fault("/close", fault)
            with pytest.raises(NotExecuted):
                await world.connection.place_order(leave("0.01", whole=False))
        parts = [await world.connection.place_order(leave("0.01", whole=False)) for _ in range(2)]
        # The engine has no reading of the position: it is the whole of it all the same.
        last = await world.connection.place_order(leave("0.01", whole=False))
        assert len({each.exchange_order_id for each in (*parts, last)}) == 3
        assert (await world.connection.fetch_account()).positions == ()


async def test_without_an_order_row_the_closed_position_proves_the_exit_with_its_price(
    tmp_path: Path, quick_looks: None
) -> None:
    async with mudrex_world(tmp_path, drill=drill(closing_row="never")) as world:
        position = await opened(world)
        await world.control("price", symbol="BTCUSDT", price="66000")
        closed = await world.connection.place_order(leave())
        assert (closed.position_id, closed.average_price, closed.status) == (
            position,
            66000,
            OrderStatus.FILLED,
        )
        assert closed.exchange_order_id == world.simulator.orders[-1]["id"]


async def test_an_exit_that_nothing_names_in_time_is_doubt_and_costs_few_requests(
    tmp_path: Path, quick_looks: None
) -> None:
    late = drill(closing_row="never", closed_rows_late_s=120.0)
    async with mudrex_world(tmp_path, drill=late) as world:
        await opened(world)
        before = requests_of(world)
        with pytest.raises(OutcomeUnknown, match="nothing named the position"):
            await world.connection.place_order(leave())
        assert requests_of(world) - before <= 2 + 2 * len(LOOKS_S) - 1
        assert (await world.connection.fetch_account()).positions == ()


async def test_a_liquidation_during_the_close_is_not_our_exit(
    tmp_path: Path, quick_looks: None
) -> None:
    async with mudrex_world(tmp_path) as world:
        await opened(world)
        world.simulator.exchange._fill_s = (30.0, 30.0)
        async with trio.open_nursery() as nursery:

            async def liquidate() -> None:
                await trio.sleep(0.02)
                await world.control("liquidate", account="someone", symbol="BTCUSDT")

            nursery.start_soon(liquidate)
            with pytest.raises(OutcomeUnknown):
                await world.connection.place_order(leave())
        assert (await world.control("accounts"))["someone"]["closed"][0]["status"] == "LIQUIDATED"


async def test_rows_that_only_look_like_the_exit_are_not_believed(
    tmp_path: Path, quick_looks: None
) -> None:
    async with mudrex_world(
        tmp_path, drill=drill(closing_row="never", closed_rows_late_s=60.0)
    ) as world:
        position = await opened(world)
        now = world.context.clock.now()
        base: dict[str, Any] = {
            "created_at": f"{now + timedelta(seconds=2):%Y-%m-%dT%H:%M:%SZ}",
            "order_type": "SHORT",
            "quantity": "0.01",
            "filled_quantity": "0.01",
            "position_id": position,
            "reason": None,
        }
        looks = (
            {"position_id": "another"},
            {"quantity": "0.02", "filled_quantity": "0.02"},
            {"order_type": "LONG"},
            {"client_order_id": "x"},
            {"symbol": "ETHUSDT"},
            {"status": "PARKED"},
            {"created_at": "2026-01-05T08:00:00Z"},
            {"position_id": None, "future_position_uuid": None},
        )
        rows = [
            {**order_row(id=f"look-{number}"), **base, **each} for number, each in enumerate(looks)
        ]
        await world.control(
            "rows",
            account="someone",
            list="history",
            rows=[{key: _plain(value) for key, value in row.items()} for row in rows],
        )
        with pytest.raises(OutcomeUnknown):
            await world.connection.place_order(leave())


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


# Nothing foreign stops an exit


async def test_rows_that_nobody_has_ever_seen_stop_nothing_and_are_told(tmp_path: Path) -> None:
    async with mudrex_world(tmp_path, drill=drill(strange_rows=True)) as world:
        await opened(world)
        assert (await world.connection.place_order(leave())).status is OrderStatus.FILLED
        report = await world.connection.fetch_account()
        assert [(each.what, each.symbol) for each in report.unreadable] == [
            ("order", "SOLUSDT")
        ] * 2
        since = world.context.clock.now() - timedelta(minutes=1)
        found = await world.connection.find_orders(BTC, since)
        assert (len(found.orders), found.complete, len(found.unreadable)) == (2, True, 2)
        foreign = await world.connection.find_orders(Symbol("SOLUSDT"), since)
        assert (foreign.orders, foreign.complete) == ((), False)


async def test_an_unreadable_position_never_looks_gone_and_can_be_closed_by_its_id(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        await opened(world)
        held = (await world.control("accounts"))["someone"]["positions"][0]
        await world.control(
            "rows", account="someone", list="positions", rows=[{**held, "leverage": "high"}]
        )
        report = await world.connection.fetch_account()
        assert (
            report.positions,
            [(each.what, each.id, each.symbol) for each in report.unreadable],
        ) == ((), [("position", held["id"], BTC)])
        assert (await world.connection.place_order(leave())).status is OrderStatus.FILLED


@pytest.mark.parametrize(
    "strange",
    [
        {"symbol": None},
        {"symbol": "BTCUSDT", "order_type": "BOTH", "id": "p"},
        {"symbol": "BTCUSDT"},
        5,
    ],
)
async def test_a_row_that_could_be_the_position_is_never_told_as_not_open(
    tmp_path: Path, strange: object
) -> None:
    async with mudrex_world(tmp_path) as world:
        await world.control("rows", account="someone", list="positions", rows=[strange])
        with pytest.raises(NotExecuted, match="could be the one in BTCUSDT"):
            await world.connection.place_order(leave())
        await world.control(
            "rows",
            account="someone",
            list="positions",
            rows=[{"symbol": "ETHUSDT", "order_type": "BOTH", "id": "p"}],
        )
        with pytest.raises(Rejected):
            await world.connection.place_order(leave())
        assert world.simulator.orders == []


# The owner's position in the place of ours


@pytest.mark.parametrize("whole", [True, False])
async def test_an_exit_of_a_position_that_is_gone_leaves_the_owners_next_one_alone(
    tmp_path: Path, whole: bool
) -> None:
    async with mudrex_world(tmp_path) as world:
        ours = await opened(world)
        named = replace(leave(whole=whole), position_id=ours)
        await world.control("owner", account="someone", act="close", symbol="BTCUSDT")
        for act in ({}, {"act": "open", "side": "LONG", "quantity": "0.03"}):
            if act:
                await world.control("owner", account="someone", symbol="BTCUSDT", **act)
            orders = len(world.simulator.orders)
            with pytest.raises(Rejected, match=f"position {ours} is not open") as refused:
                await world.connection.place_order(named)
            assert refused.value.kind is RejectionKind.POSITION_NOT_OPEN
            assert len(world.simulator.orders) == orders
        (theirs,) = (await world.connection.fetch_account()).positions
        assert (theirs.quantity, theirs.id != ours) == (Decimal("0.03"), True)
        closed = await world.connection.place_order(
            replace(leave("0.03", whole=whole), position_id=theirs.id)
        )
        assert (closed.status, closed.position_id) == (OrderStatus.FILLED, theirs.id)


async def test_a_whole_exit_leaves_what_the_owner_added_since_the_last_reading(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        named = replace(leave(), position_id=await opened(world))
        await world.control(
            "owner", account="someone", act="add", symbol="BTCUSDT", quantity="0.05"
        )
        closed = await world.connection.place_order(named)
        assert (closed.status, closed.filled_quantity) == (OrderStatus.FILLED, Decimal("0.01"))
        (left,) = (await world.connection.fetch_account()).positions
        assert (left.id, left.quantity) == (named.position_id, Decimal("0.05"))


async def test_a_whole_exit_closes_what_is_left_where_a_part_went_since_the_last_reading(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        named = replace(leave("0.02"), position_id=await opened(world, "0.02"))
        await world.control(
            "owner", account="someone", act="close", symbol="BTCUSDT", quantity="0.015"
        )
        closed = await world.connection.place_order(named)
        assert (closed.status, closed.filled_quantity) == (OrderStatus.FILLED, Decimal("0.005"))
        assert (await world.connection.fetch_account()).positions == ()


async def test_a_whole_exit_whose_position_has_no_readable_quantity_closes_no_more_than_its_own(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        await opened(world, "0.06")
        held = (await world.control("accounts"))["someone"]["positions"][0]
        await world.control(
            "rows", account="someone", list="positions", rows=[{**held, "quantity": "many"}]
        )
        closed = await world.connection.place_order(leave())
        assert (closed.status, closed.filled_quantity) == (OrderStatus.FILLED, Decimal("0.01"))
        held = (await world.control("accounts"))["someone"]["positions"][0]
        assert Decimal(held["quantity"]) == Decimal("0.05")


@pytest.mark.parametrize(
    ("quantity", "is_contract_read", "kind"),
    [
        ("0.0004", True, RejectionKind.BELOW_MINIMUM),
        ("0.0004", False, RejectionKind.OTHER),
        ("0.0015", True, RejectionKind.OTHER),
    ],
)
async def test_a_size_that_is_refused_is_too_small_only_where_the_contract_says_so(
    tmp_path: Path, quantity: str, is_contract_read: bool, kind: RejectionKind
) -> None:
    async with mudrex_world(tmp_path) as world:
        await opened(world)
        if not is_contract_read:
            await world.fault("/futures/BTCUSDT", "refuse_503", 0)
        with pytest.raises(Rejected) as caught:
            await world.connection.place_order(leave(quantity, whole=False))
        assert caught.value.kind is kind


HELD = {"symbol": "BTCUSDT", "order_type": "LONG", "id": "row", "position_id": "P1"}


@pytest.mark.parametrize(
    ("row", "is_held", "may_be"),
    [
        (HELD, True, False),
        ({**HELD, "position_id": None, "id": "P1"}, True, False),
        ({**HELD, "position_id": "P2"}, False, False),
        ({**HELD, "position_id": "P2", "order_type": "BOTH"}, False, False),
        ({**HELD, "position_id": "P2", "symbol": None}, False, False),
        ({**HELD, "symbol": "ETHUSDT"}, False, False),
        ({**HELD, "order_type": "SHORT"}, False, False),
        ({**HELD, "order_type": "short"}, False, False),
        ({**HELD, "order_type": "long"}, True, False),
        ({**HELD, "symbol": "btcusdt"}, False, True),
        ({**HELD, "symbol": "币安人生USDT"}, False, False),
        ({**HELD, "order_type": "BOTH"}, False, True),
        ({**HELD, "symbol": None}, False, True),
        ({**HELD, "id": None}, False, True),
        ({**HELD, "position_id": 5}, False, True),
        (5, False, True),
    ],
)
def test_a_row_is_the_named_position_is_another_or_may_be_it(
    row: object, is_held: bool, may_be: bool
) -> None:
    named = replace(leave(), position_id="P1")
    assert (requests.is_held(row, named), requests.may_be_held(row, named)) == (is_held, may_be)


# What else closes, and what it leaves


async def test_a_liquidation_and_a_stop_are_told_by_the_positions_history_and_the_fees(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path, drill=drill(stop_row="leg")) as world:
        since = world.context.clock.now() - timedelta(minutes=1)
        first = await opened(world)
        await world.control("liquidate", account="someone", symbol="BTCUSDT")
        await world.enter("rx2", stop_loss=Price(Decimal(60000)))
        await world.until(
            world.connection.fetch_account,
            lambda found: any(each.stop_loss for each in found.positions),
        )
        second = (await world.connection.fetch_account()).positions[0].id
        await world.control("price", symbol="BTCUSDT", price="59000")
        told = await world.until(
            lambda: world.connection.closed_positions(since, [first, second]),
            lambda found: len(found.rows) == 2,
        )
        assert {each.position_id: each.closed_by for each in told.rows} == {
            first: ClosedBy.LIQUIDATION,
            second: None,
        }
        orders = {
            each.position_id: each
            for each in (await world.connection.find_orders(BTC, since)).orders
            if each.reduce_only
        }
        assert (orders[first].closed_by, orders[second].closed_by) == (None, ClosedBy.STOP_LOSS)
        fees = await world.until(
            lambda: world.connection.fees(since),
            lambda found: any(each.closed_by is ClosedBy.STOP_LOSS for each in found.rows),
        )
        assert fees.complete


async def test_the_owner_opens_adds_closes_turns_and_moves_money_and_the_record_knows_it(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        hand = {"account": "someone", "symbol": "BTCUSDT"}
        await world.control("owner", **hand, act="open", side="LONG", quantity="0.02")
        await world.control("owner", **hand, act="add", quantity="0.01")
        await world.control("owner", **hand, act="close", quantity="0.01")
        turned = (await world.control("owner", **hand, act="reverse"))["position"]
        assert (turned["order_type"], turned["quantity"]) == ("SHORT", "0.02")
        await world.control("transfer", account="someone", amount="-500")
        await world.control("funds", account="someone", balance="9000")
        kept = (await world.control("wallets"))["someone"]
        assert [
            each["event"] for each in kept["changes"] if each["event"] not in ("fee", "rebate")
        ] == (["deposit", "fill", "fill", "fill", "fill", "fill", "withdrawal", "deposit"])
        assert {each["by"] for each in kept["changes"] if each["event"] == "fill"} == {"owner"}
        assert sum(Decimal(each["amount"]) for each in kept["changes"]) == Decimal(kept["total"])
        balance = (await world.connection.fetch_account()).balance
        assert (balance.available, balance.total) == (9000, Decimal(kept["total"]))


async def test_a_path_that_is_none_is_refused_in_the_two_ways_that_were_recorded(
    tmp_path: Path,
) -> None:
    async with mudrex_world(tmp_path) as world:
        http = world.context.http(f"{world.url}/fapi", {"X-Authentication": "someone"})
        inside, outside = await http.get("/v1/futures/no/such/path"), await http.get("/v1/nothing")
        assert (inside.status_code, inside.json()["success"]) == (404, False)
        assert (outside.status_code, outside.json()) == (
            404,
            {"code": 404, "text": "requested resource was not found"},
        )
        assert entry().symbol == BTC
