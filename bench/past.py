"""Write a history into a ledger with plain SQL: an installation after so many outcomes, in seconds
instead of months.

Each strategy opens and closes in turn, for every follower. Most copies fill and become trades; some
are skipped, some refused, and the close of what was not opened finds nothing. Everything ended an
hour before ``until``: nothing is open, waits or is held. Events, alerts, changed switches,
deliveries, days, funding and equity come with it. The audit is left out: its seals need a key. The
statements are SQLite's own: nothing but a bench and a test runs them.
"""

import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import apsw

from engine.domain.amounts import Quantity, Ratio
from engine.domain.identifiers import (
    ClientOrderId,
    CopyId,
    ReceiptId,
    SignalId,
    StrategyId,
    Symbol,
    copy_id,
)
from engine.domain.order import OrderIntent, OrderSide
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, OrderType, PositionSide, SignalDraft
from engine.ledger import Database
from engine.ledger.codec import dump, to_us, write_draft, write_intent
from engine.ledger.outcomes import conclude
from engine.ledger.people import strategies
from engine.ledger.query import fetch_all, fetch_one
from engine.ledger.signals import NewSignal, record_signal

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
ORIGIN: Final = "endpoint:past"
BETWEEN_US: Final = 600_000_000
"""The time between two signals."""


