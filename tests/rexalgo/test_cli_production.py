"""What the doctor checks, the checklist of a place that strangers trust included: all green once, and
each item red once, with the fix to type.
"""

import ast
import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from inspect import getsource
from pathlib import Path
from typing import Any, NoReturn

import apsw
import pytest
import trustme
from click.testing import CliRunner

from engine.commands.needs import how_it_is
from engine.control import ServerSilent
from engine.domain.errors import RexAlgoError
from engine.keys.session_keys import new_session_key
from engine.keys.vault import new_root_key
from engine.ledger.schema import MIGRATIONS
from engine.settings.config import Config
from rexalgo.cli import main, production
from rexalgo.cli.finding import Finding

doctor_module = import_module("rexalgo.cli.doctor")

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


def every_finding(folder: Path) -> list[dict[str, str]]:
    """Return all findings."""
    result = CliRunner().invoke(main, ["--config", str(folder), "doctor", "--production", "--json"])
    findings: list[dict[str, str]] = json.loads(result.output)["findings"]
    assert result.exit_code == int(any(each["level"] == "wrong" for each in findings))
    return findings


def edit(folder: Path, old: str, new: str) -> None:
    file = folder / "rexalgo.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_place_in_order_is_green_in_every_item(place: Path) -> None:
    found = every_finding(place)
    assert [each["what"] for each in found if each["level"] != "ok"] == [
        "no server runs in this folder"
    ]
    assert {each["what"].partition(":")[0] for each in found} >= set(ITEMS)


Spoil = Callable[[Path, pytest.MonkeyPatch], object]


def edited(old: str, new: str) -> Spoil:
    return lambda place, patch: edit(place, old, new)


def appended(text: str) -> Spoil:
    def spoil(place: Path, patch: pytest.MonkeyPatch) -> None:
        file = place / "rexalgo.toml"
        file.write_text(file.read_text() + text)

    return spoil


def changed(sql: str) -> Spoil:
    return lambda place, patch: change(place, sql)


def with_mode(name: str, mode: int) -> Spoil:
    return lambda place, patch: (place / name).chmod(mode)


def patched(module: Any, name: str, value: object) -> Spoil:
    return lambda place, patch: patch.setattr(module, name, value)


