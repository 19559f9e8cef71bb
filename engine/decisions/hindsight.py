"""What an entry that an account missed would have come to, alone. Pure.

The shadow book plans and fills it as it plans everything that was not traded: at the price of then,
in the size of the terms of now, with fees, until the master closed it or a stop or target was
reached. The limits that stopped it are left out, and so are all other entries.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.decisions.risk import equity
from engine.decisions.shadow import Prices, ShadowBook, ShadowTerms
from engine.domain.amounts import EXACT
from engine.domain.outcome import OutcomeCode
from engine.domain.signal import Action, Signal
from engine.domain.subscription import BelowMinimum, RiskLimits

_AGE_S: Final = 86_400
"""An entry that came too late is looked at as well: the longest age that an operator may set."""
_ENTERED: Final = (OutcomeCode.FILLED, OutcomeCode.PLACED)


def in_hindsight(
    terms: ShadowTerms, prices: Prices, entry: Signal, later: Iterable[Signal], now: datetime
) -> Decimal | None:
    """Return what ``entry`` would have come to by ``now``; None if it could not be made even without
    limits, such as for want of a price or of money. ``later`` are the strategy's signals after it.
    """
    symbol = entry.draft.symbol
    policy = replace(
        terms.policy,
        limits=RiskLimits(),
        symbols=frozenset({symbol}),
        below_minimum=BelowMinimum.LIFT,
    )
    alone = replace(terms, policy=policy, operator=RiskLimits(), entry_age_s=_AGE_S)
    book = ShadowBook(alone, prices, entry.received_at)
    book.take(replace(entry, draft=replace(entry.draft, action=Action.OPEN)))
    if not any(each.outcome.code in _ENTERED for each in book.outcomes):
        return None
    for each in later:
        if book.is_flat:
            break
        if each.draft.symbol == symbol and not each.draft.action.is_only_entry:
            is_reverse = each.draft.action is Action.REVERSE
            book.take(replace(each, draft=each.draft.closing_half) if is_reverse else each)
    if not book.is_flat:
        book.look(now)
    return EXACT.subtract(equity(book.report()), terms.balance)
