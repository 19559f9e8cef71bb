"""Screenshots of every page of the demo, light and dark, desktop and phone, and a contact sheet:
``make shots``.

Pages are taken from the routes that the web declares. An address with a part of its own (a strategy,
a signal) is taken from the links of the other pages, so a page that nothing leads to is named at the
end. Pages that stand only after a deed (new recovery codes, a secret, a token, a halt, joining by an
invitation) come last. Somebody looks at the pictures; nothing is compared. Options choose who looks, at which pages, on
what and in which theme: ``make shots ARGS="--role master --size phone --only studio"``.
"""

import argparse
import re
import time
from collections.abc import Callable, Iterator, Mapping
from html import escape, unescape
from itertools import product
from pathlib import Path
from typing import Any, Final

from demo_place import ROOT, running_demo
from playwright.sync_api import Browser, BrowserContext, Error, Page, sync_playwright
from screens import SIZES, chromium_path, launch

from web.app import PAGES
from web.routes import Route, Who

ROLES: Final[Mapping[str, tuple[Who, ...]]] = {
    "nobody": (Who.ANYONE,),
    "trader": (Who.FOLLOWER, Who.SIGNED_IN),
    "master": (Who.MASTER, Who.SIGNED_IN),
    "operator": (Who.OPERATOR,),
}
THEMES: Final = ("light", "dark")
_HREF: Final = re.compile(r'href="(/[^"#]*)"')
_POSITION: Final = re.compile(r'href="(/accounts/[^"/]+/positions/[A-Z0-9]+)"')
_EACH: Final = ("/strategies/<identifier>", "/strategies/<identifier>/follow")
"""Routes of which each linked page is pictured: a strategy is copied, watched or neither."""
_TALLEST: Final = 4_000
_LOOKS: Final = 60
_SHEET_WIDTH: Final = 1_600
_THUMBNAILS: Final = {"desktop": 380, "phone": 180}


def _codes(page: Page) -> None:
    page.goto("/security")
    _press(page, "Make new ones")


def _token(page: Page) -> None:
    page.goto("/security/tokens")
    page.locator("[name=name]").fill("laptop")
    _press(page, "Make the token")


def _secret(page: Page) -> None:
    page.goto("/studio")
    page.locator("a[href^='/studio/strategies/']", has_text="trend").first.click()
    _press(page, "Renew the secret")


def _flattened(page: Page) -> None:
    page.goto("/accounts/trader/flatten")
    _press(page, "Close everything the engine opened")


def _to_halt(page: Page) -> None:
    page.goto("/operate/switches")
    page.locator("#level-flatten").check()
    page.locator("[name=note]").fill("the exchange answers strangely")
    _press(page, "Stop it now")


def _invited(page: Page) -> None:
    page.goto("/operate/people")
    _press(page, "Make a link")


def _to_join(page: Page) -> None:
    _invited(page)
    link = re.search(r"(/join\?[^\s<\"]+)", page.content())
    assert link is not None, page.locator("main").inner_text()
    page.context.clear_cookies()
    page.goto(unescape(link[1]))


def _joined(page: Page) -> None:
    _to_join(page)
    page.locator("[name=name]").fill("newcomer")
    _press(page, "Connect and join")


def _press(page: Page, label: str) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=label, exact=True).first.click()


_DEEDS: Final[Mapping[str, Mapping[str, Callable[[Page], None]]]] = {
    "nobody": {},
    "trader": {"codes": _codes, "token": _token, "flattened": _flattened},
    "master": {"secret": _secret},
    "operator": {
        "to-halt": _to_halt,
        "invited": _invited,
        "to-join": _to_join,
        "joined": _joined,
    },
}
"""What each role does for a page that no link leads to, by the name of its picture."""


