"""Every statement of the ledger is one that PostgreSQL speaks too, and means the same there.

The statements come from the source (``statements``), so none is missed. A real server prepares
each. Then a whole place is run on SQLite, and its writer's statements are run again on the server
with the same values: every table is equal afterwards, and so is every answer.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

import engine.ledger
from engine.domain.person import Role
from engine.ledger.database import open_reader
from tests.engine.ledger.postgres import Postgres, required_programs, running
from tests.engine.ledger.statements import places
from tests.web.web_place import PASSWORD, web_place

OF_THE_FILE: Final = ("lineage.read_end", "lineage.knows_marks")
"""They read how far SQLite has counted and which tables it has: another store answers in its way."""

BOTH_TAKE_BUT_MEAN_DIFFERENTLY: Final = {
    r"ON CONFLICT DO": "a conflict names its columns, so that another one is not swallowed",
    r"\browid\b": "no order relies on where SQLite keeps a row",
    r"\bLIKE\b": "case does not count in SQLite; compare a range, or use contains()",
    r"\bLIMIT -": "PostgreSQL takes no negative limit; leave the words out",
}

OF_SQLITE: Final = re.compile(r"(?i)PRAGMA|.*sqlite_(sequence|schema)")
OF_A_TRANSACTION: Final = re.compile(r"BEGIN|COMMIT|SAVEPOINT|RELEASE|ROLLBACK")
OF_THIS_TEST: Final = {
    "SELECT count(*) FROM copy WHERE code IS NULL",
    "SELECT id FROM endpoint WHERE strategy_id = ? AND token_hash IS NULL",
    "SELECT id FROM strategy WHERE name = ?",
    "SELECT share FROM holding",
}

TERMS: Final = {
    "mode": "live",
    "sizing": "fixed_notional",
    "size": "130",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}
PAGES_OF_A_FOLLOWER: Final = (
    *("/home", "/signals", "/signals?family=filled&from=2026-01-01", "/orders", "/positions"),
    *("/orders?from=2026-01-01&to=2099-01-01&sort=oldest", "/trades", "/funding?sort=oldest"),
    *("/orders.csv", "/signals.csv", "/trades.csv?from=2026-01-01", "/funding.csv", "/calendar"),
    *("/performance", "/performance.csv", "/performance/funding.csv", "/notifications"),
    *("/security", "/accounts", "/accounts/bob", "/strategies", "/strategies/{strategy}"),
    *("/strategies/{strategy}/follow", "/accounts/bob/positions/BTCUSDT"),
)
PAGES_OF_A_MASTER: Final = (
    *("/studio", "/studio/debugger", "/studio/strategies/{strategy}", "/strategies"),
    *("/studio/strategies/{strategy}/signals", "/studio/strategies/{strategy}/deliveries"),
)
PAGES_OF_AN_OPERATOR: Final = (
    *("/operate", "/operate/people?q=b", "/operate/switches", "/operate/audit?q=bob"),
    *("/operate/system", "/operate/unknowns", "/operate/webhooks", "/operate/alerts"),
    "/operate/accounts/bob",
)

_open_database: Final = engine.ledger.open_database
Said = list[tuple[str, Sequence[object]]]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running(required_programs()) as server:
        yield server


def statements() -> dict[str, str]:
    """Return every statement of the ledger with the place that has it."""
    return {
        text: place.where
        for place in places()
        for text in place.texts
        if place.verb not in OF_THE_FILE or "sqlite_" not in text
    }


def test_no_statement_has_words_that_the_two_databases_take_differently() -> None:
    told = [
        f"{where}: {why}:\n    {text}"
        for text, where in statements().items()
        for words, why in BOTH_TAKE_BUT_MEAN_DIFFERENTLY.items()
        if re.search(words, text)
    ]
    assert not told, "\n".join(told)


def test_postgres_prepares_every_statement(postgres: Postgres) -> None:
    found = statements()
    assert len(found) > 400
    refused = postgres.refused(list(found), postgres.fresh("prepared"))
    assert not refused, "\n".join(
        f"{found[text]}: PostgreSQL refuses it: {message}\n    {text}\nWrite it in the language of "
        "engine/ledger/query.py."
        for text, message in refused.items()
    )


def test_what_postgres_does_not_speak_is_told(postgres: Postgres) -> None:
    foreign = [
        "SELECT 1 FROM fill WHERE NOT folded",
        "SELECT 1 FROM person WHERE ? IS NULL OR id = ?",
        "INSERT OR IGNORE INTO still VALUES (?, ?, ?)",
        "UPDATE copy SET code = ? WHERE code IS NOT ?",
    ]
    spoken = "SELECT '?' FROM leg INDEXED BY leg_new WHERE account_id = ?2 AND number = ?1"
    refused = postgres.refused([*foreign, spoken], postgres.fresh("told"))
    assert list(refused) == foreign


class Heard:
    """What a place's two connections are asked, in order, with the values."""

    def __init__(self) -> None:
        self.written: Said = []
        self.read: dict[str, Sequence[object]] = {}

    def writer(self, path: str, *, may_migrate: bool = True) -> apsw.Connection:
        """Open the writing connection and listen to it."""
        db = _open_database(path, may_migrate=may_migrate)
        db.exec_trace = self._note_written
        return db

    def reader(self, path: str) -> apsw.Connection:
        """Open the reading connection and listen to it."""
        db = open_reader(path)
        db.exec_trace = self._note_read
        return db

    def _note_written(self, cursor: apsw.Cursor, sql: str, values: Any) -> bool:
        self.written.append((sql, tuple(values or ())))
        return True

    def _note_read(self, cursor: apsw.Cursor, sql: str, values: Any) -> bool:
        self.read[sql] = tuple(values or ())
        return True


