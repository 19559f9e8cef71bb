"""The service with which a master is called when a signal has settled."""

from typing import Final
from urllib.parse import urlsplit

from engine.context import EngineContext
from engine.domain.errors import NothingThere
from engine.domain.text import may_be_kept
from engine.ledger.callbacks import CallbackRow, callback_of, set_callback
from engine.ledger.studio import StudioStrategy, strategy_of
from engine.ports.loopback import is_loopback
from engine.services.asking import asked
from engine.services.auditing import audited
from engine.services.user import FormErrors, User

URL_MAX: Final = 500
_EXPECTED: Final = (
    "expected an address such as https://bot.example/settled, without user, password and fragment"
)


class CallbackService:
    """The service for masters whose bots want to be called."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    def strategy(self, user: User, identifier: str) -> StudioStrategy:
        """Read one of the user's strategies; raises NothingThere."""
        row = strategy_of(self._context.ledger.db, user.id, identifier)
        if row is None:
            raise NothingThere("there is no such strategy of yours")
        return row

    def of(self, strategy: StudioStrategy) -> CallbackRow | None:
        """Read a strategy's address, None if none is set."""
        return callback_of(self._context.ledger.db, strategy.id)

    @asked
    async def set(self, user: User, identifier: str, url: str) -> None:
        """Set the address of a strategy, or end its calls with an empty one; raises NothingThere,
        NeedsConfirmation for a new address, FormErrors.
        """
        row, now = self.strategy(user, identifier), self._context.clock.now()
        if url:
            user.require_fresh(now)
            check_url(url)
        await audited(
            self._context,
            user=user,
            act="callback_set" if url else "callback_removed",
            subject=row.name,
            data={"host": urlsplit(url).hostname or ""},
            change=lambda db: set_callback(db, row.id, url, now),
        )


def check_url(url: str) -> None:
    """Raise FormErrors unless an address may be called: https, or http on this machine. Whether it
    is public is looked at before each call.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise FormErrors({"url": _EXPECTED}) from None
    is_fit = (
        bool(host)
        and (parts.scheme == "https" or is_loopback(url))
        and parts.username is None
        and parts.password is None
        and not parts.fragment
        and len(url) <= URL_MAX
        and url.isascii()
        and url.isprintable()
        and " " not in url
        and may_be_kept(url)
    )
    if not is_fit:
        raise FormErrors({"url": _EXPECTED})
