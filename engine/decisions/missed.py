"""Count by week which entries an account missed, why, and what they would have come to. Pure.

Weeks begin on Monday in the reader's time zone. An entry counts as copied when its order filled, if
only in part, or still rests, and as missed when a signal would have opened something and nothing of
it filled; what the account already held, tests, and orders whose fate is not known, are neither.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import reduce
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from engine.domain.amounts import EXACT
from engine.domain.outcome import Outcome, OutcomeCode

_COPIED: Final = frozenset(
    {OutcomeCode.FILLED, OutcomeCode.PARTIALLY_FILLED, OutcomeCode.PLACED, OutcomeCode.APPLIED}
)
_NOT_MISSED: Final = frozenset(
    {
        OutcomeCode.SKIPPED_TEST,
        OutcomeCode.SKIPPED_ALREADY_OPEN,
        OutcomeCode.SKIPPED_NOT_OPEN,
        OutcomeCode.SKIPPED_NOTHING_TO_CLOSE,
        OutcomeCode.NOTHING_TO_DO,
        OutcomeCode.UNKNOWN,
        OutcomeCode.NOT_CONFIRMED,
    }
)

_Why = tuple[OutcomeCode, str, str, str, str]
"""A code, and the account, environment, strategy's id and name that it was on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOutcome:
    """What became of one entry signal on one account; ``signal`` is the ledger's number of it."""

    signal: int
    at: datetime
    outcome: Outcome
    account: str
    environment: str
    strategy_id: str
    strategy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """How often entries of one strategy were missed on one account for one reason.

    ``result`` is what ``known`` of them would have come to; None if that is known of none.
    """

    code: OutcomeCode
    account: str
    environment: str
    strategy_id: str
    strategy: str
    count: int
    known: int
    result: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedWeek:
    """One week: ``copied`` and ``missed`` entries, the most frequent reason first."""

    monday: date
    copied: int
    missed: int
    reasons: tuple[Reason, ...]


def was_copied(code: OutcomeCode, *, has_filled: bool) -> bool | None:
    """Return whether an entry with this outcome was copied, False if it was missed, None if neither;
    ``has_filled``: something of its order filled.
    """
    if code in _COPIED or has_filled:
        return True
    return None if code in _NOT_MISSED else False


def is_copied(outcome: Outcome) -> bool:
    """Return whether an entry with this outcome was copied."""
    return was_copied(outcome.code, has_filled=outcome.has_filled) is True


def is_missed(outcome: Outcome) -> bool:
    """Return whether an entry with this outcome was missed."""
    return was_copied(outcome.code, has_filled=outcome.has_filled) is False


def missed_by_week(
    entries: Iterable[EntryOutcome],
    zone: str,
    results: Mapping[tuple[str, int], Decimal] = MappingProxyType({}),
) -> list[MissedWeek]:
    """Return the weeks with entries, newest first. ``results`` is by account and signal what a missed
    entry would have come to.
    """
    tz = ZoneInfo(zone)
    copied: Counter[date] = Counter()
    missed: dict[date, dict[_Why, list[Decimal | None]]] = {}
    for each in entries:
        code = each.outcome.code
        is_copied = was_copied(code, has_filled=each.outcome.has_filled)
        if is_copied is None:
            continue
        day = each.at.astimezone(tz).date()
        monday = day - timedelta(days=day.weekday())
        reasons = missed.setdefault(monday, {})
        if is_copied:
            copied[monday] += 1
        else:
            why = (code, each.account, each.environment, each.strategy_id, each.strategy)
            result = results.get((each.account, each.signal))
            reasons.setdefault(why, []).append(result)
    return [
        MissedWeek(
            monday=monday,
            copied=copied[monday],
            missed=sum(len(each) for each in missed[monday].values()),
            reasons=tuple(
                _reason(why, found)
                for why, found in sorted(
                    missed[monday].items(),
                    key=lambda each: (-len(each[1]), each[0][0].value, each[0][1:]),
                )
            ),
        )
        for monday in sorted(missed, reverse=True)
    ]


def _reason(why: _Why, found: Sequence[Decimal | None]) -> Reason:
    code, account, environment, strategy_id, strategy = why
    known = [each for each in found if each is not None]
    return Reason(
        code=code,
        account=account,
        environment=environment,
        strategy_id=strategy_id,
        strategy=strategy,
        count=len(found),
        known=len(known),
        result=reduce(EXACT.add, known) if known else None,
    )
