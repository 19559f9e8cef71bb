"""A browser without a screen: cookies, forms with their tokens, and redirects, over real HTTP. For
journeys without JavaScript.
"""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Final

import httpx

_INPUT = re.compile(r"<input[^>]*>")
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')


OPENED: "list[httpx.Client]" = []
IDLE: Final = httpx.Limits(keepalive_expiry=1.0)
"""The server ends an idle connection after 5 s, and httpx after as long: on a busy machine a request
met the end of its connection.
"""


def new_client() -> httpx.Client:
    """Open a client; ``close_all`` closes every one."""
    OPENED.append(httpx.Client(trust_env=False, follow_redirects=True, timeout=30, limits=IDLE))
    return OPENED[-1]


def close_all() -> None:
    """Close every client that was opened."""
    while OPENED:
        OPENED.pop().close()


@dataclass
class User:
    """One person's browser at one installation."""

    url: str
    client: httpx.Client = field(default_factory=new_client)
    page: httpx.Response | None = None

    def get(self, path: str, status: int = 200) -> str:
        """Open a page; return its text."""
        return self._took(self.client.get(self.url + path), status)

    def post(
        self,
        path: str,
        status: int = 200,
        *,
        token: bool = True,
        origin: str | None = None,
        **fields: str,
    ) -> str:
        """Send a form to an address with the token of the open page; return the text of the page it
        led to.
        """
        sent = {**({"csrf": self.csrf} if token and self.csrf else {}), **fields}
        headers = {"Origin": self.url if origin is None else origin}
        return self._took(self.client.post(self.url + path, data=sent, headers=headers), status)

    def _took(self, answer: httpx.Response, status: int) -> str:
        self.page = answer
        assert answer.status_code == status, (
            str(answer.url),
            answer.status_code,
            answer.text[:3000],
        )
        return answer.text

    @property
    def csrf(self) -> str:
        """Return the token of the open page."""
        return self.value("csrf") if self.page is not None else ""

    @property
    def path(self) -> str:
        """Return the current path."""
        assert self.page is not None
        return self.page.url.path

    def value(self, name: str) -> str:
        """Return the value of an input of the open page; empty if there is none."""
        assert self.page is not None
        for found in _INPUT.findall(self.page.text):
            attributes = dict(_ATTRIBUTE.findall(found))
            if attributes.get("name") == name:
                return unescape(attributes.get("value", ""))
        return ""