def write_past(db: apsw.Connection, outcomes: int, until: datetime) -> int:
    """Write about that many outcomes for the people of this ledger; return the number. The
    connection must not be in a transaction.
    """
    row = fetch_one(
        db, "SELECT count(DISTINCT strategy_id), count(*) FROM subscription WHERE state = 'active'"
    )
    strategies, followers = (0, 0) if row is None else row
    if not outcomes or not followers:
        return 0
    signals = max(1, outcomes * strategies // followers)
    ended_us = to_us(until - timedelta(hours=1))
    with db:
        _write_signals(db, strategies, signals, ended_us)
        _write_copies(db)
        _write_orders(db)
        _write_books(db)
        _write_beside(db, ended_us)
    counted = fetch_one(db, "SELECT count(*) FROM copy WHERE code IS NOT NULL")
    return 0 if counted is None else int(counted[0])


def record_open(db: Database, number: int, at: datetime) -> Iterator[CopyId]:
    """Record one open of the first strategy as the engine does; yield its copies, which wait."""
    draft = SignalDraft(f"past-open-{number}", Action.OPEN, Symbol("BTCUSDT"), PositionSide.LONG)
    new = NewSignal(
        id=SignalId(f"sig_{secrets.token_hex(16)}"),
        receipt=ReceiptId(f"rcp_{secrets.token_hex(16)}"),
        new_copy_id=lambda: copy_id(at, secrets.token_bytes(9)),
        strategy=StrategyId(strategies(db)[0].id),
        origin=ORIGIN,
        draft=draft,
        body_hash=secrets.token_bytes(32),
        decided_at=at,
        received_at=at,
    )
    record_signal(db, new)
    rows = fetch_all(
        db,
        "SELECT copy.id FROM copy JOIN signal ON number = signal_number WHERE signal.id = ?",
        (new.id,),
    )
    return (CopyId(row[0]) for row in rows)


def conclude_open(db: Database, number: int, at: datetime) -> None:
    """Record one open, two of three copies filled and the third one skipped."""
    filled = Outcome(
        OutcomeCode.FILLED,
        {"side": "BUY", "filled": "0.003", "symbol": "BTCUSDT", "price": "65000"},
    )
    below = Outcome(
        OutcomeCode.SKIPPED_BELOW_MINIMUM,
        {"quantity": "0.0001", "symbol": "BTCUSDT", "notional": "6", "minimum": "0.001"},
    )
    for index, copy in enumerate(record_open(db, number, at)):
        conclude(db, copy, 1, filled if index % 3 else below, at + timedelta(milliseconds=20))


def _write_signals(db: Database, strategies: int, signals: int, ended_us: int) -> None:
    """Write signals in turn for each strategy: open BTCUSDT, close it, open ETHUSDT, close it."""
    drafts = [
        write_draft(
            SignalDraft(
                "KEY", action, Symbol(symbol), PositionSide.LONG if action is Action.OPEN else None
            )
        )
        for symbol in SYMBOLS
        for action in (Action.OPEN, Action.CLOSE)
    ]
    db.execute(
        "WITH RECURSIVE turn (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM turn WHERE n + 1 < ?1),"
        " plan AS (SELECT row_number() OVER (ORDER BY id) - 1 AS place, id FROM strategy"
        " WHERE id IN (SELECT strategy_id FROM subscription)),"
        " first AS (SELECT coalesce(max(number), 0) + 1 AS number FROM signal)"
        " INSERT INTO signal (number, id, receipt_id, strategy_id, origin, dedupe_key, body_hash, "
        "symbol, draft, seq, order_key,"
        " decided_us, received_us, action) SELECT first.number + n, 'sig_' || lower(hex(randomblob(16))), "
        "'rcp_' || lower(hex(randomblob(16))),"
        " plan.id, ?2, 'past-' || n, randomblob(32), ?3 ->> (n / ?4 / 2 % 2), replace(?5 ->> (n / "
        "?4 % 4), 'KEY', 'past-' || n), 0,"
        " printf('%019d.%019d.%012d', 0, ?6 - (?1 - n) * ?7, first.number + n), ?6 - (?1 - n) * "
        "?7, ?6 - (?1 - n) * ?7, CASE n / ?4 % 2 WHEN 0 THEN 'open' ELSE 'close' END"
        " FROM turn JOIN plan ON plan.place = n % ?4 CROSS JOIN first",
        (signals, ORIGIN, dump(SYMBOLS), strategies, dump(drafts), ended_us, BETWEEN_US),
    )
    db.execute(
        "UPDATE strategy SET signals = (SELECT count(*) FROM signal WHERE strategy_id = "
        "strategy.id)"
    )


def _write_copies(db: Database) -> None:
    """Write a copy and a leg for every follower; an open and its close share one random draw."""
    events = {
        "entry": [
            Outcome(
                OutcomeCode.FILLED,
                {"side": "BUY", "filled": "0.003", "symbol": "BTCUSDT", "price": "65000"},
            ),
            Outcome(
                OutcomeCode.SKIPPED_BELOW_MINIMUM,
                {"quantity": "0.0001", "symbol": "BTCUSDT", "notional": "6", "minimum": "0.001"},
            ),
            Outcome(OutcomeCode.REJECTED, {"reason": "margin"}),
        ],
        "exit": [
            Outcome(
                OutcomeCode.FILLED,
                {"side": "SELL", "filled": "0.003", "symbol": "BTCUSDT", "price": "65100"},
            ),
            Outcome(OutcomeCode.SKIPPED_NOTHING_TO_CLOSE, {"symbol": "BTCUSDT"}),
            Outcome(OutcomeCode.SKIPPED_NOTHING_TO_CLOSE, {"symbol": "BTCUSDT"}),
        ],
    }
    said = {
        kind: [[each.code.value, dump(dict(each.numbers))] for each in outcomes]
        for kind, outcomes in events.items()
    }
    db.execute(
        "WITH thrown AS (SELECT signal.number, signal.received_us, subscription.account_id, "
        "subscription.id,"
        " iif(draft ->> 'action' = 'open', 'entry', 'exit') AS kind, (row_number() OVER "
        "(PARTITION BY subscription.id ORDER BY signal.number)"
        " - 1) / 2 AS pair, subscription.rowid AS who FROM signal JOIN subscription USING "
        "(strategy_id)"
        " WHERE signal.origin = ?1 AND subscription.state = 'active'),"
        " told AS (SELECT *, CASE WHEN (pair + who) % 10 < 7 THEN 0 WHEN (pair + who) % 10 < 9 "
        "THEN 1 ELSE 2 END AS what FROM thrown)"
        " INSERT INTO copy (id, signal_number, account_id, subscription_id, code, numbers, "
        "outcome_us)"
        " SELECT format('cp_%014x', received_us) || lower(hex(randomblob(9))), number, "
        "account_id, id, ?2 ->> kind ->> what ->> 0,"
        " ?2 ->> kind ->> what ->> 1, received_us + 20000 FROM told ORDER BY number",
        (ORIGIN, dump(said)),
    )
    db.execute(
        "INSERT INTO leg (copy_id, number, kind, account_id, strategy_id, symbol, order_key, "
        "state, leave_share)"
        " SELECT copy.id, 1, iif(draft ->> 'action' = 'open', 'entry', 'exit'), account_id, "
        "strategy_id, symbol, order_key,"
        " iif(instr(code, '.'), substr(code, 1, instr(code, '.') - 1), code), iif(draft ->> "
        "'action' = 'open', NULL, '0')"
        " FROM copy JOIN signal ON number = signal_number WHERE origin = ? ORDER BY number",
        (ORIGIN,),
    )


def _write_orders(db: Database) -> None:
    """Write an attempt for each copy that reached the exchange, and an event for the outcome of
    every copy.
    """
    intents = {
        kind: write_intent(
            OrderIntent(
                ClientOrderId("CLIENT"),
                Symbol("SYMBOL"),
                side,
                PositionSide.LONG,
                Quantity(Decimal("0.003")),
                OrderType.MARKET,
                Ratio(Decimal(5)),
                reduce_only=kind == "exit",
            )
        )
        for kind, side in (("entry", OrderSide.BUY), ("exit", OrderSide.SELL))
    }
    db.execute(
        "INSERT INTO attempt (copy_id, leg, number, kind, account_id, strategy_id, symbol, epoch, "
        "state, client_order_id, intent, witness,"
        " notional, margin, claimed_us, ended_us, exchange_order_id, filled, price, fee, cause)"
        " SELECT copy_id, 1, 1, kind, leg.account_id, strategy_id, symbol, 0, state, 'rx' || "
        "substr(copy_id, 18) || substr(copy_id, 11, 7),"
        " ?2 ->> kind, '[]', '195',"
        " '39', outcome_us - 15000, outcome_us, iif(state = 'filled', 'past-' || copy.rowid, NULL),"
        " iif(state = 'filled', '0.003', '0'),"
        " iif(state = 'filled', iif(kind = 'entry', '65000', '65100'), NULL), iif(state = "
        "'filled', '0.1', '0'),"
        " iif(state = 'filled', '', 'margin') FROM leg JOIN copy ON copy.id = copy_id WHERE state "
        "IN ('filled', 'rejected')"
        " AND signal_number IN (SELECT number FROM signal WHERE origin = ?1) ORDER BY leg.rowid",
        (ORIGIN, dump(intents)),
    )
    db.execute(
        "INSERT INTO event (at_us, kind, copy_id, subject, data) SELECT outcome_us, 'outcome', "
        "id, code, numbers FROM copy"
        " WHERE signal_number IN (SELECT number FROM signal WHERE origin = ?) ORDER BY rowid",
        (ORIGIN,),
    )
    db.execute(
        "INSERT INTO goal (account_id, strategy_id, symbol, order_key) SELECT account_id, "
        "strategy_id, symbol, max(order_key) FROM leg"
        " WHERE kind = 'exit' GROUP BY 1, 2, 3 ON CONFLICT (account_id, strategy_id, symbol) DO UPDATE SET order_key = "
        "excluded.order_key"
    )


def _write_books(db: Database) -> None:
    """Write a fill for each filled order, a trade for each that closed, and the sums of days."""
    db.execute(
        "WITH filled AS (SELECT *, row_number() OVER (ORDER BY id) + (SELECT coalesce(max(id), 0) "
        "FROM fill) AS fill FROM attempt"
        " WHERE filled != '0') INSERT INTO fill (id, account_id, strategy_id, symbol, side, "
        "is_entry, quantity, price, fee, cause, at_us,"
        " since_us, seen_us, attempt_id, exchange_order_id, episode, state, folded) SELECT fill, "
        "account_id, strategy_id, symbol, 'LONG',"
        " kind = 'entry', filled, price, fee, 'signal', ended_us, ended_us, ended_us, id, "
        "exchange_order_id,"
        " max(iif(kind = 'entry', fill, NULL)) OVER (PARTITION BY account_id, strategy_id, symbol "
        "ORDER BY id), 'settled', 1"
        " FROM filled ORDER BY id"
    )
    db.execute(
        "INSERT INTO trade (account_id, strategy_id, environment, symbol, side, quantity, "
        "entry_price, exit_price, fees, gross, result,"
        " opened_us, closed_us, fill_id, episode, cause, state) SELECT account_id, strategy_id, "
        "environment, symbol, side, quantity,"
        " '65000', price, '0.2', '0.3', '0.1', at_us - 600000000, at_us, fill.id, episode, cause, "
        "'settled' FROM fill"
        " JOIN account ON account.id = account_id WHERE NOT is_entry ORDER BY fill.id"
    )
    day = (
        "date(closed_us / 1000000, 'unixepoch'), count(*), count(*), format('%.1f', count(*) * "
        "0.1), format('%.1f', count(*) * 0.2), 0"
    )
    db.execute(f"INSERT INTO account_day SELECT account_id, {day} FROM trade GROUP BY 1, 2")
    db.execute(
        f"INSERT INTO strategy_day SELECT strategy_id, environment, {day} FROM trade GROUP BY 1, "
        "2, 3"
    )


def _write_beside(db: Database, ended_us: int) -> None:
    """Write the rows beside orders: alerts, changes of switches, decisions, deliveries, funding,
    equity.
    """
    for kind, subject, data, every in (
        (
            "alert",
            "account.name",
            '{"code":"account_unreadable","count":1,"details":{"problem":"a timeout"}}',
            5,
        ),
        ("switch", "'account ' || account.name", '{"on":false,"by":"past"}', 11),
        ("decision", "account.name", '{"by":"past"}', 13),
    ):
        db.execute(
            "INSERT INTO event (at_us, kind, subject, data) SELECT outcome_us, ?1, "
            + subject
            + ", ?2 FROM copy"
            " JOIN account ON account.id = account_id WHERE code = 'rejected' AND copy.rowid % ?3 "
            "= 0",
            (kind, data, every),
        )
    db.execute(
        "INSERT INTO channel (name, told) SELECT 'log', max(sequence) FROM event WHERE true ON "
        "CONFLICT (name) DO UPDATE SET told = excluded.told"
    )  # all of them were sent
    db.execute(
        "WITH RECURSIVE turn (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM turn WHERE n < 999)"
        " INSERT INTO delivery (endpoint_id, at_us, kind, signal_id, dialect, offset_ms, peer, "
        "took_us)"
        " SELECT endpoint.id, ?1 - (999 - n) * 1000000, 'accepted', 'sig_past', 'A', 3, "
        "'127.0.0.1', 900 FROM endpoint CROSS JOIN turn"
        " WHERE n < (SELECT count(*) FROM signal)",
        (ended_us,),
    )
    db.execute(
        "INSERT INTO funding (account_id, id, strategy_id, symbol, amount, at_us)"
        " SELECT account_id, 'past-' || id, strategy_id, symbol, '0.01', closed_us FROM trade "
        "WHERE id % 4 = 0"
    )
    db.execute(
        "INSERT INTO funding_day SELECT account_id, strategy_id, date(at_us / 1000000, "
        "'unixepoch'), format('%.2f', count(*) * 0.01) FROM funding GROUP BY 1, 2, 3"
    )
    db.execute(
        "INSERT INTO equity_point (account_id, at_us, equity)"
        " SELECT account_id, max(closed_us), '1000' FROM trade GROUP BY account_id, closed_us / "
        "3600000000"
    )
