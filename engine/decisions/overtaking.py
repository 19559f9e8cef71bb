"""Alerts that overtake each other, and alerts that come again, of senders that number nothing. Pure.

Two alerts of one moment are sent side by side and come in either order, with one time to the second or none. Then only what they say about
the position tells which was first. The rules, in doubt for closing and against entering:

- A close for which nothing was entered came before its entry. An entry of that side which follows within seconds, at no later time, is that
  entry: it is late.
- A bare ``sell`` that found nothing to close says that the strategy may be short: the bare ``buy`` behind it may be its cover, however much
  later it comes. It is not taken for an entry.
- An entry while the other side is recorded as entered, and no close of it, ends on its own side all the same: it turns. A bare one closes.
- The close of the other side that follows within seconds came before that entry, where it says from which side it came.
- The same bytes again within their time are a repetition. A close is one only while nothing that it would close was entered since: else it
  may be the close of that. Of a reverse that comes again so only the closing half is certain.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from engine.decisions.ordering import compare_times
from engine.domain.signal import NO_ORDER_KEY, Action, OrderKey, PositionSide, SignalDraft

SIDE_BY_SIDE: Final = timedelta(seconds=3)
"""How far apart two alerts of one moment come in."""
_OF_ONE_EXIT: Final = timedelta(seconds=60)
"""Closes that came so shortly before another one closed parts of the same position."""


@dataclass(frozen=True, slots=True)
class Came:
    """Hold an alert, when it came in, and its place in the order, empty while it has none."""

    draft: SignalDraft
    at: datetime
    key: OrderKey = NO_ORDER_KEY


def has_overtaken(entry: Came, before: tuple[Came, ...]) -> bool:
    """Tell whether an entry stands behind its own exit. ``before``: what the same sender sent for the contract, the newest first."""
    if not before or before[0].draft.action is not Action.CLOSE or not _closed_nothing(before):
        return False
    close, came_from = before[0], _came_from(before[0].draft)
    if came_from not in (None, entry.draft.side):
        return False
    if came_from is not None and _is_bare(close.draft) and _is_bare(entry.draft):
        return True
    return entry.at - close.at <= SIDE_BY_SIDE and not _told_later(entry.draft, close.draft)


def _came_from(close: SignalDraft) -> PositionSide | None:
    return close.side or (None if close.alert is None else close.alert.came_from)


def _is_bare(draft: SignalDraft) -> bool:
    return draft.alert is not None and draft.alert.is_bare


def _told_later(one: SignalDraft, other: SignalDraft) -> bool:
    """Tell whether the first one's own time is later than the other's."""
    return one.sent_at is not None and other.sent_at is not None and compare_times(one.sent_at, other.sent_at) > 0


def _closed_nothing(before: tuple[Came, ...]) -> bool:
    """Tell whether nothing is recorded that the newest alert, a close, could have closed.

    Closes shortly before it may have closed parts of the same position; bare ones may as well have opened one on the other side.
    """
    close, *older = before
    for each in older:
        if each.draft.action.is_entry:
            return _came_from(close.draft) not in (None, each.draft.side)
        if each.draft.action is Action.CLOSE and (_is_bare(close.draft) or close.at - each.at > _OF_ONE_EXIT):
            return True
    return True


def stands_before(close: Came, entry: Came) -> bool:
    """Tell whether a close came before an entry that is recorded already: it is about the other side, and of the same moment."""
    came_from = _came_from(close.draft)
    is_of_other_side = (
        entry.draft.action.is_entry and close.draft.action is Action.CLOSE and came_from is not None and entry.draft.side is not came_from
    )
    return is_of_other_side and close.at - entry.at <= SIDE_BY_SIDE and not _told_later(close.draft, entry.draft)


def as_it_stands(alert: SignalDraft, before: tuple[SignalDraft, ...]) -> SignalDraft:
    """Return an alert as it is meant where the other side is held. ``before``: what is recorded for the contract, the newest first."""
    if alert.action is not Action.OPEN or held(before) in (None, alert.side):
        return alert
    return alert.closing_half if _is_bare(alert) else replace(alert, action=Action.REVERSE)


def held(before: tuple[SignalDraft, ...]) -> PositionSide | None:
    """Return the side that was entered last and not closed since, None where there is none."""
    closed: set[PositionSide | None] = set()
    for each in before:
        if each.action.is_entry:
            return None if closed & {None, each.side} else each.side
        if each.action is Action.CLOSE:
            closed.add(each.side)
    return None


def would_close(again: SignalDraft, entered: SignalDraft) -> bool:
    """Tell whether what comes again would close what was entered since it came first."""
    if again.action is Action.CLOSE:
        return _came_from(again) in (None, entered.side)
    return again.action is Action.REVERSE and entered.side is not again.side
