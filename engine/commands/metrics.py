"""The metrics of a running engine, in the text format of Prometheus.

Counts come from the ledger's events, which are read when somebody asks, and from plain numbers that
the engine keeps anyway. A label holds a code, a state, a stage or the name of a piece of software;
never the name or id of a person, an account, a strategy or an order.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import trio

from engine.commands.backing_up import backup_state
from engine.commands.parameters import Reads, Run, installed_version
from engine.commands.system import feed_states
from engine.context import EngineContext
from engine.decisions.measuring import Measured
from engine.domain.errors import NothingThere
from engine.ledger.freeze import read_freezes
from engine.ledger.lineage import read_end
from engine.ledger.measures import copies_since, open_now, recorded_since
from engine.ports.exchange import NotExecuted, OutcomeUnknown, Rejected, TooManyRequests

if TYPE_CHECKING:
    from prometheus_client import Metric

SLICE: Final = 500
"""Events that are read in one turn of the loop."""
FAILURES: Final = (NotExecuted, OutcomeUnknown, Rejected, TooManyRequests, trio.TooSlowError)
"""Shown at 0 from the start: what first appears with a number looks like no increase."""
SIGNALS: Final = 10
"""Signals whose copies are counted in one turn of the loop."""


async def _metrics(context: EngineContext, params: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics as text."""
    if context.live is None or context.counts is None:
        raise NothingThere(
            "metrics are those of a running engine, and none runs here: rexalgo serve"
        )
    from prometheus_client import CollectorRegistry, generate_latest

    await _catch_up(context)
    registry = CollectorRegistry()
    registry.register(_Collector(context, await context.counts.deliveries()))
    return {"text": generate_latest(registry).decode()}


async def _catch_up(context: EngineContext) -> None:
    """Count the events and copies since the last time, some in each turn of the loop."""
    measured, db = context.measured, context.ledger.db
    while events := recorded_since(db, measured.after, SLICE):
        for event in events:
            measured.add(event)
        await trio.lowlevel.checkpoint()
    while signals := copies_since(db, measured.after_signal, SIGNALS):
        for number, copies in signals:
            measured.add_copies(number, copies)
        await trio.lowlevel.checkpoint()


class _Collector:
    """What ``generate_latest`` asks: every metric as it is now."""

    def __init__(self, context: EngineContext, deliveries: Mapping[str, int] | None) -> None:
        self._context = context
        self._deliveries = deliveries

    def collect(self) -> "Iterator[Metric]":
        context = self._context
        now = context.clock.now()
        yield from _history(context.measured, context)
        yield from _open(context, now)
        yield from _health(context)
        if self._deliveries is not None:
            yield _labelled(
                "counter",
                "deliveries",
                "Webhook deliveries by answer since the start of what verifies them.",
                ("answer",),
                (((answer,), count) for answer, count in sorted(self._deliveries.items())),
            )
        yield from _exchanges(context)
        yield from _storage(context)


def _gauge(name: str, about: str, value: float | None) -> "Iterator[Metric]":
    """Yield one gauge; none where the value is not known."""
    from prometheus_client.core import GaugeMetricFamily

    if value is not None:
        yield GaugeMetricFamily(f"rexalgo_{name}", about, value=value)


def _labelled(
    kind: str,
    name: str,
    about: str,
    labels: tuple[str, ...],
    rows: Iterable[tuple[tuple[str, ...], float]],
) -> "Metric":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    made = family(f"rexalgo_{name}", about, labels=labels)
    for values, number in rows:
        made.add_metric(values, number)
    return made


def _history(measured: Measured, context: EngineContext) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    numbers = read_end(context.ledger.db).numbers
    for name, table, about in (
        ("signals", "signal", "Signals ever recorded in the ledger."),
        ("orders", "attempt", "Orders ever begun: attempts to send one."),
    ):
        yield CounterMetricFamily(f"rexalgo_{name}", about, value=numbers.get(table, 0))
    yield CounterMetricFamily(
        "rexalgo_copies",
        "Copies of signals, one for each account concerned, since the start.",
        value=measured.copies,
    )
    yield _labelled(
        "counter",
        "outcomes",
        "Outcomes of copies by code since the start; a copy that was unknown first counts twice.",
        ("code",),
        (((code,), count) for code, count in sorted(measured.outcomes.items())),
    )
    yield _labelled(
        "counter",
        "alerts",
        "Alerts by code since the start.",
        ("code",),
        (((code,), count) for code, count in sorted(measured.alerts.items())),
    )
    times = HistogramMetricFamily(
        "rexalgo_order_seconds",
        "How long orders took: queue (arrival to claim), exchange (claim to end), total.",
        labels=("stage",),
    )
    for stage, histogram in measured.stages.items():
        times.add_metric((stage,), histogram.cumulative(), histogram.sum_s)
    yield times


