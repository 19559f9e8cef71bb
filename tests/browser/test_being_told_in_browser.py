"""A trader links a chat in real Chromium and is told what happens: once, and over a kill in the middle
of sending once more, which says so.
"""

import signal
from collections.abc import Iterator

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
    with httpx.Client(trust_env=False) as client:
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
    until(lambda: place.rows("SELECT 1 FROM message_due WHERE how = 'now'") == [], 30)
    place.end(signal.SIGKILL)  # with nothing on its way
    place.serve()
    send(place, closing("t-4"))
    chat.wait_for(3, "close BTCUSDT filled")
    assert len(chat.texts("open BTCUSDT filled")) == 2
    assert len(chat.texts("You may have this already")) == 1
    assert len(chat.texts("This chat is linked to")) == 1
