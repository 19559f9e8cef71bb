"""Warnings about absurd terms before anybody agrees: sizes that never trade or exceed what there
is, useless ceilings.

What always holds: a warning stops nothing, because the planner refuses what must be refused. It is
shown at the field that it is about, with the smallest size that trades. Sizes and costs are
computed by the same functions that plan.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from engine.decisions.preflight import SymbolNeed
from engine.decisions.risk import equity, fee, total
from engine.decisions.sizing import (
    Missing,
    SizingBasis,
    floored,
    leverage_of,
    raw_quantity,
    smallest_quantity,
)
from engine.domain.account import AccountReport
from engine.domain.amounts import (
    EXACT,
    ZERO,
    Money,
    Price,
    Quantity,
    Ratio,
    ceil_to_step,
    initial_margin,
    money_words,
    notional,
    plain,
)
from engine.domain.identifiers import Symbol
from engine.domain.instrument import Instrument
from engine.domain.subscription import (
    BelowMinimum,
    CopyPolicy,
    EquityShare,
    FixedMargin,
    FixedNotional,
    FixedQuantity,
    LeverageMode,
    RiskLimits,
    Sizing,
    strictest,
)

_CENT: Final = Decimal("0.01")
_SHARE_STEP: Final = Decimal("0.0001")
_NAMED_MAX: Final = 4
_WORTH_LIMITS: Final = ("order_notional", "symbol_notional", "account_notional")


@dataclass(frozen=True, slots=True)
class TermsWarning:
    """One thing that an owner should know before agreeing; ``field`` is the form's, such as size,
    leverage or a limit's name.
    """

    field: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsFacts:
    """Everything that terms are compared with.

    ``asked`` is the highest leverage that the strategy states. ``report`` is None if the account is
    not read yet. ``operator`` holds the operator's own limits, ``entry_age_s`` how old an entry may
    be here, ``fee_bps`` the taker fee.
    """

    policy: CopyPolicy
    asked: Ratio
    needs: Sequence[SymbolNeed]
    report: AccountReport | None
    operator: RiskLimits
    fee_bps: Ratio
    entry_age_s: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A contract as one exchange with a known contract list has it; ``instrument`` is None if that
    exchange does not trade it.
    """

    exchange: str
    symbol: Symbol
    instrument: Instrument | None


def warn_of_terms(facts: TermsFacts) -> tuple[TermsWarning, ...]:
    """Return everything that is absurd about terms, each at its field; of many contracts the first
    few are named.
    """
    contracts = (each for need in facts.needs for each in _of_contract(need, facts))
    return _told([*_of_leverage(facts), *_of_limits(facts), *contracts])


def warn_of_strategy(leverage: Ratio, listed: Sequence[Listed]) -> tuple[TermsWarning, ...]:
    """Return what is absurd about a strategy: a leverage that an exchange does not offer, contracts
    that no exchange here trades.
    """
    warnings = []
    for symbol in sorted({each.symbol for each in listed}):
        places = [each for each in listed if each.symbol == symbol]
        if all(each.instrument is None for each in places):
            where = " or ".join(sorted(each.exchange for each in places))
            warnings.append(
                TermsWarning(
                    "symbols", f"{symbol} is not traded at {where}: no follower can copy it."
                )
            )
        for each in places:
            if each.instrument is not None:
                warnings += _of_range(each.instrument, leverage, each.exchange)
    return _told(warnings)


def _told(warnings: Iterable[TermsWarning]) -> tuple[TermsWarning, ...]:
    by_field: dict[str, list[str]] = {}
    for warning in warnings:
        by_field.setdefault(warning.field, []).append(warning.sentence)
    return tuple(
        TermsWarning(field, sentence)
        for field, sentences in by_field.items()
        for sentence in _short(sentences)
    )


def _short(sentences: list[str]) -> list[str]:
    more = len(sentences) - _NAMED_MAX
    return (
        sentences
        if more <= 0
        else [*sentences[:_NAMED_MAX], f"The same or the like for {more} more."]
    )


