"""A writer whose thread ends by an error: nobody waits for ever, nothing more is taken, and what was
committed before stays.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
import trio
import trio.testing

from engine.ledger import Ledger, LedgerError
from engine.ledger.query import Database, fetch_all
from tests.engine.ledger.test_writer_order import held


def cannot_be_rolled_back(db: Database) -> None:
    """Raise after every statement about transactions was forbidden."""
    assert isinstance(db, apsw.Connection)
    db.authorizer = lambda operation, *_: (
        apsw.SQLITE_DENY if operation == apsw.SQLITE_TRANSACTION else apsw.SQLITE_OK
    )
    raise ValueError("the disk went away")


def ends_the_thread(db: Database) -> None:
    """Raise what is not an Exception."""
    raise SystemExit(1)


def insert(db: Database) -> None:
    db.execute("INSERT INTO note VALUES (1)")


@pytest.mark.parametrize("harm", [cannot_be_rolled_back, ends_the_thread])
async def test_nobody_waits_for_a_writer_that_ended(
    harm: Callable[[Database], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    await ledger.write(lambda db: db.execute("CREATE TABLE note (it)"))
    await ledger.write(insert)
    raised: list[str] = []

    async def try_to(work: Callable[[Database], None], first: bool) -> None:
        with pytest.raises(LedgerError) as told:
            await ledger.write(work, first=first)
        raised.append(str(told.value))

    with trio.fail_after(60), caplog.at_level(logging.CRITICAL):
        async with trio.open_nursery() as nursery, held(ledger):
            nursery.start_soon(try_to, harm, False)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(3):
                nursery.start_soon(try_to, insert, False)
            await trio.testing.wait_all_tasks_blocked()
        await try_to(insert, False)
        await try_to(insert, True)
    assert len(raised) == 6
    assert all(each.startswith("the writer of the ledger ended: ") for each in raised)
    assert ledger.unusable == raised[-1]
    assert not ledger.healthy
    assert "the writer of the ledger ended" in caplog.text
    with trio.fail_after(60):
        await ledger.aclose()
    again = Ledger.open(tmp_path / "ledger.sqlite3")
    assert fetch_all(again.db, "SELECT * FROM note") == [(1,)]
    assert again.unusable == ""
    await again.aclose()
