"""An operator from a new place to a suspended person: with and without JavaScript, by keyboard alone."""

import json
from collections.abc import Iterator

import httpx
import pyotp
import pytest
from journey_place import DECLARATIONS, Place, opening, run_cli, running
from playwright.sync_api import Browser, expect
from screens import Window, window

PASSWORD = "several calm words in a row"


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def script(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("place"))
    made.provision(DECLARATIONS.format(followers=2))
    with running(made):
        yield made


def tab_to(shown: Window, name: str, kind: str = "") -> None:
    """Press Tab until the button, link or field with this name has the focus, and see that it does."""
    for _ in range(90):
        shown.page.keyboard.press("Tab")
        focus = shown.page.locator(f"{kind}:focus")
        if focus.count() and name in (
            focus.inner_text().strip(),
            focus.get_attribute("name"),
        ):
            return
    raise AssertionError(f"{shown.path} has no {name} that Tab reaches")


def by_keyboard(shown: Window, name: str, kind: str = "") -> None:
    """Reach a button or link by Tab and press Enter."""
    tab_to(shown, name, kind)
    with shown.page.expect_navigation():
        shown.page.keyboard.press("Enter")


def test_an_operator_from_a_new_place_to_a_suspended_person(
    chromium: Browser, place: Place, script: bool
) -> None:
    made = json.loads(run_cli("operator", "create", "ops", "--json", cwd=place.folder))
    with window(chromium, place.url, script=script) as shown:
        page = shown.page
        shown.open("/" + str(made["link"]).split("/", 3)[3])
        by_keyboard(shown, "Sign in", "button")
        for name in ("password", "again"):
            tab_to(shown, name)
            page.keyboard.type(PASSWORD)
        by_keyboard(shown, "Set password")
        by_keyboard(shown, "I have saved them")
        secret = page.locator("code.long").inner_text()
        tab_to(shown, "code")
        page.keyboard.type(pyotp.TOTP(secret).now())
        by_keyboard(shown, "Set second factor")
        by_keyboard(shown, "Operate", "a")

        expect(page.locator("#guide")).to_contain_text("To the first copied signal")
        checked(shown, script)
        with httpx.Client(trust_env=False) as client:
            answer = place.bots["trend"].post(client, opening("first"))
        assert place.settled(str(answer.json()["signal_id"])) == ["filled", "filled"]
        shown.open("/operate")
        assert page.locator("#guide").count() == 0, "the first signal was copied"

        expect(page.locator("#trading")).to_contain_text("2 open positions stay, and exits go on")
        by_keyboard(shown, "Stop new entries")
        expect(page.locator("#trading")).to_contain_text(
            "Resuming takes entries again on 2 accounts"
        )
        checked(shown, script)
        by_keyboard(shown, "Resume")
        expect(page.locator("#trading")).to_contain_text("Stopping touches 2 accounts")

        shown.open("/operate/people")
        by_keyboard(shown, "follower:f0002")
        tab_to(shown, "note")
        page.keyboard.type("the key was lent")
        by_keyboard(shown, "Suspend")
        expect(page.locator("main")).to_contain_text("by ops: the key was lent")
        checked(shown, script)
        shown.open("/operate/audit?kind=stops")
        expect(page.locator("#rows tbody tr")).to_have_count(3)
        expect(page.locator("#rows tbody tr").first).to_contain_text("suspended follower:f0002")
        checked(shown, script)


def checked(shown: Window, script: bool) -> None:
    if script:  # axe is a script
        shown.check()