def _open(context: EngineContext, now: datetime) -> "Iterator[Metric]":
    seen = open_now(context.ledger.db)
    yield from _gauge("waiting_legs", "Legs that wait to be sent.", seen.waiting)
    yield from _gauge(
        "queue_age_seconds",
        "Age of the oldest leg that waits to be sent; 0 if none waits.",
        0.0 if seen.oldest is None else max(0.0, (now - seen.oldest).total_seconds()),
    )
    states = {"claimed": 0, "unknown": 0, "not_confirmed": 0} | seen.orders
    yield _labelled(
        "gauge",
        "open_orders",
        "Open orders by state; unknown and not_confirmed are unproven.",
        ("state",),
        (((state,), count) for state, count in sorted(states.items())),
    )
    yield _labelled(
        "gauge",
        "alerts_untold",
        "Alerts that a channel was not told yet.",
        ("channel",),
        (((channel,), count) for channel, count in sorted(seen.untold.items())),
    )


def _health(context: EngineContext) -> "Iterator[Metric]":
    counts, live = context.counts, context.live
    assert counts is not None
    assert live is not None
    yield _labelled(
        "gauge", "info", "The version.", ("version",), [((installed_version("rexalgo"),), 1)]
    )
    yield from _gauge("ledger_healthy", "1 if the last write succeeded.", context.ledger.healthy)
    yield from _gauge(
        "frozen", "1 if an account or everything is frozen.", bool(read_freezes(context.ledger.db))
    )
    yield from _gauge("accounts", "Accounts.", len(live.accounts))
    yield from _gauge("accounts_troubled", "Accounts with a problem.", len(live.troubled()))
    yield _labelled(
        "counter",
        "task_restarts",
        "Restarts of tasks after a failure since the start.",
        ("task",),
        (((task,), count) for task, count in sorted(counts.restarts().items())),
    )
    turns = None if context.loop_turns is None else context.loop_turns()
    if turns is not None:
        yield from _gauge(
            "loop_turn_p99_seconds", "99 of 100 turns of the loop were shorter.", turns.p99_ms / 1e3
        )
        yield from _gauge(
            "loop_turn_max_seconds", "The longest turn of the loop.", turns.longest_ms / 1e3
        )
    commits, busy_s = context.ledger.writer_times()
    yield _labelled("counter", "ledger_commits", "Commits of the writer.", (), [((), commits)])
    yield _labelled(
        "counter", "ledger_writer_seconds", "Time that the writer worked.", (), [((), busy_s)]
    )


def _exchanges(context: EngineContext) -> "Iterator[Metric]":
    feeds, counts = feed_states(context), context.counts
    assert counts is not None
    for name, field, about in (
        ("rate_share", "rate_share", "Share of the exchange's stated rate in use."),
        ("clock_offset_seconds", "clock_ahead_s", "How far the exchange's clock is ahead."),
        ("accounts_read", "read", "Accounts that were read."),
    ):
        yield _labelled(
            "gauge",
            f"exchange_{name}",
            about,
            ("exchange",),
            (
                ((each,), seen[field])
                for each, seen in sorted(feeds.items())
                if seen[field] is not None
            ),
        )
    yield _labelled(
        "gauge",
        "exchange_prices_failing",
        "1 if the prices of the exchange cannot be read.",
        ("exchange",),
        (((each,), bool(seen["problem"])) for each, seen in sorted(feeds.items())),
    )
    yield _labelled(
        "counter",
        "exchange_errors",
        "Failed calls by class of the error since the start.",
        ("exchange", "error"),
        (
            ((exchange, error), count)
            for exchange, errors in sorted(counts.errors.items())
            for error, count in sorted(
                {**{each.__name__: 0 for each in FAILURES}, **errors}.items()
            )
        ),
    )


def _storage(context: EngineContext) -> "Iterator[Metric]":
    config, backup = context.config, backup_state(context)
    path = config.ledger.path
    yield from _gauge(
        "ledger_bytes",
        "Bytes of the ledger's files.",
        sum(
            each.stat().st_size
            for each in (path, path.with_name(f"{path.name}-wal"))
            if each.exists()
        ),
    )
    age = backup["age_seconds"]
    yield from _gauge(
        "backup_age_seconds", "Age of the newest backup; absent if there is none.", age
    )
    yield from _gauge("backup_overdue", "1 if a backup is overdue.", backup["overdue"])


METRICS: Final[Mapping[str, Run]] = {"metrics": Reads(_metrics)}
"""The command that returns metrics."""
