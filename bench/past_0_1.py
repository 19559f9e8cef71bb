"""Write a ledger as 0.1 left it: its schema, its statements, so many outcomes.

This file is a record of what 0.1 wrote and does not follow later versions. Each strategy opened and
closed in turn for every follower; what is open at the end are positions, an order that rests, one
whose fate is unknown, and legs that wait. The audit is sealed with ``AUDIT_KEY``.
"""

import json
import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import apsw

from engine.ledger import Database
from engine.ledger.audit import AuditKey, append_audit
from engine.ledger.codec import to_us
from engine.ledger.query import fetch_one
from engine.ledger.schema import MIGRATIONS

VERSION: Final = 15
"""The schema of 0.1.0."""
AUDIT_KEY: Final = AuditKey("aaaaaaaa", b"k" * 32)
FOLLOWERS: Final = 100
STRATEGIES: Final = 2
OPEN_FOLLOWERS: Final = 12
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
ORIGIN: Final = "endpoint:past"
BETWEEN_US: Final = 600_000_000
"""The time between two signals of the place."""
_DRAFT: Final = {
    "alert": None,
    "dedupe_key": "KEY",
    "is_test": False,
    "leverage": None,
    "no_protection": [False, False],
    "order_type": "MARKET",
    "position_after": None,
    "price": None,
    "repeats_s": None,
    "sent_us": None,
    "seq": None,
    "size": ["follower", None, None],
    "stop_loss": None,
    "take_profit": None,
}
_INTENT: Final = {
    "client_order_id": "CLIENT",
    "leverage": "5",
    "limit_price": None,
    "order_type": "MARKET",
    "position_id": "",
    "position_side": "LONG",
    "quantity": "0.003",
    "stop_loss": None,
    "symbol": "SYMBOL",
    "take_profit": None,
    "whole_position": False,
}


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def write_ledger_of_0_1(path: Path, outcomes: int, until: datetime) -> int:
    """Write a new ledger of 0.1 with about that many outcomes; return the number."""
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")  # it can be made again
    for number, step in enumerate(MIGRATIONS[:VERSION], start=1):
        with db:
            db.execute(step)
            db.execute(f"PRAGMA user_version = {number}")
    signals = max(1, outcomes * STRATEGIES // (FOLLOWERS * STRATEGIES))
    ended_us = to_us(until - timedelta(hours=1))
    with db:
        db.execute(f"PRAGMA application_id = {secrets.randbelow(2**30) + 1}")
        _write_people(db)
        _write_signals(db, STRATEGIES, signals, ended_us)
        _write_copies(db)
        _write_orders(db)
        _write_books(db)
        _write_beside(db, ended_us)
        _write_open(db, ended_us)
        for number in range(20):
            append_audit(db, AUDIT_KEY, "ops", "halted", f"account f{number}", {}, until, "shell")
    counted = fetch_one(db, "SELECT count(*) FROM copy WHERE code IS NOT NULL")
    db.close()
    return 0 if counted is None else int(counted[0])


def _write_people(db: apsw.Connection) -> None:
    db.execute(
        "INSERT INTO person (id, name, created_us, key_id, key_kid, key_wrapped) VALUES "
        "('per_1', 'ada', 0, x'00', 'k', x'00');"
        "INSERT INTO master VALUES ('mas_1', 'ada', 'per_1'); INSERT INTO run (started_us) VALUES (1)"
    )
    for number in range(STRATEGIES):
        db.execute(
            "INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, "
            "created_us) VALUES (?, ?, 'mas_1', 'copy_trading', '[]', '5', 'signed_webhook', '{}', 0)",
            (f"str_{secrets.token_hex(16)}", f"trend-{number}"),
        )
        db.execute(
            "INSERT INTO endpoint (id, strategy_id, source) SELECT ?, id, source FROM strategy "
            "WHERE name = ?",
            (f"ep_{secrets.token_hex(16)}", f"trend-{number}"),
        )
    for number in range(FOLLOWERS):
        account = f"acc_{secrets.token_hex(16)}"
        db.execute(
            "INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, "
            "created_us) VALUES (?, ?, 'per_1', 'paper', 'paper', x'00', 1, 0)",
            (account, f"f{number}"),
        )
        db.execute(
            "INSERT INTO subscription (id, account_id, strategy_id, policy, created_us) "
            "SELECT 'sub_' || lower(hex(randomblob(16))), ?, id, '{}', 0 FROM strategy",
            (account,),
        )


def _write_signals(db: Database, strategies: int, signals: int, ended_us: int) -> None:
    """Write signals in turn for each strategy: open BTCUSDT, close it, open ETHUSDT, close it."""
    drafts = [
        _dump(_DRAFT | {"action": action, "symbol": symbol, "side": side})
        for symbol in SYMBOLS
        for action, side in (("open", "LONG"), ("close", None))
    ]
    db.execute(
        "WITH RECURSIVE turn (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM turn WHERE n + 1 < ?1),"
        " plan AS (SELECT row_number() OVER (ORDER BY id) - 1 AS place, id FROM strategy"
        " WHERE id IN (SELECT strategy_id FROM subscription)),"
        " first AS (SELECT coalesce(max(number), 0) + 1 AS number FROM signal)"
        " INSERT INTO signal (number, id, receipt_id, strategy_id, origin, dedupe_key, body_hash, "
        "symbol, draft, seq, order_key,"
        " decided_us, received_us) SELECT first.number + n, 'sig_' || lower(hex(randomblob(16))), "
        "'rcp_' || lower(hex(randomblob(16))),"
        " plan.id, ?2, 'past-' || n, randomblob(32), ?3 ->> (n / ?4 / 2 % 2), replace(?5 ->> (n / "
        "?4 % 4), 'KEY', 'past-' || n), 0,"
        " printf('%019d.%019d.%012d', 0, ?6 - (?1 - n) * ?7, first.number + n), ?6 - (?1 - n) * "
        "?7, ?6 - (?1 - n) * ?7"
        " FROM turn JOIN plan ON plan.place = n % ?4 CROSS JOIN first",
        (signals, ORIGIN, _dump(SYMBOLS), strategies, _dump(drafts), ended_us, BETWEEN_US),
    )
    db.execute(
        "UPDATE strategy SET signals = (SELECT count(*) FROM signal WHERE strategy_id = "
        "strategy.id)"
    )


def _write_copies(db: Database) -> None:
    """Write a copy and a leg for everybody who agreed; an open and the close behind it share one
    throw of the dice.
    """
    filled = {"filled": "0.003", "price": "65000", "side": "BUY", "symbol": "BTCUSDT"}
    below = {"minimum": "0.001", "notional": "6", "quantity": "0.0001", "symbol": "BTCUSDT"}
    nothing = ["skipped.nothing_to_close", _dump({"symbol": "BTCUSDT"})]
    said = {
        "entry": [
            ["filled", _dump(filled)],
            ["skipped.below_minimum", _dump(below)],
            ["rejected", _dump({"reason": "margin"})],
        ],
        "exit": [["filled", _dump(filled | {"side": "SELL"})], nothing, nothing],
    }
    db.execute(
        "WITH thrown AS (SELECT signal.number, signal.received_us, subscription.account_id, "
        "subscription.id,"
        " iif(draft ->> 'action' = 'open', 'entry', 'exit') AS kind, (row_number() OVER "
        "(PARTITION BY strategy_id ORDER BY signal.number)"
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
        (ORIGIN, _dump(said)),
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
    """Write an attempt for each copy that reached the exchange, and what became of every copy as an
    event.
    """
    intents = {
        kind: _dump(_INTENT | {"side": side, "reduce_only": kind == "exit"})
        for kind, side in (("entry", "BUY"), ("exit", "SELL"))
    }
    db.execute(
        "INSERT INTO attempt (copy_id, leg, number, kind, account_id, strategy_id, symbol, epoch, "
        "state, client_order_id, intent, witness,"
        " notional, margin, claimed_us, ended_us, exchange_order_id, filled, price, fee, cause)"
        " SELECT copy_id, 1, 1, kind, leg.account_id, strategy_id, symbol, 0, state, 'rx' || "
        "substr(copy_id, 18) || substr(copy_id, 11, 7),"
        " replace(replace(?2 ->> kind, 'CLIENT', 'rx' || substr(copy_id, 18) || substr(copy_id, "
        "11, 7)), 'SYMBOL', symbol), '[]', '195',"
        " '39', outcome_us - 15000, outcome_us, iif(state = 'filled', 'past-' || copy.rowid, NULL),"
        " iif(state = 'filled', '0.003', '0'),"
        " iif(state = 'filled', iif(kind = 'entry', '65000', '65100'), NULL), iif(state = "
        "'filled', '0.1', '0'),"
        " iif(state = 'filled', '', 'margin') FROM leg JOIN copy ON copy.id = copy_id WHERE state "
        "IN ('filled', 'rejected')"
        " AND signal_number IN (SELECT number FROM signal WHERE origin = ?1) ORDER BY leg.rowid",
        (ORIGIN, _dump(intents)),
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
        " WHERE kind = 'exit' GROUP BY 1, 2, 3 ON CONFLICT DO UPDATE SET order_key = "
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
    """Write what comes beside orders: alerts, turns of switches, decisions, deliveries, funding,
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
        "INSERT OR REPLACE INTO notifier_cursor (name, sequence) SELECT 'log', max(sequence) FROM "
        "event"
    )  # all of them were told
    db.execute(
        "WITH RECURSIVE turn (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM turn WHERE n < 999)"
        " INSERT INTO delivery (endpoint_id, at_us, kind, signal_id, dialect, offset_ms, peer, "
        "took_us)"
        " SELECT endpoint.id, ?1 - (999 - n) * 1000000, 'accepted', 'sig_past', 'signed', 3, "
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
        "INSERT INTO equity_point (account_id, at_us, equity)"
        " SELECT account_id, max(closed_us), '1000' FROM trade GROUP BY account_id, closed_us / "
        "3600000000"
    )


def _write_open(db: Database, at_us: int) -> None:
    """Write an entry of the first strategy that filled for most of some followers, rests for one,
    is unknown for one, and waits for the others.
    """
    draft = _dump(_DRAFT | {"action": "open", "symbol": "BTCUSDT", "side": "LONG"})
    db.execute(
        "INSERT INTO signal (id, receipt_id, strategy_id, origin, dedupe_key, body_hash, symbol, "
        "draft, seq, order_key, decided_us, received_us) SELECT 'sig_open', 'rcp_open', id, ?1, "
        "'open', x'00', 'BTCUSDT', ?2, 0, printf('%019d.open', ?3), ?3, ?3 FROM strategy WHERE "
        "name = 'trend-0'",
        (ORIGIN, draft, at_us),
    )
    followers = db.execute(
        "SELECT subscription.id, account_id, strategy_id FROM subscription JOIN strategy ON "
        "strategy.id = strategy_id WHERE strategy.name = 'trend-0' ORDER BY account_id LIMIT ?",
        (OPEN_FOLLOWERS,),
    ).fetchall()
    [(signal, key)] = db.execute(
        "SELECT number, order_key FROM signal WHERE id = 'sig_open'"
    ).fetchall()
    states = ["filled"] * (OPEN_FOLLOWERS - 4) + ["placed", "unknown", "new", "new"]
    for (subscription, account, strategy), state in zip(followers, states, strict=True):
        copy = f"cp_{at_us:014x}{secrets.token_hex(9)}"
        code = None if state == "new" else state
        db.execute(
            "INSERT INTO copy VALUES (?, ?, ?, ?, ?, ?, ?)",
            (copy, signal, account, subscription, code, code and "{}", code and at_us),
        )
        db.execute(
            "INSERT INTO leg (copy_id, number, kind, account_id, strategy_id, symbol, order_key, "
            "state) VALUES (?, 1, 'entry', ?, ?, 'BTCUSDT', ?, ?)",
            (copy, account, strategy, key, state),
        )
        if state != "new":
            _write_open_order(db, copy, account, strategy, key, state, at_us)


def _write_open_order(
    db: Database, copy: str, account: str, strategy: str, key: str, state: str, at_us: int
) -> None:
    is_filled = state == "filled"
    share = "0.003" if is_filled else "0"
    client = f"rx{secrets.token_hex(13)}"
    intent = _dump(
        _INTENT
        | {"client_order_id": client, "symbol": "BTCUSDT", "side": "BUY", "reduce_only": False}
    )
    db.execute(
        "INSERT INTO attempt (copy_id, leg, number, kind, account_id, strategy_id, symbol, epoch, "
        "state, client_order_id, intent, witness, notional, margin, claimed_us, ended_us, "
        "exchange_order_id, filled, price, fee) VALUES (?, 1, 1, 'entry', ?, ?, 'BTCUSDT', 1, ?, ?, "
        "?, '[]', '195', '39', ?, ?, ?, ?, ?, ?)",
        (
            *(copy, account, strategy, state, client, intent, at_us, at_us),
            *(None if state == "unknown" else f"x-{client}", share),
            *(("65000", "0.1") if is_filled else (None, "0")),
        ),
    )
    db.execute(
        "INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, "
        "entry_key, opened_by) SELECT ?, 'BTCUSDT', ?, 'LONG', ?, ?, ?, max(id) FROM attempt",
        (account, strategy, share, int(not is_filled), key),
    )
    if is_filled:
        db.execute(
            "INSERT INTO fill (account_id, strategy_id, symbol, side, is_entry, quantity, price, "
            "fee, cause, at_us, since_us, seen_us, attempt_id, exchange_order_id, state, episode) "
            "SELECT account_id, strategy_id, symbol, 'LONG', 1, filled, price, fee, 'signal', "
            "ended_us, ended_us, ended_us, id, exchange_order_id, 'settled', "
            "(SELECT max(id) + 1 FROM fill) FROM attempt WHERE client_order_id = ?",
            (client,),
        )
        db.execute(
            "INSERT INTO book (account_id, strategy_id, symbol, side, quantity, episode, opened_us) "
            "SELECT account_id, strategy_id, symbol, side, quantity, episode, at_us FROM fill ORDER "
            "BY id DESC LIMIT 1"
        )
