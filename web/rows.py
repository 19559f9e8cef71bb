"""Outcomes and states as a person reads them: a word, a shape, a tone. Pure.

Meaning never depends on colour: each family of outcomes has its own word and its own shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from engine.views import OutcomeRow
from web.labels import setting_label


@dataclass(frozen=True, slots=True)
class Look:
    """How a family is shown; ``tone`` names a class of the style sheet, ``shape`` a drawing."""

    word: str
    tone: str
    shape: str


_LOOKS: Final = {
    "filled": Look("Filled", "good", "disc"),
    "partially_filled": Look("Partly filled", "good", "half"),
    "placed": Look("Placed", "calm", "ring"),
    "skipped": Look("Skipped", "quiet", "dash"),
    "denied": Look("Denied", "care", "square"),
    "rejected": Look("Rejected", "bad", "triangle"),
    "unknown": Look("Unknown", "bad", "diamond"),
    "not_confirmed": Look("Not confirmed", "bad", "diamond"),
    "not_executed": Look("Not executed", "quiet", "dash"),
    "residue": Look("Left open", "bad", "triangle"),
    "expired": Look("Expired", "quiet", "dash"),
    "cancelled": Look("Cancelled", "quiet", "cross"),
    "killed": Look("Stopped", "care", "square"),
    "applied": Look("Done", "good", "disc"),
    "nothing_to_do": Look("Nothing to do", "quiet", "dash"),
}
_WAITING: Final = Look("Waiting", "calm", "ring")
_STATES: Final = {
    "copying": Look("Copying", "good", "disc"),
    "entries paused": Look("Entries paused", "care", "square"),
    "reduce only": Look("Reduce only", "care", "square"),
    "needs you": Look("Needs you", "bad", "triangle"),
    "nothing yet": Look("Not copying yet", "quiet", "dash"),
}
FAMILIES: Final = tuple((name, look.word) for name, look in _LOOKS.items())
"""The families to filter by: value and word."""
_ALWAYS_COUNTED: Final = ("filled", "placed", "skipped", "denied", "rejected", "unknown")
_ACTS: Final = {"nobody": "", "you": "follower", "master": "master", "operator": "operator"}
_ENVIRONMENTS: Final = {"paper": "PAPER", "simulated": "SIMULATED", "live": "LIVE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the live page as text.

    ``copy`` is one account's copy of one signal; the newest row of a copy is its outcome.
    """

    sequence: int
    copy: str
    day: str
    time: str
    iso: str
    signal: str
    signal_short: str
    strategy: str
    action: str
    side: str
    symbol: str
    account: str
    environment: str
    environment_tone: str
    family: str
    detail: str
    look: Look
    sentence: str
    setting: str
    to_act: str
    latency: str


@dataclass(frozen=True, slots=True)
class Counter:
    """One number at the top of the live page: copies by family."""

    family: str
    look: Look
    count: int


def present(row: OutcomeRow) -> Row:
    """Return an outcome row as a person reads it; times in UTC."""
    at = row.at.astimezone(UTC)
    family, _, detail = row.code.partition(".")
    environment = row.environment.lower()
    return Row(
        sequence=row.sequence,
        copy=f"{row.signal_id}|{row.account}",
        day=at.strftime("%Y-%m-%d"),
        time=at.strftime("%H:%M:%S.") + f"{at.microsecond // 1000:03d}",
        iso=at.isoformat(timespec="milliseconds"),
        signal=row.signal_id,
        signal_short=row.signal_id if len(row.signal_id) <= 10 else row.signal_id[-8:],
        strategy=row.strategy,
        action=row.action,
        side=row.side or "",
        symbol=row.symbol,
        account=row.account,
        environment=_ENVIRONMENTS.get(environment, row.environment.upper()),
        environment_tone=environment if environment in _ENVIRONMENTS else "live",
        family=family,
        detail=detail.replace("_", " "),
        look=look_of(family),
        sentence=row.sentence,
        setting=setting_label(row.setting or ""),
        to_act=_ACTS.get(row.move, row.move),
        latency=_latency(row.latency_ms),
    )


def look_of(family: str) -> Look:
    """Return how a family is shown; one that is not listed here is shown by its own name."""
    return _LOOKS.get(family) or Look(family.replace("_", " ").capitalize(), "care", "diamond")


def count_families(newest_first: Sequence[Row]) -> list[Counter]:
    """Count copies by the family of their newest row.

    Six families are always counted, others where they occur.
    """
    newest: dict[str, str] = {}
    for row in newest_first:
        newest.setdefault(row.copy, row.family)
    counts = dict.fromkeys(_LOOKS, 0)
    for family in newest.values():
        counts[family] = counts.get(family, 0) + 1
    shown = [*_ALWAYS_COUNTED, *(family for family in counts if family not in _ALWAYS_COUNTED)]
    return [Counter(family, look_of(family), counts[family]) for family in shown]


def _latency(ms: float | None) -> str:
    if ms is None:
        return ""
    return f"{ms:.0f} ms" if ms < 10_000 else f"{ms / 1000:.1f} s"


def copy_look(code: str | None) -> Look:
    """Return how a copy's outcome is shown; None for a copy that waits to be planned."""
    return _WAITING if code is None else look_of(code.partition(".")[0])


def state_look(state: str) -> Look:
    """Return how an account's state is shown."""
    return _STATES[state]
