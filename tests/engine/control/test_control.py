"""The control socket: one process per folder, commands with and without a server, and a silent
server that stops nobody from halting.
"""

import json
import os
import stat
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio

import engine.control.client
from engine.control import SOCKET_NAME, FolderLock, FolderLocked, ask_server, call
from engine.control.server import serve_control
from engine.domain.errors import InvalidValue, NothingThere, RexAlgoError
from engine.ledger import Ledger
from engine.ledger.reports import switches
from engine.provisioning.errors import ProvisionErrors, ProvisionProblem
from engine.settings.config import Config, load_config
from engine.settings.files import make_folder, whole_file

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def place(folder: Path) -> Config:
    """Return the configuration of a folder whose ledger exists."""
    config = load_config(folder, {})
    config.data_dir.mkdir(mode=0o700)
    return config


def test_a_folder_has_one_holder_and_names_it(tmp_path: Path) -> None:
    with FolderLock(tmp_path, "rexalgo serve", NOW):
        assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600
        with pytest.raises(
            FolderLocked, match=rf"rexalgo serve \(process {os.getpid()}, since 2026-11-24T12:00:00"
        ):
            FolderLock(tmp_path, "other", NOW).__enter__()
    with FolderLock(tmp_path, "next", NOW):
        assert json.loads((tmp_path / "lock").read_text())["what"] == "next"


async def answering(folder: Path, nursery: trio.Nursery, error: Exception | None = None) -> None:
    async def run(method: str, params: dict[str, Any]) -> dict[str, Any]:
        if error is not None:
            raise error
        return {"method": method, **params}

    await nursery.start(serve_control, folder, run)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root creates files for others")
def test_what_root_creates_under_the_lock_belongs_to_the_owner_of_the_folder(
    tmp_path: Path,
) -> None:
    """A server that runs as the owner could not open it."""
    os.chown(tmp_path, 12_345, 12_345)
    data, own = tmp_path / "data", tmp_path / "own"
    own.write_text("of root, with a second name in a folder of somebody else")
    make_folder(data)
    (data / "left").touch()  # by a command that was killed
    os.link(own, data / "linked")
    with FolderLock(data, "rexalgo restore", NOW):
        assert (data / "left").stat().st_uid == 12_345
        (data / "ledger.sqlite3-wal").touch()
        with whole_file(data / "backup") as file:
            file.write_text("x")
    owners = {each.name: each.stat().st_uid for each in (data, *data.iterdir())}
    assert owners.pop("linked") == 0
    assert set(owners) == {"data", "left", "lock", "ledger.sqlite3-wal", "backup"}
    assert set(owners.values()) == {12_345}


async def test_a_command_goes_to_the_server_and_comes_back_also_from_a_deep_folder(
    tmp_path: Path,
) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    deep.mkdir(parents=True)
    async with trio.open_nursery() as nursery:
        await answering(deep, nursery)
        assert stat.S_IMODE((deep / SOCKET_NAME).stat().st_mode) == 0o600
        big = "x" * 300_000
        assert await ask_server(deep, "echo", {"text": big}) == {"method": "echo", "text": big}
        nursery.cancel_scope.cancel()
    assert not (deep / SOCKET_NAME).exists()


