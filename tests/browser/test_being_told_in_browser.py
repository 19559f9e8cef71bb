"""A trader links a chat in real Chromium and is told what happens: once, and over a kill in the middle
of sending once more, which says so. Another one goes the whole way by keyboard alone, with JavaScript and
without, and leaves with the history kept.
"""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import coming_in
import httpx
import pytest
from journey_place import DECLARATIONS, Place, closing, opening, run_cli, running, until
from playwright.sync_api import Browser, expect
from screens import Window, window

from tests.chat_server import BOT, TOKEN, FakeChatServer, fake_chat_server


@pytest.fixture(scope="module")
def chat() -> Iterator[FakeChatServer]:
    with fake_chat_server() as fake:
        yield fake


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, chat: FakeChatServer) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    token = folder / "bot-token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    bot = f'[plugin.telegram]\nbase_url = "{chat.address}"\nbot_token_file = "{token}"'
    made = Place(folder / "served", bot)
    run_cli("plugin", "enable", "telegram", cwd=made.folder)
    run_cli("plugin", "enable", "webhook_out", cwd=made.folder)
    made.provision(DECLARATIONS.format(followers=1))
    with running(made):
        yield made


def send(place: Place, body: dict[str, object]) -> None:
    with httpx.Client(trust_env=False, timeout=20) as client:
        assert place.bots["trend"].post(client, body).status_code == 202


def link(shown: Window, chat: FakeChatServer) -> None:
    """Link a chat by the code on the page, as its person does."""
    page = shown.page
    shown.open("/channels")
    shown.check()
    page.locator("#telegram summary").click()
    page.locator("#telegram button").first.click()
    expect(page.locator("#telegram")).to_contain_text("Send this code to the bot")
    shown.check()
    address = page.get_by_role("link", name="Open Telegram with the code").get_attribute("href")
    assert address is not None
    assert address.startswith(f"https://t.me/{BOT}?start=")
    chat.write(77, f"/start {address.rpartition('=')[2]}")
    chat.wait_for(1, "This chat is linked to")
    shown.open("/channels")
    expect(page.locator("#telegram")).to_contain_text("Connected")


