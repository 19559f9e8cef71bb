"""The service of identity: signing in and out, joining, links, and how a person proves who they
are.

What always holds: every failed sign-in has one and the same answer and costs the same work; tries
are counted by name and by address, in the ledger, with doubling waits, and before they are checked,
and codes of a second factor by person;
a session is a row, its cookie only names it; changing a factor requires the current one and ends
the other sessions.

A stranger can use up what is counted by name. So only the password is counted by name: a recovery
code or link cannot be guessed, whoever uses up codes of an app has the password or a login, and a
signed-in user confirms under a count of their own.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from engine.context import EngineContext
from engine.domain.account import Environment
from engine.domain.errors import EngineAway, InvalidValue, NothingThere, RexAlgoError
from engine.domain.identifiers import PersonId, StrategyId, parse_name
from engine.domain.network import network_of
from engine.domain.person import Person, Role, parse_zone
from engine.identity.challenges import Purpose
from engine.identity.references import ReferenceKeys, capability_hash, new_secret_id
from engine.identity.second_factor import (
    new_recovery_codes,
    new_totp_secret,
    parse_totp_secret,
    qr_svg,
    recovery_hash,
    totp_address,
    totp_step,
)
from engine.keys.passwords import Passwords, check_password
from engine.keys.sealed_secrets import login_prints, new_person, open_totp_secret, seal_totp_secret
from engine.ledger import Database
from engine.ledger import identity as ledger
from engine.ledger import sessions as doors
from engine.ledger.audit import append_audit
from engine.ledger.passkeys import has_passkey
from engine.ledger.people import account, declared, insert_person, person_key
from engine.ledger.sessions import KIND_INVITATION, KIND_SIGN_IN, SessionRow, TicketRow
from engine.ledger.suspending import suspension
from engine.ports.secret import Secret
from engine.services.accounts import (
    Checked,
    ExchangeChoice,
    check_login,
    exchange_choices,
    open_account,
)
from engine.services.asking import asked
from engine.services.auditing import audited
from engine.services.mastering import become_master
from engine.services.passkeys import KEEP_ONE, keeps_second_factor, passkey_host, verify_passkey
from engine.services.tokens import is_token, token_user
from engine.services.user import FormErrors, User

T = TypeVar("T")
SEEN_EVERY: Final = timedelta(seconds=60)
LINK_LASTS: Final = timedelta(minutes=10)
_TAKEN: Final = "expected a name that nobody here has"
_LASTS: Final = (timedelta(hours=12), timedelta(days=7))
_OPERATOR_LASTS: Final = (timedelta(minutes=30), timedelta(hours=8))


class NotSignedIn(RexAlgoError):
    """Raised when a sign-in failed, never saying why. ``wait_s`` is above 0 if too many tries came
    before.
    """

    def __init__(self, wait_s: int = 0) -> None:
        self.wait_s = wait_s
        super().__init__("name, password or code is wrong")


@dataclass(frozen=True, slots=True)
class Caller:
    """The origin of a request: the client's address and the name its browser gives itself."""

    address: str
    agent: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class SignedIn:
    """A new session: ``cookie`` is its signed reference."""

    person: Person
    cookie: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, repr=False)
class TotpOffer:
    """A second factor that is not in force yet: what the app scans, and the same as text."""

    secret: Secret
    svg: str


