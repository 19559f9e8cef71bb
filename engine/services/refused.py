"""What a master sees of deliveries that were verified and refused: the place of the fault, and a
message to send instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.context import EngineContext
from engine.decisions.alert_messages import STRATEGY_MESSAGE
from engine.domain.errors import NothingThere
from engine.ledger.refused import Refused, unsettled_refusals
from engine.ledger.studio import strategies_of, strategy_of
from engine.services.user import User

_ALERTS: Final = "tradingview"


@dataclass(frozen=True, slots=True)
class RefusedNow:
    """A refusal for its master, with what could have been sent in its place; ``instead`` is empty
    if the source has its own form.
    """

    told: Refused
    instead: str


class RefusedService:
    """The service for masters whose deliveries were refused."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    def all(self, user: User) -> Sequence[RefusedNow]:
        """Read the unsettled refusals of all of the user's strategies, exits first."""
        mine = {each.id: each.symbols for each in strategies_of(self._context.ledger.db, user.id)}
        found = unsettled_refusals(self._context.ledger.db, self._context.clock.now())
        return [_shown(each, mine[each.strategy_id]) for each in found if each.strategy_id in mine]

    def of(self, user: User, identifier: str) -> Sequence[RefusedNow]:
        """Read the unsettled refusals of one of the user's strategies; raises NothingThere."""
        row = strategy_of(self._context.ledger.db, user.id, identifier)
        if row is None:
            raise NothingThere("there is no such strategy of yours")
        found = unsettled_refusals(self._context.ledger.db, self._context.clock.now(), row.id)
        return [_shown(each, row.symbols) for each in found]


def _shown(refused: Refused, symbols: Sequence[str]) -> RefusedNow:
    symbol = symbols[0] if symbols else "BTCUSDT"
    return RefusedNow(
        refused, message_instead(refused.source, symbol, reads_exit=refused.reads_exit)
    )


def message_instead(source: str, symbol: str, *, reads_exit: bool) -> str:
    """Return the shortest message that a source accepts for what was meant; empty if only its own
    plugin knows the form.
    """
    if source == _ALERTS:
        return f"close {symbol}" if reads_exit else STRATEGY_MESSAGE
    if source != "signed_webhook":
        return ""
    rest = '"action": "close"' if reads_exit else '"action": "open", "side": "LONG"'
    return f'{{"idempotency_key": "A-NEW-ID-EACH-TIME", {rest}, "symbol": "{symbol}"}}'
