"""Alerts that overtake each other, and alerts that repeat, from senders without numbers. Pure.

Two alerts of one moment are sent side by side and arrive in either order, with equal times to the
second or none. Then only what they say about the position shows which was first. The rules, in
doubt for closing and against entering:

- A close for which nothing was entered came before its entry. An entry of that side that follows
  within seconds, at no later time, is that entry: it is late.
- A bare ``sell`` that found nothing to close suggests that the strategy may be short: the bare
  ``buy`` behind it may be its cover, however much later it comes. It is not taken as an entry.
- An entry while the other side is recorded as entered and not closed still ends on its own side: it
  turns the position. A bare one closes.
- The close of the other side that follows within seconds came before that entry, if the entry says
  which side it came from.
- Of two entries of one moment to two sides, the first is the one at whose end the other begins. If
  that cannot be decided, the second only closes.
- A doubt about an earlier moment settles nothing in a later one: a late bare entry does not tell
  how two bare alerts of one moment were ordered, and after two entries that nobody could order two
  further ones are not ordered by where the first two left the record.
- The same bytes again within their time are a repetition. A close or a reduce is a repetition only
  while nothing that it would close was entered since; otherwise it may be meant for that. Of a
  repeated reverse, therefore, only the closing half is certain.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from engine.decisions.ordering import compare_times
from engine.domain.signal import NO_ORDER_KEY, Action, OrderKey, PositionSide, SignalDraft

SIDE_BY_SIDE: Final = timedelta(seconds=3)
"""How far apart two alerts of one moment arrive."""
_OF_ONE_EXIT: Final = timedelta(seconds=60)
"""Closes that precede another close by at most this long closed parts of the same position."""


@dataclass(frozen=True, slots=True)
class Came:
    """An alert, when it arrived, and its place in the order, empty while it has none. ``is_late``:
    its entry was not sent.
    """

    draft: SignalDraft
    at: datetime
    key: OrderKey = NO_ORDER_KEY
    is_late: bool = False


def may_matter(new: SignalDraft, at: datetime, newest_at: datetime) -> bool:
    """Return whether the alerts before it may decide the place of an alert that arrived at ``at``;
    the newest of them arrived at ``newest_at``.
    """
    return _is_bare(new) or at - newest_at <= SIDE_BY_SIDE


def has_overtaken(entry: Came, before: tuple[Came, ...]) -> bool:
    """Return whether an entry belongs, or may belong, behind what arrived after it. ``before``: the
    same sender's alerts for the contract, the newest first.
    """
    if not before:
        return False
    if before[0].draft.action.is_entry:
        return _first(entry, before) is not before[0]
    if before[0].draft.action is not Action.CLOSE:
        return False
    close, came_from = before[0], _seems_from(before[0].draft)
    # Two alerts of one moment whose order is in doubt must not settle it by an earlier doubt.
    of_one_moment = _is_of_one_moment(entry, close)
    if not _closed_nothing(before, late_counts=not of_one_moment):
        return False
    if came_from not in (None, entry.draft.side):
        return False
    if came_from is not None and _is_bare(close.draft) and _is_bare(entry.draft):
        return True
    return of_one_moment


def stands_before(new: Came, before: tuple[Came, ...]) -> bool:
    """Return whether an alert surely comes before the newest recorded one, an entry of the other
    side of the same moment.
    """
    if not before or not before[0].draft.action.is_entry:
        return False
    if new.draft.action is not Action.CLOSE:
        return new.draft.action.is_entry and _first(new, before) is new
    came_from = _came_from(new.draft)
    return (
        came_from is not None
        and before[0].draft.side is not came_from
        and _is_of_one_moment(new, before[0])
    )


def _first(entry: Came, before: tuple[Came, ...]) -> Came | None:
    """Return which came first: ``entry``, or the newest before it, also an entry. None if it cannot
    be decided.

    Two entries of one side, or of two moments, keep their order of arrival. Otherwise the first is
    the one at whose end the other begins; if both fit, the one that begins where the strategy was
    before them.
    """
    newest = before[0]
    if newest.draft.side is entry.draft.side or not _is_of_one_moment(entry, newest):
        return newest
    is_behind = _begins_at(entry.draft, newest.draft.side)
    is_ahead = _begins_at(newest.draft, entry.draft.side)
    if is_behind and is_ahead:
        older = before[1:]
        if _is_in_doubt(older):
            return None
        stood = held(tuple(each.draft for each in older if not each.is_late))
        return (
            entry
            if _begins_at(entry.draft, stood)
            else newest
            if _begins_at(newest.draft, stood)
            else None
        )
    return newest if is_behind else entry if is_ahead else None


def _is_in_doubt(before: tuple[Came, ...]) -> bool:
    """Return whether nobody knows where the strategy is after these alerts: since the newest one
    that says so, two entries of one moment came whose order could not be decided.
    """
    for at, alert in enumerate(before):
        if not alert.is_late:
            return False
        older = before[at + 1 :]
        if alert.draft.action.is_entry and older and older[0].draft.action.is_entry:
            return _first(alert, older) is None
    return False


def _begins_at(entry: SignalDraft, side: PositionSide | None) -> bool:
    """Return whether an entry says that the strategy was on ``side`` before it; None is flat."""
    facts = entry.alert
    return facts is not None and (facts.was_flat if side is None else facts.came_from is side)


def _is_of_one_moment(new: Came, recorded: Came) -> bool:
    """Return whether two alerts may have been sent at once: they arrived within seconds, and the
    second does not state a later time.
    """
    sent_at, other = new.draft.sent_at, recorded.draft.sent_at
    is_later = sent_at is not None and other is not None and compare_times(sent_at, other) > 0
    return new.at - recorded.at <= SIDE_BY_SIDE and not is_later


def _came_from(close: SignalDraft) -> PositionSide | None:
    return close.side or (None if close.alert is None else close.alert.came_from)


def _seems_from(close: SignalDraft) -> PositionSide | None:
    return _came_from(close) or (None if close.alert is None else close.alert.seems_from)


def _is_bare(draft: SignalDraft) -> bool:
    return draft.alert is not None and draft.alert.is_bare


def _closed_nothing(before: tuple[Came, ...], *, late_counts: bool) -> bool:
    """Return whether nothing is recorded that the newest alert, a close, could have closed.

    Closes shortly before it may have closed parts of the same position; bare ones may also have
    opened one on the other side. A late entry was not entered, and a late reverse closed what there
    was. With ``late_counts`` a late bare entry counts, so that a strategy that was mistaken for
    another kind is followed again.
    """
    close, *older = before
    for alert in older:
        counts = not alert.is_late or (
            late_counts and _is_bare(close.draft) and _is_bare(alert.draft)
        )
        if not counts and alert.draft.action is Action.REVERSE:
            return True
        if counts and alert.draft.action.is_entry:
            return _seems_from(close.draft) not in (None, alert.draft.side)
        if alert.draft.action is Action.CLOSE and (
            _is_bare(close.draft) or close.at - alert.at > _OF_ONE_EXIT
        ):
            return True
    return True


def as_it_stands(alert: SignalDraft, before: Iterable[SignalDraft]) -> SignalDraft:
    """Return an alert as it is meant while the other side is held. ``before``: what is recorded for
    the contract, the newest first.
    """
    if alert.action is not Action.OPEN or held(before) in (None, alert.side):
        return alert
    return alert.closing_half if _is_bare(alert) else replace(alert, action=Action.REVERSE)


def held(before: Iterable[SignalDraft]) -> PositionSide | None:
    """Return the side that was entered last and not closed since; None if there is none."""
    closed: set[PositionSide | None] = set()
    for draft in before:
        if draft.action.is_entry:
            return None if closed & {None, draft.side} else draft.side
        if draft.action is Action.CLOSE:
            closed.add(draft.side)
    return None


def would_close(again: SignalDraft, entered: SignalDraft) -> bool:
    """Return whether a repeated alert would close something that was entered since it first came."""
    if again.action in (Action.CLOSE, Action.REDUCE):
        return _came_from(again) in (None, entered.side)
    return again.action is Action.REVERSE and entered.side is not again.side
