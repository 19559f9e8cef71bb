"""The service of passkeys: making, naming, listing and removing them, and what a browser is asked to
sign. Signing in with one is the service of identity's.

What always holds: a challenge is used up before its answer is looked at; a passkey counts as a second
factor as long as it is listed, even one that cannot be used here any more; whoever needs a second
factor keeps one.
"""

import logging
import secrets
from collections.abc import Sequence
from typing import Final

import trio

from engine.context import EngineContext
from engine.domain.alert import AlertCode
from engine.domain.errors import InvalidValue, NothingThere
from engine.domain.identifiers import PersonId
from engine.domain.person import Role
from engine.identity.challenges import Purpose
from engine.identity.passkeys import (
    PasskeyRefused,
    RelyingParty,
    assertion_options,
    parse_answer,
    parse_relying_party,
    read_assertion,
    read_registration,
    registration_options,
)
from engine.ledger import Database
from engine.ledger import identity as ledger
from engine.ledger.alerts import raise_alert
from engine.ledger.audit import append_audit
from engine.ledger.passkeys import (
    PasskeyRow,
    delete_passkey,
    insert_passkey,
    passkey_by_credential,
    passkeys_of,
    use_passkey,
)
from engine.ledger.sessions import revoke_sessions
from engine.services.asking import asked
from engine.services.auditing import audited
from engine.services.user import FormErrors, User

log = logging.getLogger("rexalgo.identity")
PASSKEYS_MAX: Final = 20
NAME_CHARACTERS_MAX: Final = 40
KEEP_ONE: Final = (
    "An operator needs a second factor: set up another passkey or app first, then remove this one."
)


class PasskeyService:
    """The service for a person's passkeys."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    @property
    def origin(self) -> str:
        """Return the only address at which passkeys work; empty if this installation can have none."""
        try:
            return relying_party(self._context).origin
        except InvalidValue:
            return ""

    def passkeys(self, user: User) -> Sequence[PasskeyRow]:
        """Read the user's passkeys, the oldest first."""
        return passkeys_of(self._context.ledger.db, user.id)

    @asked
    async def options_to_sign_in(self, form: str) -> str:
        """Return as JSON what a browser is asked to sign to sign somebody in; ``form`` is the token of
        the form that will carry the answer. Raises InvalidValue.
        """
        party, now = relying_party(self._context), self._context.clock.now()
        challenge = self._context.challenges.new(Purpose.SIGN_IN, form, now)
        return assertion_options(party, challenge, [])

    @asked
    async def options_to_confirm(self, user: User) -> str:
        """Return as JSON what the user is asked to sign to confirm something; raises InvalidValue."""
        party, now = relying_party(self._context), self._context.clock.now()
        known = [each.credential for each in self.passkeys(user) if each.is_usable(party.id)]
        challenge = self._context.challenges.new(Purpose.CONFIRM, user.session.id, now)
        return assertion_options(party, challenge, known)

    @asked
    async def options_to_add(self, user: User) -> str:
        """Return as JSON what a new passkey is made with; raises NeedsConfirmation, InvalidValue."""
        party, now = relying_party(self._context), self._context.clock.now()
        user.require_fresh(now)
        challenge = self._context.challenges.new(Purpose.REGISTER, user.session.id, now)
        known = [each.credential for each in self.passkeys(user)]
        return registration_options(party, user.id, user.person.called, challenge, known)

    @asked
    async def add(self, user: User, name: str, answer: str) -> None:
        """Store a passkey that an authenticator made, and end the other sessions; raises FormErrors,
        NeedsConfirmation.
        """
        now = self._context.clock.now()
        user.require_fresh(now)
        name = name.strip()
        if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
            raise FormErrors({"name": f"expected 1 to {NAME_CHARACTERS_MAX} visible characters"})
        try:
            party, read = relying_party(self._context), parse_answer(answer)
            if not self._context.challenges.use(
                read.challenge, Purpose.REGISTER, user.session.id, now
            ):
                raise PasskeyRefused("expected an answer within three minutes, once; try again")
            made = await trio.to_thread.run_sync(read_registration, party, read)
        except (InvalidValue, PasskeyRefused) as error:
            raise FormErrors({"": f"The passkey was not accepted: {error}"}) from None
        row = PasskeyRow(
            id=f"pas_{secrets.token_hex(16)}",
            person=user.id,
            credential=made.credential,
            public_key=made.public_key,
            sign_count=made.sign_count,
            rp_id=party.id,
            name=name,
            created_at=now,
            used_at=None,
            copied_at=None,
        )

        def write(db: Database) -> None:
            if len(passkeys_of(db, user.id)) >= PASSKEYS_MAX:
                raise FormErrors({"": f"You have {PASSKEYS_MAX} passkeys: remove one first."})
            if not insert_passkey(db, row):
                raise FormErrors({"": "This passkey is known here already."})
            revoke_sessions(db, user.id, now, but=user.session.id)

        await audited(
            self._context,
            user=user,
            act="passkey_added",
            subject=user.person.name,
            data={"name": name, "passkey": row.id},
            change=write,
        )

    @asked
    async def remove(self, user: User, passkey: str) -> None:
        """Remove one of the user's passkeys, and end the other sessions; raises NeedsConfirmation,
        NothingThere, and FormErrors for an operator's last second factor.
        """
        now, host = self._context.clock.now(), passkey_host(self._context)
        user.require_fresh(now)
        named = {each.id: each.name for each in self.passkeys(user)}

        def write(db: Database) -> None:
            if not delete_passkey(db, user.id, passkey):
                raise NothingThere("that passkey was removed already")
            if user.person.is_a(Role.OPERATOR) and not keeps_second_factor(db, user.id, host):
                raise FormErrors({"": KEEP_ONE})
            revoke_sessions(db, user.id, now, but=user.session.id)

        await audited(
            self._context,
            user=user,
            act="passkey_removed",
            subject=user.person.name,
            data={"name": named.get(passkey, ""), "passkey": passkey},
            change=write,
        )


