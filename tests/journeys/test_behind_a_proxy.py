"""The Caddyfile of deploy/ in front of a real server: peer addresses, cookies and headers over TLS,
unbuffered streams.
"""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from browser_free import OPENED, User, close_all
from coming_in import PASSWORD, link
from journey_place import DECLARATIONS, Place, opening, run_cli, running, until

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(
    shutil.which("caddy") is None,
    reason="caddy is not installed here (Debian: apt-get install caddy)",
)


def free_port() -> int:
    with closing(socket.socket()) as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Serve behind Caddy with the Caddyfile of deploy/. ``url`` is the proxy's."""
    folder, port = tmp_path_factory.mktemp("proxied"), free_port()
    site = f"https://localhost:{port}"
    run_cli(
        "init",
        "--set",
        f"web.public_url={site}",
        "--set",
        'web.trusted_proxies=["127.0.0.1"]',
        cwd=folder,
    )
    made = Place(folder)
    made.provision(DECLARATIONS.format(followers=1))
    with running(made):
        text = (ROOT / "deploy" / "Caddyfile").read_text(
            encoding="utf-8"
        )  # the port of redirects and the system's store stay untouched
        (folder / "Caddyfile").write_text(
            text.replace(
                "admin off", "admin off\n\tauto_https disable_redirects\n\tskip_install_trust", 1
            )
        )
        env = {
            **os.environ,
            "REXALGO_SITE": site,
            "REXALGO_UPSTREAM": made.url.removeprefix("http://"),
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder / "caddy"),
            "XDG_CONFIG_HOME": str(folder / "caddy"),
        }
        command = ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
        with (
            (folder / "caddy.log").open("w") as log,
            subprocess.Popen(command, env=env, stdout=log, stderr=log) as proxy,
        ):
            root = folder / "caddy" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
            try:
                until(lambda: proxy.poll() is None and root.exists() and answers(site, root), 30)
                made.url = site
                made.bots["trend"].url = (
                    site + "/api/webhooks" + made.bots["trend"].url.partition("/api/webhooks")[2]
                )
                yield made
            finally:
                close_all()
                proxy.terminate()


def answers(site: str, root: Path) -> bool:
    try:
        with httpx.Client(
            verify=ssl.create_default_context(cafile=root), trust_env=False
        ) as client:
            return client.get(f"{site}/api/health").status_code == 200
    except (httpx.TransportError, ssl.SSLError):
        return False


def client_of(place: Place, local_address: str | None = None) -> httpx.Client:
    trusted = ssl.create_default_context(
        cafile=next(place.folder.glob("caddy/caddy/pki/authorities/local/root.crt"))
    )
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
    until(lambda: place.rows("SELECT peer FROM delivery") == [("127.0.0.3",)], 10)


def test_people_come_in_over_tls_and_their_pages_stay_live(place: Place) -> None:
    user = User(place.url, client_of(place))
    way = link(place, "user", "link", "follower:f0001")
    user.get(way)
    user.post(way)
    user.post("/security/password", password=PASSWORD, again=PASSWORD)
    user.get("/home")
    assert user.page is not None
    headers = user.page.headers
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in headers
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
        client.get(place.url.replace("localhost", "127.0.0.1"))


def test_the_proxy_refuses_a_huge_body_unread_and_cuts_a_head_that_does_not_end(
    place: Place,
) -> None:
    port = int(place.url.rpartition(":")[2])
    trusted = ssl.create_default_context(
        cafile=next(place.folder.glob("caddy/caddy/pki/authorities/local/root.crt"))
    )
    path = "/" + place.bots["trend"].url.split("/", 3)[3]
    head = f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\n"
    for sent, said in (
        (f"{head}Content-Length: 100000\r\n\r\n", b"HTTP/1.1 413"),  # no byte of it was sent
        (head, b""),
    ):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
            trusted.wrap_socket(plain, server_hostname="localhost") as stream,
        ):
            stream.sendall(sent.encode())
            assert stream.recv(12) == said
