"""A master's path: publish, run the sender of the page, see the delivery, rotate the secret
meanwhile, debug a signature.
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
GOES_ON = """
import sys, threading
told = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()
while not told.is_set():
    print(send(action="close", symbol="BTCUSDT", test=True)["ok"], flush=True)
"""
"""What a bot adds to the sender of the page: it sends on, and says what each answer was, until
somebody presses return.
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.provision(DECLARATIONS.format(followers=2))
    return made


def run(sender: str) -> "subprocess.CompletedProcess[str]":
    """Run a sender as it was copied."""
    return subprocess.run(
        [sys.executable, "-"], input=sender, capture_output=True, text=True, timeout=60, check=False
    )


def copied(shown: Window, what: str) -> str:
    """Press the button that copies, and return what the clipboard has then."""
    button = shown.page.get_by_role("button", name=f"Copy {what}", exact=True)
    button.click()
    expect(shown.page.get_by_role("button", name=f"Copied {what}", exact=True)).to_be_visible()
    return str(shown.page.evaluate("navigator.clipboard.readText()"))


def publish(place: Place, shown: Window) -> tuple[str, str]:
    """Join by an invitation and publish a strategy; return its id and the Python sender that was
    shown with its secret.
    """
    link = str(
        json.loads(run_cli("invite", "create", "--role", "master", "--json", cwd=place.folder))[
            "link"
        ]
    )
    shown.open("/" + link.split("/", 3)[3])
    shown.fill(name="mira", balance="1000")
    shown.press("Connect and join")
    shown.fill(password=PASSWORD, again=PASSWORD)
    shown.press("Set password")
    shown.follow("I have saved them")
    shown.follow("Master studio")
    shown.follow("New strategy")
    shown.fill(name="swing", about="tests", symbols="BTCUSDT", leverage="5")
    shown.press("Make a draft")
    shown.check()
    assert copied(shown, "the secret").startswith("whsec_")
    sender = copied(shown, "the sender in Python")
    shown.follow("I have saved it")
    shown.page.locator("#state-published").check()
    shown.press("Set state")
    return str(place.rows("SELECT id FROM strategy WHERE name = 'swing'")[0][0]), sender


def test_a_masters_path(chromium: Browser, place: Place) -> None:
    context = chromium.new_context(
        permissions=["clipboard-read", "clipboard-write"], viewport={"width": 1280, "height": 860}
    )
    with running(place), window(chromium, place.url, context=context) as shown:
        page = shown.page
        strategy, sender = publish(place, shown)
        answer = run(sender)
        assert "'ok': True" in answer.stdout, answer
        expect(page.locator("#deliveries tbody tr").first).to_contain_text("Accepted")  # by itself
        receipt = (
            page.locator("#signals").get_by_role("link", name="receipt").first.get_attribute("href")
        )
        assert page.request.get(f"{place.url}{receipt}").json()["action"] == "open"

        bot = subprocess.Popen(
            [sys.executable, "-c", sender + GOES_ON],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert bot.stdout is not None
        assert bot.stdout.readline()  # what the sender itself prints
        assert bot.stdout.readline() == "True\n"
        shown.press("Renew the secret")
        renewed = copied(shown, "the sender in Python")
        assert renewed != sender
        assert "'ok': True" in run(renewed).stdout
        assert [bot.stdout.readline() for _ in range(5)] == [
            "True\n"
        ] * 5  # the old secret holds, while the bot goes on
        answers, wrong = bot.communicate("\n", timeout=30)
        assert (set(answers.split()), wrong, bot.returncode) == ({"True"}, "", 0)
        kinds = place.rows(
            "SELECT DISTINCT delivery.kind FROM delivery JOIN endpoint ON endpoint.id = "
            "endpoint_id WHERE strategy_id = ?",
            strategy,
        )
        assert kinds == [("accepted",)]  # nothing was refused

        shown.follow("I have saved it")
        until(
            lambda: (shown.open(f"/studio/strategies/{strategy}"), "last used" in shown.text())[1],
        )  # noted off the sender's way
        assert re.search(
            r"Old secret, valid until .*, last used \d+ s ago from 127\.0\.0\.1", shown.text()
        )
        shown.press("Revoke the old one now")
        refused = run(sender)
        assert refused.stderr.startswith("refused with 401: {")
        assert '"message"' in refused.stderr, "the server's own words"
        expect(page.locator("#deliveries tbody tr").first).to_contain_text("Not authentic")
        broken_signature(shown, renewed)


def broken_signature(shown: Window, sender: str) -> None:
    """Break the newest sender's signature, paste it into the debugger, and read the fault."""
    page = shown.page
    one_more = sender.rpartition("\ntry:")[0] + (
        "\ndef show(asked, timeout):\n    print(json.dumps([dict(asked.header_items()), "
        "asked.data.decode()]))\n    raise SystemExit\n"
        '\nurllib.request.urlopen = show\nsend(action="close", symbol="BTCUSDT")\n'
    )
    headers, body = json.loads(run(one_more).stdout)
    signature = next(
        value for name, value in headers.items() if name.lower() == "x-rexalgo-signature"
    )
    page.locator("#deliveries").get_by_role("link", name="paste it into the debugger").first.click()
    expect(page.locator("h1")).to_have_text("Signature debugger")
    shown.fill(headers=f"X-RexAlgo-Signature: {signature}", body=body.replace("close", "open"))
    shown.press("Check it")
    expect(page.locator("main")).to_contain_text("Wrong")
    expect(page.locator("main")).to_contain_text(
        "signs other bytes than timestamp, a dot and the body"
    )
    assert page.locator("#body").input_value() == body.replace("close", "open")
    shown.check()
    shown.fill(body=body)
    shown.press("Check it")
    expect(page.locator("main")).to_contain_text("would be accepted now")
