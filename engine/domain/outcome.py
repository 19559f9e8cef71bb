"""Outcomes of copies: one closed set of codes, each with a plain sentence, its setting, and who
has to act.

A copy (one signal for one account) has exactly one outcome. ``UNKNOWN`` and ``PLACED`` may still
change when proof arrives; the transition rules are in ``decisions/order_lifecycle``.
docs/outcomes.md is generated from this file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Decimal
from enum import Enum
from string import Formatter
from typing import Final

from engine.domain.amounts import grouped, money_words


class WhoseMove(Enum):
    """Who has to act next, if anybody."""

    NOBODY = "nobody"
    YOU = "you"
    MASTER = "master"
    OPERATOR = "operator"


class OutcomeCode(Enum):
    """Every way in which a copy can end, and the few states it can rest in for a while."""

    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    PLACED = "placed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    NOT_CONFIRMED = "not_confirmed"
    NOT_EXECUTED = "not_executed"
    EXPIRED = "expired"
    EXPIRED_WAITING = "expired.waiting"
    KILLED = "killed"
    RESIDUE = "residue"
    APPLIED = "applied"
    NOTHING_TO_DO = "nothing_to_do"
    REJECTED = "rejected"
    REJECTED_BALANCE = "rejected.balance"
    REJECTED_CREDENTIALS = "rejected.credentials"
    SKIPPED_WATCH_ONLY = "skipped.watch_only"
    SKIPPED_TEST = "skipped.test"
    SKIPPED_ENTRIES_OFF = "skipped.entries_off"
    SKIPPED_PAUSED = "skipped.paused"
    SKIPPED_LEFT = "skipped.left"
    SKIPPED_CONSENT = "skipped.consent"
    SKIPPED_STRATEGY_OFF = "skipped.strategy_off"
    SKIPPED_ALREADY_OPEN = "skipped.already_open"
    SKIPPED_OPPOSITE_HELD = "skipped.opposite_held"
    SKIPPED_NOT_OPEN = "skipped.not_open"
    SKIPPED_CARRIED = "skipped.carried"
    SKIPPED_CANNOT_PROTECT = "skipped.cannot_protect"
    SKIPPED_SYMBOL_HELD = "skipped.symbol_held"
    SKIPPED_OWN_POSITION = "skipped.own_position"
    SKIPPED_DETACHED = "skipped.detached"
    SKIPPED_BELOW_MINIMUM = "skipped.below_minimum"
    SKIPPED_SUPERSEDED = "skipped.superseded"
    SKIPPED_NOTHING_TO_CLOSE = "skipped.nothing_to_close"
    SKIPPED_NO_MASTER_QUANTITY = "skipped.no_master_quantity"
    SKIPPED_NO_STOP = "skipped.no_stop"
    DENIED_SYMBOL_NOT_AGREED = "denied.symbol_not_agreed"
    DENIED_LEVERAGE = "denied.leverage"
    DENIED_ORDER_NOTIONAL = "denied.order_notional"
    DENIED_SYMBOL_NOTIONAL = "denied.symbol_notional"
    DENIED_ACCOUNT_NOTIONAL = "denied.account_notional"
    DENIED_ACCOUNT_MARGIN = "denied.account_margin"
    DENIED_OPEN_POSITIONS = "denied.open_positions"
    DENIED_BALANCE = "denied.balance"
    DENIED_DAILY_LOSS = "denied.daily_loss"
    DENIED_DRAWDOWN = "denied.drawdown"
    DENIED_SLIPPAGE = "denied.slippage"
    DENIED_PRICE_STALE = "denied.price_stale"
    DENIED_INSTRUMENT = "denied.instrument"
    DENIED_PROTECTION = "denied.protection"
    DENIED_ACCOUNT_NOT_READY = "denied.account_not_ready"

    @property
    def family(self) -> str:
        """Return the part before the dot: skipped, denied, rejected, or the code itself."""
        return self.value.partition(".")[0]

    @property
    def is_final(self) -> bool:
        """Return whether the outcome is final: only late proof can still change it."""
        return self not in (OutcomeCode.UNKNOWN, OutcomeCode.PLACED, OutcomeCode.PARTIALLY_FILLED)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The words of one code; ``sentence`` is a format string over the outcome's numbers.

    An amount of money names how it is rounded to its usual places: ``about``, or ``up`` or ``down``
    where it is compared, so that what is above a cap never reads as the cap.
    """

    sentence: str
    move: WhoseMove
    setting: str | None = None

    @property
    def told(self) -> frozenset[str]:
        """Return the names of the numbers that the sentence tells."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.sentence) if name)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A code with its numbers: names to short texts (decimals written plainly). Never a secret."""

    code: OutcomeCode
    numbers: Mapping[str, str] = field(default_factory=dict)

    @property
    def explanation(self) -> Explanation:
        """Return the words of this code."""
        return EXPLANATIONS[self.code]

    @property
    def has_filled(self) -> bool:
        """Return whether something of its order filled, whatever became of the rest."""
        return self.numbers.get("filled", "0") != "0"

    @property
    def sentence(self) -> str:
        """Return one plain sentence with the numbers filled in, with thousands separators and money
        in its usual places; an absent number reads as '?'.
        """
        shown = {name: _Number(text) for name, text in self.numbers.items()}
        return self.explanation.sentence.format_map(_Absent(shown))


