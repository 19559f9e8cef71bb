"""Requests as bytes. Pure: a base address and headers are prepared once, and each request adds its
own part.

Nothing that is not plain HTTP gets out: a name is a token, a value and a target have no control
character, and the framing is written here alone. No message quotes a header value or a path; either
may be a key.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlencode

import httpx

from engine.ports.http import Params
from engine.transport.errors import ConnectError

FieldLines = list[tuple[bytes, bytes]]

READING_METHODS: Final = frozenset(("GET", "HEAD"))
"""Methods that change nothing: they need no permit."""
_WITH_BODY: Final = frozenset(("POST", "PUT", "PATCH"))
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_VALUE: Final = re.compile(r"[\x21-\x7e]+(?:[ \t]+[\x21-\x7e]+)*|", re.ASCII)
_PLAIN_PATH: Final = re.compile(
    r"(?:/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9_.~!$&'()*+,;=:@-]*)*/?", re.ASCII
)
_OURS: Final = frozenset((b"content-length", b"transfer-encoding"))
_DEFAULTS: Final[FieldLines] = [
    (b"Accept", b"*/*"),
    (b"Accept-Encoding", b"gzip, deflate"),
    (b"Connection", b"keep-alive"),
    (b"User-Agent", f"python-httpx/{httpx.__version__}".encode()),
]
"""What httpx sends as well: a peer sees one client, whichever way a request takes."""
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Origin:
    """A peer; ``scheme`` is http or https."""

    scheme: str
    host: str
    port: int

    @staticmethod
    def of(url: httpx.URL) -> "Origin":
        """Return the origin of an absolute address; raises ConnectError for anything but http and
        https.
        """
        default = {"http": 80, "https": 443}.get(url.scheme)
        host = url.raw_host.decode("ascii")
        if default is None or not host:
            raise ConnectError(
                f"expected an http or https address with a host, found {url.scheme!r} and "
                f"{host!r}; nothing was sent"
            )
        return Origin(url.scheme, host, url.port or default)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class PreparedRequests:
    """The requests of one client: its address and headers, checked and encoded once. Everything
    here raises ConnectError for what cannot be sent.
    """

    __slots__ = ("_base", "_base_path", "_head", "_head_of_json", "_lines", "origin")

    def __init__(self, base_url: str, headers: Mapping[str, str] | None = None) -> None:
        self._base = _base_address(base_url)
        self.origin = Origin.of(self._base)
        if self._base.userinfo:
            raise ConnectError(
                f"expected an address without user and password for {self.origin}, found one with "
                "them; nothing was sent"
            )
        self._base_path = self._base.raw_path.partition(b"?")[0].rstrip(b"/")
        self._lines = _merged([(b"Host", self._base.netloc), *_DEFAULTS], _checked(headers))
        self._head = _joined(self._lines)
        self._head_of_json = _joined(_as_json(self._lines))

    def target(self, path: str, params: Params | None = None) -> bytes:
        """Return the request target of a path relative to the base address."""
        if _PLAIN_PATH.fullmatch(path):
            target = self._base_path + b"/" + path.encode().lstrip(b"/")
            return target + b"?" + _query(params) if params else target
        url = _address(path)  # what needs quoting, or has a query of its own
        if url.is_absolute_url:
            raise ConnectError(
                f"expected a path relative to {self.origin}, found another address; nothing was "
                "sent"
            )
        if params:
            url = url.copy_merge_params({name: _text(value) for name, value in params.items()})
        raw_path = self._base_path + b"/" + url.raw_path.lstrip(b"/")
        return self._base.copy_with(raw_path=raw_path).raw_path

    def written(
        self,
        method: str,
        target: bytes,
        headers: Mapping[str, str] | None,
        body: bytes,
        *,
        is_json: bool = False,
    ) -> bytes:
        """Return a whole request as bytes."""
        if not _TOKEN.fullmatch(method) or method == "CONNECT":
            raise _not_http()
        if headers:
            lines = _merged(self._lines, _checked(headers))
            head = _joined(_as_json(lines) if is_json else lines)
        else:
            head = self._head_of_json if is_json else self._head
        framing = b"Content-Length: %d\r\n" % len(body) if body or method in _WITH_BODY else b""
        return b"%b %b HTTP/1.1\r\n%b%b\r\n%b" % (method.encode(), target, head, framing, body)


def encoded_body(content: bytes | str | None, document: object) -> tuple[bytes, bool]:
    """Return the body, and whether it is JSON made here. Raises TypeError or ValueError for what
    JSON cannot hold.
    """
    if content is not None:
        return (content.encode() if isinstance(content, str) else bytes(content)), False
    return (b"", False) if document is None else (_JSON(document).encode(), True)


def _address(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):  # its text may quote the address
        raise _not_http() from None


@lru_cache(maxsize=64)
def _base_address(url: str) -> httpx.URL:
    """Return the same once for all accounts of an exchange."""
    return _address(url)


def _checked(headers: Mapping[str, str] | None) -> FieldLines:
    lines: FieldLines = []
    for name, value in (headers or {}).items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise _not_http()
        line = (name.encode(), value.encode())
        if line[0].lower() in _OURS:
            raise ConnectError(f"the header {name} is written by the client; nothing was sent")
        lines.append(line)
    return lines


def _merged(lines: FieldLines, more: FieldLines) -> FieldLines:
    """Return lines with those of the same name replaced."""
    replaced = {name.lower() for name, _ in more}
    return [*(each for each in lines if each[0].lower() not in replaced), *more]


def _as_json(lines: FieldLines) -> FieldLines:
    """Return lines that name a content type: JSON, unless they name one."""
    if any(name.lower() == b"content-type" for name, _ in lines):
        return lines
    return [*lines, (b"Content-Type", b"application/json")]


def _joined(lines: FieldLines) -> bytes:
    return b"".join(b"%b: %b\r\n" % each for each in lines)


def _query(params: Params) -> bytes:
    return urlencode([(name, _text(value)) for name, value in params.items()]).encode()


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _not_http() -> ConnectError:
    return ConnectError(
        "this request is not valid HTTP (its method, a header or the target); nothing was sent"
    )
