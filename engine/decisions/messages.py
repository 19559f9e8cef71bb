"""What people are told: the words of each message, and when the day's digest is due. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from engine.decisions.calendar import DaySum
from engine.decisions.missed import is_missed
from engine.domain.alert import Alert
from engine.domain.amounts import money_words
from engine.domain.message import MessageKind
from engine.domain.outcome import Outcome, OutcomeCode

DIGEST_HOUR: Final = 8
"""The hour of the day, in the person's zone, from which its digest is sent."""
LINES_MAX: Final = 20
DEAD_AFTER: Final = timedelta(minutes=5)
"""How long a channel fails before it is told on the others."""
CODE_LASTS: Final = timedelta(minutes=15)
_ENTRIES: Final = ("open", "add", "reverse")


def hash_of_code(code: str) -> bytes:
    """Return what is kept of the code that confirms a channel."""
    return hashlib.sha256(code.encode()).digest()


def outcome_kind(
    action: str, outcome: Outcome, *, is_test: bool, is_of_copy: bool
) -> MessageKind | None:
    """Return what an outcome is told as; None for one that is told to nobody.

    ``is_of_copy``: it is the outcome of the copy as a whole. Another one ended a try of an exit, or
    the exit of a reverse: it says nothing about an entry.
    """
    code = outcome.code
    if is_test:
        return None
    if code is OutcomeCode.FILLED or (code.is_final and outcome.has_filled):
        return MessageKind.ORDERS
    if (
        is_of_copy
        and action in _ENTRIES
        and code is not OutcomeCode.SKIPPED_WATCH_ONLY
        and is_missed(outcome)
    ):
        return MessageKind.MISSED
    return None


def outcome_title(
    *, environment: str, account: str, action: str, symbol: str, outcome: Outcome, is_of_copy: bool
) -> str:
    """Return the headline of an outcome; for ``is_of_copy`` see ``outcome_kind``."""
    label = f"{environment.upper()} " if environment != "live" else ""
    done = "partly filled" if outcome.has_filled else "not copied"
    if outcome.code is OutcomeCode.FILLED:
        done = "filled"
    if action == "reverse" and not is_of_copy:
        action = "close to reverse"
    return f"{label}{account}: {action} {symbol} {done}"


def outcome_words(strategy: str, outcome: Outcome) -> str:
    """Return the text of an outcome."""
    return f"{strategy}: {outcome.sentence}"


def alert_words(alert: Alert) -> str:
    """Return the text of an alert for the person it concerns; what an operator types is left out."""
    return f"Done already: {alert.done}\nIf nobody acts: {alert.otherwise}"


def digest_words(
    titles: Sequence[str],
    count: int,
    results: Mapping[str, DaySum],
    span: tuple[datetime, datetime],
) -> str:
    """Return the text of a digest: per environment the trades that were closed in its span and their
    result, then the first titles of what was collected, ``count`` in all.
    """
    since, until = (f"{each.day} {each:%b %H:%M}" for each in span)
    lines = []
    for environment, each in results.items():
        closed = each.trades + each.unreconciled
        told = [f"{closed} {'trade' if closed == 1 else 'trades'} closed from {since} to {until}"]
        if each.trades:
            sign = "+" if each.result > 0 else ""
            told.append(f"{sign}{money_words(each.result)} USDT net of fees")
        if each.unreconciled:
            told.append(f"{each.unreconciled} not settled yet")
        if closed:
            lines.append(f"{environment.upper()}: {', '.join(told)}")
    lines += titles
    if count > len(titles):
        lines.append(f"and {count - len(titles)} more")
    return "\n".join(lines)


def digest_day(now: datetime, zone: str, newest: str) -> str:
    """Return the day whose digest is due, empty if none is: ``newest`` is the day of the last one.

    A day has one digest, from 8 o'clock on in the person's zone.
    """
    local = now.astimezone(ZoneInfo(zone))
    day = (local - timedelta(hours=DIGEST_HOUR)).date().isoformat()
    return day if day > newest else ""


def digest_span(zone: str, newest: str, day: str) -> tuple[datetime, datetime]:
    """Return which time the digest of a day tells of, in the person's zone: from the day of the last
    one on, however late it is, so that a closed trade is told in one digest.
    """
    last = date.fromisoformat(newest or day) - timedelta(days=not newest)
    return _begins(last, zone), _begins(date.fromisoformat(day), zone)


def digest_due(zone: str, newest: str) -> datetime:
    """Return when ``digest_day`` has a day after ``newest`` for the first time."""
    return _begins(date.fromisoformat(newest) + timedelta(days=1), zone).astimezone(UTC)


def _begins(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(DIGEST_HOUR), ZoneInfo(zone))
