"""Which refusals are for good: what was proven and refused, and an alert that is not sent again;
never what nobody proved.
"""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from engine.context import OWN_PAGE
from engine.ingress.endpoints import Endpoint
from engine.ingress.notes import is_lost
from engine.ports.signal_source import Delivery
from engine.views import Reception, ReceptionKind

KIND = ReceptionKind


@pytest.mark.parametrize(
    ("kind", "signed", "by_address"),
    [
        (KIND.MALFORMED, True, True),
        (KIND.INVALID, True, True),
        (KIND.CONFLICT, True, True),
        (KIND.LIMITED, False, True),
        (KIND.NOT_AUTHENTIC, False, False),
        (KIND.ACCEPTED, False, False),
        (KIND.DUPLICATE, False, False),
        (KIND.GONE, False, False),
        (KIND.UNAVAILABLE, False, True),
    ],
)
def test_what_is_refused_for_good(kind: ReceptionKind, signed: bool, by_address: bool) -> None:
    for token, lost in ((None, signed), (b"hash", by_address)):
        known = cast(Endpoint, SimpleNamespace(token_hash=token))
        for peer in ("203.0.113.9", OWN_PAGE):
            delivery = Delivery(b"close", (), peer, datetime(2026, 11, 24, tzinfo=UTC))
            assert is_lost(known, delivery, Reception(kind=kind)) is (lost and peer != OWN_PAGE)
