"""The checklist of a place that strangers trust: all green once, and each item red once, with the fix
to type.
"""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

from engine.keys.session_keys import new_session_key
from engine.keys.vault import new_root_key
from rexalgo.cli import main, production

ITEMS = (
    "TLS",
    "public_url",
    "secrets",
    "modes",
    "time",
    "licences",
    "backups",
    "alerts",
    "second factors",
)


class _Taking(BaseHTTPRequestHandler):
    """Takes every message."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve what takes alerts; return its address."""
    server = HTTPServer(("127.0.0.1", 0), _Taking)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, address: str) -> Path:
    """Make a place for which every item is green."""
    folder = tmp_path_factory.mktemp("production") / "place"
    cli("init", "--dir", folder, "--public-url", "https://copy.example.org", "--operator", "Ops")
    settings = folder / "rexalgo.toml"
    text = settings.read_text().replace('"log"]', '"log", "webhook_out"]')
    text = text.replace('alerts = "log"', 'alerts = ["log", "webhook_out"]')
    text = text.replace("[web]\n", '[web]\ntrusted_proxies = ["127.0.0.1"]\n')
    secret = folder / "hook-secret"
    secret.write_text("whsec_" + new_root_key()[9:])
    secret.chmod(0o600)
    settings.write_text(
        f'{text}\n[plugin.webhook_out]\nurl = "{address}"\nsecret_file = "{secret}"\n'
        '[outgoing]\ninternal = ["127.0.0.1"]\n'
    )
    cli("--config", folder, "operator", "create", "ops")
    change(folder, "INSERT INTO factor (person_id, totp_sealed) SELECT id, x'00' FROM person")
    cli("--config", folder, "alert", "test", "webhook_out")
    cli("--config", folder, "backup")
    return folder


@pytest.fixture
def place(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ENCRYPTION_KEY", "JWT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(production, "clock_is_synchronized", lambda: True)
    return Path(shutil.copytree(ready, tmp_path / "copy"))


def cli(*args: object) -> str:
    result = CliRunner().invoke(main, [str(each) for each in args])
    assert result.exit_code == 0, result.output
    return result.output


def change(folder: Path, sql: str) -> None:
    db = apsw.Connection(str(folder / "data" / "ledger.sqlite3"))
    db.execute(sql)
    db.close()


def checklist(folder: Path) -> list[dict[str, str]]:
    """Return the findings of the checklist alone."""
    result = CliRunner().invoke(main, ["--config", str(folder), "doctor", "--production", "--json"])
    findings: list[dict[str, str]] = json.loads(result.output)["findings"]
    assert result.exit_code == int(any(each["level"] == "wrong" for each in findings))
    return [each for each in findings if each["what"].partition(":")[0] in (*ITEMS, "plugins")]


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "rexalgo.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_place_in_order_is_green_in_every_item(place: Path) -> None:
    found = checklist(place)
    items = [each for each in found if each["what"].partition(":")[0] in ITEMS]
    assert [each for each in items if each["level"] != "ok"] == []
    assert {each["what"].partition(":")[0] for each in items} == set(ITEMS)


def an_old_backup(place: Path) -> None:
    (backup,) = (place / "backups").glob("backup-*.sqlite3")
    backup.rename(backup.with_name("backup-20200101T000000Z.sqlite3"))


RED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "TLS": (
        lambda place: edit(place, 'trusted_proxies = ["127.0.0.1"]', "trusted_proxies = []"),
        "TLS: neither",
        "web.trusted_proxies",
    ),
    "public_url": (
        lambda place: edit(place, "https://copy.example.org", "http://localhost:8080"),
        "public_url: expected https://",
        "set web.public_url",
    ),
    "settings others may write": (
        lambda place: (place / "rexalgo.toml").chmod(0o666),
        "modes: others may write",
        "chmod go-w",
    ),
    "a ledger others may read": (
        lambda place: (place / "data" / "ledger.sqlite3").chmod(0o644),
        "modes: ",
        "chmod 600",
    ),
    "no backup": (
        lambda place: [each.unlink() for each in (place / "backups").glob("backup-*")],
        "backups: there is none",
        "rexalgo backup",
    ),
    "an old backup": (an_old_backup, "backups: the newest is", "rexalgo backup"),
    "only the log": (
        lambda place: edit(place, 'alerts = ["log", "webhook_out"]', 'alerts = "log"'),
        "alerts: they reach only the log",
        "operator.alerts",
    ),
    "never tried": (
        lambda place: change(place, "DROP TRIGGER audit_keeps_rows; DELETE FROM audit"),
        "alerts: nobody has tried",
        "rexalgo alert test webhook_out",
    ),
    "no second factor": (
        lambda place: change(place, "DELETE FROM factor"),
        "second factors: operator ops has none",
        "rexalgo user link ops",
    ),
    "no operator": (
        lambda place: change(place, "DELETE FROM person_role"),
        "second factors: there is no operator",
        "rexalgo operator create",
    ),
    "untested": (
        lambda place: edit(place, "[plugins]\n", "[plugins]\nallow_untested = true\n"),
        "plugins: plugins.allow_untested",
        "allow_untested = false",
    ),
}


@pytest.mark.parametrize("name", RED)
def test_each_item_turns_red_and_says_what_to_type(place: Path, name: str) -> None:
    spoil, what, do = RED[name]
    spoil(place)
    (wrong,) = [each for each in checklist(place) if each["level"] == "wrong"]
    assert wrong["what"].startswith(what), wrong
    assert do in wrong["do"]


def test_passkeys_that_open_nothing_here_are_named(place: Path) -> None:
    for number, host in enumerate(("copy.example.org", "old.example.org")):
        change(
            place,
            "INSERT INTO passkey (id, person_id, credential, public_key, sign_count, rp_id, name, "
            f"created_us) SELECT 'pas_{number}', id, x'0{number}', x'00', 0, '{host}', 'Phone', 1 "
            "FROM person",
        )
    (told,) = [each for each in checklist(place) if each["level"] != "ok"]
    assert told["level"] == "warn"
    assert "made for another host than that of web.public_url: ops" in told["what"]
    assert told["do"].endswith("rexalgo user reset-factors ops")
    change(place, "DELETE FROM passkey WHERE rp_id != 'copy.example.org'")
    assert [each for each in checklist(place) if each["level"] != "ok"] == []


def test_a_secret_in_the_environment_is_red(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", new_session_key())
    (wrong,) = [each for each in checklist(place) if each["level"] == "wrong"]
    assert wrong["what"].startswith("secrets: JWT_SECRET is in the environment")
    assert "JWT_SECRET_FILE" in wrong["do"]


def test_a_clock_without_a_source_and_a_plugin_without_a_licence_are_red(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production, "clock_is_synchronized", lambda: False)
    monkeypatch.setattr(production, "licence_of", lambda distribution: "")
    wrong = [each for each in checklist(place) if each["level"] == "wrong"]
    assert wrong[0]["what"].startswith("time: the clock follows no time source")
    assert "set-ntp" in wrong[0]["do"]
    assert all(each["what"].startswith("licences: plugin ") for each in wrong[1:])
    assert len(wrong) > 4


def test_the_system_is_asked_for_its_clock_and_a_distribution_for_its_licence() -> None:
    assert production.clock_is_synchronized() in (True, False, None)
    assert production.licence_of("rexalgo") == "Apache-2.0"
    assert production.licence_of("there-is-none-such") == ""
