"""Guard what is held: compare the stop and target that a strategy wants with what the exchange
shows, set what is missing, measure the gap.

A level that the owner moved by hand stays as moved; only one that is missing altogether is set. The
time without a wanted level is measured from the reading that first showed it missing, reported
beyond a limit, and recorded when it ends.
"""

from dataclasses import dataclass
from typing import Final

import trio

from engine.actors.account import Account
from engine.decisions.risk import is_held_position, position_of
from engine.domain.account import Position
from engine.domain.alert import AlertCode
from engine.domain.amounts import money_words, notional, plain
from engine.domain.holding import Holding
from engine.domain.identifiers import Symbol
from engine.domain.order import ProtectionOrder
from engine.ledger.holdings import read_holdings
from engine.ledger.outcomes import write_event

AGAIN_S: Final = 5.0


@dataclass(slots=True)
class _Gap:
    since: float
    """On trio's clock, which nobody sets."""
    problem: str = "not tried yet"


class ProtectionGuard:
    """The guard of the stops and targets of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._gaps: dict[Symbol, _Gap] = {}

    async def run(self) -> None:
        """Run until nothing is missing."""
        await self.look()
        while self._gaps:
            await self._account.protection.wait(AGAIN_S)
            await self.look()

    async def look(self) -> None:
        """Compare once, and set what is missing."""
        account = self._account
        report = account.report
        if report is None or not (report.positions or self._gaps):
            return
        if account.why_held or account.history.wait_s > 0:
            return
        holdings = read_holdings(account.shared.ledger.db, account.id)
        for ended in self._gaps.keys() - {each.symbol for each in holdings}:
            del self._gaps[ended]
        for holding in map(account.located, holdings):
            position = position_of(report, holding.symbol)
            if holding.share == 0 or position is None or not is_held_position(holding, position):
                self._gaps.pop(holding.symbol, None)
                continue
            missing = missing_levels(holding, position)
            if missing:
                await self._mend(holding, position, missing)
            elif holding.symbol in self._gaps:
                await self._closed(holding)

    async def _mend(self, holding: Holding, position: Position, missing: str) -> None:
        account, now = self._account, trio.current_time()
        gap = self._gaps.setdefault(holding.symbol, _Gap(now))
        visible_s = 0.0 if account.session is None else account.session.visible_within_s
        if now - gap.since >= visible_s:
            gap.problem = await self._set(holding, position)
        if now - gap.since >= account.shared.pace.unprotected_s:
            ours = min(holding.share, position.quantity)
            await account.shared.alert(
                AlertCode.POSITION_UNPROTECTED,
                account.name,
                holding.symbol,
                side=holding.side.value,
                quantity=plain(ours),
                symbol=holding.symbol,
                missing=missing,
                problem=gap.problem,
                exposed=money_words(notional(position.mark_price, ours)),
                unprotected_s=str(round(now - gap.since)),
            )

    async def _set(self, holding: Holding, position: Position) -> str:
        account = self._account
        if not account.can_protect:
            return "the exchange has no call for it"
        wanted = ProtectionOrder(
            holding.symbol,
            holding.side,
            position.stop_loss or holding.stop_loss,
            position.take_profit or holding.take_profit,
            holding.position_id or position.id,
        )
        try:
            session = await account.connected()
            await session.set_protection(wanted)
        except (
            Exception
        ) as error:  # asked again in a moment; setting the same levels twice does no harm
            account.note(f"the protection of {holding.symbol} could not be set", error)
            return f"{type(error).__name__}: {error}"[:100]
        account.read_soon()
        return "set, and not seen yet"

    async def _closed(self, holding: Holding) -> None:
        account, now = self._account, self._account.shared.clock.now()
        gap = self._gaps.pop(holding.symbol)
        data: dict[str, object] = {
            "symbol": holding.symbol,
            "unprotected_s": round(trio.current_time() - gap.since, 1),
        }
        await account.shared.ledger.write(
            lambda db: write_event(db, kind="protected", subject=account.name, data=data, at=now)
        )


def missing_levels(holding: Holding, position: Position) -> str:
    """Return the levels that the strategy wants and the position lacks altogether: stop, target,
    both or nothing.
    """
    missing = [
        name
        for name, wanted, there in (
            ("stop", holding.stop_loss, position.stop_loss),
            ("target", holding.take_profit, position.take_profit),
        )
        if wanted is not None and there is None
    ]
    return " and ".join(missing)