class IdentityService:
    """The service for everybody who signs in."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._passwords = Passwords()
        self._invited: dict[PersonId, StrategyId] = {}

    @property
    def _references(self) -> ReferenceKeys:
        return self._context.session_keys.current()

    @property
    def _now(self) -> datetime:
        return self._context.clock.now()

    @property
    def place(self) -> str:
        """Return the operator's name, for people who are asked to trust it."""
        return self._context.config.operator.name or "RexAlgo"

    @property
    def contact(self) -> str:
        """Return how to reach the operator."""
        return self._context.config.operator.contact

    @property
    def sign_up(self) -> str:
        """Return who may join: open, invite or closed."""
        return self._context.config.web.sign_up

    # Sessions

    async def user(self, cookie: str, address: str, *, only_looks: bool = False) -> User | None:
        """Return the user a cookie belongs to, with the address of the request; None if the session
        is not valid.

        An open page that ``only_looks`` keeps no session alive.
        """
        now, db = self._now, self._context.ledger.db
        named = self._references.read(cookie, now)
        row = None if named is None else doors.session_by_hash(db, capability_hash(named.sid))
        if named is None or row is None or named.person != row.person or not row.is_valid(now):
            return None
        if not only_looks and now - row.seen_at > SEEN_EVERY:
            with suppress(EngineAway):  # it is seen at the next page, too
                await self.see(row.id)
        return self._user(row, named.sid, address)

    def former(self, cookie: str) -> PersonId | None:
        """Return whose session a cookie began, also if it has ended; None for any other text."""
        named = self._references.read(cookie, self._now)
        return None if named is None else PersonId(named.person)

    @asked
    async def see(self, session: str) -> None:
        """Record that somebody acts in a session now: it lives on."""
        now = self._now
        await self._context.ledger.write(lambda db: doors.see_session(db, session, now))

    def user_again(self, sid: str, address: str) -> User | None:
        """Return the user of a session by its secret id, or of an API token; None if it is not valid
        any more.
        """
        if is_token(sid):
            return token_user(self._context, sid, address)
        row = doors.session_by_hash(self._context.ledger.db, capability_hash(sid))
        return None if row is None or not row.is_valid(self._now) else self._user(row, sid, address)

    def _user(self, row: SessionRow, sid: str, address: str) -> User:
        db = self._context.ledger.db
        factors = ledger.factor(db, row.person)
        return User(
            person=ledger.person(db, row.person),
            session=row,
            sid=sid,
            address=address,
            has_password=factors.password is not None,
            has_totp=factors.totp_sealed is not None,
            has_passkey=has_passkey(db, row.person),
        )

    def csrf_token(self, user: User) -> str:
        """Return the token for the forms of a session."""
        return self._references.csrf_token(user.sid)

    def is_csrf_token(self, user: User, token: str) -> bool:
        """Return whether a form's token is that of its session."""
        return self._references.is_csrf_token(user.sid, token)

    async def _begin(
        self, person: Person, caller: Caller, how: str, *, confirmed_for: timedelta = timedelta(0)
    ) -> SignedIn:
        now, sid = self._now, new_secret_id()
        idle, whole = _OPERATOR_LASTS if person.is_a(Role.OPERATOR) else _LASTS
        row = SessionRow(
            id=f"ses_{secrets.token_hex(16)}",
            person=person.id,
            created_at=now,
            seen_at=now,
            expires_at=now + whole,
            idle=idle,
            confirmed_at=now + confirmed_for,
            revoked=False,
            address=caller.address,
            agent=caller.agent[:200],
        )
        key = await self._context.audit_key()

        def write(db: Database) -> None:
            if suspension(db, person.id) is not None:  # while this person was signing in
                raise NotSignedIn
            doors.insert_session(db, capability_hash(sid), row)
            doors.forget_old_sessions(db, now - timedelta(days=30))
            doors.forget_old_tickets(db, now - timedelta(days=30))
            doors.forget_old_tries(db, now)
            append_audit(
                db,
                key=key,
                by=person.name,
                act="signed_in",
                subject=person.name,
                data={"how": how},
                at=now,
                address=caller.address,
            )

        await self._context.ledger.write(write)
        return SignedIn(
            person, self._references.write(person.id, sid, now, row.expires_at), row.expires_at
        )

    @asked
    async def sign_out(self, user: User) -> None:
        """End the user's session."""
        now = self._now
        await self._context.ledger.write(
            lambda db: doors.revoke_sessions(db, user.id, now, only=user.session.id)
        )

    def sessions(self, user: User) -> Sequence[SessionRow]:
        """Read where the user is signed in."""
        return doors.sessions_of(self._context.ledger.db, user.id, self._now)

    @asked
    async def revoke(self, user: User, session: str) -> None:
        """End one of the user's sessions, or with ``others`` all but this one; raises NothingThere."""
        but = user.session.id if session == "others" else None

        def end(db: Database) -> None:
            only = None if but else session
            if not doors.revoke_sessions(db, user.id, self._now, only=only, but=but) and only:
                raise NothingThere("that session has ended already")

        await self._write(user, "session_ended", session, end)

    # Signing in

    def exchange_doors(self) -> Sequence[ExchangeChoice]:
        """Read at which exchanges a login proves who somebody is; on paper any text is accepted as
        one.
        """
        return [
            each
            for each in exchange_choices(self._context)
            if each.environment is not Environment.PAPER
        ]

    @asked
    async def sign_in(
        self,
        name: str,
        password: Secret,
        code: str,
        caller: Caller,
        *,
        passkey: str = "",
        form: str = "",
    ) -> SignedIn:
        """Sign in with a password, and a second factor if one is set: a code, or the answer of a
        passkey to a challenge of this form. Raises NotSignedIn.
        """
        keys = await self._try(caller, await self._name_key(name))
        person = ledger.person_named(self._context.ledger.db, name.strip())
        factors = None if person is None else ledger.factor(self._context.ledger.db, person.id)
        fits = await self._passwords.verify(None if factors is None else factors.password, password)
        if person is None or not fits:
            raise self._failed(keys)
        keys += await self._second_factor(person.id, code, passkey, form, caller, keys)
        await self._refuse_suspended(person, caller, keys)
        await self._succeeded(keys)
        return await self._begin(person, caller, "password")

    @asked
    async def sign_in_with_passkey(self, passkey: str, form: str, caller: Caller) -> SignedIn:
        """Sign in with a passkey, which knows whose it is and proves two factors; raises
        NotSignedIn.
        """
        keys = await self._try(caller)
        whose = await verify_passkey(self._context, passkey, Purpose.SIGN_IN, form, caller.address)
        if whose is None:
            raise self._failed(keys)
        person = ledger.person(self._context.ledger.db, whose)
        await self._refuse_suspended(person, caller, keys)
        await self._succeeded(keys)
        return await self._begin(person, caller, "passkey")

    @asked
    async def sign_in_with_recovery(self, name: str, code: str, caller: Caller) -> SignedIn:
        """Sign in with a one-time recovery code, which replaces both factors; raises NotSignedIn."""
        keys = await self._try(caller)
        person = ledger.person_named(self._context.ledger.db, name.strip())
        is_out = person is not None and self._suspended(person)
        now, hashed, whose = (
            self._now,
            recovery_hash(code),
            PersonId("nobody") if person is None or is_out else person.id,
        )
        used = await self._context.ledger.write(
            lambda db: ledger.use_recovery_code(db, whose, hashed, now)
        )
        if person is not None:
            await self._refuse_suspended(person, caller, keys)
        if person is None or not used:
            raise self._failed(keys)
        await self._succeeded(keys)
        return await self._begin(person, caller, "recovery code")

    @asked
    async def sign_in_with_exchange(
        self,
        exchange: str,
        given: Mapping[str, str],
        code: str,
        caller: Caller,
        *,
        passkey: str = "",
        form: str = "",
    ) -> SignedIn:
        """Sign in with the login of a connected exchange account, and a second factor if one is set
        (see ``sign_in``); raises NotSignedIn, or FormErrors for fields left empty.

        The exchange itself is asked, so that a key revoked there opens nothing here. What a
        stranger can guess opens nothing either: a paper account has no key, and a simulated one
        that a file declared may have its key written there.
        """
        if all(each.name != exchange for each in self.exchange_doors()):
            raise FormErrors(
                {
                    "exchange": (
                        "expected an exchange that checks keys; with a paper account, sign in "
                        "with your password"
                    )
                }
            )
        keys = await self._try(
            caller
        )  # what the exchange refuses is counted too: asking it costs requests of this installation
        checked = await check_login(self._context, exchange, given)
        prints = login_prints(await self._context.open_vault(), exchange, checked.credentials)
        account_id = ledger.account_of_login(self._context.ledger.db, prints)
        if account_id is None:
            raise self._failed(keys)
        row = account(self._context.ledger.db, account_id)
        is_declared = (
            declared(self._context.ledger.db).get(("follower", row.name, "login")) in prints
        )
        if is_declared and checked.environment is not Environment.LIVE:
            raise self._failed(keys)
        person = ledger.person(self._context.ledger.db, row.person)
        if ledger.is_login_leaked(self._context.ledger.db, row.id):
            raise self._failed(keys)
        keys += await self._second_factor(person.id, code, passkey, form, caller, keys)
        await self._refuse_suspended(person, caller, keys)
        await self._succeeded(keys)
        return await self._begin(person, caller, "exchange login")

    def _suspended(self, person: Person) -> bool:
        return suspension(self._context.ledger.db, person.id) is not None

    async def _refuse_suspended(self, person: Person, caller: Caller, keys: list[str]) -> None:
        """Raise the one answer to every failure if a person is suspended; the audit says why."""
        if not self._suspended(person):
            return
        key, now = await self._context.audit_key(), self._now
        await self._context.ledger.write(
            lambda db: append_audit(
                db,
                key=key,
                by=person.name,
                act="sign_in_refused",
                subject=person.name,
                data={"why": "suspended"},
                at=now,
                address=caller.address,
            )
        )
        raise self._failed(keys)

    async def _name_key(self, name: str) -> str:
        """Return what tries under a name are counted by. A name that nobody has may be a password in
        the wrong field: it is stored only as a keyed hash.
        """
        called = name.strip().rpartition(":")[2][:80].lower()
        if ledger.is_taken(self._context.ledger.db, called):
            return f"name:{called}"
        vault = await self._context.open_vault()
        return f"name#{vault.fingerprint(Secret(called)).hex()[:32]}"

    async def _try(self, caller: Caller, *keys: str) -> list[str]:
        """Count a try under these keys and the caller's address; raises NotSignedIn while one of
        them has to wait.
        """
        counted, now = [*keys, f"address:{network_of(caller.address)}"], self._now
        until = await self._context.ledger.write(lambda db: doors.take_try(db, counted, now))
        if until is not None:
            raise NotSignedIn(max(1, round((until - now).total_seconds())))
        return counted

    def _failed(self, keys: list[str]) -> NotSignedIn:
        """Return the one answer to every failure: how long to wait after it, and nothing else."""
        until = doors.blocked_until(self._context.ledger.db, keys, self._now)
        return NotSignedIn(
            0 if until is None else max(1, round((until - self._now).total_seconds()))
        )

    async def _succeeded(self, keys: list[str]) -> None:
        await self._context.ledger.write(lambda db: doors.forgive(db, keys))

    async def _factor_fits(
        self,
        person: PersonId,
        code: str,
        passkey: str,
        purpose: Purpose,
        session: str,
        caller: Caller,
    ) -> bool:
        """Use up a second factor of this person, a passkey's answer or else a code; return True if
        they have none.
        """
        db = self._context.ledger.db
        if passkey:
            whose = await verify_passkey(self._context, passkey, purpose, session, caller.address)
            return whose == person
        if ledger.factor(db, person).totp_sealed is None and not has_passkey(db, person):
            return True
        return await self._code_fits(person, code)

    async def _second_factor(
        self,
        person: PersonId,
        code: str,
        passkey: str,
        form: str,
        caller: Caller,
        keys: list[str],
    ) -> list[str]:
        """Use up a second factor of somebody whose password or login was right; return what its try
        was counted by. Raises NotSignedIn.

        A code is short, so codes are counted by person, through whichever door they come; a passkey
        cannot be guessed. A wait is not told here: it would say that what was proven first is right.
        """
        db, now, counted, until = self._context.ledger.db, self._now, list[str](), None
        if code.strip() and not passkey and ledger.factor(db, person).totp_sealed is not None:
            counted = [f"code:{person}"]
            until = await self._context.ledger.write(lambda db: doors.take_try(db, counted, now))
        if until is not None or not await self._factor_fits(
            person, code, passkey, Purpose.SIGN_IN, form, caller
        ):
            raise self._failed(keys)
        return counted

    async def _code_fits(self, person: PersonId, code: str) -> bool:
        """Use up a code of the person's app; return False without an app."""
        db = self._context.ledger.db
        factors = ledger.factor(db, person)
        if factors.totp_sealed is None:
            return False
        vault = await self._context.open_vault()
        secret = open_totp_secret(db, vault, person, factors)
        step = totp_step(secret, code, self._now, factors.totp_step)
        return step is not None and await self._context.ledger.write(
            lambda writing: ledger.use_totp_step(writing, person, step)
        )

    # Coming in by a link, and joining

    def invitation(self, token: str) -> TicketRow | None:
        """Find a valid invitation."""
        ticket = doors.ticket_by_hash(self._context.ledger.db, capability_hash(token))
        return (
            ticket
            if ticket is not None and ticket.kind == KIND_INVITATION and ticket.is_valid(self._now)
            else None
        )

    @asked
    async def use_link(self, token: str, caller: Caller) -> SignedIn:
        """Sign in by a one-time link; raises NotSignedIn if it was used, has expired, or never
        existed.
        """
        keys = await self._try(caller)
        now, hashed = self._now, capability_hash(token)
        ticket = doors.ticket_by_hash(self._context.ledger.db, hashed)
        used = None
        if ticket is not None and ticket.kind == KIND_SIGN_IN:
            used = await self._context.ledger.write(lambda db: doors.use_ticket(db, hashed, now))
        if used is None or used.person is None:
            raise self._failed(keys)
        await self._refuse_suspended(
            ledger.person(self._context.ledger.db, used.person), caller, keys
        )
        await self._succeeded(keys)
        return await self._begin(
            ledger.person(self._context.ledger.db, used.person), caller, "one-time link"
        )

    @asked
    async def wrong_to_join(self, token: str, name: str, caller: Caller) -> dict[str, str]:
        """Return what is wrong with joining under a name, by field, which is a try as joining is;
        raises NotSignedIn.
        """
        wrong = self._wrong_to_join(token, name)
        if "" not in wrong:
            await self._try(caller)
        return wrong

    def _wrong_to_join(self, token: str, name: str) -> dict[str, str]:
        """Return what is wrong with joining under a name; whoever was not invited hears nothing
        about names.
        """
        if self.sign_up == "closed" or (
            self.sign_up == "invite" and self.invitation(token) is None
        ):
            return {
                "": (
                    "This installation takes people by invitation, and this one has been used up or has run "
                    "out: ask who invited you."
                )
            }
        try:
            parse_name(name)
        except InvalidValue as error:
            return {"name": f"expected {error.expected}"}
        return {"name": _TAKEN} if ledger.is_taken(self._context.ledger.db, name) else {}

    @asked
    async def join(
        self, token: str, name: str, exchange: str, given: Mapping[str, str], caller: Caller
    ) -> SignedIn:
        """Create a person with a connected exchange account; raises FormErrors with everything that
        is wrong, and then creates nothing.
        """
        errors = self._wrong_to_join(token, name)
        if "" in errors:
            raise FormErrors(errors)
        keys = await self._try(caller)
        try:
            checked = await check_login(self._context, exchange, given)
        except FormErrors as error:
            raise FormErrors({**errors, **error.errors}) from None
        if errors:
            raise FormErrors(errors)
        person = await self._make_person(
            name, token=token, exchange=exchange, checked=checked, caller=caller
        )
        await self._succeeded(keys)
        return await self._begin(person, caller, "joined")

    @asked
    async def invited_to(self, person: Person) -> StrategyId | None:
        """Return the strategy that the invitation of a new person named, None if it named none."""
        return self._invited.pop(person.id, None)

    async def _make_person(
        self, name: str, token: str, exchange: str, checked: Checked, caller: Caller
    ) -> Person:
        vault, key, now = (
            await self._context.open_vault(),
            await self._context.audit_key(),
            self._now,
        )
        new = new_person(vault, name)
        prints = login_prints(vault, exchange, checked.credentials)

        def write(db: Database) -> None:
            invited = doors.use_ticket(db, capability_hash(token), now) if token else None
            if self.sign_up != "open" and invited is None:
                raise FormErrors(
                    {
                        "": (
                            "This invitation was used up a moment ago: ask who invited you for "
                            "another."
                        )
                    }
                )
            if ledger.account_of_login(db, prints) is not None:
                raise FormErrors(
                    {
                        "": (
                            "This exchange account is connected here already: sign in with it "
                            "instead."
                        )
                    }
                )
            if ledger.is_taken(db, name):  # somebody took it while the exchange was asked
                raise FormErrors({"name": _TAKEN})
            insert_person(db, name, new.key, now)
            ledger.give_role(db, identifier=new.id, role=Role.FOLLOWER, by="joining", at=now)
            if invited is not None and invited.role is Role.MASTER:
                ledger.give_role(
                    db, identifier=new.id, role=Role.MASTER, by=invited.created_by, at=now
                )
                become_master(db, ledger.person(db, new.id))
            append_audit(
                db,
                key=key,
                by=name,
                act="joined",
                subject=name,
                data={"invited_by": invited.created_by if invited else ""},
                at=now,
                address=caller.address,
            )
            open_account(
                db,
                vault=vault,
                owner=new.key,
                name=name,
                exchange=exchange,
                checked=checked,
                print_=prints[0],
                now=now,
            )
            append_audit(
                db,
                key=key,
                by=name,
                act="account_connected",
                subject=name,
                data={"exchange": exchange},
                at=now,
                address=caller.address,
            )

        ticket = self.invitation(token)
        await self._context.ledger.write(write)
        if ticket is not None and ticket.strategy is not None:
            self._invited[new.id] = ticket.strategy
        await self._context.changed()
        return ledger.person(self._context.ledger.db, new.id)

    @asked
    async def enter_demo(self, name: str, caller: Caller) -> SignedIn:
        """Sign in as one of the demo's people; the web offers it only if ``rexalgo demo`` enabled
        it. Raises NothingThere.
        """
        person = ledger.person_named(self._context.ledger.db, name)
        if person is None:
            raise NothingThere("the demo has no such person")
        return await self._begin(
            person, caller, "demo", confirmed_for=_LASTS[1]
        )  # a demo user has no factor that could be asked for

    # Factors

    @asked
    async def confirm(
        self, user: User, password: Secret, code: str, caller: Caller, *, passkey: str = ""
    ) -> None:
        """Show a factor again in a session: the second one if one is set, else the password; raises
        NotSignedIn.
        """
        keys = await self._try(caller, f"confirm:{user.id}")
        if user.has_second_factor:
            fits = await self._factor_fits(
                user.id, code, passkey, Purpose.CONFIRM, user.session.id, caller
            )
        else:
            fits = await self._passwords.verify(
                ledger.factor(self._context.ledger.db, user.id).password, password
            )
        if not fits:
            raise self._failed(keys)
        now = self._now
        await self._succeeded(keys)
        await self._context.ledger.write(lambda db: doors.confirm_session(db, user.session.id, now))

    @asked
    async def set_password(self, user: User, text: str, again: str) -> Sequence[Secret]:
        """Set a password and end the other sessions; return recovery codes if there were none.
        Raises FormErrors.
        """
        errors = {}
        try:
            password = check_password(text, user.person.called)
        except InvalidValue as error:
            errors["password"] = f"expected {error.expected}"
        if text != again:
            errors["again"] = "expected the same password once more"
        if errors:
            raise FormErrors(errors)
        if user.has_password:
            user.require_fresh(self._now)
        hashed, now = await self._passwords.hash(password), self._now
        codes = (
            ()
            if ledger.recovery_codes_left(self._context.ledger.db, user.id)
            else tuple(new_recovery_codes())
        )

        def write(db: Database) -> None:
            ledger.set_password(db, user.id, hashed, now)
            if codes:
                ledger.replace_recovery_codes(
                    db, user.id, [recovery_hash(each.reveal()) for each in codes], now
                )
            doors.revoke_sessions(db, user.id, now, but=user.session.id)

        await self._write(user, "password_set", user.person.name, write)
        return codes

    @asked
    async def renew_recovery_codes(self, user: User) -> Sequence[Secret]:
        """Replace all recovery codes; raises NeedsConfirmation."""
        user.require_fresh(self._now)
        codes, now = new_recovery_codes(), self._now
        hashes = [recovery_hash(each.reveal()) for each in codes]
        await self._write(
            user,
            "recovery_codes_renewed",
            user.person.name,
            lambda db: ledger.replace_recovery_codes(db, user.id, hashes, now),
        )
        return codes

    def recovery_codes_left(self, user: User) -> int:
        """Count the recovery codes that are not used yet."""
        return ledger.recovery_codes_left(self._context.ledger.db, user.id)

    def offer_totp(self, user: User, offered: str = "") -> TotpOffer:
        """Create a second factor to scan, or draw an offered one again; it is in force only after
        ``set_totp``.
        """
        chosen = parse_totp_secret(offered) if offered else new_totp_secret()
        return TotpOffer(chosen, qr_svg(totp_address(chosen, user.person.called, self.place)))

    @asked
    async def set_totp(self, user: User, offered: str, code: str) -> None:
        """Put a second factor in force, proven by a code of it; raises FormErrors,
        NeedsConfirmation.

        The first factor is confirmed too, with the password: otherwise somebody who found a browser
        open could set their own factor, and own the account.
        """
        secret = parse_totp_secret(offered)
        if user.has_totp or user.has_password:
            user.require_fresh(self._now)
        now = self._now
        step = totp_step(secret, code, now, 0)
        if step is None:
            raise FormErrors(
                {
                    "code": (
                        "expected the six digits that the app shows now; check the clock of your "
                        "phone"
                    )
                }
            )
        vault = await self._context.open_vault()

        def write(writing: Database) -> None:
            version = ledger.factor(writing, user.id).totp_version + 1
            sealed = seal_totp_secret(vault, person_key(writing, user.id), version, secret)
            ledger.set_totp(
                writing, identifier=user.id, sealed=sealed, version=version, step=step, at=now
            )
            doors.revoke_sessions(writing, user.id, now, but=user.session.id)

        await self._write(user, "second_factor_set", user.person.name, write)

    @asked
    async def remove_totp(self, user: User) -> None:
        """Remove the app; an operator keeps a second factor. Raises NeedsConfirmation, FormErrors."""
        user.require_fresh(self._now)
        now, version = self._now, ledger.factor(self._context.ledger.db, user.id).totp_version + 1
        host = passkey_host(self._context)

        def write(db: Database) -> None:
            ledger.set_totp(db, identifier=user.id, sealed=None, version=version, step=0, at=now)
            if user.person.is_a(Role.OPERATOR) and not keeps_second_factor(db, user.id, host):
                raise FormErrors({"": KEEP_ONE})
            doors.revoke_sessions(db, user.id, now, but=user.session.id)

        await self._write(user, "second_factor_removed", user.person.name, write)

    @asked
    async def set_zone(self, user: User, zone: str) -> None:
        """Set the time zone in which times are shown; raises FormErrors."""
        try:
            chosen = parse_zone(zone)
        except InvalidValue as error:
            raise FormErrors({"zone": f"expected {error.expected}"}) from None
        await self._context.ledger.write(lambda db: ledger.set_zone(db, user.id, chosen))

    @asked
    async def ask_to_be_master(self, user: User, note: str) -> None:
        """Request to publish strategies; raises FormErrors."""
        if not 1 <= len(note.strip()) <= 500:
            raise FormErrors(
                {
                    "note": (
                        "expected 1 to 500 characters: what you trade, and how signals will be sent"
                    )
                }
            )
        now = self._now
        await self._write(
            user,
            "asked_to_be_master",
            user.person.name,
            lambda db: ledger.ask_to_be_master(db, user.id, note.strip(), now),
        )

    def master_request(self, user: User) -> ledger.MasterRequest | None:
        """Read what became of the user's request to publish."""
        requests = ledger.master_requests(self._context.ledger.db, user.id)
        return requests[0] if requests else None

    async def _write(
        self, user: User, act: str, subject: str, change: Callable[[Database], T]
    ) -> T:
        return await audited(
            self._context, user=user, act=act, subject=subject, data={}, change=change
        )


