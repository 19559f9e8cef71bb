"""Read and write what a master publishes: strategies, endpoints, signals and their outcomes;
followers in aggregate only.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Final

from engine.domain.amounts import EXACT, ZERO
from engine.domain.identifiers import EndpointId, PersonId, StrategyId, Symbol
from engine.domain.moves import require_move
from engine.domain.outcome import OutcomeCode
from engine.domain.signal import SignalDraft
from engine.domain.strategy import STRATEGY_MOVES, StrategyState
from engine.domain.subscription import SubscriptionState
from engine.ledger.codec import (
    dump,
    from_us,
    read_draft,
    read_leverage,
    read_policy,
    read_what,
    to_us,
)
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, fetch_all, fetch_one, run
from engine.ledger.results import outcomes_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioStrategy:
    """One strategy as its master sees it."""

    id: StrategyId
    name: str
    kind: str
    state: StrategyState
    about: str
    symbols: tuple[Symbol, ...]
    leverage: str
    source: str
    created_at: datetime
    signals: int
    last_signal_at: datetime | None


_STRATEGY = (
    "SELECT strategy.id, strategy.name, kind, state, about, symbols, leverage, source, "
    "strategy.created_us,"
    " signals,"
    " (SELECT received_us FROM signal WHERE strategy_id = strategy.id ORDER BY number DESC LIMIT 1)"
    " FROM strategy JOIN master ON master.id = master_id WHERE master.person_id = ?"
)


def _strategy(row: Row) -> StudioStrategy:
    last = None if row[10] is None else from_us(row[10])
    symbols = tuple(map(Symbol, json.loads(row[5])))
    return StudioStrategy(
        id=StrategyId(row[0]),
        name=row[1],
        kind=row[2],
        state=StrategyState(row[3]),
        about=row[4],
        symbols=symbols,
        leverage=row[6],
        source=row[7],
        created_at=from_us(row[8]),
        signals=row[9],
        last_signal_at=last,
    )


def strategies_of(db: Database, person: PersonId) -> list[StudioStrategy]:
    """Read a master's strategies, by name."""
    return [
        _strategy(row) for row in fetch_all(db, _STRATEGY + " ORDER BY strategy.name", (person,))
    ]


def strategy_of(db: Database, person: PersonId, identifier: str) -> StudioStrategy | None:
    """Read one of a master's strategies."""
    row = fetch_one(db, _STRATEGY + " AND strategy.id = ?", (person, identifier))
    return None if row is None else _strategy(row)


def describe_strategy(
    db: Database,
    identifier: StrategyId,
    about: str,
    symbols: frozenset[Symbol],
    leverage: str,
    terms_at: datetime | None,
) -> None:
    """Write a master's description of a strategy; ``terms_at`` is when followers must agree again,
    None if nothing they agreed to changed.
    """
    db.execute(
        "UPDATE strategy SET about = ?, symbols = ?, leverage = ?, terms_us = coalesce(?, "
        "terms_us) WHERE id = ?",
        (
            about,
            dump(sorted(symbols)),
            leverage,
            None if terms_at is None else to_us(terms_at),
            identifier,
        ),
    )


def set_strategy_state(db: Database, identifier: StrategyId, state: StrategyState) -> bool:
    """Write a strategy's state; return False if it was so already. A paused one keeps its
    visibility (``shown_as``).
    """
    lock(db, Held.STRATEGY, identifier)
    row = fetch_one(db, "SELECT state FROM strategy WHERE id = ?", (identifier,))
    before = state if row is None else StrategyState(row[0])
    if before is state:
        return False
    require_move(STRATEGY_MOVES, before, state, "a strategy")
    return (
        run(
            db,
            "UPDATE strategy SET state = ?1, shown_as = CASE WHEN state IN ('published', 'by_link') "
            "THEN state ELSE 'private' END"
            " WHERE id = ?2 AND state != ?1",
            (state.value, identifier),
        )
        > 0
    )


# Endpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioEndpoint:
    """One endpoint of a strategy; ``settings`` are its scope and its source's own settings."""

    id: EndpointId
    source: str
    enabled: bool
    label: str
    settings: Mapping[str, object]
    has_token: bool


def endpoints_of(db: Database, strategy: StrategyId) -> list[StudioEndpoint]:
    """Read a strategy's endpoints that are not deleted, oldest first."""
    rows = fetch_all(
        db,
        "SELECT id, source, enabled, label, settings, token_hash IS NOT NULL FROM endpoint WHERE "
        "strategy_id = ? AND deleted_us IS NULL"
        " ORDER BY number, id",
        (strategy,),
    )
    return [
        StudioEndpoint(
            id=EndpointId(row[0]),
            source=row[1],
            enabled=bool(row[2]),
            label=row[3],
            settings=json.loads(row[4]),
            has_token=bool(row[5]),
        )
        for row in rows
    ]


