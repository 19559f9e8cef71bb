"""Notes of deliveries for the owners of endpoints: none delays a sender, and none is written for
each alone.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import Final

import trio

from engine.context import OWN_PAGE
from engine.decisions.exit_reading import reads_like_exit
from engine.decisions.signatures import SIGNATURE_HEADER, SIGNATURES_HEADER
from engine.domain.errors import EngineAway
from engine.domain.identifiers import EndpointId
from engine.domain.text import for_people
from engine.ingress.endpoints import Endpoint
from engine.ledger import DiskRefused, Ledger, LedgerError
from engine.ledger.deliveries import NewDelivery
from engine.ledger.refused import OF_THE_SOURCE, holds_short
from engine.ports.signal_source import Delivery
from engine.recording import Recording
from engine.views import Reception, ReceptionKind

_LOG = logging.getLogger("rexalgo.ingress")
PROVEN_AND_REFUSED: Final = frozenset(
    (ReceptionKind.MALFORMED, ReceptionKind.INVALID, ReceptionKind.CONFLICT)
)
NOT_NOW: Final = frozenset((ReceptionKind.LIMITED, ReceptionKind.UNAVAILABLE))
UNNOTED_MAX: Final = 1_000
"""How many deliveries wait to be noted while the engine is away or the disk takes nothing; the
oldest go first.
"""
AGAIN_AFTER_S: Final = 5.0
"""How long deliveries wait that the disk did not take."""
NOTED_AFTER_S: Final = 0.1
"""How long a delivery waits for others, so that their notes share a transaction."""


class DeliveryNotes:
    """What the owners of endpoints read of their deliveries, written beside the answers."""

    def __init__(self, ledger: Ledger, recording: Recording, nursery: trio.Nursery) -> None:
        self._ledger = ledger
        self._recording = recording
        self._nursery = nursery
        self._noted_stranger: dict[str, float] = {}
        self._waiting: list[NewDelivery] = []
        self._closing = False

    def close(self) -> None:
        """Record no more deliveries for the owners of endpoints: the engine is stopping."""
        self._closing = True

    def note(
        self,
        endpoint: Endpoint,
        delivery: Delivery,
        reception: Reception,
        said_at: datetime | None,
        took_s: float,
        *,
        dry_run: bool | None,
    ) -> None:
        """Record a delivery for the endpoint's owner without delaying the sender; of unverified
        deliveries at most one per second.

        A delivery that was verified and refused also raises an alert.
        """
        if self._closing:
            return
        if reception.kind is ReceptionKind.NOT_AUTHENTIC:
            if trio.current_time() < self._noted_stranger.get(endpoint.id, 0.0) + 1.0:
                return
            self._noted_stranger[endpoint.id] = trio.current_time()
        lost = not dry_run and is_lost(endpoint, delivery, reception)
        reads_exit = (
            reads_like_exit(delivery.body, is_short=holds_short(self._ledger.db, endpoint.strategy))
            if lost
            else None
        )
        if reception.kind is ReceptionKind.LIMITED and not reads_exit:
            reads_exit = None  # entries are held back by their rate
        is_conflict = reception.kind is ReceptionKind.CONFLICT
        if is_conflict and reception.is_known and reads_exit:
            reads_exit = False  # the exit of this id is recorded
        offset = None if said_at is None else (said_at - delivery.received_at).total_seconds()
        row = NewDelivery(
            endpoint=EndpointId(endpoint.id),
            at=delivery.received_at,
            kind=reception.kind.value,
            field=None if reception.field is None else for_people(reception.field),
            expected=None if reception.expected is None else for_people(reception.expected),
            signal_id=None if is_conflict else reception.signal_id,
            dialect=_dialect_of(delivery),
            offset_ms=None if offset is None else round(offset * 1000),
            peer=delivery.peer,
            took_us=round(took_s * 1_000_000),
            reads_exit=reads_exit,
        )
        self._waiting.append(row)
        if reads_exit is not None:  # an alert waits for nothing
            self._nursery.start_soon(self._write_soon, 0.0)
        elif len(self._waiting) == 1:
            self._nursery.start_soon(self._write_soon, NOTED_AFTER_S)

    async def _write_soon(self, after_s: float) -> None:
        """Record what waits to be noted, also when the engine stops meanwhile."""
        try:
            await trio.sleep(after_s)
        finally:
            rows, self._waiting = self._waiting, []
            if rows:
                await self._write(rows)

    async def _write(self, rows: Sequence[NewDelivery]) -> None:
        try:
            await self._recording.note(rows)
        except EngineAway:
            self._keep(rows)  # until ``write_now``
        except DiskRefused as error:
            _LOG.warning("%d deliveries wait to be noted: %s", len(rows), error)
            self._keep(rows)
            if trio.current_effective_deadline() != -inf:
                self._nursery.start_soon(self._write_soon, AGAIN_AFTER_S)
        except LedgerError as error:
            if len(rows) > 1:  # one of them may be what is refused: it costs itself alone
                for each in rows:
                    await self._write([each])
                return
            _LOG.warning("a delivery could not be noted for its endpoint's owner: %s", error)

    def _keep(self, rows: Sequence[NewDelivery]) -> None:
        self._waiting = [*rows, *self._waiting][-UNNOTED_MAX:]

    def write_now(self) -> None:
        """Record now what could not be noted while the engine was away."""
        if self._waiting:
            self._nursery.start_soon(self._write_soon, 0.0)


def is_lost(endpoint: Endpoint, delivery: Delivery, reception: Reception) -> bool:
    """Return whether a delivery was verified and refused for good; alerts that cannot sign are not
    sent again after a 429 or 503 either, and sending again helps nobody where the source fails.
    """
    is_once = reception.kind in NOT_NOW and (
        endpoint.token_hash is not None or reception.field == OF_THE_SOURCE
    )
    return (reception.kind in PROVEN_AND_REFUSED or is_once) and delivery.peer != OWN_PAGE


def _dialect_of(delivery: Delivery) -> str:
    """Return how a delivery was signed, by the headers that it carries: A, B, both, or none."""
    of_a, of_b = (
        bool(delivery.header(SIGNATURE_HEADER.lower())),
        bool(delivery.header(SIGNATURES_HEADER)),
    )
    return "both" if of_a and of_b else "A" if of_a else "B" if of_b else "none"