def main() -> None:
    """Take the pictures that are asked for and write the contact sheets; print where they are."""
    given = _choices()
    roles = given.role or tuple(ROLES)
    variants = tuple(product(given.size or SIZES, given.theme or THEMES))
    executable = chromium_path()
    if executable is None:
        raise SystemExit("expected Chromium on this machine, found none: apt-get install chromium")
    with running_demo() as address, sync_playwright() as playwright:
        browser = launch(playwright, executable)
        time.sleep(given.wait)
        states = {role: _signed_in(browser, address, role) for role in roles}
        found = {role: _pages(browser, address, role, states[role]) for role in roles}
        given.to.mkdir(parents=True, exist_ok=True)
        for role, pages in found.items():
            for route, path in pages.items():
                if re.search(given.only, route.partition(" ")[0]):
                    for variant in variants:
                        _take(browser, address, role, route, path, states[role], given.to, variant)
        for role in roles:
            for name, deed in _DEEDS[role].items():
                if re.search(given.only, f"/after/{name}"):
                    _take_after(
                        browser,
                        address,
                        f"{role}-after-{name}",
                        deed,
                        states[role],
                        given.to,
                        variants,
                    )
        _write_sheets(browser, given.to, variants)
        missing = sorted(
            each.address
            for each in PAGES
            if each.method == "GET"
            and any(each.who in ROLES[role] for role in roles)
            and re.search(given.only, each.address)
            and not any(
                route.partition(" ")[0] == each.address
                for pages in found.values()
                for route in pages
            )
        )
        browser.close()
    print(f"pictures and contact sheets are in {given.to}")
    print(f"not pictured (no page, or nothing leads there): {', '.join(missing)}")


def _choices() -> argparse.Namespace:
    """Return which pictures are asked for: all, where nothing is chosen."""
    parser = argparse.ArgumentParser(
        prog="make shots", description="Take pictures of every page of the demo."
    )
    parser.add_argument(
        "--role", action="append", choices=ROLES, help="who looks; may be given again"
    )
    parser.add_argument(
        "--size", action="append", choices=SIZES, help="the width; both if not given"
    )
    parser.add_argument("--theme", action="append", choices=THEMES, help="both if not given")
    parser.add_argument(
        "--only",
        type=re.compile,
        default="",
        metavar="PATTERN",
        help="only pages whose address, as the web declares it, has this in it: "
        "a regular expression, such as ^/studio or <symbol>",
    )
    parser.add_argument(
        "--to",
        type=Path,
        default=ROOT / "build/shots",
        metavar="FOLDER",
        help="default: build/shots",
    )
    parser.add_argument(
        "--wait",
        type=int,
        default=45,
        metavar="SECONDS",
        help="how long the demo trades before the first picture; default: 45",
    )
    return parser.parse_args()


def _signed_in(browser: Browser, address: str, role: str) -> Any:
    """Return the cookies of somebody who came in by the demo's own button."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    if role != "nobody":
        with page.expect_navigation():
            page.get_by_role("button", name=f"Be the {role}", exact=True).click()
    state = context.storage_state()
    context.close()
    return state


def _pages(browser: Browser, address: str, role: str, state: Any) -> dict[str, str]:
    """Return the pages of a role by the address of their route: the plain ones, and of each other
    one that is linked, of some all.
    """
    context = browser.new_context(storage_state=state)
    routes = [each for each in PAGES if each.method == "GET" and each.who in ROLES[role]]
    waiting = [(each.address, each.address) for each in routes if "<" not in each.address]
    open_routes = [each for each in routes if "<" in each.address]
    pages, seen = dict[str, str](), set[str]()
    while waiting:
        route, path = waiting.pop(0)
        text = _html(context, address + path)
        if path == "/positions":
            text = _with_position(context, address)
        if text is None:
            continue
        pages[route] = path
        plain = {each.address for each in routes}
        for href in map(unescape, _HREF.findall(text)):
            if href.partition("?")[0] in plain:
                continue
            fitting = next((each for each in open_routes if _fits(each, href)), None)
            what = href.partition("?")[0]
            if fitting is None or what in seen:
                continue
            seen.add(what)
            if fitting.address in _EACH:
                number = sum(_fits(fitting, each) for each in seen)
                waiting.append((f"{fitting.address} {number}", href))
            else:
                open_routes.remove(fitting)
                waiting.insert(0, (fitting.address, href))
    context.close()
    return pages


def _with_position(context: BrowserContext, address: str) -> str | None:
    """Return the page of positions, as soon as it leads to one: in the demo it is open for seconds."""
    text = None
    for _ in range(_LOOKS):
        text = _html(context, f"{address}/positions")
        if text is None or _POSITION.search(text):
            break
        time.sleep(1)
    return text


def _html(context: BrowserContext, url: str) -> str | None:
    """Return a page's source, None for a file or what leads elsewhere."""
    try:
        answer = context.request.get(url, max_redirects=0, timeout=20_000)
    except Error:  # a download is no page
        return None
    is_page = answer.status == 200 and "text/html" in answer.headers.get("content-type", "")
    return answer.text() if is_page else None


