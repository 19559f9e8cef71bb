"""Build the close that a person requested, as a signal that is recorded, planned and explained like
any other.
"""

import secrets
from datetime import datetime

from engine.domain.holding import FLATTEN_ORIGIN
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.domain.signal import Action, SignalDraft
from engine.ledger.signals import NewSignal, new_signal


def forced_close(
    what: str, strategy: StrategyId, symbol: Symbol, accounts: frozenset[AccountId], now: datetime
) -> NewSignal:
    """Return the close that a person requested for some accounts, as a signal like any other;
    ``what`` is the prefix of its id.
    """
    key = f"{what}-{secrets.token_hex(16)}"
    return new_signal(
        strategy,
        origin=FLATTEN_ORIGIN,
        draft=SignalDraft(key, Action.CLOSE, symbol),
        content=key.encode(),
        sent_at=now,
        received=now,
        only=accounts,
    )
