"""Settings: three layers, every error at once, and no secret in any message."""

import base64
import hashlib
from pathlib import Path

import pytest

from engine.domain.amounts import Money
from engine.settings.config import Config, ConfigErrors, check_exposure, describe, load_config

KEY = "0a1b2c3d:" + base64.b64encode(hashlib.sha256(b"a key").digest()).decode()
JWT = base64.b64encode(hashlib.sha256(b"signs sessions").digest()).decode()


def write(folder: Path, text: str) -> Path:
    (folder / "rexalgo.toml").write_text(text, encoding="utf-8")
    return folder


def errors_of(where: Path, environ: dict[str, str] | None = None) -> dict[str, str]:
    with pytest.raises(ConfigErrors) as caught:
        load_config(where, environ or {})
    return {error.key: str(error) for error in caught.value.errors}


def test_an_empty_folder_gives_the_defaults(tmp_path: Path) -> None:
    config = load_config(tmp_path, {})
    assert (config.web.host, config.web.port) == ("127.0.0.1", 8420)
    assert config.plugins.enabled == ("paper", "signed_webhook", "gcra", "log")
    assert config.data_dir == tmp_path / "data"
    assert config.secrets.jwt_secret is None
    assert config.origins["web.port"] == "config/default.toml"


def test_own_file_wins_over_the_default_and_origin_says_so(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            "[web]\nport = 9000\n[limits]\norder_notional = '500'\n[plugin.paper]\nseed = 7\n",
        ),
        {},
    )
    assert config.web.port == 9000
    assert config.web.host == "127.0.0.1"
    assert config.limits.order_notional == Money(500)  # type: ignore[arg-type]  # Decimal compares with int
    assert config.plugin_settings["paper"] == {"seed": 7}
    assert (
        config.origins["web.port"]
        == str(tmp_path / "rexalgo.toml")
        == config.origins["plugin.paper.seed"]
    )


def test_an_explicit_file_may_have_any_name_and_its_folder_is_the_place(tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[ledger]\npath = 'x/l.sqlite3'\n")
    assert load_config(file, {}).ledger.path == tmp_path / "x" / "l.sqlite3"
    assert "a readable file" in str(errors_of(tmp_path / "absent.toml"))


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("[web]\nprot = 1", "web.prot", "did you mean web.port?"),
        ("[wbe]\nport = 1", "wbe", "did you mean web?"),
        ("port = 1", "port", "expected"),
        ("web = 3", "web", "a section [web]"),
        ("[web]\nport = 70000", "web.port", "0 to 65535, found 70000"),
        ("[web]\nport = true", "web.port", "whole number"),
        ("[web]\nport = '80'", "web.port", "whole number"),
        ("[web]\npublic_url = 'ftp://x'", "web.public_url", "https://"),
        ("[web]\npublic_url = 'https://user:pw@x'", "web.public_url", "https://"),
        ("[web]\ntrusted_proxies = ['0.0.0.0/0']", "web.trusted_proxies[0]", "whole internet"),
        ("[web]\ntrusted_proxies = ['10.0.0.1', 'proxy']", "web.trusted_proxies[1]", "found proxy"),
        ("[web]\ntls_certificate = 'absent.pem'", "web.tls_certificate", "existing file"),
        ("[ledger]\npath = ''", "ledger.path", "a path"),
        ("[plugins]\nenabled = ['log', 'log']", "plugins.enabled[1]", "each name once"),
        ("[plugins]\nenabled = ['../x']", "plugins.enabled[0]", "short name"),
        ("[backup]\nkeep = 0", "backup.keep", "1 to 1000, found 0"),
        ("[backup]\npublic_key = 'AAAA'", "backup.public_key", "rexalgo key backup printed"),
        ("[backup]\nfolder = ''", "backup.folder", "a path"),
        ("[log]\nform = 'xml'", "log.form", "one of text, json, found xml"),
        ("[log]\nfile = '/no/such/folder/log'", "log.file", "a file in an existing folder"),
        ("[metrics]\ntoken_file = 'absent'", "metrics.token_file", "a readable file"),
        ("[engine]\ntrading_day_zone = 'Mars/North'", "engine.trading_day_zone", "time zone"),
        (
            "[engine]\nreconcile_active_s = 60\nreconcile_idle_s = 30",
            "engine.reconcile_idle_s",
            "at least engine.reconcile_active_s",
        ),
        (
            "[limits]\norder_notional = 1.5",
            "limits.order_notional",
            "decimal number written as text",
        ),
        (
            "[limits]\norder_notionl = '1'",
            "limits.order_notionl",
            "did you mean limits.order_notional?",
        ),
        ('[operator]\nname = "a\\nb"', "operator.name", "one line"),
        ("[plugin]\npaper = 1", "plugin.paper", "[plugin.paper]"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(
    tmp_path: Path, text: str, key: str, said: str
) -> None:
    found = errors_of(write(tmp_path, text))
    assert list(found) == [key]
    assert said in found[key]
    assert "rexalgo.toml" in found[key]


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    found = errors_of(
        write(
            tmp_path,
            "[web]\nport = -1\nhost = ''\nx = 1\n[engine]\nentry_age_s = 0\n[limits]\na = 1",
        ),
        {"JWT_SECRET": "short"},
    )
    assert set(found) == {
        "web.port",
        "web.host",
        "web.x",
        "engine.entry_age_s",
        "limits.a",
        "JWT_SECRET",
    }


def test_broken_toml_is_an_error_with_its_place(tmp_path: Path) -> None:
    assert "line 2" in errors_of(write(tmp_path, "[web]\nport 1\n"))[""]


def test_only_one_half_of_tls_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("x")
    assert "web.tls_key" in errors_of(write(tmp_path, "[web]\ntls_certificate = 'c.pem'"))


def env_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / ".env"
    file.write_text(text)
    file.chmod(mode)
    return folder


def revealed(config: Config) -> tuple[str | None, str | None]:
    key, jwt = config.secrets.encryption_key, config.secrets.jwt_secret
    return key.reveal() if key else None, jwt.reveal() if jwt else None


def test_secrets_come_from_env_file_and_the_real_environment_wins(tmp_path: Path) -> None:
    env_file(
        tmp_path,
        f"# comment\n\nENCRYPTION_KEY='{KEY}'\nexport JWT_SECRET={JWT[::-1]}\nMY_EXCHANGE_KEY=abc\n",
    )
    config = load_config(tmp_path, {"JWT_SECRET": JWT})
    assert revealed(config) == (KEY, JWT)
    assert config.origins["secrets.jwt_secret"] == "environment"
    assert config.origins["secrets.encryption_key"] == str(tmp_path / ".env")


def test_a_secret_may_be_in_a_file_named_by_name_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    assert revealed(load_config(tmp_path, {"ENCRYPTION_KEY_FILE": str(tmp_path / "key")})) == (
        KEY,
        None,
    )
    assert "ENCRYPTION_KEY_FILE" in errors_of(tmp_path, {"ENCRYPTION_KEY_FILE": "absent"})
    assert "found both" in errors_of(
        tmp_path, {"ENCRYPTION_KEY": KEY, "ENCRYPTION_KEY_FILE": "key"}
    )["ENCRYPTION_KEY"].replace("'", "")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_env_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigErrors, match="mode 0600"):
        load_config(env_file(tmp_path, f"ENCRYPTION_KEY={KEY}", mode), {})


def test_misspelt_secret_in_env_file_is_refused(tmp_path: Path) -> None:
    assert (
        "did you mean ENCRYPTION_KEY?"
        in errors_of(env_file(tmp_path, f"ENCRYPTON_KEY={KEY}"))["ENCRYPTON_KEY"]
    )


def test_secrets_in_the_toml_file_are_refused(tmp_path: Path) -> None:
    assert set(errors_of(write(tmp_path, "JWT_SECRET = 'x'"))) == {"JWT_SECRET"}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("JWT_SECRET", "changeme" * 5, "a template or a common word"),
        ("JWT_SECRET", "x9Q" * 14, "a repetition"),
        ("JWT_SECRET", f"{JWT},{JWT}", "the same one twice (value 2 of 2)"),
        ("JWT_SECRET", f"{JWT},{'0' * 44}", "a repetition (value 2 of 2)"),
        ("ENCRYPTION_KEY", "00000000:" + base64.b64encode(bytes(32)).decode(), "few different"),
        ("ENCRYPTION_KEY", "0badcafe:" + base64.b64encode(b"changeme" * 4).decode(), "readable"),
    ],
)
def test_a_secret_that_is_plainly_not_random_is_refused_before_anything_starts(
    tmp_path: Path, name: str, value: str, found: str
) -> None:
    said = errors_of(tmp_path, {name: value})
    assert set(said) == {name}
    assert found in said[name]
    assert "rexalgo init makes one" in said[name]
    assert value[9:] not in said[name]


