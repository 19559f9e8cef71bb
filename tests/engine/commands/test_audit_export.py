"""The export of the audit, and docs/verify_audit.py, with which an auditor verifies it without
RexAlgo: it takes the engine's own export and refuses whatever was changed in it.
"""

import importlib.util
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from engine.actors.clock import SystemClock
from engine.commands import Commands
from engine.domain.errors import InvalidValue
from engine.keys.keyring import Keyring
from engine.keys.vault import new_root_key
from engine.ledger import Ledger
from engine.ledger.audit import append_audit
from engine.ports.secret import Secret
from engine.settings.config import load_config
from engine.settings.secrets import SecretPlace
from tests.engine.command_context import command_context

SCRIPT: Final = Path(__file__).resolve().parents[3] / "docs" / "verify_audit.py"
NOT_VERIFIED: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
SEALS: Final = "0:" + b"rexalgo/audit/v1".hex()
_spec = importlib.util.spec_from_file_location("verify_audit", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
script: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)


class Place:
    """A ledger with an audit, and what its commands answer."""

    def __init__(self, folder: Path) -> None:
        file, key = folder / "keys", new_root_key()
        file.write_text(key + "\n")
        clock, self.ledger = SystemClock(), Ledger.in_memory()
        self.keyring = Keyring(self.ledger, clock, SecretPlace(str(file), file), Secret(key))
        self.context = command_context(load_config(folder, {}), self.ledger, clock, self.keyring)
        self._commands = Commands(self.context)

    async def ask(self, command: str, **params: object) -> dict[str, Any]:
        return await self._commands.run(command, params)

    async def append(self, count: int) -> None:
        key = await self.context.audit_key()
        for number in range(count):
            data: dict[str, object] = {"before": {"leverage": "3"}, "now": {"leverage": "5"}}
            await self.ledger.write(
                lambda db, n=number, data=data: append_audit(  # type: ignore[misc]
                    db, key, f"Ada, “{n}”\n", "strategy_changed", "trend", data, NOW, "203.0.113.9"
                )
            )

    async def export(self) -> tuple[bytes, dict[str, str], str]:
        """Return an export, the keys, and its end."""
        lines, end, number = list[str](), "", 0
        while True:
            part = await self.ask("audit_export", after=number, end=end)
            lines += [json.dumps(row) for row in part["rows"]]
            if "sealed" in part:
                lines.append(json.dumps(part["sealed"]))
                break
            end, number = part["end"], part["rows"][-1]["number"]
        kids = sorted({json.loads(each)["kid"] for each in lines})
        keys: dict[str, str] = (await self.ask("audit_keys", kids=kids, by="ada"))["keys"]
        return "\n".join(lines).encode() + b"\n", keys, str(part["end"])


