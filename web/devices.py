"""A readable device from what a browser says about itself. Untrusted: anybody may claim anything."""

from typing import Final

_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
"""The first that is named counts: most browsers also name those that they resemble."""
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
_CHARACTERS_MAX: Final = 40


def device(agent: str) -> str:
    """Return a short description such as ``Firefox on Linux``; printable, at most 40 characters."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    first = "".join(each for each in agent.strip() if each.isprintable()).partition(" ")[0]
    if not first:
        return "unknown"
    return first if len(first) <= _CHARACTERS_MAX else f"{first[: _CHARACTERS_MAX - 1]}…"
