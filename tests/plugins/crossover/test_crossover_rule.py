"""Candles -> cross -> signal: a table, and what holds of any candles."""

import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from crossover_world import BEGINNING, MINUTE, candle, candles, rule
from hypothesis import given
from hypothesis import strategies as st

from plugins.crossover.crossing import Cross, keep_closed, newest_cross, signal_of
from plugins.crossover.settings import HISTORY
from rexalgo import (
    Action,
    Candle,
    InvalidValue,
    PositionSide,
    Quantity,
    SignalSize,
    SizeMode,
    Symbol,
)

LONG, SHORT = PositionSide.LONG, PositionSide.SHORT
LATER = BEGINNING + timedelta(days=1)


@pytest.mark.parametrize(
    ("closes", "at", "side"),
    [
        ((), None, None),
        ((10, 10, 10, 10), None, None),
        ((10, 9, 8), None, None),  # the averages begin apart: nothing crossed
        ((10, 9, 8, 12), 3, LONG),
        ((10, 11, 12, 5), 3, SHORT),
        ((10, 9, 8, 12, 13, 14), 3, LONG),
        ((10, 9, 8, 12, 13, 2), 5, SHORT),
        ((10, 9, 8, 10, 9), 4, LONG),  # below, equal, above
        ((10, 9, 8, 10, 5), None, None),  # below, equal, below: it never crossed
        ((10, 9, 8, None, 12), 4, LONG),  # one missing candle: no trade, at the close before it
        ((10, 9, 8, None, None, None, 12), 6, LONG),
        ((10, 9, 8, None, None, None, None, 12), None, None),  # too long a gap: it begins anew
        ((10, 9, 8, None, None, None, None, 12, 13, 14), 9, LONG),  # and knows where it stood
    ],
)
def test_where_averages_cross(
    closes: Sequence[int | None], at: int | None, side: PositionSide | None
) -> None:
    found = newest_cross(candles(*closes), rule())
    if at is None or side is None:
        assert found is None
    else:
        close = closes[at]
        assert close is not None
        assert found == Cross(candle(at, close), side)


@pytest.mark.parametrize(
    ("sides", "crossed", "action", "side", "quantity", "position"),
    [
        ("both", LONG, Action.REVERSE, LONG, "0.02", "0.02"),
        ("both", SHORT, Action.REVERSE, SHORT, "0.02", "-0.02"),
        ("long", LONG, Action.OPEN, LONG, "0.02", "0.02"),
        ("long", SHORT, Action.CLOSE, None, None, "0"),
        ("short", SHORT, Action.OPEN, SHORT, "0.02", "-0.02"),
        ("short", LONG, Action.CLOSE, None, None, "0"),
    ],
)
def test_what_is_said_at_a_cross(
    sides: str,
    crossed: PositionSide,
    action: Action,
    side: PositionSide | None,
    quantity: str | None,
    position: str,
) -> None:
    said = signal_of(Cross(candle(3, "65000.5"), crossed), rule(sides=sides))
    closed = BEGINNING + 4 * MINUTE
    assert (said.action, said.side, said.position_after) == (action, side, position)
    assert said.size == (
        SignalSize()
        if quantity is None
        else SignalSize(SizeMode.QUANTITY, Quantity(Decimal(quantity)))
    )
    assert said.dedupe_key == "BTCUSDT-60s-20261124T120300Z"
    assert (said.sent_at, said.seq, said.price) == (closed, closed.timestamp(), Decimal("65000.5"))


def test_only_closed_candles_of_the_rule_are_kept_in_order_and_once() -> None:
    now = BEGINNING + 3 * MINUTE
    told = [
        candle(2, 12),
        candle(0, 10),
        candle(3, 99),  # not closed at now
        candle(1, 11),
        candle(1, 77),  # told again: what was told first stands
        candle(0, 99, interval_s=300),
        candle(0, 99, symbol=Symbol("ETHUSDT")),
    ]
    assert keep_closed((), told, now, rule()) == candles(10, 11, 12)
    assert keep_closed(candles(10, None, 12), [candle(1, 11)], now, rule()) == candles(10, 11, 12)
    many = [candle(number, 10) for number in range(HISTORY + 7)]
    assert keep_closed((), many, LATER, rule()) == tuple(many[-HISTORY:])


CLOSES = st.lists(st.one_of(st.none(), st.integers(1, 20)), max_size=40)


@given(closes=CLOSES, start=st.integers(0, 40), data=st.data())
def test_whoever_reads_candles_again_finds_no_other_cross(
    closes: list[int | None], start: int, data: st.DataObject
) -> None:
    """Walk candle by candle, and read all of it again at any place, from anywhere, in any order."""
    whole, by = candles(*closes), rule()
    walked: dict[str, Cross] = {}
    kept: tuple[Candle, ...] = ()
    newest: list[Cross | None] = []
    for each in whole:
        kept = keep_closed(kept, [each], LATER, by)
        newest.append(newest_cross(kept, by))
        if newest[-1] is not None:
            walked[signal_of(newest[-1], by).dedupe_key] = newest[-1]
    again = keep_closed((), data.draw(st.permutations(whole)), LATER, by)
    assert again == whole
    assert newest_cross(again, by) == (newest[-1] if newest else None)
    late = newest_cross(whole[start:], by)
    assert late is None or walked[signal_of(late, by).dedupe_key] == late


@given(closes=CLOSES)
def test_crosses_take_turns_and_their_signals_are_numbered_by_their_candles(
    closes: list[int | None],
) -> None:
    by, found = rule(), list[Cross]()
    whole = candles(*closes)
    for end in range(len(whole) + 1):
        cross = newest_cross(whole[:end], by)
        if cross is not None and cross not in found:
            assert cross.candle == whole[end - 1]
            found.append(cross)
    assert all(one.side is not other.side for one, other in pairwise(found))
    told = [signal_of(each, by) for each in found]
    numbers = [each.seq for each in told if each.seq is not None]
    assert numbers == sorted(set(numbers))
    assert len({each.dedupe_key for each in told}) == len(told)


def test_every_wrong_setting_is_told_at_once() -> None:
    wrong = {"symbol": "?", "interval_s": 0, "fast": 9, "slow": 9, "sides": "up", "quantity": "-1"}
    with pytest.raises(InvalidValue) as told:
        rule(**wrong, missing_max=True, fats=1)
    named = ["fats", "symbol", "interval_s", "fast", "sides", "quantity", "missing_max"]
    assert re.findall(r"params\.(\w+): expected", str(told.value)) == named
    assert "sides: expected one of both, long, short, found 'up'; params" in str(told.value)
    with pytest.raises(InvalidValue, match=r"^params\.slow: expected a whole .* found 'x'$"):
        rule(slow="x")
