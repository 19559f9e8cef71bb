"""The directory of strategies, a page for each, and how one's own accounts did."""

from quart import Response

from engine.services.performance import periods, without_gaps
from engine.services.terms_form import terms_fields
from web.charts import bar_chart, falls_chart, result_chart, short_period, worth_chart
from web.rooms import Rooms, Who
from web.traders.follow import LIMIT_WORDS, SIZINGS
from web.visit import Visit

_KINDS = (("copy_trading", "Copy trading"), ("algo", "Algorithms"))
_BARS = {"day": 30, "week": 26, "month": 24}


def register_strategies(rooms: Rooms) -> None:
    """Add the directory, the strategies' pages and the performance of one's own accounts."""
    service = rooms.services.performance

    @rooms.get("/strategies", Who.SIGNED_IN)
    async def directory(visit: Visit) -> Response:
        found = service.directory(visit.who)
        kinds = [
            (title, [each for each in found if each[0].kind == kind])
            for kind, title in (("copy_trading", "Copy trading"), ("algo", "Algorithms"))
        ]
        return visit.page(
            "traders/strategies.html", kinds=kinds, live=rooms.services.pulse.newest()
        )

    @rooms.get("/strategies/<identifier>", Who.SIGNED_IN)
    async def strategy(visit: Visit, identifier: str) -> Response:
        row, figures = service.strategy(visit.who, identifier)
        zone = visit.who.person.zone
        charts = [
            (
                each,
                result_chart(
                    each.curve.points,
                    title=f"Result of followers, {each.environment.upper()}",
                    unit="USDT",
                    zone=zone,
                    until=visit.now,
                    exact_since=each.curve.exact_since,
                ),
                service.trades(row.id, each.environment),
            )
            for each in figures
        ]
        agreements = [
            (each, terms_fields(each.policy)) for each in service.agreements(visit.who, row.id)
        ]
        return visit.page(
            "traders/strategy.html",
            row=row,
            charts=charts,
            outcomes=service.outcomes(row.id),
            agreements=agreements,
            accounts=service.accounts(visit.who),
            limits=LIMIT_WORDS,
            sizings=SIZINGS,
            live=rooms.services.pulse.newest(),
        )

    @rooms.get("/performance", Who.FOLLOWER)
    async def performance(visit: Visit) -> Response:
        row = service.account(visit.who, visit.query.get("account", "")[:80])
        size = visit.query.get("by", "day")
        size = size if size in _BARS else "day"
        before = visit.query.get("before", "")
        if row is None:
            return visit.go("/accounts")
        accounts = [*service.accounts(visit.who), *service.former_accounts(visit.who)]
        figures, worth, zone = service.figures(row), service.equity(row), visit.who.person.zone
        summed = periods(figures, size)
        shown, drawn = summed[: _BARS[size]], without_gaps(summed, size)[: _BARS[size]]
        trades = service.account_trades(
            row, int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None
        )
        return visit.page(
            "traders/performance.html",
            row=row,
            accounts=accounts,
            figures=figures,
            size=size,
            sizes=list(_BARS),
            summed=shown,
            trades=trades,
            older=trades[-1].id if len(trades) >= 50 else None,
            equity=worth_chart(worth, "Equity", "USDT", zone),
            falls=falls_chart(worth, "Drawdown of equity", zone),
            curve=result_chart(
                figures.curve.points,
                title="Running result",
                unit="USDT",
                zone=zone,
                until=row.ended_at or visit.now,
                exact_since=figures.curve.exact_since,
            ),
            bars=bar_chart(
                [(each.label, short_period(each.label), each.result) for each in reversed(drawn)],
                f"Result by {size}",
                "USDT",
            ),
            books=service.books(row),
            live=rooms.services.pulse.newest(),
        )

    @rooms.get("/performance.csv", Who.FOLLOWER)
    async def as_csv(visit: Visit) -> Response:
        row = service.account(visit.who, visit.query.get("account", "")[:80])
        if row is None:
            return visit.go("/accounts")
        return _csv(service.csv(row), f"trades-{row.name}.csv")

    @rooms.get("/performance/funding.csv", Who.FOLLOWER)
    async def funding_as_csv(visit: Visit) -> Response:
        row = service.account(visit.who, visit.query.get("account", "")[:80])
        return (
            visit.go("/accounts")
            if row is None
            else _csv(service.funding_csv(row), f"funding-{row.name}.csv")
        )


def _csv(text: str, file_name: str) -> Response:
    answer = Response(text, content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return answer
