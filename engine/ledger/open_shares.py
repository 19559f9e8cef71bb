"""Read what the engine has open in the accounts, and why it is still open: for flattening, and for
people who want it flat.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from engine.domain.amounts import Quantity
from engine.domain.holding import FLATTEN_ORIGIN
from engine.domain.identifiers import AccountId, StrategyId, Symbol
from engine.domain.leg import LIVE_LEGS, LegState
from engine.domain.outcome import Outcome, OutcomeCode
from engine.ledger.attempts import stopped_entries
from engine.ledger.codec import from_us, read_intent
from engine.ledger.query import Database, fetch_all, fetch_one
from engine.views import RestingView, StillOpenView

_ON_THE_WAY: Final = LIVE_LEGS - {LegState.UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldShare:
    """One share of a strategy in an account's symbol. ``is_exiting``: an exit of it has not ended."""

    account: AccountId
    account_name: str
    exchange: str
    strategy: StrategyId
    strategy_name: str
    symbol: Symbol
    share: Quantity
    is_exiting: bool
    is_subscribed: bool


def held_shares(db: Database, account: AccountId | None = None) -> list[HeldShare]:
    """Read every share that is not zero, of one account or of all."""
    rows = fetch_all(
        db,
        "SELECT holding.account_id, account.name, account.exchange, holding.strategy_id, "
        "strategy.name, holding.symbol, holding.share,"
        " EXISTS (SELECT 1 FROM leg INDEXED BY leg_live WHERE leg.account_id = holding.account_id "
        "AND leg.symbol = holding.symbol"
        " AND leg.kind = 'exit' AND leg.state IN ('new', 'claimed', 'unknown', 'placed', "
        "'partially_filled')),"
        " EXISTS (SELECT 1 FROM subscription WHERE subscription.account_id = holding.account_id"
        " AND subscription.strategy_id = holding.strategy_id)"
        " FROM holding JOIN account ON account.id = holding.account_id JOIN strategy ON "
        "strategy.id = holding.strategy_id"
        " WHERE holding.share != '0'"
        + ("" if account is None else " AND holding.account_id = ?")
        + " ORDER BY account.name, holding.symbol",
        () if account is None else (account,),
    )
    return [
        HeldShare(
            account=AccountId(row[0]),
            account_name=row[1],
            exchange=row[2],
            strategy=StrategyId(row[3]),
            strategy_name=row[4],
            symbol=Symbol(row[5]),
            share=Quantity(Decimal(row[6])),
            is_exiting=bool(row[7]),
            is_subscribed=bool(row[8]),
        )
        for row in rows
    ]


# the number of the signal that opened what an account (?1) holds of a symbol (?3): earlier requests
# do not concern it
_OPENED = (
    "coalesce((SELECT opening.signal_number FROM holding JOIN attempt ON attempt.id = "
    "holding.opened_by"
    " JOIN copy AS opening ON opening.id = attempt.copy_id WHERE holding.account_id = ?1 AND "
    "holding.symbol = ?3), 0)"
)


@dataclass(frozen=True, slots=True)
class LastFlatten:
    """How the newest exit that flattening requested ended: the share that stayed as residue, if
    that was its end.
    """

    ended_at: datetime | None
    residue: Quantity | None


def last_flatten(db: Database, share: HeldShare) -> LastFlatten | None:
    """Read the newest exit that flattening requested since an account's symbol was opened; None if
    there was none.
    """
    row = fetch_one(
        db,
        "SELECT copy.code, copy.numbers, copy.outcome_us FROM signal"
        " JOIN copy ON copy.signal_number = signal.number AND copy.account_id = ?1"
        f" WHERE signal.strategy_id = ?2 AND signal.symbol = ?3 AND signal.number > {_OPENED} AND "
        "signal.origin = ?4"
        " ORDER BY signal.number DESC LIMIT 1",
        (share.account, share.strategy, share.symbol, FLATTEN_ORIGIN),
    )
    if row is None:
        return None
    residue = (
        Quantity(Decimal(json.loads(row[1])["quantity"]))
        if row[0] == OutcomeCode.RESIDUE.value
        else None
    )
    return LastFlatten(None if row[2] is None else from_us(row[2]), residue)


