"""Turn what is known about an account into check items before an entry is tried: key, money,
positions, and what each contract needs.

What always holds: an item stops entries only if the planner, or the exchange, would refuse them as
things are; nothing here sends, decides an order, or knows a ledger. Sizes are computed by
``decisions.sizing``, the same functions that plan.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from engine.decisions.risk import equity, fee, lost_too_much
from engine.decisions.sizing import (
    Missing,
    SizingBasis,
    floored,
    leverage_of,
    raw_quantity,
    smallest_quantity,
)
from engine.domain.account import AccountReport, EquityMarks, Position, UnreadableRow
from engine.domain.amounts import (
    EXACT,
    ZERO,
    Money,
    Quantity,
    Ratio,
    grouped,
    initial_margin,
    money_words,
    notional,
    plain,
)
from engine.domain.identifiers import Symbol
from engine.domain.instrument import Instrument
from engine.domain.outcome import OutcomeCode
from engine.domain.preflight import CheckItem, Level
from engine.domain.subscription import BelowMinimum, CopyPolicy, Mode, RiskLimits
from engine.ports.exchange import FundsElsewhere
from engine.ports.market_data import Quote

KEY_WARNINGS_DAYS: Final = (14, 7, 1)
_NEW_MINUTES: Final = 5
_GOES_ON: Final = {
    OutcomeCode.DENIED_DAILY_LOSS: "entries are taken again on the next trading day",
    OutcomeCode.DENIED_DRAWDOWN: "ask an operator to let it continue",
}
_OK, _WARNING, _STOPS = Level.OK, Level.WARNING, Level.STOPS_ENTRIES


@dataclass(frozen=True, slots=True)
class SymbolNeed:
    """One contract that an account agreed to copy, with its market data (None: there is none).

    ``contracts_known``: the exchange's list was read, so a contract that is not in it is not traded
    there.
    """

    symbol: Symbol
    strategy: str
    policy: CopyPolicy
    instrument: Instrument | None
    quote: Quote | None
    contracts_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a check looks at.

    ``report`` is None if the account cannot be read, and ``problem`` says why; ``key_refused``:
    because of the key. ``key_since`` is when we were given the credentials; ``key_lasts_days`` is
    the exchange's rule. ``elsewhere_at`` is when ``elsewhere`` was looked at, None: with ``report``.
    ``ours``: our share by symbol. ``unsettled``: symbols whose position an order of ours may have
    changed since it was read. ``foreign`` counts orders with our mark that the ledger lacks.
    ``has_key``: false for an account of paper.
    """

    report: AccountReport | None
    problem: str
    key_refused: bool
    key_since: datetime | None
    key_lasts_days: int | None
    elsewhere: Sequence[FundsElsewhere]
    ours: Mapping[Symbol, Quantity]
    needs: Sequence[SymbolNeed]
    unmapped: Mapping[str, int]
    fee_bps: Ratio
    elsewhere_at: datetime | None = None
    unsettled: Collection[Symbol] = ()
    unreadable: Sequence[UnreadableRow] = ()
    foreign: int = 0
    has_key: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PassingFacts:
    """What a check looks at that readings and orders change, and that is known without the exchange.

    ``report`` is at the newest prices, None if there is none; ``limits`` are those that entries of a
    live agreement must keep, by strategy. ``key_refused``: the exchange refused the last order
    because of the key.
    """

    report: AccountReport | None
    marks: EquityMarks | None
    limits: Mapping[str, RiskLimits]
    key_refused: bool


def passing_items(facts: PassingFacts, now: datetime) -> tuple[CheckItem, ...]:
    """Check what changes from one reading or order to the next: the key's right to trade, and the
    limits of loss.
    """
    items = []
    if facts.key_refused:
        items.append(
            CheckItem(
                _STOPS,
                "trading",
                "the exchange refused the last order because of the key",
                "let the key trade at the exchange, or replace it by one that may",
            )
        )
    report, marks = facts.report, facts.marks
    if report is None or marks is None:  # both come with the first reading
        return tuple(items)
    for strategy, limits in sorted(facts.limits.items()):
        lost = lost_too_much(limits, report, marks, report.balance.currency, now)
        if lost is not None:
            words = lost.sentence.removesuffix(".")
            items.append(
                CheckItem(
                    _STOPS,
                    f"limits in {strategy}",
                    words[0].lower() + words[1:],
                    _GOES_ON.get(lost.code, ""),
                )
            )
    return tuple(items)


