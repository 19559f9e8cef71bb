"""No statement of the ledger reads rows in proportion to history: SQLite is asked for the plan of
every one of them.

The plans are those of a ledger as the product makes it: migrated, without statistics (the product
never runs ANALYZE). What grows is every table but those named in ``AS_LARGE_AS_THE_PLACE``. A
statement may read of a growing table
- one thing: by all columns of a unique key, or by one set of ``ONE_THING``;
- what is open: along one of ``ONLY_WHAT_IS_OPEN``, partial indexes that a row leaves when it ends;
- what came since: along an index with a lower bound (``ended_us > ?``);
- what ``PAGES`` and ``WHOLE`` name, each with its reason.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import apsw
import apsw.ext
import pytest

from engine.ledger import Database
from engine.ledger.database import open_memory
from tests.engine.ledger.statements import Place, places, places_in, strangers

AS_LARGE_AS_THE_PLACE: Final = frozenset(
    [
        "account",
        "account_look",
        "alert_untold",
        "audit_key",
        "book",
        "callback",
        "callback_due",
        "canary",
        "channel",
        "declared",
        "endpoint",
        "endpoint_secret",
        "equity_mark",
        "factor",
        "goal",
        "holding",
        "leaked_login",
        "login_print",
        "master",
        "master_request",
        "message_cursor",
        "message_due",
        "newest_told",
        "passkey",
        "person",
        "person_channel",
        "person_role",
        "recovery_code",
        "rewrap",
        "still",
        "strategy",
        "subscription",
        "suspension",
        "switch",
        "throttle",
        "wallet",
        "wallet_sum",
    ]
)
"""They have rows for people, accounts, strategies, contracts and what waits for a channel, not for
what happened. A new table grows until it is named here.
"""

ONE_THING: Final = {
    "copy": (("signal_number",),),
    "leg": (("copy_id",),),
    "attempt": (("copy_id",), ("client_order_id",), ("account_id", "exchange_order_id")),
    "event": (("copy_id",),),
    "signal": (("origin", "numbering", "seq"),),
    "fill": (("attempt_id",), ("account_id", "exchange_order_id")),
    "wallet_row": (("fill_id",),),
    "run": (("mark",),),
}
"""Columns that name one thing without being a unique key: the copies of one signal, what belongs to
one copy, one order, one position.
"""

ONLY_WHAT_IS_OPEN: Final = (
    "leg_new",
    "leg_new_entry",
    "leg_live",
    "attempt_open",
    "attempt_lane",
    "fill_unsettled",
    "fill_unfolded",
    "fill_unfolded_of",
    "fill_open",
    "trade_fee_untied",
    "foreign_met",
)

PAGES: Final = {
    ("touching.has_filled_order", "attempt"): "the first order that was filled, near the begin",
    ("alerts.newest_alerts", "event"): "the newest alerts",
    ("alerts.alerts_about", "event"): "the newest alerts about one name",
    (
        "attempts.newest_claim",
        "attempt",
    ): "the newest order of one account, when it is looked at for the first time",
    ("breakers.switched_at", "event"): "the newest turn of one switch",
    ("charting._fills", "fill"): "the first fills of one position, for its chart",
    ("callbacks.set_callback", "signal"): "the newest signal of one strategy, when a master asks",
    ("deliveries.deliveries", "delivery"): "a master's page",
    ("deliveries.ingress", "delivery"): "the newest thousand",
    (
        "deliveries.note_deliveries",
        "delivery",
    ): "an endpoint keeps a thousand rows, a hundred of strangers: what lies behind is deleted",
    ("deliveries.refusals", "delivery"): "an operator's page; an endpoint keeps a thousand rows",
    ("folding._before", "fill"): "the fill before one in its position",
    ("following.copies_of", "copy"): "the newest copies, for home",
    ("following.entry_outcomes", "copy"): "a follower's page of what was missed",
    ("following.last_entries", "signal"): "a preview of the newest entries",
    (
        "messages.forget_messages",
        "message",
    ): "the oldest messages, each deleted here once it is old",
    ("history._newest_order", "attempt"): "the newest order of one account",
    (
        "holdings.attach_where_own_level_closed",
        "fill",
    ): "the newest fill of the position that an order opened",
    ("holdings.entered_until", "attempt"): "the newest entry of one contract that filled",
    (
        "resolving._leave_position",
        "fill",
    ): "the newest entry of one position, once the exchange's own position was closed",
    ("results.equity_before", "equity_point"): "the newest point before a range, for home",
    ("ordering._alerts", "signal"): "an alert looks at the newest eight of its contract",
    ("ordering._newest_key", "signal"): "the newest signal of one contract",
    ("ordering._newest_numbering", "signal"): "the least number of one numbering",
    ("preflight.is_key_refused", "copy"): "the newest fifty copies of one account",
    ("pulse.newest_moment", "event"): "the newest event",
    ("preflight.credentials_since", "event"): "the newest change of one account's credentials",
    (
        "refused._exit_taken_since",
        "signal",
    ): "the newest signal before a refusal, and what its strategy sent since",
    (
        "prices.forget_prices",
        "price_block",
    ): "the oldest blocks, each deleted here once it is older than a month",
    ("results.account_trades", "trade"): "the newest trades, for a page of results",
    ("results.all_strategies", "signal"): "the newest signal of each strategy",
    ("results.mark_equity_point", "equity_point"): "the newest point of one account",
    ("results.newest_entries", "signal"): "the newest entry signals of a strategy",
    ("results.newest_signals", "signal"): "the newest signals of a strategy",
    ("results.strategies_for", "signal"): "the newest signal of each strategy",
    ("results.trade_results", "trade"): "the newest trades, for a curve",
    (
        "open_shares._newest_entry",
        "attempt",
    ): "the newest entry of one holding, for who asks why it stands",
    ("studio.open_costs_of", "attempt"): "the newest entry of each holding",
    ("studio.signals_of", "signal"): "a master's page",
    ("studio.strategies_of", "signal"): "the newest signal of each strategy",
    ("studio.strategy_of", "signal"): "the newest signal of the strategy",
    ("wallet.wallet_rows", "wallet_row"): "a page of what nothing explains",
}
"""By verb and table: read newest first in the order of an index up to a LIMIT, which this test
checks too.
"""

WHOLE: Final = {
    ("funding.funding_by_day", "funding_day"): "a row a day, for a page of results",
    ("lineage.account_ends", "attempt"): "an operator rehearses a restore",
    ("lineage.account_ends", "fill"): "an operator rehearses a restore",
    (
        "refused._told_within_the_hour",
        "alert",
    ): "the faults of one strategy's sender: at most six new ones an hour",
    (
        "outcomes.write_pulse",
        "event",
    ): "one row of this kind and subject stands, whose place the new one takes",
    ("results.account_days", "account_day"): "a row a day, for a page of results",
    ("results.strategy_days", "strategy_day"): "a row a day, for a page of results",
    ("results.strategy_environments", "strategy_day"): "a row a day, for a page of results",
    ("root_keys.counts_under", "audit"): "an operator asks what lies under each root key",
    (
        "sessions.forget_old_sessions",
        "session",
    ): "sign-ins of some weeks: what is older is deleted here",
    ("session_keys.end_all_sessions", "session"): "a command ends everybody's sessions, once",
    ("session_keys.session_keys", "session_key"): "a few keys, read at a start and by commands",
    (
        "session_keys.sessions_begun_before",
        "session",
    ): "sign-ins of some weeks, counted by a command",
    ("sessions.forget_old_tickets", "ticket"): "links of some weeks: what is older is deleted here",
    ("sessions.invitations", "ticket"): "links of some weeks: what is older is deleted",
    ("sessions.revoke_sessions", "session"): "one person's sign-ins of some weeks",
    ("sessions.sessions_of", "session"): "one person's sign-ins of some weeks",
    (
        "tokens.forget_old_tokens",
        "api_token",
    ): "one person's tokens: what ended a month ago is deleted here",
    (
        "track_records.copied_trades",
        "trade",
    ): "a page of results: all parts of each position on it",
    ("tokens.note_deed", "api_deed"): "one person's deeds of a week: what is older is deleted here",
    ("tokens.revoke_tokens", "api_token"): "one person's tokens, at most twenty of them valid",
    ("tokens.tokens_of", "api_token"): "one person's tokens, at most twenty of them valid",
}
"""By verb and table: read without a bound, when a person asks for it."""

ADVICE: Final = """
{where} ({verb}) reads {table} in proportion to history:
    {statement}
    {line}
