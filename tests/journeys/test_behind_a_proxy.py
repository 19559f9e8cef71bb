"""The proxies of deploy/ in front of a real server: peer addresses, cookies and headers over TLS,
unbuffered streams, and the limits that nginx keeps by address.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import trustme
from browser_free import OPENED, User, close_all
from click.testing import CliRunner
from coming_in import PASSWORD, link, operator
from journey_place import DECLARATIONS, Place, opening, reserved_port, run_cli, running, until

from engine.keys.vault import new_root_key
from rexalgo.cli import main, production

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NAME = "copy.example.org"
"""The place's name; this machine answers to it here."""
ROOT = "root.pem"
"""The certificate that vouches for the proxy, in the place's folder."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """What starts a proxy: a command and its environment, with a file of deploy/ that listens on a
    port here. ``root`` is where the certificate appears that vouches for it.
    """

    command: list[str]
    env: dict[str, str]
    root: Path


def caddy(folder: Path, port: int, upstream: str) -> Proxy:
    """Prepare Caddy. The port of redirects and the system's store stay untouched, and it is its own
    authority for a public name.
    """
    text = (DEPLOY / "Caddyfile").read_text(encoding="utf-8")
    apart = "admin off\n\tlocal_certs\n\tauto_https disable_redirects\n\tskip_install_trust"
    (folder / "Caddyfile").write_text(text.replace("admin off", apart, 1))
    env = {
        "REXALGO_SITE": f"https://{NAME}:{port}",
        "REXALGO_UPSTREAM": upstream,
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "caddy"),
        "XDG_CONFIG_HOME": str(folder / "caddy"),
    }
    return Proxy(
        ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"],
        env,
        folder / "caddy" / "caddy" / "pki" / "authorities" / "local" / "root.crt",
    )


def nginx(folder: Path, port: int, upstream: str) -> Proxy:
    """Prepare nginx: names, paths and ports of this machine stand in for those of the file."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    issued = authority.issue_cert(NAME)
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "site.pem")
    text = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/copy.example.org.pem", str(folder / "site.pem")),
        ("/etc/ssl/copy.example.org.key", str(folder / "site.pem")),
        ("server_name copy.example.org;", f"server_name {NAME};"),
        ("http://127.0.0.1:8420;", f"http://{upstream};"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text)
    scratch = "".join(
        f"{each}_temp_path {folder}/nginx-{each};\n"
        for each in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{scratch}include {folder}/site.conf;\n}}\n"
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    return Proxy(command, {}, folder / "authority.pem")