async def make_link(context: EngineContext, person: PersonId, by: str, address: str) -> str:
    """Create a one-time sign-in link for a known person; return its secret. It is valid for ten
    minutes.
    """
    token, now = new_secret_id(), context.clock.now()
    row = TicketRow(
        id=f"tik_{secrets.token_hex(8)}",
        kind=KIND_SIGN_IN,
        person=person,
        role=Role.FOLLOWER,
        strategy=None,
        uses_left=1,
        created_at=now,
        expires_at=now + LINK_LASTS,
        created_by=by,
    )
    key, name = await context.audit_key(), ledger.person(context.ledger.db, person).name

    def write(db: Database) -> None:
        doors.insert_ticket(db, capability_hash(token), row)
        append_audit(
            db,
            key=key,
            by=by,
            act="sign_in_link_made",
            subject=name,
            data={},
            at=now,
            address=address,
        )

    await context.ledger.write(write)
    return token


async def make_invitation(
    context: EngineContext,
    role: Role,
    strategy: StrategyId | None,
    uses: int,
    days: int,
    by: str,
    address: str,
) -> tuple[str, TicketRow]:
    """Create an invitation; return its secret and what is stored. Raises InvalidValue."""
    if role is Role.OPERATOR:
        raise InvalidValue(
            "role",
            "follower or master; operators are made with rexalgo operator create",
            role.value,
        )
    if not 1 <= uses <= 1_000:
        raise InvalidValue("uses", "a whole number from 1 to 1000", uses)
    if not 1 <= days <= 365:
        raise InvalidValue("days", "a whole number from 1 to 365", days)
    token, now = new_secret_id(), context.clock.now()
    row = TicketRow(
        id=f"inv_{secrets.token_hex(8)}",
        kind=KIND_INVITATION,
        person=None,
        role=role,
        strategy=strategy,
        uses_left=uses,
        created_at=now,
        expires_at=now + timedelta(days=days),
        created_by=by,
    )
    key = await context.audit_key()

    def write(db: Database) -> None:
        doors.insert_ticket(db, capability_hash(token), row)
        append_audit(
            db,
            key=key,
            by=by,
            act="invitation_made",
            subject=row.id,
            data={"role": role.value, "uses": uses, "days": days},
            at=now,
            address=address,
        )

    await context.ledger.write(write)
    return token, row
