"""An authenticated exit that is refused alerts people within seconds, on both kinds of address; an
unauthenticated one alerts nobody.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape

import httpx
import pytest
from browser_free import User, close_all
from coming_in import come_in
from journey_place import DECLARATIONS, Place, opening, run_cli, running, until

from rexalgo import sign_a

PEER = "52.89.214.238"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(
        tmp_path_factory.mktemp("place"), f'\n[plugin.tradingview]\naddresses = ["{PEER}"]\n'
    )
    toml = made.folder / "rexalgo.toml"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(
        text.replace("[web]", '[web]\ntrusted_proxies = ["127.0.0.1"]', 1), encoding="utf-8"
    )
    run_cli("plugin", "enable", "tradingview", cwd=made.folder)
    made.provision(DECLARATIONS.format(followers=2))
    with running(made):
        yield made


@pytest.fixture(scope="module")
def master(place: Place) -> Iterator[User]:
    yield come_in(place, "user", "link", "master:alpha")
    close_all()


def strategy_page(master: User) -> str:
    found = re.search(r"/studio/strategies/str_[0-9a-f]+", master.get("/studio"))
    assert found is not None
    return found[0]


def woken(place: Place, code: str) -> list[str]:
    """Return the lines of the log notifier for this alert."""
    return [
        line
        for line in (place.folder / "log").read_text(encoding="utf-8").splitlines()
        if f"alert={code} " in line
    ]


def status(place: Place) -> dict[str, object]:
    told: dict[str, object] = json.loads(run_cli("status", "--json", cwd=place.folder))
    return told


def test_a_proven_exit_that_is_refused_wakes_within_seconds_and_status_says_so(
    place: Place, master: User
) -> None:
    bot = place.bots["trend"]
    with httpx.Client(trust_env=False, timeout=20) as client:
        opened = bot.post(client, opening("o1")).json()
        assert set(place.settled(opened["signal_id"])) == {"filled"}
        assert str(status(place)["well"]).startswith("All is well")

        # What nobody proved raises nothing, whatever it says.
        broken = (
            b'{"idempotency_key": "x1", "action": "close", "symbol": "BTCUSDT", "passphrase": '
            b'"hunter2",}'
        )
        assert client.post(bot.url, content=broken).status_code == 401
        assert client.post(f"{place.url}/hooks/tv/{'a' * 43}", content=broken).status_code == 401

        body = json.dumps(
            {
                "idempotency_key": "c1",
                "action": "exit",
                "symbol": "BTCUSDT",
                "passphrase": "hunter2",
            }
        )
        answer = bot.post(client, json.loads(body))
        assert answer.status_code == 422
        until(lambda: bool(woken(place, "exit_refused")))
    (line,) = woken(place, "exit_refused")
    assert "wakes=yes" in line
    assert "action: expected" in line
    assert "Open positions of the strategy: 2." in line
    assert "hunter2" not in line
    assert woken(place, "signal_refused") == []

    told = status(place)
    assert told["well"] == ""
    assert any(
        "an exit of strategy trend was refused once" in each["what"] for each in told["needs"]
    )  # type: ignore[attr-defined]
    assert "NEEDS YOU   an exit of strategy trend was refused once" in run_cli(
        "status", cwd=place.folder
    )
    for page in ("/studio", strategy_page(master)):
        shown = unescape(master.get(page))
        assert "trend: an exit was refused" in shown, page
        assert "The fault: <code>action</code>" in shown
        assert '"action": "close", "symbol": "BTCUSDT"}' in shown
    assert "a verified message that reads like an exit was refused" in master.get("/notifications")


def test_the_message_from_the_page_closes_and_all_is_well_again(place: Place, master: User) -> None:
    message = re.search(r'data-copy="the message"><code>(\{.*?\})</code>', master.get("/studio"))
    assert message is not None
    body = unescape(message[1]).replace("A-NEW-ID-EACH-TIME", "c2").encode()
    bot = place.bots["trend"]
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = client.post(
            bot.url, content=body, headers=sign_a(bot.secret, body, datetime.now(UTC))
        )
    assert answer.status_code == 202, answer.text
    assert set(place.settled(answer.json()["signal_id"])) == {"filled"}
    assert "an exit was refused" not in master.get("/studio")
    assert [each["code"] for each in status(place)["needs"]] == ["alerts"]  # type: ignore[attr-defined]  # what it told is an hour old at most

    # A retry that builds its body again is told that its close is recorded, and wakes nobody.
    told = len(woken(place, "exit_refused"))
    rebuilt = {**json.loads(body), "sent_at": datetime.now(UTC).isoformat()}
    with httpx.Client(trust_env=False, timeout=20) as client:
        again = bot.post(client, rebuilt)
    assert (again.status_code, again.json()["signal_id"]) == (409, answer.json()["signal_id"])
    assert again.json()["receipt"] == answer.json()["receipt"]
    until(lambda: bool(woken(place, "signal_refused")))
    assert "the same is recorded under its id" in woken(place, "signal_refused")[0]
    assert len(woken(place, "exit_refused")) == told


def test_an_alert_that_is_proven_by_its_address_wakes_as_well(place: Place, master: User) -> None:
    page = strategy_page(master)
    shown = master.post(
        f"{page}/addresses/tradingview", setting_sell="close", only="all", days="30"
    )
    address = re.search(r'id="url">([^<]+)<', shown)
    assert address is not None
    url = place.url + "/hooks" + unescape(address[1]).partition("/hooks")[2]
    told = len(woken(place, "exit_refused"))
    with httpx.Client(trust_env=False, timeout=20) as client:
        for peer, code in (("203.0.113.9", 401), (PEER, 422)):
            answer = client.post(
                url,
                content=b"frobnicate the close of DOGEUSDT @ {{close}}",
                headers={"X-Forwarded-For": peer},
            )
            assert answer.status_code in (code, 400 if code == 422 else code), answer.text
    until(lambda: len(woken(place, "exit_refused")) > told)
    assert len(woken(place, "exit_refused")) == told + 1
    assert "<code>close BTCUSDT</code>" in master.get(page)
    assert url.rpartition("/")[2] not in (place.folder / "log").read_text(encoding="utf-8")
