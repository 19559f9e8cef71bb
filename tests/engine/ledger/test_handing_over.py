"""A position that its owner takes over: money is conserved, and the engine holds nothing there."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_books import A0, BTC, NOON, D, S, fill, people

from engine.decisions.wallet import Line, at_cost, change_told
from engine.domain.amounts import Price
from engine.domain.booking import Cause
from engine.domain.signal import PositionSide
from engine.ledger import Database, Ledger
from engine.ledger.books import OWNER, Change, differences, write_fill
from engine.ledger.folding import fold_episodes, unfolded_episodes
from engine.ledger.handing_over import hand_over
from engine.ledger.holdings import read_holding
from engine.ledger.query import fetch_all
from engine.ledger.results import account_trades
from engine.ledger.wallet import begin_wallet, open_costs, sums

PRICES = st.integers(1, 10**6).map(lambda cents: D(cents) / 100)
QUANTITIES = st.integers(1, 10**5).map(lambda steps: D(steps) / 1000)


def made() -> Database:
    ledger = Ledger.in_memory()
    people(ledger.db)
    ledger.db.execute(
        "INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, "
        "entry_key, stop_loss, carried) VALUES ('a0', 'BTCUSDT', 's', 'LONG', '0', 0, 'k', '50', "
        "'0.1')"
    )
    begin_wallet(ledger.db, account=A0, baseline=D(1000), cash=D(1000), worth=D(1000), at=NOON)
    return ledger.db


@pytest.fixture
def db() -> Iterator[Database]:
    opened = made()
    yield opened
    opened.close()


def own(db: Database, quantity: Decimal, price: Decimal, *, entry: bool) -> None:
    """Write a fill of the owner's own."""
    change = Change(
        is_entry=entry,
        quantity=quantity,
        at=NOON + timedelta(minutes=9),
        cause=Cause.OWNER,
        price=price,
        fee=D(0),
    )
    write_fill(db, account=A0, strategy=OWNER, symbol=BTC, side=PositionSide.LONG, change=change)


def fold(db: Database) -> None:
    fold_episodes(db, unfolded_episodes(db, 100))


def take_over(db: Database, price: Decimal) -> None:
    holding = read_holding(db, A0, BTC)
    assert holding is not None
    hand_over(db, holding, Price(price), NOON + timedelta(minutes=5))
    fold(db)


def rest(db: Database, quantity: Decimal, entry_price: Decimal) -> Decimal:
    """Return what nothing explains of a wallet that has not moved since 1,000 were in it."""
    position = SimpleNamespace(
        symbol=BTC, side=PositionSide.LONG, quantity=quantity, entry_price=entry_price
    )
    report: Any = SimpleNamespace(
        unreadable=(), positions=(position,), balance=SimpleNamespace(total=D(1000))
    )
    worth = at_cost(report, open_costs(db, A0))
    assert worth is not None
    return worth - D(1000) - change_told(sums(db, A0))


def test_the_strategy_ends_and_the_owner_begins_at_the_price_of_that_moment(db: Database) -> None:
    fill(db, "1", "100", fee="0.1", entry=True)
    own(db, D("0.5"), D(110), entry=True)
    fold(db)
    take_over(db, D(120))
    (trade,) = [each for each in account_trades(db, A0, 9) if each.strategy == "trend"]
    assert (trade.exit_price, trade.result, trade.cause) == ("120", D("19.9"), Cause.TAKEN_OVER)
    books = fetch_all(db, "SELECT strategy_id, quantity, cost FROM book")
    assert books == [(OWNER, "1.5", "175")]
    held = read_holding(db, A0, BTC)
    assert held is not None
    assert (held.share, held.detached, held.stop_loss, held.carried) == (0, True, None, 0)
    assert differences(db, A0) == []
    own(db, D("1.5"), D(130), entry=False)
    fold(db)
    lines = sums(db, A0)
    assert (lines[Line.RESULTS], lines[Line.OWNER]) == (20, 20), "30 of ours and 10 of the owner's"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    entries=st.lists(st.tuples(QUANTITIES, PRICES), min_size=1, max_size=4),
    mark=PRICES,
)
def test_taking_over_explains_the_wallet_as_before(
    db: Database, entries: list[tuple[Decimal, Decimal]], mark: Decimal
) -> None:
    db.execute("SAVEPOINT example")
    for quantity, price in entries:
        fill(db, str(quantity), str(price), entry=True)
    fold(db)
    quantity = sum((each for each, _ in entries), D(0))
    entry_price = sum((each * price for each, price in entries), D(0)) / quantity
    before = rest(db, quantity, entry_price)
    take_over(db, mark)
    assert abs(rest(db, quantity, entry_price) - before) < D("0.000001")
    assert fetch_all(db, "SELECT 1 FROM book WHERE strategy_id = ?", (S,)) == []
    db.execute("ROLLBACK TO example")
    db.execute("RELEASE example")
