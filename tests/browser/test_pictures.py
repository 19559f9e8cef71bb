"""The pictures of README.md, taken from the demo in real Chromium: the fan-out as it happens and a
trader's page.

``make pictures`` writes them to docs/pictures; without it they are taken and thrown away, so that
a page that cannot be pictured fails here.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from demo_place import ROOT, running_demo
from playwright.sync_api import Browser, expect
from screens import Window, window

SMALL: Final = 150_000
"""Bytes that one picture may have: whoever clones the project carries it for ever."""
PART: Final = {"x": 0, "y": 0, "width": 1280, "height": 640}


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    """Run the demo; returns its address."""
    with running_demo() as address:
        yield address


def keep(shown: Window, name: str, tmp_path: Path) -> None:
    """Take a picture of what the window shows, small enough to be kept."""
    folder = Path(os.environ.get("REXALGO_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.jpg"
    shown.page.screenshot(path=file, type="jpeg", quality=70, clip=PART)
    assert file.stat().st_size < SMALL


def test_the_fan_out_as_it_happens(chromium: Browser, demo: str, tmp_path: Path) -> None:
    with window(chromium, demo) as shown:
        shown.open("/live")
        expect(shown.page.locator("tbody tr").nth(11)).to_be_visible()
        keep(shown, "fan-out", tmp_path)


def test_a_traders_page(chromium: Browser, demo: str, tmp_path: Path) -> None:
    with window(chromium, demo) as shown:
        shown.open("/")
        shown.press("Be the trader")
        expect(shown.page.locator("#last tbody tr").nth(2)).to_be_visible()
        keep(shown, "trader", tmp_path)


def test_the_readme_shows_them() -> None:
    named = re.findall(
        r"\]\((docs/pictures/[a-z-]+\.jpg)\)", (ROOT / "README.md").read_text("utf-8")
    )
    assert len(named) == 2
    assert all((ROOT / each).stat().st_size < SMALL for each in named)