def _of_leverage(facts: TermsFacts) -> Iterable[TermsWarning]:
    policy, asked = facts.policy.leverage, facts.asked
    if policy.value > asked:
        what = (
            "every entry gets it all the same"
            if policy.mode is LeverageMode.FIXED
            else "nobody needs a ceiling above that"
        )
        yield TermsWarning(
            "leverage",
            f"{_x(policy.value)} is more than the {_x(asked)} that the strategy asks for at most; "
            f"{what}.",
        )
    if policy.mode is LeverageMode.FOLLOW and policy.value < asked:
        yield TermsWarning(
            "leverage",
            f"The strategy asks for up to {_x(asked)}: entries above your {_x(policy.value)} are "
            "denied.",
        )


def _of_limits(facts: TermsFacts) -> Iterable[TermsWarning]:
    limits = facts.policy.limits
    if limits.entry_age_s is not None and limits.entry_age_s > facts.entry_age_s:
        sentence = (
            f"This installation sends no entry that is older than {facts.entry_age_s} s, whatever stands "
            "here."
        )
        yield TermsWarning("entry_age_s", sentence)
    if limits.drawdown_percent == 100:
        yield TermsWarning("drawdown_percent", "100 % stops entries when everything is lost.")
    worth = None if facts.report is None else equity(facts.report)
    if worth is not None and limits.daily_loss is not None and limits.daily_loss >= worth:
        yield TermsWarning(
            "daily_loss",
            f"The account is worth {_down(worth)}: entries stop only when everything is lost.",
        )


def _of_contract(need: SymbolNeed, facts: TermsFacts) -> Iterable[TermsWarning]:
    contract = need.instrument
    if contract is None or need.quote is None:
        is_unlisted = contract is None and need.contracts_known
        fault = (
            "is not traded at this exchange"
            if is_unlisted
            else "cannot be compared: its price is not known now"
        )
        yield TermsWarning("symbols", f"{need.symbol} {fault}.")
        return
    yield from _of_range(contract, facts.policy.leverage.value, "the exchange")
    yield from _of_size(contract, need.quote.last, facts)


def _of_range(contract: Instrument, leverage: Ratio, exchange: str) -> Iterable[TermsWarning]:
    if not contract.leverage_min <= leverage <= contract.leverage_max:
        allowed = f"{_x(contract.leverage_min)} to {_x(contract.leverage_max)}"
        yield TermsWarning(
            "leverage",
            f"{contract.symbol} takes {allowed} at {exchange}: an entry at {_x(leverage)} is "
            "denied.",
        )


@dataclass(frozen=True, slots=True)
class Sized:
    """What an entry comes to at a price: its quantity before minimum and maximum, and its leverage."""

    quantity: Quantity
    leverage: Ratio


def size_now(contract: Instrument, price: Price, facts: TermsFacts) -> Sized | None:
    """Return what an entry into a contract comes to; None if only a signal decides, or the account
    is not read yet.
    """
    policy = facts.policy
    leverage = min(
        max(leverage_of(policy.leverage, facts.asked), contract.leverage_min), contract.leverage_max
    )
    worth = None if facts.report is None else equity(facts.report)
    if worth is None and isinstance(policy.sizing, EquityShare):
        return None
    raw = raw_quantity(
        policy.sizing,
        SizingBasis(
            leverage=leverage,
            price=price,
            master_quantity=None,
            equity=Money(ZERO) if worth is None else worth,
            stop=None,
        ),
    )
    # otherwise known only once a signal names its quantity, or its stop
    return None if isinstance(raw, Missing) else Sized(floored(raw, contract), leverage)


