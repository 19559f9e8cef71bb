"""Send one message by a personal channel, with a client of its own."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import trio

from engine.domain.message import Message
from engine.domain.network import PUBLIC, Reach
from engine.ports.contained import contained
from engine.ports.http import HttpClients
from engine.ports.personal_channel import PersonalChannel
from engine.transport import HttpClientFactory

DEADLINE_S: Final = 10.0
T = TypeVar("T")


async def send(
    channel: PersonalChannel, target: Mapping[str, str], message: Message, reach: Reach
) -> None:
    """Send within the deadline; raises what the channel raised, or TooSlowError.

    An address that a person chose is called only if it is public, whatever the operator allowed for
    their own plugins.
    """
    await with_client(
        lambda http: channel.send(target, message, http),
        PUBLIC if channel.calls_address_of_person else reach,
    )


async def with_client(call: Callable[[HttpClients], Awaitable[T]], reach: Reach) -> T:
    """Run one call of a channel within the deadline, over addresses within reach."""
    http = HttpClientFactory(reach=reach)
    try:
        with trio.fail_after(DEADLINE_S):
            return await contained(call(http))
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await http.aclose()
