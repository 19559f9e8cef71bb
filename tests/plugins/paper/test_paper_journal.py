"""The journal: durable before acknowledged, one fsync for many, torn ends cut, damage refused,
failed writes taken back.
"""

import errno
import os
import stat

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from paper_world import PaperHouse, order

from plugins.paper.events import read_event, write_event
from plugins.paper.journal import (
    Journal,
    JournalDamaged,
    JournalWriteFailed,
    read_journal,
    read_line,
    write_line,
)
from plugins.paper.settings import PaperSettings
from plugins.paper.venue import Venue
from rexalgo import NotExecuted, OutcomeUnknown

RECORDS = st.dictionaries(
    st.text(max_size=9).filter(lambda key: key != "sum"),
    st.text() | st.booleans() | st.none(),
    min_size=1,
)


@given(RECORDS)
def test_a_line_reads_back_as_it_was_written(record):
    line = write_line(record)
    assert line.count(b"\n") == 1
    read = read_line(line[:-1])
    assert read == record


@given(RECORDS, st.data())
def test_any_changed_byte_is_noticed(record, data):
    line = bytearray(write_line(record)[:-1])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    assert read_line(bytes(line)) is None


async def busy_house(folder):
    """Trade until every kind of event is in the journal."""
    house = PaperHouse(folder)
    rich, poor = await house.connect(), await house.connect("paper:500:x", "acc2")
    await rich.place_order(order("BUY", "0.1", "rx1", stop="64000", target="70000"))
    await poor.place_order(order("SELL", "0.05", "rx1"))
    resting = await rich.place_order(order("BUY", "0.1", "rx2", limit="60000"))
    await rich.place_order(order("BUY", "0.1", "rx3", limit="61000"))
    await rich.cancel_order(resting.symbol, resting.exchange_order_id)
    fallen = house.after_crash(price_fixed={"BTCUSDT": "60500"})
    house.clock.forward(10)
    again = await fallen.connect()
    await again.fetch_account()
    return fallen


async def test_state_after_reopening_equals_state_before(tmp_path):
    house = await busy_house(tmp_path)
    kinds = {(each["kind"], each.get("reason", "")[:9]) for each in read_journal(house.journal)}
    assert {("order", "stop loss"), ("fill", ""), ("cancel", "cancelled"), ("account", "")} <= kinds
    accounts = house.adapter._shared[str(tmp_path)].venue.accounts
    reopened = house.after_crash()
    await reopened.connect()
    assert reopened.adapter._shared[str(tmp_path)].venue.accounts == accounts


async def test_every_record_reads_back_into_the_same_event(tmp_path):
    house = await busy_house(tmp_path)
    for record in read_journal(house.journal):
        assert write_event(read_event(record)) == record


async def test_order_lines_are_the_exchanges_own_record(tmp_path):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    report = await connection.place_order(order("BUY", "0.1"))
    (line,) = [each for each in read_journal(house.journal) if each["kind"] == "order"]
    wanted = {
        "client_order_id": "rx1",
        "exchange_order_id": report.exchange_order_id,
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "0.1",
        "reduce_only": False,
        "at": "2026-01-01T00:00:00+00:00",
    }
    assert wanted.items() <= line.items()
    assert line["account"]
    assert "paper-0001" not in house.journal.read_text()
    assert stat.S_IMODE(house.journal.stat().st_mode) == 0o600


@pytest.mark.parametrize("cut", [1, 2, 40, 300])
async def test_a_torn_end_is_cut_off_and_what_follows_is_readable(tmp_path, cut):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    await connection.place_order(order("BUY", "0.1", "rx1"))
    whole = house.journal.read_bytes()
    await connection.place_order(order("BUY", "0.1", "rx2"))
    data = house.journal.read_bytes()
    house.journal.write_bytes(data[:-cut])
    again = await house.after_crash().connect()
    assert house.journal.read_bytes() == whole
    await again.place_order(order("BUY", "0.2", "rx3"))
    assert [
        each["client_order_id"] for each in read_journal(house.journal) if each["kind"] == "order"
    ] == ["rx1", "rx3"]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (b'"balance":"10000"', b'"balance":"90000"', 2),
        (b'"quantity":"0.1"', b'"quantity":"0.9"', 3),
        (b'"balance":"10000"', b"\0" * 17, 2),
        (b'"version":1', b'"version":7', 1),
    ],
)
async def test_damage_to_what_was_acknowledged_refuses_to_start_and_changes_nothing(
    tmp_path, old, new, line
):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    await connection.place_order(order("BUY", "0.1"))
    broken = house.journal.read_bytes().replace(old, new)
    house.journal.write_bytes(broken)
    with pytest.raises(JournalDamaged, match=f"line {line} is damaged"):
        await house.after_crash().connect()
    with pytest.raises(JournalDamaged, match=f"line {line} is damaged"):
        await house.after_crash().adapter.market_data(house.context)
    assert house.journal.read_bytes() == broken


