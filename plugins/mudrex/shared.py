"""The state that all accounts share in one process, and how one path is read."""

from dataclasses import dataclass, field
from typing import Any, Final

import trio

from plugins.mudrex import parsing
from plugins.mudrex.errors import judge_read
from rexalgo import (
    ExchangeError,
    HttpAnswer,
    HttpClient,
    Price,
    Rejected,
    RejectionKind,
    Symbol,
    TooManyRequests,
)

KEY_RESTS_S: Final = 30.0
"""How long a key that could not read leaves reading to the others."""


@dataclass(slots=True)
class Shared:
    """The clients that may read contracts and prices (every such read needs a key), and the newest
    prices.
    """

    readers: list[HttpClient] = field(default_factory=list)
    prices: dict[Symbol, Price] = field(default_factory=dict)
    turn: int = 0
    rest_until: dict[HttpClient, float] = field(default_factory=dict)
    """Until when a key rests, on trio's clock."""

    def _reader(self) -> HttpClient:
        """Return a connected account's client. They take turns, so that no key does all the
        reading. One that rests is passed over; if all do, the one that rests longest reads.
        """
        if not self.readers:
            raise ExchangeError(
                "no account is connected yet, and contracts and prices can only be read with a key"
            )
        now = trio.current_time()
        able = [each for each in self.readers if self.rest_until.get(each, now) <= now]
        if not able:
            return min(self.readers, key=self.rest_until.__getitem__)
        self.turn += 1
        return able[self.turn % len(able)]

    async def read(self, path: str, **query: str) -> Any:
        """Read a path that is the same for every account. A key that is refused or used up rests,
        and one other key is tried.
        """
        try:
            return await self._read_in_turn(path, query)
        except ExchangeError as error:
            if not _is_of_key(error) or len(self.readers) < 2:
                raise
        return await self._read_in_turn(path, query)

    async def _read_in_turn(self, path: str, query: dict[str, str]) -> Any:
        http = self._reader()
        try:
            read = await get(http, path, **query)
        except ExchangeError as error:
            if _is_of_key(error) and http in self.readers:
                self.rest_until[http] = trio.current_time() + KEY_RESTS_S
            raise
        self.rest_until.pop(http, None)
        return read

    def leave(self, http: HttpClient) -> None:
        """Read with this client no more."""
        if http in self.readers:
            self.readers.remove(http)
        self.rest_until.pop(http, None)


def _is_of_key(error: ExchangeError) -> bool:
    """Return whether an answer is about the key, so that another one may get a better answer."""
    return isinstance(error, TooManyRequests) or (
        isinstance(error, Rejected) and error.kind is RejectionKind.CREDENTIALS
    )


async def answered(http: HttpClient, path: str, **query: str) -> HttpAnswer:
    """Send a GET. Raise ExchangeError for anything but 200."""
    answer = await http.get(path, params=query)
    if answer.status_code != 200:
        raise judge_read(answer.status_code, answer.content)
    return answer


def data_in(answer: HttpAnswer, path: str) -> Any:
    """Return the data of an answer. Raise ExchangeError if it is unreadable."""
    try:
        return parsing.data_of(answer.content)
    except ValueError as error:
        raise ExchangeError(f"the exchange's answer to {path} cannot be read: {error}") from None


async def get(http: HttpClient, path: str, **query: str) -> Any:
    """Read one path. Raise ExchangeError for anything but a readable answer."""
    return data_in(await answered(http, path, **query), path)
