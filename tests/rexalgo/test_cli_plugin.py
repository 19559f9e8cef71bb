"""``rexalgo plugin``: what is installed, and changing what is enabled without changing the rest of
the file.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from rexalgo.cli import main

FILE = """\
# my place
[web]
port = 9000   # behind the proxy

[plugins]
enabled = [
    "paper",  # to practise
    "signed_webhook", "gcra",
    "log",
]

[plugin.paper]
seed = 3
"""


def run(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "rexalgo.toml").write_text(FILE)
    return tmp_path


def enabled(place: Path) -> list[str]:
    found = tomllib.loads((place / "rexalgo.toml").read_text())["plugins"]["enabled"]
    assert isinstance(found, list)
    return found


def test_list_says_what_is_enabled(place: Path) -> None:
    rows = {
        row["name"]: row
        for row in json.loads(run("--config", place, "plugin", "list", "--json"))["plugins"]
    }
    assert rows["paper"]["enabled"] is True
    assert rows["paper"]["distribution"] == "rexalgo"


def test_show_says_what_a_login_needs_where_it_comes_from_and_how_long_it_lasts(
    place: Path,
) -> None:
    shown = json.loads(run("--config", place, "plugin", "show", "mudrex", "--json"))["login"]
    assert [(each["name"], each["lasts"]) for each in shown] == [("secret", "Valid for 90 days")]
    told = run("--config", place, "plugin", "show", "mudrex")
    assert "credential secret (API secret): " in told
    assert "it cannot withdraw. Shown once. From mudrex.com/pro-trading" in told
    assert json.loads(run("--config", place, "plugin", "show", "gcra", "--json"))["login"] == []


def test_disable_and_enable_change_one_array_and_keep_the_rest(place: Path) -> None:
    run("--config", place, "plugin", "disable", "paper")
    assert enabled(place) == ["signed_webhook", "gcra", "log"]
    run("--config", place, "plugin", "enable", "paper")
    assert enabled(place) == ["signed_webhook", "gcra", "log", "paper"]
    text = (place / "rexalgo.toml").read_text()
    assert text.startswith("# my place\n[web]\nport = 9000   # behind the proxy\n")
    assert text.endswith("[plugin.paper]\nseed = 3\n")


def test_enabling_twice_changes_nothing(place: Path) -> None:
    assert "nothing changed" in run("--config", place, "plugin", "enable", "paper")
    assert (place / "rexalgo.toml").read_text() == FILE


def test_disable_writes_the_array_where_the_file_had_none(tmp_path: Path) -> None:
    (tmp_path / "rexalgo.toml").write_text("# only a comment\n")
    run("--config", tmp_path, "plugin", "disable", "log")
    assert enabled(tmp_path) == ["paper", "signed_webhook", "gcra"]
    assert (tmp_path / "rexalgo.toml").read_text().startswith("# only a comment\n")


def test_enabling_what_is_not_installed_ends_with_4(place: Path) -> None:
    assert "no installed plugin nowhere is known here" in run(
        "--config", place, "plugin", "enable", "nowhere", code=4
    )
    assert "did you mean mudrex?" in run("--config", place, "plugin", "enable", "mudrx", code=4)


def test_plugin_that_is_missing_is_told_and_can_be_disabled(tmp_path: Path) -> None:
    (tmp_path / "rexalgo.toml").write_text("[plugins]\nenabled = ['gone', 'log']\n")
    assert json.loads(run("--config", tmp_path, "plugin", "list", "--json"))[
        "enabled_but_not_installed"
    ] == ["gone"]
    run("--config", tmp_path, "plugin", "disable", "gone")
    assert enabled(tmp_path) == ["log"]


def test_show_tells_what_it_provides_and_its_settings(place: Path) -> None:
    shown = json.loads(run("--config", place, "plugin", "show", "paper", "--json"))
    assert shown["provides"] == ["exchange paper"]
    assert "seed" in shown["settings"]


_HELP_THEN_LIST_IMPORTS = """
import sys
from rexalgo.cli import main
main(["--help"], standalone_mode=False)
print(sorted({"trio", "apsw", "quart", "httpx"} & set(sys.modules)))
"""


def test_help_imports_no_network_library_and_no_database() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _HELP_THEN_LIST_IMPORTS], capture_output=True, text=True, check=True
    )
    assert "Commands" in told.stdout
    assert told.stdout.rstrip().endswith("[]")


def test_unknown_command_ends_with_2(place: Path) -> None:
    run("nonsense", code=2)
