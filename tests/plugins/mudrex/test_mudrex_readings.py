"""Complete readings: lists that the exchange cuts, with different meanings of the offset, and with
unreadable rows.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from recorded_rows import (
    AT,
    OTHER,
    POSITION,
    closed_row,
    fee_row,
    leg_row,
    order_row,
    position_row,
    stamp,
    uuid7,
)

from plugins.mudrex.readings import CLOSED, FEES, ORDER_HISTORY, ORDERS, POSITIONS, Readings
from rexalgo import ExchangeError, Symbol

BTC = Symbol("BTCUSDT")
Offset = Callable[[list[dict[str, Any]], int], list[dict[str, Any]]]


def counted(rows: list[dict[str, Any]], offset: int) -> list[dict[str, Any]]:
    """Read an offset as a number of rows."""
    return rows[offset:]


def as_time(rows: list[dict[str, Any]], offset: int) -> list[dict[str, Any]]:
    """Read an offset as the newest time in milliseconds."""
    until = datetime.fromtimestamp(offset / 1000, UTC).isoformat()
    return [
        each for each in rows if not offset or each["created_at"].replace("Z", "+00:00") <= until
    ]


def passed_over(rows: list[dict[str, Any]], offset: int) -> list[dict[str, Any]]:
    """Ignore the offset."""
    return rows


class Lists:
    """Lists, newest first, of an exchange that gives at most ``cap`` rows and reads the offset in
    one way.
    """

    def __init__(
        self, cap: int = 1000, offset: Offset = counted, **lists: list[dict[str, Any]]
    ) -> None:
        self.requests = 0
        self._cap = cap
        self._offset = offset
        self._lists = lists

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one page."""
        self.requests += 1
        names = {
            ORDERS: "resting",
            ORDER_HISTORY: "orders",
            POSITIONS: "positions",
            CLOSED: "closed",
            FEES: "fees",
        }
        rows = self._offset(
            self._lists.get(names[request.url.path], []), int(request.url.params.get("offset", 0))
        )
        page = rows[: min(self._cap, int(request.url.params.get("limit", 20)))]
        return httpx.Response(200, content=json.dumps({"success": True, "data": page}, default=str))

    @property
    def readings(self) -> Readings:
        """Return the readings under test."""
        return Readings(
            httpx.AsyncClient(transport=httpx.MockTransport(self), base_url="http://exchange")
        )


def orders(count: int, newest_s: int = 100, **changes: Any) -> list[dict[str, Any]]:
    """Return order rows, one a second, the newest first."""
    return [
        order_row(
            id=uuid7(second * 1000, 1),
            created_at=stamp(second),
            updated_at=stamp(second),
            **changes,
        )
        for second in range(newest_s, newest_s - count, -1)
    ]


async def test_a_history_that_reaches_back_is_complete_with_one_page() -> None:
    lists = Lists(cap=20, orders=orders(50))
    found = await lists.readings.orders_since(BTC, AT + timedelta(seconds=90))
    assert (len(found.orders), found.complete, lists.requests) == (
        12,
        True,
        2,
    )  # the second before counts: times are rounded


@pytest.mark.parametrize("cap", [1, 5, 19, 20, 1000])
async def test_a_short_history_is_complete_where_nothing_stands_behind_it(cap: int) -> None:
    few = Lists(cap=cap, orders=orders(4))
    found = await few.readings.orders_since(BTC, AT)
    assert (len(found.orders), found.complete) == (4, True)


@pytest.mark.parametrize(
    ("cap", "offset", "found", "complete"),
    [
        (20, counted, 100, False),
        (20, passed_over, 20, False),
        (20, as_time, 20, False),
        (1000, counted, 120, True),
        (1000, as_time, 120, True),
        (1000, passed_over, 120, False),
    ],
)
async def test_a_page_that_was_cut_is_never_complete(
    cap: int, offset: Offset, found: int, complete: bool
) -> None:
    told = await Lists(cap, offset, orders=orders(120, 200)).readings.orders_since(BTC, AT)
    assert (len(told.orders), told.complete) == (found, complete)