async def live(folder: Path) -> None:
    """Run a place: people, a strategy, followers, entries, a reduce, a reverse, a close, everybody's
    pages, a pause, a sign-in that fails, an agreement left and a switch.
    """
    async with web_place(folder) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master, about="Ünïcödé ' quotes \\ and 100 % of it")
        followers = []
        for name in ("bob", "eve"):
            followers.append(await place.person(name, balance="1000"))
            await followers[-1].get(f"/strategies/{strategy}/follow")
            await followers[-1].post(f"/strategies/{strategy}/follow", do="agree", **TERMS)
            await followers[-1].post(f"/strategies/{strategy}/follow", factor=PASSWORD)
        db = place.context.ledger.db

        def shares() -> list[str]:
            return [row[0] for row in db.execute("SELECT share FROM holding").fetchall()]

        entry = {"symbol": "BTCUSDT", "side": "LONG", "order_type": "MARKET", "leverage": "5"}
        for action, body, left in (
            ("open", entry, "0.002"),
            ("add", entry, "0.004"),
            (
                "reduce",
                {"symbol": "BTCUSDT", "size": {"mode": "fraction", "fraction": "0.5"}},
                "0.002",
            ),
            ("reverse", {**entry, "side": "SHORT"}, "0.002"),
            ("close", {"symbol": "BTCUSDT"}, ""),
        ):
            await place.signal(strategy, action=action, **body)
            await place.until(lambda left=left: shares() == ([left] * 2 if left else []))  # type: ignore[misc]
        ops = await place.person("olga", Role.OPERATOR)
        for browser, paths in (
            (followers[0], PAGES_OF_A_FOLLOWER),
            (master, PAGES_OF_A_MASTER),
            (ops, PAGES_OF_AN_OPERATOR),
        ):
            for path in paths:
                await browser.get(path.format(strategy=strategy))
        await followers[0].get("/accounts/bob")
        await followers[0].post("/accounts/bob/pause")
        await followers[0].post("/accounts/bob/resume")
        await followers[0].post("/sign-out")
        await followers[0].post("/sign-in", name="bob", password="another one", status=422)
        await followers[0].post("/sign-in", name="bob", password=PASSWORD)
        await followers[1].get(f"/strategies/{strategy}")
        await followers[1].post(f"/strategies/{strategy}/leave", account="eve")
        await ops.get("/operate/switches")
        await ops.post("/operate/switches/on", level="entries", scope="exchange", target="paper")
        await place.until(
            lambda: db.execute("SELECT count(*) FROM copy WHERE code IS NULL").fetchone() == (0,)
        )


def of_any_length(statement: str) -> str:
    """Return a statement with each list of parameters as long as any other."""
    return re.sub(r"\((NULL|\?(, \?)*)\)", "(?)", statement)


def tables(db: apsw.Connection) -> list[str]:
    return [
        row[0]
        for row in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    ]


def rows_in(db: apsw.Connection, table: str) -> list[str]:
    cursor = db.execute(f"SELECT * FROM {table}")
    rows = cursor.fetchall()
    names = [row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    return sorted(
        json.dumps(
            {
                name: f"\\x{value.hex()}" if isinstance(value, bytes) else value
                for name, value in zip(names, row, strict=True)
            },
            sort_keys=True,
        )
        for row in rows
    )


def rows_of(postgres: Postgres, database: str, table: str) -> list[str]:
    printed = postgres.run(f"SELECT row_to_json({table}) FROM {table};", database)
    return sorted(json.dumps(json.loads(each), sort_keys=True) for each in printed.splitlines())


def as_text(value: object) -> str | None:
    return (
        f"\\x{value.hex()}" if isinstance(value, bytes) else None if value is None else str(value)
    )


def in_order(sql: str, rows: list[tuple[str | None, ...]]) -> list[tuple[str | None, ...]]:
    """Return rows in an order of their own if the statement asks for none; yes and no are 1 and 0 in
    SQLite.
    """
    plain = [tuple({"t": "1", "f": "0"}.get(each or "", each) for each in row) for row in rows]
    return plain if re.search(r" ORDER BY [^)]*$", sql) else sorted(plain, key=repr)


async def test_a_place_is_the_same_on_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    heard = Heard()
    monkeypatch.setattr(engine.ledger, "open_database", heard.writer)
    monkeypatch.setattr(engine.ledger, "open_reader", heard.reader)
    await live(tmp_path)
    told = {sql for sql, _ in heard.written} | set(heard.read)
    found = {of_any_length(each) for each in statements()}
    assert len(told) > 200
    unseen = {
        each
        for each in told - OF_THIS_TEST
        if not (
            of_any_length(each) in found or OF_SQLITE.match(each) or OF_A_TRANSACTION.match(each)
        )
    }
    assert not unseen, "\n".join(sorted(unseen))
    database = postgres.fresh("replayed")
    postgres.replay([each for each in heard.written if not OF_SQLITE.match(each[0])], database)
    db = open_reader(str(tmp_path / "data" / "ledger.sqlite3"))
    for table in tables(db):
        assert rows_of(postgres, database, table) == rows_in(db, table), table
    asked = [each for each in heard.read.items() if not OF_SQLITE.match(each[0])]
    for (sql, values), answer in zip(asked, postgres.answers(asked, database), strict=True):
        here = [tuple(map(as_text, row)) for row in db.execute(sql, tuple(values)).fetchall()]
        assert in_order(sql, answer) == in_order(sql, here), sql
    db.close()
