"""Build the close that a person requested, as a signal that is recorded, planned and explained like
any other.
"""

import hashlib
import secrets
from datetime import datetime

from engine.domain.holding import FLATTEN_ORIGIN
from engine.domain.identifiers import AccountId, ReceiptId, SignalId, StrategyId, Symbol, copy_id
from engine.domain.signal import Action, SignalDraft
from engine.ledger.signals import NewSignal


def forced_close(
    what: str, strategy: StrategyId, symbol: Symbol, accounts: frozenset[AccountId], now: datetime
) -> NewSignal:
    """Return the close that a person requested for some accounts, as a signal like any other;
    ``what`` is the prefix of its id.
    """
    key = f"{what}-{secrets.token_hex(16)}"
    return NewSignal(
        id=SignalId(f"sig_{secrets.token_hex(16)}"),
        receipt=ReceiptId(f"rcp_{secrets.token_hex(16)}"),
        new_copy_id=lambda: copy_id(now, secrets.token_bytes(9)),
        strategy=strategy,
        origin=FLATTEN_ORIGIN,
        draft=SignalDraft(key, Action.CLOSE, symbol),
        body_hash=hashlib.sha256(key.encode()).digest(),
        decided_at=now,
        received_at=now,
        only=accounts,
    )
