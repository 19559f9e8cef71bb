"""Call the address that a master set once a signal has settled: every copy has its final outcome.

What always holds: a call is claimed in the ledger before it is made, and is over once the receiver
answered 2xx, so it is made at least once; its id stays the same, so the receiver can drop a
repetition. It is signed with the strategy's webhook secret. Only public addresses are called,
whatever the operator allowed for their own plugins. A strategy holds a slot for one call at a time,
and rests after a failed one. A call that fails is given up a day after its signal settled, and those
that waited as long behind it are not made: what waits is bounded by a day. Nothing here is on the
way of an order.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import trio

from engine.actors.shared import Shared
from engine.decisions.signatures import sign_b
from engine.domain.errors import RexAlgoError
from engine.domain.identifiers import StrategyId
from engine.domain.network import PUBLIC, Reach
from engine.keys.sealed_secrets import endpoint_keys
from engine.keys.vault import Vault
from engine.ledger import Database
from engine.ledger.callbacks import (
    DueCall,
    call_failed,
    call_taken,
    claim_call,
    due_call,
    due_calls,
    give_up_call,
    has_new,
    is_settled,
    note_due,
    postpone_call,
    settled_at,
)
from engine.ledger.people import signed_endpoint
from engine.ledger.reports import receipt
from engine.ports.http import ConnectError, ConnectTimeout, HttpClients, ReadTimeout
from engine.ports.secret import Secret
from engine.transport.personal_delivery import with_client
from engine.views import ReceiptView

_LOG = logging.getLogger("rexalgo.callbacks")
LOOK_S: Final = 1.0
AT_ONCE: Final = 8
RETRY_S: Final = (1, 5, 15, 60, 300, 900, 3_600, 7_200, 14_400, 28_800, 28_800)
"""The pauses between tries."""
LASTS: Final = timedelta(days=1)
"""How long after its signal settled a call that fails is tried."""
REST_S: Final = RETRY_S[:5]
"""How long a strategy rests after its first, second ... failed call in a row."""
_YOUNG: Final = timedelta(minutes=1)
_LOOK_YOUNG: Final = timedelta(seconds=1)
_LOOK_OLD: Final = timedelta(minutes=1)
_NOTED: Final = 200


class NotTaken(RexAlgoError):
    """Raised when the receiver did not take a call."""


class Callbacks:
    """The task that calls; it is run again if it fails."""

    def __init__(
        self,
        shared: Shared,
        open_vault: Callable[[], Awaitable[Vault]],
        reach: Reach = PUBLIC,
    ) -> None:
        self._shared = shared
        self._open_vault = open_vault
        self._reach = reach
        self._calling: set[StrategyId] = set()
        self._failed: dict[StrategyId, tuple[int, float]] = {}

    @property
    def _db(self) -> Database:
        return self._shared.ledger.db

    async def run(self) -> None:
        """Call until cancelled; a receiver that is slow holds up only its own strategy."""
        limit = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            while True:
                await self._shared.calm()
                if has_new(self._db):
                    await self._shared.ledger.write(lambda db: note_due(db, _NOTED))
                now = self._shared.clock.now()
                for each in due_calls(self._db, now):
                    if each.strategy not in self._calling and not self._rests(each.strategy):
                        self._calling.add(each.strategy)
                        nursery.start_soon(self._call, each, limit)
                await trio.sleep(LOOK_S)

    def _rests(self, strategy: StrategyId) -> bool:
        count, at_s = self._failed.get(strategy, (0, 0.0))
        return count > 0 and trio.current_time() < at_s + REST_S[min(count, len(REST_S)) - 1]

    async def _call(self, first: DueCall, limit: trio.CapacityLimiter) -> None:
        """Look at one call, and then at what else is due of its strategy until a call fails."""
        strategy = first.strategy
        try:
            due: DueCall | None = first
            while due is not None:
                await self._shared.calm()
                await self._look_at(due, limit)
                now = self._shared.clock.now()
                due = None if self._rests(strategy) else due_call(self._db, strategy, now)
        finally:
            self._calling.discard(strategy)

    async def _look_at(self, call: DueCall, limit: trio.CapacityLimiter) -> None:
        ledger, now = self._shared.ledger, self._shared.clock.now()
        if not is_settled(self._db, call.signal_number):
            is_young = now - call.received_at < _YOUNG
            until = now + (_LOOK_YOUNG if is_young else _LOOK_OLD)
            await ledger.write(partial(postpone_call, call=call, until=until))
            return
        ends_at = settled_at(self._db, call) + LASTS
        if now > ends_at and call.strategy in self._failed:
            _LOG.warning("the callback of signal %s is given up", call.signal_id)
            await ledger.write(partial(give_up_call, call=call))
            return
        async with limit:
            await self._shared.calm()
            told = receipt(self._db, call.receipt)
            assert told is not None, "the signal of a call is never deleted"
            await self._make(call, told, ends_at)

    async def _make(self, call: DueCall, told: ReceiptView, ends_at: datetime) -> None:
        """Claim a call and try it once, and record what came of it: one that fails is given up if
        its next try were after ``ends_at``.
        """
        ledger, now = self._shared.ledger, self._shared.clock.now()
        pause = timedelta(seconds=RETRY_S[min(call.tries, len(RETRY_S) - 1)])
        if not await ledger.write(partial(claim_call, call=call, until=now + pause)):
            return
        problem = await self._try(call, told)
        now = self._shared.clock.now()
        if not problem:
            self._failed.pop(call.strategy, None)
            await ledger.write(partial(call_taken, call=call, at=now))
            return
        _LOG.warning("the callback of strategy %s was not taken: %s", call.strategy, problem)
        count, _ = self._failed.get(call.strategy, (0, 0.0))
        self._failed[call.strategy] = (count + 1, trio.current_time())
        gives_up = now + pause > ends_at
        await ledger.write(
            partial(call_failed, call=call, problem=problem, at=now, gives_up=gives_up)
        )

    async def _try(self, call: DueCall, told: ReceiptView) -> str:
        """Make a call once; return why it was not taken, empty if it was."""
        try:
            vault, now = await self._open_vault(), self._shared.clock.now()
            endpoint = signed_endpoint(self._db, call.strategy)
            keys = () if endpoint is None else endpoint_keys(self._db, vault, endpoint, now)
            if not keys:
                raise NotTaken("the strategy has no webhook secret to sign with")
            post = partial(_post, call=call, told=told, secret=keys[0].secret, now=now)
            await with_client(post, self._reach)
        except NotTaken as error:
            return str(error)
        except (ReadTimeout, trio.TooSlowError):
            return "no answer came within 10 s"
        except (ConnectError, ConnectTimeout):
            return "nobody answers there, or it is not a public address"
        except Exception as error:  # the receiver's own fault, and its text may carry the address
            _LOG.warning("a callback failed: %s", type(error).__name__)
            return "the connection failed"
        return ""


async def _post(
    http: HttpClients, *, call: DueCall, told: ReceiptView, secret: Secret, now: datetime
) -> None:
    parts = urlsplit(call.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    body = json.dumps(document(call, told)).encode()
    headers = sign_b(secret, body, call_id(call), now)
    client = http(f"{parts.scheme}://{parts.netloc}")
    answer = await client.post(
        path, content=body, headers={**headers, "content-type": "application/json"}
    )
    if not 200 <= answer.status_code < 300:
        raise NotTaken(f"expected a 2xx answer, found {answer.status_code}")


def call_id(call: DueCall) -> str:
    """Return the id of a call, the same at each try."""
    return f"settled-{call.signal_id}"


def document(call: DueCall, told: ReceiptView) -> dict[str, object]:
    """Return what a call says: counts, never who the followers are. It is no signal: its top level
    has neither action nor symbol, so no webhook of ours takes it back.
    """
    return {
        "type": "signal.settled",
        "data": {
            "signal_id": told.signal_id,
            "idempotency_key": call.key,
            "action": told.action,
            "symbol": told.symbol,
            "received_at": told.received_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "copies": told.copies,
            "outcomes": dict(told.outcomes),
            "environments": list(told.environments),
        },
    }
