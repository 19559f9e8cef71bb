"""A master in real Chromium: every page of the studio, light and dark, phone and desktop, and the
top navigation.
"""

import json
from collections.abc import Iterator

import httpx
import pytest
from journey_place import DECLARATIONS, Place, opening, run_cli, running
from playwright.sync_api import Browser, expect
from screens import Window, window

PASSWORD = "several calm words in a row"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    run_cli("plugin", "enable", "tradingview", cwd=made.folder)
    made.provision(DECLARATIONS.format(followers=3))
    with running(made):
        yield made


def come_in(place: Place, shown: Window) -> None:
    """Come in as the provisioned master by a one-time link."""
    made = json.loads(run_cli("user", "link", "master:alpha", "--json", cwd=place.folder))
    shown.open("/" + str(made["link"]).split("/", 3)[3])
    shown.press("Sign in")
    if shown.path == "/security/password":
        shown.fill(password=PASSWORD, again=PASSWORD)
        shown.press("Set password")


@pytest.mark.parametrize(("size", "dark"), [("desktop", True), ("phone", False)])
def test_every_page_of_the_studio_is_accessible(
    chromium: Browser, place: Place, size: str, dark: bool
) -> None:
    strategy = str(place.rows("SELECT id FROM strategy")[0][0])
    with window(chromium, place.url, size=size, dark=dark) as shown:
        come_in(place, shown)
        for path in (
            "/studio",
            "/studio/copy-trading/new",
            "/studio/debugger",
            f"/studio/strategies/{strategy}",
            f"/studio/strategies/{strategy}/signals",
            f"/studio/strategies/{strategy}/deliveries",
            f"/studio/strategies/{strategy}/close",
            f"/studio/strategies/{strategy}/addresses/tradingview",
            f"/strategies/{strategy}",
        ):
            shown.open(path)
            shown.check()


def test_a_delivery_and_its_copies_arrive_by_themselves(chromium: Browser, place: Place) -> None:
    strategy = str(place.rows("SELECT id FROM strategy")[0][0])
    with window(chromium, place.url) as shown:
        come_in(place, shown)
        shown.open("/")
        shown.follow("Master studio")
        shown.follow("trend")
        assert shown.path == f"/studio/strategies/{strategy}"
        with httpx.Client(trust_env=False, timeout=20) as client:
            place.bots["trend"].post(client, opening("seen"))
        expect(shown.page.locator("#signals tbody tr").first).to_contain_text("Filled 3")
        expect(shown.page.locator("#deliveries tbody tr").first).to_contain_text("Accepted")
        shown.fill()
        shown.press("Send test")
        expect(shown.page.locator("#signals tbody tr").first).to_contain_text("test")


def test_a_master_makes_and_tests_a_strategy_by_keyboard_without_javascript(
    chromium: Browser, place: Place
) -> None:
    with window(chromium, place.url, script=False) as shown:
        page, press = shown.page, shown.page.keyboard.press
        come_in(place, shown)
        shown.open("/studio")
        shown.by_keyboard("New strategy", "a")
        for name, typed in (("name", "keys"), ("about", "tests"), ("leverage", "5")):
            shown.tab_to(name)
            press("Control+a")
            page.keyboard.type(typed)
        shown.by_keyboard("Make a draft")
        assert page.locator("#secret").inner_text().startswith("whsec_")
        shown.by_keyboard("I have saved it")
        expect(page.locator("#setup")).to_contain_text("3 of 7 done")
        shown.by_keyboard("Send test")
        expect(page.locator("#signals tbody tr")).to_contain_text("open LONG")
        shown.tab_to("state")
        press("ArrowDown")
        shown.by_keyboard("Set state")
        expect(page.locator(".head").first).to_contain_text("Published")
        shown.by_keyboard("Close what it opened", "a")
        expect(page.locator("main")).to_contain_text("Nothing is open now")
        shown.by_keyboard("Not now", "a")
        shown.by_keyboard("Call your bot when a signal has settled")
        shown.tab_to("url")
        page.keyboard.type("http://127.0.0.1:9/settled")
        shown.by_keyboard("Save")
        expect(page.locator("#calls")).to_contain_text("None yet")
