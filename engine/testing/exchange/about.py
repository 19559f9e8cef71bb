"""E01 to E09, and E61: what an adapter says about itself, its market and its account. No order is placed: a
live account may be read like this.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from engine.domain.account import Environment
from engine.domain.amounts import Price
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import AccountId, Symbol
from engine.domain.instrument import Instrument
from engine.ports.exchange import (
    AccountLogin,
    ExchangeContext,
    ExchangeTraits,
    Rejected,
    RejectionKind,
)
from engine.ports.loopback import is_loopback
from engine.ports.market_data import Candle
from engine.testing.exchange.kit import ExchangeKit
from engine.testing.exchange.looks import expect_all_sound, expect_no_float
from engine.testing.exchange.registry import case
from engine.testing.report import CaseFailed, CaseSkipped, expect

FAR: Final = (
    "https://exchange.example",
    "https://localhost.exchange.example",
    "https://127.0.0.1.exchange.example",
    "https://127.0.0.1@exchange.example",
    "https://exchange.example/localhost",
)
CANDLE_LENGTHS_S: Final = (60, 300, 3600)


@case(
    "E01",
    "names, traits and credential fields are well formed, without connecting anywhere",
    do="correct name, title, traits and credential_fields of the adapter class",
    trades=False,
)
async def _says_what_it_is(kit: ExchangeKit) -> None:
    adapter = kit.adapter
    expect(
        adapter.name == adapter.name.lower() and adapter.name.isidentifier(),
        f"expected a short lower-case name, found {adapter.name!r}",
    )
    expect(bool(adapter.title.strip()), "expected a title that people read, found nothing")
    expect(
        isinstance(adapter.traits, ExchangeTraits),
        f"expected ExchangeTraits, found {type(adapter.traits).__name__}",
    )
    names = [each.name for each in adapter.credential_fields]
    expect(
        len(names) == len(set(names)),
        f"expected credential fields of different names, found {names}",
    )
    for field in adapter.credential_fields:
        expect(
            bool(field.label and field.help),
            f"expected label and help of credential field {field.name}, found an empty one",
        )
    expect(
        any(each.secret for each in adapter.credential_fields),
        "expected at least one secret credential field, found none",
    )
    expect(
        adapter.traits.visible_within_s >= 0,
        f"expected visible_within_s of 0 or more, found {adapter.traits.visible_within_s}",
    )
    expect(
        not kit.http.used,
        "expected that nothing connects when the adapter is made, found a client of context.http",
    )


@case(
    "E02",
    "the environment follows from the settings alone, and an address that is not on this machine "
    "is LIVE",
    do=(
        "return SIMULATED only where rexalgo.is_loopback(base_url), else LIVE: real money is "
        "guarded by this answer"
    ),
    trades=False,
)
async def _environment(kit: ExchangeKit) -> None:
    found = kit.adapter.environment(kit.context)
    expect(isinstance(found, Environment), f"expected an Environment, found {found!r}")
    make = kit.under_test.adapter_at
    if make is None:
        return
    for url in FAR:
        try:
            far = make(url)
        except InvalidValue:
            continue  # a refusal is as good
        answer = far.environment(
            ExchangeContext(
                {**kit.under_test.settings, "base_url": url},
                kit.clock,
                kit.http,
                kit.under_test.data_dir,
            )
        )
        expect(answer is Environment.LIVE, f"expected LIVE for {url}, found {answer}")


@case(
    "E03",
    "a key that the exchange refuses is Rejected of kind CREDENTIALS, and does not touch an "
    "account that is connected",
    do=(
        "read something in connect, raise Rejected(text, RejectionKind.CREDENTIALS) where the "
        "exchange refuses the key, and keep "
        "client and credentials in the connection, never in the adapter"
    ),
    trades=False,
)
async def _wrong_key(kit: ExchangeKit) -> None:
    right = await kit.connection()
    await right.fetch_account()
    wrong = kit.under_test.wrong_credentials
    if wrong is None:
        raise CaseSkipped("every key is an account here")
    try:
        connection = await kit.adapter.connect(
            AccountLogin(AccountId("kit-wrong"), wrong), kit.context
        )
        try:
            await connection.fetch_account()
        finally:
            await connection.aclose()
    except Rejected as error:
        expect(
            error.kind is RejectionKind.CREDENTIALS,
            f"expected kind CREDENTIALS, found {error.kind} ({error})",
        )
        shown = kit.shown_in(str(error), wrong)
        expect(not shown, f"expected an error text without the key, found {', '.join(shown)} in it")
    else:
        raise CaseFailed(
            "expected Rejected of kind CREDENTIALS, found that a wrong key connects and reads"
        )
    await right.fetch_account()


@case(
    "E04",
    "contracts are valid, each once, in Decimal",
    do=(
        "return rexalgo.Instrument values with sizes in units of the base asset; parse JSON with "
        "parse_float=Decimal"
    ),
    trades=False,
)
async def _contracts(kit: ExchangeKit) -> None:
    instruments = list(await (await kit.market()).instruments())
    expect(bool(instruments), "expected at least one contract, found none")
    expect(
        all(isinstance(each, Instrument) for each in instruments),
        "expected Instrument values, found others",
    )
    symbols = [each.symbol for each in instruments]
    expect(len(symbols) == len(set(symbols)), "expected each contract once, found doubles")
    for each in instruments:
        expect_no_float(each, f"contract {each.symbol}")


@case(
    "E05",
    "prices are positive, fresh, carry a UTC time, and are of the contracts that were asked for",
    do=(
        "return one Quote for each asked symbol that has a price, with last and mark of that "
        "contract and the clock's time of the reading"
    ),
    trades=False,
)
async def _prices(kit: ExchangeKit) -> None:
    contracts = await kit.contracts()
    for _, quote in contracts:
        expect(quote.last > 0 and quote.mark > 0, f"expected positive prices, found {quote}")
        expect(
            quote.last / 2 < quote.mark < quote.last * 2,
            f"expected last and mark price near each other, found {quote}",
        )
        expect(quote.at.utcoffset() == timedelta(0), f"expected a time in UTC, found {quote.at!r}")
        age = kit.clock.now() - quote.at
        expect(
            timedelta(seconds=-5) < age < timedelta(seconds=15),
            f"expected a price not older than 15 s, found {age}",
        )
        expect_no_float(quote, "a price")
    symbol = contracts[0][0].symbol
    alone = await (await kit.market()).quotes(frozenset({symbol}))
    expect(
        [each.symbol for each in alone] == [symbol],
        f"expected the price of {symbol} alone, found {[each.symbol for each in alone]}",
    )


@case(
    "E06",
    "an account is read whole: money, positions and open orders, in Decimal, at a UTC time",
    do="return an AccountReport with everything that the exchange has, or raise",
    trades=False,
)
async def _account(kit: ExchangeKit) -> None:
    report = await kit.account()
    expect(
        report.as_of.utcoffset() == timedelta(0), f"expected a time in UTC, found {report.as_of!r}"
    )
    expect(
        report.balance.total >= report.balance.available >= 0,
        f"expected total >= available >= 0, found {report.balance}",
    )
    expect_all_sound(report.open_orders, "open order")
    expect_no_float(report, "the account")


@case(
    "E07",
    "candles are closed, oldest first, of the asked length and at most as many as asked",
    do=(
        "leave out the candle that still runs, sort by opened_at, and raise for a length that the "
        "exchange does not have"
    ),
    trades=False,
)
async def _candles(kit: ExchangeKit) -> None:
    instrument, quote = await kit.contract()
    market, seen = await kit.market(), 0
    for length in CANDLE_LENGTHS_S:
        try:
            candles = list(await market.candles(instrument.symbol, length, 5))
        except Exception:  # noqa: S112 - a length that the exchange does not have; the adapter decides which ones it has
            continue
        now = kit.clock.now()
        expect(len(candles) <= 5, f"expected at most 5 candles of {length} s, found {len(candles)}")
        for candle in candles:
            seen += 1
            _expect_sound_candle(candle, instrument.symbol, length, now)
        _expect_in_order(candles, quote.last)
    if not seen:
        raise CaseSkipped(
            "the exchange has no candles of 60, 300 or 3600 s: algorithms cannot run on it"
        )


@case(
    "E61",
    "past candles of each named length are those of the asked time, closed, oldest first",
    do=(
        "name in past_candle_lengths_s only what can be read of any time, leave out the candle that "
        "still runs and what opened outside the time, or leave past_candle_lengths_s empty"
    ),
    trades=False,
)
async def _past_candles(kit: ExchangeKit) -> None:
    lengths = kit.adapter.traits.past_candle_lengths_s
    if not lengths:
        raise CaseSkipped("past_candle_lengths_s is empty: positions and trades have no chart")
    expect(
        list(lengths) == sorted(set(lengths)) and lengths[0] > 0,
        f"expected past_candle_lengths_s ascending and each once, found {lengths}",
    )
    instrument, quote = await kit.contract()
    market, seen = await kit.market(), 0
    for length in lengths:
        now = kit.clock.now()
        for ago in (0, 20):
            until_s = (int(now.timestamp()) // length - ago) * length
            since, until = (
                datetime.fromtimestamp(each, UTC) for each in (until_s - 5 * length, until_s)
            )
            candles = list(await market.past_candles(instrument.symbol, length, since, until))
            seen += len(candles)
            expect(len(candles) <= 5, f"expected at most 5 of {length} s, found {len(candles)}")
            for candle in candles:
                _expect_sound_candle(candle, instrument.symbol, length, kit.clock.now())
                expect(
                    since <= candle.opened_at < until,
                    f"expected candles from {since} to {until}, found one of {candle.opened_at}",
                )
            _expect_in_order(candles, quote.last)
    expect(seen > 0, "expected a past candle of at least one named length, found none")


def _expect_sound_candle(candle: Candle, symbol: Symbol, length: int, now: datetime) -> None:
    expect(
        (candle.symbol, candle.interval_s) == (symbol, length),
        f"expected candles of {symbol} and {length} s, found {candle}",
    )
    expect(
        candle.opened_at.utcoffset() == timedelta(0),
        f"expected a start in UTC, found {candle.opened_at!r}",
    )
    expect(
        int(candle.opened_at.timestamp()) % length == 0,
        f"expected a start on a multiple of {length} s, found {candle.opened_at}",
    )
    expect(
        candle.opened_at + timedelta(seconds=length - 1) <= now,
        f"expected candles that are closed, found one of {length} s from "
        f"{candle.opened_at} at {now}",
    )
    expect(
        candle.low
        <= min(candle.open, candle.close)
        <= max(candle.open, candle.close)
        <= candle.high,
        f"expected low <= open, close <= high, found {candle}",
    )
    expect_no_float(candle, "a candle")


def _expect_in_order(candles: Sequence[Candle], price: Price) -> None:
    starts = [each.opened_at for each in candles]
    expect(
        starts == sorted(set(starts)),
        f"expected candles oldest first and each once, found {starts}",
    )
    if candles:
        last = candles[-1].close
        expect(
            price * Decimal("0.2") < last < price * 5,
            f"expected candles near the price {price}, found {last}",
        )


@case(
    "E08",
    "every request goes through context.http, to this machine where it is SIMULATED, and no "
    "reading takes more than the traits say",
    do=(
        "make every client with context.http (the engine's deadline, limits and faults stand "
        "there), and count in "
        "account_requests what fetch_account sends"
    ),
    trades=False,
)
async def _requests(kit: ExchangeKit) -> None:
    connection = await kit.connection()
    kit.needs_http()
    await kit.market()
    before = kit.http.plan.requests
    await connection.fetch_account()
    took, allowed = kit.http.plan.requests - before, kit.adapter.traits.account_requests
    expect(took > 0, "expected fetch_account to send its requests through context.http, found none")
    expect(
        took <= allowed,
        f"expected at most account_requests = {allowed} requests in fetch_account, found {took}",
    )
    if kit.adapter.environment(kit.context) is Environment.SIMULATED:
        strange = sorted(
            each
            for each in kit.http.plan.hosts
            if not is_loopback(f"http://{f'[{each}]' if ':' in each else each}")
        )
        expect(
            not strange,
            "expected requests to this machine alone while it says SIMULATED, found "
            f"{', '.join(strange)}",
        )


@case(
    "E09",
    "the orders of the last day can be read, newest first, of the asked contract, each once",
    do=(
        "map every row that the exchange may hold, those of other programs and of stops too, or "
        "leave out what is no order"
    ),
    trades=False,
)
async def _past(kit: ExchangeKit) -> None:
    connection, report = await kit.connection(), await kit.account()
    instrument, _ = await kit.contract()
    since = kit.clock.now() - timedelta(days=1)
    for symbol in sorted({instrument.symbol, *(each.symbol for each in report.positions[:3])}):
        history = await connection.find_orders(symbol, since)
        expect(
            all(each.symbol == symbol for each in history.orders),
            f"expected only {symbol}, found others",
        )
        times = [each.created_at for each in history.orders]
        expect(times == sorted(times, reverse=True), "expected newest first, found another order")
        expect_all_sound(history.orders, "order")