Add what makes the question selective: all columns of a unique key, `state IN (...)` word for word as in a partial index of open rows,
a lower bound in time along an index; or keep a running sum. A new partial index of open rows is named in ONLY_WHAT_IS_OPEN. Where a
person asks for a page or for everything, and nothing asks every second or for every order, name it in PAGES or WHOLE with the reason."""

UNSEEN: Final = """
The statement at {where} ({verb}) cannot be worked out from the source, so its plan cannot be asked for. Write the SQL as a literal, a
module constant, or a concatenation of these at the call; hand it on as a parameter only within one module."""


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a plan that reads a table: ``index`` None is none, ``equal`` columns are given,
    ``is_since``: one is bounded below.
    """

    line: str
    table: str
    index: str | None
    is_search: bool
    equal: frozenset[str]
    is_since: bool


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    opened = open_memory()
    yield opened
    opened.close()


def tables(db: Database) -> dict[str, list[frozenset[str]]]:
    """Read every table with the columns of each of its unique keys; an INTEGER PRIMARY KEY is also
    called rowid.
    """
    found: dict[str, list[frozenset[str]]] = {}
    for (name,) in db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall():
        indexes = db.execute(
            "SELECT name FROM pragma_index_list(?) WHERE [unique] AND NOT partial", (name,)
        ).fetchall()
        keys = [
            frozenset(row[0] for row in db.execute("SELECT name FROM pragma_index_info(?)", each))
            for each in indexes
        ]
        found[name] = [*keys, frozenset(["rowid"])]
    return found