def check_items(facts: Facts, now: datetime) -> tuple[CheckItem, ...]:
    """Check an account; the items come in the order in which people fix things."""
    items = [*_key(facts, now)]
    if facts.report is not None:
        items += [
            _funds(facts, facts.report, now),
            *(
                _position(each, facts)
                for each in facts.report.positions
                if each.symbol not in facts.unsettled
            ),
        ]
    if facts.foreign:
        sentence = (
            f"{facts.foreign} orders carry our mark and are not in this ledger: it may be an old "
            "one"
        )
        items.append(
            CheckItem(
                _STOPS,
                "orders",
                sentence,
                "rexalgo reconcile NAME shows them, and with --apply takes them as the owner's",
            )
        )
    items += _unreadable(facts)
    items += [
        _need(each, facts, now)
        for each in sorted(facts.needs, key=lambda each: (each.strategy, each.symbol))
    ]
    if facts.unmapped:
        texts = "; ".join(
            f"{text} ({count} times)" for text, count in sorted(facts.unmapped.items())
        )
        sentence = f"the exchange sent texts that are not known here: {texts}"
        items.append(
            CheckItem(
                _WARNING,
                "texts",
                sentence,
                "tell the plugin's authors; each was taken for a refusal",
            )
        )
    return tuple(items)


# The key


