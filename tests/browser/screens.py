"""One browser window, light or dark, phone or desktop, that records everything that goes wrong in
it.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
SIZES = {"phone": (390, 844), "desktop": (1280, 860)}
_VIOLATIONS = (
    "document.addEventListener('securitypolicyviolation', (e) => console.error('CSP ' + "
    "e.violatedDirective + ' ' + e.blockedURI));"
)


def chromium_path() -> str | None:
    """Return the system's Chromium, None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def launch(playwright: Playwright, executable: str) -> Browser:
    """Start a browser. Its GPU process draws in software here; inside the main process that takes a
    fifteenth less CPU.
    """
    return playwright.chromium.launch(
        executable_path=executable,
        args=["--no-sandbox", "--disable-dev-shm-usage", "--in-process-gpu"],
    )


_RULES: Final = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    "resultTypes": ["violations"],  # describing what passed costs more than the rules
}

_FOCUS = """(kind) => {
  const one = document.activeElement;
  const names = [one.innerText.trim().replace(/\\s+/g, " "), one.getAttribute("name") || ""];
  if (one === document.body) return [names, false, []];
  const style = getComputedStyle(one), box = one.getBoundingClientRect(), hidden = [];
  const width = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
  if (width < 2) hidden.push("no outline");
  const reach = width + parseFloat(style.outlineOffset) - 0.5;
  const cut = (room, by) => {
    if (box.left - reach < room.left || box.right + reach > room.right || box.top - reach < room.top
        || box.bottom + reach > room.bottom) hidden.push("cut off by " + by);
  };
  cut({ left: 0, top: 0, right: innerWidth, bottom: innerHeight }, "the window");
  for (let each = one.parentElement; each !== document.body; each = each.parentElement)
    if (getComputedStyle(each).overflow !== "visible") cut(each.getBoundingClientRect(), `${each.tagName} ${each.className}`);
  for (const x of [box.left + 2, box.right - 2]) for (const y of [box.top + 2, box.bottom - 2]) {
    const there = document.elementFromPoint(x, y);
    if (there && !there.contains(one) && !one.contains(there)) hidden.push(`under ${there.tagName} ${there.className}`);
  }
  return [names, one.matches(kind || "*"), hidden];
}"""
"""What the element with the focus is called, whether it is of a kind, and what hides the outline."""


@dataclass
class Window:
    """A page and the messages of its console."""

    page: Page
    url: str
    said: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Open a page. It must answer with 200."""
        answer = self.page.goto(self.url + path)
        assert answer is not None
        assert answer.status == 200, (path, answer.status)

    @property
    def path(self) -> str:
        """Return the current path, without its query."""
        return re.sub(r"^https?://[^/]+", "", self.page.url).partition("?")[0]

    def fill(self, **values: str) -> None:
        """Type into fields by their name."""
        for name, value in values.items():
            self.page.locator(f"[name='{name}']:visible").first.fill(value)

    def press(self, label: str) -> None:
        """Press the button with this label, and wait for the next page."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=label, exact=True).first.click()

    def follow(self, label: str) -> None:
        """Follow the link with this label."""
        with self.page.expect_navigation():
            self.page.get_by_role("link", name=label, exact=True).first.click()

    def tab_to(self, name: str, kind: str = "") -> None:
        """Press Tab until the button, link or field with this name has the focus. Whatever has it on
        the way must show it.
        """
        passed = list[str]()
        for _ in range(90):
            self.page.keyboard.press("Tab")
            names, fits, hidden = self.page.evaluate(_FOCUS, kind)
            assert not hidden, (self.path, names, "has the focus, and one does not see it", hidden)
            if fits and name in names:
                return
            passed.append(" ".join(names).strip())
        raise AssertionError(f"{self.path} has no {name} that Tab reaches, only {passed}")

    def type_by_keyboard(self, **values: str) -> None:
        """Reach each field by Tab and replace what is in it."""
        for name, value in values.items():
            self.tab_to(name)
            self.page.keyboard.press("Control+a")
            self.page.keyboard.type(value)

    def by_keyboard(self, name: str, kind: str = "") -> None:
        """Reach a button or link by Tab and press Enter, and wait for the next page."""
        self.tab_to(name, kind)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def text(self) -> str:
        """Return the visible text of the page."""
        return self.page.locator("body").inner_text()

    def check(self) -> None:
        """Check the current page: accessible by axe's WCAG 2.1 A and AA rules, one h1, nothing
        wider than the window.
        """
        results = Axe().run(self.page, options=_RULES)
        problems = [
            (each["id"], each["help"], [node["html"][:160] for node in each["nodes"]][:3])
            for each in results.response["violations"]
        ]
        assert not problems, (self.path, problems)
        assert self.page.locator("h1").count() == 1, self.path
        twice = self.page.evaluate(
            "[...document.querySelectorAll('[id]')].map(e => e.id).filter((id, at, all) => "
            "all.indexOf(id) !== at)"
        )
        assert not twice, (self.path, "ids that stand twice", twice)
        wide = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, f"{self.path} is {wide} px wider than the window"


@contextmanager
def window(
    chromium: Browser,
    url: str,
    *,
    size: str = "desktop",
    dark: bool = False,
    script: bool = True,
    context: BrowserContext | None = None,
) -> Iterator[Window]:
    """Open a new window. At its end its console must be empty."""
    width, height = SIZES[size]
    made = context or chromium.new_context(
        color_scheme="dark" if dark else "light",
        viewport={"width": width, "height": height},
        java_script_enabled=script,
    )
    made.add_init_script(_VIOLATIONS)
    shown = Window(made.new_page(), url)
    shown.page.on(
        "console",
        lambda message: (
            shown.said.append(f"{message.type}: {message.text}")
            if message.type in ("error", "warning")
            else None
        ),
    )
    shown.page.on("pageerror", lambda error: shown.said.append(f"page error: {error}"))
    try:
        yield shown
    finally:
        made.close()
    assert not shown.said, shown.said
