"""``rexalgo halt flatten`` beside a server that holds the folder and says nothing, and beside a
wrong configuration.
"""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest
import trio
from click.testing import CliRunner, Result

import engine.control.client
from engine.control import SOCKET_NAME, FolderLock
from engine.ledger import Ledger
from engine.ledger.reports import switches
from engine.settings.config import Config, load_config, load_sound_part
from rexalgo.cli import main
from rexalgo.cli.common import Exit

halt_module = import_module("rexalgo.cli.halt")
LINE = """
PRAGMA foreign_keys = OFF;
INSERT INTO account (id, name, person_id, exchange, environment, sealed, row_version, created_us)
  VALUES ('a', 'f1', 'p', 'paper', 'paper', x'00', 1, 1);
INSERT INTO strategy (id, name, master_id, kind, symbols, leverage, source, params, created_us)
  VALUES ('s', 'trend', 'm', 'webhook', '[]', '1', '', '{}', 1);
INSERT INTO holding (account_id, symbol, strategy_id, side, share, entries_open, entry_key)
  VALUES ('a', 'BTCUSDT', 's', 'LONG', '0.5', 0, '');
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """Serve a folder with one open position: its lock is held, its socket takes all, answers none."""
    monkeypatch.setattr(engine.control.client, "ANSWER_WITHIN_S", 0.05)
    config = load_config(tmp_path, {})
    config.data_dir.mkdir(mode=0o700)

    async def made() -> None:
        await Ledger.open(config.ledger.path, inline=True).aclose()

    trio.run(made)
    with apsw.Connection(str(config.ledger.path)) as db:
        db.execute(LINE)
    db.close()
    with (
        FolderLock(config.data_dir, "rexalgo serve", datetime(2026, 11, 24, tzinfo=UTC)),
        socket.socket(socket.AF_UNIX) as silent,
    ):
        silent.bind(str(config.data_dir / SOCKET_NAME))
        silent.listen()
        yield config


def flatten(config: Config, *flags: str, types: str = "") -> Result:
    folder = config.data_dir.parent
    command = ["--config", str(folder), "halt", "flatten", "--all", "--note", "silent", *flags]
    return CliRunner().invoke(main, command, input=types)


async def set_switches(config: Config) -> list[tuple[str, str, str]]:
    ledger = Ledger.open(config.ledger.path, inline=True)
    found = [(each.label, each.level.value, each.note) for each in switches(ledger.db)]
    await ledger.aclose()
    return found


@pytest.mark.parametrize(
    ("flags", "types", "settings"),
    [
        (("--yes",), "", ""),
        ((), "y\n", ""),
        (("--yes",), "", '[log]\nfile = "gone/x.log"\n[web]\nprot = 1\n'),
        (("--yes",), "", "[web\n"),
    ],
)
def test_neither_a_silent_server_nor_a_wrong_configuration_keeps_anybody_from_flattening(
    place: Config,
    flags: tuple[str, ...],
    types: str,
    settings: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place.folder.joinpath("rexalgo.toml").write_text(settings)
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(halt_module, "sys", terminal)
    told = flatten(place, *flags, types=types)
    assert told.exit_code == Exit.NO, told.output
    assert trio.run(set_switches, place) == [("everything", "flatten", "silent")]
    assert told.stderr.count("the configuration is wrong") == bool(settings)
    if types:
        assert "Close 1 positions of 1 accounts (everything) at market price?" in told.output
    assert "no server answers here; closing begins when one does" in told.output
    assert "NOT FLAT, 1 left:" in told.output
    assert "f1 [PAPER] LONG 0.5 BTCUSDT of trend: no exit was asked for" in told.output


def test_a_frozen_place_is_told_so_and_not_that_exits_go(place: Config) -> None:
    with apsw.Connection(str(place.ledger.path)) as db:
        db.execute("INSERT INTO still VALUES ('a', 'it came back', 1)")
    told = flatten(place, "--yes").output
    assert "FROZEN: no order of f1 is sent, no exit and no cancellation" in told
    assert "close by hand at the exchange" in told
    assert "Exits still go" not in told
    with apsw.Connection(str(place.ledger.path)) as db:
        db.execute("UPDATE still SET account_id = ''")
    db.close()
    told = flatten(place, "--yes", "--json").stdout
    assert [(each["account"], each["cause"]) for each in json.loads(told)["still"]] == [
        ("", "it came back")
    ]
    other = ["--config", str(place.folder), "halt", "entries", "--exchange", "paper"]
    assert "FROZEN" in CliRunner().invoke(main, other).output


def test_a_no_changes_nothing(place: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(halt_module, "sys", terminal)
    told = flatten(place, types="n\n")
    assert "nothing was changed" in told.output
    assert trio.run(set_switches, place) == []


def test_without_a_server_a_wrong_configuration_is_told_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    (tmp_path / "rexalgo.toml").write_text("[web]\nprot = 1\n")
    told = flatten(load_sound_part(tmp_path, {}), "--yes")
    assert told.exit_code == Exit.USAGE
    assert "web.prot" in told.output
    assert not (tmp_path / "data").exists()
