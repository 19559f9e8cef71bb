"""E50 to E59: readings that fail raise, whole or in part; what is promised beside orders is
reported; no text shows a credential.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, cast

import trio

from engine.domain.account import AccountReport
from engine.ports.exchange import FeeKind, FeesConnection, FundsConnection, OrderHistory
from engine.testing.exchange.kit import LOOK_S, SETTLE_S, ExchangeKit
from engine.testing.exchange.looks import expect_no_float
from engine.testing.exchange.registry import case
from engine.testing.faulty_http import READING, WITHOUT_LISTS
from engine.testing.report import CaseFailed, CaseSkipped, expect

Reading = Callable[[], Awaitable[Any]]
REQUESTS_MAX: Final = 8


async def _under(
    kit: ExchangeKit, fault: str, call: Reading, only_nth: int | None = None
) -> object:
    """Return what a reading returns, or the error that it raises, while a fault is on the
    connection.
    """
    kit.http.plan.read, kit.http.plan.read_only_nth = fault, only_nth
    try:
        return await call()
    except Exception as error:  # which one does not matter: the engine keeps what it knew
        kit.look_for_secrets(error)
        return error
    finally:
        kit.http.plan.heal()


@case(
    "E50",
    "a reading that fails raises, and never returns an empty account or an empty history",
    do=(
        "raise for every status but 200 and for every answer without the part that must be there; "
        "nothing has a default"
    ),
    trades=False,
)
async def _reading_fails(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    instrument, _ = await kit.contract()
    for fault in READING:
        for what, call in (
            ("fetch_account", connection.fetch_account),
            ("find_orders", lambda: connection.find_orders(instrument.symbol, kit.begun)),
        ):
            answer = await _under(kit, fault, call)
            expect(
                isinstance(answer, Exception),
                f"expected {what} to raise after {fault}, found {answer}",
            )


@case(
    "E51",
    "a reading that is cancelled leaves the connection usable",
    do="do not catch trio.Cancelled, and keep no lock or flag over a request",
    trades=False,
)
async def _cancelled(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    kit.http.plan.slow_reads = True
    with trio.move_on_after(0.3):
        await connection.fetch_account()
    kit.http.plan.slow_reads = False
    await connection.fetch_account()


@case(
    "E52",
    "no credential shows in the texts of the connection, the adapter, or an error",
    do=(
        "write no repr that shows headers or settings with keys, and put no request, address with "
        "a key or header into an error"
    ),
    trades=False,
)
async def _secrets(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    shown = kit.shown_in(f"{connection!r} {connection} {kit.adapter!r} {vars(kit.adapter)!r}")
    expect(
        not shown,
        f"expected no credential in the text of connection and adapter, found {', '.join(shown)}",
    )
    if kit.http.used:
        for fault in READING:
            await _under(kit, fault, connection.fetch_account)
    expect(
        not kit.leaks,
        f"expected no credential in an error, found {', '.join(sorted(set(kit.leaks)))}",
    )


@case(
    "E53",
    "contracts and prices whose reading fails raise, and are never reported as none, fewer or old "
    "ones as new",
    do=(
        "raise from instruments and quotes where a request fails; remembered prices keep the time "
        "of their own reading"
    ),
    trades=False,
)
async def _market_fails(kit: ExchangeKit) -> None:
    market = await kit.market()
    kit.needs_http()
    contracts = {each.symbol for each in await market.instruments()}
    some = frozenset(each.symbol for each, _ in (await kit.contracts())[:3])
    for fault in READING:
        answer = await _under(kit, fault, market.instruments)
        seen = (
            contracts
            if isinstance(answer, Exception)
            else {each.symbol for each in cast(Any, answer)}
        )
        expect(
            seen == contracts,
            f"expected instruments to raise after {fault}, found {len(seen)} of {len(contracts)}",
        )
        began = kit.clock.now()
        quotes = await _under(kit, fault, lambda: market.quotes(some))
        fresh = (
            []
            if isinstance(quotes, Exception)
            else [each for each in cast(Any, quotes) if each.at >= began]
        )
        expect(not fresh, f"expected quotes to raise after {fault}, found prices of now: {fresh}")


@case(
    "E54",
    "every order of this run is read back, or the reading says that it is not complete",
    do=(
        "read every page back to since; where you stop earlier, say complete=False: what is "
        "missing in a complete reading counts "
        "as never executed"
    ),
)
async def _all_of_them(kit: ExchangeKit) -> None:
    order = await kit.intent()
    await kit.entered(order)
    await kit.flatten()
    connection = await kit.connection()
    sent = [identifier for each, identifier in kit.accepted if each.symbol == order.symbol]
    missing: set[str] = set()
    with trio.move_on_after(SETTLE_S):
        while True:
            history = await connection.find_orders(order.symbol, kit.begun - timedelta(seconds=60))
            if not history.complete:
                raise CaseSkipped(
                    f"find_orders says that its {len(history.orders)} orders are not all of the "
                    f"{len(sent)} that were sent"
                )
            missing = set(sent) - {each.exchange_order_id for each in history.orders}
            if not missing:
                return
            await trio.sleep(LOOK_S)
    raise CaseFailed(
        f"expected all {len(sent)} accepted orders in {order.symbol} in a reading that says "
        f"complete, found {len(missing)} missing"
    )


@case(
    "E55",
    "fees and money elsewhere are reported where the traits say so",
    do=(
        "read the fee history back to the asked time, newest first, paid above 0; report only what "
        "is really there; else correct the traits"
    ),
)
async def _beside_orders(kit: ExchangeKit) -> None:
    traits, connection = kit.adapter.traits, await kit.connection()
    if not (traits.reports_fees or traits.reports_funds):
        raise CaseSkipped("the adapter's traits say: neither fees nor money elsewhere are reported")
    if traits.reports_funds:
        for funds in await cast(FundsConnection, connection).funds_elsewhere():
            expect(
                funds.amount >= 0 and bool(funds.where),
                f"expected an amount of 0 or more and where it is, found {funds}",
            )
            expect_no_float(funds, "money elsewhere")
    if traits.reports_fees:
        order = await kit.intent()
        began = (await kit.account()).as_of - timedelta(seconds=5)
        await kit.entered(order)
        fees: list[Any] = []
        with trio.move_on_after(SETTLE_S):
            while not fees:
                rows = list((await cast(FeesConnection, connection).fees(began)).rows)
                fees = [
                    each
                    for each in rows
                    if each.symbol == order.symbol and each.kind is FeeKind.TRADE
                ]
                await trio.sleep(LOOK_S)
        expect(
            bool(fees), f"expected a fee of the entry in {order.symbol} since {began}, found none"
        )
        times = [each.at for each in fees]
        expect(
            times == sorted(times, reverse=True) and times[-1] >= began,
            f"expected fees newest first and from {began} on, found {times}",
        )
        expect(
            len({each.id for each in fees}) == len(fees), "expected each fee once, found doubles"
        )
        expect_no_float(fees, "fees")


@case(
    "E56",
    "each request of a reading that fails on its own makes the reading raise, or changes nothing "
    "in its result",
    do=(
        "do not catch the error of one page, of positions or of open orders and go on with less: "
        "what is missing counts as "
        "closed or never sent"
    ),
)
async def _part_of_a_reading_fails(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    order = await kit.intent()
    await kit.entered(order)
    resting = await kit.resting()
    report = await kit.taken(resting)
    await kit.waits_for(
        lambda account: any(
            each.exchange_order_id == report.exchange_order_id for each in account.open_orders
        )
    )
    since = kit.begun - timedelta(seconds=60)
    for what, call in (
        ("fetch_account", connection.fetch_account),
        ("find_orders", lambda: connection.find_orders(order.symbol, since)),
    ):
        before = kit.http.plan.requests
        true = _essence(await call())
        for nth in range(1, min(kit.http.plan.requests - before, REQUESTS_MAX) + 1):
            for fault in (*READING, WITHOUT_LISTS):
                answer = await _under(kit, fault, call, nth)
                fits = isinstance(answer, Exception) or _essence(answer) == true
                expect(
                    fits,
                    f"expected {what} to raise where its request {nth} fails ({fault}), found "
                    f"{_essence(answer)} instead of {true}",
                )


def _essence(reading: object) -> object:
    """Return what must not be missing from a reading."""
    if isinstance(reading, AccountReport):
        positions = sorted(
            (each.symbol, each.side.value, each.quantity) for each in reading.positions
        )
        return (
            positions,
            sorted(each.exchange_order_id for each in reading.open_orders),
            reading.balance.currency,
        )
    if isinstance(reading, OrderHistory):
        return [each.exchange_order_id for each in reading.orders], reading.complete
    return reading
