"""The settings of one strategy of this source, as one frozen value: the ``[plugin.crossover]``
section, and over it the strategy's own ``params``. Every problem is reported at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Final, TypeVar

from rexalgo import InvalidValue, Quantity, Symbol, parse_quantity, read_contract

T = TypeVar("T")
HISTORY: Final = 500
"""Closed candles to read. After a restart, an older cross is not found."""
SLOW_MAX: Final = 400
DEFAULTS: Final[Mapping[str, object]] = {
    "symbol": "BTCUSDT",  # the contract; one of the strategy's
    "interval_s": 300,  # length of a candle in seconds; one that the exchange has
    "fast": 9,  # candles in the fast average
    "slow": 21,  # candles in the slow average
    "sides": "both",  # "both" turns at every cross; "long" or "short" only enters that side
    "quantity": "0.01",  # the strategy's own position, in units of the base asset
    "missing_max": 3,  # this many missing candles in a row count as candles without a trade
}


class Sides(Enum):
    """The positions that a strategy takes."""

    BOTH = "both"
    LONG = "long"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class Rule:
    """One strategy's rule. README.md describes each setting."""

    symbol: Symbol
    interval: timedelta
    fast: int
    slow: int
    sides: Sides
    quantity: Quantity
    missing_max: int

    @property
    def interval_s(self) -> int:
        """Return the length of a candle in seconds."""
        return int(self.interval.total_seconds())


def read_rule(
    settings: Mapping[str, object], path: str, params: Mapping[str, object] | None = None
) -> Rule:
    """Read a rule: ``params`` over ``settings`` over the defaults. Raise InvalidValue with every
    problem.

    ``path`` is the place of the values that can be wrong, such as ``params``.
    """
    given = settings if params is None else params
    reading = _Reading({**DEFAULTS, **settings, **given}, path)
    for name in given:
        if name not in DEFAULTS:
            reading.complain(name, "no such setting; known are " + ", ".join(DEFAULTS), name)
    symbol = reading.read("symbol", read_contract, Symbol(""))
    interval_s = reading.whole("interval_s", 1, 604_800)
    fast, slow = reading.whole("fast", 1, SLOW_MAX - 1), reading.whole("slow", 2, SLOW_MAX)
    if 0 < slow <= fast:
        reading.complain("fast", f"fewer candles than slow, which has {slow}", fast)
    sides = reading.read("sides", _sides, Sides.BOTH)
    quantity = reading.read("quantity", parse_quantity, Quantity(Decimal(0)))
    missing_max = reading.whole("missing_max", 0, 100)
    reading.raise_problems()
    return Rule(symbol, timedelta(seconds=interval_s), fast, slow, sides, quantity, missing_max)


def _sides(value: object, field: str) -> Sides:
    try:
        return Sides(value)
    except ValueError:
        raise InvalidValue(
            field, "one of " + ", ".join(each.value for each in Sides), value
        ) from None


class _Reading:
    """The values of one reading, and their problems."""

    def __init__(self, values: Mapping[str, object], path: str) -> None:
        self._values = values
        self._path = path
        self._problems: list[InvalidValue] = []

    def complain(self, name: str, expected: str, found: object) -> None:
        self._problems.append(InvalidValue(f"{self._path}.{name}", expected, found))

    def read(self, name: str, parse: Callable[[object, str], T], otherwise: T) -> T:
        """Return ``otherwise`` after noting a problem."""
        try:
            return parse(self._values[name], f"{self._path}.{name}")
        except InvalidValue as problem:
            self._problems.append(problem)
            return otherwise

    def whole(self, name: str, least: int, most: int) -> int:
        """Return 0 after noting a problem."""
        value = self._values[name]
        if type(value) is int and least <= value <= most:
            return value
        self.complain(name, f"a whole number from {least} to {most}", value)
        return 0

    def raise_problems(self) -> None:
        """Raise one InvalidValue with every problem, under the name of the first."""
        if not self._problems:
            return
        first, *more = self._problems
        if not more:
            raise first
        found = "" if first.found is None else f", found {first.found!r}"
        raise InvalidValue(
            first.field, f"{first.expected}{found}; " + "; ".join(str(each) for each in more)
        )