def set_endpoint_enabled(db: Database, endpoint: EndpointId, enabled: bool) -> None:
    """Enable an endpoint, or let it refuse all deliveries with the same 401 as an unknown one."""
    db.execute("UPDATE endpoint SET enabled = ? WHERE id = ?", (int(enabled), endpoint))


def delete_endpoint(db: Database, endpoint: EndpointId, at: datetime) -> None:
    """Delete an endpoint: verified deliveries are answered 410 from now on, and its token opens
    nothing.
    """
    db.execute(
        "UPDATE endpoint SET deleted_us = ?, token_hash = NULL WHERE id = ?", (to_us(at), endpoint)
    )


# Signals

_UNSETTLED: Final = ("waiting", *(code.family for code in OutcomeCode if not code.is_final))


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioSignal:
    """One signal with counts of its copies by family of outcome, and latencies in milliseconds.

    ``not_mirrored`` is what its sender was told: why no order of it reaches any exchange.
    """

    number: int
    id: str
    receipt: str
    at: datetime
    action: str
    symbol: str
    side: str | None
    is_test: bool
    origin: str
    copies: int
    outcomes: Mapping[str, int]
    p50_ms: float | None
    p95_ms: float | None
    not_mirrored: str | None

    @property
    def is_settled(self) -> bool:
        """Return whether every copy has its last outcome; only late proof can still change one."""
        return self.outcomes.keys().isdisjoint(_UNSETTLED)


def signals_of(
    db: Database,
    strategy: StrategyId,
    limit: int,
    before: int | None,
    known: Callable[[int], StudioSignal | None],
) -> Iterator[StudioSignal]:
    """Yield a strategy's signals, newest first, each read when it is asked for unless it is
    ``known`` by its number; ``before`` is the last number of the previous page.
    """
    rows = fetch_all(
        db,
        "SELECT number, id, receipt_id, received_us, draft, origin, not_mirrored FROM signal "
        "WHERE strategy_id = ? AND number < ?"
        " ORDER BY number DESC LIMIT ?",
        (strategy, 2**62 if before is None else before, limit),
    )
    for row in rows:
        yield known(row[0]) or _signal(db, row)


