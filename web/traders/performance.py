"""What the user's accounts earned: figures, charts, trades, and their files."""

from typing import Final

import trio
from quart import Response

from engine.services.history import Kind, Wanted
from engine.services.performance import periods, without_gaps
from web.charts import bar_chart, drawdown_chart, equity_chart, result_chart, short_period
from web.labels import LABELS
from web.routes import Route, Who, get
from web.traders.charts import one_by_one
from web.traders.history import csv_file
from web.visit import Visit
from web.words import period_name

_BARS: Final = {"day": 30, "week": 26, "month": 24}
"""How many periods of each size are shown."""


async def show_performance(visit: Visit) -> Response:
    """Show one account's equity, results and trades."""
    service = visit.services.performance
    row = service.account(visit.who, _chosen_account(visit))
    if row is None:
        return visit.go("/accounts")
    size = visit.query.get("by", "day")
    size = size if size in _BARS else "day"
    figures = service.figures(row)
    await trio.lowlevel.checkpoint()  # orders go first
    zone = visit.who.person.zone
    equity = await service.equity(row)
    summed = periods(figures, size)
    bars = without_gaps(summed, size)[: _BARS[size]]
    drawn = await one_by_one(
        equity=lambda: equity_chart(equity, "Equity", "USDT", zone),
        drawdown=lambda: drawdown_chart(equity, "Drawdown of equity", zone),
        curve=lambda: result_chart(
            figures.curve.points,
            LABELS["cumulative_pnl"],
            "USDT",
            zone,
            row.ended_at or visit.now,
            figures.curve.exact_since,
        ),
        bars=lambda: bar_chart(
            [
                (period_name(each.label), short_period(each.label), each.result)
                for each in reversed(bars)
            ],
            f"P&L by {size} (UTC)",
            "USDT",
        ),
    )
    return visit.page(
        "traders/performance.html",
        row=row,
        accounts=[*service.accounts(visit.who), *service.former_accounts(visit.who)],
        figures=figures,
        size=size,
        sizes=list(_BARS),
        summed=summed[: _BARS[size]],
        trades=service.account_trades(row),
        equity=drawn["equity"],
        drawdown=drawn["drawdown"],
        curve=drawn["curve"],
        bars=drawn["bars"],
        books=service.books(row),
        live=visit.newest,
    )


async def download_trades(visit: Visit) -> Response:
    """Answer with one account's trades as CSV."""
    return await _download(visit, Kind.TRADES)


async def download_funding(visit: Visit) -> Response:
    """Answer with one account's funding as CSV."""
    return await _download(visit, Kind.FUNDING)


async def _download(visit: Visit, kind: Kind) -> Response:
    row = visit.services.performance.account(visit.who, _chosen_account(visit))
    if row is None:
        return visit.go("/accounts")
    wanted = Wanted(account=row.name)
    return csv_file(
        visit.services.history.csv(visit.who, kind, wanted), f"{kind.value}-{row.name}.csv"
    )


def _chosen_account(visit: Visit) -> str:
    return visit.query.get("account", "")[:80]


ROUTES: Final[tuple[Route, ...]] = (
    get("/performance", Who.FOLLOWER, show_performance),
    get("/performance.csv", Who.FOLLOWER, download_trades),
    get("/performance/funding.csv", Who.FOLLOWER, download_funding),
)
