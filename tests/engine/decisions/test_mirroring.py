"""The answer to a sender when no exchange will see an order of its signal."""

from dataclasses import replace
from typing import Any

import pytest
from decision_builders import BTC, LONG, D

from engine.decisions.mirroring import Circumstances, Reach, why_not_mirrored
from engine.domain.signal import Action, SignalDraft, SignalSize, SizeMode

ON = Circumstances(entries_off=False, entry_age_s=10)
HELD = Reach(copies=2, is_on=True, takes_entries=True, holds=True, is_before=False, is_late=False)
FLAT = replace(HELD, holds=False)


def why(
    action: Action,
    reach: Reach,
    *,
    age_s: float = 1.0,
    entries_off: bool = False,
    is_test: bool = False,
    held: bool = False,
) -> str | None:
    size = (
        SignalSize(SizeMode.FRACTION, fraction=D("0.5"))
        if action is Action.REDUCE
        else SignalSize()
    )
    more: dict[str, Any] = {"stop_loss": D("1")} if action is Action.SET_PROTECTION else {}
    draft = SignalDraft("k", action, BTC, LONG, size=size, is_test=is_test, **more)
    return why_not_mirrored(draft, age_s, replace(ON, entries_off=entries_off, held=held), reach)


@pytest.mark.parametrize("action", list(Action))
def test_what_reaches_somebody_is_mirrored(action: Action) -> None:
    assert why(action, HELD) is None
    assert "it is a test" in str(why(action, HELD, is_test=True))
    assert why(action, replace(HELD, copies=0)) == "nobody follows the strategy"


ENTRY_REASONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"is_late": True}, {}, "a later exit of BTCUSDT is recorded"),
    ({}, {"age_s": 10.4}, "the entry came too late: it is 10.4 s old, and the limit is 10 s"),
    (
        {"takes_at_age": False},
        {"age_s": 4.0},
        "the entry came too late: it is 4.0 s old, older than every follower's own limit",
    ),
    (
        {"takes_entries": False, "takes_at_age": False},
        {"age_s": 4.0},
        "no follower copies entries in BTCUSDT now",
    ),
    ({"is_on": False}, {}, "the strategy is a draft, paused or retired"),
    ({}, {"entries_off": True}, "new entries are switched off"),
    ({}, {"held": True}, "nothing is sent until the operator has confirmed a restored ledger"),
    ({"takes_entries": False}, {}, "no follower copies entries in BTCUSDT now"),
]


@pytest.mark.parametrize(("reach", "now", "words"), ENTRY_REASONS)
def test_an_entry_that_nobody_copies_says_why(
    reach: dict[str, Any], now: dict[str, Any], words: str
) -> None:
    for action in (Action.OPEN, Action.ADD):
        assert words in str(why(action, replace(HELD, **reach), **now))
    assert words in str(why(Action.REVERSE, replace(FLAT, **reach), **now))
    assert why(Action.REVERSE, replace(HELD, **reach), **now) is None  # it still closes
    assert why(Action.CLOSE, replace(HELD, **reach), **now) is None


@pytest.mark.parametrize(
    "action", [Action.CLOSE, Action.REDUCE, Action.CANCEL, Action.SET_PROTECTION]
)
def test_an_exit_with_nothing_to_close_anywhere_says_so(action: Action) -> None:
    assert why(action, FLAT) == "no follower holds anything of the strategy in BTCUSDT"
    assert "by its seq it is older than the entry" in str(
        why(action, replace(HELD, is_before=True))
    )
    assert why(Action.REVERSE, FLAT) is None
