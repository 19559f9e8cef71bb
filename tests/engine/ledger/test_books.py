"""The books equal the share, correct themselves after late reports, and never lose the exchange's
proof.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final, cast

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.decisions.explaining_fills import Told
from engine.decisions.results import Open, Trade
from engine.decisions.wallet import Line
from engine.domain.amounts import Quantity
from engine.domain.booking import Cause, Fill
from engine.domain.holding import Holding
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.domain.signal import NO_ORDER_KEY, PositionSide
from engine.ledger import Database, Ledger, folding
from engine.ledger.books import (
    Change,
    bind_outside,
    change_share,
    differences,
    note_order_fee,
    tell_fill,
    tell_order,
)
from engine.ledger.codec import to_us
from engine.ledger.folding import fold_episodes, unfolded_episodes
from engine.ledger.migrating import let_add_up
from engine.ledger.query import fetch_all, fetch_one
from engine.ledger.resolving import _leave_position
from engine.ledger.results import account_days, account_trades, trade_results
from engine.ledger.schema import MIGRATIONS
from engine.ledger.unsettled import tell_all
from engine.ledger.wallet import begin_wallet, sums

A0, S, BTC = AccountId("a0"), StrategyId("s"), Symbol("BTCUSDT")
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
D = Decimal


HELD: Final = (
    "INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, entry_key) "
    "VALUES ('a0', 'BTCUSDT', 's', 'LONG', '0', 1, '')"
)


@pytest.fixture
def db() -> Iterator[Database]:
    ledger = Ledger.in_memory()
    people(ledger.db)
    ledger.db.execute(HELD)
    yield ledger.db
    ledger.db.close()


def people(db: Database) -> None:
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', "
        "'p', 0, x'00', 'k', x'00')"
    )
    db.execute("INSERT INTO master VALUES ('m', 'm', 'p')")
    db.execute(
        "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
        "created_us)"
        " VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'x', '{}', 0)"
    )
    db.execute(
        "INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, "
        "created_us)"
        " VALUES ('a0', 'f0', 'p', 'paper', 'paper', x'00', 1, 0)"
    )


def held(db: Database) -> Holding:
    row = fetch_one(db, "SELECT share FROM holding")
    return Holding(
        account=A0,
        symbol=BTC,
        strategy=S,
        side=PositionSide.LONG,
        share=Quantity(D(row[0] if row else 0)),
        entries_open=0,
        entry_key=NO_ORDER_KEY,
    )


def fill(
    db: Database,
    quantity: str,
    price: str | None,
    *,
    fee: str | None = "0",
    entry: bool = False,
    minutes: int = 0,
    cause: Cause | None = Cause.SIGNAL,
    attempt: int | None = None,
) -> int:
    """Write one fill; return its id."""
    at = NOON + timedelta(minutes=minutes)
    told = None if price is None else D(price)
    change_share(
        db,
        held(db),
        Change(
            is_entry=entry,
            quantity=D(quantity),
            at=at,
            cause=cause,
            price=told,
            fee=None if fee is None else D(fee),
            attempt=attempt,
        ),
    )
    return int(fetch_all(db, "SELECT max(id) FROM fill")[0][0])


def results(db: Database) -> list[tuple[str | None, str | None, str]]:
    fold_episodes(db, unfolded_episodes(db, 100))
    rows = account_trades(db, A0, 100)[::-1]
    return [
        (
            each.exit_price,
            None if each.result is None else format(each.result.normalize(), "f"),
            each.state.value,
        )
        for each in rows
    ]


def test_a_close_that_nobody_priced_ends_its_position_and_spoils_no_later_trade(
    db: Database,
) -> None:
    fill(db, "1", "3667.40", entry=True)
    fill(db, "1", None, fee=None, cause=None)
    fill(db, "1", "4000", fee="0.2", entry=True)
    fill(db, "1", "4000", fee="0.13")
    assert results(db) == [(None, None, "open"), ("4000", "-0.33", "settled")]
    assert [(each.trades, each.result, each.unreconciled) for each in account_days(db, A0)] == [
        (1, D("-0.33"), 1)
    ]
    assert [each.result for each in trade_results(db, AccountId("a0"), 9)] == [D("-0.33")]


def test_what_is_told_later_corrects_the_trade_and_the_sums_by_difference(db: Database) -> None:
    fill(db, "2", "100", fee=None, entry=True)
    close = fill(db, "2", None, fee=None, cause=None)
    assert results(db) == [(None, None, "open")]
    tell_fill(db, close, price=D("90"), fee=D("0.1"), cause=Cause.STOP_LOSS)
    assert unfolded_episodes(db, 1)
    assert results(db) == [
        ("90", None, "open")
    ]  # the fee of the entry is not known yet: unknown is not zero
    tell_fill(db, 1, fee=D("0.2"))
    assert results(db) == [("90", "-20.3", "settled")]
    tell_fill(db, 1, rebate=D("-0.05"))
    assert results(db) == [("90", "-20.25", "settled")]
    assert [
        (each.trades, each.won, each.result, each.fees, each.unreconciled)
        for each in account_days(db, A0)
    ] == [(1, 0, D("-20.25"), D("0.25"), 0)]
    assert not unfolded_episodes(db, 1)


def test_one_closure_folds_a_bounded_number_of_fills(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that folded 200 long positions in one closure kept orders waiting for seconds."""
    monkeypatch.setattr(folding, "READ_AT_ONCE", 3)
    for _ in range(3):
        fill(db, "1", "100", entry=True)
        fill(db, "1", "110")
    left = [1, 3, 5]
    for rest in ([5], []):
        assert list(fold_episodes(db, left)) == [A0]
        left = unfolded_episodes(db, 9)
        assert left == rest
    assert len(account_trades(db, A0, 9)) == 3


