"""The choice of an exchange on a form, and the login that the form gives for it."""

import secrets
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from engine.domain.account import Environment
from engine.domain.amounts import parse_money, plain
from engine.domain.errors import InvalidValue
from engine.domain.typed import typed_number
from engine.services.accounts import ExchangeChoice
from engine.services.user import FormErrors
from web.visit import Visit

_BALANCE_MIN: Final = Decimal(10)
_BALANCE_MAX: Final = Decimal(10_000_000)


def chosen_exchange(visit: Visit, choices: Sequence[ExchangeChoice]) -> ExchangeChoice | None:
    """Return the chosen exchange, the first one where none was chosen, None without any."""
    wanted = visit.form.get("exchange", visit.query.get("exchange", ""))
    first = choices[0] if choices else None
    return next((choice for choice in choices if choice.name == wanted), first)


def typed_login(visit: Visit, chosen: ExchangeChoice) -> Mapping[str, str]:
    """Return the login as it was typed."""
    return {field.name: visit.form.get(field.name, "") for field in chosen.fields}


def kept_login(choices: Sequence[ExchangeChoice], given: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fields of the choice of an exchange and of its login that are no secrets."""
    chosen = next((each for each in choices if each.name == given.get("exchange")), None)
    fields = () if chosen is None else chosen.fields
    return ("exchange", "balance", *(each.name for each in fields if not each.secret))


def new_login(visit: Visit, chosen: ExchangeChoice) -> Mapping[str, str]:
    """Return the login of an account to be connected; raises FormErrors.

    A paper account always gets a new login, made from the typed balance: any text is a login there,
    another account's too.
    """
    if chosen.environment is not Environment.PAPER:
        return typed_login(visit, chosen)
    return {chosen.fields[0].name: _paper_login(visit.text("balance"))}


def _paper_login(balance: str) -> str:
    """Return the login of a new paper account with a balance in USDT; raises FormErrors."""
    try:
        amount = parse_money(typed_number(balance, "balance"), "balance")
    except InvalidValue as error:
        raise FormErrors({"balance": f"expected {error.expected}"}) from None
    if not _BALANCE_MIN <= amount <= _BALANCE_MAX:
        raise FormErrors({"balance": "expected 10 to 10000000 USDT"})
    return f"paper:{plain(amount)}:{secrets.token_hex(16)}"