@pytest.mark.parametrize(
    "content", [write_line({"kind": "journal", "version": 9}), b"some notes\n", b"some notes"]
)
async def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "journal.jsonl").write_bytes(content)
    with pytest.raises(JournalDamaged, match="line 1"):
        await PaperHouse(tmp_path).connect()
    assert (tmp_path / "journal.jsonl").read_bytes() == content


@pytest.mark.parametrize("left", [b"", b'{"kind":"jour', b"\0" * 90])
async def test_a_crash_while_the_journal_was_made_is_forgotten(tmp_path, left):
    (tmp_path / "journal.jsonl").write_bytes(left)
    house = PaperHouse(tmp_path)
    await house.connect()
    assert [each["kind"] for each in read_journal(house.journal)] == ["account"]


@pytest.mark.parametrize("flush", ["inline", "thread"])
async def test_orders_at_the_same_moment_share_one_fsync(tmp_path, monkeypatch, flush):
    house = PaperHouse(tmp_path, {"flush": flush})
    connections = [await house.connect(f"paper-{number}") for number in range(100)]
    syncs = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (syncs.append(descriptor), fsync(descriptor))[1]
    )
    async with trio.open_nursery() as nursery:
        for connection in connections:
            nursery.start_soon(connection.place_order, order("BUY", "0.01"))
    assert len([each for each in read_journal(house.journal) if each["kind"] == "order"]) == 100
    assert len(syncs) <= 5


async def test_an_order_is_durable_before_it_is_acknowledged(tmp_path, monkeypatch):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    await connection.place_order(order("BUY", "0.1"))
    assert synced == [house.journal.stat().st_size]


class SickDisk:
    """A disk on which chosen system calls fail, as on a full or broken disk."""

    def __init__(self, monkeypatch, **failing):
        self.failing = failing
        for name in ("pwrite", "fsync", "ftruncate"):
            monkeypatch.setattr(os, name, self._call(name, getattr(os, name)))

    def _call(self, name, real):
        def call(descriptor, *arguments):
            if name == "pwrite" and self.failing.get(name) == "half":
                self.failing[name] = "full"
                return real(descriptor, bytes(arguments[0])[:20], arguments[1])
            if self.failing.get(name):
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, *arguments)

        return call


@pytest.mark.parametrize("failing", [{"pwrite": "full"}, {"pwrite": "half"}])
async def test_a_full_disk_means_not_executed_and_recovers_without_a_restart(
    tmp_path, monkeypatch, failing
):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    before = house.journal.read_bytes()
    disk = SickDisk(monkeypatch, **failing)
    with pytest.raises(NotExecuted, match="No space left"):
        await connection.place_order(order("BUY", "0.1"))
    assert house.journal.read_bytes() == before
    report = await connection.fetch_account()
    assert (report.positions, report.balance.available) == ((), 10_000)
    disk.failing.clear()
    await connection.place_order(order("BUY", "0.1"))
    assert [each["kind"] for each in read_journal(house.journal)] == ["account", "order"]


async def test_what_can_be_neither_synced_nor_taken_back_is_unknown(tmp_path, monkeypatch):
    house = PaperHouse(tmp_path)
    connection = await house.connect()
    disk = SickDisk(monkeypatch, fsync="no", ftruncate="no")
    with pytest.raises(OutcomeUnknown, match="nor cut back"):
        await connection.place_order(order("BUY", "0.1", "rx1"))
    disk.failing.clear()
    await connection.place_order(order("BUY", "0.1", "rx2"))
    assert [
        each["client_order_id"] for each in read_journal(house.journal) if each["kind"] == "order"
    ] == ["rx2"]


async def test_a_failed_write_fails_every_order_that_shared_it(tmp_path, monkeypatch):
    journal, _ = Journal.open(tmp_path / "journal.jsonl", inline=False)
    SickDisk(monkeypatch, pwrite="full")
    failed = []

    async def append(number):
        try:
            await journal.append({"kind": "x", "number": number})
        except JournalWriteFailed as failure:
            failed.append(failure.taken_back)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(append, number)
    assert failed == [True] * 20
    journal.close()


def test_a_record_of_a_later_version_is_refused(tmp_path):
    journal, _ = Journal.open(tmp_path / "journal.jsonl", inline=True)
    journal._write(
        write_line({"kind": "dividend", "account": "a", "at": "2026-01-01T00:00:00+00:00"})
    )
    journal.close()
    house = PaperHouse(tmp_path)
    with pytest.raises(JournalDamaged, match="dividend"):
        Venue.open(tmp_path, None, house.clock, PaperSettings.parse(house.settings))
