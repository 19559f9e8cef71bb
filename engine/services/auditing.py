"""Make a user's change and its audit row one transaction."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from engine.context import EngineContext
from engine.ledger import Database
from engine.ledger.audit import append_audit
from engine.services.user import User

T = TypeVar("T")


async def audited(
    context: EngineContext,
    user: User,
    act: str,
    subject: str,
    data: Mapping[str, object],
    change: Callable[[Database], T],
) -> T:
    """Write a change and who made it, with the token that they used; raises what the change raises,
    and then neither is written.
    """
    key, now = await context.audit_key(), context.clock.now()
    by_token = {} if user.token is None else {"token": user.token.name}

    def write(db: Database) -> T:
        result = change(db)
        append_audit(
            db,
            key=key,
            by=user.person.name,
            act=act,
            subject=subject,
            data={**data, **by_token},
            at=now,
            address=user.address,
        )
        return result

    return await context.ledger.write(write)
