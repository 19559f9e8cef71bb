"""The last line of one order: what may stop an entry, then conservation; and what follows if
conservation is broken.

Right before the write the session asks its own guard and then this, with no await until the first
byte (``exchange_session``, ``transport.permit``).

Broken conservation is a fault of ours and stops the account: the order is not sent, new entries are
switched off, closing orders wait for a person (who resumes, or has everything flattened), and
somebody is woken. All of it is in the transaction that records the attempt.
"""

from collections.abc import Callable
from typing import assert_never

from engine.actors.account import Account
from engine.actors.lanes import Lanes
from engine.decisions.conservation import Broken, Changed, conserved
from engine.decisions.order_lifecycle import NothingSent
from engine.decisions.planning import age_limit_s, last_line_entry, slipped, takes_entries
from engine.domain.alert import AlertCode
from engine.domain.holding import STOPPED_BY_CONSERVATION, Switch, SwitchLevel, SwitchScope
from engine.domain.outcome import Outcome, OutcomeCode
from engine.domain.signal import Action, PositionSide, Signal
from engine.domain.subscription import RiskLimits
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.claims import Claim
from engine.ledger.conserving import read_on_record
from engine.ledger.copies import WaitingLeg
from engine.ledger.holdings import goal_key
from engine.ledger.reports import set_switch, switches

NOTE_CHARACTERS_MAX = 200


def nothing_stops() -> Outcome | None:
    """Permit an exit: no switch, age or goal stops what lowers risk."""
    return None


def what_stops_entry(
    lanes: Lanes, leg: WaitingLeg, signal: Signal, side: PositionSide, limits: RiskLimits
) -> Outcome | None:
    """Check again what may have changed since an entry was planned: the goal, its age, the
    switches, the subscription, the newest price.

    ``limits`` are the strictest of configuration and terms.
    """
    account, shared = lanes.account, lanes.account.shared
    switches = shared.switches_for(account.id, account.name, leg.strategy, account.exchange)
    goal = goal_key(shared.ledger.db, leg.account, leg.strategy, leg.symbol)
    stands = takes_entries(shared.subscription(leg.subscription))
    quote = shared.feeds[account.exchange].newest(leg.symbol)
    return (
        last_line_entry(
            signal,
            goal_key=goal,
            switches=switches,
            entry_age_s=age_limit_s(shared.pace.entry_age_s, limits),
            now=lanes.now_for(leg),
            waited_for=lanes.waited_for(leg),
        )
        or stands
        # The levels of an add hold from its claim on: what is claimed of one is not refused here.
        or (
            None
            if quote is None or signal.draft.action is Action.ADD
            else slipped(signal.draft, side, limits.slippage_bps, quote)
        )
    )


class LastLine:
    """The check of one claimed order right before it is sent, without an await; ``what_stops`` is
    asked before conservation.
    """

    def __init__(
        self,
        account: Account,
        wanted: Claim,
        attempt_id: int,
        what_stops: Callable[[], Outcome | None],
    ) -> None:
        self._account = account
        self._wanted = wanted
        self._attempt_id = attempt_id
        self._what_stops = what_stops
        self._broken = ""

    @property
    def is_broken(self) -> bool:
        """Return whether conservation is broken, so that the record stops the account."""
        return bool(self._broken)

    def ask(self) -> Outcome | NothingSent | None:
        """Return None to let the order go, else its result: nothing of it was sent."""
        outcome = self._what_stops()
        if outcome is not None:
            return outcome
        wanted, account = self._wanted, self._account
        is_exit = wanted.intent.reduce_only
        verdict = conserved(
            wanted.intent,
            read_on_record(account.shared.ledger.db, self._attempt_id),
            wanted.strategy,
            wanted.planned_from,
            is_flattening=account.level_for(wanted.strategy) >= SwitchLevel.FLATTEN.rank,
        )
        match verdict:
            case None:
                return None
            case Changed(why):
                return NothingSent(why)
            case Broken(cause):
                self._broken = cause
                # An exit is not given up: it waits with the account until a person decides.
                return (
                    NothingSent(f"conservation: {cause}")
                    if is_exit
                    else Outcome(OutcomeCode.KILLED, {"cause": f"conservation: {cause}"})
                )
            case _:
                assert_never(verdict)

    async def record(self, write: Callable[[Database], None]) -> None:
        """Record what became of the attempt, and stop the account if conservation is broken, in one
        transaction.
        """
        shared = self._account.shared
        if not self._broken:
            await shared.ledger.write(write)
            return
        name, at = self._account.name, shared.clock.now()
        note = f"conservation: {self._broken}"[:NOTE_CHARACTERS_MAX]
        switch = Switch(
            scope=SwitchScope.ACCOUNT,
            target=name,
            note=note,
            set_by=STOPPED_BY_CONSERVATION,
            set_at=at,
        )
        details = {"symbol": str(self._wanted.intent.symbol), "cause": self._broken}

        def write_and_stop(db: Database) -> None:
            write(db)
            set_switch(db, switch)
            raise_alert(
                db,
                code=AlertCode.CONSERVATION_BROKEN,
                subject=name,
                details=details,
                at=at,
                sameness=self._wanted.intent.symbol,
            )

        await shared.ledger.write(write_and_stop, first=True)
        shared.switches = switches(shared.ledger.db)
