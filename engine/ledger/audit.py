"""The audit: one row for each change of money, keys, roles, limits and switches that a person made;
append-only.

Each row's seal is a keyed BLAKE2b over the previous seal and the row's own contents, so that a row
that was changed, removed or inserted later shows. Triggers refuse UPDATE and DELETE; the seal
guards against somebody who has the file and bypasses them. The end of the chain cannot prove that
nothing was cut off after it: so each run writes its end (``NUMBER:SEAL``) to the log, and
verification accepts one.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.domain.errors import InvalidValue
from engine.ledger.codec import dump, from_us, to_us
from engine.ledger.locking import Held, lock
from engine.ledger.query import Database, Row, contains, fetch_all, fetch_one, in_list

_END: Final = re.compile(r"([0-9]{1,15}):([0-9a-f]{32,64})")
SHELL: Final = "shell"
"""The origin of a command from the operator's shell on this machine. Rows from before 0.2 have an
empty origin.
"""
VERIFIED_AT_ONCE: Final = 500
_FIRST: Final = b"rexalgo/audit/v1"
_COLUMNS: Final = "number, at_us, by, address, act, subject, data, kid, seal"


@dataclass(frozen=True, slots=True)
class AuditKey:
    """The key that seals new rows, and its root key's kid."""

    kid: str
    key: bytes


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One audit row: who did what to whom, from where; ``data`` is JSON text of what changed, never
    a secret.
    """

    number: int
    at: datetime
    by: str
    address: str
    act: str
    subject: str
    data: str


@dataclass(frozen=True, slots=True)
class AuditProof:
    """The result of a verification: ``broken_at`` is the first row that does not fit, None if all
    do.
    """

    rows: int
    last_seal: str
    broken_at: int | None


def append_audit(
    db: Database,
    key: AuditKey,
    by: str,
    act: str,
    subject: str,
    data: Mapping[str, object],
    at: datetime,
    address: str,
) -> None:
    """Append a row within the caller's transaction, which is that of the change itself.

    ``address`` is the origin: a browser's client address, or ``SHELL``.
    """
    lock(db, Held.AUDIT)
    before = fetch_one(
        db, "SELECT number, seal FROM audit WHERE number = (SELECT max(number) FROM audit)"
    )
    number, last = (0, _FIRST) if before is None else (int(before[0]), bytes(before[1]))
    words: Row = (number + 1, to_us(at), by, address, act, subject, dump(dict(data)), key.kid)
    db.execute(
        f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*words, _seal(key.key, last, words)),
    )


def _seal(key: bytes, before: bytes, words: Row) -> bytes:
    made = hashlib.blake2b(before, key=key, digest_size=32)
    for each in words:
        part = str(each).encode()
        made.update(len(part).to_bytes(8, "big") + part)
    return made.digest()


@dataclass(frozen=True, slots=True)
class AuditEnd:
    """Where the chain ended at some time; ``seal`` is hexadecimal."""

    number: int
    seal: str

    def __str__(self) -> str:
        return f"{self.number}:{self.seal}"


def parse_audit_end(text: str) -> AuditEnd:
    """Read ``NUMBER:SEAL`` as the log has it; raises InvalidValue."""
    matched = _END.fullmatch(text.strip())
    if matched is None:
        raise InvalidValue(
            "known", "NUMBER:SEAL as the log of a run or an earlier verifying told it", text
        )
    return AuditEnd(int(matched[1]), matched[2])


def audit_end(db: Database) -> AuditEnd:
    """Read where the chain ends now."""
    row = fetch_one(
        db, "SELECT number, seal FROM audit WHERE number = (SELECT max(number) FROM audit)"
    )
    return AuditEnd(0, _FIRST.hex()) if row is None else AuditEnd(int(row[0]), bytes(row[1]).hex())


def verify_audit(
    db: Database, key_of: Callable[[str], bytes], former_end: AuditEnd | None = None
) -> AuditProof:
    """Verify the whole chain, which must pass through ``former_end`` if one is given.

    ``key_of`` returns the audit key of a kid.
    """
    *_, proof = verified_so_far(db, key_of, former_end)
    return proof


def verified_so_far(
    db: Database, key_of: Callable[[str], bytes], former_end: AuditEnd | None = None
) -> Iterator[AuditProof]:
    """Verify the chain ``VERIFIED_AT_ONCE`` rows at a time, and yield what they prove with all before
    them. The last proof is that of ``verify_audit``.
    """
    last, count, is_end = _FIRST, 0, False
    while not is_end:
        rows = fetch_all(
            db,
            f"SELECT {_COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?",
            (count, VERIFIED_AT_ONCE),
        )
        is_end = len(rows) < VERIFIED_AT_ONCE
        for row in rows:
            count += 1
            *words, seal = row
            is_sealed = words[0] == count and hmac.compare_digest(
                _seal(key_of(words[7]), last, tuple(words)), bytes(seal)
            )
            last = bytes(seal) if is_sealed else last
            is_former = former_end is not None and count == former_end.number
            if not is_sealed or (is_former and AuditEnd(count, last.hex()) != former_end):
                yield AuditProof(count, last.hex(), count)
                return
        if not is_end:
            yield AuditProof(count, last.hex(), None)
    is_cut = former_end is not None and count < former_end.number
    yield AuditProof(count, last.hex(), count + 1 if is_cut else None)


@dataclass(frozen=True, slots=True)
class SealedRow:
    """An audit row with what its seal was made of: the kid of the key, and the seal in hexadecimal."""

    row: AuditRow
    kid: str
    seal: str


def sealed_rows(db: Database, after: int, until: int, limit: int) -> list[SealedRow]:
    """Read rows with their seals, oldest first: those behind row ``after``, up to row ``until``."""
    rows = fetch_all(
        db,
        f"SELECT {_COLUMNS} FROM audit WHERE number > ? AND number <= ? ORDER BY number LIMIT ?",
        (after, until, limit),
    )
    return [
        SealedRow(AuditRow(row[0], from_us(row[1]), *row[2:7]), row[7], bytes(row[8]).hex())
        for row in rows
    ]


def seal_export(key: AuditKey, end: AuditEnd, at: datetime) -> str:
    """Seal the end of an export made at a time, so that an export whose end was cut off or replaced
    shows.
    """
    last = bytes.fromhex(end.seal)
    return _seal(key.key, last, ("export", end.number, to_us(at), key.kid)).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which rows are read. ``search`` looks for a text in actor, act and subject, or takes a row whose
    act is one of ``said``; ``acts`` are the only acts; rows are of ``since`` or later, and before
    ``until``. Empty or None: no such condition.
    """

    search: str = ""
    said: Sequence[str] = ()
    acts: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None