def steps(db: Database, statement: str, growing: frozenset[str]) -> Iterator[Step]:
    """Yield the lines of a statement's plan that read a growing table."""
    aliases = {
        alias: table
        for table, alias in re.findall(r"\b(\w+) AS (\w+)", statement)
        if table in growing
    }
    for line in _lines(apsw.ext.query_info(db, statement, explain_query_plan=True).query_plan):
        read = re.match(r"(SCAN|SEARCH) (\w+)", line)
        table = aliases.get(read[2], read[2]) if read else ""
        if read and table in growing:
            index = re.search(r"USING (?:AUTOMATIC )?(?:PARTIAL )?(?:COVERING )?INDEX (\w+)", line)
            terms = re.findall(r"(\w+)([=<>])\?", line)
            equal = frozenset(column for column, sign in terms if sign == "=")
            is_since = "AUTOMATIC" not in line and (
                any(sign == ">" for _, sign in terms) or ")>(" in line
            )
            yield Step(
                line,
                table,
                index[1] if index else None,
                read[1] == "SEARCH" and "AUTOMATIC" not in line,
                equal,
                is_since,
            )


def _lines(plan: object) -> Iterator[str]:
    yield plan.detail  # type: ignore[attr-defined]
    for each in plan.sub or ():  # type: ignore[attr-defined]
        yield from _lines(each)


