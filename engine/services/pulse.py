"""The service that tells pages when to refresh: which of the ledger's newest events concern a user."""

from collections.abc import Sequence

from engine.context import EngineContext
from engine.domain.person import Role
from engine.ledger.freeze import frozen_names
from engine.ledger.pulse import concerns_person, newest_sequence
from engine.services.user import User


class PulseService:
    """Answers from the ledger's events; a page that lost its stream continues where it was."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    def newest(self) -> int:
        """Return the sequence number of the newest event, from which a page begins to follow."""
        return newest_sequence(self._context.ledger.db)

    def held(self, user: User) -> str:
        """Return the notice that nothing is sent for a user now, naming the installation or the
        user's frozen accounts; empty if nothing is frozen.
        """
        names = frozen_names(self._context.ledger.db, user.id)
        where = "this installation" if "" in names else ", ".join(names)
        return where and (
            f"Nothing is sent from {where} now, closing orders included, until the operator "
            "has confirmed a restored ledger."
        )

    def changed(self, user: User, after: int) -> Sequence[int]:
        """Return the newest event after one that this user may see, or nothing."""
        db = self._context.ledger.db
        if user.person.is_a(Role.OPERATOR):
            newest = newest_sequence(db)
            return (newest,) if newest > after else ()
        sequence = concerns_person(db, user.id, after)
        return () if sequence is None else (sequence,)