BOOKED: Final = (
    "SELECT * FROM trade ORDER BY fill_id",
    "SELECT * FROM book",
    "SELECT * FROM account_day ORDER BY day",
    "SELECT * FROM strategy_day ORDER BY day",
    "SELECT id, folded FROM fill ORDER BY id",
)
AMOUNTS: Final = st.sampled_from(["0.001", "0.3", "1", "2.5", "7"])


OPENS: Final = ("entry", "7", "100", 0)
REDUCES: Final = ("close", "0.3", "103.37", 0)
FOLDS: Final = ("fold", "1", "100", 0)


@example([OPENS, REDUCES, FOLDS, ("told", "1", "90.1", 0), REDUCES])
@example([OPENS, REDUCES, FOLDS, ("older", "1", "100", 0), REDUCES])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["entry", "close", "close", "untold", "told", "fold", "fold", "older"]),
            AMOUNTS,
            st.sampled_from(["90.1", "100", "103.37"]),
            st.integers(0, 9),
        ),
        min_size=3,
        max_size=25,
    )
)
def test_folding_what_changed_is_folding_everything(
    moves: list[tuple[str, str, str, int]],
) -> None:
    """Whenever it is folded between fills, whichever fill is told of late, and whatever a version
    folded that did not keep what is open after each fill.
    """
    made = Ledger.in_memory().db
    people(made)
    made.execute(HELD)
    begin_wallet(made, A0, baseline=D(0), cash=D(0), worth=D(0), at=NOON)
    for number, (move, quantity, price, which) in enumerate(moves):
        ((fills,),) = fetch_all(made, "SELECT count(*) FROM fill")
        if move == "fold":
            fold_episodes(made, unfolded_episodes(made, 9))
        elif move == "older":
            made.execute("UPDATE fill SET open_after = NULL")
        elif move == "told" and fills:
            late = 1 + which % fills
            tell_fill(made, late, price=D(price), rebate=D("-0.01"), cause=Cause.STOP_LOSS)
        elif move == "entry":
            fill(made, quantity, price, fee="0.1", entry=True, minutes=number * 700)
        elif held(made).share > 0:
            untold = move == "untold"
            fill(made, quantity, None if untold else price, minutes=number * 700)
    fold_episodes(made, unfolded_episodes(made, 9))
    kept = [fetch_all(made, each) for each in BOOKED], sums(made, A0)
    made.execute("UPDATE fill SET folded = 0, open_after = NULL")
    fold_episodes(made, unfolded_episodes(made, 99))
    assert ([fetch_all(made, each) for each in BOOKED], sums(made, A0)) == kept


