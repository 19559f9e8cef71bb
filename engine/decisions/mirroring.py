"""Whether an accepted signal will reach anybody's exchange, and if not, why: the sender is told at
once. Pure.

It is asked once, in the transaction that records the signal, so that the answer, a repeated answer
and the master's pages agree. It covers all followers together; each copy's own outcome may still be
a refusal for reasons of one account.
"""

from dataclasses import dataclass
from typing import Final

from engine.domain.signal import Action, SignalDraft

_NOBODY: Final = "nobody follows the strategy"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The state when a signal arrives: whether entries are switched off for all its followers, and
    the greatest entry age that any allows.

    ``held``: nothing of any kind is sent now; entries that arrive meanwhile are never sent, exits
    wait.
    """

    entries_off: bool
    entry_age_s: int
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The followers that a signal reaches.

    ``copies`` counts its copies. ``is_on``: the strategy takes entries. ``takes_entries``: some
    subscription copies live entries in this contract now; ``takes_at_age``: one of those takes an
    entry of this age. ``holds``: an account holds something of the strategy in the contract, or is
    about to; ``is_before``: all of that comes after this signal in the order. ``is_late``: an exit
    ordered after its entry is recorded.
    """

    copies: int
    is_on: bool
    takes_entries: bool
    holds: bool
    is_before: bool
    is_late: bool
    takes_at_age: bool = True


def why_not_mirrored(
    draft: SignalDraft, age_s: float, now: Circumstances, reach: Reach
) -> str | None:
    """Return why no exchange will see an order of this signal; None if one may."""
    if draft.is_test:
        return "it is a test: it is planned and reported, and never sent"
    if draft.action.is_only_entry:
        return _entry(draft, age_s, now, reach)
    leaves = _exit(draft, reach)
    if draft.action is Action.REVERSE and leaves is not None:
        return _entry(draft, age_s, now, reach)
    return leaves


def _entry(draft: SignalDraft, age_s: float, now: Circumstances, reach: Reach) -> str | None:
    if reach.is_late:
        return (
            f"a later exit of {draft.symbol} is recorded: by its seq, its time or its position "
            "this entry is the older one"
        )
    if age_s > now.entry_age_s:
        return (
            f"the entry came too late: it is {age_s:.1f} s old, and the limit is "
            f"{now.entry_age_s} s"
        )
    if not reach.is_on:
        return "the strategy is a draft, paused or retired: it takes no entries"
    if now.held:
        return (
            "nothing is sent until the operator has confirmed a restored ledger, and entries that "
            "arrive meanwhile are never sent"
        )
    if now.entries_off:
        return "new entries are switched off"
    if not reach.copies:
        return _NOBODY
    if not reach.takes_entries:
        return (
            f"no follower copies entries in {draft.symbol} now: each has paused, left, only "
            "watches, or has not agreed to what it asks"
        )
    if not reach.takes_at_age:
        return (
            f"the entry came too late: it is {age_s:.1f} s old, older than every follower's own "
            "limit"
        )
    return None


def _exit(draft: SignalDraft, reach: Reach) -> str | None:
    if not reach.copies:
        return _NOBODY
    if not reach.holds:
        return f"no follower holds anything of the strategy in {draft.symbol}"
    if reach.is_before:
        return f"by its seq it is older than the entry that is held in {draft.symbol}"
    return None
