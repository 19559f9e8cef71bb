"""A share of ``make faults`` in every test run: some seeds pass, the same seed gives the same
story, and broken guards are noticed.
"""

import logging
from collections.abc import Iterator

import pytest

from tests.faults.invariants import violations
from tests.faults.mutants import MUTANTS, try_one
from tests.faults.scenario import run_story


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Silence the log of the thousands of failures that a story makes itself."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", [1001, 1002, 1003])
def test_a_story_ends_well_whatever_fails(seed: int) -> None:
    story = run_story(seed, steps=90)
    assert violations(story.evidence) == []
    assert story.dice.hits.total() > 100


def test_the_same_seed_tells_the_same_story() -> None:
    first, again = (run_story(7, steps=40) for _ in range(2))
    assert [(row.account, row.symbol, row.created) for row in first.exchange.rows] == [
        (row.account, row.symbol, row.created) for row in again.exchange.rows
    ]
    assert first.dice.hits == again.dice.hits


@pytest.mark.parametrize(("name", "steps"), [("claim and lane", 60), ("unknown is not a no", 30)])
def test_a_guard_that_is_taken_out_is_noticed(name: str, steps: int) -> None:
    mutant = next(each for each in MUTANTS if each.name.startswith(name))
    after, what = try_one(mutant, seeds=12, steps=steps)
    assert after, f"{mutant.name} was not noticed"
    assert what
