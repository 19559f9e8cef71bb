"""Signing in with real Chromium: joining by keyboard and mouse, light and dark, phone and desktop,
and without JavaScript.
"""

import json
from collections.abc import Iterator

import pytest
from journey_place import DECLARATIONS, Place, run_cli, running
from playwright.sync_api import Browser
from screens import window

PASSWORD = "several calm words in a row"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    made.provision(DECLARATIONS.format(followers=1))
    with running(made):
        yield made


def link(place: Place, *args: object) -> str:
    """Return the path of a link that the command line printed."""
    made = json.loads(run_cli(*args, "--json", cwd=place.folder))
    return "/" + str(made["link"]).split("/", 3)[3]


@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("dark", [False, True])
def test_the_doors_pages_are_accessible(
    chromium: Browser, place: Place, size: str, dark: bool
) -> None:
    invited = link(place, "invite", "create")
    with window(chromium, place.url, size=size, dark=dark) as shown:
        for path in ("/", "/sign-in", "/sign-in/recovery", "/sign-in/exchange", invited):
            shown.open(path)
            shown.check()


@pytest.mark.parametrize("script", [True, False])
def test_a_person_joins_and_sets_up_both_factors(
    chromium: Browser, place: Place, script: bool
) -> None:
    name = "with-script" if script else "without-script"
    with window(chromium, place.url, script=script) as shown:
        shown.open(link(place, "invite", "create"))
        shown.fill(name=name, balance="2500")
        shown.press("Connect and join")
        assert shown.path == "/security/password"
        shown.fill(password="short", again="short")
        refused = shown.page.get_by_role("button", name="Set password")
        refused.click()
        shown.page.wait_for_selector(".field-error")
        assert "at least 10 characters" in shown.text().lower()
        shown.said.clear()  # the browser itself notes the 422
        shown.fill(password=PASSWORD, again=PASSWORD)
        shown.press("Set password")
        assert shown.page.locator(".codes code").count() == 10
        if script:
            shown.check()
        shown.open("/security")
        if script:
            shown.check()
        shown.follow("Set up")
        assert shown.page.locator(".qr svg").count() == 1


def test_the_door_is_walked_by_keyboard_with_a_visible_focus(
    chromium: Browser, place: Place
) -> None:
    with window(chromium, place.url) as shown:
        shown.open("/sign-in")
        seen = []
        for _ in range(6):
            shown.page.keyboard.press("Tab")
            seen.append(
                shown.page.evaluate(
                    "document.activeElement.name || document.activeElement.textContent.trim()"
                )
            )
            drawn = shown.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert drawn != "none", seen
        assert seen[0] == "Skip to the content"
        assert [each for each in seen if each in ("name", "password", "code")] == [
            "name",
            "password",
            "code",
        ]


def test_without_a_connection_a_page_says_so_and_no_page_of_a_person_is_kept(
    chromium: Browser, place: Place
) -> None:
    context = chromium.new_context()
    with window(chromium, place.url, context=context) as shown:
        shown.open("/")
        shown.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        shown.page.wait_for_function("navigator.serviceWorker.controller !== null")
        shown.open("/sign-in")
        context.set_offline(True)
        shown.page.goto(place.url + "/home")
        assert "Not connected" in shown.text()
        assert "Trading does not depend on this page" in shown.text()
        shown.check()
        kept = shown.page.evaluate(
            "caches.keys().then(n => Promise.all(n.map(k => caches.open(k).then(c => c.keys()))))"
            ".then(all => all.flat().map(r => new URL(r.url).pathname).sort())"
        )
        assert kept == ["/offline", "/static/mark.svg", "/static/site.css"]
        context.set_offline(False)
        shown.follow("Try again")
        assert "One signal, one copy" in shown.text()
        shown.said.clear()  # the browser notes that it had no connection
