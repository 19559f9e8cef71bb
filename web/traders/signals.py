"""What became of signals, why, which orders were sent, and what stands."""

from collections.abc import Sequence

from quart import Response

from engine.domain.alert import ABOUT_STRATEGIES
from web.rooms import Rooms, Who
from web.rows import FAMILIES
from web.visit import Visit

_SETTINGS = {"no new entries": "/home", "key": "/accounts"}


def register_signals(rooms: Rooms) -> None:
    """Add the pages about signals, orders and positions."""
    service = rooms.services.following

    @rooms.get("/signals", Who.FOLLOWER)
    async def signals(visit: Visit) -> Response:
        accounts = [*service.accounts(visit.who), *service.former_accounts(visit.who)]
        chosen = {
            name: visit.query.get(name, "")[:80] for name in ("strategy", "account", "family")
        }
        before = _number(visit.query.get("before", ""))
        rows = service.copies(
            visit.who,
            before=before,
            strategy=chosen["strategy"],
            account=chosen["account"],
            family=chosen["family"],
        )
        return visit.page(
            "traders/signals.html",
            rows=rows,
            chosen=chosen,
            families=FAMILIES,
            accounts=accounts,
            strategies=service.strategies_copied(visit.who),
            older=_older(rows),
            live=rooms.services.pulse.newest() if before is None else None,
        )

    @rooms.get("/signals/<signal>/<account>", Who.FOLLOWER)
    async def why(visit: Visit, signal: str, account: str) -> Response:
        found = service.why(visit.who, signal, account)
        followed = next(
            (
                each
                for each in service.agreements(visit.who)
                if each.strategy_name == found.strategy
            ),
            None,
        )
        change = _SETTINGS.get(
            found.setting or "",
            f"/strategies/{followed.strategy}/follow?account={account}" if followed else "",
        )
        return visit.page(
            "traders/why.html",
            why=found,
            change=change if found.setting else "",
            live=rooms.services.pulse.newest(),
        )

    @rooms.get("/positions", Who.FOLLOWER)
    async def positions(visit: Visit) -> Response:
        return visit.page(
            "traders/positions.html",
            rows=service.positions(visit.who),
            cards=service.cards(visit.who),
            live=rooms.services.pulse.newest(),
        )

    @rooms.get("/orders", Who.FOLLOWER)
    async def orders(visit: Visit) -> Response:
        before = _number(visit.query.get("before", ""))
        rows = service.orders(visit.who, before)
        older = rows[-1].id if len(rows) >= 50 else None
        live = rooms.services.pulse.newest() if before is None else None
        return visit.page("traders/orders.html", rows=rows, older=older, live=live)

    @rooms.get("/notifications", Who.SIGNED_IN)
    async def notifications(visit: Visit) -> Response:
        return visit.page(
            "traders/notifications.html",
            alerts=service.alerts(visit.who),
            about_strategies=ABOUT_STRATEGIES,
            live=rooms.services.pulse.newest(),
        )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _older(rows: Sequence[object]) -> int | None:
    """Return from where the next page goes on, None where there is none."""
    return int(getattr(rows[-1], "number", 0)) if len(rows) >= 50 else None
