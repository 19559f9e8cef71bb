"""Read what people ask: what became of a signal and why, the status of this installation, what is
unknown, which switches are on.

Nothing here decides anything; the only writes are the switches (with the event that reports each)
and a notifier's cursor.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from engine.domain.amounts import plain
from engine.domain.holding import STOPPED_BY_CONSERVATION, Switch, SwitchLevel, SwitchScope
from engine.domain.identifiers import CopyId
from engine.domain.outcome import Outcome, OutcomeCode
from engine.ledger.alerts import newest_alerts
from engine.ledger.attempts import Attempt, all_unknown, attempts_of
from engine.ledger.books_view import Booked, booked
from engine.ledger.codec import from_us, read_draft, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.outcomes import read_outcome, write_event
from engine.ledger.query import Database, Row, contains, fetch_all, fetch_one, in_list, run
from engine.ledger.suspending import derived_switches
from engine.views import (
    AccountRowView,
    AlertView,
    AttemptView,
    HoldingView,
    OutcomeRow,
    ReceiptView,
    StatusView,
    SwitchView,
    TurnView,
    UnknownView,
    WhyEvent,
    WhyView,
)

DAY: Final = timedelta(hours=24)
_ACCOUNTS_AT_ONCE: Final = 500
"""Parameters of one statement."""
_ENDED: Final = tuple(code.value for code in OutcomeCode if code.is_final)

# Outcomes

_OUTCOMES = (
    "SELECT event.sequence, event.at_us, signal.id, strategy.name, signal.draft, account.name, "
    "account.environment, event.subject,"
    " event.data, signal.received_us FROM event JOIN copy ON copy.id = event.copy_id JOIN signal "
    "ON signal.number = copy.signal_number"
    " JOIN account ON account.id = copy.account_id JOIN strategy ON strategy.id = "
    "signal.strategy_id"
    " WHERE event.kind = 'outcome' AND event.sequence > ? ORDER BY event.sequence {} LIMIT ?"
)


def outcome_rows(db: Database, after: int, limit: int, *, newest_first: bool) -> list[OutcomeRow]:
    """Read changes of outcomes with a sequence above ``after``, each with its sentence."""
    rows = fetch_all(db, _OUTCOMES.format("DESC" if newest_first else "ASC"), (after, limit))
    return [_outcome_row(row) for row in rows]


def _outcome_row(row: Row) -> OutcomeRow:
    outcome, draft = Outcome(OutcomeCode(row[7]), json.loads(row[8])), read_draft(row[4])
    return OutcomeRow(
        sequence=row[0],
        at=from_us(row[1]),
        signal_id=row[2],
        strategy=row[3],
        action=draft.action.value,
        symbol=draft.symbol,
        side=None if draft.side is None else draft.side.value,
        account=row[5],
        environment=row[6],
        code=outcome.code.value,
        sentence=outcome.sentence,
        setting=outcome.explanation.setting,
        move=outcome.explanation.move.value,
        latency_ms=(row[1] - row[9]) / 1000,
    )


# Receipts


def receipt(db: Database, receipt_id: str) -> ReceiptView | None:
    """Read what became of a signal, by the id of its receipt: counts and latencies, never who the
    followers are.
    """
    row = fetch_one(
        db, "SELECT number, id, draft, received_us FROM signal WHERE receipt_id = ?", (receipt_id,)
    )
    return None if row is None else _receipt(db, row)


def _receipt(db: Database, signal: Row) -> ReceiptView:
    number, identifier, draft_text, received_us = signal
    draft = read_draft(draft_text)
    groups = fetch_all(
        db,
        "SELECT code, environment, count(*) FROM copy JOIN account ON account.id = "
        "copy.account_id WHERE signal_number = ? GROUP BY code, environment",
        (number,),
    )
    counts: Counter[str] = Counter()
    for code, _, copies in groups:
        counts[code or "waiting"] += copies
    ended = fetch_all(
        db,
        f"SELECT outcome_us FROM copy WHERE signal_number = ? AND code IN {in_list(_ENDED)} "
        "ORDER BY outcome_us",
        (number, *_ENDED),
    )
    return ReceiptView(
        signal_id=identifier,
        action=draft.action.value,
        symbol=draft.symbol,
        received_at=from_us(received_us),
        copies=counts.total(),
        open=counts.total() - sum(counts[code] for code in _ENDED),
        outcomes=counts,
        latency_ms_p50=_latency_ms(ended, received_us, 50),
        latency_ms_p95=_latency_ms(ended, received_us, 95),
        environments=tuple(sorted({environment for _, environment, _ in groups})),
    )


def _latency_ms(ended: list[Row], received_us: int, percent: int) -> float | None:
    """Return a nearest-rank percentile of latencies; ``ended``: rows of one time, ordered."""
    if not ended:
        return None
    at = min(len(ended) - 1, len(ended) * percent // 100)
    return float(ended[at][0] - received_us) / 1000


# Why

_WHY = (
    "SELECT copy.id, signal.id, signal.draft, strategy.name, account.name, account.environment, "
    "signal.received_us, copy.code,"
    " copy.numbers, strategy.id FROM copy JOIN signal ON signal.number = copy.signal_number JOIN "
    "account ON account.id = copy.account_id"
    " JOIN strategy ON strategy.id = signal.strategy_id WHERE copy.signal_number = ? AND "
    "account.name = ?"
)


def signal_number(db: Database, named: str) -> int | None:
    """Find a signal by its id, its receipt's id or its idempotency id; ``last`` is the newest one."""
    if named == "last":
        row = fetch_one(db, "SELECT max(number) FROM signal")
    else:
        row = fetch_one(
            db,
            # the few origins, each found after the last one
            "WITH RECURSIVE known (origin) AS (SELECT min(origin) FROM signal UNION ALL"
            " SELECT (SELECT min(signal.origin) FROM signal WHERE signal.origin > known.origin) "
            "FROM known WHERE known.origin IS NOT NULL)"
            " SELECT number FROM signal WHERE id = ?1 OR receipt_id = ?1 OR (origin, dedupe_key) "
            "IN (SELECT origin, ?1 FROM known)"
            " ORDER BY number DESC",
            (named,),
        )
    return None if row is None else row[0]


