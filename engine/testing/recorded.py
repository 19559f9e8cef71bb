"""Recorded answers: an exchange on paper, so that parsing is tested without a server, and the
recorder that writes the file.

The file is JSON lines, one request and its answer each: ``{"method", "path", "query", "status",
"body"}``. Request headers are never written, and every secret that the recorder knows is replaced
by ``***`` wherever it occurs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from httpx import URL, AsyncClient, MockTransport, QueryParams, Request, Response

from engine.domain.errors import InvalidValue, RexAlgoError
from engine.ports.http import ConnectError, HttpClient, HttpClients
from engine.testing.over_httpx import OverHttpx
from engine.transport import HttpClientFactory

HIDDEN: Final = "***"
_FIELDS: Final = ("method", "path", "query", "status", "body")


class NotRecorded(RexAlgoError):
    """Raised when a request has no recorded answer: record it, or add a line to the file."""


class RecordedAnswers(HttpClients):
    """A factory of HTTP clients that are answered from a file: by method, path and query, in order;
    the last answer is repeated.

    Raises InvalidValue for a line that is not such a record. A request without a record raises
    NotRecorded.
    """

    def __init__(self, file: Path | str) -> None:
        self._answers: dict[tuple[str, str, str], list[tuple[int, bytes]]] = {}
        for number, line in enumerate(Path(file).read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                key, answer = _read(line, f"{file}:{number}")
                self._answers.setdefault(key, []).append(answer)

    def __call__(self, base_url: str, headers: Mapping[str, str] | None = None) -> HttpClient:
        """Return a client that connects nowhere."""
        return OverHttpx(self.httpx(base_url, headers))

    def httpx(self, base_url: str, headers: Mapping[str, str] | None = None) -> AsyncClient:
        """Return an httpx client that connects nowhere."""
        return AsyncClient(
            base_url=base_url,
            headers=headers,
            transport=MockTransport(self._answer),
            trust_env=False,
        )

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Raise ConnectError: recorded answers come from nowhere."""
        raise ConnectError(f"{host} is not called: answers come from a file")

    def _answer(self, request: Request) -> Response:
        key = (request.method, request.url.path, _query(request.url))
        waiting = self._answers.get(key)
        if not waiting:
            requests = sorted({f"{method} {path}" for method, path, _ in self._answers})
            raise NotRecorded(
                f"no recorded answer for {key[0]} {key[1]}?{key[2]}; recorded are: "
                + ", ".join(requests)[:300]
            )
        status, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return Response(status, headers={"content-type": "application/json"}, content=body)

    async def aclose(self) -> None:
        """Close nothing: there is no connection."""


class RecordingClients(HttpClients):
    """A factory of clients over ``inner`` that appends each request and its answer to ``file``,
    without ``secrets`` (0600).
    """

    def __init__(self, inner: HttpClientFactory, file: Path | str, secrets: Iterable[str]) -> None:
        self._inner = inner
        self._file = Path(file)
        self._secrets = tuple(each for each in secrets if each)
        self._file.touch(mode=0o600)

    def __call__(self, base_url: str, headers: Mapping[str, str] | None = None) -> HttpClient:
        """Return a client whose answers are recorded."""
        return OverHttpx(self.httpx(base_url, headers))

    def httpx(self, base_url: str, headers: Mapping[str, str] | None = None) -> AsyncClient:
        """Return an httpx client whose answers are recorded."""
        below = self._inner.httpx(base_url, headers)
        below.event_hooks["response"] = [*below.event_hooks["response"], self._write]
        return below

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses that the inner factory permits."""
        return await self._inner.addresses(host, port)

    async def aclose(self) -> None:
        """Close the inner factory."""
        await self._inner.aclose()

    async def _write(self, answer: Response) -> None:
        await answer.aread()
        url = answer.request.url
        record = dict(
            zip(
                _FIELDS,
                (answer.request.method, url.path, _query(url), answer.status_code, answer.text),
                strict=True,
            )
        )
        line = json.dumps(record, ensure_ascii=False)
        for secret in self._secrets:
            line = line.replace(json.dumps(secret)[1:-1], HIDDEN)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _query(url: URL) -> str:
    return str(QueryParams(sorted(url.params.multi_items())))


def _read(line: str, where: str) -> tuple[tuple[str, str, str], tuple[int, bytes]]:
    try:
        record = json.loads(line)
        key = (str(record["method"]), str(record["path"]), str(record.get("query", "")))
        return key, (int(record["status"]), str(record["body"]).encode())
    except (ValueError, KeyError, TypeError):
        raise InvalidValue(
            where,
            'a line such as {"method": "GET", "path": "/orders", "query": "", "status": 200, '
            '"body": "[]"}',
        ) from None
