"""Make a change of a visitor and its row in the audit one transaction."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from engine.desks.visitor import Visitor
from engine.ledger import Database
from engine.ledger.audit import append_audit
from engine.office import Office

T = TypeVar("T")


async def audited(
    office: Office,
    visitor: Visitor,
    act: str,
    subject: str,
    data: Mapping[str, object],
    change: Callable[[Database], T],
) -> T:
    """Write a change and who made it; raises what the change raises, and then neither is written."""
    key, now = await office.audit_key(), office.clock.now()

    def write(db: Database) -> T:
        result = change(db)
        append_audit(db, key, visitor.person.name, act, subject, data, now, visitor.address)
        return result

    return await office.ledger.write(write)
