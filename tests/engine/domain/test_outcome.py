"""How an outcome is told."""

import pytest

from engine.domain.outcome import Outcome, OutcomeCode


@pytest.mark.parametrize(
    ("price", "shown"),
    [
        ("64624.1", "64,624.1"),
        ("1234567", "1,234,567"),
        ("0.00012", "0.00012"),
        ("999", "999"),
        ("not told yet", "not told yet"),
    ],
)
def test_a_sentence_has_thousands_separators(price: str, shown: str) -> None:
    numbers = {"side": "BUY", "filled": "2500", "symbol": "XUSDT", "price": price}
    told = Outcome(OutcomeCode.FILLED, numbers)
    assert told.sentence == f"Filled: BUY 2,500 XUSDT at {shown}."
    assert told.numbers["price"] == price, "programs get the plain number"
