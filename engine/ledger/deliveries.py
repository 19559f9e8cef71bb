"""The deliveries to an endpoint, for its owner: bounded, with unverified ones kept apart, so that a
stranger pushes out no genuine row.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from engine.domain.identifiers import EndpointId
from engine.ledger.codec import from_us, to_us
from engine.ledger.outcomes import write_pulse
from engine.ledger.query import Database, fetch_all, fetch_one

KEPT: Final = 1_000
KEPT_OF_STRANGERS: Final = 100
COUNTED: Final = 1_000
_STRANGER: Final = "not_authentic"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """One delivery to record. ``offset_ms``: how far the signed time was ahead of ours, None if
    nothing proved it.

    ``reads_exit`` is set for deliveries that were verified and refused: whether their words are
    those of an exit.
    """

    endpoint: EndpointId
    at: datetime
    kind: str
    field: str | None
    expected: str | None
    signal_id: str | None
    dialect: str
    offset_ms: int | None
    peer: str
    took_us: int
    reads_exit: bool | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One recorded delivery."""

    id: int
    at: datetime
    kind: str
    field: str | None
    expected: str | None
    signal_id: str | None
    dialect: str
    offset_ms: int | None
    peer: str
    took_us: int
    not_mirrored: str | None = None
    """What its sender was told: why no order of it reaches any exchange."""
    reads_exit: int | None = None
    """Whether the words of a delivery that was verified and refused are those of an exit."""
    instead: str = ""
    """A message to send in place of a refused one."""


def note_deliveries(db: Database, new: Sequence[NewDelivery]) -> None:
    """Record deliveries in this order, drop what exceeds the bounds of their kinds, and refresh
    open pages of the strategies' masters.
    """
    db.executemany(
        "INSERT INTO delivery (endpoint_id, at_us, kind, field, expected, signal_id, dialect, "
        "offset_ms, peer, took_us,"
        " reads_exit) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                each.endpoint,
                to_us(each.at),
                each.kind,
                each.field,
                each.expected,
                each.signal_id,
                each.dialect,
                each.offset_ms,
                each.peer,
                each.took_us,
                None if each.reads_exit is None else int(each.reads_exit),
            )
            for each in new
        ],
    )
    for endpoint, is_stranger in sorted({(each.endpoint, each.kind == _STRANGER) for each in new}):
        if is_stranger:
            db.execute(_PRUNE.format("="), (endpoint, KEPT_OF_STRANGERS))
        else:
            db.execute(_PRUNE.format("!="), (endpoint, KEPT))
    for newest in {each.endpoint: each for each in new}.values():
        _tell(db, newest)


def _tell(db: Database, new: NewDelivery) -> None:
    """Refresh open pages of the strategy's master after a delivery."""
    row = fetch_one(
        db,
        "SELECT strategy.name FROM endpoint JOIN strategy ON strategy.id = strategy_id WHERE "
        "endpoint.id = ?",
        (new.endpoint,),
    )
    if row is not None:
        write_pulse(db, kind="delivery", subject=f"strategy {row[0]}", data={}, at=new.at)


_PRUNE: Final = (
    "DELETE FROM delivery WHERE endpoint_id = ?1 AND kind {0} 'not_authentic' AND id <= (SELECT "
    "id FROM delivery WHERE"
    " endpoint_id = ?1 AND kind {0} 'not_authentic' ORDER BY id DESC LIMIT 1 OFFSET ?2)"
)


def deliveries(
    db: Database, endpoint: EndpointId, limit: int, before: int | None = None
) -> list[DeliveryRow]:
    """Read an endpoint's deliveries, newest first; ``before`` is the last id of the previous page."""
    rows = fetch_all(
        db,
        "SELECT delivery.id, at_us, kind, field, expected, signal_id, dialect, offset_ms, peer, "
        "took_us, not_mirrored, reads_exit FROM delivery"
        " LEFT JOIN signal ON signal.id = signal_id WHERE endpoint_id = ? AND delivery.id < ? "
        "ORDER BY delivery.id DESC LIMIT ?",
        (endpoint, 2**62 if before is None else before, limit),
    )
    return [DeliveryRow(row[0], from_us(row[1]), *row[2:]) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """Counts of deliveries since a time, of the newest ``COUNTED`` at most. ``p50_ms``: from the
    last byte to the answer.
    """

    taken: int
    repeated: int
    refused: int
    last_at: datetime | None
    p50_ms: float | None


def ingress(db: Database, since: datetime) -> Ingress:
    """Read the counts of deliveries to all endpoints since ``since``."""
    rows = fetch_all(
        db, "SELECT at_us, kind, took_us FROM delivery ORDER BY id DESC LIMIT ?", (COUNTED,)
    )
    within = [row for row in rows if row[0] >= to_us(since)]
    kinds = Counter(row[1] for row in within)
    taken, repeated = kinds["accepted"], kinds["duplicate"]
    return Ingress(
        taken=taken,
        repeated=repeated,
        refused=len(within) - taken - repeated - kinds["dry_run"],
        last_at=from_us(rows[0][0]) if rows else None,
        p50_ms=round(median(row[2] for row in within) / 1000, 1) if within else None,
    )


def refusals(db: Database, limit: int) -> list[tuple[str, str, str, DeliveryRow]]:
    """Read the newest deliveries that were not taken, of every endpoint: strategy, endpoint,
    source, and the delivery.
    """
    rows = fetch_all(
        db,
        "SELECT strategy.name, endpoint.id, endpoint.source, delivery.id, at_us, delivery.kind, "
        "field, expected, signal_id, dialect,"
        " offset_ms, peer, took_us FROM delivery JOIN endpoint ON endpoint.id = endpoint_id JOIN "
        "strategy ON strategy.id = strategy_id"
        " WHERE delivery.kind NOT IN ('accepted', 'duplicate', 'dry_run') ORDER BY delivery.id DESC LIMIT ?",
        (limit,),
    )
    return [
        (row[0], row[1], row[2], DeliveryRow(row[3], from_us(row[4]), *row[5:])) for row in rows
    ]