def audit_rows(
    db: Database,
    limit: int,
    before: int | None = None,
    wanted: AuditFilter | None = None,
    after: int = 0,
) -> list[AuditRow]:
    """Read the newest rows between row ``after`` and row ``before``, newest first; what is not wanted
    is passed over.
    """
    wanted = wanted or AuditFilter()
    search, said, acts = wanted.search, wanted.said, wanted.acts
    times = [to_us(each) for each in (wanted.since, wanted.until) if each is not None]
    rows = fetch_all(
        db,
        "SELECT number, at_us, by, address, act, subject, data FROM audit WHERE number < ? AND number > ?"
        + (
            f" AND ({contains('by')} OR {contains('act')} OR {contains('subject')}"
            f" OR act IN {in_list(said)})"
            if search
            else ""
        )
        + (f" AND act IN {in_list(acts)}" if acts else "")
        + (" AND at_us >= ?" if wanted.since is not None else "")
        + (" AND at_us < ?" if wanted.until is not None else "")
        + " ORDER BY number DESC LIMIT ?",
        (
            2**62 if before is None else before,
            after,
            *([search] * 3 + [*said] if search else []),
            *acts,
            *times,
            limit,
        ),
    )
    return [AuditRow(row[0], from_us(row[1]), *row[2:]) for row in rows]
