"""Recorded deliveries of an endpoint are bounded; a stranger's push out no real row."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import apsw
import pytest

from engine.domain.identifiers import EndpointId, PersonId
from engine.ledger import Ledger
from engine.ledger.deliveries import (
    _PRUNE,
    KEPT,
    KEPT_OF_STRANGERS,
    Ingress,
    NewDelivery,
    deliveries,
    ingress,
    note_deliveries,
)
from engine.ledger.pulse import concerns_person, newest_sequence
from engine.ledger.query import fetch_all

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    opened = Ledger.in_memory().db
    opened.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 0, x'00', 'k', x'00')"
    )
    opened.execute("INSERT INTO master VALUES ('m', 'm', 'p')")
    opened.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0)"
    )
    opened.execute(
        "INSERT INTO endpoint (id, strategy_id, source) VALUES ('one', 's', 'x'), ('two', 's', 'x')"
    )
    yield opened
    opened.close()


MIXED = tuple(
    (kind, endpoint) for endpoint in ("one", "two") for kind in ("accepted", "not_authentic")
)


def new(kind: str, number: int, endpoint: str = "one") -> NewDelivery:
    return NewDelivery(
        endpoint=EndpointId(endpoint),
        at=NOW + timedelta(seconds=number),
        kind=kind,
        field=None,
        expected=None,
        signal_id=f"sig-{number}",
        dialect="A",
        offset_ms=12,
        peer="203.0.113.9",
        took_us=900,
    )


def note(db: apsw.Connection, kind: str, number: int, endpoint: str = "one") -> None:
    note_deliveries(db, [new(kind, number, endpoint)])


def kept(db: apsw.Connection, endpoint: str) -> dict[str, int]:
    return dict(
        fetch_all(
            db,
            "SELECT kind, count(*) FROM delivery WHERE endpoint_id = ? GROUP BY kind",
            (endpoint,),
        )
    )


def test_each_kind_keeps_its_newest_and_no_more_however_endpoints_alternate(
    db: apsw.Connection,
) -> None:
    for number in range(KEPT + 50):
        note(db, "accepted", number)
        note(db, "not_authentic", number, "two")
    assert kept(db, "one") == {"accepted": KEPT}
    assert kept(db, "two") == {"not_authentic": KEPT_OF_STRANGERS}
    assert deliveries(db, EndpointId("one"), 1)[0].signal_id == f"sig-{KEPT + 49}"


def test_a_stranger_pushes_out_no_real_row_nor_the_other_way_round(db: apsw.Connection) -> None:
    for number in range(5):
        note(db, "invalid", number)
    for number in range(KEPT_OF_STRANGERS * 3):
        note(db, "not_authentic", number)
    for number in range(KEPT * 2):
        note(db, "duplicate", number, "two")
    assert kept(db, "one") == {"invalid": 5, "not_authentic": KEPT_OF_STRANGERS}


def test_pages_follow_each_other_without_gap_or_repetition(db: apsw.Connection) -> None:
    for number in range(25):
        note(db, "accepted" if number % 2 else "not_authentic", number)
    seen: list[int] = []
    before = None
    while page := deliveries(db, EndpointId("one"), 10, before):
        seen += [each.id for each in page]
        before = page[-1].id
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 25


def test_pruning_reads_an_index_of_its_own_kind(db: apsw.Connection) -> None:
    for sign, index in (("=", "delivery_of_strangers"), ("!=", "delivery_proven")):
        plan = " ".join(
            str(row[3])
            for row in fetch_all(db, "EXPLAIN QUERY PLAN " + _PRUNE.format(sign), ("one", 1))
        )
        assert plan.count(index) == 2, plan


def test_one_event_for_each_strategy_tells_its_master_and_nobody_else_that_something_came(
    db: apsw.Connection,
) -> None:
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('q', "
        "'q', 0, x'00', 'k', x'00')"
    )
    for number in range(300):
        note(db, "not_authentic" if number % 2 else "accepted", number)
    assert fetch_all(db, "SELECT kind, subject FROM event") == [("delivery", "strategy trend")]
    newest = newest_sequence(db)
    assert newest == 300
    assert concerns_person(db, PersonId("p"), 299) == newest
    assert concerns_person(db, PersonId("p"), 300) is None
    assert concerns_person(db, PersonId("q"), 0) is None


def test_ingress_tells_what_came_since_a_time_and_when_the_newest_came(db: apsw.Connection) -> None:
    assert ingress(db, NOW) == Ingress(taken=0, repeated=0, refused=0, last_at=None, p50_ms=None)
    for number, kind in enumerate(
        ["accepted", "accepted", "duplicate", "invalid", "not_authentic"]
    ):
        note(db, kind, number, "one" if number % 2 else "two")
    assert ingress(db, NOW + timedelta(seconds=1)) == Ingress(
        taken=1, repeated=1, refused=2, last_at=NOW + timedelta(seconds=4), p50_ms=0.9
    )
    assert ingress(db, NOW + timedelta(hours=1)) == Ingress(
        taken=0, repeated=0, refused=0, last_at=NOW + timedelta(seconds=4), p50_ms=None
    )


def test_deliveries_noted_together_keep_their_order_and_every_bound(db: apsw.Connection) -> None:
    made = [new(kind, n, endpoint) for n in range(KEPT + 10) for kind, endpoint in MIXED]
    note_deliveries(db, made)
    for endpoint in ("one", "two"):
        assert kept(db, endpoint) == {"accepted": KEPT, "not_authentic": KEPT_OF_STRANGERS}
        newest = deliveries(db, EndpointId(endpoint), 2)
        assert [each.at for each in newest] == [NOW + timedelta(seconds=KEPT + 9)] * 2
    pulses = fetch_all(db, "SELECT count(*) FROM event WHERE kind = 'delivery'")
    assert pulses == [(1,)]  # one strategy, one refresh of its pages
