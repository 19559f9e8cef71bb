"""A write that breaks a rule of the database fails alone: other writes stay, and the ledger stays
healthy.
"""

from pathlib import Path

import apsw
import pytest
import trio

from engine.ledger import Database, DiskRefused, Ledger, LedgerError, WriteRefused

INSERT = "INSERT INTO channel (name, told) VALUES (?, ?)"
COUNT = "INSERT INTO channel (name, told) SELECT ?, count(*) FROM channel RETURNING told"


def channel(name: str, sequence: object = 1) -> object:
    return lambda db: db.execute(INSERT, (name, sequence)) and None


BROKEN_RULES = {
    "a unique key": channel("log"),
    "a column that must not be empty": channel("other", None),
    "a type": channel("other", "no number"),
    "a foreign key": lambda db: db.execute(
        "INSERT INTO suspension VALUES ('nobody', 0, 'ada', '')"
    ),
    "a trigger": lambda db: db.execute("DELETE FROM audit"),
    "a statement": lambda db: db.execute("INSERT INTO no_such_table VALUES (1)"),
}


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("rule", sorted(BROKEN_RULES))
async def test_one_broken_rule_fails_one_write_and_no_health(
    tmp_path: Path, rule: str, inline: bool
) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3", inline=inline)
    try:
        await ledger.write(channel("log"))
        await ledger.write(
            lambda db: db.execute(
                "INSERT INTO audit (at_us, by, address, act, subject, data, kid, seal) VALUES "
                "(0,'','','','','','',x'')"
            )
        )
        told: list[str] = []
        ledger.on_commit(lambda: told.append("committed"))
        with pytest.raises(WriteRefused) as refused:
            await ledger.write(BROKEN_RULES[rule])
        assert isinstance(refused.value.__cause__, apsw.Error)
        assert ledger.healthy
        assert not told
        await ledger.write(channel("after"))
        assert [row[0] for row in ledger.db.execute("SELECT name FROM channel ORDER BY name")] == [
            "after",
            "log",
        ]
    finally:
        await ledger.aclose()


async def test_neighbours_in_the_same_commit_are_written_once(tmp_path: Path) -> None:
    """If one is refused, the others of its group run again before anything is recorded."""
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    ran: list[str] = []
    returned: dict[str, int] = {}

    async def write(name: str) -> None:
        def add(db: Database) -> int:
            ran.append(name)
            return int(db.execute(COUNT, (name.removesuffix("-again"),)).fetchone()[0])

        if name.endswith("-again"):
            with pytest.raises(WriteRefused):
                await ledger.write(add)
        else:
            returned[name] = await ledger.write(add)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.write, lambda db: __import__("time").sleep(0.05))
            for name in ("a", "b", "a-again", "c", "b-again", "d"):
                nursery.start_soon(write, name)
                await trio.testing.wait_all_tasks_blocked()
        assert set(ran) == {"a", "b", "a-again", "c", "b-again", "d"}
        assert returned == {"a": 0, "b": 1, "c": 2, "d": 3}
        rows = ledger.db.execute("SELECT name, told FROM channel").fetchall()
        assert dict(rows) == returned
        assert ledger.healthy
    finally:
        await ledger.aclose()


@pytest.mark.parametrize(
    "error",
    [
        apsw.FullError("disk is full"),
        apsw.IOError("disk I/O error"),
        apsw.CorruptError("malformed"),
        apsw.ReadOnlyError("read-only"),
    ],
)
async def test_a_disk_that_fails_is_the_ledgers_health(error: apsw.Error, tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3", inline=True)

    def fail(db: Database) -> None:
        raise error

    try:
        with pytest.raises(LedgerError) as failed:
            await ledger.write(fail)
        assert not isinstance(failed.value, WriteRefused)
        assert isinstance(failed.value, DiskRefused) != isinstance(error, apsw.CorruptError)
        assert not ledger.healthy
        with pytest.raises(WriteRefused):
            await ledger.write(lambda db: db.execute("INSERT INTO no_such_table VALUES (1)"))
        assert not ledger.healthy, "a write that was refused proves nothing about the disk"
        await ledger.write(channel("log"))
        assert ledger.healthy
    finally:
        await ledger.aclose()
