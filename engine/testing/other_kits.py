"""The kits for signal sources and rate limiters: pure parts, so they need no server and no waiting."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from engine.domain.errors import InvalidValue
from engine.domain.signal import SignalDraft
from engine.ports.rate_limiter import (
    Granted,
    Priority,
    RateLimit,
    RateLimiter,
    Refused,
    UnusableAnswer,
    ask,
)
from engine.ports.secret import Secret
from engine.ports.signal_source import Delivery, NotAuthentic, WebhookSource
from engine.testing.report import CaseFailed, CaseResult, CaseSkipped, KitReport, Verdict, expect

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIMIT = RateLimit(10, 1.0, 10)


@dataclass(frozen=True, slots=True)
class SourceUnderTest:
    """A webhook source and how its sender signs: ``sign(secret, body, at)`` returns headers,
    ``body`` is a valid open.
    """

    source: WebhookSource
    sign: Callable[[Secret, bytes, datetime], dict[str, str]]
    body: bytes


SourceCheck = Callable[[SourceUnderTest], None]
LimiterCheck = Callable[[RateLimiter], None]
_SOURCE: list[tuple[str, str, SourceCheck]] = []
_LIMITER: list[tuple[str, str, LimiterCheck]] = []


def source_cases() -> tuple[tuple[str, str], ...]:
    """Return (number, promise) of every case of the kit for signal sources."""
    return tuple((number, promise) for number, promise, _ in _SOURCE)


def limiter_cases() -> tuple[tuple[str, str], ...]:
    """Return (number, promise) of every case of the kit for rate limiters."""
    return tuple((number, promise) for number, promise, _ in _LIMITER)


def check_signal_source(under_test: SourceUnderTest) -> KitReport:
    """Run every case for a webhook source."""
    results = tuple(
        _run(number, promise, lambda check=check: check(under_test))  # type: ignore[misc]
        for number, promise, check in _SOURCE
    )
    return KitReport("signal source", under_test.source.name, results)


def check_rate_limiter(make: Callable[[], RateLimiter]) -> KitReport:
    """Run every case for a rate limiter; ``make`` returns a new one without any memory."""
    results = tuple(
        _run(number, promise, lambda check=check: check(make()))  # type: ignore[misc]
        for number, promise, check in _LIMITER
    )
    return KitReport("rate limiter", make().name, results)


def _run(number: str, promise: str, check: Callable[[], None]) -> CaseResult:
    try:
        check()
    except CaseSkipped as skipped:
        return CaseResult(
            number=number, promise=promise, verdict=Verdict.SKIPPED, detail=str(skipped)
        )
    except CaseFailed as failed:
        return CaseResult(number=number, promise=promise, verdict=Verdict.FAIL, detail=str(failed))
    except Exception as error:  # a plugin under test may raise anything; that is the finding
        return CaseResult(
            number=number,
            promise=promise,
            verdict=Verdict.FAIL,
            detail=f"expected the case to end, found {type(error).__name__}: {error}"[:300],
        )
    return CaseResult(number=number, promise=promise, verdict=Verdict.PASS)


def _source(number: str, promise: str) -> Callable[[SourceCheck], SourceCheck]:
    def keep(check: SourceCheck) -> SourceCheck:
        _SOURCE.append((number, promise, check))
        return check

    return keep


def _limiter(number: str, promise: str) -> Callable[[LimiterCheck], LimiterCheck]:
    def keep(check: LimiterCheck) -> LimiterCheck:
        _LIMITER.append((number, promise, check))
        return check

    return keep


# ---- signal sources ----


def _delivery(
    under_test: SourceUnderTest, secret: Secret, *, body: bytes | None = None, at: datetime = NOW
) -> Delivery:
    content = under_test.body if body is None else body
    headers = tuple(
        (name.lower(), value) for name, value in under_test.sign(secret, content, at).items()
    )
    return Delivery(content, headers, "127.0.0.1", NOW)


def _refused(
    under_test: SourceUnderTest, delivery: Delivery, keys: list[Secret], what: str
) -> None:
    try:
        under_test.source.authenticate(delivery, keys, NOW)
    except NotAuthentic:
        return
    raise CaseFailed(f"expected NotAuthentic for {what}, found that it is let in")


@_source("S01", "new secrets are long, different each time, and hidden in texts")
def _secrets(under_test: SourceUnderTest) -> None:
    first, second = under_test.source.new_secret(), under_test.source.new_secret()
    expect(
        len(first.reveal()) >= 32, f"expected at least 32 characters, found {len(first.reveal())}"
    )
    expect(
        first.reveal() != second.reveal(), "expected a new secret each time, found the same twice"
    )
    expect(
        first.reveal() not in repr(first),
        "expected a secret that hides its text, found it in its repr",
    )


@_source("S02", "what was signed with one of the keys is let in, and the index says with which")
def _let_in(under_test: SourceUnderTest) -> None:
    keys = [under_test.source.new_secret() for _ in range(3)]
    for index, key in enumerate(keys):
        proof = under_test.source.authenticate(_delivery(under_test, key), keys, NOW)
        expect(proof.key_index == index, f"expected key_index {index}, found {proof.key_index}")


@_source(
    "S03",
    "a changed body, another key, no headers and a broken signature are NotAuthentic, one and the "
    "same",
)
def _kept_out(under_test: SourceUnderTest) -> None:
    key, other = under_test.source.new_secret(), under_test.source.new_secret()
    good = _delivery(under_test, key)
    _refused(
        under_test,
        Delivery(good.body + b" ", good.headers, good.peer, NOW),
        [key],
        "a changed body",
    )
    _refused(under_test, good, [other], "another key")
    _refused(under_test, good, [], "no key at all")
    _refused(under_test, Delivery(good.body, (), good.peer, NOW), [key], "no headers")
    for name, value in good.headers:
        broken = tuple(
            (each, text[:-2] + ("00" if text[-2:] != "00" else "11") if each == name else text)
            for each, text in good.headers
        )
        if value[-2:] != "00":
            _refused(
                under_test,
                Delivery(good.body, broken, good.peer, NOW),
                [key],
                f"a changed header {name}",
            )


@_source("S04", "an old signature is NotAuthentic")
def _old(under_test: SourceUnderTest) -> None:
    key = under_test.source.new_secret()
    _refused(
        under_test,
        _delivery(under_test, key, at=NOW - timedelta(hours=2)),
        [key],
        "a signature that is two hours old",
    )
    _refused(
        under_test,
        _delivery(under_test, key, at=NOW + timedelta(hours=2)),
        [key],
        "a signature from two hours ahead",
    )


@_source("S05", "a valid body becomes a signal with an id of its own")
def _parsed(under_test: SourceUnderTest) -> None:
    key = under_test.source.new_secret()
    delivery = _delivery(under_test, key)
    proof = under_test.source.authenticate(delivery, [key], NOW)
    draft = under_test.source.parse(delivery, proof)
    expect(isinstance(draft, SignalDraft), f"expected a SignalDraft, found {type(draft).__name__}")
    expect(bool(draft.dedupe_key), "expected a dedupe_key, found nothing")
    expect(
        under_test.source.parse(delivery, proof) == draft,
        "expected the same delivery to be the same signal, found another",
    )
    _expect_own_key(under_test, key, draft)


_TOKEN = re.compile(rb"[\w.:+-]+")


def _altered(body: bytes) -> Iterator[bytes]:
    """Yield the body with the last character of one word or number changed, each in turn, and the
    body with a space behind it.
    """
    for token in _TOKEN.finditer(body):
        at = token.end() - 1
        last = body[at : at + 1]
        for other in (b"23" if last.isdigit() else b"AB" if last.isupper() else b"ab").decode():
            if last != other.encode():
                yield body[:at] + other.encode() + body[at + 1 :]
    yield body + b" "


def _expect_own_key(under_test: SourceUnderTest, key: Secret, draft: SignalDraft) -> None:
    """Expect another key of an altered body that says the same otherwise, if one is taken at all.

    Without ids, the same body is the same signal for a while (``repeats_s``). An id in signed
    headers is the kit's own sender's choice.
    """
    keys = set[str]()
    for body in _altered(under_test.body):
        delivery = _delivery(under_test, key, body=body)
        try:
            proof = under_test.source.authenticate(delivery, [key], NOW)
            other = under_test.source.parse(delivery, proof)
        except Exception:  # noqa: S112 - what may be raised is the matter of S06
            continue
        if proof.dedupe_key is not None or draft.repeats_s is not None:
            return
        if isinstance(other, SignalDraft) and _without_id(other) == _without_id(draft):
            keys.add(other.dedupe_key)
    expect(
        keys != {draft.dedupe_key},
        "expected another dedupe_key for a body with another id, found the first one's, so every "
        "later signal would be taken for a repetition: use the sender's own id",
    )


def _without_id(draft: SignalDraft) -> SignalDraft:
    return replace(draft, dedupe_key="any", sent_at=None, seq=None)


@_source("S06", "whatever body a signed sender sends, the answer is a signal or InvalidValue")
def _any_body(under_test: SourceUnderTest) -> None:
    key = under_test.source.new_secret()
    bodies = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"action":"explode"}',
        b'{"symbol":"' + b"A" * 5000 + b'"}',
        b"[" * 2000,
        json.dumps({"action": "open", "symbol": "BTCUSDT", "side": 5}).encode(),
        b'{"price":1e999999}',
        b'{"a":NaN}',
        *_altered(under_test.body),
    ]
    for body in bodies:
        delivery = _delivery(under_test, key, body=body)
        try:
            proof = under_test.source.authenticate(delivery, [key], NOW)
            draft = under_test.source.parse(delivery, proof)
        except (InvalidValue, NotAuthentic):
            continue
        except Exception as error:
            raise CaseFailed(
                f"expected a signal or InvalidValue for {body[:40]!r}, found "
                f"{type(error).__name__}: {error}"
            ) from error
        expect(
            isinstance(draft, SignalDraft),
            f"expected a signal or InvalidValue for {body[:40]!r}, found {type(draft).__name__}",
        )


# ---- rate limiters ----


def _answer(
    limiter: RateLimiter, pool: str, cost: int, priority: Priority, now: datetime
) -> Granted | Refused:
    """Ask, and hold the answer to what the engine can wait for."""
    try:
        answer = ask(limiter, pool, LIMIT, cost, priority, now)
    except UnusableAnswer as error:
        raise CaseFailed(
            f"expected Granted or Refused with a time in UTC at most one period ahead, found: {error}"
        ) from error
    at = answer.at if isinstance(answer, Granted) else answer.retry_at
    period = timedelta(seconds=LIMIT.period_s)
    expect(
        at - now <= period or cost > LIMIT.count,
        f"expected a time at most one period ahead, found {at - now}",
    )
    return answer


def _burst(
    limiter: RateLimiter, pool: str, priority: Priority, now: datetime, most: int = 100
) -> int:
    """Count how much is granted at once."""
    for number in range(most):
        answer = _answer(limiter, pool, 1, priority, now)
        if isinstance(answer, Refused) or answer.at > now:
            return number
    return most


@_limiter("L01", "no more than the burst is let through at once")
def _at_once(limiter: RateLimiter) -> None:
    granted = _burst(limiter, "a", Priority.EXIT, NOW)
    expect(1 <= granted <= LIMIT.burst, f"expected at most {LIMIT.burst} at once, found {granted}")


@_limiter(
    "L02", "over any ten seconds no more is granted than the limit allows, waiting times included"
)
def _over_time(limiter: RateLimiter) -> None:
    granted: list[datetime] = []
    now = NOW
    while now < NOW + timedelta(seconds=20):
        answer = _answer(limiter, "a", 1, Priority.EXIT, now)
        if isinstance(answer, Granted):
            expect(answer.at >= now, f"expected a time that is not before now, found {answer.at}")
            granted.append(answer.at)
            expect(
                len(granted) <= 500,
                f"expected about {20 * LIMIT.count} in 20 s, found {len(granted)} up to "
                f"{answer.at:%H:%M:%S}",
            )
            now = max(now, answer.at)
        else:
            expect(answer.retry_at > now, f"expected retry_at after now, found {answer.retry_at}")
            now = answer.retry_at
    for index, first in enumerate(granted):
        within = sum(1 for each in granted[index:] if each < first + timedelta(seconds=10))
        most = 10 * LIMIT.count + LIMIT.burst
        expect(within <= most, f"expected at most {most} in 10 s, found {within}")


@_limiter("L03", "entries and reads leave a part of the burst to exits")
def _exits_first(limiter: RateLimiter) -> None:
    entries = _burst(limiter, "a", Priority.ENTRY, NOW)
    after = _burst(limiter, "a", Priority.EXIT, NOW)
    expect(
        entries < LIMIT.burst,
        f"expected entries to get less than the burst of {LIMIT.burst}, found {entries}",
    )
    expect(
        after >= 1, "expected an exit to get through after entries took all they may, found none"
    )


@_limiter("L04", "pools do not touch each other")
def _pools(limiter: RateLimiter) -> None:
    first = _burst(limiter, "a", Priority.EXIT, NOW)
    second = _burst(limiter, "b", Priority.EXIT, NOW)
    expect(first == second, f"expected the same for another pool, found {first} and {second}")


@_limiter("L05", "what is refused counts nothing, and time brings everything back")
def _comes_back(limiter: RateLimiter) -> None:
    first = _burst(limiter, "a", Priority.EXIT, NOW)
    for _ in range(50):
        _answer(limiter, "a", 5, Priority.EXIT, NOW)
    later = _burst(limiter, "a", Priority.EXIT, NOW + timedelta(seconds=60))
    expect(later == first, f"expected {first} again after a minute, found {later}")
