"""A real PostgreSQL for the tests of the ledger's language: a server of their own, and the ledger's
tables, statements and values as that server spells them.

RexAlgo keeps its ledger in SQLite. Its statements are written in the language that both databases
speak, so that a place that outgrows one machine can move later. The server lives in a folder under
/tmp, listens on a socket in it alone, and is gone after the tests.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from engine.ledger.database import MEMORY, open_database

_MISSING: Final = "needs PostgreSQL 15 or newer, and none was found. Debian and Ubuntu: apt-get install postgresql"
_NULL, _FIELD, _ROW = "\x01", "\x02", "\x03"
"""What psql prints for NULL, between fields and between rows: signs that no value of a test has."""


def programs() -> Path | None:
    """Return the folder of the newest PostgreSQL of at least 15 on this machine, None without one."""
    debian = [
        (int(each.name), each / "bin")
        for each in Path("/usr/lib/postgresql").glob("[0-9]*")
        if each.name.isdigit() and int(each.name) >= 15 and (each / "bin" / "initdb").exists()
    ]
    if debian:
        return max(debian)[1]
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


def required_programs() -> Path:
    """Return the same; without one the test is skipped, or fails if ``REXALGO_POSTGRES=required``,
    as continuous integration sets it.
    """
    found = programs()
    if found is None and os.environ.get("REXALGO_POSTGRES") == "required":
        pytest.fail(_MISSING)
    if found is None:
        pytest.skip(_MISSING)
    return found


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server, asked through its own ``psql``."""

    programs: Path
    folder: Path

    def run(self, script: str, database: str = "postgres") -> str:
        """Run a script to its end and return what it printed; what PostgreSQL refuses is passed
        over, unless the script says ``ON_ERROR_STOP``.
        """
        command = [str(self.programs / "psql"), "-X", "-q", "-A", "-t", "-h", str(self.folder)]
        return _unprivileged([*command, "-U", "ledger", "-d", database, "-f", "-"], script)

    def fresh(self, name: str) -> str:
        """Create a database with the ledger's tables and nothing in them; return its name."""
        self.run(f"{_STOP}CREATE DATABASE {name};")
        self.run(_STOP + schema(), name)
        return name

    def refused(self, statements: Sequence[str], database: str) -> dict[str, str]:
        """Prepare statements; return those that PostgreSQL refuses, each with its message."""
        printed = self.run(
            "".join(
                f"PREPARE s{number} AS {spelled(statement)};\n"
                f"\\if :ERROR\n\\echo {number} :LAST_ERROR_MESSAGE\n\\endif\n"
                for number, statement in enumerate(statements)
            )
            + "\\echo all\n",
            database,
        )
        assert printed.endswith("all\n"), printed
        told = re.findall(r"^(\d+) (.*)$", printed, re.MULTILINE)
        return {statements[int(number)]: message for number, message in told}

    def replay(self, said: Sequence[tuple[str, Sequence[object]]], database: str) -> None:
        """Run statements with their values in order, transactions included; none may fail."""
        names: dict[str, str] = {}
        script = [_STOP]
        for sql, values in said:
            if re.match(r"(BEGIN|COMMIT|SAVEPOINT|RELEASE|ROLLBACK)\b", sql):
                script.append(f"{sql.replace(' IMMEDIATE', '')};\n")
                continue
            if sql not in names:
                names[sql] = f"s{len(names)}"
                script.append(f"PREPARE {names[sql]} AS {spelled(sql)};\n")
            script.append(f"EXECUTE {names[sql]}{_given(sql, values)};\n")
        self.run("\\o /dev/null\n" + "".join(script), database)

    def answers(
        self, asked: Sequence[tuple[str, Sequence[object]]], database: str
    ) -> list[list[tuple[str | None, ...]]]:
        """Run questions with their values; return the rows of each, every value as a text."""
        found = []
        for number, (sql, values) in enumerate(asked):
            found.append(
                f"PREPARE s{number} AS {spelled(sql)};\n\\qecho -n {_ROW * 2}\n"
                f"EXECUTE s{number}{_given(sql, values)};\n"
            )
        signs = f"\\pset null '{_NULL}'\n\\pset fieldsep '{_FIELD}'\n\\pset recordsep '{_ROW}'\n"
        printed = self.run(_STOP + signs + "".join(found), database)
        return [
            [
                tuple(None if each == _NULL else each for each in row.split(_FIELD))
                for row in answer.removesuffix("\n").split(_ROW)
                if answer.removesuffix("\n")
            ]
            for answer in printed.split(_ROW * 2)[1:]
        ]


