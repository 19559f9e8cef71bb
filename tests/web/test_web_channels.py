"""A person's own channels at pages: linked by a code, told at once, in a digest or not at all, tested,
and disconnected; in one process and in two.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from html import unescape
from pathlib import Path

import pytest
import trio
from api_place import program

from engine.domain.alert import ABOUT_ACCOUNTS, ABOUT_PEOPLE, ABOUT_STRATEGIES, AlertCode
from engine.domain.identifiers import AccountId
from engine.domain.message import Message
from engine.domain.person import Role
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.freeze import freeze
from engine.ledger.query import fetch_all
from tests.chat_server import BOT, TOKEN, FakeChatServer, fake_chat_server
from tests.soft_authenticator import SoftAuthenticator
from tests.web.web_place import PASSWORD, Browser, WebPlace, web_place

TERMS = {
    "mode": "live",
    "sizing": "fixed_notional",
    "size": "130",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}
SETTINGS = """[plugins]
enabled = ["paper", "signed_webhook", "gcra", "log", "telegram", "webhook_out"]
[plugin.paper]
price_fixed = {{ BTCUSDT = "65000" }}
flush = "inline"
[plugin.telegram]
base_url = "{address}"
bot_token_file = "{token}"
[outgoing]
internal = ["127.0.0.0/8"]
[web]
sign_up = "open"
"""


@pytest.fixture
def chat() -> Iterator[FakeChatServer]:
    with fake_chat_server() as fake:
        yield fake


def settings(folder: Path, chat: FakeChatServer) -> str:
    token = folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    return SETTINGS.format(address=chat.address, token=token)


async def told(chat: FakeChatServer, count: int, containing: str = "") -> list[str]:
    return await trio.to_thread.run_sync(partial(chat.wait_for, count, containing, 20))


async def link(browser: Browser, chat: FakeChatServer, number: int = 77) -> None:
    """Link a chat by the code that the page shows."""
    await browser.get("/channels")
    await browser.post("/channels/telegram/begin", factor=PASSWORD)
    found = re.search(r'<code class="long">([A-Z2-7]{10})</code>', browser.text)
    assert found is not None, browser.words
    assert f"https://t.me/{BOT}?start={found[1]}" in unescape(browser.text)
    chat.write(number, f"/start@{BOT} {found[1]}")
    await told(chat, 1, "This chat is linked to bob")


async def sign_in(browser: Browser, name: str = "bob") -> None:
    await browser.get("/sign-in")
    await browser.post("/sign-in", bare=True, name=name, password=PASSWORD)


async def alert(place: WebPlace, name: str, sameness: str) -> None:
    details = {"symbol": "BTCUSDT", "quantity": "1", "cause": "the exchange refused it"}
    at = place.clock.now()
    await place.context.ledger.write(
        lambda db: raise_alert(db, AlertCode.RESIDUE, name, details, at, sameness)
    )


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_chat_is_linked_by_its_code_and_told_what_was_chosen(
    tmp_path: Path, chat: FakeChatServer, two_roles: bool
) -> None:
    async with web_place(tmp_path, settings(tmp_path, chat), two_roles=two_roles) as place:
        alice = await place.person("alice", Role.MASTER)
        strategy = await place.strategy(alice)
        bob = await place.person("bob", balance="10000")
        eve = await place.person("eve", balance="10000")
        follow = f"/strategies/{strategy}/follow"
        await bob.get(f"{follow}?account=bob")
        await bob.post(follow, do="agree", **TERMS)
        await bob.post(follow, factor=PASSWORD)
        await alert(place, "bob", "before it was linked")
        chat.write(66, "hello ABCDEFGHIJ, which is no code of anybody")

        await link(bob, chat)
        [(sealed, shown)] = fetch_all(
            place.context.ledger.db, "SELECT sealed, shown FROM person_channel"
        )
        assert shown == "bob_at_home"
        assert b"77" not in bytes(sealed)
        assert b"chat" not in bytes(sealed)
        assert "Connected" in (await bob.get("/channels"))
        (channel, *_) = (await (await program(place, bob)).ask("/channels"))["channels"]
        assert (channel["name"], channel["shown"]) == ("telegram", "bob_at_home")
        assert (channel["is_connected"], channel["is_dead"]) == (True, False)
        assert channel["told"] == {"risk": "now", "orders": "digest", "missed": "digest"}

        # what is a risk at once, to its owner alone; the rest in the digest of the next morning
        await alert(place, "bob", "one")
        await alert(place, "eve", "two")
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
        [risk] = await told(chat, 1, "could not be closed")
        assert risk.startswith("PAPER bob: 1 BTCUSDT could not be closed")
        assert {each["chat_id"] for each in chat.sent} == {"77"}
        await place.until(
            lambda: fetch_all(
                place.context.ledger.db, "SELECT 1 FROM message_due WHERE how = 'digest'"
            )
        )
        assert chat.texts("filled") == []
        place.clock.passed += timedelta(days=1)
        [digest] = await told(chat, 1, "Your digest of")
        assert "PAPER bob: open BTCUSDT filled" in digest
        place.clock.passed += timedelta(days=1)
        await sign_in(bob)  # two days are longer than a session, and the second has nothing to tell
        await bob.get("/channels")

        # what is to be told at once, and what not at all
        await bob.post("/channels/telegram/wants", orders="now", risk="silent", missed="silent")
        assert bob.words.count("Changed.") == 1
        await alert(place, "bob", "three")
        await place.signal(strategy, action="close", symbol="BTCUSDT")
        await told(chat, 1, "PAPER bob: close BTCUSDT filled")
        assert len(chat.texts("could not be closed")) == 1
        assert len(chat.texts("Your digest of")) == 1
        await bob.post("/channels/telegram/wants", 422, orders="loudly")

        # a test, its failure, and what is not connected
        await bob.post("/channels/telegram/test")
        assert len(chat.texts("This is a test, asked for by bob")) == 1
        chat.refuses = 403
        await bob.post("/channels/telegram/test", 422)
        assert "Telegram answered 403: Forbidden: the bot was blocked by the user" in bob.words
        place.clock.passed += timedelta(minutes=6)
        await bob.get("/orders")
        assert "Messages to bob_at_home are not arriving" in bob.words
        chat.refuses = 0
        await bob.get("/channels")
        assert "Nothing waits, so it is tried again with the next message or test." in bob.words
        await bob.post("/channels/telegram/test")
        await bob.get("/orders")
        assert "You are not told" not in bob.words
        await sign_in(eve, "eve")
        await eve.get("/channels")
        for deed in ("test", "drop", "wants", "confirm"):
            await eve.post(f"/channels/telegram/{deed}", 404, code="ABCDEFGHIJ")
        await bob.get("/channels")
        await bob.post("/channels/telegram/drop", factor=PASSWORD)
        assert fetch_all(place.context.ledger.db, "SELECT 1 FROM person_channel") == []
        assert TOKEN not in bob.text


async def test_an_address_of_a_person_is_called_only_if_it_is_public(
    tmp_path: Path, chat: FakeChatServer
) -> None:
    """Even where the operator allowed their own plugins more."""
    async with web_place(tmp_path, settings(tmp_path, chat)) as place:
        bob = await place.person("bob", balance="10000")
        await bob.get("/channels")
        secret = bob.value("secret")
        assert secret.startswith("whsec_")
        port = chat.address.rpartition(":")[2]
        for address, said in (
            (f"https://127.0.0.1:{port}/", "cannot be reached"),
            ("https://[::ffff:169.254.169.254]/latest", "cannot be reached"),
            ("https://localhost/x", "cannot be reached"),
            (chat.address, "Expected an https address"),
            ("https://bob:pass@example.org/", "Expected an https address without a user name"),
            ("https://exa mple.org/", "Expected an https address"),
            ("https://[::1/", "Expected an https address"),
            ("", "Expected a value"),
        ):
            await bob.get("/channels")
            await bob.post(
                "/channels/webhook/begin", 422, factor=PASSWORD, address=address, secret=secret
            )
            assert said in bob.words, (address, bob.words)
        assert chat.sent == []
        await bob.get("/channels")
        await bob.post(
            "/channels/webhook/begin", 422, address="https://example.org/", secret="whsec_short"
        )
        assert "whsec_ and base64" in bob.words


async def test_a_code_that_comes_back_confirms_no_other_address(
    tmp_path: Path, chat: FakeChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that is being entered in another window at the same time."""
    codes: dict[str, str] = {}
    sending, go_on = trio.Event(), trio.Event()

    async def send(_: object, target: Mapping[str, str], message: Message, __: object) -> None:
        # in the network's place: a person's address is called only if it is public
        codes[target["address"]] = message.details["code"]
        if "eve" in target["address"]:
            sending.set()
            await go_on.wait()

    monkeypatch.setattr("engine.services.telling.send", send)
    mine, other = "https://bob.example.org/", "https://eve.example.org/"
    async with web_place(tmp_path, settings(tmp_path, chat)) as place:
        bob = await place.person("bob")
        window = place.browser()
        await sign_in(window)
        await bob.get("/channels")
        secret = bob.value("secret")
        begin = partial(bob.post, "/channels/webhook/begin", factor=PASSWORD, secret=secret)
        await begin(address=mine)

        async with trio.open_nursery() as nursery:
            await bob.get("/channels")
            nursery.start_soon(partial(begin, 422, address=other))
            await sending.wait()
            await window.get("/channels")
            await window.post("/channels/webhook/confirm", code=codes[mine])
            go_on.set()
        assert "It is connected already" in bob.words
        [(shown, is_confirmed)] = fetch_all(
            place.context.ledger.db, "SELECT shown, confirmed_us IS NOT NULL FROM person_channel"
        )
        assert "bob.example.org" in shown
        assert is_confirmed

        # the other way round: an address that took the place of another one waits for its own code
        await window.get("/channels")
        await window.post("/channels/webhook/drop", factor=PASSWORD)
        await window.get("/channels")
        await window.post("/channels/webhook/begin", factor=PASSWORD, secret=secret, address=mine)
        first = codes[mine]
        await begin(address=other)
        await window.get("/channels")
        await window.post("/channels/webhook/confirm", 422, code=first)
        await window.get("/channels")
        await window.post("/channels/webhook/confirm", code=codes[other])


