"""The order of a strategy's signals: which of two is the later one, and which key a new signal
gets. Pure.

The theory. A sender may state two things about order: a number (``seq``) and a time (``sent_at``,
else that of the signature). Both may be missing, coarse or wrong, and signals may overtake each
other in transit. So order is decided once, when a signal is recorded, against what is already
recorded, and kept as a text (``OrderKey``). Every later comparison uses that text alone, which is
total and transitive, as pairwise rules would not be. A new signal comes behind everything recorded
of its strategy and contract, unless it is *late*, which only the sender's own statement can show:

- Numbers are compared within one unbroken numbering of one sender (an endpoint, a stream). A number
  that falls back while time goes on begins a new numbering: a restart (see ``numbered``).
- Times are compared if both were stated, at the coarser precision of the two; on a tie the order of
  receipt holds.
- An **entry** is late behind an exit by its number, if both have one of the same numbering, else by
  its time. A late entry is not sent anywhere: it would undo a close.
- An **exit** is late behind an entry by its number only. It then comes right before that entry. By
  its time an exit is never late: an exit recorded after an entry closes it, so that no position
  stays open because a clock is wrong or coarse, or no time was stated.
- Protection is late behind an entry like an exit, and behind other protection like an entry.

In doubt an exit counts as the later one and closes; an entry counts as the earlier one and is not
sent.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

RESENT_WITHIN: Final = timedelta(seconds=60)
"""How long a delivery may be signed again: a signature's time that is later by up to this much
proves nothing about the order.
"""
_SECOND: Final = timedelta(seconds=1)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


def precision(at: datetime) -> timedelta:
    """Return the precision of a time: a second, a millisecond or a microsecond."""
    if at.microsecond == 0:
        return _SECOND
    return _MILLISECOND if at.microsecond % 1000 == 0 else _MICROSECOND


def compare_times(one: datetime, other: datetime) -> int:
    """Compare two times at the coarser precision of the two: below 0 if ``one`` is earlier, 0 for a
    tie, above 0 if it is later.
    """
    step = max(precision(one), precision(other))
    first, second = _floored(one, step), _floored(other, step)
    return (first > second) - (first < second)


def _floored(at: datetime, step: timedelta) -> datetime:
    return at - (at - _BEGINNING) % step


# Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbering:
    """The newest numbering of one sender, as far as it is recorded.

    ``number`` counts the sender's numberings from 0. ``at`` is the time of the signal with the
    ``greatest`` seq; ``is_sent`` is whether that time was in the body (the time of signing changes
    when a delivery is sent again). ``began_at`` is the time of its first signal.
    """

    number: int
    least: int
    greatest: int
    at: datetime
    is_sent: bool
    began_at: datetime


@dataclass(frozen=True, slots=True)
class Placed:
    """The place of a seq: numbering ``number`` (None if in doubt), which ``began`` with it or
    existed before.
    """

    number: int | None
    began: bool = False


def numbered(
    seq: int, at: datetime, *, is_sent: bool, is_exit: bool, is_used: bool, newest: Numbering | None
) -> Placed:
    """Decide which numbering of its sender a seq belongs to. ``is_used``: another signal of the
    ``newest`` numbering has the same seq.

    | the seq is                 | its time                          | then                                        |
    |----------------------------|-----------------------------------|---------------------------------------------|
    | the greatest so far        | before the numbering began        | it belongs to the numbering before          |
    | the greatest so far        | any other                         | the numbering goes on                       |
    | smaller                    | earlier                           | it is late                                  |
    | smaller                    | later, both times in the body     | a new numbering began                       |
    | smaller, and was used      | not earlier                       | a new numbering began                       |
    | smaller, a time not sent   | not earlier, signed within 60 s   | it is late                                  |
    | smaller, a time not sent   | signed later                      | doubt                                       |
    | below the first one        | not earlier, signed within 60 s   | doubt                                       |
    | below the first one        | signed later                      | a new numbering began                       |

    In doubt an exit begins a new numbering, and an entry belongs to none.
    """
    if newest is None:
        return Placed(0, began=True)
    if is_sent and newest.is_sent and newest.number > 0 and compare_times(at, newest.began_at) < 0:
        return Placed(newest.number - 1)
    if seq >= newest.greatest:
        return Placed(newest.number)
    order = compare_times(at, newest.at)
    if order < 0:
        return Placed(newest.number)
    if is_used or (order > 0 and is_sent and newest.is_sent):
        return Placed(newest.number + 1, began=True)
    fills_gap, is_soon = (
        seq > newest.least or newest.greatest - seq == 1,
        at - newest.at <= RESENT_WITHIN,
    )
    if fills_gap and is_soon:
        return Placed(newest.number)
    if is_exit or (not fills_gap and not is_soon):
        return Placed(newest.number + 1, began=True)
    return Placed(None)


# Later and earlier


@dataclass(frozen=True, slots=True)
class Told:
    """What the sender of a new signal stated about order.

    ``number`` is the numbering that its ``seq`` belongs to, None if it has no seq or the numbering
    is in doubt. ``at`` is the sender's time, never after receipt, None if none was stated.
    """

    sender: str
    seq: int | None
    number: int | None
    at: datetime | None

    @property
    def is_doubtful(self) -> bool:
        """Return whether a seq was sent and its numbering is in doubt."""
        return self.seq is not None and self.number is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The newest that one sender stated in exits (or protection) of a strategy and contract: by
    number, by time with a number, and by time without one; None if there is none.
    """

    sender: str
    number: int | None
    seq: int | None
    numbered_at: datetime | None
    other_at: datetime | None


def is_late(new: Told, recorded: tuple[Newest, ...]) -> bool:
    """Return whether a new signal is, by its sender's own statement, older than one that is
    recorded.
    """
    return any(_is_behind(new, each) for each in recorded)


def _is_behind(new: Told, newest: Newest) -> bool:
    own = new.sender == newest.sender and newest.number is not None and newest.seq is not None
    if own and new.is_doubtful:
        return True
    if own and new.number is not None and new.seq is not None:
        assert newest.number is not None
        assert newest.seq is not None
        if (new.number, new.seq) < (newest.number, newest.seq):
            return True
        ties = (new.number, new.seq) == (newest.number, newest.seq)
        return _is_earlier(new.at, newest.other_at) or (
            ties and _is_earlier(new.at, newest.numbered_at)
        )
    return _is_earlier(new.at, newest.other_at) or _is_earlier(new.at, newest.numbered_at)


def _is_earlier(at: datetime | None, than: datetime | None) -> bool:
    return at is not None and than is not None and compare_times(at, than) < 0
