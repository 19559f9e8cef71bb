"""Every expected error ends the command line with the exit code of its class."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.control import FolderLocked, ServerSilent
from engine.domain.errors import InvalidValue, NothingThere, OwnFault
from engine.ledger import LedgerError
from engine.plugin.host import PluginError
from engine.provisioning.errors import ProvisionErrors
from engine.settings.config import ConfigError, ConfigErrors
from rexalgo.cli import main
from rexalgo.cli.common import Exit, as_click_error


class NoAccount(NothingThere):
    """An error that says more exactly what is missing."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigErrors([ConfigError("rexalgo.toml", "web.port", "a port", "x")]), Exit.USAGE),
        (ProvisionErrors("people.toml", []), Exit.USAGE),
        (PluginError("acmex", "acmex 1.0", "no installed package has this plugin"), Exit.USAGE),
        (InvalidValue("price", "a price"), Exit.USAGE),
        (NothingThere("no account f9"), Exit.NOTHING),
        (NoAccount("no account f9"), Exit.NOTHING),
        (FolderLocked("process 7 works here"), Exit.REFUSED),
        (ServerSilent("the server does not answer"), Exit.NO),
        (LedgerError("the ledger is damaged"), Exit.NO),
        (OwnFault("this installation failed"), Exit.NO),
        (PermissionError(13, "Permission denied", "/gone/data/lock"), Exit.NO),
        (FileNotFoundError(2, "No such file or directory", "/gone/data"), Exit.NO),
    ],
)
def test_an_expected_error_has_the_exit_code_of_its_class(error: Exception, code: Exit) -> None:
    told = as_click_error(error)
    assert told is not None
    assert told.exit_code == code


def test_a_file_that_may_not_be_opened_is_told_with_what_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock"

    def told() -> str:
        error = as_click_error(PermissionError(13, "Permission denied", str(lock)))
        assert error is not None
        return error.message.removeprefix(f"{lock}: Permission denied; ")

    assert told() == f"it is yours, and its mode forbids it: chmod u+rwX {lock}"
    monkeypatch.setattr(Path, "owner", lambda path: "rexalgo")
    assert told() == "it belongs to rexalgo: run the command as that user (sudo -u rexalgo ...)"
    monkeypatch.setattr(Path, "owner", lambda path: "ada" if path == lock else "rexalgo")
    assert told() == (
        f"it belongs to ada and its folder to rexalgo: sudo chown --reference={tmp_path} {lock}"
    )


def test_any_other_error_keeps_its_traceback() -> None:
    assert as_click_error(ZeroDivisionError()) is None


@pytest.mark.parametrize(
    "command",
    [
        ("api", "--url", "https://copy.example", "--token-file", "{file}", "me"),
        ("mcp", "--url", "https://copy.example", "--token-file", "{file}"),
        ("signal", "send", "--url", "https://copy.example", "--secret-file", "{file}", "-"),
    ],
)
def test_a_file_that_holds_no_text_is_told_and_not_a_traceback(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "word"
    file.write_bytes(b"\xff\xfe\x00 no text")
    told = CliRunner().invoke(
        main,
        [each.format(file=file) for each in command],
        input='{"action": "close", "symbol": "BTCUSDT"}',
    )
    assert told.exit_code == Exit.USAGE, told.output
    assert "expected a readable file in UTF-8" in told.output
