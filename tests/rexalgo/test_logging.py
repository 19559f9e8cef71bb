"""The log: one line per record, whatever a message contains; ids in it, secrets not."""

import json
import logging
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from engine.actors.log_context import logged
from engine.keys.session_keys import new_session_key
from engine.keys.vault import new_root_key
from engine.ports.secret import Secret
from engine.settings.config import LogConfig, load_config
from rexalgo.cli.common import CliError
from rexalgo.cli.logs import secrets_of, start_logging

LOG = logging.getLogger("rexalgo.test")
KEY = new_root_key()
JWT = new_session_key()


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for each in set(root.handlers) - set(before):
        each.close()
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.parametrize(
    "torn", ["\n", "\r", "\x1b[2K", "\x0b", "\u2028", "\x85", "\u202e", "\ud800"]
)
def test_a_text_of_somebody_elses_begins_no_line_of_its_own(
    torn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start_logging()
    logging.getLogger("rexalgo.test").warning(
        "the exchange said: %s", f"no{torn}2026-01-01T00:00:00Z INFO rexalgo: all is well é"
    )
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "é" in told
    assert torn not in told.rstrip("\n")


def test_a_traceback_still_has_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging()
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("rexalgo.test").exception("failed")
    assert "ValueError: inside" in capsys.readouterr().err.splitlines()


def in_file(folder: Path, form: str = "text", **sizes: int) -> LogConfig:
    return LogConfig(form, "info", folder / "log", sizes.get("mib", 1), sizes.get("files", 2))


async def test_records_name_what_their_task_works_for_and_no_other(tmp_path: Path) -> None:
    start_logging(in_file(tmp_path, "json"))

    async def work(account: str) -> None:
        with logged(account=account):
            await trio.lowlevel.checkpoint()
            with logged(signal="sig-1", copy=f"copy-{account}"):
                await trio.lowlevel.checkpoint()
                LOG.warning("sent")
            LOG.warning("done")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, "a1")
        nursery.start_soon(work, "a2")
    LOG.warning("nobody's")
    rows = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [set(row) for row in rows[-1:]] == [{"time", "level", "logger", "message"}]
    for account in ("a1", "a2"):
        mine = [row for row in rows if row.get("account") == account]
        assert [(row["message"], row.get("copy")) for row in mine] == [
            ("sent", f"copy-{account}"),
            ("done", None),
        ]
    assert rows[0]["time"].endswith("+00:00")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_is_in_no_record_whatever_carries_it(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_config(tmp_path, {"ENCRYPTION_KEY": KEY, "JWT_SECRET": JWT})
    start_logging(in_file(tmp_path, form), secrets_of(config))
    LOG.warning("the key %s, the object %s", KEY, Secret("an-exchange-key"))
    LOG.warning(f"half of it: {KEY[9:]}")
    try:
        raise ValueError(f"refused {JWT}")
    except ValueError:
        LOG.exception("failed with %r", {"authorization": JWT})
    for text in (capsys.readouterr().err, (tmp_path / "log").read_text()):
        assert text.count("[redacted]") == 4
        for secret in (KEY, KEY[9:], JWT, "an-exchange-key"):
            assert secret not in text


def test_a_full_file_is_renamed_and_only_some_are_kept(tmp_path: Path) -> None:
    start_logging(in_file(tmp_path))
    for _ in range(5 * 1024):
        LOG.warning("x" * 1000)
    sizes = {each.name: each.stat().st_size for each in tmp_path.iterdir()}
    assert set(sizes) == {"log", "log.1", "log.2"}
    assert max(sizes.values()) <= 2**20


FULL = """
import logging, sys
from pathlib import Path
from engine.settings.config import LogConfig
from rexalgo.cli.logs import start_logging
start_logging(LogConfig("text", "info", Path(sys.argv[1]), 50, 2))
for number in range(100):
    logging.getLogger("rexalgo.test").warning("record %d %s", number, "x" * 500)
"""


def test_a_full_disk_is_said_once_and_stderr_has_every_record(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "log"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0
    assert ended.stderr.count("cannot be written") == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count(" WARNING rexalgo.test: record ") == 100


def test_a_file_that_cannot_be_opened_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(CliError, match="correct it, or set log"):
        start_logging(in_file(tmp_path))
