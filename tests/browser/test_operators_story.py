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


def test_an_operator_from_a_new_place_to_a_suspended_person(
    chromium: Browser, place: Place, script: bool
) -> None:
    made = json.loads(run_cli("operator", "create", "ops", "--json", cwd=place.folder))
    with window(chromium, place.url, script=script) as shown:
        page = shown.page
        shown.open("/" + str(made["link"]).split("/", 3)[3])
        shown.by_keyboard("Sign in", "button")
        for name in ("password", "again"):
            shown.tab_to(name)
            page.keyboard.type(PASSWORD)
        shown.by_keyboard("Set password")
        shown.by_keyboard("I have saved them")
        secret = page.locator("code.long").inner_text()
        shown.tab_to("code")
        page.keyboard.type(pyotp.TOTP(secret).now())
        shown.by_keyboard("Set second factor")
        shown.by_keyboard("Operate", "a")

        expect(page.locator("#guide")).to_contain_text("To the first copied signal")
        checked(shown, script)
        with httpx.Client(trust_env=False, timeout=20) as client:
            answer = place.bots["trend"].post(client, opening("first"))
        assert place.settled(str(answer.json()["signal_id"])) == ["filled", "filled"]
        shown.open("/operate")
        assert page.locator("#guide").count() == 0, "the first signal was copied"

        expect(page.locator("#trading")).to_contain_text("2 open positions stay, and exits go on")
        shown.by_keyboard("Stop new entries")
        expect(page.locator("#trading")).to_contain_text(
            "Resuming takes entries again on 2 accounts"
        )
        checked(shown, script)
        shown.by_keyboard("Resume")
        expect(page.locator("#trading")).to_contain_text("Stopping touches 2 accounts")

        shown.open("/operate/people")
        shown.by_keyboard("follower:f0002")
        shown.tab_to("note")
        page.keyboard.type("the key was lent")
        shown.by_keyboard("Suspend")
        expect(page.locator("main")).to_contain_text("by ops: the key was lent")
        checked(shown, script)
        shown.open("/operate/audit?kind=stops")
        expect(page.locator("#rows tbody tr")).to_have_count(3)
        expect(page.locator("#rows tbody tr").first).to_contain_text("suspended follower:f0002")
        checked(shown, script)


def checked(shown: Window, script: bool) -> None:
    if script:  # axe is a script
        shown.check()