def has_unconfirmed_exit(db: Database, account: AccountId, symbol: Symbol) -> bool:
    """Return whether a closing order of ours stayed without trace: closing again could then close
    the owner's own part.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM attempt INDEXED BY attempt_open JOIN leg ON leg.copy_id = attempt.copy_id "
        "AND leg.number = attempt.leg"
        " WHERE attempt.account_id = ? AND attempt.symbol = ? AND attempt.kind = 'exit' AND "
        "attempt.state IN ('claimed', 'unknown',"
        " 'placed', 'partially_filled', 'not_confirmed') AND attempt.state = 'not_confirmed' AND "
        "leg.state = 'not_confirmed'",
        (account, symbol),
    )
    return row is not None


_NOT_ASKED: Final = "no exit was asked for"
_ON_ITS_WAY: Final = "an entry is in flight or resting"
_CLOSED_A_PART: Final = (
    OutcomeCode.FILLED.value,
    OutcomeCode.APPLIED.value,
    OutcomeCode.NOTHING_TO_DO.value,
)


def still_open(db: Database, account: AccountId | None = None) -> list[StillOpenView]:
    """Read every share that is not zero and every entry that has not ended, of one account or of
    all, with the reason why it is open.
    """
    rows = fetch_all(
        db,
        "SELECT holding.account_id, account.name, account.environment, account.exchange, "
        "holding.strategy_id, strategy.name,"
        " holding.symbol, holding.side, holding.share, holding.entries_open FROM holding JOIN "
        "account ON account.id = holding.account_id"
        " JOIN strategy ON strategy.id = holding.strategy_id WHERE (holding.share != '0' OR "
        "holding.entries_open > 0)"
        + ("" if account is None else " AND holding.account_id = ?")
        + " ORDER BY account.name, holding.symbol",
        () if account is None else (account,),
    )
    return [
        StillOpenView(
            row[0],
            row[1],
            row[2],
            row[3],
            row[4],
            row[5],
            row[6],
            row[7],
            row[8],
            row[9],
            *_why_open(db, account=row[0], strategy=row[4], symbol=row[6], share=row[8]),
        )
        for row in rows
    ]


def _why_open(
    db: Database, account: str, strategy: str, symbol: str, share: str
) -> tuple[str, bool]:
    """Return why something is open, and whether an exit of it was requested."""
    unproven = fetch_one(
        db,
        "SELECT kind, state, cause FROM attempt INDEXED BY attempt_open WHERE account_id = ? AND "
        "symbol = ? AND state IN ('claimed',"
        " 'unknown', 'placed', 'partially_filled', 'not_confirmed') AND state IN ('unknown', "
        "'not_confirmed') AND freed = 0"
        " ORDER BY id DESC",
        (account, symbol),
    )
    if unproven is not None:
        return (
            f"an {unproven[0]} order is {unproven[1].replace('_', ' ')} ({unproven[2]}): rexalgo "
            "unknown list",
            True,
        )
    leg = fetch_one(
        db,
        "SELECT leg.state, copy.code, copy.numbers, signal.number,"
        " (SELECT cause FROM attempt WHERE attempt.copy_id = leg.copy_id ORDER BY id DESC LIMIT 1)"
        " FROM signal JOIN copy ON copy.signal_number = signal.number AND copy.account_id = ?1 "
        "JOIN leg ON leg.copy_id = copy.id"
        " AND leg.kind = 'exit' WHERE signal.strategy_id = ?2 AND signal.symbol = ?3 AND "
        f"signal.number > {_OPENED}"
        " ORDER BY signal.number DESC LIMIT 1",
        (account, strategy, symbol),
    )
    if leg is None:
        return (_NOT_ASKED, False) if share != "0" else (_ON_ITS_WAY, True)
    state, code, numbers, number, cause = leg
    stands = LegState(state)
    if stands in _ON_THE_WAY:
        asked = (
            "its exit is asked for and not sent"
            if stands is LegState.NEW
            else "its exit is sent and not filled"
        )
        return asked + (f", the last try: {cause}" if cause else ""), True
    if share == "0":
        return _ON_ITS_WAY, True
    if number < _newest_entry(db, account, symbol):
        return (
            f"{_NOT_ASKED} since its last entry",
            False,
        )  # the result of an earlier exit says nothing about what is open now
    if code in _CLOSED_A_PART:
        return f"an exit closed a part of it; {_NOT_ASKED} since", False
    return Outcome(
        OutcomeCode(code), json.loads(numbers)
    ).sentence if code else f"its exit ended {state}", True


def _newest_entry(db: Database, account: str, symbol: str) -> int:
    """Read the number of the signal whose entry was the last to fill something in an account's
    symbol; 0 if there is none.
    """
    row = fetch_one(
        db,
        "SELECT copy.signal_number FROM attempt INDEXED BY attempt_filled JOIN copy ON copy.id = "
        "attempt.copy_id"
        " WHERE attempt.account_id = ? AND attempt.symbol = ? AND attempt.filled != '0' AND "
        "attempt.kind = 'entry'"
        " ORDER BY attempt.id DESC LIMIT 1",
        (account, symbol),
    )
    return 0 if row is None else int(row[0])


def resting_of(db: Database, account: AccountId) -> list[RestingView]:
    """Read the entries of an account that rest at the exchange, oldest first."""
    rows = fetch_all(
        db,
        "SELECT account.name, account.environment, strategy.id, strategy.name, attempt.symbol, "
        "attempt.intent, attempt.client_order_id, attempt.filled, attempt.claimed_us, attempt.id "
        "FROM attempt INDEXED BY attempt_open JOIN account ON account.id = attempt.account_id JOIN "
        "strategy ON strategy.id = attempt.strategy_id WHERE attempt.account_id = ? AND "
        "attempt.state IN ('claimed', 'unknown', 'placed', 'partially_filled', 'not_confirmed') AND "
        "attempt.state IN ('placed', 'partially_filled') AND attempt.kind = 'entry' ORDER BY "
        "attempt.id",
        (account,),
    )
    stopped = {attempt_id for _, attempt_id in stopped_entries(db, account)} if rows else set()
    intents = [read_intent(row[5], row[6], row[4]) for row in rows]
    return [
        RestingView(
            account=row[0],
            environment=row[1],
            strategy_id=row[2],
            strategy=row[3],
            symbol=row[4],
            side=intent.position_side.value,
            quantity=intent.quantity,
            filled=Decimal(row[7]),
            limit_price=intent.limit_price,
            since=from_us(row[8]),
            is_ending=row[9] in stopped,
        )
        for row, intent in zip(rows, intents, strict=True)
        if intent.limit_price is not None
    ]


def symbols_held(db: Database) -> frozenset[Symbol]:
    """Read every contract that is held or has an entry in flight, also if no strategy lists it any
    more.
    """
    return frozenset(
        Symbol(row[0])
        for row in fetch_all(
            db, "SELECT DISTINCT symbol FROM holding WHERE share != '0' OR entries_open > 0"
        )
    )


def is_held(db: Database, strategy: StrategyId, symbol: Symbol) -> bool:
    """Return whether any account holds this contract of a strategy, or has an entry of it that
    waits or is in flight.
    """
    row = fetch_one(
        db,
        "SELECT 1 FROM holding WHERE strategy_id = ?1 AND symbol = ?2 AND (share != '0' OR "
        "entries_open > 0) UNION ALL"
        " SELECT 1 FROM leg WHERE strategy_id = ?1 AND symbol = ?2 AND state = 'new' AND kind = "
        "'entry' LIMIT 1",
        (strategy, symbol),
    )
    return row is not None