def key_days_left(since: datetime, lasts_days: int, now: datetime) -> int:
    """Return the most days that may be left of a key given at ``since``, rounded up; 0 or below
    once it has expired.
    """
    return -((now - since - timedelta(days=lasts_days)) // timedelta(days=1))


def key_warning(since: datetime, lasts_days: int, now: datetime) -> int | None:
    """Return the smallest of KEY_WARNINGS_DAYS that a key has reached, 0 once it has expired, None
    while it has longer.
    """
    left = key_days_left(since, lasts_days, now)
    return (
        0 if left <= 0 else min((each for each in KEY_WARNINGS_DAYS if left <= each), default=None)
    )


def next_key_warning(since: datetime, lasts_days: int, now: datetime) -> timedelta | None:
    """Return how long it is until ``key_warning`` changes, None once the key has expired."""
    over = since + timedelta(days=lasts_days)
    return min(
        (
            due - now
            for days in (*KEY_WARNINGS_DAYS, 0)
            if (due := over - timedelta(days=days)) > now
        ),
        default=None,
    )


def _key(facts: Facts, now: datetime) -> list[CheckItem]:
    if facts.report is None:
        if facts.key_refused:
            return [
                CheckItem(
                    _STOPS,
                    "key",
                    f"the exchange refuses the key: {facts.problem}",
                    "make a new key at the exchange and replace this one",
                )
            ]
        return [
            CheckItem(
                _STOPS,
                "account",
                f"the account cannot be read: {facts.problem}",
                "it is tried again by itself",
            )
        ]
    if not facts.has_key:
        return [CheckItem(_OK, "account", "the simulated exchange answers")]
    accepted = "the exchange accepts the key"
    if facts.key_lasts_days is None or facts.key_since is None:
        return [CheckItem(_OK, "key", accepted)]
    left = key_days_left(facts.key_since, facts.key_lasts_days, now)
    age = (now - facts.key_since) // timedelta(days=1)
    sentence = (
        f"{accepted}; it was given here {_days_ago(age)} and lasts {facts.key_lasts_days}, so at "
        f"most {max(left, 0)} days are left"
    )
    if left > max(KEY_WARNINGS_DAYS):
        return [CheckItem(_OK, "key", sentence)]
    when = (
        "today"
        if left <= min(KEY_WARNINGS_DAYS)
        else "this week"
        if left <= KEY_WARNINGS_DAYS[1]
        else "soon"
    )
    return [
        CheckItem(
            _WARNING, "key", sentence, f"make a new key at the exchange and replace this one {when}"
        )
    ]


# Money and positions


def _funds(facts: Facts, report: AccountReport, now: datetime) -> CheckItem:
    balance = report.balance
    sentence = (
        f"{_free(balance.available)} {balance.currency} are free of {_free(balance.total)} in the "
        "futures wallet"
    )
    beside = " and ".join(
        f"{plain(each.amount)} {each.currency} in {each.where}" for each in facts.elsewhere
    )
    looked = "" if facts.elsewhere_at is None else _seen(facts.elsewhere_at, now)
    sentence += f"; besides, {beside}{looked}, which cannot be traded with here" if beside else ""
    smallest = [
        margin
        for each in facts.needs
        if (margin := _smallest_margin(each, facts.fee_bps)) is not None
    ]
    ours = _margin_of_ours(facts, report)
    free = EXACT.add(balance.available, ours)
    if free > 0 and (not smallest or free >= min(smallest)):
        return CheckItem(_OK, "funds", sentence + _with_ours(ours))
    least = (
        f"; the smallest entry needs {_cents(min(smallest))} {balance.currency}" if smallest else ""
    )
    way = (
        "move money to the futures wallet at the exchange"
        if beside
        else "pay money into the futures wallet"
    )
    return CheckItem(_STOPS, "funds", sentence + least, way)


def _margin_of_ours(facts: Facts, report: AccountReport) -> Decimal:
    """Return the margin of what strategies hold: it is free again once they close, so no money is
    missing.
    """
    return sum(
        (
            each.margin
            for each in report.positions
            if each.symbol in facts.unsettled
            or 0 < each.quantity <= facts.ours.get(each.symbol, ZERO)
        ),
        start=ZERO,
    )


def _with_ours(margin: Decimal) -> str:
    if margin == 0:
        return ""
    return f"; {_cents(Money(margin))} more are the margin of what strategies hold"


def _position(position: Position, facts: Facts) -> CheckItem:
    ours = facts.ours.get(position.symbol, Quantity(EXACT.create_decimal(0)))
    what = (
        f"{position.side.value} {plain(position.quantity)} {position.symbol} at leverage "
        f"{plain(position.leverage)}"
    )
    agreed = [each.policy for each in facts.needs if each.symbol == position.symbol]
    if ours >= position.quantity:
        if any(position.leverage > each.leverage.value for each in agreed):
            ceiling = plain(min(each.leverage.value for each in agreed))
            return CheckItem(
                _WARNING,
                position.symbol,
                f"{what} is above the agreed leverage of {ceiling}",
                "look at it at the exchange",
            )
        return CheckItem(_OK, position.symbol, f"{what} is held by a strategy")
    own = (
        f"{what} is there, of which {plain(EXACT.subtract(position.quantity, ours))} is the "
        "owner's own"
    )
    if agreed and not all(each.allow_own_position for each in agreed):
        return CheckItem(
            _STOPS,
            position.symbol,
            f"{own}: entries in it are skipped",
            "close it, or set allow_own_position",
        )
    return CheckItem(_OK, position.symbol, f"{own}: entries against it are skipped")


def _unreadable(facts: Facts) -> list[CheckItem]:
    rows = facts.unreadable
    if not rows:
        return []
    sentence = (
        f"{len(rows)} rows of the exchange cannot be read; closing orders are sent all the same"
    )
    head = CheckItem(
        _WARNING, "unreadable", sentence, "compare with the exchange, and tell the plugin's authors"
    )
    return [head, *(_unread(each) for each in rows)]


def _unread(row: UnreadableRow) -> CheckItem:
    if row.symbol is None and row.what != "position":
        return CheckItem(_WARNING, "unreadable", words_of_row(row))
    return CheckItem(
        _STOPS,
        row.symbol or "unreadable",
        f"{words_of_row(row)}; entries into {row.symbol or 'contracts without a position'} are "
        "denied",
    )


def words_of_row(row: UnreadableRow) -> str:
    """Return one line that says which row it is and what is wrong with it."""
    where = f" in {row.symbol}" if row.symbol else ""
    return f"{row.what} {row.id or 'without id'}{where}: {row.problem}"


# What each contract needs now


def _smallest_margin(need: SymbolNeed, fee_bps: Ratio) -> Money | None:
    if need.instrument is None or need.quote is None:
        return None
    return _cost(need, smallest_quantity(need.instrument, need.quote.last), fee_bps)


def _cost(need: SymbolNeed, quantity: Quantity, fee_bps: Ratio) -> Money:
    assert need.quote is not None, "asked only where there is a price"
    leverage = leverage_of(need.policy.leverage, None)
    margin = initial_margin(need.quote.last, quantity, leverage)
    return Money(EXACT.add(margin, fee(notional(need.quote.last, quantity), Money(fee_bps))))


def _need(need: SymbolNeed, facts: Facts, now: datetime) -> CheckItem:
    about, leverage = f"{need.symbol} in {need.strategy}", leverage_of(need.policy.leverage, None)
    contract = need.instrument
    if not need.contracts_known:
        return CheckItem(
            _WARNING,
            about,
            "the exchange's contracts cannot be read now; entries wait for them",
            "it is tried again by itself",
        )
    if contract is None:
        return CheckItem(_STOPS, about, "the exchange does not list this contract", "leave it out")
    if not contract.leverage_min <= leverage <= contract.leverage_max:
        allowed = f"{plain(contract.leverage_min)} to {plain(contract.leverage_max)}"
        return CheckItem(
            _STOPS,
            about,
            f"leverage {plain(leverage)} was agreed, and the exchange allows {allowed}",
            "agree to less",
        )
    if need.quote is None:
        return CheckItem(_WARNING, about, "no price is available now; entries wait for one")
    smallest = smallest_quantity(contract, need.quote.last)
    least = _cost(need, smallest, facts.fee_bps)
    needs = f"{plain(smallest)} and needs {_cents(least)} {contract.settle_currency}"
    sentence = (
        f"at {grouped(plain(need.quote.last))}{_seen(need.quote.at, now)} and leverage {plain(leverage)}x the smallest entry is "
        f"{needs}"
    )
    return _sized(need, about=about, sentence=sentence, smallest=smallest, facts=facts)


def _sized(
    need: SymbolNeed, about: str, sentence: str, smallest: Quantity, facts: Facts
) -> CheckItem:
    assert need.instrument is not None and need.quote is not None, "checked by the caller"  # noqa: PT018 - one condition for the reader
    worth = Money(ZERO) if facts.report is None else equity(facts.report)
    basis = SizingBasis(
        leverage=leverage_of(need.policy.leverage, None),
        price=need.quote.last,
        master_quantity=None,
        equity=worth,
        stop=None,
    )
    computed = raw_quantity(need.policy.sizing, basis)
    raw = (
        None if isinstance(computed, Missing) else computed
    )  # known only once a signal names its quantity, or its stop
    quantity = smallest if raw is None else floored(raw, need.instrument)
    level = _OK if need.policy.mode is Mode.LIVE else _WARNING
    if need.policy.mode is Mode.WATCH:
        sentence += "; this agreement only watches"
    if quantity < smallest:
        if need.policy.below_minimum is BelowMinimum.SKIP:
            return CheckItem(
                _STOPS,
                about,
                f"{sentence}; the agreed size gives {plain(quantity)}, so copies are skipped",
                "agree to more",
            )
        sentence, quantity, level = (
            f"{sentence}; the agreed size gives {plain(quantity)} and is lifted to it",
            smallest,
            _WARNING,
        )
    elif raw is not None:
        needs = f"{_cents(_cost(need, quantity, facts.fee_bps))} {need.instrument.settle_currency}"
        sentence += f"; the agreed size is {plain(quantity)} and needs {needs}"
    if facts.report is None:
        return CheckItem(level, about, sentence)
    available, ours = facts.report.balance.available, _margin_of_ours(facts, facts.report)
    if _cost(need, quantity, facts.fee_bps) > EXACT.add(available, ours):
        return CheckItem(
            _STOPS,
            about,
            f"{sentence}, and {_free(available)} {need.instrument.settle_currency} are free",
            "pay in, or agree to less",
        )
    return CheckItem(level, about, sentence)


def _cents(amount: Money) -> str:
    """Format a cost, rounded up to cents."""
    return money_words(amount, ROUND_CEILING)


def _free(amount: Money) -> str:
    """Format what is free, rounded down to cents."""
    return money_words(amount, ROUND_FLOOR)


def _seen(at: datetime, now: datetime) -> str:
    """Return how long ago something was seen; empty if it was less than five minutes ago."""
    minutes = (now - at) // timedelta(minutes=1)
    if minutes < _NEW_MINUTES:
        return ""
    hours = minutes // 60
    return f" (seen {minutes} min ago)" if not hours else f" (seen {hours} h ago)"


def _days_ago(days: int) -> str:
    return "today" if days <= 0 else "yesterday" if days == 1 else f"{days} days ago"
