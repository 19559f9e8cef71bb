"""TradingView's documented behaviour: text or JSON, a timeout of 3 s, a retry after a 5xx, its own
addresses.
"""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from html import unescape

import httpx
import pytest
from browser_free import User, close_all
from coming_in import come_in
from journey_place import DECLARATIONS, Place, run_cli, running, until

from engine.ledger.query import fetch_all
from web.connections import ConnectionLimits

SETTINGS = """
[plugin.tradingview]
addresses = ["52.89.214.238"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    toml = made.folder / "rexalgo.toml"
    text = toml.read_text(encoding="utf-8").replace(
        "[web]", '[web]\ntrusted_proxies = ["127.0.0.1"]', 1
    )
    if "trusted_proxies" not in text:
        text += '\n[web]\ntrusted_proxies = ["127.0.0.1"]\n'
    toml.write_text(text + SETTINGS, encoding="utf-8")
    run_cli("plugin", "enable", "tradingview", cwd=made.folder)
    made.provision(DECLARATIONS.format(followers=2))
    with running(made):
        yield made


@pytest.fixture(scope="module")
def master(place: Place) -> Iterator[User]:
    """Sign in as the provisioned master."""
    master = come_in(place, "user", "link", "master:alpha")
    yield master
    close_all()


def make(place: Place, master: User, **scope: str) -> str:
    """Create an address in the studio, and return its local form."""
    found = re.search(r"/studio/strategies/(str_[0-9a-f]+)", master.get("/studio"))
    assert found is not None
    page = master.get(f"/studio/strategies/{found[1]}/addresses/tradingview")
    assert "closes what is held on the other side, then opens short" in page
    shown = master.post(
        f"/studio/strategies/{found[1]}/addresses/tradingview",
        **{"setting_sell": "close", "only": "all", "days": "30", **scope},
    )
    address = re.search(r'id="url">([^<]+)<', shown)
    assert address is not None
    return place.url + "/hooks" + unescape(address[1]).partition("/hooks")[2]


@pytest.fixture(scope="module")
def url(place: Place, master: User) -> str:
    return make(place, master)


def send(url: str, body: str | dict[str, object], peer: str = "52.89.214.238") -> httpx.Response:
    """Post as TradingView does, through a proxy that adds the address."""
    is_json = isinstance(body, dict)
    content = json.dumps(body) if is_json else str(body)
    headers = {
        "Content-Type": "application/json; charset=utf-8"
        if is_json
        else "text/plain; charset=utf-8",
        "X-Forwarded-For": peer,
    }
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.post(url, content=content.encode(), headers=headers)


def test_json_and_text_are_one_signal_each(place: Place, url: str) -> None:
    for body in (
        {"action": "buy", "symbol": "BINANCE:BTCUSDT.P", "order_id": "L1", "time": "1"},
        "close BTCUSDT",
    ):
        answer = send(url, body)
        assert answer.status_code == 202, answer.text
        assert set(place.settled(answer.json()["signal_id"])) == {"filled"}


def test_what_is_sent_again_after_a_failure_is_one_signal(place: Place, url: str) -> None:
    body: dict[str, object] = {"action": "buy", "symbol": "BTCUSDT", "order_id": "L2", "time": "2"}
    first, again = send(url, body), send(url, body)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["signal_id"] == again.json()["signal_id"]
    assert again.json()["duplicate"] is True


def test_a_dry_run_of_an_alert_answers_what_it_would_come_to_and_trades_nothing(
    place: Place, url: str
) -> None:
    def signals() -> int:
        return int(place.rows("SELECT count(*) FROM signal")[0][0])

    body: dict[str, object] = {"action": "buy", "symbol": "BTCUSDT", "id": "dry", "time": "3"}
    before = signals()
    answer = send(f"{url}?dry_run=1", body)
    assert (answer.status_code, answer.json().get("dry_run")) == (200, True), answer.text
    assert answer.json()["copies"] == 2
    noted = "SELECT count(*) FROM delivery WHERE kind = 'invalid' AND field = 'dry_run'"
    before_near = place.rows(noted)[0][0]
    for near in ("?dry_run=true", "?drt_run=1"):
        refused = send(url + near, body)
        assert (refused.status_code, refused.json()["field"]) == (422, "dry_run"), near
    until(lambda: place.rows(noted)[0][0] == before_near + 2)
    assert send(f"{url}?dry_run=1", body, "203.0.113.9").status_code == 401
    assert signals() == before
    sent = send(url, body)
    assert (sent.status_code, signals()) == (202, before + 1), "its alert stayed free"


def test_exits_are_taken_each_though_text_or_order_id_are_those_of_another(
    place: Place, url: str
) -> None:
    """The order id is a name in the script; a close is sent as the same text for every trade."""
    first: dict[str, object] = {
        "action": "buy",
        "symbol": "BTCUSDT",
        "position": "long",
        "before": "flat",
        "id": "Long",
        "price": "1",
    }
    fill: dict[str, object] = {
        "action": "sell",
        "symbol": "BTCUSDT",
        "position": "long",
        "order_id": "TP",
        "size_before": "4",
    }
    sent = [
        first,
        fill | {"size_after": "3"},
        fill | {"size_after": "2"},
        "close BTCUSDT",
        first | {"price": "2"},
        "close BTCUSDT",
    ]
    answers = [send(url, each) for each in sent[:-1]]
    # A close ends what was not claimed yet: the second trade has to stand before it is closed.
    assert set(place.settled(answers[-1].json()["signal_id"])) == {"filled"}
    answers.append(send(url, sent[-1]))
    assert [answer.status_code for answer in answers] == [202] * 6
    assert len({answer.json()["signal_id"] for answer in answers}) == 6
    last = answers[-1].json()["signal_id"]
    assert set(place.settled(last)) == {"filled"}
    assert place.rows("SELECT count(*) FROM holding WHERE share != '0'")[0][0] == 0


def test_an_alert_that_says_flat_never_enters(place: Place, url: str) -> None:
    for told in (
        {"sentiment": "flat"},
        {"data": {"position_size": "0"}},
        {"strategy_info": {"market_position": "flat"}},
    ):
        answer = send(url, {"action": "buy", "ticker": "BYBIT:BTCUSDT.P", **told})
        assert answer.json()["mirrored"] is False
        assert place.rows(
            "SELECT json_extract(draft, '$.action') FROM signal WHERE id = ?",
            answer.json()["signal_id"],
        ) == [("close",)]
    refused = send(url, {"action": "sell", "symbol": "BTCUSDT", "market_postion": "flat"})
    assert (refused.status_code, refused.json()["field"]) == (422, "market_postion")


def test_a_sender_that_hangs_up_loses_nothing(place: Place, url: str) -> None:
    before = place.rows("SELECT count(*) FROM signal")[0][0]
    body = json.dumps({"action": "close", "symbol": "BTCUSDT", "id": "hung-up"}).encode()
    host, _, path = url.removeprefix("http://").partition("/")
    head = (
        f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: "
        f"52.89.214.238\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(
        (host.partition(":")[0], int(host.partition(":")[2])), timeout=10
    ) as sender:
        sender.sendall(
            head.encode() + body
        )  # and gone, before an answer: whether or not this one was taken, the two are one signal
    answer = send(url, {"action": "close", "symbol": "BTCUSDT", "id": "hung-up"})
    assert answer.status_code in (200, 202)
    assert place.rows("SELECT count(*) FROM signal")[0][0] == before + 1


def test_a_sender_cannot_say_what_the_host_says_of_an_address(place: Place, url: str) -> None:
    endpoint = place.rows("SELECT id FROM endpoint WHERE source = 'tradingview'")[0][0]
    headers = {
        "X-Forwarded-For": "52.89.214.238",
        "X-Capability-Token": url.rpartition("/")[2],
        "X-Endpoint-Sell": "reverse",
    }
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = client.post(
            f"{place.url}/api/webhooks/copy-trading/{endpoint}",
            content=b"sell BTCUSDT",
            headers=headers,
        )
    assert answer.status_code == 401


def test_a_trusted_proxy_holds_more_connections_than_any_other_address(place: Place) -> None:
    host, _, port = place.url.removeprefix("http://").partition(":")
    with ExitStack() as held:
        for _ in range(ConnectionLimits().connections_per_peer_max + 10):
            sock = held.enter_context(socket.create_connection((host, int(port)), timeout=10))
            sock.sendall(b"GET /api/health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("change", ["token", "peer"])
def test_another_token_or_address_is_refused_like_any_stranger(
    place: Place, url: str, change: str
) -> None:
    address, peer = (
        (url[:-2] + "xx", "52.89.214.238") if change == "token" else (url, "203.0.113.9")
    )
    answer = send(address, "buy BTCUSDT", peer)
    assert (answer.status_code, answer.json()["error"]) == (401, "not_authentic")


def test_an_alert_that_does_not_fit_says_which_field(url: str) -> None:
    assert send(url, "dance BTCUSDT").json()["field"] == "action"
    assert send(url, "buy DOGEUSDT").json()["field"] == "symbol"


def test_the_token_is_nowhere_in_the_ledger_or_the_log(place: Place, url: str) -> None:
    token = url.rpartition("/")[2].encode()
    files = [*(place.folder / "data").glob("ledger.sqlite3*"), place.folder / "log"]
    assert not any(token in file.read_bytes() for file in files)


def test_an_address_sends_no_more_entries_than_it_may_and_every_close(
    place: Place, master: User
) -> None:
    url = make(place, master, pace="2")
    answers = [
        send(url, {"action": "buy", "symbol": "BTCUSDT", "id": f"e{n}"}).status_code
        for n in range(6)
    ]
    assert answers[:2] == [202, 202]
    assert answers[-1] == 429
    assert [
        send(url, {"action": "close", "symbol": "BTCUSDT", "id": f"c{n}"}).status_code
        for n in range(3)
    ] == [202] * 3


def test_an_address_for_closes_only_takes_no_entry(place: Place, master: User) -> None:
    url = make(place, master, only="close", symbols="btcusdt")
    assert send(url, "buy BTCUSDT").json()["field"] == "action"
    assert send(url, "close BTCUSDT").status_code == 202


def test_an_alert_that_fired_long_ago_enters_nothing_and_its_age_is_noted(
    place: Place, url: str
) -> None:
    answer = send(
        url,
        {
            "action": "buy",
            "symbol": "BTCUSDT",
            "order_id": "late",
            "timenow": "2026-01-01T00:00:00Z",
        },
    )
    assert (answer.status_code, answer.json()["mirrored"]) == (202, False)
    assert set(place.settled(answer.json()["signal_id"])) <= {
        "expired",
        "skipped.superseded",
    }  # closes came since
    with place._ledger() as db:
        until(
            lambda: (
                fetch_all(
                    db, "SELECT 1 FROM delivery WHERE signal_id = ?", (answer.json()["signal_id"],)
                )
                != []
            ),
        )
    ((offset_ms,),) = place.rows(
        "SELECT offset_ms FROM delivery WHERE signal_id = ?", answer.json()["signal_id"]
    )
    assert offset_ms < -1_000_000
