"""Two strangers: a master from nothing to a settled signal, and somebody who watches what it would
have been, and goes live with the same terms.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from journey_place import DECLARATIONS, Place, run_cli, running, until
from playwright.sync_api import Browser, expect
from screens import Window, window

PASSWORD = "several calm words in a row"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.provision(DECLARATIONS.format(followers=1))
    return made


def come_in(place: Place, shown: Window, name: str, role: str) -> None:
    """Join by an invitation, with a paper account and a password."""
    made = run_cli("invite", "create", "--role", role, "--json", cwd=place.folder)
    shown.open("/" + str(json.loads(made)["link"]).split("/", 3)[3])
    shown.fill(name=name, balance="5000")
    shown.press("Connect and join")
    shown.fill(password=PASSWORD, again=PASSWORD)
    shown.press("Set password")
    shown.follow("I have saved them")


def send(sender: str, **signal: str) -> None:
    """Run the sender of the page with another signal, which is none to try."""
    said = ", ".join(f"{name}={value!r}" for name, value in signal.items())
    once = re.sub(r"send\(action=.*, test=True\)", f"send({said})", sender)
    told = subprocess.run(
        [sys.executable, "-"], input=once, capture_output=True, text=True, timeout=60, check=False
    )
    assert "'ok': True" in told.stdout, told


def test_a_master_gets_a_signal_settled_and_a_stranger_watches_before_trading(
    chromium: Browser, place: Place
) -> None:
    with (
        running(place),
        window(chromium, place.url) as master,
        window(chromium, place.url, size="phone", dark=True) as stranger,
    ):
        come_in(place, master, "mira", "master")
        master.open("/studio")
        master.check()
        master.follow("New strategy")
        master.fill(name="swing", about="tests", symbols="BTCUSDT", leverage="5")
        master.press("Make a draft")
        sender = str(master.page.locator("#python").text_content())
        master.follow("I have saved it")
        setup = master.page.locator("#setup")
        expect(setup).to_contain_text("3 of 7 done")
        expect(setup).to_contain_text("BTCUSDT: Paper exchange, 1x to 100x")
        master.check()
        refused = subprocess.run(
            [sys.executable, "-"],
            input=sender.replace('side="LONG"', 'side="UP"'),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert refused.stderr.startswith("refused with 422: {"), refused
        assert "one of LONG, SHORT" in refused.stderr, "the server's own words"
        expect(setup).to_contain_text("The newest delivery was refused", timeout=15_000)
        expect(master.page.locator("#deliveries")).to_contain_text("A message to paste instead")
        send(sender, action="close", symbol="BTCUSDT")
        expect(setup).to_contain_text("5 of 7 done", timeout=15_000)
        master.page.locator("#state-published").check()
        master.press("Set state")
        expect(setup).to_contain_text("6 of 7 done")
        strategy = str(place.rows("SELECT id FROM strategy WHERE name = 'swing'")[0][0])

        come_in(place, stranger, "sam", "follower")
        stranger.open(f"/strategies/{strategy}/follow")
        stranger.page.locator("button[value=agree]").click()
        stranger.page.wait_for_url(re.compile("done=watching"))
        expect(stranger.page.locator("#mine")).to_contain_text("Not traded")
        send(sender, action="open", symbol="BTCUSDT", side="LONG", leverage="5")
        send(sender, action="close", symbol="BTCUSDT")
        until(
            lambda: (
                stranger.open(f"/strategies/{strategy}"),
                "would have been copied" in stranger.text(),
            )[1],
            30,
        )
        mine = stranger.page.locator("#mine")
        expect(mine).to_contain_text("P&L, not traded")
        expect(mine).to_contain_text("1 of 1")
        stranger.page.get_by_text("How this is worked out").click()
        expect(mine).to_contain_text("A live account can differ")
        stranger.check()
        assert not place.rows("SELECT 1 FROM attempt WHERE strategy_id = ?", strategy)

        stranger.press("Go live with these terms")
        expect(stranger.page.locator("h1")).to_have_text("Go live with swing")
        stranger.check()
        stranger.press("Go live")
        expect(stranger.page.locator("#mine")).to_contain_text("Live")
        expect(stranger.page.locator("#mine")).not_to_contain_text("Not traded")

        send(sender, action="open", symbol="BTCUSDT", side="LONG", leverage="5")
        expect(master.page.locator("#signals")).to_contain_text("Filled", timeout=15_000)
        expect(setup).not_to_contain_text("of 7 done", timeout=15_000)
        expect(master.page.locator("#audience")).to_contain_text("100 %")
        master.page.locator("#signals tbody tr").first.get_by_role("link").first.click()
        expect(master.page.locator("#became")).to_contain_text("The order was filled")
        master.check()