async def test_legs_do_not_make_a_full_page_look_short() -> None:
    legs = [leg_row(id=uuid7(1000 * each, 2), created_at=stamp(100)) for each in range(19)]
    told = await Lists(
        20, passed_over, orders=[*orders(1), *legs, *orders(5, 90)]
    ).readings.orders_since(BTC, AT)
    assert (len(told.orders), told.complete) == (1, False)


async def test_an_order_that_only_rests_is_found() -> None:
    resting = order_row(status="CREATED", filled_quantity=0, filled_price=0, trigger_type="LIMIT")
    found = await Lists(resting=[resting, leg_row()]).readings.orders_since(BTC, AT)
    assert ([each.status.value for each in found.orders], found.complete) == (["open"], True)


@pytest.mark.parametrize(
    ("strange", "complete"),
    [
        ({"status": "PARKED"}, False),
        ({"status": "PARKED", "symbol": "ETHUSDT"}, True),
        ({"status": "PARKED", "symbol": ""}, False),
        ({"created_at": "soon"}, False),
        ({"created_at": "soon", "symbol": "ETHUSDT"}, True),
    ],
)
async def test_an_unreadable_order_counts_where_it_could_be_ours(
    strange: dict[str, Any], complete: bool
) -> None:
    lists = Lists(
        orders=[
            order_row(
                id=uuid7(99_000), **{"created_at": stamp(99), "updated_at": stamp(99), **strange}
            ),
            *orders(3),
        ]
    )
    found = await lists.readings.orders_since(BTC, AT + timedelta(seconds=90))
    assert (len(found.orders), len(found.unreadable), found.complete) == (3, 1, complete)


# Positions


async def test_more_positions_than_a_page_are_read_whole_or_not_at_all() -> None:
    held = [
        position_row(id=uuid7(each), position_id=uuid7(each), symbol=f"C{each}USDT")
        for each in range(45)
    ]
    assert len(await Lists(20, positions=held).readings.whole(POSITIONS)) == 45
    few = Lists(20, positions=held[:19])
    assert (len(await few.readings.whole(POSITIONS)), few.requests) == (19, 1)
    with pytest.raises(ExchangeError, match="not whether they are all"):
        await Lists(20, passed_over, positions=held).readings.whole(POSITIONS)


# Closed positions


def closed(count: int) -> list[dict[str, Any]]:
    """Return closed positions, the newest opened first, all closed at the same time."""
    made = [(each * 1000, stamp(each)) for each in range(count, 0, -1)]
    return [
        closed_row(
            id=uuid7(at, 3), position_id=uuid7(at, 4), created_at=opened, updated_at=stamp(900)
        )
        for at, opened in made
    ]


async def test_a_position_held_long_and_closed_now_is_found_far_down() -> None:
    old = closed_row(position_id=OTHER, created_at=stamp(-600), updated_at=stamp(899))
    lists = Lists(20, closed=[*closed(70), old])
    found = await lists.readings.closed_since(AT + timedelta(seconds=890), [OTHER])
    assert OTHER in [each.position_id for each in found.rows]
    assert lists.requests == 4
    now = await lists.readings.closed_now(OTHER)
    assert now is not None
    assert now.closed_at == AT + timedelta(seconds=899)
    assert await lists.readings.closed_now(uuid7(200_000)) is None
    assert lists.requests == 4 + 4 + 1
    assert not (await lists.readings.closed_since(AT, [])).complete
    assert (
        await Lists(20, closed=[*closed(30), old]).readings.closed_since(AT, [uuid7(-700_000)])
    ).complete


async def test_looking_for_a_position_ends_where_only_older_ones_follow() -> None:
    older = [
        closed_row(id=uuid7(each), position_id=OTHER, created_at=stamp(-90), updated_at=stamp(-80))
        for each in range(80)
    ]
    lists = Lists(20, closed=[*closed(30), *older])
    found = await lists.readings.closed_since(
        AT + timedelta(seconds=60), [POSITION]
    )  # its row is not born yet
    assert (
        POSITION in [each.position_id for each in found.rows],
        found.complete,
        lists.requests,
    ) == (False, False, 2)
    assert {each.closed_at for each in found.rows} == {AT + timedelta(seconds=900)}
    assert found.lacks == {POSITION}