def test_one_new_fill_of_a_long_position_reads_no_other(db: Database) -> None:
    for number in range(40):
        fill(db, "2" if number % 2 == 0 else "1", "100", entry=number % 2 == 0)
    fold_episodes(db, [1])
    close = fill(db, "1", "110")
    read: list[int] = []
    with counted_rows(read):
        assert fold_episodes(db, [1]) == {A0: NOON}
    assert read == [1]
    tell_fill(db, close - 1, fee=D("0.5"))  # a late fee reads what came after it again
    with counted_rows(read):
        fold_episodes(db, [1])
    assert read == [1, 2]


@contextmanager
def counted_rows(read: list[int]) -> Iterator[None]:
    """Note how many fills each fold takes."""
    whole = folding.fold_all

    def noted(fills: list[Fill], position: Open | None) -> tuple[list[Open | None], list[Trade]]:
        read.append(len(fills))
        return whole(fills, position)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "fold_all", noted)
        yield


def test_an_order_that_fills_in_parts_is_booked_part_by_part_at_the_parts_own_price(
    db: Database,
) -> None:
    fill(db, "1", "100", fee="0.1", entry=True, attempt=7)
    fill(db, "1", None, fee=None, entry=True, attempt=7)
    tell_order(db, 7, D(2), D("101"), D("0.25"))
    rows = fetch_all(db, "SELECT price, fee, state FROM fill ORDER BY id")
    assert rows == [("100", "0.1", "settled"), ("102", "0.15", "settled")]
    tell_order(db, 7, D(2), D("109"), D("9"))  # told again: what is known stays
    assert fetch_all(db, "SELECT price, fee, state FROM fill ORDER BY id") == rows


def test_only_the_share_of_a_larger_close_is_ours_with_its_part_of_the_fee(db: Database) -> None:
    fill(db, "1", "100", entry=True)
    change_share(
        db,
        held(db),
        Change(
            is_entry=False, quantity=D(4), at=NOON, cause=Cause.SIGNAL, price=D(110), fee=D("0.4")
        ),
    )
    assert results(db) == [("110", "9.9", "settled")]
    assert differences(db) == []


def test_a_position_is_forgotten_when_the_share_in_it_is_closed_though_its_entry_still_fills(
    db: Database,
) -> None:
    """Else the rest of the entry, which is in a position of its own, is looked for in the one that
    is over, and seems closed.
    """
    fill(db, "2", "100", entry=True)
    db.execute("UPDATE holding SET position_id = 'p1'")
    fill(db, "1", "101")
    assert fetch_all(db, "SELECT share, position_id FROM holding") == [("1", "p1")]
    after = change_share(
        db,
        replace(held(db), position_id="p1"),
        Change(is_entry=False, quantity=D(1), at=NOON, cause=Cause.SIGNAL),
    )
    assert (after.share, after.position_id) == (0, "")
    fill(db, "1", "102", entry=True)
    assert fetch_all(db, "SELECT share, position_id FROM holding") == [("1", "")]


@pytest.mark.parametrize(
    ("entered_in", "left", "then"),
    [(["p1", "p2"], "p1", "p2"), (["p1", "p2"], "p2", ""), (["p1"], "p1", "")],
)
def test_what_is_left_of_a_position_that_an_exit_closed_is_in_a_newer_one_or_not_known(
    db: Database, entered_in: list[str], left: str, then: str
) -> None:
    """An older one is over: were it named again, its record would take the share that stands now,
    and its exits would close nothing.
    """
    for each in entered_in:
        change_share(
            db,
            held(db),
            Change(
                is_entry=True,
                quantity=D(1),
                at=NOON,
                cause=Cause.SIGNAL,
                price=D(100),
                fee=D(0),
                position_id=each,
            ),
        )
    db.execute("UPDATE holding SET position_id = ?", (left,))
    _leave_position(
        db,
        cast(
            Any,
            SimpleNamespace(
                account=A0, strategy=S, intent=SimpleNamespace(symbol=BTC, position_id=left)
            ),
        ),
    )
    assert fetch_all(db, "SELECT position_id FROM holding") == [(then,)]


def test_a_late_proof_takes_over_the_close_that_a_reading_saw(db: Database) -> None:
    fill(db, "1", "100", entry=True)
    fill(db, "1", None, fee=None, cause=None)
    bind_outside(
        db,
        held(db),
        Change(
            is_entry=False,
            quantity=D(1),
            at=NOON,
            cause=Cause.SIGNAL,
            price=D(105),
            fee=D("0.5"),
            attempt=9,
            order_id="X9",
        ),
    )
    assert results(db) == [("105", "4.5", "settled")]
    assert fetch_all(db, "SELECT attempt_id, exchange_order_id FROM fill WHERE NOT is_entry") == [
        (9, "X9")
    ]