async def test_what_is_new_is_counted_until_it_was_read(
    tmp_path: Path, chat: FakeChatServer
) -> None:
    async with web_place(tmp_path, settings(tmp_path, chat)) as place:
        bob = await place.person("bob", balance="10000")
        eve = await place.person("eve", balance="10000")
        assert 'class="badge"' not in await bob.get("/home")
        for each in ("one", "two"):
            await alert(place, "bob", each)
        assert '<span class="badge">2<span class="unseen"> new</span>' in await bob.get("/home")
        assert 'class="badge"' not in await eve.get("/home")
        await bob.get("/notifications")
        await alert(place, "bob", "three")  # after the page was shown
        await bob.post("/notifications/read")
        assert '<span class="badge">1<' in await bob.get("/home")
        await bob.get("/notifications")
        for wrong in ("", "-1", "9" * 30, "x"):
            await bob.post("/notifications/read", bare=True, csrf=bob.csrf, upto=wrong)
            assert '<span class="badge">1<' in bob.text
        await bob.post("/notifications/read")
        assert 'class="badge"' not in bob.text


async def test_a_channel_is_connected_with_a_passkey_alone_and_no_page_repeats_a_secret(
    tmp_path: Path, chat: FakeChatServer
) -> None:
    named = settings(tmp_path, chat) + 'public_url = "https://copy.example.org"\n'
    async with web_place(tmp_path, named) as place:
        bob, device = await place.person("bob", balance="10000"), SoftAuthenticator()
        await bob.get("/security")
        await bob.post("/security/passkeys")
        made = device.create(await _asked(bob, "to-add"))
        await bob.post("/security/passkeys/new", name="Phone", credential=made)
        place.clock.passed += timedelta(minutes=6)

        shown = await bob.get("/channels")
        assert "Your password" not in shown
        assert shown.count('data-passkey="get"') == 3
        assert not re.findall(r'id="(factor[^"]*)"', shown)
        for name in ("ntfy-address", "ntfy-token", "webhook-address"):
            assert re.search(f'<input id="{name}"[^>]* type="password" value=""', shown)
        secret, typed = bob.value("secret"), "https://ntfy.sh/nobody-guesses-this"
        for proof in ({}, {"passkey": "{}"}):
            told = await bob.post("/channels/ntfy/begin", 422, address=typed, token="tk_1", **proof)
            assert bob.path == "/channels/ntfy/begin"
            assert "Secrets were not kept" in bob.words
            assert typed not in told
            assert "tk_1" not in told
            assert 'type="hidden" name="secret"' not in told
        assert secret.startswith("whsec_")

        signed = device.sign(await _asked(bob, "to-confirm"))
        await bob.post("/channels/telegram/begin", passkey=signed)
        assert "Send this code to the bot" in bob.words


