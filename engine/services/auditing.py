"""Make a user's change and its audit row one transaction."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from engine.context import EngineContext
from engine.domain.token import DoneBefore, KeyUsed, Once
from engine.ledger import Database
from engine.ledger.audit import append_audit
from engine.ledger.tokens import note_deed
from engine.services.user import User

T = TypeVar("T")
_KEY_USED: Final = "This Idempotency-Key was used for something else: send another key."


async def audited(
    context: EngineContext,
    user: User,
    act: str,
    subject: str,
    data: Mapping[str, object],
    change: Callable[[Database], T],
    once: Once | None = None,
) -> T:
    """Write a change and who made it, with the token that they used; raises what the change raises,
    and then neither is written.

    With ``once`` it is done once under an idempotency key; raises DoneBefore, or KeyUsed if the
    person did something else under it.
    """
    key, now = await context.audit_key(), context.clock.now()
    by_token = {} if user.token is None else {"token": user.token.name}

    def write(db: Database) -> T:
        if once is not None:
            before = note_deed(db, user.id, once.key, once.deed, now)
            if before is not None:
                raise DoneBefore(once.deed) if before == once.deed else KeyUsed(_KEY_USED)
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

    return await context.ledger.write(write, first=True)
