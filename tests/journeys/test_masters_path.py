"""A master's path: publish, run the sender of the page, see the delivery and its receipt, rotate
under load, and debug.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape

import httpx
import pytest
from browser_free import User, close_all
from journey_place import DECLARATIONS, Bot, Place, closing, opening, run_cli, running, until

from rexalgo import Secret, sign_a

PASSWORD = "several calm words in a row"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    made.provision(DECLARATIONS.format(followers=2))
    with running(made):
        yield made


@pytest.fixture
def master(place: Place) -> Iterator[User]:
    """Sign in as a new master with a password."""
    told = json.loads(run_cli("invite", "create", "--role", "master", "--json", cwd=place.folder))
    user = User(place.url)
    user.get("/" + str(told["link"]).split("/", 3)[3])
    name = f"m{len(place.rows('SELECT id FROM person'))}"
    user.post("/join", invite=user.value("invite"), exchange="paper", name=name, balance="1000")
    user.post("/security/password", password=PASSWORD, again=PASSWORD)
    yield user
    close_all()


def shown(page: str, part: str) -> str:
    """Return the text of an element by its id."""
    found = re.search(rf'id="{part}"[^>]*>(.*?)</code>', page, re.DOTALL)
    assert found is not None, page[:3000]
    return unescape(found[1])


def make(master: User, name: str) -> tuple[str, str]:
    """Create and publish a strategy; return its id and the page that showed its secret."""
    master.get("/studio/copy-trading/new")
    page = master.post(
        "/studio/copy-trading/new",
        name=name,
        about="tests",
        symbols="BTCUSDT, ETHUSDT",
        leverage="5",
    )
    found = re.search(r"/studio/strategies/(str_[0-9a-f]+)", page)
    assert found is not None
    master.get(f"/studio/strategies/{found[1]}")
    master.post(f"/studio/strategies/{found[1]}/state", state="published")
    return found[1], page


@pytest.mark.parametrize(
    ("part", "command"), [("python", [sys.executable, "-"]), ("shell", ["bash", "-s"])]
)
def test_the_senders_that_the_page_shows_work_as_they_are(
    master: User, part: str, command: list[str]
) -> None:
    identifier, page = make(master, f"strategy-{part}")
    told = subprocess.run(
        command, input=shown(page, part), capture_output=True, text=True, timeout=60
    )
    assert told.returncode == 0, told.stderr
    assert "sig_" in told.stdout
    until(lambda: "Accepted" in master.get(f"/studio/strategies/{identifier}"))
    seen = master.get(f"/studio/strategies/{identifier}")
    receipt = re.search(r'href="(/api/receipts/rcp_[0-9a-f]+)"', seen)
    assert receipt is not None
    assert json.loads(master.get(receipt[1]))["action"] == "open"


def test_rotating_refuses_nothing_of_a_sender_that_goes_on_with_the_old_secret(
    master: User,
) -> None:
    identifier, page = make(master, "rotated")
    sender = shown(page, "python")
    assert (
        subprocess.run(
            [sys.executable, "-"], input=sender, capture_output=True, text=True, timeout=60
        ).returncode
        == 0
    )
    master.get(f"/studio/strategies/{identifier}")
    renewed = master.post(f"/studio/strategies/{identifier}/rotate")
    assert shown(renewed, "secret") != shown(page, "secret")
    for text in (sender, shown(renewed, "python")):
        assert (
            subprocess.run(
                [sys.executable, "-"], input=text, capture_output=True, text=True, timeout=60
            ).returncode
            == 0
        )
    until(
        lambda: "last used" in master.get(f"/studio/strategies/{identifier}")
    )  # noted off the sender's way
    master.post(f"/studio/strategies/{identifier}/revoke")
    refused = subprocess.run(
        [sys.executable, "-"], input=sender, capture_output=True, text=True, timeout=60
    )
    assert "401" in refused.stderr
    until(lambda: "Not authentic" in master.get(f"/studio/strategies/{identifier}/deliveries"))


def test_the_debugger_says_what_is_wrong(master: User, place: Place) -> None:
    identifier, page = make(master, "debugged")
    body = b'{"idempotency_key":"d1","action":"open","symbol":"BTCUSDT","side":"LONG"}'
    header = next(iter(sign_a(Secret(shown(page, "secret")), body, datetime.now(UTC)).values()))
    master.get("/studio/debugger")
    told = master.post(
        "/studio/debugger",
        strategy=identifier,
        headers=f"X-RexAlgo-Signature: {header}",
        body=body.decode(),
    )
    assert "would be accepted now" in told
    told = master.post(
        "/studio/debugger",
        strategy=identifier,
        headers=f"X-RexAlgo-Signature: {header}",
        body=body.decode() + "\n",
    )
    assert "was not signed" in told or "were not signed" in told
    assert shown(page, "secret") not in told
    lines = b'{"idempotency_key": "d2",\r\n "action": "close",\r\n "symbol": "BTCUSDT"}'
    header = next(iter(sign_a(Secret(shown(page, "secret")), lines, datetime.now(UTC)).values()))
    told = master.post(
        "/studio/debugger",
        strategy=identifier,
        headers=f"X-RexAlgo-Signature: {header}",
        body=lines.decode(),
    )
    assert "would be accepted now" in told
    master.get(f"/studio/strategies/{identifier}")
    master.post(f"/studio/strategies/{identifier}/rotate")
    master.get(f"/studio/strategies/{identifier}")
    master.post(f"/studio/strategies/{identifier}/revoke")
    told = master.post(
        "/studio/debugger",
        strategy=identifier,
        headers=f"X-RexAlgo-Signature: {header}",
        body=lines.decode(),
    )
    assert "an older secret, which ended" in told


def test_a_test_signal_of_every_action_goes_through_and_sends_no_order(
    master: User, place: Place
) -> None:
    identifier, _ = make(master, "tested")
    before = len(place.orders())
    for action in ("open", "add", "reduce", "close", "reverse", "set_protection", "cancel"):
        master.get(f"/studio/strategies/{identifier}")
        master.post(
            f"/studio/strategies/{identifier}/test", action=action, symbol="BTCUSDT", side="LONG"
        )
        assert "reached no exchange" in (master.page.text if master.page is not None else "")
    assert len(place.orders()) == before
    assert master.get(f"/studio/strategies/{identifier}/signals").count("test</span>") == 7


def test_what_is_another_masters_is_not_there(master: User, place: Place) -> None:
    other = place.rows("SELECT id FROM strategy WHERE name = 'trend'")[0][0]
    master.get(f"/studio/strategies/{other}", 404)
    master.get("/studio")
    master.post(f"/studio/strategies/{other}/rotate", 404)


def test_changed_terms_ask_followers_for_consent_and_a_retired_strategy_takes_no_entries(
    master: User, place: Place
) -> None:
    identifier, _ = make(master, "changing")
    master.get(f"/strategies/{identifier}/follow")
    terms = {
        "sizing": "fixed_margin",
        "size": "50",
        "leverage_mode": "capped",
        "leverage": "5",
        "symbols": "BTCUSDT",
        "do": "agree",
    }
    master.post(
        f"/strategies/{identifier}/follow", account=master_account(place), mode="watch", **terms
    )
    master.get(f"/studio/strategies/{identifier}")
    master.post(
        f"/studio/strategies/{identifier}/describe", about="x", symbols="BTCUSDT", leverage="10"
    )
    standing = (
        "SELECT agreed_us < terms_us FROM subscription JOIN strategy ON strategy.id = strategy_id "
        "WHERE strategy.id = ?"
    )
    assert place.rows(standing, identifier) == [(1,)]
    master.get(f"/studio/strategies/{identifier}")
    master.post(
        f"/studio/strategies/{identifier}/test", action="open", symbol="BTCUSDT", side="LONG"
    )
    signal = place.rows(
        "SELECT id FROM signal WHERE strategy_id = ? ORDER BY number DESC", identifier
    )[0][0]
    assert place.settled(str(signal)) == ["skipped.consent"]
    master.get(f"/strategies/{identifier}")
    master.post(f"/strategies/{identifier}/consent", account=master_account(place))
    assert place.rows(standing, identifier) == [(0,)]
    master.get(f"/studio/strategies/{identifier}")
    master.post(f"/studio/strategies/{identifier}/state", state="retired")
    master.post(
        f"/studio/strategies/{identifier}/test", action="open", symbol="BTCUSDT", side="LONG"
    )
    signal = place.rows(
        "SELECT id FROM signal WHERE strategy_id = ? ORDER BY number DESC", identifier
    )[0][0]
    assert place.settled(str(signal)) == ["skipped.strategy_off"]


def test_what_is_held_can_be_closed_after_its_contract_was_taken_out(
    master: User, place: Place
) -> None:
    identifier, page = make(master, "narrowed")
    bot = Bot(place.url + "/api/webhooks" + shown_address(page), Secret(shown(page, "secret")))
    master.get(f"/strategies/{identifier}/follow")
    terms = {
        "sizing": "fixed_margin",
        "size": "50",
        "leverage_mode": "capped",
        "leverage": "5",
        "symbols": "ETHUSDT",
        "do": "agree",
    }
    master.post(
        f"/strategies/{identifier}/follow",
        account=master_account(place),
        mode="live",
        confirmed="yes",
        **terms,
    )
    with httpx.Client(trust_env=False, timeout=20) as client:
        entered = bot.post(client, opening("n1", symbol="ETHUSDT")).json()
        assert place.settled(entered["signal_id"]) == ["filled"]
        master.get(f"/studio/strategies/{identifier}")
        master.post(
            f"/studio/strategies/{identifier}/describe", about="x", symbols="BTCUSDT", leverage="5"
        )
        assert bot.post(client, opening("n2", symbol="ETHUSDT")).status_code == 422
        closed = bot.post(client, closing("n3", symbol="ETHUSDT"))
        assert closed.status_code == 202, closed.text
        assert place.settled(closed.json()["signal_id"]) == ["filled"]
        assert bot.post(client, closing("n4", symbol="ETHUSDT")).status_code == 422


def test_a_deleted_address_is_gone_for_good_and_another_one_can_be_made(
    master: User, place: Place
) -> None:
    identifier, page = make(master, "renewed")
    bot = Bot(place.url + "/api/webhooks" + shown_address(page), Secret(shown(page, "secret")))
    seen = master.get(f"/studio/strategies/{identifier}")
    found = re.search(r'href="(/studio/strategies/[^"]+/delete)"', seen)
    assert found is not None
    assert "410 Gone" in master.get(found[1])
    master.post(found[1])
    assert "It has no address for" in master.get(f"/studio/strategies/{identifier}")
    with httpx.Client(trust_env=False, timeout=20) as client:
        assert bot.post(client, closing("g1")).status_code == 410
        again = master.post(f"/studio/strategies/{identifier}/endpoint")
        other = Bot(
            place.url + "/api/webhooks" + shown_address(again), Secret(shown(again, "secret"))
        )
        assert other.url != bot.url
        assert other.post(client, closing("g2")).status_code == 202
        assert bot.post(client, closing("g3")).status_code == 410
    master.get(f"/studio/strategies/{identifier}")
    master.post(f"/studio/strategies/{identifier}/endpoint", 422)
    acts = [
        row[0]
        for row in place.rows("SELECT act FROM audit WHERE subject = 'renewed' ORDER BY number")
    ]
    assert acts[-2:] == ["endpoint_deleted", "endpoint_made"]


def test_a_sender_is_told_that_a_paused_strategy_takes_no_entries(
    master: User, place: Place
) -> None:
    identifier, page = make(master, "pausing")
    bot = Bot(place.url + "/api/webhooks" + shown_address(page), Secret(shown(page, "secret")))
    with httpx.Client(trust_env=False, timeout=20) as client:
        assert (
            bot.post(client, opening("p1", seq=50)).json()["reason"]
            == "nobody follows the strategy"
        )
        master.get(f"/studio/strategies/{identifier}")
        master.post(f"/studio/strategies/{identifier}/state", state="paused")
        told = bot.post(client, opening("p2")).json()
        assert (told["mirrored"], "paused" in told["reason"]) == (False, True)
        told = bot.post(client, closing("p3", seq=1)).json()
        assert (told["mirrored"], told["reason"]) == (False, "nobody follows the strategy")
    assert "fell back from 50 to 1 while time went on" in master.get(
        f"/studio/strategies/{identifier}"
    )
    reason = "Not mirrored: the strategy is a draft, paused or retired"
    # deliveries are noted together, a moment after their answers
    until(lambda: reason in master.get(f"/studio/strategies/{identifier}/deliveries"))
    assert "Not mirrored: nobody follows the strategy" in master.get(
        f"/studio/strategies/{identifier}/signals"
    )


def shown_address(page: str) -> str:
    """Return the last part of the webhook address that a page shows."""
    found = re.search(r"/api/webhooks(/copy-trading/ep_[0-9a-f]+)", page)
    assert found is not None
    return found[1]


def master_account(place: Place) -> str:
    """Return the newest account: that of the last new master."""
    return str(place.rows("SELECT name FROM account ORDER BY created_us DESC LIMIT 1")[0][0])
