"""How long the turns of the loop take is measured without keeping each of them."""

import time

import pytest
import trio

from engine.actors.loop_turns import WINDOW_S, LoopTurns
from engine.live import TurnTimes


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def turn(turns: LoopTurns, hand: Hand, ms: float) -> None:
    turns.after_io_wait(0.0)
    hand.at += ms / 1000
    turns.before_io_wait(0.0)


def test_p99_and_the_longest_turn_are_known_to_a_tenth() -> None:
    hand = Hand()
    turns = LoopTurns(hand)
    for _ in range(990):
        turn(turns, hand, 1.0)
    for _ in range(9):
        turn(turns, hand, 4.0)
    turn(turns, hand, 50.0)
    told = turns.times()
    assert told.turns == 1_000
    assert told.p99_ms == pytest.approx(1.0, rel=0.1)
    assert told.longest_ms == pytest.approx(50.0, rel=0.1)
    turn(turns, hand, 4.0)
    for _ in range(10):
        turn(turns, hand, 4.0)
    assert turns.times().p99_ms == pytest.approx(4.0, rel=0.1)


def test_turns_are_forgotten_within_two_minutes() -> None:
    hand = Hand()
    turns = LoopTurns(hand)
    turn(turns, hand, 500.0)
    hand.at += WINDOW_S
    turn(turns, hand, 1.0)
    assert turns.times().longest_ms == pytest.approx(500.0, rel=0.1)
    hand.at += WINDOW_S
    turn(turns, hand, 1.0)
    assert turns.times().longest_ms == pytest.approx(1.0, rel=0.1)
    hand.at += 10 * WINDOW_S
    turn(turns, hand, 1.0)
    assert turns.times().turns == 1


def test_before_the_first_turn_there_is_nothing_to_say() -> None:
    assert LoopTurns().times() == TurnTimes(0, 0.0, 0.0)


async def test_a_task_that_computes_for_long_is_a_long_turn() -> None:
    turns = LoopTurns()
    with turns.watched():
        await trio.sleep(0.001)
        began = time.perf_counter()
        while time.perf_counter() - began < 0.03:
            pass
        await trio.sleep(0.001)
    assert turns.times().longest_ms >= 30
