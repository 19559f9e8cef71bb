"""The service of accounts: connecting another one, replacing a key, disconnecting; and what stays
afterwards.

What always holds: a key is checked with the exchange before it is stored; disconnecting erases the
sealed login and its fingerprint, and the history stays. While the engine holds something on an
account, it is disconnected only if its owner confirms that they keep it.
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from engine.context import EngineContext
from engine.domain.account import Environment
from engine.domain.errors import NothingThere
from engine.domain.identifiers import former_name
from engine.domain.person import Role
from engine.keys.sealed_secrets import login_prints, seal_credentials
from engine.ledger import Database
from engine.ledger.attempts import open_attempts
from engine.ledger.audit import append_audit
from engine.ledger.disconnecting import disconnect_account
from engine.ledger.identity import (
    account_of_login,
    forget_login,
    give_role,
    is_role_taken,
    remember_login,
)
from engine.ledger.looking import Look, looks_at
from engine.ledger.people import AccountRow, account, person_key, set_credentials, set_title
from engine.ledger.preflight import note_new_credentials
from engine.ports.secret import Secret
from engine.services.accounts import ExchangeChoice, check_login, exchange_choices, open_account
from engine.services.asking import asked
from engine.services.auditing import audited
from engine.services.following import FollowingService
from engine.services.user import FormErrors, User

TITLE_MAX: Final = 40


class AccountRoom:
    """The service for people who connect accounts."""

    def __init__(self, context: EngineContext, following: FollowingService) -> None:
        self._context = context
        self._following = following

    def choices(self) -> Sequence[ExchangeChoice]:
        """Read which exchanges can be connected here."""
        return exchange_choices(self._context)

    def choice(self, exchange: str) -> ExchangeChoice:
        """Return one exchange; the first if none has that name."""
        choices = self.choices()
        return next((each for each in choices if each.name == exchange), choices[0])

    def looks(self, user: User, name: str) -> Sequence[Look]:
        """Read which operators looked at one of the user's accounts; raises NothingThere."""
        return looks_at(self._context.ledger.db, self._following.account(user, name).id)

    @asked
    async def connect(self, user: User, exchange: str, given: Mapping[str, str]) -> AccountRow:
        """Connect another account of the user; raises FormErrors, NeedsConfirmation. The first one
        makes them a follower, unless an operator took that role from them.
        """
        user.require_fresh(self._context.clock.now())
        _refuse_former_follower(self._context.ledger.db, user)
        checked = await check_login(self._context, exchange, given)
        vault, now = await self._context.open_vault(), self._context.clock.now()
        prints, audit_key = (
            login_prints(vault, exchange, checked.credentials),
            await self._context.audit_key(),
        )

        def change(db: Database) -> AccountRow:
            _refuse_former_follower(db, user)
            if account_of_login(db, prints) is not None:
                raise FormErrors({"": "This exchange account is connected here already."})
            key = person_key(db, user.id)
            if give_role(db, user.id, Role.FOLLOWER, "an account", now):
                append_audit(
                    db,
                    key=audit_key,
                    by=user.person.name,
                    act="role_given",
                    subject=user.person.name,
                    data={"role": Role.FOLLOWER.value},
                    at=now,
                    address=user.address,
                )
            return open_account(
                db,
                vault=vault,
                owner=key,
                name=user.person.called,
                exchange=exchange,
                checked=checked,
                print_=prints[0],
                now=now,
            )

        row = await audited(
            self._context,
            user=user,
            act="account_connected",
            subject=user.person.called,
            data={"exchange": exchange},
            change=change,
        )
        await self._context.changed()
        return row

    def with_key(self, user: User, name: str) -> AccountRow:
        """Find one of the user's accounts that has a key; raises NothingThere, also for paper."""
        row = self._following.account(user, name)
        if row.environment == Environment.PAPER.value:
            raise NothingThere("a paper account has no key")
        return row

    @asked
    async def replace_key(self, user: User, name: str, given: Mapping[str, str]) -> None:
        """Replace an account's key; raises FormErrors, NothingThere, NeedsConfirmation. What is
        being sent keeps the old key.
        """
        row = self.with_key(user, name)
        user.require_fresh(self._context.clock.now())
        checked = await check_login(self._context, row.exchange, given)
        vault, now = await self._context.open_vault(), self._context.clock.now()
        prints = login_prints(vault, row.exchange, checked.credentials)

        def change(db: Database) -> None:
            other = account_of_login(db, prints)
            if other is not None and other != row.id:
                raise FormErrors(
                    {"": "This key belongs to another account that is connected here."}
                )
            current = account(db, row.id)
            version = current.row_version + 1
            sealed = seal_credentials(
                vault,
                key=person_key(db, user.id),
                account=row.id,
                row_version=version,
                credentials=checked.credentials,
            )
            set_credentials(db, row.id, sealed, version)
            remember_login(db, prints[0], row.id)
            note_new_credentials(db, row.name, now)

        await audited(
            self._context,
            user=user,
            act="key_replaced",
            subject=row.name,
            data={"exchange": row.exchange},
            change=change,
        )
        await self._context.changed()

    @asked
    async def rename(self, user: User, name: str, typed: str) -> None:
        """Write what the owner calls an account; empty: by its name again. Its name and id stay, so
        commands, files and the history find it as before.

        Raises NothingThere, and FormErrors for what cannot be shown in a row, or would make two
        accounts look like one.
        """
        row = self._following.account(user, name)
        title = " ".join(typed.split())
        if len(title) > TITLE_MAX or not title.isprintable():
            raise FormErrors(
                {"title": f"expected at most {TITLE_MAX} characters on one line, without controls"}
            )
        mine = self._following.accounts(user)
        others = {
            each.casefold() for row in mine if row.name != name for each in (row.name, row.title)
        }
        if title and title.casefold() in others:
            raise FormErrors({"title": "expected another name: one of your accounts has this one"})
        await audited(
            self._context,
            user=user,
            act="account_renamed",
            subject=row.name,
            data={"before": row.title, "now": title},
            change=lambda db: set_title(db, row.id, title),
        )

    @asked
    async def disconnect(self, user: User, name: str, *, keep: bool) -> None:
        """Disconnect an account: erase its login, leave every strategy, stop its task. Raises
        FormErrors, NothingThere, and NeedsConfirmation for an account with a key or with something
        open.

        ``keep``: the owner keeps what the engine holds there; without it, a holding is a refusal.
        """
        row = self._following.account(user, name)
        open_shares = self._following.still_open(user, name)
        if open_shares or row.environment != Environment.PAPER.value:
            user.require_fresh(self._context.clock.now())
        if open_attempts(self._context.ledger.db, row.id):
            raise FormErrors(
                {
                    "": (
                        "An order of this account is in flight, rests at the exchange or is being "
                        "looked up: pause, which cancels what rests, and try again when it is settled."
                    )
                }
            )
        if open_shares and not keep:
            what = ", ".join(f"{each.share} {each.symbol}" for each in open_shares)
            raise FormErrors(
                {
                    "keep": (
                        f"The engine still holds {what} there: flatten first, or confirm that you "
                        "keep it."
                    )
                }
            )
        vault, now = await self._context.open_vault(), self._context.clock.now()
        data = {
            "exchange": row.exchange,
            "kept": [f"{each.side} {each.share} {each.symbol}" for each in open_shares],
        }

        def change(db: Database) -> None:
            if open_attempts(db, row.id):
                raise FormErrors(
                    {"": "An order went out a moment ago: pause, and try again when it is settled."}
                )
            current = account(db, row.id)
            version = current.row_version + 1
            nothing = seal_credentials(
                vault,
                key=person_key(db, user.id),
                account=row.id,
                row_version=version,
                credentials={"erased": Secret(secrets.token_hex(8))},
            )
            set_credentials(db, row.id, nothing, version)
            forget_login(db, row.id)
            disconnect_account(db, row.id, former_name(row.name, secrets.token_hex(3)), now)

        await audited(
            self._context,
            user=user,
            act="account_disconnected",
            subject=row.name,
            data=data,
            change=change,
        )
        await self._context.changed()


def _refuse_former_follower(db: Database, user: User) -> None:
    """Raise FormErrors for somebody from whom an operator took the role of a follower."""
    if is_role_taken(db, user.id, Role.FOLLOWER):
        raise FormErrors(
            {
                "": (
                    "An operator took the role of a follower from you, so no account is connected. "
                    "Ask the operator to give it back."
                )
            }
        )
