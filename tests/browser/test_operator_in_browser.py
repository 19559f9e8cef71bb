"""An operator in real Chromium: two factors, every page, the global switch during a fan-out, resume
with a factor, the audit.
"""

import json
from collections.abc import Iterator

import httpx
import pyotp
import pytest
from journey_place import DECLARATIONS, Place, opening, run_cli, running
from playwright.sync_api import Browser, expect
from screens import Window, window

PASSWORD = "several calm words in a row"
PIXELS_MAX = 5_000
"""How long a page may be on a phone, with its rows of one page."""
PAGES = (
    "/operate",
    "/operate/switches",
    "/operate/unknowns",
    "/operate/people",
    "/operate/alerts?channel=log",
    "/operate/people/follower:f0002",
    "/operate/webhooks",
    "/operate/audit",
    "/operate/plugins",
    "/operate/system",
    "/operate/accounts/f0001?check=yes&plan=yes",
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"), settings="[plugin.paper]\nlatency_ms = 400\n")
    made.provision(DECLARATIONS.format(followers=60))
    with running(made):
        yield made


def come_in(place: Place, shown: Window, name: str) -> str:
    """Come in by a one-time link and set both factors; returns the secret of the second one."""
    made = json.loads(run_cli("operator", "create", name, "--json", cwd=place.folder))
    shown.open("/" + str(made["link"]).split("/", 3)[3])
    shown.press("Sign in")
    shown.fill(password=PASSWORD, again=PASSWORD)
    shown.press("Set password")
    shown.follow("I have saved them")
    expect(shown.page.locator("h1")).to_have_text("Set up a second factor")
    shown.check()
    secret = shown.page.locator("code.long").inner_text()
    shown.fill(code=pyotp.TOTP(secret).now())
    shown.press("Set second factor")
    return secret


@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("phone", True)])
def test_every_page_is_accessible(chromium: Browser, place: Place, size: str, dark: bool) -> None:
    with window(chromium, place.url, size=size, dark=dark) as shown:
        come_in(place, shown, f"ops-{size}")
        for path in PAGES:
            shown.open(path)
            shown.check()
            height = shown.page.evaluate("document.documentElement.scrollHeight")
            assert height <= PIXELS_MAX, (path, height)


def test_the_global_switch_stops_a_fan_out_and_resuming_asks_for_a_factor(
    chromium: Browser, place: Place
) -> None:
    with window(chromium, place.url) as shown:
        page = shown.page
        come_in(place, shown, "ops-switch")
        shown.open("/operate/switches")
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = place.bots["trend"].post(client, opening("fan-out"))
        shown.fill(note="a drill")
        shown.press("Stop it now")
        expect(page.locator("#on")).to_contain_text("Everything")
        codes = place.settled(str(answer.json()["signal_id"]))
        stopped = [each for each in codes if each in ("killed", "skipped.entries_off")]
        assert stopped, codes
        assert len(place.orders()) == len(codes) - len(stopped)
        shown.open("/operate/switches")
        expect(page.locator("#on")).to_contain_text("Stopped in the last hour")
        shown.check()
        shown.press("Resume")
        expect(page.locator("main")).to_contain_text("No switch is on")
        shown.open("/operate/audit?kind=stops")
        expect(page.locator("#rows tbody tr")).to_have_count(2)
        expect(page.locator("#rows")).to_contain_text("stopped everything")
        expect(page.locator("#rows")).to_contain_text("resumed everything")
        shown.press("Verify the chain")
        expect(page.locator("main")).to_contain_text("each follows from the one before")


def test_people_are_invited_and_made_masters(chromium: Browser, place: Place) -> None:
    with window(chromium, place.url) as shown:
        page = shown.page
        come_in(place, shown, "ops-people")
        shown.open("/operate/people")
        shown.press("Make a link")
        assert "/join?invite=" in page.locator("#link").inner_text()
        shown.check()
        shown.open("/operate/people?search=f0002")
        shown.follow("follower:f0002")
        shown.check()
        shown.press("Make master")
        expect(page.locator(".head p").first).to_have_text("follower, master")
