"""Query the database: rows as plain tuples, whose columns the statement at the call names."""

from collections.abc import Sequence
from typing import Any, cast

import apsw

Row = tuple[Any, ...]


def fetch_one(db: apsw.Connection, sql: str, values: Sequence[object] = ()) -> Row | None:
    """Return the first row, or None if there is none."""
    return cast("Row | None", db.execute(sql, cast(Any, tuple(values))).fetchone())


def fetch_all(db: apsw.Connection, sql: str, values: Sequence[object] = ()) -> list[Row]:
    """Return every row."""
    return cast("list[Row]", db.execute(sql, cast(Any, tuple(values))).fetchall())
