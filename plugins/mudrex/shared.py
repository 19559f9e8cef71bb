"""The state that all accounts share in one process, and how one path is read."""

from dataclasses import dataclass, field
from typing import Any

from plugins.mudrex import parsing
from plugins.mudrex.errors import judge_read
from rexalgo import ExchangeError, HttpAnswer, HttpClient, Price, Symbol


@dataclass(slots=True)
class Shared:
    """The clients that may read contracts and prices (every such read needs a key), and the newest
    prices.
    """

    readers: list[HttpClient] = field(default_factory=list)
    prices: dict[Symbol, Price] = field(default_factory=dict)
    turn: int = 0

    def reader(self) -> HttpClient:
        """Return a connected account's client. They take turns, so that no key does all the
        reading.
        """
        if not self.readers:
            raise ExchangeError(
                "no account is connected yet, and contracts and prices can only be read with a key"
            )
        self.turn += 1
        return self.readers[self.turn % len(self.readers)]


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