def test_a_late_proof_takes_over_a_close_that_its_own_row_had_explained_as_the_owners(
    db: Database,
) -> None:
    begin_wallet(db, A0, D(0), D(0), D(0), NOON)
    fill(db, "1", "100", entry=True)
    close = fill(db, "1", None, fee=None, cause=None)
    tell_all(
        db, A0, [Told(fill=close, price=D(105), fee=D("0.5"), cause=Cause.OWNER, order_id="X9")]
    )
    db.execute(
        "INSERT INTO attempt (id, copy_id, leg, number, kind, account_id, strategy_id, symbol, "
        "epoch, state, client_order_id, intent,"
        " witness, notional, margin, claimed_us)"
        " VALUES (9, 'c', 1, 1, 'exit', 'a0', 's', 'BTCUSDT', 1, 'not_confirmed', 'x', '', '[]', "
        "'0', '0', ?)",
        (to_us(NOON),),
    )
    bind_outside(
        db,
        held(db),
        Change(
            is_entry=False,
            quantity=D(1),
            at=NOON,
            cause=Cause.SIGNAL,
            price=D(105),
            fee=D("0.5"),
            attempt=9,
            order_id="X9",
        ),
    )
    note_order_fee(db, 9, D("0.5"))
    assert fetch_all(db, "SELECT attempt_id, cause, state FROM fill WHERE NOT is_entry") == [
        (9, "signal", "settled")
    ]
    assert sums(db, A0)[Line.ORDER_FEES] == D("0.5")


def test_books_that_differ_are_told_and_lose_no_proof(db: Database) -> None:
    fill(db, "1", "100", entry=True)
    db.execute("UPDATE holding SET share = '3'")
    fill(db, "1", "110")
    assert [(each.booked, each.share) for each in differences(db)] == [(D(0), D(2))]
    assert fetch_all(
        db, "SELECT count(*) FROM event WHERE kind = 'alert' AND data LIKE '%books_differ%'"
    ) == [(1,)]
    assert results(db) == [("110", "10", "settled")]


def test_an_old_ledger_begins_with_books_that_have_the_shares_and_keeps_what_is_not_proven_out_of_the_sums() -> (
    None
):
    db = apsw.Connection(":memory:")
    mine = next(index for index, each in enumerate(MIGRATIONS) if "CREATE TABLE fill (" in each)
    for each in MIGRATIONS[:mine]:
        db.execute(each)
    people(db)
    db.execute("INSERT INTO run VALUES (1, 5)")
    db.execute("INSERT INTO book VALUES ('a0', 's', 'BTCUSDT', 'LONG', '3', '300.6', '0.3', 7)")
    for symbol, share in (("BTCUSDT", "2"), ("ETHUSDT", "1"), ("SOLUSDT", "0")):
        db.execute(
            "INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, "
            "entry_key) VALUES"
            " ('a0', ?, 's', 'LONG', ?, 0, '')",
            (symbol, share),
        )
    db.execute(
        "INSERT INTO trade (account_id, strategy_id, symbol, side, quantity, entry_price, "
        "exit_price, fees, result, opened_us, closed_us)"
        " VALUES ('a0', 's', 'BTCUSDT', 'LONG', '1', '3667.40', '4000', '0.33', '22.97', 1, 2)"
    )
    db.execute("INSERT INTO account_day VALUES ('a0', '1970-01-01', 1, 1, '22.97', '0.33')")
    let_add_up(db)
    for each in MIGRATIONS[mine:]:
        db.execute(each)
    assert differences(db) == []
    assert fetch_all(db, "SELECT symbol, quantity, price, fee, state FROM fill") == [
        ("BTCUSDT", "2", "100.2", None, "old"),
        ("ETHUSDT", "1", None, None, "old"),
    ]
    assert [(each.trades, each.result, each.unreconciled) for each in account_days(db, A0)] == [
        (0, D(0), 1)
    ]
    assert [each.state.value for each in account_trades(db, A0, 9)] == ["old"]
    assert trade_results(db, AccountId("a0"), 9) == []
    fold_episodes(db, unfolded_episodes(db, 9))
    db.close()
