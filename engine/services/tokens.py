"""The service of API tokens: a person makes, lists and revokes their own; a program shows one with
each request and acts as the person, within its scope.

What always holds: a token is stored as a hash and found by it, so nothing is compared letter by
letter; its secret is shown once; it expires; it ends where the person's other sessions end (a
changed factor, a suspension, a leaked key). It can show no factor, so nothing that asks for one
can be done with it.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from engine.context import EngineContext
from engine.decisions.rate import RatePools
from engine.domain.errors import InvalidValue, NothingThere, RexAlgoError
from engine.domain.network import network_of
from engine.domain.text import may_be_kept
from engine.domain.token import TokenScope, parse_token_scope
from engine.domain.typed import typed_whole
from engine.identity.references import capability_hash, new_secret_id
from engine.ledger import Database, identity
from engine.ledger import tokens as ledger
from engine.ledger.passkeys import has_passkey
from engine.ledger.sessions import SessionRow
from engine.ledger.suspending import suspension
from engine.ledger.tokens import TokenRow
from engine.ports.rate_limiter import Priority, RateLimit, Refused
from engine.ports.secret import Secret
from engine.services.asking import asked
from engine.services.auditing import audited
from engine.services.user import FormErrors, User

PREFIX: Final = "rxa_"
"""How a token begins, so that people and secret scanners recognise one."""
TOKENS_MAX: Final = 20
DAYS_MAX: Final = 366
NAME_MAX: Final = 60
REQUESTS: Final = RateLimit(1, 0.5, 60)
"""Of one person, whatever their tokens: two a second, and a burst of which a fifth is left to what
lowers risk.
"""
WRONG_TOKENS: Final = RateLimit(1, 2.0, 30)
"""Of one network: no token can be guessed, but guesses cost work."""
_SEEN_EVERY: Final = timedelta(seconds=60)
_SHOWN_FOR: Final = timedelta(days=30)


class TokenRefused(RexAlgoError):
    """Raised for a token that is none, is not valid, or whose person is suspended: one answer."""

    def __init__(self) -> None:
        super().__init__(
            "expected a valid token in the header Authorization: Bearer; make one under Security"
        )


class TooOften(RexAlgoError):
    """Raised when a person or a network asks more often than is allowed; ``wait_s`` is at least 1."""

    def __init__(self, wait_s: int) -> None:
        self.wait_s = wait_s
        super().__init__(f"Too many requests: ask again in {wait_s} s.")


@dataclass(frozen=True, slots=True, repr=False)
class NewToken:
    """A token that was just made; ``secret`` is shown once."""

    row: TokenRow
    secret: Secret


class TokenService:
    """The service for people whose programs ask for them."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._rates = RatePools()

    @property
    def address(self) -> str:
        """Return the base address of the API for programs."""
        return f"{self._context.webhook_address}/api/v1"

    def all(self, user: User) -> Sequence[TokenRow]:
        """Read the user's tokens, newest first; one that ended is read for a month."""
        since = self._context.clock.now() - _SHOWN_FOR
        return [
            each
            for each in ledger.tokens_of(self._context.ledger.db, user.id)
            if min(each.revoked_at or each.expires_at, each.expires_at) > since
        ]

    @asked
    async def make(self, user: User, given: Mapping[str, str]) -> NewToken:
        """Make a token; raises NeedsConfirmation, and FormErrors with everything that is wrong."""
        name, scope, days = _read_form(given)
        now = self._context.clock.now()
        user.require_fresh(now)
        secret = f"{PREFIX}{new_secret_id()}"
        row = TokenRow(
            id=f"tok_{secrets.token_hex(8)}",
            person=user.id,
            name=name,
            scope=scope,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )

        def change(db: Database) -> None:
            ledger.forget_old_tokens(db, user.id, now - _SHOWN_FOR)
            valid = [each for each in ledger.tokens_of(db, user.id) if each.is_valid(now)]
            if len(valid) >= TOKENS_MAX:
                raise FormErrors(
                    {"": f"You have {TOKENS_MAX} valid tokens: revoke one that is not used."}
                )
            if any(each.name == name for each in valid):
                raise FormErrors({"name": "expected a name that no valid token of yours has"})
            ledger.insert_token(db, capability_hash(secret), row)

        await audited(
            self._context,
            user=user,
            act="token_made",
            subject=user.person.name,
            data={"name": name, "scope": scope.value, "days": days},
            change=change,
        )
        return NewToken(row, Secret(secret))

    @asked
    async def revoke(self, user: User, identifier: str) -> None:
        """End one of the user's tokens; raises NothingThere. One that ended before is left as it is."""
        now = self._context.clock.now()
        mine = ledger.tokens_of(self._context.ledger.db, user.id)
        row = next((each for each in mine if each.id == identifier), None)
        if row is None:
            raise NothingThere("there is no such token of yours")
        if row.revoked_at is not None:
            return
        await audited(
            self._context,
            user=user,
            act="token_revoked",
            subject=user.person.name,
            data={"name": row.name},
            change=lambda db: ledger.revoke_tokens(db, user.id, now, only=row.id),
        )

    async def user(self, token: str, address: str, *, lowers_risk: bool) -> User:
        """Return the person for whom a request asks, and count it; raises TokenRefused, TooOften.

        ``address`` is the origin of the request. What ``lowers_risk`` may use the fifth of the
        burst that is left to it.
        """
        now = self._context.clock.now()
        user = token_user(self._context, token, address)
        if user is None or user.token is None:
            if is_token(token):  # anything else is not looked up
                self._count(f"wrong {network_of(address)}", WRONG_TOKENS, Priority.EXIT, now)
            raise TokenRefused
        priority = Priority.EXIT if lowers_risk else Priority.READ
        self._count(f"person {user.id}", REQUESTS, priority, now)
        seen = user.token.seen_at
        if seen is None or now - seen > _SEEN_EVERY or user.token.seen_from != address:
            await self.see(user.token.id, address)
        return user

    @asked
    async def see(self, identifier: str, address: str) -> None:
        """Record that a token was used from an address now."""
        now = self._context.clock.now()
        await self._context.ledger.write(lambda db: ledger.see_token(db, identifier, address, now))

    def _count(self, pool: str, limit: RateLimit, priority: Priority, now: datetime) -> None:
        answer = self._rates.reserve(pool, limit, 1, priority, now)
        if isinstance(answer, Refused):
            raise TooOften(max(1, round((answer.retry_at - now).total_seconds())))


