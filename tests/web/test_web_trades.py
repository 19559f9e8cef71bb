"""Trades on pages: how each ended, and unknown values that are not numbers."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from engine.domain.booking import BookState, Cause
from engine.ledger.history import OrderRow
from engine.ledger.results import DayRow, TradeRow
from engine.services.performance import figures_of
from web.pages import _TEMPLATES

D = Decimal
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
SETTLED = TradeRow(
    id=1,
    account="f0",
    environment="paper",
    strategy="trend",
    symbol="BTCUSDT",
    side="LONG",
    quantity="0.003",
    entry_price="65000",
    exit_price="63000",
    fees=D("0.19"),
    result=D("-6.19"),
    opened_at=NOW,
    closed_at=NOW,
    cause=Cause.STOP_LOSS,
    state=BookState.SETTLED,
)


def table(*trades: TradeRow) -> str:
    return _TEMPLATES.get_template("traders/trades_table.html").render(
        trades=trades, with_strategy=True
    )


def test_a_trade_says_how_it_ended_and_what_it_came_to() -> None:
    shown = table(SETTLED)
    assert 'data-label="Ended by">stop</td>' in shown
    assert "−6.19" in shown
    assert "not known" not in shown


def test_what_nobody_told_is_said_and_not_written_as_a_number() -> None:
    untold = replace(
        SETTLED, exit_price=None, fees=None, result=None, cause=None, state=BookState.OPEN
    )
    shown = table(untold, replace(untold, cause=Cause.UNEXPLAINED, state=BookState.UNEXPLAINED))
    assert shown.count("not known yet") == 4
    assert shown.count("unexplained") == 4
    assert ">0.00<" not in shown


def test_the_fee_of_an_order_is_not_known_before_it_is_told() -> None:
    order = OrderRow(
        at=NOW,
        account="f0",
        environment="paper",
        strategy="trend",
        symbol="BTCUSDT",
        kind="entry",
        side="BUY",
        quantity="0.003",
        filled="0.003",
        price="65000",
        fee=None,
        state="filled",
        cause="",
        signal_id="s1",
        client_order_id="c1",
        exchange_order_id=None,
    )

    def fee(row: OrderRow) -> str:
        shown = _TEMPLATES.get_template("traders/orders_table.html").render(rows=[row])
        return shown.partition('data-label="Fee">')[2].partition("<")[0]

    assert fee(order) == "not known yet"
    assert fee(replace(order, fee="0.0975")) == "0.10"
    assert fee(replace(order, filled="0")) == "–", "an order that filled nothing costs nothing"


def test_a_trade_of_before_is_marked() -> None:
    assert "before 0.2, not reconciled" in table(replace(SETTLED, cause=None, state=BookState.OLD))


def test_figures_say_how_many_trades_are_in_none_of_them() -> None:
    figures = figures_of(
        "paper",
        [
            DayRow(day="2026-11-24", trades=2, won=1, result=D(5), fees=D(1), unreconciled=3),
            DayRow(day="2026-11-25", trades=0, won=0, result=D(0), fees=D(0), unreconciled=4),
        ],
    )
    shown = _TEMPLATES.get_template("traders/figures.html").render(each=figures)
    assert "1 won, 50.0 %, 7 more not settled yet" in shown
    none = figures_of(
        "paper", [DayRow(day="2026-11-25", trades=0, won=0, result=D(0), fees=D(0), unreconciled=4)]
    )
    assert "4 more not settled yet" in _TEMPLATES.get_template("traders/figures.html").render(
        each=none
    )
