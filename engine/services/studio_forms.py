"""The masters' forms: read with everything that is wrong, by the name of its field. Nothing is
stored here.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from engine.decisions.admission import ENTRIES_PER_MINUTE_MAX
from engine.domain.amounts import Ratio, parse_ratio
from engine.domain.errors import InvalidValue
from engine.domain.identifiers import Symbol, parse_symbol
from engine.domain.signal import Action
from engine.domain.typed import typed_number, typed_whole
from engine.ledger.studio import StudioStrategy
from engine.ports.signal_source import EndpointSetting
from engine.services.user import FormErrors

ABOUT_MAX: Final = 1_000
_CLOSING: Final = ("close", "reduce")


def read_description(
    given: Mapping[str, str], errors: dict[str, str]
) -> tuple[str, frozenset[Symbol], Ratio]:
    """Read a strategy's description: about, contracts, leverage; add what is wrong to ``errors``
    and return a placeholder for it.
    """
    about = given.get("about", "").strip()
    if len(about) > ABOUT_MAX:
        errors["about"] = f"expected at most {ABOUT_MAX} characters"
    names = [each for each in given.get("symbols", "").upper().replace(",", " ").split() if each]
    symbols: frozenset[Symbol] = frozenset()
    try:
        symbols = frozenset(parse_symbol(each, "symbols") for each in names)
        if not symbols:
            errors["symbols"] = "expected contracts such as BTCUSDT, ETHUSDT"
    except InvalidValue as error:
        errors["symbols"] = f"expected {error.expected}"
    try:
        return (
            about,
            symbols,
            parse_ratio(typed_number(given.get("leverage", ""), "leverage"), "leverage"),
        )
    except InvalidValue as error:
        errors["leverage"] = f"expected {error.expected}"
        return about, symbols, parse_ratio("1", "leverage")


def read_address_scope(
    given: Mapping[str, str],
    row: StudioStrategy,
    settings: Sequence[EndpointSetting],
    now: datetime,
) -> dict[str, object]:
    """Read what an address may send, and the choices of its source (``setting_NAME``); raises
    FormErrors with everything that is wrong.
    """
    errors: dict[str, str] = {}

    def whole(name: str, default: str, most: int, of_what: str) -> int:
        try:
            return typed_whole(given.get(name, default), name, 1, most)
        except InvalidValue as error:
            errors[name] = f"expected {error.expected} ({of_what})"
            return 1

    days, pace = (
        whole("days", "90", 365, "days"),
        whole("pace", "10", ENTRIES_PER_MINUTE_MAX, "entries"),
    )
    symbols = given.get("symbols", "").upper().replace(",", " ").split()
    if not set(symbols) <= set(row.symbols):
        errors["symbols"] = (
            "expected contracts of this strategy: "
            + ", ".join(row.symbols)
            + "; nothing here means all of them"
        )
    if errors:
        raise FormErrors(errors)
    return {
        **{each.name: each.chosen(given.get(f"setting_{each.name}"))[0] for each in settings},
        "expires_at": (now + timedelta(days=days)).isoformat(),
        "actions": list(_CLOSING) if given.get("only") == "close" else [],
        "symbols": sorted(set(symbols)),
        "entries_per_minute": pace,
    }


def read_test_body(given: Mapping[str, str], row: StudioStrategy) -> dict[str, Any]:
    """Return the body of a test signal, which is marked as a test; raises FormErrors."""
    errors = {}
    action, symbol, side = (
        given.get("action", ""),
        given.get("symbol", ""),
        given.get("side", "LONG"),
    )
    if action not in {each.value for each in Action}:
        errors["action"] = "expected one of " + ", ".join(each.value for each in Action)
    if symbol not in row.symbols:
        errors["symbol"] = "expected a contract of this strategy"
    if errors:
        raise FormErrors(errors)
    body: dict[str, Any] = {
        "idempotency_key": f"test-{secrets.token_hex(12)}",
        "action": action,
        "symbol": symbol,
        "test": True,
    }
    if Action(action).is_entry:
        body |= {"side": "SHORT" if side == "SHORT" else "LONG"}
    if action == Action.REDUCE.value:
        body |= {"size": {"mode": "fraction", "fraction": "0.5"}}
    if action == Action.SET_PROTECTION.value:
        body |= {"stop_loss": "none", "take_profit": "none"}
    return body
