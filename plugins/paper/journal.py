"""The venue's own record: an append-only file of JSON lines, each with a checksum, each durable
before it is acknowledged.

Callers that append at the same moment share one fsync: the first one waits for the disk and writes
everything that was added meanwhile. A line torn by a crash is cut off at open, because nobody got
an answer for it; any other damage stops the start. A failed write is undone by cutting the file to
its last good length. If the cut fails too, the outcome is uncertain, and the next write starts with
the cut. One process uses the file; the engine's folder lock ensures that.
"""

import json
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from plugins.paper.events import Record
from rexalgo import RexAlgoError, sync_folder

HEADER: Final[Record] = {"kind": "journal", "version": 1}
_MARK: Final = b',"sum":"'
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


class JournalDamaged(RexAlgoError):
    """Raised when the journal cannot be trusted.

    Restore the file from a backup, or move it away to start with new paper accounts.
    """


class JournalWriteFailed(RexAlgoError):
    """Raised when records were not written.

    ``taken_back`` says whether that is proven; otherwise they may be on the disk.
    """

    def __init__(self, text: str, taken_back: bool) -> None:
        super().__init__(text)
        self.taken_back = taken_back


@dataclass(slots=True)
class _Batch:
    lines: list[bytes] = field(default_factory=list)
    done: trio.Event = field(default_factory=trio.Event)
    failure: JournalWriteFailed | None = field(
        default_factory=lambda: JournalWriteFailed("the paper journal broke off", taken_back=False)
    )


class Journal:
    """An append-only file of durable records. ``inline`` writes on the event loop, because a
    virtual clock cannot wait for a thread.
    """

    def __init__(self, descriptor: int, size: int, inline: bool) -> None:
        self._descriptor = descriptor
        self._size = size
        self._inline = inline
        self._clean = True
        self._batch = _Batch()
        self._disk = trio.Lock()
        self._thread = trio.CapacityLimiter(1)

    @staticmethod
    def open(path: Path, *, inline: bool) -> "tuple[Journal, list[Record]]":
        """Open or create the file (mode 0600) and return it with its records. Cut off a torn end;
        raise JournalDamaged.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            records, good = _parse(path.read_bytes(), path)
            journal = Journal(descriptor, good, inline)
            journal._cut()
            if not records:
                journal._write(write_line(HEADER))
                sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return journal, records[1:]

    async def append(self, record: Record) -> None:
        """Return once the record is durable. Raise JournalWriteFailed. A started write cannot be
        cancelled.
        """
        with trio.CancelScope(shield=True):
            batch = self._batch
            batch.lines.append(write_line(record))
            if len(batch.lines) == 1:
                await self._lead(batch)
            else:
                await batch.done.wait()
        if batch.failure is not None:
            raise JournalWriteFailed(str(batch.failure), batch.failure.taken_back)

    def close(self) -> None:
        """Close the file. Every append must have returned."""
        os.close(self._descriptor)

    async def _lead(self, batch: _Batch) -> None:
        """Write the batch once the disk is free. Records appended until then join the batch."""
        async with self._disk:
            self._batch = _Batch()
            try:
                await self._flush(b"".join(batch.lines))
                batch.failure = None
            except JournalWriteFailed as failure:
                batch.failure = failure
            finally:
                batch.done.set()

    async def _flush(self, data: bytes) -> None:
        if self._inline:
            self._write(data)
        else:
            await trio.to_thread.run_sync(self._write, data, limiter=self._thread)

    def _write(self, data: bytes) -> None:
        try:
            if not self._clean:
                self._cut()
            self._clean = False
            _write_all(self._descriptor, data, self._size)
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._take_back(error) from error
        self._clean = True
        self._size += len(data)

    def _take_back(self, error: OSError) -> JournalWriteFailed:
        try:
            self._cut()
        except OSError as second:
            text = (
                f"the paper journal could not be written ({error.strerror}), nor cut back "
                f"({second.strerror})"
            )
            return JournalWriteFailed(text, taken_back=False)
        return JournalWriteFailed(
            f"the paper journal could not be written ({error.strerror}); nothing was recorded",
            taken_back=True,
        )

    def _cut(self) -> None:
        if os.fstat(self._descriptor).st_size != self._size:
            os.ftruncate(self._descriptor, self._size)
            os.fsync(self._descriptor)
        self._clean = True


def read_journal(path: str | Path) -> list[Record]:
    """Read every whole record of a journal without the header, also while the exchange runs. Raise
    JournalDamaged.

    Orders are the records with ``kind`` ``order``; events.py describes their fields. Changes
    nothing.
    """
    return _parse(Path(path).read_bytes(), Path(path))[0][1:]


def write_line(record: Record) -> bytes:
    """Return a record as one JSON line. Its last field is the CRC-32 of the text before it."""
    body = _ENCODER.encode(record).encode()[:-1]
    return b'%s%s%08x"}\n' % (body, _MARK, zlib.crc32(body))


def read_line(line: bytes) -> Record | None:
    """Return the record of a line without its newline, or None if it is incomplete or damaged."""
    body, mark, tail = line.rpartition(_MARK)
    if not mark or tail != b'%08x"}' % zlib.crc32(body):
        return None
    record: Record = json.loads(body + b"}")
    return record


def _parse(data: bytes, path: Path) -> tuple[list[Record], int]:
    """Return the records and the length of the good part.

    Only an end that a crash can leave is cut off: no newline, or zeros where pages never arrived.
    Any other bad line, or a good line after a bad one, is damage to acknowledged records and is
    refused.
    """
    records: list[Record] = []
    good, torn_at, at = 0, 0, 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        at += len(line)
        record = read_line(line[:-1]) if line.endswith(b"\n") else None
        if record is not None and not torn_at:
            records.append(record)
            good = at
        elif record is not None or (line.endswith(b"\n") and b"\0" not in line):
            raise _damaged(path, torn_at or number)
        else:
            torn_at = torn_at or number
    if records and records[0] != HEADER:
        raise JournalDamaged(
            f"{path} line 1: expected {HEADER}, found {str(records[0])[:80]}. This is not a "
            "journal of this version."
        )
    if not records and not write_line(HEADER).startswith(data.rstrip(b"\0")):
        raise _damaged(path, 1)
    return records, good


def _damaged(path: Path, number: int) -> JournalDamaged:
    return JournalDamaged(
        f"{path} line {number} is damaged, and not as a crash would leave it. "
        "Restore the file from a backup, or move it away to begin with new paper accounts."
    )


def _write_all(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written