def why(db: Database, signal: str, account_name: str) -> WhyView | None:
    """Read what became of a signal for one follower; None if there is no such copy. ``signal``: see
    ``signal_number``.

    What it waits for, what is open and who has to act now: ``services.explaining``.
    """
    number = signal_number(db, signal)
    row = None if number is None else fetch_one(db, _WHY, (number, account_name))
    if row is None:
        return None
    draft, outcome = read_draft(row[2]), read_outcome(row[7], row[8])
    events = fetch_all(
        db,
        "SELECT at_us, subject, data FROM event WHERE copy_id = ? AND kind = 'outcome' ORDER BY "
        "sequence",
        (row[0],),
    )
    return WhyView(
        signal_id=row[1],
        action=draft.action.value,
        symbol=draft.symbol,
        strategy_id=row[9],
        strategy=row[3],
        account=row[4],
        environment=row[5],
        received_at=from_us(row[6]),
        code=None if outcome is None else outcome.code.value,
        numbers={} if outcome is None else outcome.numbers,
        sentence="It waits." if outcome is None else outcome.sentence,
        setting=None if outcome is None else outcome.explanation.setting,
        move="nobody" if outcome is None else outcome.explanation.move.value,
        history=tuple(
            WhyEvent(from_us(at), code, Outcome(OutcomeCode(code), json.loads(data)).sentence)
            for at, code, data in events
        ),
        attempts=_attempts(db, row[0]),
        turn=_turn(db, number, row[0], received_us=row[6]),
    )