NOW: Final = datetime(2026, 11, 29, 10, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    yield made
    await made.ledger.aclose()


def verified(export: bytes, keys: dict[str, str], known: str = "") -> str:
    return str(script.verify(io.BytesIO(export), keys, known))


async def test_an_export_of_several_parts_verifies_and_names_its_end(place: Place) -> None:
    await place.append(1_200)
    export, keys, end = await place.export()
    assert verified(export, keys) == end
    assert end.startswith("1200:")
    rows = [json.loads(each) for each in export.splitlines()]
    assert len(rows) == 1_201
    assert (rows[4]["by"], rows[4]["from"], rows[4]["at"]) == (
        "Ada, “4”\n",
        "203.0.113.9",
        "2026-11-29T10:00:00.123456+00:00",
    )
    assert json.loads(rows[4]["data"]) == {"before": {"leverage": "3"}, "now": {"leverage": "5"}}
    later, keys, _ = await place.export()
    assert verified(later, keys, known=end)
    taken = json.loads(later.splitlines()[-2])
    assert (taken["act"], taken["by"], taken["from"]) == ("audit_keys_exported", "ada", "shell")


async def test_an_empty_audit_and_one_over_two_root_keys_verify(place: Place) -> None:
    export, keys, end = await place.export()
    assert verified(export, keys) == end == SEALS
    await place.append(2)
    await place.ask("key_rotate")
    await place.append(2)
    export, keys, end = await place.export()
    assert len(keys) == 2
    assert verified(export, keys) == end


def _edit(name: str, value: object) -> Callable[[list[bytes]], list[bytes]]:
    def change(lines: list[bytes]) -> list[bytes]:
        row = json.loads(lines[2])
        return [*lines[:2], json.dumps({**row, name: value}).encode() + b"\n", *lines[3:]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(_edit(name, "x") for name in ("by", "from", "act", "subject", "data", "kid", "seal")),
        _edit("at", "2026-11-29T10:00:00.123457+00:00"),
        _edit("number", 2),
        _edit("note", "not sealed"),
        _edit("by", None),
        lambda lines: [*lines[:2], *lines[3:]],  # deleted
        lambda lines: lines[1:],
        lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],  # reordered
        lambda lines: [*lines[:3], lines[2], *lines[3:]],  # repeated
        lambda lines: lines[:-1],  # cut: no end
        lambda lines: lines[:-2],
        lambda lines: [*lines[:-2], lines[-1]],  # cut, and the end kept
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines[:-1], lines[-2], lines[-1]],
        lambda lines: [lines[-1]],
        lambda lines: [],
        lambda lines: [b"[" * 100_000, *lines],
        lambda lines: [b"9" * 20_000_000, *lines],
        lambda lines: [b"\xff\xfe\x00" * 1_000, *lines],
        lambda lines: [b'{"number": 1e400}\n', *lines],
        lambda lines: [b"null\n", *lines],
    ],
)
async def test_whatever_is_changed_in_an_export_shows(
    change: Callable[[list[bytes]], list[bytes]], place: Place
) -> None:
    await place.append(6)
    export, keys, _ = await place.export()
    with pytest.raises((*NOT_VERIFIED, RecursionError)):
        verified(b"".join(change(export.splitlines(keepends=True))), keys)


async def test_an_old_end_in_place_of_the_new_one_shows_by_an_end_that_is_known(
    place: Place,
) -> None:
    await place.append(3)
    old, keys, _ = await place.export()
    await place.append(3)
    new, keys, known = await place.export()
    old_end, new_lines = old.splitlines(keepends=True)[-1], new.splitlines(keepends=True)
    with pytest.raises(ValueError, match="does not follow"):
        verified(b"".join([*new_lines[:-1], old_end]), keys)
    assert verified(old, keys)  # a whole export of an earlier time is one
    with pytest.raises(ValueError, match="is no row of it"):
        verified(old, keys, known)


async def test_every_cut_and_every_changed_byte_shows_or_changes_nothing(place: Place) -> None:
    await place.append(3)
    export, keys, end = await place.export()
    for at in range(len(export)):
        with pytest.raises(NOT_VERIFIED):
            verified(export[:at], keys)
    random = Random(1)
    rows = [json.loads(each) for each in export.splitlines()]
    for at in range(len(export)):
        changed = bytearray(export)
        changed[at] = random.randrange(256)
        try:
            assert verified(bytes(changed), keys) == end
        except NOT_VERIFIED:
            continue
        # the same value in another form, such as a seal in capitals or another blank
        same = [json.loads(each) for each in bytes(changed).splitlines()]
        assert str(same).lower() == str(rows).lower(), (at, changed)


async def test_other_keys_and_keys_that_are_none_verify_nothing(place: Place) -> None:
    await place.append(3)
    export, keys, _ = await place.export()
    for wrong in ({}, dict.fromkeys(keys, "00" * 32), dict.fromkeys(keys, "zz"), [], None, 7):
        with pytest.raises(NOT_VERIFIED):
            verified(export, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("params", [{"after": -1}, {"after": "1"}, {"after": True}, {"end": "x"}])
async def test_a_part_that_cannot_be_is_refused(params: dict[str, object], place: Place) -> None:
    with pytest.raises(InvalidValue):
        await place.ask("audit_export", **params)
    with pytest.raises(InvalidValue):
        await place.ask("audit_keys", kids="all", by="ada")
