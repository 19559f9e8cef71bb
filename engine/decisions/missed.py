"""Count by week which entries an account missed, and why. Pure.

Weeks begin on Monday in the reader's time zone. An entry counts as missed when a signal would have
opened something and no order of it filled; what the account already held, tests,
and orders whose fate is not known, do not.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

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


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryOutcome:
    """What became of one entry signal on one account."""

    at: datetime
    outcome: Outcome
    account: str
    environment: str
    strategy_id: str
    strategy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """How often entries of one strategy were missed on one account for one reason."""

    code: OutcomeCode
    account: str
    environment: str
    strategy_id: str
    strategy: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedWeek:
    """One week: ``copied`` and ``missed`` entries, the most frequent reason first."""

    monday: date
    copied: int
    missed: int
    reasons: tuple[Reason, ...]


def is_missed(outcome: Outcome) -> bool:
    """Return whether an entry with this outcome was missed."""
    return not _is_copied(outcome) and outcome.code not in _NOT_MISSED


def _is_copied(outcome: Outcome) -> bool:
    return outcome.code in _COPIED or outcome.has_filled


def missed_by_week(entries: Iterable[EntryOutcome], zone: str) -> list[MissedWeek]:
    """Return the weeks with entries, newest first."""
    tz = ZoneInfo(zone)
    copied: Counter[date] = Counter()
    missed: dict[date, Counter[tuple[OutcomeCode, str, str, str, str]]] = {}
    for each in entries:
        code = each.outcome.code
        if code in _NOT_MISSED:
            continue
        day = each.at.astimezone(tz).date()
        monday = day - timedelta(days=day.weekday())
        reasons = missed.setdefault(monday, Counter())
        if _is_copied(each.outcome):
            copied[monday] += 1
        else:
            place = (each.account, each.environment, each.strategy_id, each.strategy)
            reasons[(code, *place)] += 1
    return [
        MissedWeek(
            monday=monday,
            copied=copied[monday],
            missed=missed[monday].total(),
            reasons=tuple(
                Reason(
                    code=code,
                    account=account,
                    environment=environment,
                    strategy_id=strategy_id,
                    strategy=strategy,
                    count=count,
                )
                for (code, account, environment, strategy_id, strategy), count in sorted(
                    missed[monday].items(),
                    key=lambda each: (-each[1], each[0][0].value, each[0][1:]),
                )
            ),
        )
        for monday in sorted(missed, reverse=True)
    ]
