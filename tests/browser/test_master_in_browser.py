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
        with httpx.Client(trust_env=False) as client:
            place.bots["trend"].post(client, opening("seen"))
        expect(shown.page.locator("#signals tbody tr").first).to_contain_text(
            "Filled 3", timeout=15_000
        )
        expect(shown.page.locator("#deliveries tbody tr").first).to_contain_text(
            "Accepted", timeout=15_000
        )
        shown.fill()
        shown.press("Send test")
        expect(shown.page.locator("#signals tbody tr").first).to_contain_text(
            "test", timeout=15_000
        )
