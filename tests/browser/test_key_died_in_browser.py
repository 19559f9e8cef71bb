"""A trader with a dead exchange key: informed at home, signed in with the password, a new key
added, copying again; and then gone, with the history kept.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until
from playwright.sync_api import Browser, expect
from screens import Window, window
from simulated_mudrex import Simulator, simulated

PASSWORD = "several calm words in a row"
NEW_KEY = "made-anew-at-the-exchange"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with simulated(tmp_path / "orders.jsonl") as made:
        yield made


@pytest.fixture
def place(simulator: Simulator, tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "place", f'[plugin.mudrex]\nbase_url = "{simulator.base_url}"')
    file = made.folder / "rexalgo.toml"
    text = file.read_text(encoding="utf-8").replace(
        "[engine]", "[engine]\nreconcile_active_s = 5\nreconcile_idle_s = 5"
    )
    file.write_text(text, encoding="utf-8")
    run_cli("plugin", "enable", "mudrex", cwd=made.folder)
    made.provision(DECLARATIONS.format(followers=1))
    with running(made):
        yield made


def signal(place: Place, body: dict[str, object]) -> None:
    with httpx.Client(trust_env=False, timeout=20) as client:
        assert place.bots["trend"].post(client, body).status_code == 202


def join_and_follow(place: Place, shown: Window) -> None:
    """Join with a simulated account and copy live."""
    link = json.loads(run_cli("invite", "create", "--json", cwd=place.folder))["link"]
    shown.open("/" + link.split("/", 3)[3])
    shown.page.locator("nav.steps a", has_text="SIMULATED").click()
    shown.fill(name="kai", secret="sim-of-kai")
    shown.press("Connect and join")
    shown.fill(password=PASSWORD, again=PASSWORD)
    shown.press("Set password")
    shown.follow("I have saved them")
    shown.open(f"/strategies/{place.rows('SELECT id FROM strategy')[0][0]}/follow")
    shown.page.locator("#live").check()
    shown.fill(size="100", open_positions="1")
    shown.page.locator("button[value=agree]").click()
    shown.page.get_by_role("button", name="Go live").click()
    shown.page.wait_for_url(re.compile("done=subscribed"))


def test_the_owner_is_told_comes_back_and_replaces_the_key(
    chromium: Browser, simulator: Simulator, place: Place
) -> None:
    with window(chromium, place.url) as shown:
        page = shown.page
        join_and_follow(place, shown)
        shown.open("/home")
        signal(place, opening("before"))
        expect(page.locator("#last tbody tr").first).to_contain_text("Filled")
        httpx.post(
            f"{simulator.control}/rotate",
            json={"account": "sim-of-kai", "key": NEW_KEY},
            trust_env=False,
        ).raise_for_status()
        expect(page.locator("main")).to_contain_text("Needs you")  # it came by itself
        expect(page.locator("main")).to_contain_text("not readable now")
        # what is open stays in sight
        expect(page.locator("#positions tbody tr")).to_have_count(1)
        shown.check()
        shown.open("/positions")
        expect(page.locator("#rows")).to_contain_text("kai cannot be read now")
        expect(page.locator("#rows tbody tr")).to_contain_text("BTCUSDT")
        shown.check()

        page.locator(".person summary").click()
        shown.press("Sign out")
        shown.open("/sign-in/exchange")
        page.locator("select[name=exchange]").select_option("mudrex")
        shown.press("Choose")
        shown.fill(secret="sim-of-kai")
        shown.press("Sign in")
        expect(page.locator("main")).to_contain_text("Mudrex does not accept this")
        shown.said.clear()  # the browser itself notes the 422
        shown.open("/sign-in")
        shown.fill(name="kai", password=PASSWORD)
        shown.press("Sign in")
        expect(page.locator("main")).to_contain_text("Needs you")
        shown.open("/accounts")
        shown.follow("kai")
        shown.follow("Replace the key")
        shown.check()
        shown.fill(secret="bad-key-of-nobody")
        shown.press("Use the new key")
        expect(page.locator(".field-error").first).to_be_visible()
        shown.said.clear()
        shown.fill(secret=NEW_KEY)
        shown.press("Use the new key")
        shown.open("/home")
        expect(page.locator("main")).not_to_contain_text("Needs you")
        httpx.post(
            f"{simulator.control}/funding",
            json={"symbol": "BTCUSDT", "rate": "0.001"},
            trust_env=False,
        ).raise_for_status()
        signal(place, closing("after"))
        until(lambda: simulator.positions() == 0)
        expect(page.locator("#last tbody tr").first).to_contain_text("Filled")
        leaves_and_keeps_the_history(place, shown)


def leaves_and_keeps_the_history(place: Place, shown: Window) -> None:
    """Disconnect the account once its books are complete, and read them."""
    for noted in (
        "SELECT 1 FROM funding JOIN strategy ON strategy.id = strategy_id",
        "SELECT 1 FROM trade JOIN account ON account.id = account_id WHERE account.environment = 'simulated'"
        " AND trade.state = 'settled'",
    ):
        until(lambda sql=noted: place.rows(sql) != [])
    kinds = ("signals", "orders", "trades", "funding")

    def files() -> list[str]:
        return [shown.page.request.get(f"{place.url}/{kind}.csv").text() for kind in kinds]

    kept = files()
    shown.open("/accounts/kai/disconnect")
    shown.press("Disconnect and erase the key")
    for path, words in (
        *((f"/{kind}", "kai (disconnected)") for kind in kinds),
        ("/calendar", "1 trade"),
    ):
        shown.open(path)
        expect(shown.page.locator("main")).to_contain_text(words)
        shown.check()
    assert files() == kept
    assert all("BTCUSDT" in each for each in kept)
