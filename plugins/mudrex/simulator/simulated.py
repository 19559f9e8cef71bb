"""SIMULATED exchange: rate limits, faults, and a durable record of every order it ever accepted."""

import json
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from plugins.mudrex.simulator import messages
from plugins.mudrex.simulator.exchange import Exchange
from plugins.mudrex.simulator.faults import BEFORE, Drill, Faults, Rule, fate_of, read_rule
from plugins.mudrex.simulator.messages import Answer, Dropped, Request
from plugins.mudrex.simulator.routes import route
from plugins.mudrex.simulator.state import Record, accepted_row, replay
from plugins.mudrex.simulator.switches import Switches
from plugins.mudrex.simulator.values import Account, Order, Refusal

DRIP_S = 5.0
KEYS = "sim-{:04}"
"""The form of the keys of prepared accounts, counted from 1."""


@dataclass(slots=True)
class Limits:
    """Request counts per key in sliding windows of (seconds, requests). Without windows there is no
    limit.
    """

    windows: Sequence[tuple[float, int]]
    seen: dict[str, deque[float]] = field(default_factory=dict)

    def take(self, key: str, now: float) -> bool:
        """Count one request. Return False if one of the key's windows is full."""
        if not self.windows:
            return True
        times = self.seen.setdefault(key, deque())
        longest = max(seconds for seconds, _ in self.windows)
        while times and now - times[0] >= longest:
            times.popleft()
        if any(
            sum(1 for each in reversed(times) if now - each < seconds) >= count
            for seconds, count in self.windows
        ):
            return False
        times.append(now)
        return True


class Simulator:
    """A server of one exchange. With a ``state`` file it continues from an earlier run."""

    def __init__(
        self,
        state: Path | None,
        seed: int = 1,
        latency_s: float = 0.02,
        per_s: int = 10,
        clock: Callable[[], float] = time.time,
        *,
        accounts: int = 0,
        drill: Drill | None = None,
        fill_s: tuple[float, float] = (0.2, 0.8),
    ) -> None:
        drill = drill or Drill()
        self._clock = clock
        self._latency_s = latency_s
        self.skew_s = drill.clock_skew_s
        self.orders: list[Mapping[str, object]] = []
        self.counts: dict[str, int] = {}
        switches = Switches().changed(drill.switches or {})
        self.exchange = Exchange(seed, fill_s, saved=self._save, switches=switches)
        self._record = Record(state)
        if state is not None:
            self.exchange.accounts, kept = replay(state)
            self.orders.extend(kept)
            for name, account in self.exchange.accounts.items():
                self._record.knows(name, account)
        for number in range(1, accounts + 1):
            self.exchange.settled(KEYS.format(number), self.now())
        self.limits = Limits([(1.0, per_s), (60.0, per_s * 50)] if per_s else ())
        self.wallet_limits = Limits([(1.0, 2), (60.0, 50)] if per_s else ())
        self.faults = Faults(seed, [read_rule(each, self.now()) for each in drill.rules])

    def now(self) -> float:
        """Return the exchange's clock, which may be skewed on purpose."""
        return self._clock() + self.skew_s

    def _save(self, name: str, account: Account, orders: Sequence[Order], accepted: bool) -> None:
        row = accepted_row(name, orders[0]) if accepted else None
        if row is not None:
            self.orders.append(row)
        self._record.write(name, account, orders, row)

    async def answer(self, request: Request) -> Answer:
        """Answer one request. Raise Dropped to close the connection."""
        await trio.sleep(self._latency_s)
        rule = self.faults.choose(request.method, request.path, self._clock())
        fault = "" if rule is None else rule.fault
        if fault:
            self._count(f"fault {fault}")
        await trio.sleep(self.faults.delay_s(rule))
        if fault == "drop":
            raise Dropped
        limits = self.wallet_limits if "/wallet/" in request.path else self.limits
        early = BEFORE.get(fault) or (
            None if limits.take(request.key, self._clock()) else BEFORE["rate_limit"]
        )
        reply = early or self._safely(request, fate_of(rule))
        self._count(
            f"{request.method} {re.sub('[0-9a-f-]{36}', 'ID', request.path)} {reply.status}"
        )
        if reply.status == 429:
            self._count("429")
        return _spoiled(reply, rule) if early is None else reply

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _safely(self, request: Request, fate: str) -> Answer:
        try:
            status, data = route(self.exchange, request, self.now(), fate)
        except Refusal as refusal:
            if refusal.bare:
                return messages.bare_error(refusal.status, refusal.text)
            return messages.error(refusal.status, refusal.code, refusal.text)
        return messages.data(data, status)


def _spoiled(reply: Answer, rule: Rule | None) -> Answer:
    """Return the answer with a fault applied."""
    match "" if rule is None else rule.fault:
        case "accept_then_503":
            return messages.page(503, "upstream timed out")
        case "accept_then_500":
            return messages.error(500, 1001, "something went wrong")
        case "accept_then_drop":
            raise Dropped
        case "reset_mid_body":
            reply.cut_after = len(reply.content) // 2
        case "garbage":
            reply.content = b'{"success": tr'
        case "empty":
            reply.content = b""
        case "duplicate_answer":
            reply.twice = True
        case "drip":
            assert rule is not None
            reply.drip_s = rule.seconds or DRIP_S
        case "duplicate_rows" | "missing_rows" as kind:
            reply.content = _other_rows(reply.content, kind)
    return reply


def _other_rows(content: bytes, kind: str) -> bytes:
    document = json.loads(content)
    rows = document.get("data")
    if isinstance(rows, list):
        document["data"] = (
            [each for row in rows for each in (row, row)] if kind == "duplicate_rows" else rows[1:]
        )
    return json.dumps(document).encode()
