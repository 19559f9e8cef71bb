"""Planted secrets of every kind are found nowhere but where a person put them: not in the log at
DEBUG level with faults that print what they hold, not in ledger, backups, exports, pages,
tracebacks, or what the system tells about the process.
"""

import base64
import json
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pyotp
import pytest
from browser_free import User, close_all
from journey_place import DECLARATIONS, Place, opening, run_cli, running, until

from engine.settings.secrets import parse_env

SERVE = Path(__file__).with_name("canary_serve.py")
PAGES_MAX = 120
MADE_BY_A_PERSON = {".env", "people.toml", "bot-token"}
"""Files in which a person, or ``rexalgo init`` for them, wrote a secret."""
METRICS = ("/metrics", "/api/metrics")
"""Scraped whether they exist or not, so that they are looked through from their first day."""
_LINK = re.compile(r'href="(/[^"#]*)"')


def forms(secret: str) -> Iterator[bytes]:
    """Yield a secret as it may be written: as it is, quoted, in base64 and in hex."""
    raw = secret.encode()
    yield raw
    yield quote(secret, safe="").encode()
    yield base64.b64encode(raw).rstrip(b"=")
    yield raw.hex().encode()
    try:
        key = base64.b64decode(secret, validate=True)
    except ValueError:
        return
    if len(key) >= 16:
        yield key
        yield key.hex().encode()


def found(planted: dict[str, str], texts: dict[str, bytes]) -> list[str]:
    """Return which secret stands in which text."""
    wanted = {name: set(forms(secret)) for name, secret in planted.items()}
    return [
        f"{name} in {where}"
        for where, text in texts.items()
        for name, written in wanted.items()
        if any(form in text for form in written)
    ]


def test_the_search_finds_a_secret_in_every_form() -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    for form in forms(key):
        assert found({"key": key}, {"here": b"x" + form + b"y"}) == ["key in here"]
    assert found({"key": key}, {"here": b"nothing"}) == []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    settings = f"""[plugin.telegram]
bot_token_file = "{tmp_path / "place" / "bot-token"}"
chat_id = "1"
base_url = "http://127.0.0.1:9"
"""
    # env, because the system tells a fork's environment as its parent had it
    made = Place(tmp_path / "place", settings, ["env", sys.executable, str(SERVE)])
    toml = made.folder / "rexalgo.toml"
    text = toml.read_text().replace('"log"]', '"log", "telegram"]')
    toml.write_text(text.replace('alerts = "log"', 'alerts = ["log", "telegram"]'))
    yield made
    close_all()


def planted_in(place: Place) -> dict[str, str]:
    """Write the secrets that stand in files, and declare people with logins; return all by name."""
    token = f"{secrets.randbelow(10**9)}:{secrets.token_urlsafe(24)}"
    (place.folder / "bot-token").write_text(token)
    (place.folder / "bot-token").chmod(0o600)
    login = f"login-{secrets.token_hex(12)}"
    place.provision(DECLARATIONS.format(followers=2).replace("paper-{n:04}", f"{login}-{{n:04}}"))
    env = parse_env((place.folder / ".env").read_text())
    return {
        "root key": env["ENCRYPTION_KEY"].partition(":")[2],
        "session key": env["JWT_SECRET"],
        "bot token": token,
        "exchange login": login,
        "webhook secret": place.bots["trend"].secret.reveal(),
    }


def signed_in(place: Place, planted: dict[str, str]) -> User:
    """Sign an operator in who is also a master and a follower; add their secrets to ``planted``."""
    password = f"calm {secrets.token_hex(8)} words"
    for name in ("follower", "master"):
        run_cli("user", "role", "follower:f0001", name, cwd=place.folder)
    made = json.loads(run_cli("user", "link", "follower:f0001", "--json", cwd=place.folder))
    user = User(place.url)
    way = "/" + made["link"].split("/", 3)[3]
    user.get(way)
    user.post(way)
    shown = user.post("/security/password", password=password, again=password)
    codes = re.findall(r"<li><code>([a-z0-9-]{14})</code></li>", shown)
    user.get("/security/second-factor")
    totp = user.value("secret")
    user.post("/security/second-factor", secret=totp, code=pyotp.TOTP(totp).now())
    invitation = json.loads(run_cli("invite", "create", "--json", cwd=place.folder))["link"]
    planted |= {
        "password": password,
        "sign-in link": way.rpartition("/")[2],
        "invitation": invitation.partition("invite=")[2],
        "second factor": totp,
        "recovery code": codes[0],
        "cookie": user.client.cookies["rexalgo"],
    }
    return user


