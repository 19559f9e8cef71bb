"""The pages of one position and of one closed trade: figures, fills and the price, of their owner
alone.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from test_web_home import SETTINGS, follow, held
from web_place import WebPlace, web_place

from engine.domain.amounts import Price
from engine.domain.identifiers import Symbol
from engine.domain.person import Role
from engine.ledger.query import fetch_one
from engine.ports.market_data import Candle
from web.chart_parts import BOTTOM, TOP
from web.price_chart import Level, Mark, price_chart
from web.traders.charts import chart_of_trade
from web.words import price, span, steps

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
D = Decimal


def candles(*closes: int) -> list[Candle]:
    """Return a candle a minute, each from the close before to its own, with wicks of 1."""
    return [
        Candle(
            Symbol("BTCUSDT"),
            60,
            NOON + number * MINUTE,
            Price(D(opened)),
            Price(D(max(opened, closed) + 1)),
            Price(D(min(opened, closed) - 1)),
            Price(D(closed)),
            D(1),
        )
        for number, (opened, closed) in enumerate(zip((closes[0], *closes), closes, strict=False))
    ]


def chart(made: list[Candle], levels: list[Level], marks: list[Mark]) -> str:
    return price_chart(made, levels, marks, "Price of BTCUSDT", "USDT", "UTC")


def test_levels_and_marks_near_the_candles_are_drawn_and_all_are_described() -> None:
    drawn = chart(
        candles(100, 110, 105),
        [Level("stop", "Stop", D(98)), Level("target", "Target", D(900))],
        [
            Mark("entry", "Entry", D("100.5"), NOON + MINUTE / 2, is_buy=True),
            Mark("master", "Master’s price", D("100.2"), NOON + MINUTE / 4),
            Mark("exit", "Exit", D(106), NOON + 3 * MINUTE, is_buy=False),
        ],
    )
    assert drawn.count('class="level stop"') == 1
    assert 'class="level target"' not in drawn, "it would flatten the candles"
    assert all(drawn.count(f'class="mark {kind}"') == 1 for kind in ("entry", "master", "exit"))
    assert '<svg x="100.00%"' in drawn, "an exit at the end is on the edge"
    description = drawn.partition("<desc")[2].partition("</desc>")[0]
    for words in (
        "3 candles of 1 min since 25 Nov 2026 12:00:00 UTC, from 99 to 111 USDT.",
        "Entry 100.5 at 25 Nov 2026 12:00:30 UTC.",
        "Master’s price 100.2",
        "Exit 106",
        "Stop 98.",
        "Outside the chart: Target.",
    ):
        assert words in description
    assert drawn.count("|open ") + drawn.count(";open ") == 3, (
        "each candle can be read by pointer and keys"
    )
    assert "open 110, high 111, low 104, 1 min from" in drawn


@pytest.mark.parametrize(("side", "entry_points_up"), [("LONG", True), ("SHORT", False)])
def test_what_was_bought_points_up_and_what_was_sold_points_down(
    side: str, entry_points_up: bool
) -> None:
    trade = SimpleNamespace(
        side=side,
        symbol="BTCUSDT",
        entry_price=D(101),
        exit_price=D(106),
        opened_at=NOON,
        closed_at=NOON + 2 * MINUTE,
    )
    closed = SimpleNamespace(trade=trade, fills=())
    past = SimpleNamespace(candles=candles(100, 110, 105))
    shown: Any = SimpleNamespace(closed=closed, past=past, price_step=None, level=lambda _: None)
    drawn = chart_of_trade(shown, "UTC")
    is_up = {
        kind: drawn.partition(f'class="mark {kind}" d="')[2].startswith("M0 2l6 10")
        for kind in ("entry", "exit")
    }
    assert is_up == {"entry": entry_points_up, "exit": not entry_points_up}


def test_every_price_of_a_chart_has_the_places_of_the_step() -> None:
    marks = [Mark("exit", "Exit", D(106), NOON)]
    levels = [Level("stop", "Stop", D(98))]
    drawn = price_chart(candles(100, 110), levels, marks, "Price", "USDT", "UTC", D("0.1"))
    for words in (
        "from 99.0 to 111.0 USDT",
        "Exit 106.0 at",
        "Stop 98.0",
        "open 100.0, high 111.0",
    ):
        assert words in drawn


def test_of_many_fills_the_first_are_described() -> None:
    marks = [Mark("entry", "Entry", D(100), NOON) for _ in range(30)]
    assert "And 22 more." in chart(candles(100, 110), [], marks)


def test_rising_and_falling_candles_differ_by_more_than_colour() -> None:
    drawn = chart(candles(100, 110, 105), [], [])
    rising, falling = (
        drawn.partition(f'class="{kind}" d="')[2].partition('"')[0]
        for kind in ("rising", "falling")
    )
    assert (rising.count("M"), falling.count("M")) == (2, 1)


def test_the_texts_of_levels_do_not_lie_on_each_other() -> None:
    levels = [Level("stop", f"L{number}", D(100) + D(number) / 100) for number in range(4)]
    drawn = chart(candles(100, 110), levels, [])
    assert drawn.count('x="100%" dx="6"') == 4, "they begin where the candles end"
    heights = [
        float(each.partition('y="')[2].partition('"')[0])
        for each in drawn.split('class="level-text stop"')[1:]
    ]
    assert all(abs(one - two) >= 13 for one, two in pairwise(heights))


@given(st.lists(st.integers(2, 10**6), min_size=1, max_size=30), st.integers(1, 10**7))
def test_everything_drawn_lies_in_the_plot(closes: list[int], level: int) -> None:
    drawn = chart(candles(*closes), [Level("stop", "Stop", D(level))], [])
    data = drawn.partition('data-points="')[2].partition('"')[0]
    heights = [float(each.split(";")[1]) for each in data.split("|")]
    assert all(TOP - 0.1 <= each <= BOTTOM + 0.1 for each in heights)
    assert len(heights) == len(closes)


def test_without_candles_nothing_is_drawn() -> None:
    assert chart([], [Level("stop", "Stop", D(1))], []) == ""


@pytest.mark.parametrize(
    ("value", "step", "shown"),
    [
        ("65012.34567", "0.1", "65,012.3"),
        ("65000", "0.10", "65,000.0"),
        ("0.000012", "0.0000001", "0.0000120"),
        ("65000", "10", "65,000"),
        ("65000.5", None, "65,000.5"),
        (None, "0.1", "–"),
    ],
)
def test_a_price_has_the_places_of_its_step(
    value: str | None, step: str | None, shown: str
) -> None:
    assert price(value, None if step is None else D(step)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (61, "1 min 1 s"), (3_700, "1 h 1 min"), (90_061, "1 d 1 h"), (-5, "0 s")],
)
def test_an_age_has_its_two_largest_units(seconds: int, shown: str) -> None:
    assert span(NOON, NOON + timedelta(seconds=seconds)) == shown


def test_a_column_is_aligned_by_its_finest_number_and_averages_do_not_lengthen_it() -> None:
    rows = [
        SimpleNamespace(symbol=symbol, price=price)
        for symbol, price in (
            ("BTCUSDT", "65000"),
            ("BTCUSDT", "65012.5"),
            ("ETHUSDT", "3012.333333333333"),
            ("DOGEUSDT", "0.12345"),
            ("SOLUSDT", None),
        )
    ]
    assert steps(rows, "price") == {
        "BTCUSDT": D("0.1"),
        "ETHUSDT": D("0.0001"),
        "DOGEUSDT": D("0.00001"),
    }
    assert [price("65000", D("0.1")), price("0.003", D("0.001"))] == ["65,000.0", "0.003"]


async def traded(place: WebPlace) -> tuple[Any, Any, str]:
    """Open a position on bob's account with stop, target and the master's price."""
    ada = await place.person("ada", Role.MASTER)
    strategy = await place.strategy(ada)
    bob = await place.person("bob", balance="1000")
    eve = await place.person("eve", balance="1000")
    await follow(bob, strategy, "bob", "BTCUSDT")
    await place.signal(
        strategy,
        action="open",
        symbol="BTCUSDT",
        side="LONG",
        price="64990",
        stop_loss="64500",
        take_profit="66000",
    )
    await place.until(lambda: held(place) == [("bob", "BTCUSDT")])
    with trio.fail_after(60):
        while not is_protected(place):  # a reading need not write anything: ask again
            await bob.get("/positions")
    return bob, eve, strategy


def is_protected(place: WebPlace) -> bool:
    """Return whether the newest reading of bob's account shows a position with its stop."""
    task = place.context.live.named("bob") if place.context.live else None
    report = None if task is None else task.account.report
    return report is not None and any(each.stop_loss for each in report.positions)


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_position_and_its_trade_show_the_price_to_their_owner_alone(
    tmp_path: Path, two_roles: bool
) -> None:
    async with web_place(tmp_path, SETTINGS, two_roles=two_roles) as place:
        bob, eve, strategy = await traded(place)
        await bob.get("/positions")
        assert 'href="/accounts/bob/positions/BTCUSDT"' in bob.text
        assert 'data-label="Stop, target">64,500' in bob.text
        await bob.get("/accounts/bob/positions/BTCUSDT")
        for words in (
            "Entry",
            "Mark",
            "Value",
            "Margin",
            "Liquidation",
            "open for",
            "64,990",
            "64,500",
        ):
            assert words in bob.words
        assert bob.text.count('class="chart"') == 1
        assert "Master’s price 64,990.0 at" in bob.words
        assert "Stop 64,500.0." in bob.words
        await eve.get("/accounts/bob/positions/BTCUSDT", 404)
        await bob.get("/accounts/bob/positions/ETHUSDT")
        assert "Nothing is open" in bob.words

        await place.signal(strategy, action="close", symbol="BTCUSDT")
        db = place.context.ledger.db
        settled = "SELECT id FROM trade WHERE state = 'settled'"
        await place.until(lambda: fetch_one(db, settled) is not None)
        (number,) = fetch_one(db, settled) or (0,)
        await bob.get("/performance")
        assert f'href="/performance/trades/{number}"' in bob.text
        await bob.get(f"/performance/trades/{number}")
        assert bob.text.count('class="chart"') == 1
        assert all(f'class="mark {kind}"' in bob.text for kind in ("entry", "exit", "master"))
        for path in (f"/performance/trades/{number}", "/performance/trades/999999"):
            await eve.get(path, 404)
        for wrong in ("x", "-1", "9" * 40):
            await bob.get(f"/performance/trades/{wrong}", 404)


async def test_where_there_are_no_candles_the_page_says_so(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        bob, _, _ = await traded(place)
        feed: Any = place.context.feeds["paper"]

        async def refuse(*_: object) -> None:
            raise ConnectionError("503 secret-of-the-exchange")

        feed.chart = refuse
        await bob.get("/accounts/bob/positions/BTCUSDT")
        assert "cannot be read just now" in bob.words
        assert "secret-of" not in bob.text

        async def none(*_: object) -> None:
            return None

        feed.chart = none
        await bob.get("/accounts/bob/positions/BTCUSDT")
        assert "shows no past candles, so there is no price chart" in bob.words