_ROUNDINGS: Final = {"about": ROUND_HALF_EVEN, "up": ROUND_UP, "down": ROUND_DOWN}


class _Number(str):
    __slots__ = ()

    def __format__(self, rounding: str) -> str:
        text = grouped(self)
        is_money = rounding and text.replace(",", "").replace(".", "").isdecimal()
        return money_words(Decimal(self), _ROUNDINGS[rounding]) if is_money else text


class _Absent(dict[str, _Number]):
    def __missing__(self, key: str) -> _Number:
        return _Number("?")


UNTOLD_PRICE: Final = "a price that did not come with the order"
UNTOLD_FEE: Final = "did not come with the order"
"""The text in an outcome whose order reported neither price nor fee: the books ask for both and
show them later.
"""

_N, _Y, _M, _O = WhoseMove.NOBODY, WhoseMove.YOU, WhoseMove.MASTER, WhoseMove.OPERATOR

EXPLANATIONS: Final[Mapping[OutcomeCode, Explanation]] = {
    OutcomeCode.FILLED: Explanation("Filled: {side} {filled} {symbol} at {price}.", _N),
    OutcomeCode.PARTIALLY_FILLED: Explanation(
        "Partly filled: {filled} of {quantity} {symbol} so far.", _N
    ),
    OutcomeCode.PLACED: Explanation(
        "The exchange accepted the order for {quantity} {symbol}; it has not filled yet.", _N
    ),
    OutcomeCode.CANCELLED: Explanation(
        "The order was cancelled at the exchange after filling {filled} of {quantity} {symbol}.", _N
    ),
    OutcomeCode.UNKNOWN: Explanation(
        "The order for {quantity} {symbol} was sent, and its result is unknown ({cause}). It "
        "is being looked up, and is not sent again.",
        _N,
    ),
    OutcomeCode.NOT_CONFIRMED: Explanation(
        "The order for {quantity} {symbol} was looked up for {looked_s} s and the exchange does "
        "not show it. "
        "It was not repeated; check the account.",
        _Y,
    ),
    OutcomeCode.NOT_EXECUTED: Explanation(
        "{by} looked at the exchange and decided that the order for {quantity} {symbol} is not "
        "there: {note}",
        _N,
    ),
    OutcomeCode.EXPIRED: Explanation(
        "Too late to enter: the signal was {age_s} s old and the limit is {limit_s} s. Nothing "
        "was sent.",
        _N,
        "limits.entry_age_s",
    ),
    OutcomeCode.EXPIRED_WAITING: Explanation(
        "It waited, because {cause}, until it was too late to enter: the signal was {age_s} s old "
        "and the limit is {limit_s} s. "
        "Nothing was sent.",
        _N,
        "limits.entry_age_s",
    ),
    OutcomeCode.KILLED: Explanation(
        "Stopped at the last check before sending ({cause}). Nothing was sent.", _O
    ),
    OutcomeCode.APPLIED: Explanation("Done: {what}.", _N),
    OutcomeCode.NOTHING_TO_DO: Explanation("There was nothing to do: {why}.", _N),
    OutcomeCode.RESIDUE: Explanation(
        "{quantity} {symbol} could not be closed: {cause}. It stays open until the next close "
        "takes it, or its owner does.",
        _Y,
    ),
    OutcomeCode.REJECTED: Explanation("The exchange refused the order: {reason}.", _Y),
    OutcomeCode.REJECTED_BALANCE: Explanation(
        "The exchange refused the order for lack of free balance: {reason}.", _Y
    ),
    OutcomeCode.REJECTED_CREDENTIALS: Explanation(
        "The exchange refused this account's key. Replace the key to copy again.", _Y, "key"
    ),
    OutcomeCode.SKIPPED_WATCH_ONLY: Explanation(
        "Watch only: {side} {quantity} {symbol} would have been sent (about "
        "{notional:about} {currency}).",
        _Y,
        "mode",
    ),
    OutcomeCode.SKIPPED_TEST: Explanation(
        "A test signal: {side} {quantity} {symbol} would have been sent. Tests never reach an "
        "exchange.",
        _N,
    ),
    OutcomeCode.SKIPPED_ENTRIES_OFF: Explanation(
        "New entries are switched off for {scope}: {note}", _O, "no new entries"
    ),
    OutcomeCode.SKIPPED_PAUSED: Explanation(
        "This strategy is paused on this account: no new entries, closes are still copied.",
        _Y,
        "paused",
    ),
    OutcomeCode.SKIPPED_LEFT: Explanation(
        "This account left the strategy: no new entries, its closes are still copied.",
        _Y,
        "left",
    ),
    OutcomeCode.SKIPPED_CONSENT: Explanation(
        "The master changed this strategy's contracts or leverage; agree to the new terms to copy "
        "entries again.",
        _Y,
        "consent",
    ),
    OutcomeCode.SKIPPED_STRATEGY_OFF: Explanation(
        "The master stopped new entries of this strategy; closes are still copied.", _M
    ),
    OutcomeCode.SKIPPED_ALREADY_OPEN: Explanation(
        "This strategy already holds {held} {symbol} {side} here.", _N
    ),
    OutcomeCode.SKIPPED_OPPOSITE_HELD: Explanation(
        "This strategy holds {held} {symbol} on the other side ({held_side}).", _M
    ),
    OutcomeCode.SKIPPED_NOT_OPEN: Explanation(
        "This strategy holds nothing in {symbol} here that could be added to; the account joins "
        "with the next open.",
        _N,
    ),
    OutcomeCode.SKIPPED_CARRIED: Explanation(
        "The part to close came to {quantity} {symbol}, below the exchange's minimum of "
        "{minimum}; it is carried to the next reduce or "
        "close.",
        _N,
    ),
    OutcomeCode.SKIPPED_CANNOT_PROTECT: Explanation(
        "The exchange cannot move the stop or target of a position in {symbol}; set it there by "
        "hand.",
        _Y,
    ),
    OutcomeCode.SKIPPED_SYMBOL_HELD: Explanation(
        "Another strategy ({holder}) holds {symbol} on this account.", _N
    ),
    OutcomeCode.SKIPPED_OWN_POSITION: Explanation(
        "The owner has a position or resting order of their own in {symbol} ({own}); it is left "
        "alone.",
        _Y,
        "allow_own_position",
    ),
    OutcomeCode.SKIPPED_DETACHED: Explanation(
        "{symbol} was closed outside RexAlgo; this strategy enters it again after its master's next "
        "close or reverse there: the master must send close before the next open.",
        _M,
    ),
    OutcomeCode.SKIPPED_BELOW_MINIMUM: Explanation(
        "The size came to {quantity} {symbol} (about {notional:down} {currency}), below the "
        "exchange's minimum of {minimum}.",
        _Y,
        "sizing",
    ),
    OutcomeCode.SKIPPED_SUPERSEDED: Explanation(
        "A later signal of this strategy for {symbol} replaced this one.", _N
    ),
    OutcomeCode.SKIPPED_NOTHING_TO_CLOSE: Explanation(
        "This strategy held nothing in {symbol} on this account that the signal could close.", _N
    ),
    OutcomeCode.SKIPPED_NO_MASTER_QUANTITY: Explanation(
        "Sizing is a multiple of the master's quantity, and the signal named none.", _Y, "sizing"
    ),
    OutcomeCode.SKIPPED_NO_STOP: Explanation(
        "Sizing is by the distance to the stop, and the signal named no stop for {symbol}.",
        _Y,
        "sizing",
    ),
    OutcomeCode.DENIED_SYMBOL_NOT_AGREED: Explanation(
        "{symbol} is not among the contracts agreed to.", _Y, "symbols"
    ),
    OutcomeCode.DENIED_LEVERAGE: Explanation(
        "The entry would have {asked}x leverage; the limit is {ceiling}x.", _Y, "leverage"
    ),
    OutcomeCode.DENIED_ORDER_NOTIONAL: Explanation(
        "The order is worth {notional:up} {currency}; the limit per order is {cap}.",
        _Y,
        "limits.order_notional",
    ),
    OutcomeCode.DENIED_SYMBOL_NOTIONAL: Explanation(
        "{symbol} would come to {notional:up} {currency}; the limit per contract is {cap}.",
        _Y,
        "limits.symbol_notional",
    ),
    OutcomeCode.DENIED_ACCOUNT_NOTIONAL: Explanation(
        "Exposure would be {notional:up} {currency}; the limit is {cap}.",
        _Y,
        "limits.account_notional",
    ),
    OutcomeCode.DENIED_ACCOUNT_MARGIN: Explanation(
        "The account would use {margin:up} {currency} of margin; the limit is {cap}.",
        _Y,
        "limits.account_margin",
    ),
    OutcomeCode.DENIED_OPEN_POSITIONS: Explanation(
        "The account has {open} of {cap} allowed positions open.", _Y, "limits.open_positions"
    ),
    OutcomeCode.DENIED_BALANCE: Explanation(
        "The entry needs {needed:up} {currency} of margin and fee; {available:down} is free.",
        _Y,
        "sizing",
    ),
    OutcomeCode.DENIED_DAILY_LOSS: Explanation(
        "Equity is down {loss:up} {currency} since {since} (the day's start in {zone}); the limit "
        "for a day is {cap}.",
        _Y,
        "limits.daily_loss",
    ),
    OutcomeCode.DENIED_DRAWDOWN: Explanation(
        "The account is {drawdown} % below its equity peak of {peak:about} {currency}; the limit is "
        "{cap} %. An operator lets it continue with "
        "rexalgo account reset-drawdown.",
        _Y,
        "limits.drawdown_percent",
    ),
    OutcomeCode.DENIED_SLIPPAGE: Explanation(
        "{symbol} is at {price}, {slippage} basis points worse than the signal's {asked}; the "
        "limit is {cap}.",
        _Y,
        "limits.slippage_bps",
    ),
    OutcomeCode.DENIED_PRICE_STALE: Explanation(
        "No price of {symbol} younger than {limit_s} s was available.", _O
    ),
    OutcomeCode.DENIED_INSTRUMENT: Explanation(
        "{symbol} is not traded on this exchange, or not at {leverage}x: {why}.", _M
    ),
    OutcomeCode.DENIED_PROTECTION: Explanation(
        "The {which} at {level} is on the wrong side of the price {price}.", _M
    ),
    OutcomeCode.DENIED_ACCOUNT_NOT_READY: Explanation(
        "The account could not be read from the exchange yet: {why}.", _O
    ),
}
