"""Strangers: a master from nothing to a settled signal with its callback, somebody who watches what it would
have been and goes live with the same terms, and somebody who watches for a month.
"""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from journey_place import DECLARATIONS, Place, run_cli, running, until
from playwright.sync_api import Browser, expect
from screens import Window, window

from engine.decisions.signatures import verify_signatures
from engine.ports.signal_source import Delivery
from rexalgo import Secret
from web.words import money

PASSWORD = "several calm words in a row"
JOURNEYS = Path(__file__).parents[1] / "journeys"
CALLING_SERVE = [sys.executable, str(JOURNEYS / "calling_serve.py")]
MONTH_SERVE = [sys.executable, str(JOURNEYS / "month_serve.py")]
NUMBERS = ("quantity", "entry_price", "exit_price", "fees", "result")
TRADES = (
    f"SELECT opened_us, side, {', '.join(NUMBERS)} FROM trade JOIN account "
    "ON account.id = trade.account_id WHERE account.name = 'f0001' ORDER BY trade.id"
)
FILLS = (
    "SELECT side, is_entry, quantity, price, fee FROM fill JOIN account ON account.id = "
    "fill.account_id WHERE account.name = 'f0001' ORDER BY fill.id"
)
TRADED_BY = "SELECT account.name FROM attempt JOIN account ON account.id = account_id"
POLICY = (
    "SELECT policy FROM subscription JOIN account ON account.id = account_id WHERE name = 'sam'"
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path, serving=CALLING_SERVE)
    made.provision(DECLARATIONS.format(followers=1))
    return made


def come_in(
    place: Place, shown: Window, name: str, role: str = "follower", balance: str = "5000"
) -> None:
    """Join by an invitation, with a paper account and a password."""
    made = run_cli("invite", "create", "--role", role, "--json", cwd=place.folder)
    shown.open("/" + str(json.loads(made)["link"]).split("/", 3)[3])
    shown.fill(name=name, balance=balance)
    shown.press("Connect and join")
    shown.fill(password=PASSWORD, again=PASSWORD)
    shown.press("Set password")
    shown.follow("I have saved them")


