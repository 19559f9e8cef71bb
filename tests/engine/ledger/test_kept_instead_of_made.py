"""Values that the ledger stores so that nobody reads its whole history: set by the migration, and
kept current.
"""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.identifiers import AccountId, EndpointId, StrategyId, Symbol, copy_id
from engine.domain.signal import PositionSide
from engine.ledger import database
from engine.ledger.alerts import ChannelState, channel_state
from engine.ledger.attempts import accept_foreign, accepted_foreign, bound_order_ids
from engine.ledger.codec import from_us
from engine.ledger.conserving import read_on_record
from engine.ledger.funding import funding_by_day, funding_of_strategy
from engine.ledger.holdings import read_holding
from engine.ledger.people import endpoint_secrets, endpoints
from engine.ledger.query import fetch_all
from engine.ledger.schema import MIGRATIONS

ACCOUNT, BTC = AccountId("a"), Symbol("BTCUSDT")
NOW = datetime(2026, 11, 28, tzinfo=UTC)
BEFORE = next(number for number, each in enumerate(MIGRATIONS) if "held_before" in each)
INTENT = (
    '{"client_order_id":"rx1","leverage":"5","limit_price":null,"order_type":"MARKET","position_side":"LONG","quantity":"0.003",'
    '"reduce_only":false,"side":"BUY","stop_loss":null,"symbol":"BTCUSDT","take_profit":null,"whole_position":false}'
)
OLD = f"""
    INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES ('p', 'p', 0, x'00', 'k', x'00');
    INSERT INTO master VALUES ('m', 'm', 'p');
    INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, created_us)
        VALUES ('s', 'trend', 'm', 'copy_trading', '[]', '5', 'signed_webhook', '{{}}', 0);
    INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, created_us)
        VALUES ('a', 'alice', 'p', 'paper', 'paper', x'00', 1, 0);
    INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) VALUES ('sub', 'a', 's', '{{}}', 0);
    INSERT INTO signal (number, id, receipt_id, strategy_id, origin, dedupe_key, body_hash, symbol, draft, seq, order_key, decided_us,
        received_us) VALUES (1, 's1', 'r1', 's', 'o', '1', x'00', 'BTCUSDT', '{{"action":"open","is_test":true}}', 0, 'key-1', 1, 1),
        (2, 's2', 'r2', 's', 'o', '2', x'00', 'BTCUSDT', '{{"action":"close","is_test":false}}', 0, 'key-2', 2, 2);
    INSERT INTO endpoint (id, strategy_id, source) VALUES ('first', 's', 'signed_webhook'), ('after', 's', 'signed_webhook');
    INSERT INTO endpoint_secret (id, endpoint_id, owner_id, sealed, row_version, created_us)
        VALUES ('z', 'first', 'p', x'00', 1, 1), ('a', 'first', 'p', x'00', 1, 1);
    INSERT INTO copy (id, signal_number, account_id, subscription_id) VALUES ('c1', 1, 'a', 'sub'), ('c2', 2, 'a', 'sub');
    INSERT INTO leg (copy_id, number, kind, account_id, strategy_id, symbol, order_key, state)
        VALUES ('c1', 1, 'entry', 'a', 's', 'BTCUSDT', 'key-1', 'filled'), ('c2', 1, 'exit', 'a', 's', 'BTCUSDT', 'key-2', 'claimed');
    INSERT INTO attempt (id, copy_id, leg, number, kind, account_id, strategy_id, symbol, epoch, state, client_order_id, intent, witness,
        notional, margin, claimed_us, ended_us, exchange_order_id, filled)
        VALUES (1, 'c1', 1, 1, 'entry', 'a', 's', 'BTCUSDT', 1, 'rejected', 'rx0', '{INTENT}', '[]', '1', '1', 1, 2, NULL, '0'),
        (2, 'c1', 1, 2, 'entry', 'a', 's', 'BTCUSDT', 1, 'filled', 'rx1', '{INTENT}', '[]', '1', '1', 3, 4, 'x2', '0.003'),
        (3, 'c2', 1, 1, 'exit', 'a', 's', 'BTCUSDT', 1, 'claimed', 'rx2', '{INTENT}', '[]', '1', '1', 5, NULL, NULL, '0'),
        (4, 'c2', 1, 2, 'exit', 'a', 's', 'BTCUSDT', 1, 'cancelled', 'rx3', '{INTENT}', '[]', '1', '1', 6, 7, 'x4', '0.001'),
        (5, 'c2', 1, 3, 'exit', 'a', 's', 'BTCUSDT', 1, 'filled', 'rx4', '{INTENT}', '[]', '1', '1', 8, 9, 'x5', '0.009'),
        (6, 'c2', 1, 4, 'entry', 'a', 's', 'BTCUSDT', 1, 'filled', 'rx5', '{INTENT}', '[]', '1', '1', 10, 11, 'x6', '0.1');
    INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, entry_key)
        VALUES ('a', 'BTCUSDT', 's', 'LONG', '0.003', 0, 'key-1'), ('a', 'ETHUSDT', 's', 'LONG', '1', 0, 'nobody knows');
    INSERT INTO event (at_us, kind, subject, data) VALUES (1, 'decision', 'alice', '{{"by":"op","foreign":["x7","x8"]}}'),
        (2, 'decision', 'alice', '{{"by":"op"}}'), (3, 'alert', 'alice', '{{}}');
"""
OLD_ALONE = """
    INSERT INTO trade (account_id, strategy_id, symbol, side, quantity, entry_price, exit_price, fees, result, opened_us, closed_us)
        VALUES ('a', 's', 'BTCUSDT', 'LONG', '1', '1', '2', '0', '1', 1, 2);
    INSERT INTO funding (account_id, id, strategy_id, symbol, amount, at_us)
        VALUES ('a', 'f1', 's', 'BTCUSDT', '0.1', 0), ('a', 'f2', 's', 'BTCUSDT', '0.2', 86399999999),
        ('a', 'f3', 's', 'BTCUSDT', '-0.4', 86400000000), ('a', 'f4', '', 'BTCUSDT', '9', 0);
    INSERT INTO notifier_cursor (name, sequence) VALUES ('log', 2), ('telegram', 3);
"""