async def test_an_alert_about_a_person_is_theirs_and_not_of_an_account_called_the_same(
    tmp_path: Path, chat: FakeChatServer
) -> None:
    async with web_place(tmp_path, settings(tmp_path, chat)) as place:
        bob = await place.person("bob", balance="10000")
        await bob.get("/accounts/connect?exchange=paper")
        await bob.post("/accounts/connect", exchange="paper", balance="250", factor=PASSWORD)
        other = await place.person("bob-2")
        await link(bob, chat)
        await link(other, chat, 88)
        await told(chat, 1, "This chat is linked to bob-2")
        details = {"name": "Phone", "counted": "7", "found": "3"}
        at = place.clock.now()
        await place.context.ledger.write(
            lambda db: raise_alert(db, AlertCode.PASSKEY_COPIED, "bob-2", details, at, "one")
        )
        await told(chat, 1, "A passkey of bob-2, Phone, reported a lower counter")
        assert {each["chat_id"] for each in chat.sent if "A passkey of" in str(each["text"])} == {
            "88"
        }
        assert '<span class="badge">1<' in await other.get("/home")
        assert "Your passkeys" in await other.get("/notifications")
        assert 'class="badge"' not in await bob.get("/home")
        await bob.get("/notifications")
        assert "A passkey of" not in bob.words

        def of_others(db: Database) -> None:
            """Raise what only operators are told: an account may be called as its subject."""
            left = {"scope": "strategy bob", "left": "eve [LIVE] long 0.5 BTCUSDT", "problem": "x"}
            for code in AlertCode:
                if code not in ABOUT_PEOPLE | ABOUT_STRATEGIES | ABOUT_ACCOUNTS:
                    raise_alert(db, code, "bob", left, at)
            freeze(db, account=AccountId("any"), name="bob", cause="it may be old", at=at)

        await place.context.ledger.write(of_others)
        await told(chat, 1, "bob is frozen: it may be old")
        assert {each["chat_id"] for each in chat.sent if "is frozen" in str(each["text"])} == {"77"}
        assert "0.5 BTCUSDT" not in str(chat.sent)
        await bob.get("/notifications")
        assert "is frozen" in bob.words
        assert "0.5 BTCUSDT" not in bob.words
        assert '<span class="badge">1<' in await bob.get("/home")


async def _asked(browser: Browser, what: str) -> str:
    answer = await browser.client.get(f"/security/passkeys/{what}")
    return str(await answer.get_data(as_text=True))
