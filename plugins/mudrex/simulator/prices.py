"""SIMULATED prices: a pure function of seed, contract and second, unless a price is set by hand.

A contract's price moves around its base in three seeded sine waves (one minute to six hours, 1 % in
all) and is constant for one second. A price set by hand is valid until it is released. Candles
agree with the prices.
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterator
from decimal import Decimal

from plugins.mudrex.simulator.contracts import CONTRACTS

_WAVES = ((60.0, 0.001), (1_200.0, 0.003), (21_600.0, 0.006))
_SAMPLES = 12


class Prices:
    """Every contract's price at every second. With ``moves`` False every contract stays at its own
    price.
    """

    def __init__(self, seed: int, *, moves: bool = True) -> None:
        self.moves = moves
        self._seed = seed
        self._set: dict[str, list[tuple[float, Decimal | None]]] = {}

    def set(self, symbol: str, price: Decimal | None, now: float) -> None:
        """Set a contract's price from now on; None releases it."""
        self._set.setdefault(symbol, []).append((now, price))

    def at(self, symbol: str, second: float) -> Decimal:
        """Return the price at a time, on the contract's price step."""
        chosen = self._chosen(symbol, second)
        contract = CONTRACTS[symbol]
        if chosen is not None or not self.moves:
            return contract.price if chosen is None else chosen
        swing = sum(
            height * math.sin(2 * math.pi * (int(second) / period + self._phase(symbol, index)))
            for index, (period, height) in enumerate(_WAVES)
        )
        return (
            max(1, round(float(contract.price / contract.price_step) * (1 + swing)))
            * contract.price_step
        )

    def _chosen(self, symbol: str, second: float) -> Decimal | None:
        history = self._set.get(symbol)
        if not history:
            return None
        index = bisect_right([when for when, _ in history], second)
        return history[index - 1][1] if index else None

    def _phase(self, symbol: str, index: int) -> float:
        return hashlib.sha256(f"{self._seed}|{symbol}|{index}".encode()).digest()[0] / 256

    def candles(
        self, symbol: str, step_s: int, start: int, end: int, now: float, limit: int
    ) -> Iterator[list[float]]:
        """Return the closed candles that begin from ``start`` to ``end``, both included: time,
        open, high, low, close, volume.
        """
        opened = -(-start // step_s) * step_s
        last = min(end, int(now) - step_s)
        for _ in range(limit):
            if opened > last:
                return
            stops = [opened + step_s * index // _SAMPLES for index in range(_SAMPLES)]
            seen = [self.at(symbol, each) for each in stops] + [self.at(symbol, opened + step_s)]
            yield [
                opened,
                *(float(each) for each in (seen[0], max(seen), min(seen), seen[-1])),
                float(step_s),
            ]
            opened += step_s
