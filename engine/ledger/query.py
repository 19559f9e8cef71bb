"""Query the database: rows as plain tuples, whose columns the statement at the call names.

Statements are written in the language that SQLite (3.51) and PostgreSQL (15) both speak, so that the
ledger can move to a server without a second text of any verb. What differs is the store's: opening,
transactions, backups, and the spelling of two things that a store translates in the text. A parameter
is ``?`` or ``?1``; ``INDEXED BY`` names the index that SQLite must take.

- Text compares by bytes.
- A conflict names its columns: ``ON CONFLICT (id) DO NOTHING``. A column of the old row is
  ``table.column``.
- New ids come from ``RETURNING``, numbers of changed rows from ``run``.
- A flag is an integer that is compared: ``folded = 0``. ``IS NOT ?`` is ``IS DISTINCT FROM ?``.
- A parameter has a type: next to a column, or ``CAST(? AS TEXT)``. A condition that may be absent is
  left out of the text.
- A list of values is ``in_list``, a text inside another one ``contains``. JSON is not searched:
  what a statement asks for is a column.
- No order relies on ``rowid`` or on where NULL sorts.
"""

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Protocol, cast

Row = tuple[Any, ...]


class Rows(Protocol):
    """The rows that a statement returned, to be taken once."""

    def fetchone(self) -> Any:
        """Return the next row, or None if there is none."""
        ...

    def fetchall(self) -> Any:
        """Return all remaining rows as a list."""
        ...


class Database(Protocol):
    """The connection that verbs run on; other folders name this type only to pass it on."""

    def execute(self, sql: str, values: Any = ..., /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, sql: str, rows: Iterable[Any], /) -> Rows:
        """Run one statement once for each row of values."""
        ...

    def changes(self) -> int:
        """Return how many rows the last INSERT, UPDATE or DELETE changed; verbs ask ``run``."""
        ...


def fetch_one(db: Database, sql: str, values: Sequence[object] = ()) -> Row | None:
    """Return the first row, or None if there is none."""
    return cast("Row | None", db.execute(sql, tuple(values)).fetchone())


def fetch_all(db: Database, sql: str, values: Sequence[object] = ()) -> list[Row]:
    """Return every row."""
    return cast("list[Row]", db.execute(sql, tuple(values)).fetchall())


def fetch_each(db: Database, sql: str, values: Sequence[object] = ()) -> Iterator[Row]:
    """Yield the rows one by one, so that no more are read than are asked for."""
    rows = db.execute(sql, tuple(values))
    while (row := rows.fetchone()) is not None:
        yield row


def run(db: Database, sql: str, values: Sequence[object] = ()) -> int:
    """Run an INSERT, UPDATE or DELETE; return how many rows it changed."""
    db.execute(sql, tuple(values))
    return db.changes()


def insert(db: Database, sql: str, values: Sequence[object] = ()) -> int:
    """Run an INSERT that ends with ``RETURNING`` and its number; return that number."""
    [(number,)] = db.execute(sql, tuple(values)).fetchall()
    return int(number)


def in_list(values: Sized) -> str:
    """Return what follows ``IN`` for values that are given as parameters; an empty list contains
    nothing. Not for ``NOT IN``.
    """
    return f"({', '.join('?' * len(values)) or 'NULL'})"


def contains(column: str) -> str:
    """Return the condition that a column contains a parameter, which must not be empty; case
    counts.
    """
    return f"replace({column}, ?, '') != {column}"