@pytest.mark.parametrize(
    "error",
    [
        InvalidValue("scope", "one of all", "al"),
        NothingThere("no follower f9"),
        ProvisionErrors(
            "people.toml", [ProvisionProblem("follower[0].secret", "a value", None, "f")]
        ),
        RexAlgoError("no"),
    ],
)
async def test_an_error_keeps_its_kind_and_words_across_the_socket(
    error: Exception, tmp_path: Path
) -> None:
    async with trio.open_nursery() as nursery:
        await answering(tmp_path, nursery, error)
        with pytest.raises(type(error)) as caught:
            await ask_server(tmp_path, "any", {})
        assert str(caught.value) == str(error)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "line",
    [b"no json\n", b"{}\n", b"[]\n", b'{"method": "x"}\n', b'{"method": "x", "params": 3}\n'],
)
async def test_a_line_that_is_no_command_gets_an_answer(line: bytes, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await answering(tmp_path, nursery)
        stream = await trio.open_unix_socket(str(tmp_path / SOCKET_NAME))
        await stream.send_all(line)
        assert "expected one line" in (await stream.receive_some(10_000)).decode()
        await stream.aclose()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "error", [ValueError("whsec_do_not_show"), KeyError("whsec"), trio.TooSlowError("whsec")]
)
async def test_a_fault_inside_a_command_is_logged_and_answered_as_ours_without_its_text(
    error: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        await answering(tmp_path, nursery, error)
        with pytest.raises(RexAlgoError) as caught:
            await ask_server(tmp_path, "any", {})
        assert f"failed inside ({type(error).__name__}); see the log" in str(caught.value)
        assert "whsec" not in str(caught.value)
        assert "a command failed" in caplog.text
        nursery.cancel_scope.cancel()


async def test_an_answer_that_no_line_can_carry_ends_only_its_command(tmp_path: Path) -> None:
    async def run(method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"held": Decimal(1)} if method == "odd" else {"well": True}

    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, tmp_path, run)
        with pytest.raises(RexAlgoError, match="failed inside"):
            await ask_server(tmp_path, "odd", {})
        assert await ask_server(tmp_path, "next", {}) == {"well": True}
        nursery.cancel_scope.cancel()


async def expect_silent(config: Config) -> None:
    told = await call(config, "status", {})
    assert told["engine"]["running"] is True
    assert told["engine"]["silent"] == {
        "what": "rexalgo serve",
        "pid": os.getpid(),
        "since": NOW.isoformat(timespec="seconds"),
    }
    assert told["needs"][0]["code"] == "engine"
    assert "and does not answer" in told["needs"][0]["what"]


async def test_a_silent_server_keeps_nobody_from_halting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.control.client, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(engine.control.client, "PROVISION_WITHIN_S", 0.05)
    config = place(tmp_path)
    await Ledger.open(config.ledger.path, inline=True).aclose()

    async def never(method: str, params: dict[str, Any]) -> dict[str, Any]:
        await trio.sleep_forever()
        raise AssertionError

    with FolderLock(config.data_dir, "rexalgo serve", NOW):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_control, config.data_dir, never)
            answer = await call(config, "halt", {"scope": "all", "note": "silent", "by": "me"})
            assert answer["level"] == "entries"
            assert (await call(config, "still_open", {"scope": "all"}))["open"] == []
            await expect_silent(config)
            with pytest.raises(RexAlgoError, match="did not answer within"):
                await call(config, "provision", {"table": {}})
            nursery.cancel_scope.cancel()
        # One that has just started has no socket yet.
        await expect_silent(config)
    with FolderLock(config.data_dir, "rexalgo restore", NOW):
        assert (await call(config, "status", {}))["engine"]["running"] is False
    ledger = Ledger.open(config.ledger.path, inline=True)
    assert [(each.label, each.note, each.set_by) for each in switches(ledger.db)] == [
        ("everything", "silent", "me")
    ]
    await ledger.aclose()


async def test_without_a_server_commands_work_on_the_ledger(tmp_path: Path) -> None:
    config = place(tmp_path)
    with pytest.raises(NothingThere, match="nothing is here yet"):
        await call(config, "status", {})
    await Ledger.open(config.ledger.path, inline=True).aclose()
    assert (await call(config, "status", {}))["engine"]["running"] is False
    assert (await call(config, "halt", {"scope": "all"}))["was"] is None
    assert (await call(config, "halt", {"scope": "all", "level": "reduce"}))["was"] == "entries"
    again = await call(config, "halt", {"scope": "all"})
    assert (again["was"], again["level"]) == (
        "reduce",
        "reduce",
    )  # a weaker level does not weaken what stands
    assert (await call(config, "still_open", {"scope": "all"}))["open"] == []
    assert [each["scope"] for each in (await call(config, "status", {}))["switches"]] == ["all"]
    assert (await call(config, "resume", {"scope": "all"}))["was_off"] is True
    assert (await call(config, "resume", {"scope": "all"}))["was_off"] is False
    with pytest.raises(NothingThere, match="no account nobody"):
        await call(config, "halt", {"scope": "account", "target": "nobody"})
    with pytest.raises(InvalidValue):
        await call(config, "halt", {"scope": "everything"})
    with pytest.raises(NothingThere):
        await call(config, "why", {"signal": "last", "follower": "f"})
