"""The ledger's tables, as migrations that are appended and never edited.

Times are microseconds since 1970 UTC (``_us``), decimals are plain text, JSON is text. Every row that leads to an order has a
natural unique key: a signal its (origin, dedupe_key), a copy its (signal, account), an attempt its (copy, leg, number).
"""

from typing import Final

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE run (epoch INTEGER PRIMARY KEY AUTOINCREMENT, started_us INTEGER NOT NULL) STRICT;
    CREATE TABLE canary (kid TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
    CREATE TABLE person (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_us INTEGER NOT NULL,
        key_id BLOB NOT NULL, key_kid TEXT NOT NULL, key_wrapped BLOB NOT NULL) STRICT;
    CREATE TABLE master (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, person_id TEXT NOT NULL REFERENCES person) STRICT;
    CREATE TABLE strategy (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, master_id TEXT NOT NULL REFERENCES master, kind TEXT NOT NULL,
        symbols TEXT NOT NULL, leverage TEXT NOT NULL, source TEXT NOT NULL, params TEXT NOT NULL, created_us INTEGER NOT NULL) STRICT;
    CREATE TABLE endpoint (
        id TEXT PRIMARY KEY, strategy_id TEXT NOT NULL REFERENCES strategy, source TEXT NOT NULL,
        enabled INTEGER NOT NULL DEFAULT 1, deleted_us INTEGER) STRICT;
    CREATE TABLE endpoint_secret (
        id TEXT PRIMARY KEY, endpoint_id TEXT NOT NULL REFERENCES endpoint, owner_id TEXT NOT NULL REFERENCES person,
        sealed BLOB NOT NULL, row_version INTEGER NOT NULL, created_us INTEGER NOT NULL, valid_until_us INTEGER,
        last_used_us INTEGER, last_used_from TEXT) STRICT;
    CREATE INDEX endpoint_secret_by_endpoint ON endpoint_secret (endpoint_id);
    CREATE TABLE account (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, person_id TEXT NOT NULL REFERENCES person, exchange TEXT NOT NULL,
        environment TEXT NOT NULL, sealed BLOB NOT NULL, row_version INTEGER NOT NULL, created_us INTEGER NOT NULL) STRICT;
    CREATE TABLE subscription (
        id TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES account, strategy_id TEXT NOT NULL REFERENCES strategy,
        policy TEXT NOT NULL, created_us INTEGER NOT NULL, UNIQUE (account_id, strategy_id)) STRICT;
    CREATE INDEX subscription_by_strategy ON subscription (strategy_id);
    CREATE TABLE declared (
        kind TEXT NOT NULL, name TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name, field)) STRICT;
    CREATE TABLE signal (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, receipt_id TEXT NOT NULL UNIQUE,
        strategy_id TEXT NOT NULL REFERENCES strategy, origin TEXT NOT NULL, dedupe_key TEXT NOT NULL, body_hash BLOB NOT NULL,
        symbol TEXT NOT NULL, draft TEXT NOT NULL, seq INTEGER NOT NULL, order_key TEXT NOT NULL, decided_us INTEGER NOT NULL,
        received_us INTEGER NOT NULL, UNIQUE (origin, dedupe_key)) STRICT;
    CREATE INDEX signal_by_strategy ON signal (strategy_id, seq);
    CREATE TABLE copy (
        id TEXT PRIMARY KEY, signal_number INTEGER NOT NULL REFERENCES signal, account_id TEXT NOT NULL REFERENCES account,
        subscription_id TEXT NOT NULL REFERENCES subscription, code TEXT, numbers TEXT, outcome_us INTEGER,
        UNIQUE (signal_number, account_id)) STRICT;
    CREATE TABLE leg (
        copy_id TEXT NOT NULL REFERENCES copy, number INTEGER NOT NULL, kind TEXT NOT NULL, account_id TEXT NOT NULL,
        strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, order_key TEXT NOT NULL, state TEXT NOT NULL,
        retry_us INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (copy_id, number)) STRICT;
    CREATE INDEX leg_new ON leg (account_id) WHERE state = 'new';
    CREATE INDEX leg_new_entry ON leg (strategy_id, symbol) WHERE state = 'new' AND kind = 'entry';
    CREATE TABLE attempt (
        id INTEGER PRIMARY KEY AUTOINCREMENT, copy_id TEXT NOT NULL, leg INTEGER NOT NULL, number INTEGER NOT NULL,
        kind TEXT NOT NULL, account_id TEXT NOT NULL, strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, epoch INTEGER NOT NULL,
        state TEXT NOT NULL, client_order_id TEXT NOT NULL, intent TEXT NOT NULL, witness TEXT NOT NULL, notional TEXT NOT NULL,
        margin TEXT NOT NULL, claimed_us INTEGER NOT NULL, ended_us INTEGER, exchange_order_id TEXT, filled TEXT NOT NULL DEFAULT '0',
        price TEXT, fee TEXT NOT NULL DEFAULT '0', cause TEXT NOT NULL DEFAULT '', UNIQUE (copy_id, leg, number)) STRICT;
    CREATE INDEX attempt_open ON attempt (account_id) WHERE state IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed');
    CREATE UNIQUE INDEX attempt_lane ON attempt (account_id, symbol, kind) WHERE state = 'claimed';
    CREATE INDEX attempt_ended ON attempt (account_id, ended_us);
    CREATE INDEX attempt_by_client_id ON attempt (client_order_id);
    CREATE INDEX attempt_by_exchange_id ON attempt (account_id, exchange_order_id);
    CREATE TABLE goal (
        account_id TEXT NOT NULL, strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, order_key TEXT NOT NULL,
        PRIMARY KEY (account_id, strategy_id, symbol)) STRICT, WITHOUT ROWID;
    CREATE TABLE holding (
        account_id TEXT NOT NULL, symbol TEXT NOT NULL, strategy_id TEXT NOT NULL, side TEXT NOT NULL, share TEXT NOT NULL,
        entries_open INTEGER NOT NULL, entry_key TEXT NOT NULL, detached INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (account_id, symbol)) STRICT, WITHOUT ROWID;
    CREATE TABLE switch (
        scope TEXT NOT NULL, target TEXT NOT NULL, note TEXT NOT NULL, set_by TEXT NOT NULL, set_us INTEGER NOT NULL,
        PRIMARY KEY (scope, target)) STRICT;
    CREATE TABLE event (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, kind TEXT NOT NULL, copy_id TEXT, subject TEXT NOT NULL,
        data TEXT NOT NULL) STRICT;
    CREATE INDEX event_by_copy ON event (copy_id);
    CREATE INDEX event_by_kind ON event (kind, sequence);
    CREATE TABLE notifier_cursor (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL) STRICT;
    """,
    """
    ALTER TABLE attempt ADD COLUMN freed INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE leg ADD COLUMN leave_share TEXT;
    ALTER TABLE holding ADD COLUMN carried TEXT NOT NULL DEFAULT '0';
    ALTER TABLE holding ADD COLUMN stop_loss TEXT;
    ALTER TABLE holding ADD COLUMN take_profit TEXT;
    ALTER TABLE switch ADD COLUMN level TEXT NOT NULL DEFAULT 'entries';
    CREATE TABLE alert (
        code TEXT NOT NULL, subject TEXT NOT NULL, sameness TEXT NOT NULL, told_us INTEGER NOT NULL, more INTEGER NOT NULL,
        PRIMARY KEY (code, subject, sameness)) STRICT, WITHOUT ROWID;
    CREATE TABLE equity_mark (
        account_id TEXT PRIMARY KEY, day_start TEXT NOT NULL, since_us INTEGER NOT NULL, peak TEXT NOT NULL) STRICT, WITHOUT ROWID;
    """,
)
