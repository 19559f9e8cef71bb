"""The ledger's tables, as migrations that are appended and never edited.

Times are microseconds since 1970 UTC (``_us``), decimals are plain text, JSON is text. Every row
that leads to an order has a natural unique key: a signal its (origin, dedupe_key), a copy its
(signal, account), an attempt its (copy, leg, number).
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
    """
    ALTER TABLE person ADD COLUMN zone TEXT NOT NULL DEFAULT 'UTC';
    CREATE TABLE person_role (
        person_id TEXT NOT NULL REFERENCES person, role TEXT NOT NULL, since_us INTEGER NOT NULL, given_by TEXT NOT NULL,
        PRIMARY KEY (person_id, role)) STRICT, WITHOUT ROWID;
    INSERT INTO person_role SELECT DISTINCT person_id, 'master', 0, 'provisioning' FROM master;
    INSERT INTO person_role SELECT DISTINCT person_id, 'follower', 0, 'provisioning' FROM account;
    CREATE TABLE factor (
        person_id TEXT PRIMARY KEY REFERENCES person, password TEXT, password_us INTEGER, totp_sealed BLOB, totp_version INTEGER NOT NULL
        DEFAULT 0, totp_us INTEGER, totp_step INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
    CREATE TABLE recovery_code (
        person_id TEXT NOT NULL REFERENCES person, hash BLOB NOT NULL, made_us INTEGER NOT NULL, used_us INTEGER,
        PRIMARY KEY (person_id, hash)) STRICT, WITHOUT ROWID;
    CREATE TABLE login_print (print TEXT PRIMARY KEY, account_id TEXT NOT NULL REFERENCES account) STRICT, WITHOUT ROWID;
    INSERT OR IGNORE INTO login_print SELECT declared.value, account.id FROM declared JOIN account ON account.name = declared.name
        WHERE declared.kind = 'follower' AND declared.field = 'login';
    CREATE TABLE session (
        hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, person_id TEXT NOT NULL REFERENCES person, created_us INTEGER NOT NULL,
        seen_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, idle_us INTEGER NOT NULL, confirmed_us INTEGER NOT NULL DEFAULT 0,
        revoked_us INTEGER, address TEXT NOT NULL, agent TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX session_by_person ON session (person_id);
    CREATE TABLE ticket (
        hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, person_id TEXT REFERENCES person, role TEXT NOT NULL,
        strategy_id TEXT REFERENCES strategy, uses_left INTEGER NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,
        created_by TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE throttle (key TEXT PRIMARY KEY, failures INTEGER NOT NULL, last_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE master_request (
        person_id TEXT PRIMARY KEY REFERENCES person, note TEXT NOT NULL, at_us INTEGER NOT NULL, decided_us INTEGER, granted INTEGER,
        decided_by TEXT) STRICT, WITHOUT ROWID;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, by TEXT NOT NULL, address TEXT NOT NULL, act TEXT NOT NULL,
        subject TEXT NOT NULL, data TEXT NOT NULL, kid TEXT NOT NULL, seal BLOB NOT NULL) STRICT;
    CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
    CREATE TRIGGER audit_keeps_words BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
    ALTER TABLE strategy ADD COLUMN state TEXT NOT NULL DEFAULT 'published';
    ALTER TABLE strategy ADD COLUMN about TEXT NOT NULL DEFAULT '';
    ALTER TABLE strategy ADD COLUMN terms_us INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE subscription ADD COLUMN state TEXT NOT NULL DEFAULT 'active';
    ALTER TABLE subscription ADD COLUMN agreed_us INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE account ADD COLUMN disconnected_us INTEGER;
    ALTER TABLE endpoint ADD COLUMN label TEXT NOT NULL DEFAULT '';
    ALTER TABLE endpoint ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE endpoint ADD COLUMN token_hash BLOB;
    CREATE UNIQUE INDEX endpoint_by_token ON endpoint (token_hash) WHERE token_hash IS NOT NULL;
    CREATE TABLE delivery (
        id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint_id TEXT NOT NULL REFERENCES endpoint, at_us INTEGER NOT NULL, kind TEXT NOT NULL,
        field TEXT, expected TEXT, signal_id TEXT, dialect TEXT NOT NULL, offset_ms INTEGER, peer TEXT NOT NULL, took_us INTEGER NOT NULL)
        STRICT;
    CREATE INDEX delivery_by_endpoint ON delivery (endpoint_id, id);
    CREATE INDEX delivery_proven ON delivery (endpoint_id, id) WHERE kind != 'not_authentic';
    CREATE INDEX delivery_of_strangers ON delivery (endpoint_id, id) WHERE kind = 'not_authentic';
    CREATE TABLE trade (
        id INTEGER PRIMARY KEY AUTOINCREMENT, account_id TEXT NOT NULL, strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
        quantity TEXT NOT NULL, entry_price TEXT NOT NULL, exit_price TEXT NOT NULL, fees TEXT NOT NULL, result TEXT NOT NULL,
        opened_us INTEGER NOT NULL, closed_us INTEGER NOT NULL) STRICT;
    CREATE INDEX trade_by_account ON trade (account_id, closed_us);
    CREATE INDEX trade_by_strategy ON trade (strategy_id, closed_us);
    CREATE TABLE book (
        account_id TEXT NOT NULL, strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, quantity TEXT NOT NULL,
        cost TEXT NOT NULL, fees TEXT NOT NULL, opened_us INTEGER NOT NULL, PRIMARY KEY (account_id, strategy_id, symbol))
        STRICT, WITHOUT ROWID;
    ALTER TABLE attempt ADD COLUMN booked TEXT NOT NULL DEFAULT '0';
    ALTER TABLE attempt ADD COLUMN booked_cost TEXT NOT NULL DEFAULT '0';
    ALTER TABLE attempt ADD COLUMN booked_fee TEXT NOT NULL DEFAULT '0';
    CREATE INDEX attempt_unbooked ON attempt (ended_us, id) WHERE booked != filled;
    CREATE TABLE strategy_day (
        strategy_id TEXT NOT NULL, environment TEXT NOT NULL, day TEXT NOT NULL, trades INTEGER NOT NULL, won INTEGER NOT NULL,
        result TEXT NOT NULL, fees TEXT NOT NULL, PRIMARY KEY (strategy_id, environment, day)) STRICT, WITHOUT ROWID;
    CREATE TABLE account_day (
        account_id TEXT NOT NULL, day TEXT NOT NULL, trades INTEGER NOT NULL, won INTEGER NOT NULL, result TEXT NOT NULL,
        fees TEXT NOT NULL, PRIMARY KEY (account_id, day)) STRICT, WITHOUT ROWID;
    CREATE TABLE equity_point (
        account_id TEXT NOT NULL, hour_us INTEGER NOT NULL, equity TEXT NOT NULL, PRIMARY KEY (account_id, hour_us)) STRICT, WITHOUT ROWID;
    CREATE TABLE person_channel (
        person_id TEXT NOT NULL REFERENCES person, channel TEXT NOT NULL, target_sealed BLOB, row_version INTEGER NOT NULL,
        wants TEXT NOT NULL, PRIMARY KEY (person_id, channel)) STRICT, WITHOUT ROWID;
    CREATE INDEX copy_by_account ON copy (account_id, signal_number);
    CREATE INDEX copy_by_signal ON copy (signal_number, code, outcome_us);
    CREATE INDEX attempt_by_account ON attempt (account_id, id);
    """,
    """
    CREATE TABLE funding (
        account_id TEXT NOT NULL, id TEXT NOT NULL, strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, amount TEXT NOT NULL,
        at_us INTEGER NOT NULL, PRIMARY KEY (account_id, id)) STRICT, WITHOUT ROWID;
    CREATE INDEX funding_by_time ON funding (account_id, at_us);
    """,
    """
    ALTER TABLE strategy ADD COLUMN shown_as TEXT NOT NULL DEFAULT 'private';
    """,
    """
    ALTER TABLE canary ADD COLUMN added_us INTEGER;
    ALTER TABLE canary ADD COLUMN disabled_us INTEGER;
    ALTER TABLE canary ADD COLUMN removed_us INTEGER;
    UPDATE canary SET added_us = (SELECT min(created_us) FROM person);
    CREATE TABLE audit_key (kid TEXT PRIMARY KEY, under TEXT NOT NULL, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE rewrap (
        kid TEXT PRIMARY KEY, begun_us INTEGER NOT NULL, part TEXT NOT NULL, cursor TEXT NOT NULL, moved INTEGER NOT NULL DEFAULT 0,
        ended_us INTEGER) STRICT, WITHOUT ROWID;
    CREATE INDEX person_by_kid ON person (key_kid, id);
    CREATE INDEX login_print_by_account ON login_print (account_id);
    CREATE INDEX audit_by_kid ON audit (kid);
    """,
    """
    ALTER TABLE equity_point RENAME COLUMN hour_us TO at_us;
    """,
    """
    INSERT OR IGNORE INTO login_print SELECT declared.value, account.id FROM declared JOIN account ON account.name = declared.name
        WHERE declared.kind = 'follower' AND declared.field = 'login' AND account.id NOT IN (SELECT account_id FROM login_print);
    """,
    """
    ALTER TABLE holding ADD COLUMN position_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE attempt ADD COLUMN held_before TEXT;
    """,
    """
    DROP INDEX attempt_unbooked;
    ALTER TABLE attempt DROP COLUMN booked;
    ALTER TABLE attempt DROP COLUMN booked_cost;
    ALTER TABLE attempt DROP COLUMN booked_fee;
    CREATE TABLE fill (
        id INTEGER PRIMARY KEY AUTOINCREMENT, account_id TEXT NOT NULL, strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
        is_entry INTEGER NOT NULL, quantity TEXT NOT NULL, price TEXT, fee TEXT, rebate TEXT, cause TEXT, at_us INTEGER NOT NULL,
        since_us INTEGER NOT NULL, seen_us INTEGER NOT NULL, attempt_id INTEGER, exchange_order_id TEXT,
        position_id TEXT NOT NULL DEFAULT '', ends_position INTEGER NOT NULL DEFAULT 0, episode INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL,
        folded INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE INDEX fill_by_episode ON fill (episode, id);
    CREATE INDEX fill_by_attempt ON fill (attempt_id, id) WHERE attempt_id IS NOT NULL;
    CREATE INDEX fill_by_time ON fill (account_id, seen_us);
    CREATE INDEX fill_by_order ON fill (account_id, exchange_order_id) WHERE exchange_order_id IS NOT NULL;
    CREATE INDEX fill_unsettled ON fill (account_id, id) WHERE state IN ('open', 'unexplained');
    CREATE INDEX fill_unfolded ON fill (episode) WHERE NOT folded;
    CREATE INDEX fill_unfolded_of ON fill (account_id, id) WHERE NOT folded;
    CREATE INDEX fill_unexplained ON fill (account_id, seen_us) WHERE state = 'unexplained';
    CREATE INDEX fill_open ON fill (account_id, id) WHERE state = 'open';
    INSERT INTO fill (account_id, strategy_id, symbol, side, is_entry, quantity, price, fee, cause, at_us, since_us, seen_us,
            state)
        SELECT holding.account_id, holding.strategy_id, holding.symbol, holding.side, 1, holding.share,
            CASE WHEN book.quantity IS NOT NULL THEN printf('%.15g', CAST(book.cost AS REAL) / CAST(book.quantity AS REAL)) END,
            CASE WHEN book.quantity = holding.share THEN book.fees END, 'signal', coalesce(book.opened_us, run.started_us, 0),
            coalesce(book.opened_us, run.started_us, 0), coalesce(book.opened_us, run.started_us, 0), 'old'
        FROM holding LEFT JOIN book ON book.account_id = holding.account_id AND book.strategy_id = holding.strategy_id
            AND book.symbol = holding.symbol AND book.side = holding.side AND book.quantity != '0'
        LEFT JOIN run ON run.epoch = (SELECT max(epoch) FROM run) WHERE holding.share != '0';
    UPDATE fill SET episode = id;
    DROP TABLE book;
    CREATE TABLE book (
        account_id TEXT NOT NULL, strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, quantity TEXT NOT NULL,
        episode INTEGER NOT NULL, opened_us INTEGER NOT NULL, position_id TEXT NOT NULL DEFAULT '', cost TEXT,
        PRIMARY KEY (account_id, strategy_id, symbol)) STRICT, WITHOUT ROWID;
    INSERT INTO book (account_id, strategy_id, symbol, side, quantity, episode, opened_us)
        SELECT account_id, strategy_id, symbol, side, quantity, episode, at_us FROM fill;
    ALTER TABLE trade RENAME TO trade_before;
    CREATE TABLE trade (
        id INTEGER PRIMARY KEY AUTOINCREMENT, account_id TEXT NOT NULL, strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
        quantity TEXT NOT NULL, entry_price TEXT, exit_price TEXT, fees TEXT, gross TEXT, result TEXT, opened_us INTEGER NOT NULL,
        closed_us INTEGER NOT NULL, fill_id INTEGER UNIQUE, episode INTEGER, cause TEXT, state TEXT NOT NULL) STRICT;
    INSERT INTO trade (id, account_id, strategy_id, symbol, side, quantity, entry_price, exit_price, fees, result, opened_us, closed_us,
            state)
        SELECT id, account_id, strategy_id, symbol, side, quantity, entry_price, exit_price, fees, result, opened_us, closed_us, 'old'
        FROM trade_before;
    DROP TABLE trade_before;
    CREATE INDEX trade_by_account ON trade (account_id, closed_us);
    CREATE INDEX trade_of_account ON trade (account_id, id);
    CREATE INDEX trade_by_strategy ON trade (strategy_id, closed_us);
    CREATE INDEX trade_by_episode ON trade (episode, id) WHERE episode IS NOT NULL;
    ALTER TABLE strategy_day ADD COLUMN unreconciled INTEGER NOT NULL DEFAULT 0;
    UPDATE strategy_day SET unreconciled = trades, trades = 0, won = 0, result = '0', fees = '0';
    ALTER TABLE account_day ADD COLUMN unreconciled INTEGER NOT NULL DEFAULT 0;
    UPDATE account_day SET unreconciled = trades, trades = 0, won = 0, result = '0', fees = '0';
    CREATE TABLE trade_fee (
        account_id TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT, amount TEXT NOT NULL, traded TEXT,
        closed_by TEXT, at_us INTEGER NOT NULL, tied INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (account_id, id)) STRICT, WITHOUT ROWID;
    CREATE INDEX trade_fee_untied ON trade_fee (account_id, at_us) WHERE NOT tied;
    CREATE TABLE wallet (
        account_id TEXT PRIMARY KEY, since_us INTEGER NOT NULL, baseline TEXT NOT NULL, quiet_us INTEGER NOT NULL,
        rounding TEXT NOT NULL DEFAULT '0', cash TEXT NOT NULL, worth TEXT NOT NULL, read_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE wallet_sum (
        account_id TEXT NOT NULL, line TEXT NOT NULL, amount TEXT NOT NULL, PRIMARY KEY (account_id, line)) STRICT, WITHOUT ROWID;
    CREATE TABLE wallet_row (
        id INTEGER PRIMARY KEY AUTOINCREMENT, account_id TEXT NOT NULL, kind TEXT NOT NULL, amount TEXT NOT NULL, from_us INTEGER NOT NULL,
        until_us INTEGER NOT NULL, fill_id INTEGER, position_id TEXT NOT NULL DEFAULT '') STRICT;
    CREATE INDEX wallet_row_by_account ON wallet_row (account_id, until_us);
    CREATE INDEX wallet_row_by_fill ON wallet_row (fill_id) WHERE fill_id IS NOT NULL;
    """,
    """
    ALTER TABLE signal ADD COLUMN numbering INTEGER;
    ALTER TABLE signal ADD COLUMN not_mirrored TEXT;
    UPDATE signal SET numbering = 0 WHERE json_extract(draft, '$.seq') IS NOT NULL;
    CREATE INDEX signal_by_numbering ON signal (origin, numbering, seq) WHERE numbering IS NOT NULL;
    CREATE INDEX signal_by_order ON signal (strategy_id, symbol, order_key);
    CREATE TABLE numbering (
        origin TEXT NOT NULL, number INTEGER NOT NULL, began_us INTEGER NOT NULL, PRIMARY KEY (origin, number)) STRICT, WITHOUT ROWID;
    CREATE TABLE newest_told (
        strategy_id TEXT NOT NULL, symbol TEXT NOT NULL, kind TEXT NOT NULL, origin TEXT NOT NULL, numbering INTEGER, seq INTEGER,
        numbered_us INTEGER, other_us INTEGER, order_key TEXT NOT NULL, PRIMARY KEY (strategy_id, symbol, kind, origin))
        STRICT, WITHOUT ROWID;
    INSERT INTO newest_told
        SELECT strategy_id, symbol, CASE json_extract(draft, '$.action') WHEN 'set_protection' THEN 'protections' ELSE 'exits' END AS kind,
        origin, max(numbering), max(CASE WHEN numbering = 0 THEN seq END), max(CASE WHEN numbering = 0 THEN decided_us END),
        max(CASE WHEN numbering IS NULL THEN decided_us END), max(order_key) FROM signal
        WHERE json_extract(draft, '$.action') IN ('close', 'reverse', 'cancel', 'set_protection')
        AND NOT json_extract(draft, '$.is_test') AND origin != 'operator:flatten' GROUP BY strategy_id, symbol, kind, origin;
    """,
    """
    CREATE INDEX leg_live ON leg (account_id, symbol) WHERE state IN ('new', 'claimed', 'unknown', 'placed', 'partially_filled');
    CREATE INDEX leg_protection ON leg (account_id, symbol, order_key) WHERE kind = 'protection';
    CREATE INDEX attempt_refused ON attempt (ended_us) WHERE kind = 'entry' AND state = 'rejected';
    CREATE INDEX attempt_filled ON attempt (account_id, symbol, id) WHERE filled != '0';
    CREATE INDEX attempt_found_late ON attempt (account_id, symbol, ended_us) WHERE freed = 1 AND filled != '0';
    CREATE INDEX event_by_subject ON event (kind, subject, sequence) WHERE copy_id IS NULL;
    CREATE INDEX signal_by_time ON signal (received_us);
    CREATE INDEX signal_of_strategy ON signal (strategy_id, number);
    ALTER TABLE trade ADD COLUMN environment TEXT NOT NULL DEFAULT '';
    UPDATE trade SET environment = (SELECT environment FROM account WHERE account.id = trade.account_id);
    DROP INDEX trade_by_strategy;
    CREATE INDEX trade_by_strategy ON trade (strategy_id, environment, closed_us);
    ALTER TABLE strategy ADD COLUMN signals INTEGER NOT NULL DEFAULT 0;
    UPDATE strategy SET signals = (SELECT count(*) FROM signal WHERE strategy_id = strategy.id);
    ALTER TABLE holding ADD COLUMN opened_by INTEGER;
    UPDATE holding SET opened_by = (SELECT max(attempt.id) FROM attempt JOIN leg ON leg.copy_id = attempt.copy_id
        AND leg.number = attempt.leg WHERE attempt.account_id = holding.account_id AND attempt.symbol = holding.symbol
        AND attempt.kind = 'entry' AND leg.order_key = holding.entry_key);
    CREATE TABLE foreign_order (
        account_id TEXT NOT NULL, exchange_order_id TEXT NOT NULL, PRIMARY KEY (account_id, exchange_order_id)) STRICT, WITHOUT ROWID;
    INSERT OR IGNORE INTO foreign_order SELECT account.id, json_each.value FROM event JOIN account ON account.name = event.subject
        JOIN json_each(event.data, '$.foreign') WHERE event.kind = 'decision';
    """,
    """
    ALTER TABLE foreign_order ADD COLUMN is_accepted INTEGER NOT NULL DEFAULT 1;
    CREATE INDEX foreign_met ON foreign_order (account_id, exchange_order_id) WHERE NOT is_accepted;
    ALTER TABLE delivery ADD COLUMN reads_exit INTEGER;
    CREATE INDEX delivery_refused ON delivery (at_us) WHERE reads_exit IS NOT NULL;
    """,
    """
    ALTER TABLE run ADD COLUMN mark TEXT NOT NULL DEFAULT '';
    CREATE INDEX run_by_mark ON run (mark);
    CREATE TABLE still (account_id TEXT PRIMARY KEY, cause TEXT NOT NULL, since_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE signal ADD COLUMN action TEXT NOT NULL DEFAULT '';
    ALTER TABLE signal ADD COLUMN is_test INTEGER NOT NULL DEFAULT 0;
    UPDATE signal SET action = coalesce(json_extract(draft, '$.action'), ''), is_test = coalesce(json_extract(draft, '$.is_test'), 0);
    ALTER TABLE endpoint ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
    UPDATE endpoint SET number = rowid;
    ALTER TABLE endpoint_secret ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
    UPDATE endpoint_secret SET number = rowid;
    DROP INDEX fill_unfolded;
    CREATE INDEX fill_unfolded ON fill (episode) WHERE folded = 0;
    DROP INDEX fill_unfolded_of;
    CREATE INDEX fill_unfolded_of ON fill (account_id, id) WHERE folded = 0;
    DROP INDEX trade_fee_untied;
    CREATE INDEX trade_fee_untied ON trade_fee (account_id, at_us) WHERE tied = 0;
    DROP INDEX foreign_met;
    CREATE INDEX foreign_met ON foreign_order (account_id, exchange_order_id) WHERE is_accepted = 0;
    ALTER TABLE notifier_cursor RENAME TO channel;
    ALTER TABLE channel RENAME COLUMN sequence TO told;
    CREATE TABLE alert_untold (
        channel TEXT NOT NULL REFERENCES channel, sequence INTEGER NOT NULL, PRIMARY KEY (channel, sequence))
        STRICT, WITHOUT ROWID;
    INSERT INTO alert_untold SELECT channel.name, event.sequence FROM channel JOIN event ON event.kind = 'alert'
        AND event.sequence > channel.told;
    """,
    """
    DROP INDEX attempt_ended;
    CREATE INDEX attempt_ended ON attempt (account_id, ended_us) WHERE ended_us IS NOT NULL;
    DROP INDEX attempt_by_exchange_id;
    CREATE INDEX attempt_by_exchange_id ON attempt (exchange_order_id, account_id) WHERE exchange_order_id IS NOT NULL;
    UPDATE fill SET exchange_order_id = NULL WHERE attempt_id IS NOT NULL AND exchange_order_id =
        (SELECT exchange_order_id FROM attempt WHERE attempt.id = fill.attempt_id);
    DROP INDEX fill_by_order;
    CREATE INDEX fill_by_order ON fill (exchange_order_id, account_id) WHERE exchange_order_id IS NOT NULL;
    DROP INDEX event_by_kind;
    CREATE INDEX event_by_kind ON event (kind, sequence) WHERE copy_id IS NULL;
    DROP INDEX signal_by_strategy;
    """,
    """
    CREATE TABLE session_key (kid TEXT PRIMARY KEY, added_us INTEGER NOT NULL, removed_us INTEGER) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE suspension (
        person_id TEXT PRIMARY KEY REFERENCES person, at_us INTEGER NOT NULL, by TEXT NOT NULL, note TEXT NOT NULL)
        STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE leaked_login (account_id TEXT PRIMARY KEY REFERENCES account, row_version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE api_token (
        hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, person_id TEXT NOT NULL REFERENCES person, name TEXT NOT NULL,
        scope TEXT NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, seen_us INTEGER,
        seen_from TEXT NOT NULL DEFAULT '', revoked_us INTEGER) STRICT, WITHOUT ROWID;
    CREATE INDEX api_token_by_person ON api_token (person_id);
    """,
    """
    CREATE TABLE account_look (
        account_id TEXT NOT NULL REFERENCES account, by TEXT NOT NULL, at_us INTEGER NOT NULL, PRIMARY KEY (account_id, by))
        STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE api_deed (
        person_id TEXT NOT NULL REFERENCES person, key TEXT NOT NULL, deed TEXT NOT NULL, at_us INTEGER NOT NULL,
        PRIMARY KEY (person_id, key)) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE account ADD COLUMN title TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE passkey (
        id TEXT PRIMARY KEY, person_id TEXT NOT NULL REFERENCES person, credential BLOB NOT NULL UNIQUE, public_key BLOB NOT NULL,
        sign_count INTEGER NOT NULL, rp_id TEXT NOT NULL, name TEXT NOT NULL, created_us INTEGER NOT NULL, used_us INTEGER,
        copied_us INTEGER) STRICT, WITHOUT ROWID;
    CREATE INDEX passkey_by_person ON passkey (person_id);
    """,
    """
    CREATE TABLE price_block (
        exchange TEXT NOT NULL, symbol TEXT NOT NULL, begin_s INTEGER NOT NULL, end_s INTEGER NOT NULL, low TEXT NOT NULL,
        high TEXT NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (exchange, symbol, begin_s)) STRICT;
    CREATE INDEX price_block_by_time ON price_block (begin_s);
    """,
    """
    DROP TABLE person_channel;
    CREATE TABLE person_channel (
        person_id TEXT NOT NULL REFERENCES person, channel TEXT NOT NULL, sealed BLOB NOT NULL, row_version INTEGER NOT NULL,
        shown TEXT NOT NULL, wants TEXT NOT NULL, code BLOB, code_us INTEGER NOT NULL, confirmed_us INTEGER, worked_us INTEGER,
        failing_us INTEGER, problem TEXT NOT NULL DEFAULT '', digest TEXT NOT NULL DEFAULT '', PRIMARY KEY (person_id, channel))
        STRICT, WITHOUT ROWID;
    CREATE TABLE message (
        number INTEGER PRIMARY KEY AUTOINCREMENT, person_id TEXT NOT NULL REFERENCES person, sameness TEXT NOT NULL, kind TEXT NOT NULL,
        at_us INTEGER NOT NULL, is_urgent INTEGER NOT NULL, title TEXT NOT NULL, words TEXT NOT NULL, UNIQUE (person_id, sameness)) STRICT;
    CREATE TABLE message_due (
        person_id TEXT NOT NULL, channel TEXT NOT NULL, number INTEGER NOT NULL REFERENCES message, how TEXT NOT NULL,
        claimed_us INTEGER, PRIMARY KEY (person_id, channel, number)) STRICT, WITHOUT ROWID;
    CREATE INDEX message_due_by_number ON message_due (number);
    CREATE INDEX message_due_now ON message_due (person_id, channel, number) WHERE how = 'now';
    CREATE TABLE message_cursor (name TEXT PRIMARY KEY, told INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    ALTER TABLE person ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
    """,
    """
    UPDATE person SET seen = (SELECT coalesce(max(sequence), 0) FROM event);
    """,
    """
    ALTER TABLE rewrap ADD COLUMN renews INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE callback (
        strategy_id TEXT PRIMARY KEY REFERENCES strategy, url TEXT NOT NULL, set_us INTEGER NOT NULL, seen INTEGER NOT NULL,
        taken_us INTEGER, problem TEXT NOT NULL DEFAULT '', failing_us INTEGER) STRICT, WITHOUT ROWID;
    CREATE TABLE callback_due (
        signal_number INTEGER PRIMARY KEY REFERENCES signal, strategy_id TEXT NOT NULL REFERENCES strategy,
        next_us INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE INDEX callback_due_by_time ON callback_due (strategy_id, next_us, signal_number);
    """,
    """
    ALTER TABLE person_channel ADD COLUMN digest_due_us INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX person_channel_digest ON person_channel (digest_due_us) WHERE confirmed_us IS NOT NULL;
    """,
    """
    CREATE INDEX account_by_person ON account (person_id);
    """,
    """
    CREATE TABLE funding_day (
        account_id TEXT NOT NULL, strategy_id TEXT NOT NULL, day TEXT NOT NULL, amount TEXT NOT NULL,
        PRIMARY KEY (account_id, strategy_id, day)) STRICT, WITHOUT ROWID;
    INSERT INTO funding_day SELECT account_id, strategy_id, date(at_us / 1000000, 'unixepoch'), exact_sum(amount) FROM funding
        WHERE strategy_id != '' GROUP BY 1, 2, 3;
    """,
    """
    ALTER TABLE person_role ADD COLUMN taken_us INTEGER;
    ALTER TABLE person_role ADD COLUMN taken_by TEXT NOT NULL DEFAULT '';
    INSERT OR IGNORE INTO person_role SELECT person.id, audit.data ->> '$.role', 0, '', max(audit.at_us), audit.by FROM audit
        JOIN person ON person.name = audit.subject WHERE audit.act = 'role_taken' GROUP BY 1, 2;
    CREATE INDEX person_role_taken ON person_role (role, person_id) WHERE taken_us IS NOT NULL;
    """,
    """
    ALTER TABLE switch RENAME TO switch_before;
    CREATE TABLE switch (
        scope TEXT NOT NULL, target TEXT NOT NULL, is_owners INTEGER NOT NULL, note TEXT NOT NULL, set_by TEXT NOT NULL,
        set_us INTEGER NOT NULL, level TEXT NOT NULL, PRIMARY KEY (scope, target, is_owners)) STRICT;
    INSERT INTO switch SELECT scope, target, scope = 'account' AND note = 'by the owner'
            AND set_by != 'engine (conservation)', note, set_by, set_us, level
        FROM switch_before;
    DROP TABLE switch_before;
    """,
    """
    ALTER TABLE holding ADD COLUMN opened TEXT NOT NULL DEFAULT '0';
    ALTER TABLE holding ADD COLUMN closed TEXT NOT NULL DEFAULT '0';
    UPDATE holding SET opened = (SELECT exact_sum(filled) FROM attempt WHERE account_id = holding.account_id
            AND symbol = holding.symbol AND kind = 'entry' AND filled != '0'
            AND state NOT IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed')
            AND (id >= holding.opened_by OR (freed = 1
                AND ended_us >= (SELECT claimed_us FROM attempt AS opening WHERE opening.id = holding.opened_by)))),
        closed = (SELECT exact_sum(CASE WHEN CAST(filled AS REAL) > CAST(json_extract(intent, '$.quantity') AS REAL)
                THEN json_extract(intent, '$.quantity') ELSE filled END)
            FROM attempt WHERE account_id = holding.account_id AND symbol = holding.symbol AND id > holding.opened_by
            AND kind = 'exit' AND strategy_id = holding.strategy_id AND filled != '0'
            AND state NOT IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed'))
        WHERE opened_by IS NOT NULL;
    """,
    """
    ALTER TABLE fill ADD COLUMN open_after TEXT;
    """,
)
