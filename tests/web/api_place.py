"""A person's program: it carries a token, and sends neither a cookie nor a form."""

import json
from dataclasses import dataclass, field
from typing import Any

from web_place import PASSWORD, Browser, WebPlace

ROOT = "/api/v1"


@dataclass
class Program:
    """One program with its token; ``status`` and ``headers`` are of the last answer."""

    client: Any
    token: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, path: str, status: int = 200, method: str = "GET", **headers: str
    ) -> dict[str, Any]:
        """Ask for a path below the root of the API."""
        carried = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = await self.client.open(f"{ROOT}{path}", method=method, headers=carried | headers)
        self.status = answer.status_code
        self.headers = {name.lower(): value for name, value in answer.headers.items()}
        text = await answer.get_data(as_text=True)
        assert self.status == status, (method, path, self.status, text)
        told: dict[str, Any] = json.loads(text)
        return told


async def make_token(
    browser: Browser, scope: str = "read", name: str = "", days: str = "30"
) -> str:
    """Make a token as its owner does, on the page; return its secret."""
    await browser.get("/security/tokens")
    name = name or f"my {scope}"
    await browser.post("/security/tokens", name=name, scope=scope, days=days, factor=PASSWORD)
    assert browser.path == "/security/tokens/new", browser.words
    return browser.text.partition('data-copy="the token">')[2].partition("<")[0]


async def program(place: WebPlace, browser: Browser, scope: str = "read") -> Program:
    """Return a program of a person with a token of a scope."""
    return Program(place.app.test_client(), await make_token(browser, scope))