def test_an_older_ledger_is_given_what_is_kept_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "ledger")
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS[:BEFORE])
    old = database.open_database(path)
    old.execute(OLD + OLD_ALONE)
    old.close()
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    db = database.open_database(path)
    assert fetch_all(db, "SELECT symbol, opened_by FROM holding ORDER BY symbol") == [
        ("BTCUSDT", 2),
        ("ETHUSDT", None),
    ]
    assert fetch_all(db, "SELECT signals FROM strategy") == [(2,)]
    assert fetch_all(db, "SELECT environment FROM trade") == [("paper",)]
    assert funding_by_day(db, ACCOUNT) == {
        "1970-01-01": Decimal("0.3"),
        "1970-01-02": Decimal("-0.4"),
    }
    assert funding_of_strategy(db, ACCOUNT, StrategyId("s"), NOW.replace(year=1971)) == 0
    assert accepted_foreign(db, ACCOUNT, ["x2", "x7", "x8", "x9"]) == {"x7", "x8"}
    assert fetch_all(db, "SELECT action, is_test FROM signal ORDER BY number") == [
        ("open", 1),
        ("close", 0),
    ]
    assert [each.id for each in endpoints(db)] == ["first", "after"]
    assert [each.id for each in endpoint_secrets(db, EndpointId("first"))] == ["a", "z"]
    assert channel_state(db, "log") == ChannelState(2, waiting=1, since=from_us(3))
    assert channel_state(db, "telegram") == ChannelState(told=3, waiting=0)
    held = read_holding(db, ACCOUNT, BTC)
    assert held is not None
    assert (held.strategy, held.side) == (StrategyId("s"), PositionSide.LONG)
    seen = read_on_record(db, 3)  # what explains the share is found from its opening, as before
    assert (seen.share, seen.opened) == (held.share, Decimal("0.103"))
    assert seen.closed == Decimal("0.004")  # the second exit also took what its owner had added
    db.close()


def test_order_ids_are_looked_up_among_those_that_the_exchange_shows() -> None:
    db = database.open_database(database.MEMORY)
    db.execute(OLD)
    assert bound_order_ids(db, ACCOUNT, ["x1", "x2", "x2"]) == {"x2"}
    assert (
        bound_order_ids(db, AccountId("b"), ["x2"])
        == bound_order_ids(db, ACCOUNT, [])
        == frozenset()
    )
    accept_foreign(db, ACCOUNT, "alice", ["x1"], "op", NOW)
    accept_foreign(
        db, ACCOUNT, "alice", ["x1", "x3"], "op", NOW
    )  # said twice is not said otherwise
    assert accepted_foreign(db, ACCOUNT, ["x1", "x2", "x3"]) == {"x1", "x3"}
    assert accepted_foreign(db, AccountId("b"), ["x1"]) == frozenset()
    db.close()


def test_ids_of_copies_of_one_signal_are_neighbours_and_differ() -> None:
    first, second = copy_id(NOW, bytes(9)), copy_id(NOW, b"\xff" * 9)
    assert first[:17] == second[:17]
    assert first < second < copy_id(NOW.replace(second=1), bytes(9))
    assert len(first) == 35
