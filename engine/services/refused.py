"""What a master sees of deliveries that were verified and refused: the place of the fault, and a
message to send instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.context import EngineContext
from engine.domain.errors import NothingThere
from engine.domain.identifiers import Symbol
from engine.ledger.refused import Refused, unsettled_refusals
from engine.ledger.studio import strategies_of, strategy_of
from engine.ports.signal_source import ExampleSource
from engine.services.user import User


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
        refusals = unsettled_refusals(self._context.ledger.db, self._context.clock.now())
        return [
            self._shown(each, mine[each.strategy_id])
            for each in refusals
            if each.strategy_id in mine
        ]

    def of(self, user: User, identifier: str) -> Sequence[RefusedNow]:
        """Read the unsettled refusals of one of the user's strategies; raises NothingThere."""
        row = strategy_of(self._context.ledger.db, user.id, identifier)
        if row is None:
            raise NothingThere("there is no such strategy of yours")
        refusals = unsettled_refusals(self._context.ledger.db, self._context.clock.now(), row.id)
        return [self._shown(each, row.symbols) for each in refusals]

    def _shown(self, refused: Refused, symbols: Sequence[Symbol]) -> RefusedNow:
        source = self._context.plugins().webhook_sources.get(refused.source)
        if not symbols or not isinstance(source, ExampleSource):
            return RefusedNow(refused, "")
        return RefusedNow(refused, source.example(symbols[0], is_exit=refused.reads_exit))