def _turn(db: Database, signal: int | None, copy: str, received_us: int) -> TurnView | None:
    row = fetch_one(
        db,
        "SELECT id, claimed_us FROM attempt WHERE copy_id = ? ORDER BY id LIMIT 1",
        (copy,),
    )
    if row is None:
        return None
    first, claimed_us = row
    turns = fetch_all(
        db,
        "SELECT min(attempt.id) FROM copy JOIN attempt ON attempt.copy_id = copy.id WHERE "
        "copy.signal_number = ? GROUP BY copy.id",
        (signal,),
    )
    return TurnView(
        turn=sum(each[0] <= first for each in turns),
        copies=len(turns),
        waited_ms=max(0, (claimed_us - received_us) // 1000),
    )


def _attempts(db: Database, copy: str) -> tuple[AttemptView, ...]:
    return tuple(_attempt(each, booked(db, each.id)) for each in attempts_of(db, CopyId(copy)))


def _attempt(attempt: Attempt, booked: Booked) -> AttemptView:
    price = None if attempt.price == "?" else attempt.price
    return AttemptView(
        number=attempt.number,
        kind=attempt.kind,
        state=attempt.state.value,
        side=attempt.intent.side.value,
        quantity=plain(attempt.intent.quantity),
        client_order_id=attempt.intent.client_order_id,
        exchange_order_id=attempt.exchange_order_id,
        filled=plain(attempt.filled),
        price=price if booked.price is None else plain(booked.price),
        fee=None if booked.fee is None else plain(booked.fee),
        cause=attempt.cause,
        claimed_at=attempt.claimed_at,
    )


# The status of this installation


def _counts(db: Database, sql: str, values: tuple[object, ...] = ()) -> Mapping[str, int]:
    return dict(fetch_all(db, sql, values))


def _count(db: Database, sql: str) -> int:
    row = fetch_one(db, sql)
    return 0 if row is None else int(row[0])


def newest_receipt(db: Database) -> ReceiptView | None:
    """Read what became of the newest signal, None if none was recorded yet."""
    last = fetch_one(
        db,
        "SELECT number, id, draft, received_us FROM signal WHERE number = (SELECT max(number) "
        "FROM signal)",
    )
    return None if last is None else _receipt(db, last)


def copies_since(db: Database, since: datetime) -> Mapping[str, int]:
    """Count the copies of the signals that came since then by outcome, the most first."""
    return _counts(
        db,
        "SELECT coalesce(copy.code, 'waiting'), count(*) FROM signal JOIN copy ON "
        "copy.signal_number = signal.number"
        # CROSS: the few signals first, not every copy that ever existed
        " WHERE signal.received_us >= ? GROUP BY 1 ORDER BY 2 DESC, 1",
        (to_us(since),),
    )


def switch_views(db: Database) -> tuple[SwitchView, ...]:
    """Read the switches that are on, as operators are shown them."""
    return tuple(
        SwitchView(
            scope=each.scope.value,
            target=each.target,
            note=each.note,
            set_by=each.set_by,
            set_at=each.set_at,
            level=each.level.value,
            person=each.person,
            role=each.role,
            is_owners=each.is_owners,
        )
        for each in switches(db)
    )


def account_names(db: Database, limit: int) -> list[str]:
    """Read the names of connected accounts, by name."""
    rows = fetch_all(
        db,
        "SELECT name FROM account WHERE disconnected_us IS NULL ORDER BY name LIMIT ?",
        (limit,),
    )
    return [row[0] for row in rows]


def status(db: Database, now: datetime, span: timedelta = DAY) -> StatusView:
    """Read the status of this installation; counts of copies and alerts cover the last ``span``."""
    return StatusView(
        accounts=_counts(
            db,
            "SELECT environment, count(*) FROM account WHERE disconnected_us IS NULL GROUP BY "
            "environment",
        ),
        strategies=_count(db, "SELECT count(*) FROM strategy"),
        copies=copies_since(db, now - span),
        waiting=_count(db, "SELECT count(*) FROM leg WHERE state = 'new'"),
        open_orders=_counts(
            db,
            "SELECT state, count(*) FROM attempt WHERE state IN ('claimed', 'unknown', 'placed', "
            "'partially_filled', 'not_confirmed')"
            " GROUP BY state",
        ),
        positions=_count(db, "SELECT count(*) FROM holding WHERE share != '0'"),
        switches=switch_views(db),
        alerts=tuple(
            AlertView(
                at=each.at,
                code=each.code.value,
                subject=each.subject,
                sentence=each.sentence,
                do=each.do,
                wakes=each.wakes,
                count=each.count,
            )
            for each in newest_alerts(db, now - span, 20)
        ),
    )


def unknown(db: Database) -> list[UnknownView]:
    """Read every order whose fate is not proven, oldest first."""
    attempts = all_unknown(db)
    about = {
        row[0]: row[1:]
        for row in fetch_all(
            db,
            "SELECT attempt.id, signal.id, account.name, account.exchange, account.environment FROM "
            "attempt INDEXED BY attempt_open JOIN account ON account.id = attempt.account_id JOIN "
            "copy ON copy.id = attempt.copy_id JOIN signal ON signal.number = copy.signal_number "
            "WHERE attempt.state IN ('claimed', 'unknown', 'placed', 'partially_filled', "
            "'not_confirmed') AND attempt.state IN ('unknown', 'not_confirmed')",
        )
    }
    shown = []
    for attempt in attempts:
        if attempt.id not in about:  # it was settled between the two readings
            continue
        signal, name, exchange, environment = about[attempt.id]
        shown.append(
            UnknownView(
                signal_id=signal,
                account=name,
                exchange=exchange,
                environment=environment,
                opens=attempt.is_entry,
                symbol=attempt.intent.symbol,
                side=attempt.intent.side.value,
                quantity=format(attempt.intent.quantity, "f"),
                state=attempt.state.value,
                cause=attempt.cause,
                client_order_id=attempt.intent.client_order_id,
                claimed_at=attempt.claimed_at,
            )
        )
    return shown


def account_rows(
    db: Database,
    *,
    name: str = "",
    search: str = "",
    after: str = "",
    only: Sequence[str] | None = None,
    limit: int = -1,
) -> list[AccountRowView]:
    """Read connected accounts with what is open in them, by name: one, those whose name contains
    ``search``, those after ``after``.
    """
    rows = fetch_all(
        db,
        "SELECT account.name, account.exchange, account.environment,"
        " (SELECT count(*) FROM holding WHERE holding.account_id = account.id AND share != '0'),"
        " (SELECT count(*) FROM leg WHERE leg.account_id = account.id AND leg.state = 'new'),"
        " (SELECT count(*) FROM attempt INDEXED BY attempt_open WHERE attempt.account_id = "
        "account.id AND attempt.state IN ('claimed',"
        " 'unknown', 'placed', 'partially_filled', 'not_confirmed') AND attempt.state IN "
        "('unknown', 'not_confirmed')),"
        " account.id FROM account WHERE disconnected_us IS NULL AND account.name > ?"
        + (" AND account.name = ?" if name else "")
        + (f" AND {contains('account.name')}" if search else "")
        + ("" if only is None else f" AND account.name IN {in_list(only)}")
        + " ORDER BY account.name"
        + (" LIMIT ?" if limit >= 0 else ""),
        (after, *filter(None, (name, search)), *(only or ()), *((limit,) if limit >= 0 else ())),
    )
    holdings = _held(db, [row[6] for row in rows if row[3]])
    return [
        AccountRowView(
            name=row[0],
            exchange=row[1],
            environment=row[2],
            held=row[3],
            waiting=row[4],
            unproven=row[5],
            holdings=tuple(holdings[row[6]]),
        )
        for row in rows
    ]


def _held(db: Database, accounts: Sequence[str]) -> Mapping[str, list[HoldingView]]:
    """Read what is open of strategies in accounts, by account and contract."""
    found: defaultdict[str, list[HoldingView]] = defaultdict(list)
    for at in range(0, len(accounts), _ACCOUNTS_AT_ONCE):
        some = accounts[at : at + _ACCOUNTS_AT_ONCE]
        rows = fetch_all(
            db,
            "SELECT account_id, holding.symbol, holding.side, holding.share, strategy.name FROM "
            "holding JOIN strategy ON strategy.id = holding.strategy_id"
            f" WHERE share != '0' AND account_id IN {in_list(some)} ORDER BY holding.symbol",
            some,
        )
        for row in rows:
            found[row[0]].append(HoldingView(*row[1:]))
    return found


def unproven_accounts(db: Database) -> list[str]:
    """Read the names of accounts with an order whose fate is not proven."""
    rows = fetch_all(
        db,
        "SELECT DISTINCT account.name FROM attempt INDEXED BY attempt_open JOIN account ON "
        "account.id = attempt.account_id WHERE"
        " attempt.state IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed')"
        " AND attempt.state IN ('unknown', 'not_confirmed')",
    )
    return [row[0] for row in rows]


def unproven_attempts(db: Database, signal: str, account_name: str) -> list[int]:
    """Find the attempts of one copy whose fate is not proven. ``signal``: see ``signal_number``."""
    rows = fetch_all(
        db,
        "SELECT attempt.id FROM attempt JOIN copy ON copy.id = attempt.copy_id JOIN account ON "
        "account.id = copy.account_id"
        " WHERE copy.signal_number = ? AND account.name = ? AND attempt.state IN ('unknown', "
        "'not_confirmed') ORDER BY attempt.id",
        (signal_number(db, signal), account_name),
    )
    return [row[0] for row in rows]


# Switches


def switches(db: Database) -> tuple[Switch, ...]:
    """Read the switches that are on, oldest first; then those that follow from suspensions and taken
    roles.
    """
    rows = fetch_all(
        db,
        "SELECT scope, target, note, set_by, set_us, level, is_owners FROM switch ORDER BY set_us, "
        "scope, target, is_owners",
    )
    return tuple(
        Switch(
            scope=SwitchScope(row[0]),
            target=row[1],
            note=row[2],
            set_by=row[3],
            set_at=from_us(row[4]),
            level=SwitchLevel(row[5]),
            is_owners=bool(row[6]),
        )
        for row in rows
    ) + tuple(derived_switches(db))


def set_switch(db: Database, switch: Switch) -> SwitchLevel | None:
    """Turn a switch on; return the level before. A level is only ever raised.

    The switch of an account's owner is a row of its own: neither hides the other. Whoever asks for
    no more than is stopped already leaves note and setter of somebody else's stop; whoever raises it
    keeps what it said behind their own note. Broken conservation stops exits too, so it is always
    more.
    """
    lock(db, Held.PLACE)
    where = (switch.scope.value, switch.target, int(switch.is_owners))
    row = fetch_one(
        db,
        "SELECT level, set_by, note, set_us FROM switch WHERE scope = ? AND target = ? AND "
        "is_owners = ?",
        where,
    )
    note, by, at = switch.note, switch.set_by, to_us(switch.set_at)
    was = None if row is None else SwitchLevel(row[0])
    level = switch.level if was is None or was.rank < switch.level.rank else was
    if row is not None and by != row[1]:
        if level is not was or by == STOPPED_BY_CONSERVATION:
            note = f"{note or 'no note'}; before, by {row[1]}: {row[2] or 'no note'}"
        else:
            # A flatten that is asked for again tries a remainder again, whoever asks.
            at = at if switch.level is SwitchLevel.FLATTEN else row[3]
            by, note = row[1], row[2]
    db.execute(
        "INSERT INTO switch (scope, target, is_owners, note, set_by, set_us, level) VALUES (?, ?, "
        "?, ?, ?, ?, ?) ON CONFLICT (scope, target, is_owners) DO UPDATE SET note = excluded.note, "
        "set_by = excluded.set_by, set_us = excluded.set_us, level = excluded.level",
        (*where, note, by, at, level.value),
    )
    data: dict[str, object] = {
        "on": True,
        "level": level.value,
        "note": switch.note,
        "by": switch.set_by,
    }
    write_event(db, kind="switch", subject=switch.label, data=data, at=switch.set_at)
    return was


def clear_switch(
    db: Database,
    scope: SwitchScope,
    target: str,
    by: str,
    at: datetime,
    *,
    is_owners: bool = False,
) -> bool:
    """Allow new entries again; return False if they were not switched off. An owner's switch stays
    unless it is the one that is meant (``is_owners``), and then the others stay.
    """
    changed = run(
        db,
        "DELETE FROM switch WHERE scope = ? AND target = ? AND is_owners = ?",
        (scope.value, target, int(is_owners)),
    )
    if not changed:
        return False
    label = Switch(scope=scope, target=target, note="", set_by=by, set_at=at).label
    write_event(db, kind="switch", subject=label, data={"on": False, "by": by}, at=at)
    return True