@pytest.mark.parametrize(
    "bad", ["hunter2hunter2", "0a1b2c3d:c2hvcnQ=", "ZZZZZZZZ:" + KEY[9:], KEY + ",hunter2"]
)
def test_malformed_secret_is_refused_and_never_shown(tmp_path: Path, bad: str) -> None:
    said = errors_of(tmp_path, {"ENCRYPTION_KEY": bad})["ENCRYPTION_KEY"]
    assert bad not in said
    assert "hunter2" not in said


def test_description_lists_every_value_and_no_secret(tmp_path: Path) -> None:
    config = load_config(tmp_path, {"JWT_SECRET": JWT, "ENCRYPTION_KEY": KEY})
    listed = describe(config)
    assert listed["secrets.jwt_secret"] == "set"
    assert set(listed) <= set(config.origins)
    assert JWT not in f"{listed}{config}"
    assert KEY not in f"{listed}{config}"


@pytest.mark.parametrize(
    ("web", "refused"),
    [
        ("", False),
        ("host = '::1'", False),
        ("host = 'localhost'", False),
        ("host = '127.8.8.8'", False),
        ("host = '0.0.0.0'", True),
        ("host = '::'", True),
        ("host = 'copy.example.org'", True),
        ("host = '0.0.0.0'\ntrusted_proxies = ['10.0.0.1']", False),
        ("host = '0.0.0.0'\ntls_certificate = 'c.pem'\ntls_key = 'c.pem'", False),
    ],
)
def test_open_address_without_tls_or_proxy_is_refused(
    tmp_path: Path, web: str, refused: bool
) -> None:
    (tmp_path / "c.pem").write_text("x")
    assert bool(check_exposure(load_config(write(tmp_path, f"[web]\n{web}\n"), {}))) is refused


@pytest.mark.parametrize("name", ["paper.toml", "production.toml"])
def test_shipped_starting_points_are_valid(tmp_path: Path, name: str) -> None:
    text = (Path(__file__).parents[2] / "config" / name).read_text(encoding="utf-8")
    assert check_exposure(load_config(write(tmp_path, text), {})) == []


@pytest.mark.parametrize("token", ["short", "x" * 15, "é" * 40, "two\nlines of a token file"])
def test_a_weak_or_odd_token_of_metrics_is_refused_and_not_shown(
    token: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    file.chmod(0o600)
    told = errors_of(write(tmp_path, "[metrics]\ntoken_file = 'token'\n"))["metrics.token_file"]
    assert "at least 16 characters" in told
    assert token not in told