def relying_party(context: EngineContext) -> RelyingParty:
    """Return whom passkeys of this installation are made for; raises InvalidValue where it can have none."""
    return parse_relying_party(context.webhook_address, context.config.operator.name or "RexAlgo")


def passkey_host(context: EngineContext) -> str:
    """Return the host that passkeys of this installation are made for; empty if it can have none."""
    try:
        return relying_party(context).id
    except InvalidValue:
        return ""


def keeps_second_factor(db: Database, person: PersonId, host: str) -> bool:
    """Return whether a person has a second factor that can be used: an app, or a passkey made for
    this host that was not copied.
    """
    return ledger.factor(db, person).totp_sealed is not None or any(
        each.is_usable(host) for each in passkeys_of(db, person)
    )


async def verify_passkey(
    context: EngineContext, text: str, purpose: Purpose, session: str, address: str
) -> PersonId | None:
    """Return whose passkey signed a challenge of this purpose and session; None for everything else.

    A counter that did not go up shows that the passkey was copied: it proves nothing from then on,
    whichever of the two was here first, and its person's sessions end.
    """
    now = context.clock.now()
    try:
        party, answer = relying_party(context), parse_answer(text)
    except (InvalidValue, PasskeyRefused):
        return None
    if not context.challenges.use(answer.challenge, purpose, session, now):
        return None
    row = passkey_by_credential(context.ledger.db, answer.credential)
    if row is None or row.copied_at is not None:
        return None
    try:
        count = await trio.to_thread.run_sync(
            read_assertion, party, answer, row.person, row.public_key
        )
    except PasskeyRefused as error:
        log.info("passkey %s was refused: %s", row.id, error)
        return None
    key = await context.audit_key()

    def write(db: Database) -> bool:
        was_used = use_passkey(db, row.id, count, now)
        if was_used is not False:
            return was_used is True  # None: it was removed meanwhile, which proves no copy
        who = ledger.person(db, row.person)
        counts = {"name": row.name, "counted": str(row.sign_count), "found": str(count)}
        append_audit(
            db,
            key=key,
            by=who.name,
            act="passkey_copied",
            subject=who.name,
            data=counts,
            at=now,
            address=address,
        )
        revoke_sessions(db, row.person, now)
        raise_alert(db, AlertCode.PASSKEY_COPIED, who.name, counts, now, sameness=row.id)
        return False

    return row.person if await context.ledger.write(write) else None
