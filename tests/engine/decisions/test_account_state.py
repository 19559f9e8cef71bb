"""The first line for a trader, and why an agreement takes no entries."""

from dataclasses import replace

import pytest
from decision_builders import NOW, entry, subscription

from engine.decisions.account_state import AccountFacts, AccountState, account_state
from engine.decisions.explaining import FailingLeg
from engine.decisions.planning import plan_entry, takes_entries
from engine.decisions.routing import EXIT, PROTECTION
from engine.domain.holding import Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import Symbol
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.preflight import CheckItem, Level
from engine.domain.subscription import Mode, SubscriptionState

POOR = CheckItem(Level.STOPS_ENTRIES, "funds", "0 are free", "pay in")
WELL = AccountFacts(
    connected=True,
    problem="",
    foreign=0,
    quarantined=False,
    unproven=0,
    switches=(),
    check=(),
    live_agreements=1,
    watching=0,
)


CLOSING = FailingLeg(EXIT, Symbol("X"), 3, "no route")
MOVING = FailingLeg(PROTECTION, Symbol("Y"), 4, "too slow")


def on(level: SwitchLevel) -> Switch:
    return Switch(
        scope=SwitchScope.ACCOUNT, target="a1", note="", set_by="ada", set_at=NOW, level=level
    )


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (WELL, AccountState.COPYING),
        (replace(WELL, live_agreements=0), AccountState.NOTHING_YET),
        (replace(WELL, live_agreements=0, watching=1), AccountState.NOTHING_YET),
        (replace(WELL, problem="Rejected: bad key"), AccountState.NEEDS_YOU),
        (
            replace(WELL, problem="Rejected: bad key", switches=(on(SwitchLevel.FLATTEN),)),
            AccountState.NEEDS_YOU,
        ),
        (replace(WELL, unproven=1), AccountState.NEEDS_YOU),
        (replace(WELL, foreign=1), AccountState.NEEDS_YOU),
        (replace(WELL, switches=(on(SwitchLevel.ENTRIES),)), AccountState.PAUSED),
        (
            replace(WELL, switches=(on(SwitchLevel.ENTRIES), on(SwitchLevel.REDUCE))),
            AccountState.REDUCE_ONLY,
        ),
        (replace(WELL, switches=(on(SwitchLevel.FLATTEN),)), AccountState.PAUSED),
        (
            replace(WELL, switches=(on(SwitchLevel.FLATTEN),), open_shares=2),
            AccountState.REDUCE_ONLY,
        ),
        (replace(WELL, live_agreements=0, stopped=1), AccountState.PAUSED),
        (replace(WELL, stopped=1), AccountState.COPYING),
        (replace(WELL, quarantined=True), AccountState.PAUSED),
        (replace(WELL, check=(POOR,)), AccountState.NEEDS_YOU),
        (
            replace(WELL, failing=[CLOSING], switches=(on(SwitchLevel.FLATTEN),)),
            AccountState.NEEDS_YOU,
        ),
        (replace(WELL, check=(POOR,), live_agreements=0), AccountState.NOTHING_YET),
    ],
)
def test_the_first_thing_that_applies_is_told(facts: AccountFacts, state: AccountState) -> None:
    told = account_state(facts)
    assert told.state is state
    assert told.why.endswith((".", "key"))


@pytest.mark.parametrize(
    ("failing", "why", "do"),
    [
        (
            [CLOSING],
            "Closing X failed 3 times, the last time: no route. It is tried again",
            "If it cannot wait, close the position at the exchange.",
        ),
        (
            [MOVING],
            "Moving stop and target of Y failed 4 times, the last time: too slow. It is tried again",
            "If it cannot wait, set stop and target at the exchange.",
        ),
        (
            [CLOSING, CLOSING],
            "no route. They are tried again",
            "If they cannot wait, close the positions at the exchange.",
        ),
        (
            [CLOSING, MOVING],
            "no route; Moving stop and target of Y failed 4 times, the last time: too slow. They are",
            "If they cannot wait, close the position and set stop and target at the exchange.",
        ),
    ],
)
def test_what_goes_on_failing_is_told_with_what_its_owner_can_do(
    failing: list[FailingLeg], why: str, do: str
) -> None:
    told = account_state(replace(WELL, failing=failing))
    assert why in told.why
    assert told.do == do


def test_flat_is_said_when_it_is_flat_and_closing_while_something_stands() -> None:
    flattened = replace(WELL, switches=(on(SwitchLevel.FLATTEN),))
    assert account_state(flattened).why.startswith("Flat: nothing that the engine opened is left")
    assert account_state(replace(flattened, open_shares=1)).why.startswith(
        "What the engine opened is being closed."
    )


@pytest.mark.parametrize(
    "facts",
    [
        WELL,
        replace(WELL, switches=(on(SwitchLevel.ENTRIES),)),
        replace(WELL, problem="Rejected: bad key"),
    ],
)
def test_what_is_late_is_told_whatever_else_is_told(facts: AccountFacts) -> None:
    told = account_state(
        replace(facts, waiting="2 orders wait to be sent, the oldest (exit) since 12:03:07 UTC")
    )
    assert told.why.endswith("2 orders wait to be sent, the oldest (exit) since 12:03:07 UTC.")
    assert told.state is account_state(facts).state


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        (0, "Switched for account a1 by ada. Only the operator resumes it."),
        (1, "1 resting entry is being cancelled."),
        (2, "2 resting entries are being cancelled."),
    ],
)
def test_how_many_resting_entries_are_being_cancelled_is_told(ending: int, told: str) -> None:
    paused = replace(WELL, switches=(on(SwitchLevel.ENTRIES),), ending=ending)
    assert account_state(paused).why.endswith(told)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (SubscriptionState.PAUSED, OutcomeCode.SKIPPED_PAUSED),
        (SubscriptionState.LEFT, OutcomeCode.SKIPPED_LEFT),
        (SubscriptionState.CONSENT, OutcomeCode.SKIPPED_CONSENT),
        (SubscriptionState.STRATEGY_PAUSED, OutcomeCode.SKIPPED_STRATEGY_OFF),
    ],
)
def test_an_agreement_that_does_not_stand_takes_no_entry_watching_or_live(
    state: SubscriptionState, code: OutcomeCode
) -> None:
    for mode in Mode:
        planned = plan_entry(replace(entry(), subscription=subscription(state=state, mode=mode)))
        assert planned == Outcome(code)
    assert takes_entries(subscription(state=state)) == Outcome(code)
    assert takes_entries(subscription()) is None