_STOP: Final = "\\set ON_ERROR_STOP on\n"


def _unprivileged(command: list[str], given: str = "") -> str:
    """Run a program as somebody else if this is root, which PostgreSQL refuses; return its output."""
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=_somebody() if os.geteuid() == 0 else None,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr[-3000:]}"
    return done.stdout


def _somebody() -> str:
    try:
        return pwd.getpwnam("postgres").pw_name  # Debian's package adds it
    except KeyError:
        return "nobody"


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    """Run a fresh server whose text compares by bytes, as SQLite's does."""
    folder = Path(tempfile.mkdtemp(prefix="rexalgo-pg-", dir="/tmp"))
    data = folder / "data"
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _somebody())
        _unprivileged(
            [
                str(programs / "initdb"),
                *("-D", str(data), "-U", "ledger", "-A", "trust", "-E", "UTF8", "--locale=C"),
                "--no-sync",
            ]
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        control = [str(programs / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-w"]
        _unprivileged([*control, "-o", options, "start"])
        try:
            yield Postgres(programs, folder)
        finally:
            _unprivileged([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder)


def spelled(statement: str) -> str:
    """Return one statement of the ledger as PostgreSQL spells it.

    Only two things differ: a parameter is ``$1``, and no index is named, because PostgreSQL takes
    no hints.
    """
    text = re.sub(r" INDEXED BY \w+", "", statement)
    greatest = 0

    def number(found: re.Match[str]) -> str:
        nonlocal greatest
        chosen = int(found[1] or greatest + 1)
        greatest = max(greatest, chosen)
        return f"${chosen}"

    parts = re.split(r"('(?:[^']|'')*')", text)  # every second one is a text in quotes
    parts[::2] = [re.sub(r"\?(\d*)", number, part) for part in parts[::2]]
    return "".join(parts)


def _given(sql: str, values: Sequence[object]) -> str:
    """Return the values that SQLite was given as PostgreSQL spells them."""
    foreign = [each for each in values if type(each) not in (int, str, bytes, type(None))]
    assert not foreign, f"{foreign} have types that only SQLite takes: {sql}"
    return f"({', '.join(map(_literal, values))})" if values else ""


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    text = f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)
    return "'" + text.replace("'", "''") + "'"


_WORDS: Final = (
    (r"\bINTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bBLOB\b", "BYTEA"),
    (r"\)\s*STRICT(, WITHOUT ROWID)?$", ")"),
)
_APPEND_ONLY: Final = """
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$;
CREATE TRIGGER audit_keeps_rows BEFORE DELETE OR UPDATE ON audit FOR EACH ROW
    EXECUTE FUNCTION audit_is_append_only();
"""


def schema() -> str:
    """Return the ledger's newest tables as PostgreSQL spells them, by rule; triggers have a text of
    their own.
    """
    db = open_database(MEMORY)
    found = db.execute(
        "SELECT type, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        " ORDER BY type = 'index', rowid"
    ).fetchall()
    db.close()
    assert sum(kind == "trigger" for kind, _ in found) == 2, "a new trigger needs a text above"
    texts = [str(sql) for kind, sql in found if kind != "trigger"]
    for word, spelling in _WORDS:
        texts = [re.sub(word, spelling, each) for each in texts]
    return ";\n".join(texts) + ";\n" + _APPEND_ONLY
