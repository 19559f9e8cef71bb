"""Ingress: take a bot's delivery, verify it, and have it recorded.

What always holds: a delivery is answered 202 only after its signal and copies are durable; every
failure to authenticate is one and the same answer. It only reads the ledger; ``recording`` writes.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

import trio

from engine.actors.clock import TrioClock
from engine.decisions.admission import admit
from engine.decisions.rate import HalfRateLimiter
from engine.domain.errors import EngineAway, InvalidValue, RexAlgoError
from engine.domain.signal import SignalDraft
from engine.identity.references import capability_hash
from engine.ingress.endpoints import Endpoint
from engine.ingress.notes import DeliveryNotes
from engine.ledger import Ledger, LedgerError
from engine.ledger.open_shares import is_held
from engine.ledger.refused import OF_THE_SOURCE
from engine.ledger.signals import DedupeConflict, turns
from engine.plugin.host import Plugins
from engine.ports.clock import Clock
from engine.ports.contained import SourceFailed, parsed
from engine.ports.rate_limiter import Priority, RateLimit, RateLimiter, Refused, UnusableAnswer, ask
from engine.ports.secret import Secret
from engine.ports.signal_source import Authenticated, Delivery, NotAuthentic, WebhookSource
from engine.recording import Recording, Taken
from engine.settings.config import Config
from engine.views import Reception, ReceptionKind

_LOG = logging.getLogger("rexalgo.ingress")
RETRY_AFTER_S: Final = 2
DRY_RUNS: Final = RateLimit(1, 10.0, 6)
"""Dry runs of one endpoint: each costs the writer as much as a signal."""
_UNCLEAR: Final = Reception(
    kind=ReceptionKind.INVALID,
    field="dry_run",
    expected="dry_run=1 in the query of the address, and no other name or value there that may mean "
    "a dry run (test, preview, simulate)",
)
FIRST_BODY: Final = "the body of the first time: the same is recorded under its id, and counts"
JUDGED_HERE: Final = frozenset(
    (
        ReceptionKind.NOT_AUTHENTIC,
        ReceptionKind.GONE,
        ReceptionKind.MALFORMED,
        ReceptionKind.INVALID,
    )
)
"""Refusals for good that rest on what is known of endpoints: none is given while the engine is away,
because that may be old.
"""


class Ingress:
    """The entrance for signals. Created by ``run``; all methods may be called from any task of the
    loop.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        recording: Recording,
        nursery: trio.Nursery,
        limiter: RateLimiter,
        webhook_limit: RateLimit,
        default_source: WebhookSource,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._recording = recording
        self._nursery = nursery
        self._steady = TrioClock(clock.now())
        self._limiter = limiter
        self._fallback = HalfRateLimiter()
        self._webhook_limit = webhook_limit
        self._default_source = default_source
        self._dummy = (default_source.new_secret(),)
        self._endpoints: Mapping[str, Endpoint] = {}
        self._tokens: Mapping[bytes, str] = {}
        self.notes = DeliveryNotes(ledger, recording, nursery)
        self.answers = Counter[str]()

    def use_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Replace the endpoints after provisioning changed them."""
        self._endpoints = {each.id: each for each in endpoints}
        self._tokens = {
            each.token_hash: each.id
            for each in endpoints
            if each.token_hash is not None and not each.is_deleted
        }

    async def receive(
        self, endpoint: str, delivery: Delivery, *, dry_run: bool | None = False
    ) -> Reception:
        """Verify, parse and record one delivery; return once it is durable. May be cancelled: the
        record survives.

        A ``dry_run`` passes the same checks and rates and says what would become of the signal;
        nothing of it is recorded, and its id stays free. None: the sender may mean one and does
        not say it clearly. Such a delivery must not trade: it is refused and noted as any other.
        """
        return await self._take(endpoint, delivery, None, dry_run=dry_run)

    async def _take(
        self,
        endpoint: str,
        told: Delivery,
        capability: Secret | None,
        *,
        dry_run: bool | None = False,
    ) -> Reception:
        began, known = trio.current_time(), self._endpoints.get(endpoint)
        settings = {} if known is None else known.settings
        delivery = replace(told, capability=capability, settings=settings)
        reception, said_at = await self._receive(endpoint, delivery, dry_run=dry_run)
        if self._recording.is_away and reception.kind in JUDGED_HERE:
            self.answers[ReceptionKind.UNAVAILABLE.value] += 1
            return Reception(kind=ReceptionKind.UNAVAILABLE, retry_after_s=RETRY_AFTER_S)
        self.answers[reception.kind.value] += 1
        target = self._endpoints.get(endpoint)
        if target is not None:
            self.notes.note(
                target,
                delivery=delivery,
                reception=reception,
                said_at=said_at,
                took_s=trio.current_time() - began,
                dry_run=dry_run,
            )
        return reception

    async def receive_by_token(
        self, token: str, delivery: Delivery, *, dry_run: bool | None = False
    ) -> Reception:
        """Take a delivery whose address is its capability, as ``receive`` does; the token is passed
        to the source and not kept.
        """
        endpoint = self._tokens.get(capability_hash(token), "")
        return await self._take(endpoint, delivery, Secret(token), dry_run=dry_run)

    async def _receive(
        self, endpoint: str, delivery: Delivery, *, dry_run: bool | None
    ) -> tuple[Reception, datetime | None]:
        """Answer a delivery; the time returned is the sender's, None if nothing proved it or none
        was sent.
        """
        target = self._endpoints.get(endpoint)
        source = self._default_source if target is None else target.source
        now = self._clock.now()
        valid = () if target is None else tuple(each for each in target.keys if each.is_valid(now))
        keys = (
            tuple(each.secret for each in valid) or self._dummy
        )  # a random key, so that the work done is the same
        try:
            proof = source.authenticate(delivery, keys, now)
        except NotAuthentic:
            return Reception(kind=ReceptionKind.NOT_AUTHENTIC), None
        if target is None or not valid:
            return Reception(kind=ReceptionKind.NOT_AUTHENTIC), None
        if proof.key_index > 0:
            self._nursery.start_soon(
                self._note_old_key, valid[proof.key_index].id, now, delivery.peer
            )
        if target.is_deleted:
            return Reception(kind=ReceptionKind.GONE), proof.signed_at
        wait_s = self._wait_s(f"webhook:{endpoint}", self._webhook_limit)
        if wait_s is not None:
            return Reception(kind=ReceptionKind.LIMITED, retry_after_s=wait_s), proof.signed_at
        if dry_run is None:
            return _UNCLEAR, proof.signed_at
        said_at = proof.signed_at
        try:
            draft = parsed(source, delivery, proof)
            said_at = said_at or draft.sent_at
            will_turn = partial(turns, self._ledger.db, target.strategy, draft)
            draft = admit(
                draft,
                scope=target.scope,
                is_held=partial(is_held, self._ledger.db, target.strategy, draft.symbol),
                now=now,
                turns=will_turn,
            )
        except SourceFailed as error:
            return Reception(
                kind=ReceptionKind.UNAVAILABLE,
                field=OF_THE_SOURCE,
                expected=str(error),
                retry_after_s=RETRY_AFTER_S,
            ), said_at
        except InvalidValue as error:
            kind = ReceptionKind.MALFORMED if error.field == "body" else ReceptionKind.INVALID
            return Reception(kind=kind, field=error.field, expected=error.expected), said_at
        pace = target.scope.entries_per_minute
        if pace is not None and draft.action.is_only_entry and not will_turn():
            wait_s = self._wait_s(f"entries:{endpoint}", RateLimit(1, 60.0 / pace, pace))
            if wait_s is not None:
                return Reception(kind=ReceptionKind.LIMITED, retry_after_s=wait_s), said_at
        if dry_run:
            wait_s = self._wait_s(f"dry_runs:{endpoint}", DRY_RUNS)
            if wait_s is not None:
                return Reception(kind=ReceptionKind.LIMITED, retry_after_s=wait_s), said_at
        record = self._rehearse_delivery if dry_run else self._record_delivery
        return await record(draft, _taken(target, draft, delivery, proof)), said_at

    def _wait_s(self, pool: str, limit: RateLimit) -> int | None:
        """Count one delivery; return None if it may be taken, else the seconds to wait. Counted on a
        clock that nobody sets: one that is set back must refuse no exit.
        """
        now = self._steady.now()
        try:
            answer = ask(self._limiter, pool, limit, 1, Priority.EXIT, now)
        # a plugin's fault must keep no exit out; the steps below count entries again, and fail
        # closed
        except UnusableAnswer as error:
            _LOG.error("the rate limiter %s failed: %s", self._limiter.name, error)
            answer = self._fallback.reserve(pool, limit, 1, Priority.EXIT, now)
        if not isinstance(answer, Refused):
            return None
        return max(1, round((answer.retry_at - now).total_seconds()))

    async def _note_old_key(self, key_id: str, at: datetime, peer: str) -> None:
        """Record who still signs with an expiring secret, so that ending its overlap is safe."""
        try:
            await self._recording.note_old_key(key_id, at, peer)
        except (LedgerError, EngineAway) as error:
            _LOG.warning("the use of an old webhook secret could not be noted: %s", error)

    async def _rehearse_delivery(self, draft: SignalDraft, taken: Taken) -> Reception:
        try:
            rehearsal = await self._recording.rehearse(taken)
        except DedupeConflict as error:
            return _conflict(error)
        except (LedgerError, EngineAway) as error:
            _LOG.error("a dry run could not be made: %s", error)
            return Reception(kind=ReceptionKind.UNAVAILABLE, retry_after_s=RETRY_AFTER_S)
        return Reception(
            kind=ReceptionKind.DRY_RUN,
            mirrored=rehearsal.not_mirrored is None,
            reason=rehearsal.not_mirrored,
            ignored_fields=draft.ignored_fields,
            copies=rehearsal.copies,
            would=rehearsal.would,
            is_known=not rehearsal.is_new,
        )

    async def _record_delivery(self, draft: SignalDraft, taken: Taken) -> Reception:
        try:
            recorded = await self._recording.record(taken)
        except DedupeConflict as error:
            return _conflict(error)
        except (LedgerError, EngineAway) as error:
            _LOG.error("a signal could not be recorded: %s", error)
            return Reception(kind=ReceptionKind.UNAVAILABLE, retry_after_s=RETRY_AFTER_S)
        kind = ReceptionKind.ACCEPTED if recorded.is_new else ReceptionKind.DUPLICATE
        return Reception(
            kind=kind,
            signal_id=recorded.id,
            receipt_id=recorded.receipt,
            mirrored=recorded.not_mirrored is None,
            reason=recorded.not_mirrored,
            ignored_fields=draft.ignored_fields,
        )


def _conflict(error: DedupeConflict) -> Reception:
    first = error.recorded
    return Reception(
        kind=ReceptionKind.CONFLICT,
        signal_id=None if first is None else first.id,
        receipt_id=None if first is None else first.receipt,
        expected=FIRST_BODY if error.is_done else None,
        is_known=error.is_done,
    )


def _taken(
    endpoint: Endpoint, draft: SignalDraft, delivery: Delivery, proof: Authenticated
) -> Taken:
    return Taken(
        strategy=endpoint.strategy,
        origin=f"endpoint:{endpoint.id}",
        draft=draft,
        content=delivery.body,
        sent_at=draft.sent_at or proof.signed_at,
        received_at=delivery.received_at,
    )


# What an ingress is made of


def open_ingress(
    config: Config,
    plugins: Plugins,
    *,
    ledger: Ledger,
    clock: Clock,
    recording: Recording,
    nursery: trio.Nursery,
    limiter: RateLimiter,
) -> Ingress:
    """Return the ingress of a place, without endpoints yet; raises RexAlgoError if no plugin can
    verify a delivery.
    """
    sources = plugins.webhook_sources
    if not sources:
        raise RexAlgoError(
            "no enabled plugin registers a webhook source: enable one, such as "
            f"{config.plugins.webhook_source}"
        )
    per_minute = config.engine.webhook_rate_per_minute
    limit = RateLimit(
        1, 60.0 / per_minute, max(1, per_minute // 4)
    )  # a period of one delivery: nobody waits, what exceeds it is refused
    return Ingress(
        ledger=ledger,
        clock=clock,
        recording=recording,
        nursery=nursery,
        limiter=limiter,
        webhook_limit=limit,
        default_source=sources.get(config.plugins.webhook_source) or next(iter(sources.values())),
    )


def chosen_limiter(config: Config, plugins: Plugins) -> RateLimiter:
    """Return the rate limiter that the settings name; raises RexAlgoError if none is registered
    under it.
    """
    limiter = plugins.limiters.get(config.plugins.rate_limiter)
    if limiter is None:
        have = ", ".join(sorted(plugins.limiters)) or "none"
        raise RexAlgoError(
            f"plugins.rate_limiter: expected a registered rate limiter (have: {have}), found "
            f"{config.plugins.rate_limiter}"
        )
    return limiter
