"""Every known error text of the exchange has one meaning; a new one is passed on as it is, and
counted.
"""

import pytest

from plugins.mudrex.errors import TEXTS, judge_write, refusal, unmapped
from rexalgo import NotExecuted, Rejected, RejectionKind, TooManyRequests

OTHER, FUNDS, CLOSED = RejectionKind.OTHER, RejectionKind.BALANCE, RejectionKind.POSITION_NOT_OPEN
BUSY = None
TOO_FAST = TooManyRequests
KNOWN = [
    ("Params error", OTHER),
    ("invalid trigger type", OTHER),
    ("invalid order type", OTHER),
    ("order price out of permissible range", OTHER),
    ("quantity not a multiple of the quantity step", OTHER),
    ("order quantity out of permissible range", OTHER),
    ("leverage out of permissible range", OTHER),
    ("order value less than minimum required value", RejectionKind.BELOW_MINIMUM),
    ("insufficient balance", FUNDS),
    ("Invalid trade currency", OTHER),
    ("order not found", OTHER),
    ("leverage not found", OTHER),
    ("Asset not found", OTHER),
    ("asset not found", OTHER),
    ("position is not open", CLOSED),
    ("position not in sync with exchange", BUSY),
    ("Position not found", CLOSED),
    ("Insufficient funds", FUNDS),
    ("Position is not in OPEN state", CLOSED),
    ("Risk order creation failed", OTHER),
    ("risk order id missing", BUSY),
    ("Invalid request", OTHER),
    ("From and To wallet types must be different", OTHER),
    ("Invalid Authentication", RejectionKind.CREDENTIALS),
    ("API rate limit exceeded", TOO_FAST),
    ("Too many requests. Try again in 3 seconds.", TOO_FAST),
    ("Rate limited", TOO_FAST),
    ("requested resource was not found", OTHER),
]


@pytest.mark.parametrize(("text", "kind"), KNOWN)
@pytest.mark.parametrize("code", ["null", "400"])
def test_each_text_of_the_reference_maps_to_one_class(
    text: str, kind: RejectionKind | type[TooManyRequests] | None, code: str
) -> None:
    before = dict(unmapped)
    told = judge_write(
        400,
        b'{"success":false,"errors":[{"code":%s,"text":"%s"}]}'
        % (code.encode(), text.upper().encode()),
    )
    if isinstance(kind, RejectionKind):
        assert isinstance(told, Rejected)
        assert told.kind is kind
    else:
        assert type(told) is (kind or NotExecuted)
    assert dict(unmapped) == before


def test_no_entry_of_the_table_is_hidden_by_an_earlier_one() -> None:
    for part, stands_for in TEXTS:
        first = next(each for each in TEXTS if each[0] in part)
        assert first[1] is stands_for, f"{part} is never reached: {first[0]} stands before it"


def test_every_text_of_the_table_is_met_by_this_test() -> None:
    unmet = [part for part, _ in TEXTS if not any(part in text.lower() for text, _ in KNOWN)]
    assert unmet == ["reduce only"]  # no published text; the simulator's own


def test_an_unlisted_text_is_a_refusal_that_is_counted() -> None:
    before = unmapped["a text nobody saw"]
    told = refusal("a text nobody saw")
    assert isinstance(told, Rejected)
    assert told.kind is OTHER
    assert unmapped["a text nobody saw"] == before + 1
