"""The state of an account in one word and one sentence: what a trader sees first. Pure; it chooses
words, never orders.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from engine.decisions.explaining import FailingLeg
from engine.decisions.routing import EXIT
from engine.domain.holding import Switch, SwitchLevel
from engine.domain.preflight import CheckItem, Level


class AccountState(Enum):
    """Account states from safe to serious; of several accounts the worst is shown first."""

    NOTHING_YET = "nothing yet"
    COPYING = "copying"
    PAUSED = "entries paused"
    REDUCE_ONLY = "reduce only"
    NEEDS_YOU = "needs you"

    @property
    def rank(self) -> int:
        """Return the rank of the state, from safe to serious."""
        return list(AccountState).index(self)

    @property
    def is_up_to_the_owner(self) -> bool:
        """Return whether nothing goes on until the owner acts."""
        return self is AccountState.NEEDS_YOU


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What is known about an account.

    ``switches`` apply to the whole account. ``problem`` is why it cannot be read. ``foreign``
    counts orders with our mark that the ledger lacks. ``unproven`` counts orders without trace that
    a person must look at. ``check`` is its last check. ``live_agreements`` counts the strategies
    whose entries it copies now, ``stopped`` those whose entries it does not. ``open_shares`` counts
    what the engine opened and has not closed, ``ending`` the resting entries that are being
    cancelled. ``waiting`` names the late orders, and since when they are late. ``failing`` has
    the exits, and the moves of a stop or target, that go on failing.
    """

    connected: bool
    problem: str
    foreign: int
    quarantined: bool
    unproven: int
    switches: Sequence[Switch]
    check: Sequence[CheckItem]
    live_agreements: int
    watching: int
    stopped: int = 0
    open_shares: int = 0
    ending: int = 0
    waiting: str = ""
    failing: Sequence[FailingLeg] = ()


@dataclass(frozen=True, slots=True)
class StateTold:
    """A state, its reason, and what to do (empty if nothing is to be done)."""

    state: AccountState
    why: str
    do: str = ""


def account_state(facts: AccountFacts) -> StateTold:
    """Return the state of an account, with what is being cancelled and what is late about it."""
    state = _state(facts)
    why = state.why
    if facts.ending:
        entries = "resting entry is" if facts.ending == 1 else "resting entries are"
        why = f"{why} {facts.ending} {entries} being cancelled."
    return replace(state, why=f"{why} {facts.waiting}." if facts.waiting else why)


def _failing(legs: Sequence[FailingLeg]) -> StateTold:
    """Return what goes on failing, and what its owner can do at the exchange."""
    said = "; ".join(
        f"{'Closing' if each.kind == EXIT else 'Moving stop and target of'} {each.symbol} failed "
        f"{each.tries} times, the last time: {each.problem}"
        for each in legs
    )
    exits = sum(1 for each in legs if each.kind == EXIT)
    do = ["close the position" if exits == 1 else "close the positions"] if exits else []
    do += ["set stop and target"] if exits < len(legs) else []
    they, do_not = ("It is", "it cannot") if len(legs) == 1 else ("They are", "they cannot")
    return StateTold(
        AccountState.NEEDS_YOU,
        f"{said}. {they} tried again at least once a minute.",
        f"If {do_not} wait, {' and '.join(do)} at the exchange.",
    )


def _by(switch: Switch) -> str:
    """Return who set a switch, and who alone resumes what is not the owner's."""
    who = f"Switched for {switch.label} by {switch.set_by}"
    who = f"{who}: {switch.note}." if switch.role else f"{who}."
    return who if switch.is_owners else f"{who} Only the operator resumes it."


def _state(facts: AccountFacts) -> StateTold:
    """Return the first state that applies of: what needs the owner, what a person switched, what is
    agreed.
    """
    if facts.problem:
        return StateTold(
            AccountState.NEEDS_YOU,
            f"The exchange account cannot be read: {facts.problem}",
            "If the exchange refuses the key, replace it.",
        )
    if facts.unproven:
        orders = "an order" if facts.unproven == 1 else f"{facts.unproven} orders"
        return StateTold(
            AccountState.NEEDS_YOU,
            f"The exchange does not show {orders} that we sent; nothing is repeated.",
            "Look at the account there.",
        )
    if facts.foreign:
        orders = "An order carries" if facts.foreign == 1 else f"{facts.foreign} orders carry"
        return StateTold(
            AccountState.NEEDS_YOU,
            f"{orders} our mark at the exchange and are not in the records here, so no new "
            "entries are copied; closes still are.",
            "The operator was told, and must look at it.",
        )
    if facts.failing:
        return _failing(facts.failing)
    stops = next((each for each in facts.check if each.level is Level.STOPS_ENTRIES), None)
    level = max((each.level.rank for each in facts.switches), default=0)
    if level >= SwitchLevel.REDUCE.rank:
        widest = max(facts.switches, key=lambda each: each.level.rank)
        by = _by(widest)
        if widest.level is not SwitchLevel.FLATTEN:
            return StateTold(AccountState.REDUCE_ONLY, f"Positions can only shrink. {by}")
        if not facts.open_shares:
            return StateTold(
                AccountState.PAUSED,
                f"Flat: nothing that the engine opened is left, and no new entries are taken. {by}",
            )
        return StateTold(AccountState.REDUCE_ONLY, f"What the engine opened is being closed. {by}")
    if level:
        first = facts.switches[0]
        return StateTold(
            AccountState.PAUSED,
            f"No new entries; closes are still copied. {_by(first)}",
        )
    if facts.quarantined:
        return StateTold(
            AccountState.PAUSED,
            "This account's task kept failing, so it takes no new entries; exits go on.",
            "The operator was told.",
        )
    if stops is not None and facts.live_agreements:
        return StateTold(AccountState.NEEDS_YOU, f"{stops.about}: {stops.sentence}.", stops.do)
    if facts.live_agreements:
        return StateTold(AccountState.COPYING, "New signals are copied under your terms.")
    if facts.stopped:
        many = (
            "A strategy that you follow takes"
            if facts.stopped == 1
            else f"{facts.stopped} strategies that you follow take"
        )
        return StateTold(
            AccountState.PAUSED,
            f"{many} no new entries now: paused, retired, or its terms wait for "
            "you. Closes are still copied.",
        )
    if facts.watching:
        return StateTold(
            AccountState.NOTHING_YET,
            "You are watching: signals are planned for you, and no order is sent.",
            "Go live on a strategy.",
        )
    return StateTold(
        AccountState.NOTHING_YET, "No strategy is followed with this account.", "Choose a strategy."
    )
