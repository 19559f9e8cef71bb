"""Connecting an exchange account: the fields of its login, a check with the exchange itself, and
the rows that store it.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import trio

from engine.context import EngineContext
from engine.domain.account import AccountReport, Environment
from engine.domain.identifiers import AccountId
from engine.keys.sealed_secrets import seal_credentials
from engine.keys.vault import Vault
from engine.ledger import Database
from engine.ledger.disconnecting import keep_stops
from engine.ledger.identity import remember_login
from engine.ledger.people import AccountRow, PersonKey, account_named, insert_account
from engine.ports.exchange import (
    CredentialField,
    ExchangeError,
    Rejected,
    RejectionKind,
)
from engine.ports.http import HttpError, ReadTimeout
from engine.ports.secret import Secret, is_one_line
from engine.provisioning.exchange_setup import exchange_setup
from engine.services.user import FormErrors

_LOG = logging.getLogger("rexalgo.accounts")
CHARACTERS_MAX: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeChoice:
    """One exchange to connect: ``lasts_days`` is the age at which it stops accepting a key, None if
    it names none.
    """

    name: str
    title: str
    environment: Environment
    fields: Sequence[CredentialField]
    lasts_days: int | None
    refused: str


@dataclass(frozen=True, slots=True, repr=False)
class Checked:
    """A login that the exchange has just accepted, and what it reported about the account."""

    credentials: Mapping[str, Secret]
    environment: Environment
    report: AccountReport


def exchange_choices(context: EngineContext) -> list[ExchangeChoice]:
    """Read which exchanges can be connected here, paper last."""
    plugins = context.plugins()
    places = exchange_setup(context.config, plugins, context.clock)
    shown = [
        ExchangeChoice(
            name=name,
            title=plugins.exchanges[name].title,
            environment=place.environment,
            fields=place.credential_fields,
            lasts_days=plugins.exchanges[name].traits.credentials_last_days,
            refused=place.refused,
        )
        for name, place in places.items()
    ]
    return sorted(shown, key=lambda each: (each.environment is Environment.PAPER, each.title))


async def check_login(context: EngineContext, exchange: str, given: Mapping[str, str]) -> Checked:
    """Ask the exchange whether it accepts a login; raises FormErrors in words, by field. Stores
    nothing.
    """
    choice = next((each for each in exchange_choices(context) if each.name == exchange), None)
    if choice is None:
        raise FormErrors({"exchange": "expected an exchange of this installation"})
    if choice.refused:
        raise FormErrors({"exchange": f"expected {choice.refused}"})
    errors = {
        each.name: f"expected the {each.label}"
        for each in choice.fields
        if not given.get(each.name, "").strip()
    }
    too_long = [
        each.name for each in choice.fields if len(given.get(each.name, "")) > CHARACTERS_MAX
    ]
    errors.update(dict.fromkeys(too_long, f"expected at most {CHARACTERS_MAX} characters"))
    torn = [
        each.name for each in choice.fields if not is_one_line(given.get(each.name, "").strip())
    ]
    errors.update(
        dict.fromkeys(
            torn,
            "expected one line of letters, digits and signs as the exchange shows it; copy it "
            "again",
        )
    )
    if errors:
        raise FormErrors(errors)
    credentials = {each.name: Secret(given[each.name].strip()) for each in choice.fields}
    if context.try_login is None:
        raise FormErrors(
            {
                "": (
                    "No engine runs here, and the exchange is asked through it. Try again when it "
                    "does."
                )
            }
        )
    try:
        report = await context.try_login(exchange, credentials)
    except Rejected as error:
        where = (
            choice.fields[0].name
            if error.kind is RejectionKind.CREDENTIALS and choice.fields
            else ""
        )
        raise FormErrors({where: f"{choice.title} does not accept this: {error.text}"}) from None
    except Exception as error:  # the boundary to a plugin: whatever it raised, nothing was stored
        words = _why_not_asked(error)
        _LOG.warning(
            "a login of %s could not be checked: %s: %s", exchange, type(error).__name__, error
        )
        raise FormErrors(
            {
                "": (
                    f"{choice.title} could not be asked just now ({words}). Nothing was stored; "
                    "try again."
                )
            }
        ) from None
    return Checked(credentials, choice.environment, report)


def _why_not_asked(error: Exception) -> str:
    if isinstance(error, ExchangeError):
        return error.text
    if isinstance(error, ReadTimeout | TimeoutError | trio.TooSlowError):
        return "no answer in time"
    if isinstance(error, HttpError):
        return "no connection to it"
    return "its answer could not be read"


def open_account(
    db: Database,
    vault: Vault,
    owner: PersonKey,
    name: str,
    exchange: str,
    checked: Checked,
    print_: str,
    now: datetime,
) -> AccountRow:
    """Write a new account of a person, with its login sealed and its fingerprint; the name gets a
    number if it is taken. What it replaces may have been stopped by an operator: so is it.
    """
    identifier = AccountId(f"acc_{secrets.token_hex(16)}")
    free, number = name, 1
    while account_named(db, free) is not None:
        number += 1
        free = f"{name}-{number}"
    sealed = seal_credentials(
        vault, key=owner, account=identifier, row_version=1, credentials=checked.credentials
    )
    row = AccountRow(
        id=identifier,
        name=free,
        person=owner.person,
        exchange=exchange,
        environment=checked.environment.value,
        sealed=sealed,
        row_version=1,
    )
    insert_account(db, row, now)
    remember_login(db, print_, identifier)
    keep_stops(db, row, now)
    return row
