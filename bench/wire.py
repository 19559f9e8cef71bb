"""One kept connection that sends requests and reads answers by hand, for senders that must cost
less than what they measure.

It understands what our own servers send: HTTP/1.1 answers with Content-Length.
"""

import json
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import trio

KEPT_S: Final = 3.0
"""A connection that was idle for longer is opened again: our web server closes them after 5 s."""


class Wire:
    """A connection to one server; it opens with the first request, and again after the server
    closed it.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._host, self._port = parts.hostname, parts.port
        self._tls = tls
        self._stream: trio.abc.Stream | None = None
        self._used = 0.0

    async def open(self) -> None:
        """Open the connection if it is closed or was idle for 3 s."""
        if self._stream is not None and trio.current_time() - self._used > KEPT_S:
            await self.aclose()
        if self._stream is None:
            self._used = trio.current_time()
            plain = await trio.open_tcp_stream(self._host, self._port)
            if self._tls is None:
                self._stream = plain
                return
            self._stream = trio.SSLStream(plain, self._tls, server_hostname=self._host)
            await self._stream.do_handshake()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)
            self._stream = None

    def request(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Return the bytes of a request."""
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            f"Content-Length: {len(content)}",
            "Content-Type: application/json",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return status and body; raises ConnectionError if the server closes
        without an answer.
        """
        await self.open()
        assert self._stream is not None
        await self._stream.send_all(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += await self._more()
        head = data[:end].lower()
        _, found, length = head.partition(b"content-length:")
        if not found:
            raise ConnectionError(f"expected Content-Length, found {data[:end]!r}")
        size = end + 4 + int(length.split(b"\r\n", 1)[0])
        while len(data) < size:
            data += await self._more()
        self._used = trio.current_time()
        if b"\r\nconnection: close" in head:
            await self.aclose()
        return int(data[9:12]), data[end + 4 : size]

    async def _more(self) -> bytes:
        assert self._stream is not None
        chunk = await self._stream.receive_some()
        if not chunk:
            await self.aclose()
            raise ConnectionError(f"{self._host}:{self._port} closed without a whole answer")
        return bytes(chunk)

    async def ask(self, method: str, path: str, value: object = None) -> Any:
        """Send JSON and return the JSON of a 200."""
        content = b"" if value is None else json.dumps(value).encode()
        status, body = await self.exchange(self.request(method, path, content))
        if status != 200:
            raise RuntimeError(f"expected 200 from {path}, found {status}: {body[:200]!r}")
        return json.loads(body)
