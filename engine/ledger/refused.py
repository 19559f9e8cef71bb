"""Deliveries that were verified and refused: alerted, bounded and folded, and read by pages and
probes.

What always holds: nothing here is about an unverified delivery; an alert names the place of the
fault and what was expected, never the body or a text of the sender; one strategy alerts about at
most ``TOLD_AN_HOUR`` different faults an hour, plus one alert that counts the rest.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from engine.domain.alert import AlertCode
from engine.domain.holding import FLATTEN_ORIGIN
from engine.domain.identifiers import StrategyId
from engine.ledger.alerts import EQUAL_WITHIN, raise_alert
from engine.ledger.codec import from_us, to_us
from engine.ledger.deliveries import NewDelivery, note_deliveries
from engine.ledger.query import Database, fetch_all, fetch_one

TOLD_AN_HOUR: Final = 5
KEPT_IN_SIGHT: Final = timedelta(hours=24)
_READ_MAX: Final = 1_000
_OTHER: Final = "other faults"
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,31}(?:[.\[][A-Za-z0-9_\]]{1,32}){0,3}")
OF_THE_SOURCE: Final = "source"
"""The field of a delivery whose signal source failed on it."""
_ANSWERS: Final = {
    "conflict": "its id was used before, with another body",
    "limited": "too many came, and this one is not sent again",
    "unavailable": "it could not be recorded here, and is not sent again",
}


def note_and_alert(db: Database, new: Sequence[NewDelivery]) -> None:
    """Record deliveries, and raise an alert of each that was verified and refused; one that reads
    like an exit wakes somebody.
    """
    note_deliveries(db, new)
    for each in new:
        if each.reads_exit is not None:
            _alert(db, each)


def _alert(db: Database, new: NewDelivery) -> None:
    row = fetch_one(
        db,
        "SELECT strategy.id, strategy.name FROM endpoint JOIN strategy ON strategy.id = "
        "strategy_id WHERE endpoint.id = ?",
        (new.endpoint,),
    )
    if row is None:
        return
    code = AlertCode.EXIT_REFUSED if new.reads_exit else AlertCode.SIGNAL_REFUSED
    place = place_of(new.field)
    expected = f"expected {new.expected or 'another body'}"
    why = _ANSWERS.get(new.kind, f"{place}: {expected}")
    if new.kind in _ANSWERS and new.expected is not None:
        why += f", {expected}"
    if new.field == OF_THE_SOURCE and new.expected is not None:
        why = new.expected
    why = why[:300]
    sameness = f"{new.endpoint} {new.kind} {place}"
    if (
        _told_within_the_hour(db, code=code, subject=row[1], at=new.at, but=sameness)
        >= TOLD_AN_HOUR
    ):
        sameness = _OTHER
    raise_alert(
        db,
        code=code,
        subject=row[1],
        details={"why": why, "held": str(shares_held(db, row[0])), "endpoint": new.endpoint},
        at=new.at,
        sameness=sameness,
    )


def place_of(field: str | None) -> str:
    """Return the place of a fault for people elsewhere: a path of short names, else "body", because
    a field's name may be anything.
    """
    return field if field is not None and _NAME.fullmatch(field) else "body"


def _told_within_the_hour(
    db: Database, code: AlertCode, subject: str, at: datetime, but: str
) -> int:
    rows = fetch_all(
        db,
        "SELECT sameness FROM alert WHERE code = ? AND subject = ? AND told_us > ? AND sameness "
        "NOT IN (?, ?)",
        (code.value, subject, to_us(at - EQUAL_WITHIN), but, _OTHER),
    )
    return len(rows)


def shares_held(db: Database, strategy: StrategyId) -> int:
    """Count the positions that a strategy holds in all accounts."""
    row = fetch_one(
        db, "SELECT count(*) FROM holding WHERE strategy_id = ? AND share != '0'", (strategy,)
    )
    return 0 if row is None else int(row[0])


def holds_short(db: Database, strategy: StrategyId) -> bool:
    """Return whether a strategy holds something short in any account."""
    return (
        fetch_one(
            db,
            "SELECT 1 FROM holding WHERE strategy_id = ? AND side = 'SHORT' AND share != '0' "
            "LIMIT 1",
            (strategy,),
        )
        is not None
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """The unsettled refusals of a strategy: how many were verified and refused, and the newest one.
    ``held``: its positions.
    """

    strategy_id: StrategyId
    strategy: str
    source: str
    reads_exit: bool
    count: int
    at: datetime
    kind: str
    field: str | None
    expected: str | None
    held: int


def unsettled_refusals(db: Database, now: datetime, strategy: str | None = None) -> list[Refused]:
    """Read what was verified, refused and still matters, of every strategy or of one: exits first,
    newest first.

    An exit matters until a later one of its strategy was taken; for an hour in any case, then for a
    day while something is held. What does not read like an exit matters for an hour.
    """
    rows = fetch_all(
        db,
        "SELECT strategy.id, strategy.name, endpoint.source, reads_exit, delivery.at_us, "
        "delivery.kind, field, expected"
        " FROM delivery INDEXED BY delivery_refused JOIN endpoint ON endpoint.id = endpoint_id"
        " JOIN strategy ON strategy.id = endpoint.strategy_id"
        " WHERE reads_exit IS NOT NULL AND delivery.at_us > ? ORDER BY delivery.at_us DESC, delivery.id DESC LIMIT ?",
        (to_us(now - KEPT_IN_SIGHT), _READ_MAX),
    )
    refusals: dict[tuple[str, bool], Refused] = {}
    for identifier, name, source, reads_exit, at_us, kind, field, expected in rows:
        key = (identifier, bool(reads_exit))
        if strategy not in (None, identifier):
            continue
        earlier = refusals.get(key)
        if earlier is None:
            refusals[key] = Refused(
                strategy_id=identifier,
                strategy=name,
                source=source,
                reads_exit=bool(reads_exit),
                count=1,
                at=from_us(at_us),
                kind=kind,
                field=field,
                expected=expected,
                held=shares_held(db, identifier),
            )
        else:
            refusals[key] = replace(earlier, count=earlier.count + 1)
    return sorted(
        (each for each in refusals.values() if _matters(db, each, now)),
        key=lambda each: (not each.reads_exit, -to_us(each.at)),
    )


def _matters(db: Database, refused: Refused, now: datetime) -> bool:
    is_new = now - refused.at <= EQUAL_WITHIN
    if not refused.reads_exit:
        return is_new
    return (is_new or refused.held > 0) and not _exit_taken_since(
        db, refused.strategy_id, refused.at
    )


def _exit_taken_since(db: Database, strategy: str, since: datetime) -> bool:
    row = fetch_one(
        db,
        "SELECT 1 FROM signal INDEXED BY signal_of_strategy WHERE strategy_id = ? AND received_us "
        "> ?"
        " AND number > coalesce((SELECT number FROM signal INDEXED BY signal_by_time WHERE "
        "received_us <= ?"
        " ORDER BY received_us DESC, number DESC LIMIT 1), 0)"
        " AND action IN ('close', 'reverse', 'reduce') AND is_test = 0"
        " AND origin != ? LIMIT 1",  # a flatten may concern one account alone
        (strategy, to_us(since), to_us(since), FLATTEN_ORIGIN),
    )
    return row is not None
