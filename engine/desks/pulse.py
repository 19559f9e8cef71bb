"""The desk that tells pages when to look again: which of the ledger's newest events concern a
visitor.
"""

from collections.abc import Sequence

from engine.desks.visitor import Visitor
from engine.domain.person import Role
from engine.ledger.pulse import concerns_person, newest_sequence
from engine.ledger.stillness import still_for
from engine.office import Office


class PulseDesk:
    """Answer from the ledger's events; a page that lost its stream goes on where it was."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def newest(self) -> int:
        """Return the sequence of the newest event, from which a page begins to follow."""
        return newest_sequence(self._office.ledger.db)

    def held(self, visitor: Visitor) -> str:
        """Say that nothing is sent for a visitor now, from this place or from which of the own
        accounts; empty where all may leave.
        """
        names = still_for(self._office.ledger.db, visitor.id)
        where = "this place" if "" in names else ", ".join(names)
        return where and (
            f"Nothing is sent from {where} now, closing orders included, until the operator "
            "has confirmed a restored ledger."
        )

    def changed(self, visitor: Visitor, after: int) -> Sequence[int]:
        """Return the newest event after one that this visitor may see, or nothing."""
        db = self._office.ledger.db
        if visitor.person.is_a(Role.OPERATOR):
            newest = newest_sequence(db)
            return (newest,) if newest > after else ()
        found = concerns_person(db, visitor.id, after)
        return () if found is None else (found,)
