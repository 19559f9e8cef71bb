"""The directory of strategies, and a page for each."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

from markupsafe import Markup
from quart import Response

from engine.services.performance import TRADES_COMPARED, Compared
from engine.services.terms_form import terms_fields
from web.charts import result_chart, returns_fall_chart, sparkline
from web.labels import LABELS, LIMITS, SIZINGS
from web.routes import Route, Who, get
from web.traders.charts import one_by_one
from web.traders.shadow import shadows_of
from web.visit import Visit

_KINDS: Final = (("copy_trading", "Copy trading"), ("algo", "Algorithms"))
_PERIODS: Final[Mapping[str, int | None]] = {"30": 30, "90": 90, "all": None}
_VIEWS: Final = ("cards", "table")
_SIGNALS_SHOWN: Final = 20
Value = Decimal | int | None


def _of_record(name: str) -> Callable[[Compared], Value]:
    return lambda each: None if each.record is None else getattr(each.record, name)


_FIGURES: Final[Mapping[str, tuple[str, Callable[[Compared], Value], bool]]] = {
    "signal": ("Return per signal", _of_record("per_signal"), True),
    "follower": ("Return per follower", _of_record("per_follower"), True),
    "drawdown": (LABELS["max_drawdown"], _of_record("max_drawdown"), False),
    "win": ("Win rate", _of_record("win_rate"), True),
    "factor": ("Profit factor", _of_record("profit_factor"), True),
    "days": ("Days running", lambda each: each.days, True),
    "followers": ("Followers", lambda each: each.row.followers, True),
    "copied": ("Copied", lambda each: each.copied_percent, True),
    "slippage": ("Slippage", _of_record("slippage_bps"), False),
    "delay": ("Delay", _of_record("delay_ms"), False),
}
"""What strategies are compared and sorted by: label, value, and whether more is shown first."""


async def show_directory(visit: Visit) -> Response:
    """Show the strategies that this user may see, so that they can be compared: by kind as cards,
    or as one table sorted by a figure.
    """
    performance = visit.services.performance
    environments = performance.environments(visit.who)
    chosen = {
        "of": _one_of(visit, "of", environments or [""]),
        "days": _one_of(visit, "days", list(_PERIODS)),
        "view": _one_of(visit, "view", _VIEWS),
        "sort": _one_of(visit, "sort", ["signal", "name", *_FIGURES]),
    }
    compared = sorted(
        await performance.compared(visit.who, chosen["of"], _PERIODS[chosen["days"]]),
        key=lambda each: (_rank(each, chosen["sort"]), each.row.name),
    )
    sparks = {
        each.row.id: sparkline(
            each.record.curve,
            f"Cumulative return of its signals: {each.record.curve[-1][1]:+.2f} %",
        )
        for each in compared
        if each.record is not None
    }
    return visit.page(
        "traders/strategies.html",
        kinds=[
            (title, [each for each in compared if each.row.kind == kind]) for kind, title in _KINDS
        ],
        compared=compared,
        sparks=sparks,
        figures=_FIGURES,
        chosen=chosen,
        environments=environments,
        periods=list(_PERIODS),
        views=_VIEWS,
        trades_compared=TRADES_COMPARED,
        is_cut=any(each.is_cut for each in compared),
        with_=lambda **changed: f"/strategies?{urlencode({**chosen, **changed})}",
        live=visit.newest,
    )


def _one_of(visit: Visit, name: str, allowed: Sequence[str]) -> str:
    """Return a choice of the address, the first one if it is none of them."""
    wanted = visit.query.get(name, "")
    return wanted if wanted in allowed else allowed[0]


def _rank(each: Compared, by: str) -> tuple[bool, Decimal]:
    """Return where a strategy is sorted: the better first, those without the figure last."""
    if by == "name":
        return (False, Decimal(0))
    _, value_of, is_more_first = _FIGURES[by]
    value = value_of(each)
    if value is None:
        return (True, Decimal(0))
    return (False, -Decimal(value) if is_more_first else Decimal(value))


async def show_strategy(visit: Visit, identifier: str) -> Response:
    """Show one strategy: the user's agreements with it, and what its signals came to for its
    followers.
    """
    performance = visit.services.performance
    row = performance.strategy(visit.who, identifier)
    environments = performance.environments_of(row)
    chosen = {
        "of": _one_of(visit, "of", environments or [""]),
        "days": _one_of(visit, "days", ["all", *_PERIODS]),
    }
    each = await performance.record(row, chosen["of"], _PERIODS[chosen["days"]])
    zone = visit.who.person.zone
    points = _returns(each)
    agreements = performance.agreements(visit.who, row.id)
    drawn = await one_by_one(
        curve=lambda: (
            result_chart(points, "Return of its signals", "%", zone, visit.now, points[0][0])
            if points
            else Markup("")
        ),
        drawdown=lambda: returns_fall_chart(points, LABELS["max_drawdown"], zone, visit.now),
    )
    return visit.page(
        "traders/strategy.html",
        row=row,
        shadows=await shadows_of(visit, row, agreements),
        each=each,
        figures=_FIGURES,
        curve=drawn["curve"],
        drawdown=drawn["drawdown"],
        months=performance.months(each, zone),
        newest=each.record.returns[: -_SIGNALS_SHOWN - 1 : -1] if each.record else (),
        funding=performance.funding_per_follower(each),
        outcomes={
            of: counts
            for of, counts in (await performance.outcomes(row.id)).items()
            if chosen["of"] in ("", of)
        },
        chosen=chosen,
        environments=environments,
        periods=list(_PERIODS),
        trades_compared=TRADES_COMPARED,
        with_=lambda **changed: f"/strategies/{row.id}?{urlencode({**chosen, **changed})}",
        agreements=[(agreement, terms_fields(agreement.policy)) for agreement in agreements],
        accounts=performance.accounts(visit.who),
        limits=LIMITS,
        sizings=SIZINGS,
        live=visit.newest,
    )


def _returns(each: Compared) -> list[tuple[datetime, Decimal]]:
    """Return the running sum of a strategy's signals, from 0 where the first one was entered."""
    if each.record is None:
        return []
    began = min(signal.opened_at for signal in each.record.returns)
    return [(began, Decimal(0)), *each.record.curve]


ROUTES: Final[tuple[Route, ...]] = (
    get("/strategies", Who.SIGNED_IN, show_directory),
    get("/strategies/<identifier>", Who.SIGNED_IN, show_strategy),
)
