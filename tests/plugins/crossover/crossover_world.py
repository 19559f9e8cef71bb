"""An exchange whose candles are a list, and a rule to read them by."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from plugins.crossover.settings import Rule, read_rule
from rexalgo import Candle, Clock, Instrument, Money, Price, Quantity, Quote, Ratio, Symbol

BTC = Symbol("BTCUSDT")
MINUTE = timedelta(minutes=1)
BEGINNING = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PARAMS: dict[str, object] = {"interval_s": 60, "fast": 2, "slow": 3, "quantity": "0.02"}


def rule(**changes: object) -> Rule:
    """Return a rule of two and three candles of a minute."""
    return read_rule({**PARAMS, **changes}, "params")


def candle(number: int, close: int | str, interval_s: int = 60, symbol: Symbol = BTC) -> Candle:
    """Return the candle that opens so many minutes behind the beginning."""
    price = Price(Decimal(close))
    at = BEGINNING + number * MINUTE
    return Candle(symbol, interval_s, at, price, price, price, price, Decimal(1))


def candles(*closes: int | str | None) -> tuple[Candle, ...]:
    """Return candles in a row; None is one that is missing."""
    return tuple(candle(number, each) for number, each in enumerate(closes) if each is not None)


@dataclass
class Tape:
    """The market data of an exchange whose candles are known in advance.

    ``failures``: so many of the next readings of candles fail. ``unfinished``: the running candle
    is told too. ``shuffled``: the newest candle is told first, and again.
    """

    clock: Clock
    tape: Sequence[Candle]
    failures: int = 0
    unfinished: bool = False
    shuffled: bool = False
    asked: list[int] = field(default_factory=list)

    async def instruments(self) -> Sequence[Instrument]:
        step, most = Quantity(Decimal("0.001")), Quantity(Decimal(100))
        return [
            Instrument(
                BTC,
                Price(Decimal("0.1")),
                step,
                step,
                most,
                Money(Decimal(5)),
                Ratio(Decimal(1)),
                Ratio(Decimal(50)),
            )
        ]

    async def quotes(self, symbols: frozenset[Symbol]) -> Sequence[Quote]:
        return []

    async def candles(self, symbol: Symbol, interval_s: int, limit: int) -> Sequence[Candle]:
        self.asked.append(limit)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the exchange answered 503")
        now = self.clock.now()
        known = [
            each
            for each in self.tape
            if each.opened_at + (timedelta(0) if self.unfinished else MINUTE) <= now
        ][-limit:]
        return [*known[-1:], *known] if self.shuffled else known

    async def aclose(self) -> None:
        return None