def _of_size(contract: Instrument, price: Price, facts: TermsFacts) -> Iterable[TermsWarning]:
    policy, symbol = facts.policy, contract.symbol
    sized = size_now(contract, price, facts)
    if sized is None:
        return
    quantity, leverage = sized.quantity, sized.leverage
    worth = None if facts.report is None else equity(facts.report)
    smallest = smallest_quantity(contract, price)
    if quantity < smallest:
        comes_to = (
            f"{symbol}: at {plain(price)} and {_x(leverage)} this comes to less than the smallest "
            f"entry of {plain(smallest)}"
        )
        if policy.below_minimum is BelowMinimum.SKIP:
            yield TermsWarning(
                "size",
                f"{comes_to}, and is skipped. "
                f"{_type_at_least(policy.sizing, smallest, price, leverage, worth)}",
            )
            return
        yield TermsWarning(
            "size",
            f"{comes_to}, and is lifted to it: {_up(_cost(price, smallest, leverage, facts))} "
            "USDT instead.",
        )
        quantity = smallest
    if quantity > contract.quantity_max:
        yield TermsWarning(
            "size",
            f"{symbol}: {plain(quantity)} is above the exchange’s largest order of "
            f"{plain(contract.quantity_max)}.",
        )
    yield from _of_money(contract, price=price, quantity=quantity, leverage=leverage, facts=facts)


def _of_money(
    contract: Instrument, price: Price, quantity: Quantity, leverage: Ratio, facts: TermsFacts
) -> Iterable[TermsWarning]:
    cost, currency = _cost(price, quantity, leverage, facts), contract.settle_currency
    takes = f"{contract.symbol}: an entry needs {_up(cost)} {currency} of margin and fee"
    if facts.report is not None:
        if cost > equity(facts.report):
            least = _type_at_least(
                facts.policy.sizing,
                smallest=smallest_quantity(contract, price),
                price=price,
                leverage=leverage,
                worth=equity(facts.report),
            )
            yield TermsWarning(
                "size",
                f"{takes}, and the account is worth {_down(equity(facts.report))}: it is denied. "
                f"{least}",
            )
        elif cost > facts.report.balance.available:
            yield TermsWarning(
                "size",
                f"{takes}, and {_down(facts.report.balance.available)} is free: it is denied "
                "until more is.",
            )
    limits, own = strictest(facts.operator, facts.policy.limits), facts.policy.limits
    amounts = {name: notional(price, quantity) for name in _WORTH_LIMITS}
    amounts["account_margin"] = initial_margin(price, quantity, leverage)
    for name, amount in amounts.items():
        cap = getattr(limits, name)
        if cap is not None and amount > cap:
            whose, what = (
                ("this", name)
                if getattr(own, name) == cap
                else (f"the operator’s limit of {plain(cap)}", "size")
            )
            kind = "needs a margin of" if name == "account_margin" else "is worth"
            sentence = (
                f"{contract.symbol}: one entry {kind} {_up(amount)} {currency}, more than "
                f"{whose}: every entry is denied."
            )
            yield TermsWarning(what, sentence)


def _cost(price: Price, quantity: Quantity, leverage: Ratio, facts: TermsFacts) -> Money:
    return total(
        initial_margin(price, quantity, leverage), fee(notional(price, quantity), facts.fee_bps)
    )


def least_size(
    sizing: Sizing, smallest: Quantity, price: Price, leverage: Ratio, worth: Money | None
) -> Decimal | None:
    """Return the smallest size that trades, in the sizing's own unit and rounded up; None if only a
    signal decides, or nothing does.
    """
    margin = initial_margin(price, smallest, leverage)
    match sizing:
        case FixedMargin():
            return ceil_to_step(margin, _CENT)
        case FixedNotional():
            return ceil_to_step(notional(price, smallest), _CENT)
        case FixedQuantity():
            return smallest
        case EquityShare():
            share = (
                None
                if worth is None or worth <= 0
                else ceil_to_step(EXACT.divide(margin, worth), _SHARE_STEP)
            )
            return None if share is None or share > 1 else share
        case _:
            return None


def _type_at_least(
    sizing: Sizing, smallest: Quantity, price: Price, leverage: Ratio, worth: Money | None
) -> str:
    least = least_size(sizing, smallest=smallest, price=price, leverage=leverage, worth=worth)
    if least is None:
        return (
            f"The smallest entry needs {_up(initial_margin(price, smallest, leverage))} USDT of "
            "margin: pay in first."
        )
    return f"The smallest that trades now is {plain(least)}."


def _x(leverage: Ratio) -> str:
    return f"{plain(leverage)}x"


def _up(amount: Money) -> str:
    return money_words(amount, ROUND_CEILING)


def _down(amount: Money) -> str:
    return money_words(amount, ROUND_FLOOR)
