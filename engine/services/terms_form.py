"""The terms of following as a form: read with everything that is wrong, by the name of its field,
and written back as they are stored.
"""

from collections.abc import Mapping
from typing import Any, Final

from engine.domain.errors import InvalidValue
from engine.domain.subscription import (
    SIZING_FIELD,
    BelowMinimum,
    CopyPolicy,
    Mode,
    parse_leverage,
    parse_limits,
    parse_sizing,
    parse_symbols,
    write_limits,
)
from engine.domain.typed import typed_number
from engine.ledger.codec import policy_fields
from engine.ledger.following import StrategyTerms
from engine.services.user import FormErrors

LIMITS: Final = (
    "order_notional",
    "symbol_notional",
    "account_notional",
    "account_margin",
    "open_positions",
    "daily_loss",
    "drawdown_percent",
    "slippage_bps",
    "entry_age_s",
)
_WHOLE: Final = ("open_positions", "drawdown_percent", "slippage_bps", "entry_age_s")


def read_terms(given: Mapping[str, Any], strategy: StrategyTerms) -> CopyPolicy:
    """Read terms as a person typed them, by field; raises FormErrors with everything that is wrong.

    A number becomes a plain one, which the parsers of provisioning read.
    """
    errors: dict[str, str] = {}

    def take(field: str, parse: Any, default: Any) -> Any:
        try:
            return parse()
        except InvalidValue as error:
            errors[field] = f"expected {error.expected}"
            return default

    def number(name: str) -> str:
        return typed_number(str(given.get(name, "")), name)

    mode = take("mode", lambda: _mode(given), Mode.WATCH)
    how = given.get("sizing", "")
    if how in SIZING_FIELD:
        sizing = take(
            "size", lambda: parse_sizing({"mode": how, SIZING_FIELD[how]: number("size")}), None
        )
    else:
        sizing = take("sizing", lambda: parse_sizing({"mode": how}), None)
    ceiling = given.get("leverage_mode", "capped")
    leverage = take(
        "leverage", lambda: parse_leverage({"mode": ceiling, "value": number("leverage")}), None
    )
    symbols = take("symbols", lambda: parse_symbols(sorted(given.get("symbols", ()))), frozenset())
    if symbols - strategy.symbols:
        errors["symbols"] = "expected contracts of this strategy: " + ", ".join(
            sorted(strategy.symbols)
        )
    limits: dict[str, str | int] = {}
    for name in LIMITS:
        if str(given.get(name, "")).strip():
            limits.update(
                take(
                    name,
                    lambda name=name: write_limits(
                        parse_limits({name: _limit(number(name), name)})
                    ),
                    {},
                )
            )
    lift = BelowMinimum.LIFT if given.get("below_minimum") == "lift" else BelowMinimum.SKIP
    if errors:
        raise FormErrors(errors)
    return CopyPolicy(
        mode=mode,
        sizing=sizing,
        leverage=leverage,
        symbols=symbols,
        limits=parse_limits(limits),
        below_minimum=lift,
        allow_own_position=given.get("allow_own_position") == "yes",
    )


def terms_fields(policy: CopyPolicy) -> dict[str, Any]:
    """Write terms as the texts of the form."""
    stored: dict[str, Any] = policy_fields(policy)
    sizing, leverage = stored["sizing"], stored["leverage"]
    limits = {name: str(value) for name, value in stored["limits"].items()}
    return {
        "mode": stored["mode"],
        "sizing": sizing["mode"],
        "size": sizing[SIZING_FIELD[sizing["mode"]]],
        "leverage_mode": leverage["mode"],
        "leverage": leverage["value"],
        "symbols": stored["symbols"],
        "below_minimum": stored["below_minimum"],
        "allow_own_position": "yes" if stored["allow_own_position"] else "",
        **limits,
    }


def _mode(given: Mapping[str, Any]) -> Mode:
    try:
        return Mode(given.get("mode"))
    except ValueError:
        raise InvalidValue("mode", "watch or live") from None


def _limit(text: str, name: str) -> str | int:
    """Return a limit as ``parse_limits`` reads it: some are whole numbers."""
    return int(text) if name in _WHOLE and text.isdecimal() else text
