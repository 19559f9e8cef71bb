"""The plugin's HTTP client over any httpx client: for kits that answer requests themselves."""

from collections.abc import Mapping

import httpx

from engine.ports.http import HttpClient, Params
from engine.transport import Answer


class OverHttpx(HttpClient):
    """A client whose requests are sent by ``client``, with the whole httpx API behind it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and return its whole answer; raises what the client raises."""
        return as_answer(
            await self._client.request(
                method, path, params=params, json=json, content=content, headers=headers
            )
        )

    async def aclose(self) -> None:
        """Close the client."""
        await self._client.aclose()


def as_answer(response: httpx.Response) -> Answer:
    """Return a response that was read as the answer that plugins get."""
    lines = [(name.lower(), value) for name, value in response.headers.raw]
    return Answer(response.status_code, lines, response.content)