def token_user(context: EngineContext, token: str, address: str) -> User | None:
    """Return the user of a token's secret; None if it is not valid, or its person is suspended."""
    if not is_token(token):
        return None
    db, now = context.ledger.db, context.clock.now()
    row = ledger.token_by_hash(db, capability_hash(token))
    if row is None or not row.is_valid(now) or suspension(db, row.person) is not None:
        return None
    factors = identity.factor(db, row.person)
    return User(
        person=identity.person(db, row.person),
        session=_session_of(row, address),
        sid=token,
        address=address,
        has_password=factors.password is not None,
        has_totp=factors.totp_sealed is not None,
        has_passkey=has_passkey(db, row.person),
        token=row,
    )


def is_token(text: str) -> bool:
    """Return whether a text has the form of a token."""
    return text.startswith(PREFIX) and 40 <= len(text) <= 60 and text.isascii()


def _session_of(row: TokenRow, address: str) -> SessionRow:
    return SessionRow(
        id=row.id,
        person=row.person,
        created_at=row.created_at,
        seen_at=row.seen_at or row.created_at,
        expires_at=row.expires_at,
        idle=row.expires_at - row.created_at,
        confirmed_at=row.created_at,
        revoked=row.revoked_at is not None,
        address=address,
        agent="",
    )


def _read_form(given: Mapping[str, str]) -> tuple[str, TokenScope, int]:
    errors: dict[str, str] = {}
    name = given.get("name", "").strip()
    if not (1 <= len(name) <= NAME_MAX and name.isprintable() and may_be_kept(name)):
        errors["name"] = f"expected 1 to {NAME_MAX} printable characters, such as: laptop"
    scope, days = TokenScope.READ, 1
    try:
        scope = parse_token_scope(given.get("scope"))
    except InvalidValue as error:
        errors["scope"] = f"expected {error.expected}"
    try:
        days = typed_whole(given.get("days", ""), "days", 1, DAYS_MAX)
    except InvalidValue as error:
        errors["days"] = f"expected {error.expected}"
    if errors:
        raise FormErrors(errors)
    return name, scope, days
