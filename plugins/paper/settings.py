"""The ``[plugin.paper]`` section as one frozen value. An unknown or wrong setting raises
InvalidValue with its field.

Money and rates are text, as everywhere; counts are whole numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from plugins.paper.contracts import CONTRACTS
from rexalgo import (
    InvalidValue,
    Money,
    Price,
    Symbol,
    floor_to_step,
    parse_decimal,
    parse_money,
    parse_price,
)

DEFAULTS: Mapping[str, object] = {
    "seed": 1,
    "volatility_bps": "20",
    "price_fixed": {},
    "starting_balance": "10000",
    "fee_bps": "5",
    "slippage_bps": "0",
    "orders_per_s": 50,
    "reads_per_s": 50,
    "dedupe_client_order_ids": False,
    "flush": "thread",
    "latency_ms": 0,
    "reject_every": 0,
    "lose_answer_every": 0,
    "hang_for": [],
    "raise_for": [],
}
BALANCE_MAX = Decimal(10**12)
_FLUSHES = ("thread", "inline")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSettings:
    """The settings of the plugin. Its README.md describes each."""

    seed: int
    volatility_bps: Decimal
    price_fixed: Mapping[Symbol, Price]
    starting_balance: Money
    fee_bps: Decimal
    slippage_bps: Decimal
    orders_per_s: int
    reads_per_s: int
    dedupe_client_order_ids: bool
    flush: str
    latency_ms: int
    reject_every: int
    lose_answer_every: int
    hang_for: tuple[str, ...]
    raise_for: tuple[str, ...]

    @staticmethod
    def parse(table: Mapping[str, object]) -> "PaperSettings":
        """Return the settings of the section. Absent settings take their defaults."""
        for name in table:
            if name not in DEFAULTS:
                raise InvalidValue(_path(name), "one of " + ", ".join(DEFAULTS), name)
        values = {**DEFAULTS, **table}
        return PaperSettings(
            seed=_whole(values, "seed", 0, 2**63 - 1),
            volatility_bps=_bps(values, "volatility_bps", 500),
            price_fixed=_fixed_prices(values["price_fixed"]),
            starting_balance=parse_balance(values["starting_balance"], _path("starting_balance")),
            fee_bps=_bps(values, "fee_bps", 40),
            slippage_bps=_bps(values, "slippage_bps", 100),
            orders_per_s=_whole(values, "orders_per_s", 1, 1_000_000),
            reads_per_s=_whole(values, "reads_per_s", 1, 1_000_000),
            dedupe_client_order_ids=_yes_or_no(values, "dedupe_client_order_ids"),
            flush=_one_of(values, "flush", _FLUSHES),
            latency_ms=_whole(values, "latency_ms", 0, 600_000),
            reject_every=_whole(values, "reject_every", 0, 10**9),
            lose_answer_every=_whole(values, "lose_answer_every", 0, 10**9),
            hang_for=_texts(values, "hang_for"),
            raise_for=_texts(values, "raise_for"),
        )


def parse_balance(value: object, field: str) -> Money:
    """Return a starting balance above zero and at most 10^12, so that no sum of this venue needs
    rounding.
    """
    balance = parse_money(value, field)
    if balance > BALANCE_MAX:
        raise InvalidValue(field, f"at most {BALANCE_MAX}", value)
    return balance


def _path(name: str) -> str:
    return f"plugin.paper.{name}"


def _whole(values: Mapping[str, object], name: str, low: int, high: int) -> int:
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidValue(_path(name), f"a whole number from {low} to {high}", value)
    return value


def _bps(values: Mapping[str, object], name: str, high: int) -> Decimal:
    number = parse_decimal(values[name], _path(name), minimum=Decimal(0))
    if number > high:
        raise InvalidValue(_path(name), f"basis points from 0 to {high}", values[name])
    return number


def _yes_or_no(values: Mapping[str, object], name: str) -> bool:
    value = values[name]
    if not isinstance(value, bool):
        raise InvalidValue(_path(name), "true or false", value)
    return value


def _one_of(values: Mapping[str, object], name: str, allowed: tuple[str, ...]) -> str:
    value = values[name]
    if not isinstance(value, str) or value not in allowed:
        raise InvalidValue(_path(name), "one of " + ", ".join(allowed), value)
    return value


def _texts(values: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = values[name]
    if not isinstance(value, list | tuple):
        raise InvalidValue(_path(name), "a list of account id prefixes", value)
    for each in value:
        if not isinstance(each, str) or not each:
            raise InvalidValue(_path(name), "a list of account id prefixes, none empty", each)
    return tuple(value)


def _fixed_prices(value: object) -> Mapping[Symbol, Price]:
    field = _path("price_fixed")
    if not isinstance(value, Mapping):
        raise InvalidValue(field, 'a table such as { BTCUSDT = "65000" }', value)
    fixed: dict[Symbol, Price] = {}
    for symbol, text in value.items():
        contract = CONTRACTS.get(symbol)
        if contract is None:
            raise InvalidValue(f"{field}.{symbol}", "one of " + ", ".join(CONTRACTS), symbol)
        price = parse_price(text, f"{field}.{symbol}")
        if floor_to_step(price, contract.instrument.price_step) != price:
            raise InvalidValue(
                f"{field}.{symbol}",
                f"a multiple of the price step {contract.instrument.price_step}",
                text,
            )
        fixed[contract.instrument.symbol] = price
    return fixed
