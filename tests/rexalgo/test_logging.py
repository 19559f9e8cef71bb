"""The log: one line per record, whatever a message contains."""

import logging
from collections.abc import Iterator

import pytest

from rexalgo.cli.process import start_logging


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
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