def is_bounded(step: Step, keys: list[frozenset[str]]) -> bool:
    """Return whether a step reads one thing, what is open, or what came since; a search without
    terms looks up the least or greatest.
    """
    if step.index in ONLY_WHAT_IS_OPEN:
        return True
    one_thing = [*keys, *map(frozenset, ONE_THING.get(step.table, ()))]
    is_extreme = step.is_search and "(" not in step.line
    return step.is_search and (
        is_extreme or step.is_since or any(key <= step.equal for key in one_thing)
    )


def is_page(db: Database, statement: str) -> bool:
    """Return whether a statement stops at a LIMIT without sorting first."""
    plan = "\n".join(_lines(apsw.ext.query_info(db, statement, explain_query_plan=True).query_plan))
    return (
        " LIMIT " in statement
        and "TEMP B-TREE FOR ORDER BY" not in plan
        and "TEMP B-TREE FOR LAST" not in plan
    )


def unbounded(db: Database, found: list[Place]) -> Iterator[tuple[Place, str, Step]]:
    """Yield every step that reads in proportion to history, whatever it is excused with."""
    keys = tables(db)
    growing = frozenset(keys) - AS_LARGE_AS_THE_PLACE
    for place in found:
        for statement in place.texts:
            for step in steps(db, statement, growing):
                if not is_bounded(step, keys[step.table]):
                    yield place, statement, step


def test_every_statement_is_seen() -> None:
    found = places()
    unseen = [UNSEEN.format(where=each.where, verb=each.verb) for each in found if not each.texts]
    assert not unseen, "".join(unseen)
    assert len(found) > 250
    assert not strangers(), "only engine/ledger asks the database"


def test_no_statement_reads_in_proportion_to_history(db: Database) -> None:
    told, used = [], set()
    for place, statement, step in unbounded(db, places()):
        key = (place.verb, step.table)
        used.add(key)
        if key in WHOLE or (key in PAGES and is_page(db, statement)):
            continue
        told.append(
            ADVICE.format(
                where=place.where,
                verb=place.verb,
                table=step.table,
                statement=statement,
                line=step.line,
            )
        )
    assert not told, "".join(told)
    assert not ({*PAGES, *WHOLE} - used), (
        f"{sorted({*PAGES, *WHOLE} - used)}: these exceptions are needed no more: take them out"
    )


def test_a_page_of_a_history_follows_an_index_from_its_key_to_its_limit(db: Database) -> None:
    """Either way round, and never past rows that it does not return."""
    found = [each for each in places() if each.verb.startswith("history.")]
    pages = [
        text
        for each in found
        for text in each.texts
        if each.verb.removeprefix("history.") in ("_copies", "_orders", "_trades", "_funding")
    ]
    assert len(pages) == 8
    for statement in pages:
        assert is_page(db, statement), statement
        assert "OFFSET" not in statement
        plan = list(_lines(apsw.ext.query_info(db, statement, explain_query_plan=True).query_plan))
        assert any("account_id=? AND " in each for each in plan), plan
        assert not [each for each in plan if each.startswith("SCAN")], plan


OF_ONE_PERSON: Final = {
    "suspending.switches_of_the_suspended": "",
    "suspending.switches_of_taken_roles": "",
    "following.accounts_of": "",
    "following.former_accounts_of": "",
    "following.agreements_of": "",
    "funding.funding_by_day": "",
    "funding.funding_of_strategy": "",
    "results.equity_points_apart": "",
    "results.first_equity_at": "",
    "touching.followed": " AND account.id = ?",
    "touching.held": " AND account.id = ?",
}
"""What pages of one person or account ask; of the texts of a verb those with this part."""


def test_a_page_of_one_person_does_not_read_everybody(db: Database) -> None:
    """A table as large as the place is read there by its keys, too."""
    large = frozenset(tables(db)) - {"suspension", "master", "strategy"}
    for verb, part in OF_ONE_PERSON.items():
        texts = [text for each in places() if each.verb == verb for text in each.texts]
        chosen = [text for text in texts if part in text]
        assert chosen, verb
        for text in chosen:
            scanned = [each.line for each in steps(db, text, large) if not each.is_search]
            assert not scanned, (verb, scanned, text)