@pytest.fixture(scope="module", autouse=True)
def named() -> Iterator[None]:
    """Find the place's name on this machine."""
    look_up = socket.getaddrinfo

    def find(host: Any, *args: Any, **kwargs: Any) -> Any:
        return look_up("127.0.0.1" if host == NAME else host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", find)
        yield


@contextmanager
def fronted(
    prepare: Callable[[Path, int, str], Proxy], folder: Path, *settings: str
) -> Iterator[Place]:
    """Serve behind a proxy. ``url`` is the proxy's."""
    if shutil.which(prepare.__name__, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(
            f"{prepare.__name__} is not installed here (apt-get install {prepare.__name__})"
        )
    folder.mkdir(exist_ok=True)
    held = reserved_port()
    port = held.getsockname()[1]
    site = f"https://{NAME}:{port}"
    settings = (f"web.public_url={site}", 'web.trusted_proxies=["127.0.0.1"]', *settings)
    run_cli("init", *(each for one in settings for each in ("--set", one)), cwd=folder)
    made = Place(folder)
    made.provision(DECLARATIONS.format(followers=1))
    with running(made), ExitStack() as stack:
        proxy = prepare(folder, port, made.url.removeprefix("http://"))
        log = stack.enter_context((folder / "proxy.log").open("w"))
        path = f"{os.environ['PATH']}:/usr/sbin"
        held.close()
        process = stack.enter_context(
            subprocess.Popen(
                proxy.command,
                env={**os.environ, "PATH": path, **proxy.env},
                stdout=log,
                stderr=log,
            )
        )
        stack.callback(process.terminate)
        stack.callback(close_all)

        def is_there() -> bool:
            assert process.poll() is None, (folder / "proxy.log").read_text()
            return proxy.root.exists() and answers(site, proxy.root)

        until(is_there)
        shutil.copy(proxy.root, folder / ROOT)
        made.url = site
        made.bots["trend"].url = (
            site + "/api/webhooks" + made.bots["trend"].url.partition("/api/webhooks")[2]
        )
        yield made


@pytest.fixture(scope="module", params=[caddy, nginx], ids=["caddy", "nginx"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Serve behind each proxy of deploy/."""
    with fronted(request.param, tmp_path_factory.mktemp("proxied")) as made:
        yield made


def answers(site: str, root: Path) -> bool:
    try:
        with httpx.Client(
            verify=ssl.create_default_context(cafile=root), trust_env=False
        ) as client:
            return client.get(f"{site}/api/health").status_code == 200
    except (httpx.TransportError, ssl.SSLError):
        return False


@contextmanager
def connected(place: Place, peer: str) -> Iterator[ssl.SSLSocket]:
    """Connect to the proxy from an address of this machine."""
    port = int(place.url.rpartition(":")[2])
    trusted = ssl.create_default_context(cafile=place.folder / ROOT)
    with (
        socket.create_connection(("127.0.0.1", port), 60, (peer, 0)) as plain,
        trusted.wrap_socket(plain, server_hostname=NAME) as stream,
    ):
        yield stream


def head(place: Place, asked: str, *lines: str) -> bytes:
    """Return the head of a request."""
    host = place.url.partition("//")[2]
    return "\r\n".join((f"{asked} HTTP/1.1", f"Host: {host}", *lines, "", "")).encode()


def client_of(place: Place, local_address: str | None = None) -> httpx.Client:
    trusted = ssl.create_default_context(cafile=place.folder / ROOT)
    transport = httpx.HTTPTransport(verify=trusted, local_address=local_address)
    OPENED.append(
        httpx.Client(transport=transport, trust_env=False, follow_redirects=True, timeout=30)
    )
    return OPENED[-1]


def test_a_bot_is_known_by_its_own_address_whatever_it_says_about_itself(place: Place) -> None:
    content, headers = place.bots["trend"].request(opening("through"))
    forged = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Real-IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.9",
    }
    answer = client_of(place, "127.0.0.3").post(
        place.bots["trend"].url, content=content, headers={**headers, **forged}
    )
    assert answer.status_code == 202, answer.text
    assert place.settled(answer.json()["signal_id"]) == ["filled"]
    until(lambda: place.rows("SELECT peer FROM delivery") == [("127.0.0.3",)])


def test_people_come_in_over_tls_and_their_pages_stay_live(place: Place) -> None:
    sent = place.bots["trend"].post(client_of(place), opening("live"))
    assert len(place.settled(sent.json()["signal_id"])) == 1
    user = User(place.url, client_of(place))
    way = link(place, "user", "link", "follower:f0001")
    user.get(way)
    user.post(way)
    user.post("/security/password", password=PASSWORD, again=PASSWORD)
    user.get("/home")
    assert user.page is not None
    headers = user.page.headers
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers.get("server") in (None, "nginx")  # which nginx cannot leave out; no version
    assert headers["content-encoding"] == "gzip"  # ours, with masked tokens: the proxy adds none
    [cookie] = [each for each in user.client.cookies.jar if each.name == "__Host-rexalgo"]
    assert cookie.secure
    with user.client.stream("GET", f"{place.url}/pulse", headers={"Last-Event-ID": "0"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        while not next(lines).startswith(
            "id:"
        ):  # it comes while the answer goes on: nothing waits for its end
            pass


def test_a_body_that_is_too_large_and_a_name_that_is_not_ours_are_refused_in_words(
    place: Place,
) -> None:
    client = client_of(place)
    # One that the sockets hold whole: of a larger one the proxy may still be sending when the
    # answer comes, and say 502 on a busy machine.
    assert client.post(place.bots["trend"].url, content=b"x" * 70_000).status_code == 413
    with pytest.raises(httpx.TransportError):
        client.get(place.url.replace(NAME, "127.0.0.1"))


def test_the_proxy_refuses_a_huge_body_unread_and_cuts_a_head_that_does_not_end(
    place: Place,
) -> None:
    asked = "POST /" + place.bots["trend"].url.split("/", 3)[3]
    for sent, said in (
        (head(place, asked, "Content-Length: 100000"), b"HTTP/1.1 413"),  # no byte of it was sent
        (head(place, asked)[:-2], b""),
    ):
        with connected(place, "127.0.0.1") as stream:
            stream.sendall(sent)
            assert stream.recv(12) == said


class _Taking(BaseHTTPRequestHandler):
    """Takes every message, and keeps it."""

    taken: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.taken.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def receiving() -> Iterator[str]:
    """Serve what takes alerts; yield its address."""
    with HTTPServer(("127.0.0.1", 0), _Taking) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook"
        finally:
            server.shutdown()
            thread.join()


def test_a_place_that_strangers_may_trust_is_green_in_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production, "clock_is_synchronized", lambda: True)  # not this machine's
    for name in ("ENCRYPTION_KEY", "JWT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    secret = tmp_path / "hook-secret"
    secret.write_text("whsec_" + new_root_key()[9:])
    secret.chmod(0o600)
    with receiving() as hook:
        settings = (
            "operator.name=Ops",
            'operator.alerts=["log","webhook_out"]',
            f"plugin.webhook_out.url={hook}",
            f"plugin.webhook_out.secret_file={secret}",
            'outgoing.internal=["127.0.0.1"]',
            'plugins.enabled=["paper","signed_webhook","gcra","log","webhook_out"]',
        )
        with fronted(caddy, tmp_path / "place", *settings) as place:
            operator(place, client_of(place))
            with client_of(place) as client:
                signal_id = place.bots["trend"].post(client, opening("one")).json()["signal_id"]
            assert place.settled(signal_id) == ["filled"]
            run_cli("alert", "test", "webhook_out", cwd=place.folder)
            run_cli("backup", cwd=place.folder)
            told = CliRunner().invoke(
                main, ["--config", str(place.folder), "doctor", "--production", "--json"]
            )
            found = json.loads(told.output)["findings"]
            assert [each for each in found if each["level"] != "ok"] == []
            assert len(found) > 20
            assert any(b"test" in each for each in _Taking.taken)
            close_all()


ONLY_NGINX = pytest.mark.parametrize("place", [nginx], indirect=True, ids=["nginx"])
CONNECTIONS, DELIVERIES, SIGN_INS, PAGES = 100, 100, 10, 60
"""What one address may have at once, as nginx.conf sets it."""


def ask_at_once(place: Place, peer: str, asked: str, number: int = 1) -> list[bytes]:
    """Send a request so many times over one connection without waiting; return every answer."""
    each = head(place, asked, "Content-Length: 0")
    last = head(place, asked, "Content-Length: 0", "Connection: close")
    with connected(place, peer) as stream:
        stream.sendall(each * (number - 1) + last)
        received = b"".join(iter(lambda: stream.recv(65_536), b""))
    return received.split(b"HTTP/1.1 ")[1:]


@ONLY_NGINX
@pytest.mark.parametrize(
    ("asked", "burst", "passed"),
    [
        ("POST /hooks/tv/an-address-that-is-none-of-ours", DELIVERIES, b"401"),
        ("GET /sign-in", SIGN_INS, b"200"),
        ("GET /api/ready", PAGES, b"200"),
    ],
)
def test_a_flood_from_one_address_ends_at_nginx_and_nobody_else_waits(
    place: Place, asked: str, burst: int, passed: bytes
) -> None:
    answered = ask_at_once(place, f"127.0.1.{burst}", asked, 3 * burst)
    refused = [each for each in answered if each.startswith(b"429")]
    through = [each for each in answered if each.startswith(passed)]
    assert (len(answered), len(refused) + len(through)) == (3 * burst, 3 * burst)
    assert len(through) > burst
    assert refused
    assert all(b"\r\nRetry-After: 5\r\n" in each for each in refused)
    (other,) = ask_at_once(place, "127.0.1.1", asked)
    assert other.startswith(passed)
    assert b"Retry-After" not in other


@ONLY_NGINX
def test_one_address_holds_a_hundred_requests_open_and_nobody_else_waits(place: Place) -> None:
    begun = head(place, "POST /hooks/tv/none", "Content-Length: 9", "Expect: 100-continue")
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stream = stack.enter_context(connected(place, "127.0.2.1"))
            stream.sendall(begun)
            assert stream.recv(12) == b"HTTP/1.1 100"  # it waits for the body now
        assert ask_at_once(place, "127.0.2.1", "GET /sign-in")[0].startswith(b"429")
        assert ask_at_once(place, "127.0.2.2", "GET /sign-in")[0].startswith(b"200")
    until(lambda: ask_at_once(place, "127.0.2.1", "GET /api/ready")[0].startswith(b"200"))
