"""Report outside that the engine works: fetch an address every minute, and stop if it does not, so
that silence raises an alarm.

The beat is sent only while the ledger's last write succeeded. A failed beat is logged once, and
again when it works: it concerns the outbound connection, not orders.
"""

import logging
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import trio

from engine.domain.network import Reach
from engine.transport import HttpClientFactory

_LOG = logging.getLogger("rexalgo.heartbeat")
EVERY_S: Final = 60.0
DEADLINE_S: Final = 10.0


async def beat(
    url: str, is_healthy: Callable[[], bool], reach: Reach, every_s: float = EVERY_S
) -> None:
    """Fetch ``url``, within reach, every ``every_s`` seconds while ``is_healthy`` returns True; runs
    until cancelled.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    http = HttpClientFactory(reach=reach)
    worked = True
    try:
        client = http(f"{parts.scheme}://{parts.netloc}")
        while True:
            if is_healthy():
                problem = ""
                try:
                    with trio.fail_after(DEADLINE_S):
                        answer = await client.get(path)
                    if answer.status_code >= 400:
                        problem = f"it answered {answer.status_code}"
                # whatever is wrong with the outbound connection: the engine's work does not depend
                # on it
                except Exception as error:
                    problem = type(error).__name__
                if problem and worked:
                    _LOG.warning(
                        "the heartbeat cannot be sent: %s; its silence may wake somebody",
                        problem,
                    )
                elif not problem and not worked:
                    _LOG.info("the heartbeat is sent again")
                worked = not problem
            await trio.sleep(every_s)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await http.aclose()
