"""``rexalgo init`` and ``rexalgo config check``: a new installation, never over an old one."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.keys.vault import parse_root_keys
from engine.settings.config import load_config
from rexalgo.cli import main


def run(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_init_unattended_writes_a_place_that_loads(tmp_path: Path) -> None:
    told = run("init", "--dir", tmp_path / "new")
    config = load_config(tmp_path / "new", {})
    assert config.secrets.jwt_secret is not None
    assert config.secrets.encryption_key is not None
    parse_root_keys(config.secrets.encryption_key)
    assert stat.S_IMODE((tmp_path / "new" / ".env").stat().st_mode) == 0o600
    assert "every follower must connect again" in told
    assert told.count("rexalgo --config") == 3


def test_each_answer_is_a_flag_and_is_escaped(tmp_path: Path) -> None:
    name = 'Ada "the\\bank" ünï [x] # = '
    run(
        "init",
        "--dir",
        tmp_path,
        "--operator",
        name,
        "--zone",
        "Europe/Berlin",
        "--public-url",
        "https://a.example/",
    )
    config = load_config(tmp_path, {})
    assert config.operator.name == name
    assert config.engine.trading_day_zone == "Europe/Berlin"
    assert config.web.public_url == "https://a.example"


def test_further_settings_are_written_with_their_types_and_checked(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9700/fapi"
    run(
        "init",
        "--dir",
        tmp_path / "new",
        "--exchange",
        "mudrex",
        "--set",
        f"plugin.mudrex.base_url={url}",
        "--set",
        "engine.entry_age_s=20",
    )
    config = load_config(tmp_path / "new", {})
    assert config.plugin_settings["mudrex"]["base_url"] == url
    assert config.engine.entry_age_s == 20
    for wrong in (
        "entry_age_s=20",
        "engine.entry_age_s",
        "engine.nonsense=1",
        "engine.entry_age_s=soon",
        "web.public_url.x=1",
        "engine..x=1",
    ):
        run("init", "--dir", tmp_path / "other", "--set", wrong, code=2)
        assert not (tmp_path / "other" / "rexalgo.toml").exists(), wrong


@pytest.mark.parametrize("standing", ["rexalgo.toml", ".env"])
def test_init_never_overwrites(tmp_path: Path, standing: str) -> None:
    (tmp_path / standing).write_text("mine")
    told = run("init", "--dir", tmp_path, code=3)
    assert standing in told
    assert (tmp_path / standing).read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == [standing]


@pytest.mark.parametrize(
    "flags",
    [
        ["--zone", "Mars/North"],
        ["--exchange", "nowhere"],
        ["--operator", "two\nlines"],
        ["--public-url", "x"],
    ],
)
def test_unfit_answer_writes_nothing(tmp_path: Path, flags: list[str]) -> None:
    run("init", "--dir", tmp_path, *flags, code=2)
    assert list(tmp_path.iterdir()) == []


def test_config_check_shows_origins_and_no_secret(tmp_path: Path) -> None:
    run("init", "--dir", tmp_path)
    answer = json.loads(run("--config", tmp_path, "config", "check", "--json"))
    assert answer["settings"]["web.port"] == {"value": 8420, "origin": "config/default.toml"}
    assert answer["settings"]["secrets.jwt_secret"]["value"] == "set"
    assert answer["settings"]["plugin.paper.seed"]["origin"] == "default of plugin paper"
    secrets = [
        line.partition("=")[2]
        for line in (tmp_path / ".env").read_text().splitlines()
        if "=" in line and line[0] != "#"
    ]
    told = run("--config", tmp_path, "config", "check")
    assert len(secrets) == 2
    assert not any(secret in told for secret in secrets)


def test_config_check_reports_every_error_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "rexalgo.toml").write_text("[web]\nport = -1\nhots = 'x'\n")
    told = run("--config", tmp_path, "config", "check", code=2)
    assert "web.port" in told
    assert "did you mean web.host?" in told
    assert "Traceback" not in told


def test_config_check_names_a_wrong_plugin_setting(tmp_path: Path) -> None:
    (tmp_path / "rexalgo.toml").write_text("[plugin.paper]\nsede = 1\n")
    assert "did you mean seed?" in run("--config", tmp_path, "config", "check", code=2)


def test_config_check_warns_of_an_open_address(tmp_path: Path) -> None:
    (tmp_path / "rexalgo.toml").write_text("[web]\nhost = '0.0.0.0'\n")
    assert "will refuse" in run("--config", tmp_path, "config", "check")


_PLUGIN_WITH_A_TOKEN = """
from rexalgo import hookimpl

rexalgo_api_version = 1
default_settings = {"api_token": "", "room": "ops"}


class WakeUp:
    name = "wakeup"

    async def deliver(self, alert):
        pass


@hookimpl
def register_notifiers(register, settings):
    register(WakeUp())
"""


def test_config_check_hides_what_a_plugin_setting_calls_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wakeup_mod.py").write_text(_PLUGIN_WITH_A_TOKEN)
    info = tmp_path / "wakeup-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wakeup\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[rexalgo.plugins]\nwakeup = wakeup_mod\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "rexalgo.toml").write_text(
        "[plugins]\nenabled = ['wakeup']\n[plugin.wakeup]\napi_token = 'hunter2'\n"
    )
    told = run("--config", tmp_path, "config", "check")
    assert "hunter2" not in told
    assert "ops" in told
