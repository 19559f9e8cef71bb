"""The numbered cases for exchange adapters: a number never changes its meaning, new ones get new
numbers.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from engine.testing.exchange.kit import ExchangeKit

Check = Callable[[ExchangeKit], Awaitable[None]]

# Without these nothing can be traded: if one of them failed, the trading cases are not tried.
NEEDED_TO_TRADE: Final = ("E03", "E04", "E05", "E06")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: what is promised, what to do if it fails, and whether it places orders."""

    number: str
    promise: str
    do: str
    trades: bool
    check: Check


_CASES: Final[dict[str, Case]] = {}


def case(number: str, promise: str, do: str, *, trades: bool = True) -> Callable[[Check], Check]:
    """Register a function as a case."""

    def keep(check: Check) -> Check:
        assert number not in _CASES, f"two cases are numbered {number}"
        _CASES[number] = Case(number=number, promise=promise, do=do, trades=trades, check=check)
        return check

    return keep


def all_cases() -> tuple[Case, ...]:
    """Return every case, by number."""
    return tuple(_CASES[number] for number in sorted(_CASES))