def told(module: Any, method: str, tell: Callable[[Any], object]) -> Spoil:
    """Change what a command of the engine answers: such a place has a story behind it."""
    real = module.call

    async def call(config: Config, name: str, params: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = await real(config, name, params)
        if name == method:
            tell(answer)
        return answer

    return lambda place, patch: patch.setattr(module, "call", call)


def failing(module: Any, method: str) -> Spoil:
    def fail(answer: object) -> None:
        raise RexAlgoError("it failed")

    return told(module, method, fail)


def pinged(**answer: object) -> Spoil:
    async def ask(folder: Path, method: str, params: object) -> dict[str, object]:
        return {"version": "1", **answer}

    return patched(doctor_module, "ask_server", ask)


def a_silent_server(place: Path, patch: pytest.MonkeyPatch) -> None:
    async def ask(folder: Path, method: str, params: object) -> NoReturn:
        raise ServerSilent("it took no command")

    patch.setattr(doctor_module, "ask_server", ask)


def an_overdue_backup(place: Path, patch: pytest.MonkeyPatch) -> None:
    change(place, "INSERT INTO run (started_us) VALUES (7)")
    an_old_backup(place, patch)


def an_old_backup(place: Path, patch: pytest.MonkeyPatch) -> None:
    (backup,) = (place / "backups").glob("backup-*.sqlite3")
    backup.rename(backup.with_name("backup-20200101T000000Z.sqlite3"))


def a_damaged_ledger(place: Path, patch: pytest.MonkeyPatch) -> None:
    """Write over pages inside, where the file still opens."""
    with (place / "data" / "ledger.sqlite3").open("r+b") as file:
        file.seek(40 * 4096)
        file.write(b"\xff" * 8 * 4096)


def an_older_ledger(place: Path, patch: pytest.MonkeyPatch) -> None:
    mark = place / "data" / "mark.json"
    read = json.loads(mark.read_text())
    read["numbers"]["audit"] += 1
    mark.write_text(json.dumps(read))


def without(name: str) -> Spoil:
    def spoil(place: Path, patch: pytest.MonkeyPatch) -> None:
        lines = (place / ".env").read_text().splitlines(keepends=True)
        (place / ".env").write_text("".join(each for each in lines if not each.startswith(name)))

    return spoil


def a_key(**changes: object) -> dict[str, object]:
    key = {"kid": "0badcafe", "state": "old", "age_days": 1, "lies_there": False, "under": 1}
    return {**key, **changes}


def no_ledger(place: Path, patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(place / "data")


def needing(seen: dict[str, Any], **engine: object) -> None:
    """Let a running engine be in need."""
    seen["engine"].update(running=True, **engine)
    seen["well"], seen["needs"] = how_it_is(seen, 0, datetime.now(UTC))


def an_alert_is_not_told(seen: dict[str, Any]) -> None:
    seen["untold"] = [{"channel": "ntfy", "waiting": 2, "since": "2026-11-25T02:41:07+00:00"}]
    needing(seen)


def certified(
    *names: str, days: tuple[float, float] = (-1, 60), proxies: str = "", is_whole: bool = True
) -> Spoil:
    """Give the place a certificate of its own, valid between two days from now."""

    def spoil(place: Path, patch: pytest.MonkeyPatch) -> None:
        begins, ends = (datetime.now(UTC) + timedelta(days=each) for each in days)
        issued = trustme.CA().issue_cert(*names, not_before=begins, not_after=ends)
        chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
        (place / "site.pem").write_bytes(chain)
        key = issued if is_whole else trustme.CA().issue_cert(*names)
        key.private_key_pem.write_to_path(place / "site.key")
        (place / "site.key").chmod(0o600)
        edit(
            place,
            'trusted_proxies = ["127.0.0.1"]',
            f'trusted_proxies = [{proxies}]\ntls_certificate = "site.pem"\ntls_key = "site.key"',
        )

    return spoil


STATUS, KEYS = (doctor_module, "status"), (doctor_module, "key_status")
RED: dict[str, tuple[Spoil, str, str]] = {
    # the checklist
    "TLS": (
        edited('trusted_proxies = ["127.0.0.1"]', "trusted_proxies = []"),
        "TLS: neither",
        "web.trusted_proxies",
    ),
    "a certificate that expired": (
        certified("copy.example.org", days=(-30, -1)),
        "TLS: the certificate ",
        "replace it, then start the server again",
    ),
    "a certificate of tomorrow": (
        certified("copy.example.org", days=(1, 30)),
        "TLS: the certificate ",
        "it is valid from then on",
    ),
    "a certificate that ends soon": (
        certified("copy.example.org", days=(-30, 13)),
        "TLS: the certificate ",
        "replace it before",
    ),
    "a certificate for another name": (
        certified("other.example.org"),
        "TLS: the certificate ",
        "one for copy.example.org",
    ),
    "a key of another certificate": (
        certified("copy.example.org", is_whole=False),
        "TLS: the certificate ",
        "give web.tls_certificate and web.tls_key that belong together",
    ),
    "public_url": (
        edited("https://copy.example.org", "http://localhost:8080"),
        "public_url: expected https://",
        "set web.public_url",
    ),
    "public_url of this machine": (
        edited("https://copy.example.org", "https://copy.localhost"),
        "public_url: expected https:// and a public name",
        "set web.public_url",
    ),
    "a secret is not set": (
        without("JWT_SECRET"),
        "secrets: JWT_SECRET is not set",
        "rexalgo init",
    ),
    "a secret in the environment": (
        lambda place, patch: patch.setenv("JWT_SECRET", new_session_key()),
        "secrets: JWT_SECRET is in the environment",
        "JWT_SECRET_FILE",
    ),
    "settings others may write": (
        with_mode("rexalgo.toml", 0o666),
        "modes: others may write",
        "chmod go-w",
    ),
    "a ledger others may read": (with_mode("data/ledger.sqlite3", 0o644), "modes: ", "chmod 600"),
    "no time source": (
        patched(production, "clock_is_synchronized", lambda: False),
        "time: the clock follows no time source",
        "set-ntp",
    ),
    "a time that is not told": (
        patched(production, "clock_is_synchronized", lambda: None),
        "time: this system does not say",
        "by hand",
    ),
    "no licence": (
        patched(production, "licence_of", lambda distribution: ""),
        "licences: plugin paper (rexalgo) names no licence",
        "rexalgo plugin disable paper",
    ),
    "untested": (
        edited("[plugins]\n", "[plugins]\nallow_untested = true\n"),
        "plugins: plugins.allow_untested",
        "allow_untested = false",
    ),
    "nothing to check by": (no_ledger, "ledger: there is none to check", "rexalgo serve"),
    "a name like a former one": (
        told(doctor_module, "accounts", lambda seen: seen["accounts"].append({"name": "eve.gone"})),
        "account eve.gone is called like a disconnected account",
        "rexalgo user suspend eve.gone",
    ),
    "a command that fails": (
        failing(production, "users"),
        "second_factors: cannot be read: it failed",
        "rexalgo doctor",
    ),
    "no backup": (
        lambda place, patch: [each.unlink() for each in (place / "backups").glob("backup-*")],
        "backups: there is none",
        "rexalgo backup",
    ),
    "an old backup": (an_old_backup, "backups: the newest is", "rexalgo backup"),
    "only the log": (
        edited('alerts = ["log", "webhook_out"]', 'alerts = "log"'),
        "alerts: they reach only the log",
        "operator.alerts",
    ),
    "never tried": (
        changed("DROP TRIGGER audit_keeps_rows; DELETE FROM audit"),
        "alerts: nobody has tried",
        "rexalgo alert test webhook_out",
    ),
    "an alert that waits": (
        told(
            production,
            "alerts",
            lambda seen: seen["channels"]["webhook_out"].update({"waiting": 2}),
        ),
        "alerts: 2 wait to be told to webhook_out",
        "rexalgo alert test webhook_out",
    ),
    "no second factor": (
        changed("DELETE FROM factor"),
        "second factors: operator ops has none",
        "rexalgo user link ops",
    ),
    "no operator": (
        changed("DELETE FROM person_role"),
        "second factors: there is no operator",
        "rexalgo operator create",
    ),
    "a passkey of another host": (
        changed(
            "INSERT INTO passkey (id, person_id, credential, public_key, sign_count, rp_id, name, "
            "created_us) SELECT 'pas_1', id, x'01', x'00', 0, 'old.example.org', 'Phone', 1 FROM "
            "person"
        ),
        "second factors: passkeys that were copied, or made for another host",
        "rexalgo user reset-factors ops",
    ),
    # what is checked without --production too
    "settings": (appended("[web]\n"), "configuration: ", "rexalgo config check"),
    "no secret": (without("ENCRYPTION_KEY"), "ENCRYPTION_KEY is not set", "put back the copy"),
    "an open door": (
        edited('trusted_proxies = ["127.0.0.1"]', 'host = "0.0.0.0"'),
        "web.host",
        "refuses to start",
    ),
    "a plugin that is not there": (
        edited('"paper"', '"paper", "absent"'),
        "plugin absent from ",
        "rexalgo plugin disable absent",
    ),
    "no rate limiter": (
        edited("[plugins]\n", '[plugins]\nrate_limiter = "other"\n'),
        "rate limiter other is not registered",
        "enable its plugin",
    ),
    "no webhooks": (
        edited('"signed_webhook", ', ""),
        "no webhook source is enabled",
        "rexalgo plugin enable signed_webhook",
    ),
    "nobody is named": (edited('"Ops"', '""'), "no operator is named", "operator.name"),
    "a full disk": (
        patched(doctor_module, "DISK_FREE_MIN", 2**60),
        " MiB free at ",
        "free some space",
    ),
    "a ledger that is gone": (
        lambda place, patch: (place / "data" / "ledger.sqlite3").unlink(),
        "the ledger ",
        "rexalgo restore FILE",
    ),
    "no ledger yet": (no_ledger, "no ledger yet at ", "rexalgo provision creates it"),
    "a file of root": (
        patched(doctor_module, "_owner", lambda path: 7 if path.name == "data" else 0),
        "",
        "sudo chown --reference=",
    ),
    "a mode that locks the owner out": (with_mode("data/lock", 0o400), "", "chmod u+rw "),
    "files of somebody else": (
        patched(doctor_module, "_may_open", lambda path: False),
        "",
        "run the command as the server's user",
    ),
    "the mode of the ledger": (
        with_mode("data/ledger.sqlite3", 0o640),
        "the ledger has mode 0640",
        "chmod 600",
    ),
    "a damaged ledger": (
        a_damaged_ledger,
        "the ledger ",
        "rexalgo restore FILE with the newest backup; without one",
    ),
    "an older ledger": (an_older_ledger, "the ledger ", "rexalgo restore confirm"),
    "a server that hangs": (a_silent_server, "the server does not answer", "halt entries --all"),
    "no server": (lambda place, patch: None, "no server runs in this folder", "rexalgo serve"),
    "no web process": (
        pinged(web="away"),
        "the engine runs without its web process",
        "rexalgo serve --role web",
    ),
    "few files": (
        patched(doctor_module, "files_max", lambda: 64),
        "a server started from here may open only 64 files",
        "ulimit -n",
    ),
    "root keys that nobody can read": (
        failing(*KEYS),
        "the root keys cannot be read: it failed",
        "restore the keys",
    ),
    "a server with an old key": (
        told(*KEYS, lambda seen: seen.update({"in_use": "0badcafe"})),
        "the server still uses root key 0badcafe",
        "rexalgo key rewrap",
    ),
    "an old root key": (
        changed("UPDATE canary SET added_us = 7"),
        "root key ",
        "rexalgo key rotate",
    ),
    "a missing root key": (
        told(*KEYS, lambda seen: seen["keys"].append(a_key())),
        "root key 0badcafe is missing",
        "put back the copy of .env",
    ),
    "an unfinished rotation": (
        told(*KEYS, lambda seen: seen.update({"left": 3})),
        "the rotation to root key ",
        "rexalgo key rewrap",
    ),
    "a ledger of an earlier version": (
        lambda place, patch: change(place, f"PRAGMA user_version = {len(MIGRATIONS) - 1}"),
        "the ledger ",
        "rexalgo upgrade --check",
    ),
    "no status": (failing(*STATUS), "the state cannot be read: it failed", "lines above"),
    "frozen": (
        told(
            *STATUS,
            lambda seen: seen["still"].append(
                {"account": "", "since": "now", "cause": "it is old"}
            ),
        ),
        "everything has been frozen since now",
        "rexalgo restore confirm",
    ),
    "a write that failed": (
        told(*STATUS, lambda seen: seen["engine"].update(running=True, ledger_healthy=False)),
        "the server's last write to the ledger failed",
        "check disk space",
    ),
    "a troubled account": (
        told(
            *STATUS,
            lambda seen: seen["engine"].update(
                troubled={"f": {"quarantined": True, "problem": "", "last_error": ""}}
            ),
        ),
        "account f: is quarantined",
        "rexalgo account release NAME",
    ),
    "entries that are off": (
        lambda place, patch: cli("--config", place, "halt", "entries", "--all"),
        "new entries are off",
        "rexalgo resume entries --all",
    ),
    "orders that are not confirmed": (
        told(*STATUS, lambda seen: seen["open_orders"].update(not_confirmed=2)),
        "2 orders were sent and never confirmed",
        "rexalgo unknown list",
    ),
    "unknown orders": (
        told(*STATUS, lambda seen: seen["open_orders"].update(unknown=3)),
        "3 orders are being looked up",
        "rexalgo unknown list",
    ),
    "late orders": (
        told(
            *STATUS,
            lambda seen: seen["needs"].append(
                {"code": "late", "what": "they wait", "do": "look", "is_wrong": True}
            ),
        ),
        "they wait",
        "look",
    ),
    "a channel that tells nothing": (
        told(*STATUS, an_alert_is_not_told),
        "2 alerts are not told to ntfy",
        "rexalgo alert test ntfy",
    ),
    "prices that nobody can read": (
        told(*STATUS, lambda seen: needing(seen, exchanges_in_trouble={"paper": "timed out"})),
        "prices of paper cannot be read: timed out",
        "its log",
    ),
    "books that differ": (
        told(*STATUS, lambda seen: seen["books"].update(differ=["f trend BTCUSDT"])),
        "the books of f trend BTCUSDT differ",
        "rexalgo books check",
    ),
    "fills without a price": (
        told(*STATUS, lambda seen: seen["books"].update(unsettled=2)),
        "2 fills have no price",
        "rexalgo books check",
    ),
    "fills without a cause": (
        told(*STATUS, lambda seen: seen["books"].update(unexplained=2)),
        "2 fills remain unexplained",
        "rexalgo books check",
    ),
    "backups that nothing makes": (
        appended("[backup]\nevery_hours = 0\n"),
        "RexAlgo makes no backups by itself",
        "backup.every_hours",
    ),
    "an overdue backup": (an_overdue_backup, "the newest backup is ", "rexalgo backup; the log"),
}
"""Every item that can be red: what turns it red, the beginning of what is said then, and what to do."""


def sites(module: Any) -> set[int]:
    """Return the lines of a module where a finding is made that is not always ok."""
    calls = [each for each in ast.walk(ast.parse(getsource(module))) if isinstance(each, ast.Call)]
    return {
        each.lineno
        for each in calls
        if isinstance(each.func, ast.Name)
        and each.func.id == "Finding"
        and ast.unparse(each.args[0]) != "'ok'"
    }


@pytest.fixture(scope="module")
def reached() -> dict[str, set[tuple[str, int]]]:
    """Return, by case, the lines that made a finding which is not ok."""
    return {}


@pytest.mark.parametrize("name", RED)
def test_each_item_turns_red_and_says_what_to_type(
    name: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    reached: dict[str, set[tuple[str, int]]],
) -> None:
    lines = reached.setdefault(name, set())

    def noting(level: str, what: str, do: str = "") -> Finding:
        frame = sys._getframe(1)
        if level != "ok":
            lines.add((frame.f_globals["__name__"], frame.f_lineno))
        return Finding(level, what, do)

    for module in (doctor_module, production):
        monkeypatch.setattr(module, "Finding", noting)
    spoil, what, do = RED[name]
    spoil(place, monkeypatch)
    found = every_finding(place)
    red = [each for each in found if each["level"] != "ok" and do in each["do"]]
    assert [each for each in red if what in each["what"][: len(what) + 12]], [
        (each["what"], each["do"]) for each in found if each["level"] != "ok"
    ]


def test_every_need_that_is_wrong_is_told_and_ends_with_1(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that nobody has thought of here."""

    def need(seen: dict[str, Any]) -> None:
        seen["needs"] = [
            {"code": "new", "what": "it burns", "do": "rexalgo system", "is_wrong": True},
            {"code": "wishes", "what": "one asks", "do": "rexalgo user list", "is_wrong": False},
        ]

    told(*STATUS, need)(place, monkeypatch)
    found = every_finding(place)
    assert {"level": "wrong", "what": "it burns", "do": "rexalgo system"} in found
    assert "one asks" not in [each["what"] for each in found]


def test_status_names_the_channels_in_use_that_were_not_told(place: Path) -> None:
    change(
        place,
        "INSERT INTO channel (name, told) VALUES ('webhook_out', 0), ('former', 0)"
        " ON CONFLICT (name) DO NOTHING;"
        "INSERT INTO event (at_us, kind, subject, data)"
        """ VALUES (0, 'alert', 'f', '{"code": "test", "details": {}, "count": 1}');"""
        "INSERT INTO alert_untold SELECT name, max(sequence) FROM event, channel"
        " WHERE name IN ('webhook_out', 'former') GROUP BY name",
    )
    assert json.loads(cli("--config", place, "status", "--json"))["untold"] == [
        {"channel": "webhook_out", "waiting": 1, "since": "1970-01-01T00:00:00+00:00"}
    ]


def test_every_item_that_can_be_red_is_turned_red_here(
    reached: dict[str, set[tuple[str, int]]],
) -> None:
    if set(reached) != set(RED):
        pytest.skip("only some of the cases ran")
    modules = (doctor_module, production)
    every = {(each.__name__, line) for each in modules for line in sites(each)}
    assert len(every) > 40
    assert every - set().union(*reached.values()) == set()


@pytest.mark.parametrize(
    ("names", "proxies"),
    [
        (("copy.example.org",), ""),
        (("*.example.org", "example.org"), ""),
        (("inside.example.org",), '"127.0.0.1"'),  # people see the proxy's certificate
    ],
)
def test_a_certificate_that_people_can_trust_is_green(
    names: tuple[str, ...], proxies: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certified(*names, days=(-1, 15), proxies=proxies)(place, monkeypatch)
    told = [each for each in every_finding(place) if each["what"].startswith("TLS")]
    assert [each["level"] for each in told] == ["ok"]
    assert "valid until 20" in told[0]["what"]


def test_passkeys_that_open_nothing_here_are_named(place: Path) -> None:
    for number, host in enumerate(("copy.example.org", "old.example.org")):
        change(
            place,
            "INSERT INTO passkey (id, person_id, credential, public_key, sign_count, rp_id, name, "
            f"created_us) SELECT 'pas_{number}', id, x'0{number}', x'00', 0, '{host}', 'Phone', 1 "
            "FROM person",
        )
    told, _ = [each for each in every_finding(place) if each["level"] != "ok"][::-1]
    assert told["level"] == "warn"
    assert "made for another host than that of web.public_url: ops" in told["what"]
    assert told["do"].endswith("rexalgo user reset-factors ops")
    change(place, "DELETE FROM passkey WHERE rp_id != 'copy.example.org'")
    (only,) = [each for each in every_finding(place) if each["level"] != "ok"]
    assert only["what"] == "no server runs in this folder"


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("copy.example.org", True),
        ("Copy.Example.ORG.", True),
        ("mylocalhost.org", True),
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("", False),
        ("localhost", False),
        ("localhost.", False),
        ("x.localhost", False),
        ("X.LocalHost.", False),
        ("copy", False),
        ("copy.local", False),
        ("copy.internal", False),
        ("copy.home.arpa", False),
        ("127.0.0.2", False),
        ("10.0.0.7", False),
        ("::1", False),
        ("fd00::7", False),
    ],
)
def test_a_public_address_is_one_for_other_machines(host: str, public: bool) -> None:
    assert production.is_public(host) is public


def test_the_system_is_asked_for_its_clock_and_a_distribution_for_its_licence() -> None:
    assert production.clock_is_synchronized() in (True, False, None)
    assert production.licence_of("rexalgo") == "Apache-2.0"
    assert production.licence_of("there-is-none-such") == ""
