"""Every table of moves against its picture: legs, strategies, agreements, accounts."""

from enum import Enum
from typing import Any

import pytest

from engine.decisions.order_lifecycle import MOVES as ATTEMPT_MOVES
from engine.decisions.order_lifecycle import AttemptState
from engine.domain.errors import InvalidMove
from engine.domain.leg import LEG_MOVES, LIVE_LEGS, LegState
from engine.domain.moves import require_move
from engine.domain.readiness import READINESS_MOVES, Readiness
from engine.domain.strategy import STRATEGY_MOVES, StrategyState, lets_entries_in
from engine.domain.subscription import SUBSCRIPTION_MOVES, SubscriptionState
from web.studio.strategy import STATES

PICTURES: dict[str, tuple[Any, Any, dict[str, str]]] = {
    "a leg": (
        LegState,
        LEG_MOVES,
        {
            "new": "claimed filled rejected killed expired skipped denied applied nothing_to_do",
            "claimed": "new placed rejected unknown killed expired skipped denied",
            "placed": "partially_filled filled cancelled rejected not_confirmed",
            "partially_filled": "partially_filled filled cancelled not_confirmed",
            "unknown": "placed filled cancelled rejected not_confirmed",
            "not_confirmed": "placed filled cancelled rejected new",
            "filled": "new",
            "cancelled": "new",
            "rejected": "new",
            "killed": "new",
            "expired": "new",
            "skipped": "new",
            "denied": "new",
        },
    ),
    "a strategy": (
        StrategyState,
        STRATEGY_MOVES,
        {
            "draft": "published by_link private paused retired",
            "published": "draft by_link private paused retired",
            "by_link": "draft published private paused retired",
            "private": "draft published by_link paused retired",
            "paused": "draft published by_link private retired",
            "retired": "draft published by_link private paused",
        },
    ),
    "an agreement": (
        SubscriptionState,
        SUBSCRIPTION_MOVES,
        {"active": "paused left", "paused": "active left", "left": "active paused"},
    ),
    "an account": (
        Readiness,
        READINESS_MOVES,
        dict.fromkeys(
            ("unread", "ready", "failed", "refused", "key_refused"),
            "ready failed refused key_refused",
        ),
    ),
}


@pytest.mark.parametrize("what", PICTURES)
def test_a_table_is_its_picture_and_every_other_move_is_refused(what: str) -> None:
    states, moves, picture = PICTURES[what]
    assert set(moves) == set(states)
    for old in states:
        allowed = set(picture.get(old.value, "").split())
        assert {each.value for each in moves[old]} == allowed
        for new in states:
            if new.value in allowed:
                require_move(moves, old, new, what)
            else:
                with pytest.raises(InvalidMove, match=f"{what} that is {old.value} cannot become"):
                    require_move(moves, old, new, what)


def test_a_leg_follows_its_order() -> None:
    for old, new in ((old, new) for old, states in ATTEMPT_MOVES.items() for new in states):
        assert LegState(new.value) in LEG_MOVES[LegState(old.value)], (old, new)


def test_a_leg_is_live_while_it_waits_or_an_order_of_it_is_open() -> None:
    is_open = {LegState(each.value) for each in AttemptState if each.is_open}
    assert is_open | {LegState.NEW} == LIVE_LEGS
    assert {each for each in LegState if each.is_live} == LIVE_LEGS


def test_an_exit_alone_is_reopened_after_any_end_that_an_order_can_have() -> None:
    ended = {LegState(each.value) for each in AttemptState if each.is_terminal}
    assert {each for each in LegState if LegState.NEW in LEG_MOVES[each]} == ended | {
        LegState.CLAIMED,
        LegState.NOT_CONFIRMED,
    }


def test_what_lets_entries_in_is_named() -> None:
    takes = {each for each in StrategyState if each.takes_entries}
    assert takes == {StrategyState.PUBLISHED, StrategyState.BY_LINK, StrategyState.PRIVATE}
    assert {
        (old, new) for old in StrategyState for new in StrategyState if lets_entries_in(old, new)
    } == {(old, new) for old in set(StrategyState) - takes for new in takes}


@pytest.mark.parametrize("state", [SubscriptionState.CONSENT, SubscriptionState.STRATEGY_PAUSED])
def test_no_agreement_is_stored_as_what_its_strategy_says(state: Enum) -> None:
    assert not any(state in each for each in SUBSCRIPTION_MOVES.values())


def test_the_studio_has_words_for_every_state_in_the_order_of_the_enum() -> None:
    assert list(STATES) == [each.value for each in StrategyState]