@contextmanager
def bots_own_server() -> Iterator[tuple[str, list[Delivery]]]:
    """Serve what a master's bot listens with; yields its address and what it was called with."""
    calls: list[Delivery] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = tuple((name.lower(), value) for name, value in self.headers.items())
            calls.append(Delivery(body, headers, "127.0.0.1", datetime.now(UTC)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/settled", calls
        finally:
            server.shutdown()
            thread.join()


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
        bots_own_server() as (address, calls),
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
        expect(setup).to_contain_text("The newest delivery was refused")
        expect(master.page.locator("#deliveries")).to_contain_text("A message to paste instead")
        send(sender, action="close", symbol="BTCUSDT")
        expect(setup).to_contain_text("5 of 7 done")
        master.page.locator("#state-published").check()
        master.press("Set state")
        expect(setup).to_contain_text("6 of 7 done")
        strategy = str(place.rows("SELECT id FROM strategy WHERE name = 'swing'")[0][0])

        come_in(place, stranger, "sam")
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
        )
        mine = stranger.page.locator("#mine")
        expect(mine).to_contain_text("P&L if copied")
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

        master.follow("Call your bot when a signal has settled")
        master.fill(url=address)
        master.press("Save")
        master.follow("swing")
        expect(master.page.locator("main")).to_contain_text("Your bot is called")
        send(sender, action="open", symbol="BTCUSDT", side="LONG", leverage="5")
        expect(master.page.locator("#signals")).to_contain_text("Filled")
        expect(setup).not_to_contain_text("of 7 done")
        expect(master.page.locator("#audience")).to_contain_text("100 %")
        master.page.locator("#signals tbody tr").first.get_by_role("link").first.click()
        expect(master.page.locator("#outcomes")).to_contain_text("The order was filled")
        master.check()
        until(lambda: bool(calls))
        secret = Secret(next(iter(re.findall(r'SECRET = "(\S+)"', sender))))
        verify_signatures(calls[0], [secret], calls[0].received_at, 60)
        told = json.loads(calls[0].body)
        assert (told["type"], told["data"]["outcomes"]) == ("signal.settled", {"filled": 1})
        assert "sam" not in str(told), "a master does not see who the followers are"
        master.open(f"/studio/strategies/{strategy}/callback")
        expect(master.page.locator("#calls")).to_contain_text("Accepted")
        master.check()


def test_a_stranger_watches_for_a_month_and_goes_live_with_the_same_terms(
    chromium: Browser, place: Place
) -> None:
    [[strategy]] = place.rows("SELECT id FROM strategy WHERE name = 'trend'")
    address = f"/strategies/{strategy}"
    with running(place), window(chromium, place.url, size="phone") as stranger:
        come_in(place, stranger, "sam", balance="1000")
        stranger.open(f"{address}/follow?preset=balanced")
        stranger.page.locator("button[value=agree]").click()
        stranger.page.wait_for_url(re.compile("done=watching"))
        expect(stranger.page.locator("#mine")).to_contain_text("The first one will appear here")
    place.serving = MONTH_SERVE
    with running(place), ExitStack() as windows:
        trader, plain = (
            windows.enter_context(window(chromium, place.url, size=size, dark=dark, script=script))
            for size, dark, script in (("desktop", True, True), ("phone", False, False))
        )
        for shown in (trader, plain):
            shown.open("/sign-in")
            shown.fill(name="sam", password=PASSWORD)
            shown.press("Sign in")
        told = shadow_by_program(place, trader, strategy)
        trades, fills = place.rows(TRADES), place.rows(FILLS)
        result, drawdown = walked(fills)
        assert (told["is_whole"], told["positions"], told["missed"]) == (True, [], {"expired": 3})
        # the same money as the follower who traded: by its trades, and by what the exchange filled
        assert [
            (each["side"], *(Decimal(each[name]) for name in NUMBERS))
            for each in reversed(told["trades"])
        ] == [(side, *map(Decimal, numbers)) for _, side, *numbers in trades[-20:]]
        results = [Decimal(each[-1]) for each in trades]
        assert Decimal(told["result"]) == Decimal(told["curve"][-1]["pnl"]) == result
        assert (sum(results), len(results)) == (result, told["closed"])
        assert sum(each > 0 for each in results) == told["won"]
        assert sum(Decimal(each[-2]) for each in trades) == Decimal(told["fees"])
        assert Decimal(told["max_drawdown"]) == drawdown
        assert money(told["percent"]) == money(added_up(trades))
        copied = sum(each[1] for each in fills)
        assert (told["copied"], told["entries"]) == (copied, copied + 3)

        for shown in (trader, plain):
            shown.open(address)
            mine = shown.page.locator("#mine .shadow")
            expect(mine.locator("h3")).to_have_text(
                re.compile(r"What the last 30 days would have been\s+Not traded")
            )
            for words in (
                f"{signed(result)}USDT net of fees, {signed(result / 10)} % of 1,000.00",
                f"{signed(told['percent'])} %of margin, closed positions added up; "
                f"median of PAPER followers {signed(told['percent'])} %",
                f"{copied} of {copied + 3}would have been copied",
                "3 The signal was too old",
            ):
                expect(mine).to_contain_text(words)
        trader.page.get_by_text("Newest trades, not traded").click()
        for column in (4, 5, 6):  # quantity, entry and exit are aligned
            cells = trader.page.locator(f".shadow td:nth-child({column})").all_inner_texts()
            assert len({len(each.partition(".")[2]) for each in cells}) == 1, cells
        trader.check()
        assert {each for [each] in place.rows(TRADED_BY)} == {"f0001"}
        [[watched]] = place.rows(POLICY)
        plain.press("Go live with these terms")
        expect(plain.page.locator("h1")).to_have_text("Go live with trend")
        plain.press("Go live")
        expect(plain.page.locator("#mine")).to_contain_text("Live")
        assert json.loads(place.rows(POLICY)[0][0]) == {**json.loads(watched), "mode": "live"}


def walked(fills: list[tuple[Any, ...]]) -> tuple[Decimal, Decimal]:
    """Return what fills came to, and their maximum drawdown: money that came and went, and what is
    held at the price of the newest fill.
    """
    money, held, highest, drawdown = Decimal(0), Decimal(0), Decimal(0), Decimal(0)
    for side, is_entry, *numbers in fills:
        quantity, price, fee = map(Decimal, numbers)
        bought = quantity if (side == "LONG") == bool(is_entry) else -quantity
        money, held = money - bought * price - fee, held + bought
        worth = money + held * price
        highest = max(highest, worth)
        drawdown = max(drawdown, highest - worth)
    assert not held
    return money, drawdown


def signed(number: Decimal | str) -> str:
    """Return an amount as pages show a result: prices decide whether it is a gain."""
    return f"{'+' if Decimal(number) > 0 else ''}{money(number)}"


def added_up(trades: list[tuple[Any, ...]]) -> Decimal:
    """Return the sum of positions in percent of their margin, at the leverage of 5."""
    positions: dict[int, tuple[Decimal, Decimal]] = {}
    for opened, _, *numbers in trades:
        quantity, entry, _, _, result = map(Decimal, numbers)
        so_far, margin = positions.get(opened, (Decimal(0), Decimal(0)))
        positions[opened] = so_far + result, margin + quantity * entry / 5
    assert len(positions) < len(trades), "some were closed in parts"
    return sum((100 * result / margin for result, margin in positions.values()), Decimal(0))


def shadow_by_program(place: Place, shown: Window, strategy: str) -> dict[str, Any]:
    """Make a token on its page, and return what the API says of sam's shadow book."""
    shown.open("/security/tokens")
    shown.fill(name="looks")
    shown.press("Make the token")
    token = shown.page.locator("[data-copy]").first.inner_text()
    with httpx.Client(trust_env=False, timeout=20) as client:
        answer = client.get(
            f"{place.url}/api/v1/accounts/sam/strategies/{strategy}/shadow",
            headers={"Authorization": f"Bearer {token}"},
        )
    told: dict[str, Any] = answer.json()["shadow"]
    return told