def _signal(db: Database, row: Row) -> StudioSignal:
    number, identifier, receipt, received_us, text, origin, not_mirrored = row
    action, symbol, side, is_test = read_what(text)
    counts: dict[str, int] = {}
    for code, copies in fetch_all(
        db, "SELECT code, count(*) FROM copy WHERE signal_number = ? GROUP BY code", (number,)
    ):
        family = "waiting" if code is None else str(code).partition(".")[0]
        counts[family] = counts.get(family, 0) + int(copies)
    ended = sum(count for family, count in counts.items() if family != "waiting")
    half, most = (
        _took_ms(db, number, received_us, ended * percent // 100) if ended else None
        for percent in (50, 95)
    )
    return StudioSignal(
        number=number,
        id=identifier,
        receipt=receipt,
        at=from_us(received_us),
        action=action,
        symbol=symbol,
        side=side,
        is_test=is_test,
        origin=origin.partition(":")[0],
        copies=sum(counts.values()),
        outcomes=dict(sorted(counts.items(), key=lambda each: -each[1])),
        p50_ms=half,
        p95_ms=most,
        not_mirrored=not_mirrored,
    )


def _took_ms(db: Database, number: int, received_us: int, rank: int) -> float | None:
    """Read within how many milliseconds ``rank`` copies had their outcome."""
    row = fetch_one(
        db,
        "SELECT outcome_us FROM copy WHERE signal_number = ? AND code IS NOT NULL ORDER BY "
        "outcome_us LIMIT 1 OFFSET ?",
        (number, rank),
    )
    return None if row is None else (row[0] - received_us) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalOutcomes:
    """One signal with what became of its copies: counts by environment and outcome, None while one
    is not over. ``draft`` is what its sender asked for, ``decided_at`` the sender's time.
    """

    signal: StudioSignal
    draft: SignalDraft
    decided_at: datetime
    counts: tuple[tuple[str, str | None, int], ...]


def signal_outcomes(db: Database, strategy: StrategyId, signal: str) -> SignalOutcomes | None:
    """Read one of a strategy's signals with the outcomes of its copies; None if it has no such one."""
    row = fetch_one(
        db,
        "SELECT number, id, receipt_id, received_us, draft, origin, not_mirrored, decided_us FROM "
        "signal WHERE id = ? AND strategy_id = ?",
        (signal, strategy),
    )
    if row is None:
        return None
    counts: Counter[tuple[str, str | None]] = Counter()
    for environment, code, _, count in outcomes_of(db, row[0]):
        counts[environment, code] += count
    return SignalOutcomes(
        signal=_signal(db, row[:7]),
        draft=read_draft(row[4]),
        decided_at=from_us(row[7]),
        counts=tuple((*key, count) for key, count in counts.most_common()),
    )


# Followers, never by name


@dataclass(frozen=True, slots=True)
class Audience:
    """Counts of subscriptions by (environment, mode, state).

    ``margin`` is by environment the cost of everything open by the books, divided by its leverage;
    ``unvalued`` counts positions whose cost is not reported yet.
    """

    counts: "Followers"
    open_shares: "OpenShares"
    margin: Mapping[str, Decimal]
    unvalued: Mapping[str, int]


Followers = tuple[tuple[str, str, SubscriptionState, int], ...]
OpenShares = tuple[tuple[str, str, int], ...]
OpenCost = tuple[str, Decimal | None, Decimal | None]
"""Of one open share its environment, its cost by the books and its leverage, None where not known."""


def followers_of(db: Database, strategy: StrategyId) -> Followers:
    """Count a strategy's subscriptions by environment, mode and state."""
    counts = fetch_all(
        db,
        "SELECT account.environment, policy, subscription.state, count(*) FROM subscription"
        " JOIN account ON account.id = account_id WHERE strategy_id = ? AND disconnected_us IS "
        "NULL GROUP BY 1, 2, 3",
        (strategy,),
    )
    followers: Counter[tuple[str, str, str]] = Counter()
    for environment, policy, state, count in counts:
        followers[environment, read_policy(policy).mode.value, state] += count
    return tuple((*key[:2], SubscriptionState(key[2]), n) for key, n in sorted(followers.items()))


def open_shares_of(db: Database, strategy: StrategyId) -> OpenShares:
    """Count what is open of a strategy by environment and contract."""
    rows = fetch_all(
        db,
        "SELECT account.environment, holding.symbol, count(*) FROM holding JOIN account ON "
        "account.id = holding.account_id"
        " WHERE strategy_id = ? AND share != '0' GROUP BY 1, 2 ORDER BY 1, 2",
        (strategy,),
    )
    return tuple((row[0], row[1], row[2]) for row in rows)


def open_costs_of(
    db: Database, strategy: StrategyId, limit: int, after: tuple[str, str] = ("", "")
) -> tuple[list[OpenCost], tuple[str, str] | None]:
    """Read what each open share of a strategy cost, at most ``limit`` after an account and contract;
    and after which the next page begins, None at the end.
    """
    rows = fetch_all(
        db,
        "SELECT holding.account_id, holding.symbol, account.environment, book.cost, (SELECT intent "
        "FROM attempt WHERE attempt.account_id = holding.account_id AND attempt.symbol = "
        "holding.symbol AND attempt.strategy_id = holding.strategy_id AND kind = 'entry' AND filled "
        "!= '0' ORDER BY id DESC LIMIT 1) FROM holding JOIN account ON account.id = "
        "holding.account_id LEFT JOIN book ON book.account_id = holding.account_id AND "
        "book.strategy_id = holding.strategy_id AND book.symbol = holding.symbol WHERE "
        "holding.strategy_id = ? AND share != '0' AND (holding.account_id, holding.symbol) > (?, ?) "
        "ORDER BY holding.account_id, holding.symbol LIMIT ?",
        (strategy, *after, limit),
    )
    leverage_of = cache(read_leverage)  # most orders of a strategy are of a few sizes
    costs: list[OpenCost] = [
        (
            row[2],
            None if row[3] is None else Decimal(row[3]),
            None if row[4] is None else leverage_of(row[4]),
        )
        for row in rows
    ]
    return costs, (rows[-1][0], rows[-1][1]) if len(rows) == limit else None


def audience_of(followers: Followers, shares: OpenShares, costs: Iterable[OpenCost]) -> Audience:
    """Return a strategy's followers in aggregate."""
    sums: dict[tuple[str, Decimal], Decimal] = {}
    unvalued: Counter[str] = Counter()
    for environment, cost, leverage in costs:
        if cost is None or leverage is None:
            unvalued[environment] += 1
        else:
            key = (environment, leverage)
            sums[key] = EXACT.add(sums.get(key, ZERO), cost)
    margin: dict[str, Decimal] = {}
    for (environment, leverage), cost in sums.items():
        part = EXACT.divide(cost, leverage)
        margin[environment] = EXACT.add(margin.get(environment, ZERO), part)
    return Audience(followers, shares, margin, dict(unvalued))
