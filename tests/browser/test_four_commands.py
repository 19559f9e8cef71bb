"""An operator's way to an account that trades at the simulated exchange: four commands, then pages
only.
"""

import json
import re
import subprocess
from pathlib import Path

import pyotp
from journey_place import REXALGO, Place, run_cli, running
from playwright.sync_api import Browser, expect
from screens import Window, window
from simulated_mudrex import simulated

PASSWORD = "several calm words in a row"


def set_password(shown: Window) -> None:
    shown.fill(password=PASSWORD, again=PASSWORD)
    shown.press("Set password")
    shown.follow("I have saved them")


def test_four_commands_and_then_pages_only(chromium: Browser, tmp_path: Path) -> None:
    with simulated(tmp_path / "orders.jsonl", "--accounts", "2") as exchange:
        folder = tmp_path / "my-place"
        run_cli(
            "init",
            "--dir",
            folder,
            "--exchange",
            "mudrex",
            "--set",
            f"plugin.mudrex.base_url={exchange.base_url}",
            "--set",
            'outgoing.internal=["127.0.0.1"]',
            cwd=tmp_path,
        )
        with running(Place(folder)) as place:
            link = json.loads(run_cli("operator", "create", "ada", "--json", cwd=folder))["link"]
            invitation = invite(chromium, place, str(link))
            trade(chromium, place, invitation)
        assert [(each["account"], each["symbol"]) for each in exchange.orders()] == [
            ("sim-0001", "BTCUSDT")
        ]


def invite(chromium: Browser, place: Place, link: str) -> str:
    """Sign in as the operator, see what a new installation needs, and invite a master; return the
    invitation's path.
    """
    with window(chromium, place.url) as shown:
        shown.open("/" + link.split("/", 3)[3])
        shown.press("Sign in")
        set_password(shown)
        shown.fill(code=pyotp.TOTP(shown.page.locator("code.long").inner_text()).now())
        shown.press("Set second factor")
        shown.open("/operate")
        expect(shown.page.locator("main")).to_contain_text("Invite")  # a guide, not an empty table
        shown.check()
        shown.open("/operate/people")
        shown.page.locator("select[name=role]").first.select_option("master")
        shown.press("Make a link")
        return "/" + shown.page.locator("#link").inner_text().split("/", 3)[3]


def trade(chromium: Browser, place: Place, invitation: str) -> None:
    """Join with a simulated account, publish a strategy, follow it live, and see a signed signal
    become an order.
    """
    with window(chromium, place.url) as shown:
        page = shown.page
        shown.open(invitation)
        expect(page.locator("main")).to_contain_text("SIMULATED")
        shown.fill(name="bo", secret="sim-0001")
        shown.press("Connect and join")
        set_password(shown)
        shown.open("/studio/copy-trading/new")
        shown.fill(name="trend")
        shown.press("Make a draft")
        sender = page.locator("pre code").first.inner_text()
        strategy = str(place.rows("SELECT id FROM strategy")[0][0])
        shown.open(f"/studio/strategies/{strategy}")
        page.locator("#state-published").check()
        shown.press("Set state")
        shown.open(f"/strategies/{strategy}/follow")
        page.locator("#live").check()
        shown.fill(size="100", open_positions="1")
        page.locator("button[value=agree]").click()
        shown.check()
        page.get_by_role("button", name="Go live").click()
        page.wait_for_url(re.compile("done=subscribed"))
        shown.open("/home")
        live = sender.replace(", test=True", "")  # as the page says
        result = subprocess.run(
            REXALGO[:1], input=live, capture_output=True, text=True, timeout=60, check=False
        )
        assert "'ok': True" in result.stdout, (result, sender)
        expect(page.locator("#last tbody tr").first).to_contain_text("Filled")
        expect(page.locator("main")).to_contain_text("SIMULATED")
