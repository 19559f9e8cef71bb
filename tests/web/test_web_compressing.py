"""Answers are compressed, except those whose length could tell a secret."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_place import web_place

from engine.domain.person import Role
from web.compressing import SHOWS_SECRETS, masked, takes_gzip, unmasked

TEMPLATES = Path(__file__).parents[2] / "web" / "templates"


@given(st.binary(min_size=32, max_size=32))
def test_a_masked_token_is_read_and_never_the_same_twice(token: bytes) -> None:
    one, other = masked(token.hex()), masked(token.hex())
    assert unmasked(one) == unmasked(other) == token.hex()
    assert one != other
    assert token.hex() not in one


@pytest.mark.parametrize("text", ["", "00", "é" * 128, "0 " * 64, "zz" * 64, "00" * 65])
def test_what_is_no_masked_token_is_none(text: str) -> None:
    assert unmasked(text) == ""


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("gzip, deflate, br", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("br, gzip; q=0", False),
        ("gzip;q=0.000", False),
        ("identity", False),
        ("", False),
    ],
)
def test_a_browser_gets_what_it_takes(header: str, takes: bool) -> None:
    assert takes_gzip(header) is takes


def test_each_named_template_is_there_and_each_that_shows_a_secret_is_named() -> None:
    assert {each for each in SHOWS_SECRETS if not (TEMPLATES / each).exists()} == set()
    words = ("{{ secret }}", "each.reveal()", "{{ shown.link }}", "{{ token }}", "{{ invite }}")
    showing = {
        str(each.relative_to(TEMPLATES))
        for each in TEMPLATES.rglob("*.html")
        if any(word in each.read_text(encoding="utf-8") for word in words)
    }
    assert showing - SHOWS_SECRETS == set()


async def test_pages_are_small_and_pages_with_secrets_are_whole(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        ada = await place.person("ada", Role.MASTER)
        await place.strategy(ada)
        asks = {"Accept-Encoding": "gzip, br"}
        plain = await ada.client.get("/strategies")
        small = await ada.client.get("/strategies", headers=asks)
        assert small.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in small.headers["Vary"]
        whole, packed = await plain.get_data(as_text=False), await small.get_data(as_text=False)
        assert len(packed) < len(whole) / 2
        assert b"<h1>Strategies" in gzip.decompress(packed)
        assert int(small.headers["Content-Length"]) == len(packed)
        for path in ("/security/second-factor", "/studio/debugger"):
            answer = await ada.client.get(path, headers=asks)
            assert answer.status_code == 200
            assert "Content-Encoding" not in answer.headers, path
            assert answer.headers["Cache-Control"] == "no-store, no-transform"
        await ada.get("/security/second-factor")
        wrong = {**ada.hidden("/security/second-factor"), "csrf": ada.csrf, "code": "000000"}
        for _ in range(2):  # the second answer is the first one again
            repeated = await ada.client.post(
                "/security/second-factor",
                form=wrong,
                headers={**asks, "Origin": "http://localhost"},
            )
            assert repeated.status_code == 422
            assert "Content-Encoding" not in repeated.headers
        sheet = await ada.client.get("/static/site.css", headers=asks)
        assert sheet.headers["Content-Encoding"] == "gzip"