def _fits(route: Route, path: str) -> bool:
    pattern = re.sub(r"<[^>]+>", "[^/]+", route.address)
    return re.fullmatch(pattern, path.partition("?")[0]) is not None


def _take(
    browser: Browser,
    address: str,
    role: str,
    route: str,
    path: str,
    state: Any,
    folder: Path,
    variant: tuple[str, str],
) -> None:
    size, theme = variant
    width, height = SIZES[size]
    context = browser.new_context(
        storage_state=state,
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": width, "height": height},
    )
    page = context.new_page()
    if "/positions" in route:
        found = _POSITION.search(_with_position(context, address) or "")
        if found is not None and "<symbol>" in route:
            path = found[1] + route.partition("<symbol>")[2]
    answer = page.goto(address + path, wait_until="load")
    if answer is None or answer.status != 200:
        raise SystemExit(f"expected {path} of {role} to answer 200, found {answer}")
    _picture(page, folder / f"{size}-{theme}" / f"{role}{_file_name(route)}.jpg", size)
    context.close()


def _take_after(
    browser: Browser,
    address: str,
    name: str,
    deed: Callable[[Page], None],
    state: Any,
    folder: Path,
    variants: tuple[tuple[str, str], ...],
) -> None:
    """Do something once, and picture the page after it in each variant."""
    context = browser.new_context(storage_state=state, base_url=address)
    page = context.new_page()
    deed(page)
    for size, theme in variants:
        width, height = SIZES[size]
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        _picture(page, folder / f"{size}-{theme}" / f"{name}.jpg", size)
    context.close()


def _picture(page: Page, file: Path, size: str) -> None:
    width, height = SIZES[size]
    tall = min(_TALLEST, page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": width, "height": max(height, tall)})
    file.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=file, type="jpeg", quality=70)


def _file_name(route: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]+", "-", f"/{route.strip('/')}").rstrip("-")


def _write_sheets(browser: Browser, folder: Path, variants: tuple[tuple[str, str], ...]) -> None:
    """Write a contact sheet of each variant, as HTML and as pictures."""
    for size, theme in variants:
        variant = f"{size}-{theme}"
        files = sorted((folder / variant).glob("*.jpg"))
        sheet = folder / f"{variant}.html"
        sheet.write_text(_sheet(variant, files, _THUMBNAILS[size]), encoding="utf-8")
        page = browser.new_page(viewport={"width": _SHEET_WIDTH, "height": 900})
        page.goto(sheet.as_uri(), wait_until="load")
        page.screenshot(path=folder / f"{variant}.png", full_page=True)
        page.close()


def _sheet(variant: str, files: list[Path], width: int) -> str:
    return "".join(_sheet_parts(variant, files, width))


def _sheet_parts(variant: str, files: list[Path], width: int) -> Iterator[str]:
    yield (
        f"<!doctype html><meta charset=utf-8><title>{variant}</title><style>body{{font:14px "
        "sans-serif;margin:16px;background:#777;color:#fff}main{display:flex;flex-wrap:wrap;gap:16px}"
        f"figure{{margin:0;width:{width}px}}img{{width:100%;display:block}}"
        f"figcaption{{overflow-wrap:anywhere}}a{{display:block;max-height:{2 * width}px;overflow:hidden}}</style>"
        f"<h1>{variant}</h1><main>"
    )
    for each in files:
        link = escape(f"{each.parent.name}/{each.name}")
        yield (
            f'<figure><a href="{link}"><img src="{link}" alt=""></a>'
            f"<figcaption>{escape(each.stem)}</figcaption></figure>"
        )
    yield "</main>"


if __name__ == "__main__":
    main()