async def test_a_position_is_lacking_only_if_every_row_says_which_one_it_is_about() -> None:
    unread = closed_row(position_id=POSITION, status="MOVED", updated_at=stamp(900))
    nameless = closed_row(position_id=None, created_at=stamp(1), updated_at=stamp(900))
    for rows in ([*closed(30), unread], [*closed(30), nameless], [*closed(30), "what?"]):
        found = await Lists(closed=rows).readings.closed_since(AT, [POSITION])
        assert found.lacks == set()
        assert not found.proves_open(POSITION, BTC)
    there = await Lists(closed=closed(3)).readings.closed_since(AT, [POSITION])
    assert there.proves_open(POSITION, BTC)
    older = closed_row(position_id=None, created_at=stamp(-600), updated_at=stamp(-500))
    assert (await Lists(closed=[*closed(3), older]).readings.closed_since(AT, [POSITION])).lacks
    assert not (await Lists(20, closed=closed(400)).readings.closed_since(AT, [OTHER])).lacks


async def test_a_short_list_of_closed_positions_is_complete_unless_a_row_cannot_be_read() -> None:
    assert (await Lists(closed=closed(3)).readings.closed_since(AT, [])).complete
    told = await Lists(closed=[*closed(3), closed_row(status="MOVED")]).readings.closed_since(
        AT, []
    )
    assert (len(told.rows), len(told.unreadable), told.complete) == (3, 1, False)
    assert (
        await Lists(closed=[*closed(3), closed_row(status="MOVED")]).readings.closed_since(
            AT + timedelta(seconds=120), []
        )
    ).complete


# Fees


def fees(count: int) -> list[dict[str, Any]]:
    """Return fee rows, one a second, the newest first."""
    return [
        fee_row(id=uuid7(1000 * each, 5), created_at=stamp(each)) for each in range(count, 0, -1)
    ]


@pytest.mark.parametrize(
    ("cap", "offset", "count", "since_s", "complete"),
    [
        (10, counted, 40, 15, True),
        (10, counted, 40, 0, True),
        (10, counted, 80, 0, False),
        (10, passed_over, 80, 75, True),
        (10, passed_over, 80, 0, False),
        (100, passed_over, 9, 0, True),
        (1000, counted, 90, 0, True),
    ],
)
async def test_fees_are_complete_where_they_reach_back_or_end(
    cap: int, offset: Offset, count: int, since_s: int, complete: bool
) -> None:
    told = await Lists(cap, offset, fees=fees(count)).readings.fees_since(
        AT + timedelta(seconds=since_s)
    )
    assert told.complete is complete
    assert [each.at for each in told.rows] == sorted((each.at for each in told.rows), reverse=True)
    if complete:
        assert len(told.rows) == min(count, count - since_s + 1)


async def test_a_fee_that_cannot_be_read_is_told_and_only_counts_in_its_time() -> None:
    lists = Lists(fees=[*fees(3), fee_row(id=uuid7(1), fee_type="BONUS", created_at=stamp(0))])
    told = await lists.readings.fees_since(AT)
    assert (len(told.rows), told.complete, [each.what for each in told.unreadable]) == (
        3,
        False,
        ["fee"],
    )
    assert sum((each.amount for each in told.rows), Decimal(0)) == 3 * Decimal("0.09441180")
    assert (await lists.readings.fees_since(AT + timedelta(seconds=2))).complete


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b'{"success":true,"data":{}}', b'{"success":true,"data":"rows"}', b"<html>"],
)
async def test_a_list_that_cannot_be_read_raises(content: bytes) -> None:
    http = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=content)),
        base_url="http://exchange",
    )
    for call in (
        Readings(http).orders_since(BTC, AT),
        Readings(http).whole(POSITIONS),
        Readings(http).closed_since(AT, []),
        Readings(http).fees_since(AT),
    ):
        with pytest.raises(ExchangeError, match="cannot be read"):
            await call
