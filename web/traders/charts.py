"""The page of one open position and of one closed trade, each with its price chart."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import trio
from markupsafe import Markup
from quart import Response, abort

from engine.services.charting import OpenPosition, PastTrade
from engine.views import FillView
from web.price_chart import Level, Mark, price_chart
from web.routes import Route, Who, get
from web.visit import Visit
from web.words import steps

_UNIT: Final = "USDT"


async def one_by_one(**drawings: Callable[[], Markup]) -> dict[str, Markup]:
    """Draw the charts of a page one after the other; orders go between two of them."""
    drawn = {}
    for name, draw in drawings.items():
        drawn[name] = draw()
        await trio.lowlevel.checkpoint()
    return drawn


async def show_position(visit: Visit, name: str, symbol: str) -> Response:
    """Show one open position: its figures, what can be done with it, its fills and the price."""
    account = visit.services.following.account(visit.who, name)
    each = await visit.services.charting.position(visit.who, name, symbol)
    return visit.page(
        "traders/position.html",
        account=account,
        symbol=symbol,
        each=each,
        chart="" if each is None else _chart_of_position(each, visit.who.person.zone),
        live=visit.newest,
    )


async def show_trade(visit: Visit, identifier: str) -> Response:
    """Show one closed trade: its figures, its fills and the price."""
    if not (identifier.isascii() and identifier.isdigit() and len(identifier) < 19):
        abort(404)
    each = await visit.services.charting.trade(visit.who, int(identifier))
    return visit.page(
        "traders/trade.html",
        each=each,
        trade=each.closed.trade,
        step=_step(each),
        openable=visit.services.performance.openable(visit.who, [each.closed.strategy_id]),
        chart=chart_of_trade(each, visit.who.person.zone),
    )


def _chart_of_position(each: OpenPosition, zone: str) -> str:
    position = each.row.position
    levels = _levels(
        ("entry", "Average entry", None if position is None else position.entry_price),
        ("mark", "Mark", None if position is None or each.row.is_stale else position.mark_price),
        ("stop", "Stop", each.stop_loss),
        ("target", "Target", each.take_profit),
        ("liquidation", "Liquidation", None if position is None else position.liquidation_price),
    )
    title = f"Price of {each.row.symbol}"
    step = None if each.row.instrument is None else each.row.instrument.price_step
    marks = _marks(each.fills, is_long=each.row.side == "LONG")
    return price_chart(each.past.candles, levels, marks, title, _UNIT, zone, step)


def chart_of_trade(each: PastTrade, zone: str) -> str:
    """Draw the price of a closed trade with where it was entered and left."""
    trade = each.closed.trade
    levels = _levels(
        ("stop", "Stop at entry", each.level("stop_loss")),
        ("target", "Target at entry", each.level("take_profit")),
    )
    is_long = trade.side == "LONG"
    marks = _marks(each.closed.fills, is_long=is_long)
    if not marks:
        marks = [
            _fill(kind, Decimal(price), at, is_long=is_long)
            for kind, price, at in (
                ("entry", trade.entry_price, trade.opened_at),
                ("exit", trade.exit_price, trade.closed_at),
            )
            if price is not None
        ]
    title = f"Price of {trade.symbol}"
    return price_chart(each.past.candles, levels, marks, title, _UNIT, zone, _step(each))


def _step(each: PastTrade) -> Decimal | None:
    """Return the step with which the prices of a trade's page are aligned: an average may be finer
    than the contract's.
    """
    trade, step = each.closed.trade, each.price_step
    own = steps([trade], "entry_price", "exit_price").get(trade.symbol, step)
    return None if step is None or own is None else min(step, own)


def _levels(*named: tuple[str, str, Decimal | None]) -> list[Level]:
    return [Level(kind, name, price) for kind, name, price in named if price is not None]


def _fill(kind: str, price: Decimal, at: datetime, *, is_long: bool) -> Mark:
    """Return the mark of an entry or exit: a long is entered by buying, a short by selling."""
    return Mark(kind, kind.capitalize(), price, at, is_buy=is_long == (kind == "entry"))


def _marks(fills: Sequence[FillView], *, is_long: bool) -> list[Mark]:
    """Return fills whose price is known, and the master's price of each signal once."""
    marks, told = list[Mark](), set[str]()
    for each in fills:
        if each.price is not None:
            kind = "entry" if each.is_entry else "exit"
            marks.append(_fill(kind, each.price, each.at, is_long=is_long))
        signal = each.signal
        if signal is None or signal.price is None or each.received_at is None:
            continue
        if signal.dedupe_key not in told:
            told.add(signal.dedupe_key)
            marks.append(Mark("master", "Master’s price", signal.price, each.received_at))
    return marks


ROUTES: Final[tuple[Route, ...]] = (
    get("/accounts/<name>/positions/<symbol>", Who.FOLLOWER, show_position),
    get("/performance/trades/<identifier>", Who.FOLLOWER, show_trade),
)
"""The pages with price charts."""
