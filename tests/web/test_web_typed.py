"""What was typed before a session ended is there again after signing in, for the same person only."""

from datetime import timedelta
from pathlib import Path

import pytest
from web_place import PASSWORD, Browser, web_place

from engine.domain.person import Role

DRAFT = {"name": "trendy", "about": "Breakouts only.", "symbols": "BTCUSDT", "leverage": "3"}
NEW = "/studio/copy-trading/new"


async def sign_in(browser: Browser, name: str) -> None:
    await browser.post(
        "/sign-in", bare=True, name=name, password=PASSWORD, next=browser.value("next")
    )


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_master_finds_the_strategy_as_typed_and_nobody_else_does(
    tmp_path: Path, two_roles: bool
) -> None:
    async with web_place(tmp_path, two_roles=two_roles) as place:
        ada = await place.person("ada", Role.MASTER)
        eve = await place.person("eve", Role.MASTER)
        await ada.get(NEW)
        place.clock.passed += timedelta(hours=13)
        await ada.post(NEW, **DRAFT)
        assert ada.path == "/sign-in"
        assert "what you typed is there again" in ada.words
        onward = ada.value("next")
        await sign_in(ada, "ada")
        assert ada.path == NEW
        assert "Not done yet: this is what you typed" in ada.words
        assert [ada.value(name) for name in ("name", "symbols", "leverage")] == [
            "trendy",
            "BTCUSDT",
            "3",
        ]
        assert "Breakouts only." in ada.text
        await ada.post(NEW, **DRAFT, factor=PASSWORD)
        assert ada.path.endswith("/secret"), ada.words

        await eve.get("/sign-in")
        await sign_in(eve, "eve")
        await eve.get(onward)
        assert "Breakouts only." not in eve.text
        assert "this is what you typed" not in eve.words


async def test_a_form_of_another_session_or_another_site_is_not_done(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ada = await place.person("ada", Role.MASTER)
        await ada.get(NEW)
        await ada.post(NEW, bare=True, csrf="of-yesterday", **DRAFT)
        assert ada.path == NEW
        assert ada.value("name") == "trendy"
        ada.headers["Sec-Fetch-Site"] = "cross-site"
        await ada.post(NEW, 403, bare=True, csrf="x", **DRAFT)
        del ada.headers["Sec-Fetch-Site"]
        await ada.get(f"{NEW}?typed=of-nobody")
        assert ada.value("name") == ""


async def test_a_button_pressed_after_the_session_ended_is_not_done_and_its_page_comes_back(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/accounts/bob")
        await bob.post("/accounts/bob/pause")
        place.clock.passed += timedelta(hours=13)
        await bob.post("/accounts/bob/resume")
        assert bob.path == "/sign-in"
        assert "what you sent was not done" in bob.words
        await sign_in(bob, "bob")
        assert bob.path == "/accounts/bob"
        assert "Press it again if you still want it" in bob.words
        await bob.post("/accounts/bob/resume")
        assert "Resumed" in bob.words


async def test_a_page_whose_session_has_ended_says_so_and_comes_back(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        bob = await place.person("bob")
        place.clock.passed += timedelta(hours=13)
        await bob.get("/security?of=bob")
        assert "Your session has ended." in bob.words
        await sign_in(bob, "bob")
        assert (bob.path, bob.query) == ("/security", "of=bob")
        stranger = place.browser()
        await stranger.get("/home")
        assert "Your session has ended." not in stranger.words