def everything_goes_wrong(place: Place, user: User, planted: dict[str, str]) -> None:
    """Make faults while secrets are at hand, and send secrets to where they do not belong."""
    with httpx.Client(trust_env=False, timeout=30) as client:
        bot = place.bots["trend"]
        assert bot.post(client, opening("before")).status_code == 202
        lost = {"authorization": f"Bearer {bot.secret.reveal()}", "x-api-key": planted["cookie"]}
        misplaced = json.dumps({**opening("x"), "passphrase": bot.secret.reveal()})
        assert client.post(bot.url, content=misplaced, headers=lost).status_code == 401
        client.get(f"{place.url}/nothing/{planted['webhook secret']}?key={planted['cookie']}")
        for name, password in (
            (planted["password"], "x"),
            ("f0001", planted["password"]),
            (planted["recovery code"], planted["second factor"]),
        ):
            wrong = {"name": name, "password": password, "code": "000000"}
            client.post(f"{place.url}/sign-in", data=wrong, headers={"Origin": place.url})
        (place.folder / "fault").touch()
        assert bot.post(client, opening("after")).status_code == 202
        answer = user.client.get(f"{place.url}/home")
        log = place.folder / "log"
        until(lambda: log.read_text().count("ZeroDivisionError") >= 2)
        assert answer.status_code == 503
        (place.folder / "fault").unlink()


def pages(user: User) -> dict[str, bytes]:
    """Follow every link from the first page on; return each page's text and headers."""
    seen: dict[str, bytes] = {}
    waiting = ["/home", "/studio", "/security", *METRICS]
    while waiting and len(seen) < PAGES_MAX:
        path = waiting.pop(0)
        if path in seen or path.startswith(("/static", "/pulse", "/events")):
            continue
        answer = user.client.get(user.url + path)
        seen[path] = answer.content + repr(answer.headers).encode()
        waiting += _LINK.findall(answer.text.replace("&amp;", "&"))
    return seen


def told(place: Place) -> dict[str, bytes]:
    """Return what commands print, and a backup."""
    commands = (
        ("status",),
        ("config", "check"),
        ("doctor",),
        ("key", "status"),
        ("audit", "list"),
        ("alert", "list"),
        ("user", "list"),
        ("account", "list"),
        ("invite", "list"),
        ("system",),
        ("why", "last"),
    )
    run_cli("backup", "backup.sqlite3", cwd=place.folder)
    return {
        " ".join(each): run_cli(*each, "--json", cwd=place.folder, code=None).encode()
        for each in commands
    }


def of_the_process(place: Place) -> dict[str, bytes]:
    """Return what the system tells about the server's process."""
    assert place.process is not None
    base = Path(f"/proc/{place.process.pid}")
    return {str(base / name): (base / name).read_bytes() for name in ("environ", "cmdline")}


def files(folder: Path) -> dict[str, bytes]:
    """Return every file of the place but those that a person wrote."""
    return {
        str(each.relative_to(folder)): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file() and each.name not in MADE_BY_A_PERSON
    }


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_planted_secrets_are_found_nowhere(place: Place) -> None:
    planted = planted_in(place)
    with running(place):
        user = signed_in(place, planted)
        everything_goes_wrong(place, user, planted)
        seen = pages(user)
        assert len(seen) > 15, sorted(seen)
        texts = {**seen, **told(place), **of_the_process(place), **files(place.folder)}
    texts |= {f"stopped: {name}": text for name, text in files(place.folder).items()}
    log = (place.folder / "log").read_text()
    assert " DEBUG " in log
    assert "Traceback" in log
    assert any("-wal" in name for name in texts)
    assert "backup.sqlite3" in texts
    assert found(planted, texts) == []