def test_exceptions_and_names_are_of_this_ledger(db: Database) -> None:
    indexes = {
        row[0]: row[1]
        for row in db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index'")
    }
    assert not set(PAGES) & set(WHOLE)
    assert set(tables(db)) >= AS_LARGE_AS_THE_PLACE
    for each in ONLY_WHAT_IS_OPEN:
        assert " WHERE " in indexes[each], f"{each} is not a partial index"


MADE: Final = """
from engine.ledger.query import fetch_all, fetch_one

_SQL = "SELECT 1 FROM {}"


def literal(db, loud):
    return fetch_one(db, "SELECT 1" + (" WHERE 1" if loud else ""))


def constant(db):
    where = " WHERE 2"
    return db.execute(_SQL.format("run") + where)


def handed_on(db, table, columns):
    which = " AND ".join(f"{each} = ?" for each in columns)
    return fetch_all(db, f"SELECT 1 FROM {table} WHERE {which}")


def hands_on(db):
    handed_on(db, "leg", ("copy_id",))
    handed_on(db, "copy", ("id", "code"))
    for kind, sql in (("a", "SELECT 3"), ("b", "SELECT 4")):
        fetch_all(db, sql)


def from_outside(db, sql):
    return fetch_one(db, sql)


def by_another_name(db):
    run = db.execute
    return run("SELECT * FROM leg")
"""


def test_texts_are_worked_out_from_the_source_and_what_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "made.py").write_text(MADE, encoding="utf-8")
    module = ModuleType("made")
    exec(compile(MADE, "made.py", "exec"), vars(module))
    assert {each.verb: each.texts for each in places_in(tmp_path / "made.py", module)} == {
        "made.literal": ("SELECT 1 WHERE 1", "SELECT 1"),
        "made.constant": ("SELECT 1 FROM run WHERE 2",),
        "made.handed_on": (
            "SELECT 1 FROM leg WHERE copy_id = ?",
            "SELECT 1 FROM copy WHERE id = ? AND code = ?",
        ),
        "made.hands_on": ("SELECT 3", "SELECT 4"),
        "made.from_outside": (),
        "made.by_another_name": (),
    }


@pytest.mark.parametrize(
    ("statement", "is_told"),
    [
        (
            "SELECT 1 FROM leg WHERE account_id = ? AND symbol = ? AND kind = 'exit'",
            True,
        ),  # every leg there ever was
        (
            "SELECT count(*) FROM attempt WHERE account_id = ? AND state = 'unknown'",
            True,
        ),  # an account's whole past
        (
            "SELECT max(ended_us) FROM attempt AS good WHERE good.account_id = ? AND good.kind = "
            "'entry'",
            True,
        ),
        ("SELECT 1 FROM copy WHERE account_id IN (SELECT account_id FROM holding)", True),
        ("UPDATE signal SET seq = 0 WHERE symbol = ?", True),
        ("DELETE FROM event AS late WHERE late.at_us < ?", True),
        ("SELECT 1 FROM attempt WHERE account_id = ? AND ended_us < ?", True),  # all that is old
        ("SELECT 1 FROM leg WHERE copy_id = ? AND kind = 'exit'", False),
        ("SELECT 1 FROM attempt WHERE account_id = ? AND ended_us >= ?", False),
        ("SELECT DISTINCT account_id FROM leg WHERE state = 'new'", False),
        ("SELECT max(number) FROM signal", False),
        ("SELECT 1 FROM subscription WHERE policy = ?", False),  # as many as there are followers
    ],
)
def test_a_plan_that_follows_history_is_told(db: Database, statement: str, is_told: bool) -> None:
    assert bool(list(unbounded(db, [Place("here:1", "here.verb", (statement,))]))) is is_told
