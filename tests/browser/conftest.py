"""Real Chromium against a real server. Console errors, failed requests and violations of the
content security policy fail every test.

Chromium is the system's own (Debian: ``apt-get install chromium``). Without it the tests skip with
a message; with ``REXALGO_BROWSER=required``, as continuous integration sets it, they fail instead.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright
from screens import NAMES, chromium_path, launch

sys.path.insert(0, str(Path(__file__).parents[1] / "journeys"))

# its own 5 s are short on a busy machine
expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """Start playwright once."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Start the system's Chromium once."""
    executable = chromium_path()
    if executable is None:
        text = (
            f"expected Chromium on this machine, found none of {', '.join(NAMES)}; Debian and "
            "Ubuntu: apt-get install chromium"
        )
        if os.environ.get("REXALGO_BROWSER") == "required":
            pytest.fail(text)
        pytest.skip(text)
    browser = launch(playwright, executable)
    yield browser
    browser.close()