def test_a_trader_is_told_once_and_over_a_kill_once_more_which_says_so(
    chromium: Browser, place: Place, chat: FakeChatServer
) -> None:
    with window(chromium, place.url) as shown:
        page = shown.page
        shown.open(coming_in.link(place, "user", "link", "follower:f0001"))
        page.locator("main form button").first.click()
        shown.fill(password=coming_in.PASSWORD, again=coming_in.PASSWORD)
        shown.press("Set password")
        link(shown, chat)
        page.get_by_label("Orders: At once").check()
        page.locator("#telegram").get_by_role("button", name="Save").click()
        expect(page.locator("main")).to_contain_text("Changed.")
        shown.check()
        page.locator("#telegram").get_by_role("button", name="Send a test").click()
        expect(page.locator("main")).to_contain_text("The service accepted the test")
        assert len(chat.texts("This is a test")) == 1

        send(place, opening("t-1"))
        assert len(chat.wait_for(1, "open BTCUSDT filled")) == 1
        chat.hold()
        send(place, closing("t-2"))
        chat.wait_for(1, "close BTCUSDT filled")
    place.end(signal.SIGKILL)  # the chat has it, and the place never heard so
    chat.let_go()
    place.serve()
    first, second = chat.wait_for(2, "close BTCUSDT filled")
    assert (first.startswith("PAPER f0001:"), second.splitlines()[0]) == (
        True,
        "You may have this already.",
    )

    send(place, opening("t-3"))
    chat.wait_for(2, "open BTCUSDT filled")
    until(lambda: place.rows("SELECT 1 FROM message_due WHERE how = 'now'") == [])
    place.end(signal.SIGKILL)  # with nothing on its way
    place.serve()
    send(place, closing("t-4"))
    chat.wait_for(3, "close BTCUSDT filled")
    assert len(chat.texts("open BTCUSDT filled")) == 2
    assert len(chat.texts("You may have this already")) == 1
    assert len(chat.texts("This chat is linked to")) == 1


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_a_trader_goes_the_whole_way_by_keyboard_alone(
    chromium: Browser, place: Place, chat: FakeChatServer, script: bool
) -> None:
    name = "kay" if script else "noa"
    size = "phone" if script else "desktop"
    with window(chromium, place.url, size=size, script=script) as shown:
        page, press = shown.page, shown.page.keyboard.press
        trader = Trader(place, shown, name, script)
        trader.comes_in()
        trader.sets_a_channel(chat)

        # compares, and follows after a preview
        trader.sees("/home", "5,000.00")
        trader.is_sent(opening(f"{name}-0"))
        trader.is_sent(closing(f"{name}-1"))
        press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the content")
        press("Enter")
        press("Tab")
        expect(page.locator("main :focus")).to_have_count(1)
        shown.open("/strategies")
        shown.by_keyboard("Table", "a")
        shown.by_keyboard("Win rate", "a")
        expect(page.locator("th[aria-sort]")).to_have_text("Win rate")
        trader.looks()
        shown.by_keyboard("Follow trend", "a")
        shown.by_keyboard("Balanced", "a")
        expect(page.locator("[aria-label=Preset] [aria-current]")).to_have_text("Balanced")
        shown.tab_to("mode")
        press("ArrowDown")
        shown.by_keyboard("Preview with the last signals")
        expect(page.locator("#preview")).to_contain_text("BTCUSDT")
        trader.looks()
        trader.agrees("Follow")
        strategy = shown.path

        # closes a position, and learns why the next one was missed
        trader.is_sent(opening(f"{name}-2"))
        trader.sees("/positions", "BTCUSDT LONG")
        shown.by_keyboard(f"Close BTCUSDT on {name}", "a")
        trader.looks()
        shown.by_keyboard("Close this position")
        trader.sees("/positions", "Nothing is open")
        trader.is_sent(closing(f"{name}-3"))
        shown.open(strategy)
        shown.by_keyboard("Terms", "a")
        trader.agrees("Change", order_notional="1")
        trader.misses_and_learns_why()
        expect(page.locator("#order_notional:focus")).to_have_value("1")
        press("Control+a")
        page.keyboard.type("100000")
        trader.agrees("Change")
        trader.is_sent(closing(f"{name}-4"))
        trader.is_sent(opening(f"{name}-5"))
        trader.sees("/positions", "BTCUSDT LONG")

        # leaves, and keeps the history
        shown.open(strategy)
        shown.by_keyboard("Leave", "a")
        shown.tab_to("close")
        press("ArrowDown")
        trader.looks()
        shown.by_keyboard("Leave", "button")
        expect(page.locator("main")).to_contain_text("You left this strategy.")
        trader.sees("/positions", "Nothing is open")
        settled = (
            "SELECT count(*) FROM trade JOIN account ON account.id = trade.account_id WHERE "
            "account.name = ? AND state = 'settled'"
        )
        until(lambda: place.rows(settled, name) == [(2,)])
        kept = trader.files()
        shown.open(f"/accounts/{name}/disconnect")
        shown.by_keyboard("Disconnect", "button")
        shown.open("/signals")
        trader.looks()
        for tab, words in (
            ("Orders", f"{name} (disconnected)"),
            ("Trades", f"{name} (disconnected)"),
            ("Funding", "Disconnected accounts stay here."),
            ("Calendar", "2 trades"),
        ):
            shown.by_keyboard(tab, "a")
            expect(page.locator("main")).to_contain_text(words)
            trader.looks()
        assert trader.files() == kept
        trader.is_sent(closing(f"{name}-6"))


