"""The one way in which an order is sent: claim, last check, write once, classify, record.

From the claim to the record it cannot be cancelled; its own deadlines end it.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

import trio

from engine.actors.account import Account
from engine.actors.attempt_result import AttemptResult, attempt_result
from engine.actors.exchange_session import ExchangeSession
from engine.actors.lanes import Lanes
from engine.actors.last_line import LastLine
from engine.decisions.order_lifecycle import AttemptState
from engine.domain.alert import AlertCode
from engine.domain.outcome import Outcome
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.claims import Claim, NotClaimed, claim
from engine.ledger.copies import WaitingLeg
from engine.ports.exchange import RejectionKind


async def send(
    lanes: Lanes,
    leg: WaitingLeg,
    session: ExchangeSession,
    wanted: Claim,
    what_stops: Callable[[], Outcome | None],
    retry_s: float,
    residue_kinds: Collection[RejectionKind] = (),
) -> AttemptResult | None:
    """Claim, send once, record; None if the leg could not be claimed. ``what_stops``: see
    ``last_line``; ``residue_kinds``: see ``attempt_result``.
    """
    account, shared = lanes.account, lanes.account.shared
    unsent = shared.unsent[account.exchange]
    await unsent.acquire()
    released = False

    def written() -> None:
        nonlocal released
        if not released:
            released = True
            unsent.release()

    try:
        # With a new key the leg is planned again: nothing begins on the connection of the old one.
        if shared.stopping or account.replaced(session):
            return None
        # From here to the record nothing may cancel us: a claim must be answered for.
        with trio.CancelScope(shield=True):
            made: int | NotClaimed = await shared.ledger.write(lambda db: claim(db, wanted))
            if not isinstance(made, int):
                if made.outcome is not None:
                    await lanes.conclude(leg, made.outcome)
                return None
            lanes.claimed(leg.copy)
            line = LastLine(account, wanted, made, what_stops)
            answer = await session.place(wanted.intent, line.ask, written)
            written()
            if not line.is_broken:  # the account is to stop at once
                await unsent.wait_for_sends()
            result = attempt_result(
                made,
                intent=wanted.intent,
                answer=answer,
                retry_s=retry_s,
                at=shared.clock.now(),
                residue_kinds=residue_kinds,
            )
            if result.filled:
                account.filled_at[leg.symbol] = trio.current_time()
            await line.record(partial(_record, account, leg, result, shared.clock.now()))
    finally:
        written()
    if result.state in (AttemptState.UNKNOWN, AttemptState.PLACED, AttemptState.PARTIALLY_FILLED):
        account.watch_open_attempts()
    return result


def _record(
    account: Account, leg: WaitingLeg, result: AttemptResult, at: datetime, db: Database
) -> None:
    result.write(db)
    if result.residue is not None:
        raise_alert(
            db,
            code=AlertCode.RESIDUE,
            subject=account.name,
            details=result.residue.numbers,
            at=at,
            sameness=leg.symbol,
        )


def witness(account: Account, leg: WaitingLeg) -> tuple[str, ...]:
    """Return the exchange order ids that the newest reading shows in the leg's symbol."""
    report = account.report
    return (
        ()
        if report is None
        else tuple(
            each.exchange_order_id for each in report.open_orders if each.symbol == leg.symbol
        )
    )
