"""Find where books and exchange disagree about an account: every problem at once, with what was
expected, what was found, and what to do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from engine.decisions.wallet import TOLERANCE
from engine.domain.account import AccountReport, ClosedPosition, UnreadableRow
from engine.domain.amounts import EXACT, FINEST, ZERO, plain

PRICE_ROUNDING: Final = Decimal("0.00001")
"""An exchange may write an average over several levels with any number of digits."""

LOOK_BACK: Final = timedelta(days=7)
"""How far back closed positions are compared."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What the exchange reported; ``problems`` lists what it did not report. ``closed`` is None if
    it has no such history.
    """

    report: AccountReport | None
    closed: tuple[ClosedPosition, ...] | None
    unreadable: tuple[UnreadableRow, ...]
    problems: tuple[str, ...]


class Verdict(Enum):
    """The verdict of a check, the best first; an account has the worst verdict of its problems."""

    AGREES = "agrees"
    NOT_SETTLED = "not_settled"
    """The exchange has not reported everything yet, and is asked again."""
    NOT_READ = "not_read"
    """Something could not be read, so it is unknown whether the books agree."""
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    what: str
    expected: str
    found: str
    do: str
    verdict: Verdict = Verdict.DIFFERS


def verdict_of(problems: Iterable[Problem]) -> Verdict:
    """Return the verdict of a check."""
    order = list(Verdict)
    return max((each.verdict for each in problems), key=order.index, default=Verdict.AGREES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantities:
    """One contract's quantity on each side; ``owner`` is what the books hold of the owner's own,
    ``exchange`` is None if it was not read.
    """

    symbol: str
    side: str
    strategy: str
    books: Decimal
    share: Decimal
    owner: Decimal
    exchange: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedParts:
    """What the books have closed of one of the exchange's positions; ``gross`` is None if a price
    is not known.

    ``trades`` are the ids of its trades; ``whole`` is whether all of it was a strategy's.
    """

    position_id: str
    trades: tuple[int, ...]
    quantity: Decimal
    exit_value: Decimal | None
    gross: Decimal | None
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeCheck:
    """One closed position on both sides: ``agrees`` is None if the exchange's row cannot be
    compared with our trades.
    """

    position_id: str
    symbol: str
    trades: tuple[int, ...]
    exit_price: Decimal | None
    exit_price_there: Decimal | None
    result: Decimal | None
    result_there: Decimal | None
    agrees: bool | None


def check_quantities(rows: Iterable[Quantities]) -> list[Problem]:
    """Compare books, shares and the exchange's positions; return what differs."""
    problems = []
    for row in rows:
        about = f"{row.side} {row.symbol} of {row.strategy or 'the owner'}"
        if row.books != row.share:
            do = "this is a fault of the engine: keep the ledger, and tell the developers"
            problems.append(
                Problem(
                    what=f"quantity of {about}",
                    expected=f"{plain(row.share)} (the share)",
                    found=f"{plain(row.books)} in the books",
                    do=do,
                )
            )
        if row.exchange is not None and row.exchange != EXACT.add(row.share, row.owner):
            expected = (
                f"{plain(EXACT.add(row.share, row.owner))} (share {plain(row.share)}, owner "
                f"{plain(row.owner)})"
            )
            do = "wait for the next reading, then ask again; rexalgo reconcile NAME shows the step"
            problems.append(
                Problem(
                    what=f"position {about}",
                    expected=expected,
                    found=f"{plain(row.exchange)} at the exchange",
                    do=do,
                )
            )
    return problems


def there(report: AccountReport) -> Mapping[str, tuple[str, Decimal]]:
    """Return side and quantity of every open position by contract."""
    return {
        each.symbol: (each.side.value, each.quantity)
        for each in report.positions
        if each.quantity > 0
    }


def check_closed(ours: Iterable[ClosedParts], closed: Sequence[ClosedPosition]) -> list[TradeCheck]:
    """Compare our trades with the exchange's record of closed positions, position by position."""
    rows = {each.position_id: each for each in closed if each.position_id}
    return [
        _check(each, rows[each.position_id])
        for each in ours
        if each.position_id in rows and each.trades
    ]


def _check(ours: ClosedParts, row: ClosedPosition) -> TradeCheck:
    price = (
        None
        if ours.exit_value is None
        else EXACT.divide(ours.exit_value, ours.quantity).quantize(FINEST)
    )
    agrees: bool | None = None
    if (
        ours.whole
        and ours.quantity == row.quantity
        and price is not None
        and ours.gross is not None
    ):
        agrees = row.exit_price is None or abs(
            EXACT.subtract(row.exit_price, price)
        ) <= EXACT.multiply(price, PRICE_ROUNDING)
        agrees = agrees and (
            row.result is None
            or abs(EXACT.subtract(row.result, ours.gross)) <= TOLERANCE * len(ours.trades)
        )
    return TradeCheck(
        position_id=row.position_id,
        symbol=row.symbol,
        trades=ours.trades,
        exit_price=price,
        exit_price_there=row.exit_price,
        result=ours.gross,
        result_there=row.result,
        agrees=agrees,
    )


def trade_problems(checks: Iterable[TradeCheck]) -> list[Problem]:
    """Return a problem for each position whose trades the exchange records differently."""
    problems = []
    for check in checks:
        if check.agrees is False:
            named = ", ".join(map(str, check.trades))
            theirs = (
                f"exit {_or_not(check.exit_price_there)}, result {_or_not(check.result_there)} "
                f"before fees, position {check.position_id}"
            )
            ours = (
                f"exit {_or_not(check.exit_price)}, result {_or_not(check.result)} in trade {named}"
            )
            problems.append(
                Problem(
                    what=f"trade {named} ({check.symbol})",
                    expected=theirs,
                    found=ours,
                    do="compare the trade with the exchange's own page",
                )
            )
    return problems


def wallet_problem(difference: Decimal | None, explained: Decimal, fills: int) -> list[Problem]:
    """Return a problem if the wallet changed by another amount than the books explain.

    ``difference`` is None if it is not known; that is reported elsewhere.
    """
    if difference is None or abs(difference) <= TOLERANCE * max(1, fills):
        return []
    do = "ask again in some minutes: what nothing explains becomes a row of its own"
    changed = EXACT.add(explained, difference)
    return [
        Problem(
            what="wallet",
            expected=f"a change of {plain(explained)} USDT, as the books explain it",
            found=f"{plain(changed)} USDT at the exchange",
            do=do,
        )
    ]


def _or_not(number: Decimal | None) -> str:
    return "not told" if number is None else plain(number)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Add amounts exactly."""
    whole = ZERO
    for each in amounts:
        whole = EXACT.add(whole, each)
    return whole