@dataclass
class Trader:
    """Somebody at a window, whose mouse is broken."""

    place: Place
    shown: Window
    name: str
    script: bool

    def looks(self) -> None:
        """Check the page."""
        if self.script:  # axe is a script
            self.shown.check()

    def sees(self, path: str, words: str) -> None:
        """Open a page until it says so."""
        until(lambda: (self.shown.open(path), words in self.shown.text())[1])

    def is_sent(self, body: dict[str, object]) -> None:
        """Let the master send a signal, and wait until every copy is settled."""
        self.place.settled(self.place.send(body))

    def opens_the_menu(self) -> None:
        """Open the menu with the person's name."""
        page = self.shown.page
        self.shown.tab_to("Skip to the content")
        while not page.locator("summary:focus").count():
            page.keyboard.press("Tab")
        menu = page.locator("details.person[open]")
        for leaves in ("Shift+Tab", "Escape") if self.script else ():
            page.keyboard.press("Space")
            expect(menu).to_have_count(1)
            page.keyboard.press(leaves)
            expect(menu).to_have_count(0)
            if leaves == "Shift+Tab":
                page.keyboard.press("Tab")
        page.keyboard.press("Space")
        expect(menu).to_have_count(1)

    def comes_in(self) -> None:
        """Join by an invitation, sign out by the menu, and sign in."""
        shown = self.shown
        shown.open(coming_in.link(self.place, "invite", "create"))
        shown.type_by_keyboard(name=self.name, balance="5000")
        shown.by_keyboard("Connect and join")
        shown.type_by_keyboard(password=coming_in.PASSWORD, again=coming_in.PASSWORD)
        shown.by_keyboard("Set password")
        shown.by_keyboard("I have saved them")
        self.opens_the_menu()
        shown.by_keyboard("Sign out")
        shown.open("/sign-in")
        shown.type_by_keyboard(name=self.name, password=coming_in.PASSWORD)
        shown.by_keyboard("Sign in", "button")
        assert shown.path == "/home"

    def sets_a_channel(self, chat: FakeChatServer) -> None:
        """Link a chat, and have a test sent there."""
        shown, page = self.shown, self.shown.page
        self.opens_the_menu()
        shown.by_keyboard("Your channels", "a")
        shown.tab_to("Connect", "#telegram summary")
        page.keyboard.press("Enter")
        shown.by_keyboard("Connect", "#telegram button")
        linked = len(chat.texts("This chat is linked to"))
        chat.write(78, f"/start {page.locator('#telegram code').inner_text()}")
        chat.wait_for(linked + 1, "This chat is linked to")
        shown.by_keyboard("I have sent it", "a")
        expect(page.locator("#telegram")).to_contain_text("Connected")
        tested = len(chat.texts("This is a test"))
        shown.by_keyboard("Send a test")
        chat.wait_for(tested + 1, "This is a test")
        self.looks()

    def agrees(self, label: str, **limits: str) -> None:
        """Send the terms and confirm them."""
        shown = self.shown
        shown.type_by_keyboard(**limits)
        shown.by_keyboard(label, "button")
        expect(shown.page.locator("h1")).to_have_text("Go live with trend")
        self.looks()
        if shown.page.locator("[name=factor]").count():  # a slow machine: minutes have passed
            shown.type_by_keyboard(factor=coming_in.PASSWORD)
        shown.by_keyboard("Go live", "button")
        expect(shown.page.locator("#mine")).to_contain_text("Live")

    def misses_and_learns_why(self) -> None:
        """Miss entries until the price of one was recorded, and go to the setting."""
        shown = self.shown
        missed = count(10)

        def is_told() -> bool:
            self.is_sent(opening(f"{self.name}-{next(missed)}"))
            shown.open("/signals")
            shown.by_keyboard("Why did I miss trades?", "a")
            row = shown.page.locator("#weeks tr", has_text="Limit: Max. order value")
            return bool(row.count()) and bool(re.search(r"\d\.\d\d", row.inner_text()))

        until(is_told)
        self.looks()
        shown.by_keyboard("Change Max. order value", "a")

    def files(self) -> dict[str, str]:
        """Download the histories."""
        return {
            kind: self.shown.page.request.get(f"{self.place.url}/{kind}.csv").text()
            for kind in ("signals", "orders", "trades", "funding")
        }
