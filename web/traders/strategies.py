"""The directory of strategies, and a page for each."""

from typing import Final

from quart import Response

from engine.services.terms_form import terms_fields
from web.charts import result_chart
from web.labels import LABELS, LIMITS, SIZINGS
from web.routes import Route, Who, get
from web.visit import Visit

_KINDS: Final = (("copy_trading", "Copy trading"), ("algo", "Algorithms"))


async def show_directory(visit: Visit) -> Response:
    """Show the strategies that this user may see, by kind."""
    strategies = visit.services.performance.directory(visit.who)
    kinds = [
        (title, [(row, figures) for row, figures in strategies if row.kind == kind])
        for kind, title in _KINDS
    ]
    return visit.page("traders/strategies.html", kinds=kinds, live=visit.newest())


async def show_strategy(visit: Visit, identifier: str) -> Response:
    """Show one strategy: the user's agreements with it, and what its followers earned."""
    performance = visit.services.performance
    row, figures = performance.strategy(visit.who, identifier)
    charts = [
        (
            summary,
            result_chart(
                summary.curve.points,
                f"{LABELS['cumulative_pnl']} of followers, {summary.environment.upper()}",
                "USDT",
                visit.who.person.zone,
                visit.now,
                summary.curve.exact_since,
            ),
            performance.trades(row.id, summary.environment),
        )
        for summary in figures
    ]
    agreements = performance.agreements(visit.who, row.id)
    return visit.page(
        "traders/strategy.html",
        row=row,
        charts=charts,
        outcomes=performance.outcomes(row.id),
        agreements=[(agreement, terms_fields(agreement.policy)) for agreement in agreements],
        accounts=performance.accounts(visit.who),
        limits=LIMITS,
        sizings=SIZINGS,
        live=visit.newest(),
    )


ROUTES: Final[tuple[Route, ...]] = (
    get("/strategies", Who.SIGNED_IN, show_directory),
    get("/strategies/<identifier>", Who.SIGNED_IN, show_strategy),
)
