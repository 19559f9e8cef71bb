"""The rehearsed restore reads again while orders that were in flight in the backup are looked up."""

from collections.abc import Iterator, Sequence
from itertools import chain, count, repeat
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from rexalgo.drills.restoring import READ_WITHIN_S, _steady_plans


def plan(words: str) -> list[dict[str, Any]]:
    return [{"account": "f", "problem": "", "not_compared": [], "steps": [{"differs": words}]}]


def engine_that_tells(words: Iterator[str]) -> Any:
    async def run(method: str, params: object) -> dict[str, Any]:
        return {"accounts": plan(next(words))}

    return SimpleNamespace(commands=SimpleNamespace(run=run))


@pytest.mark.parametrize(
    ("told", "last"),
    [
        (("ours",), "ours"),
        (("looked up", "ours"), "ours"),
        (("looked up", "looked up too", "ours"), "ours"),
    ],
)
async def test_a_plan_is_steady_once_two_readings_say_the_same(
    told: Sequence[str], last: str, autojump_clock: MockClock
) -> None:
    engine = engine_that_tells(chain(told, repeat(last)))
    assert await _steady_plans(engine) == (plan(last), plan(last))
    assert trio.current_time() < READ_WITHIN_S


async def test_a_plan_that_never_settles_is_told_as_it_is(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    first, second = await _steady_plans(engine_that_tells(map(str, count())))
    assert first != second
    assert READ_WITHIN_S < trio.current_time() - began < READ_WITHIN_S + 10
