"""Breakers: what comes or is refused too often switches new entries off, in the narrowest scope
that explains it, and raises an alert.

A strategy that sends too many entries is stopped as a strategy, an account whose entries the
exchange keeps refusing as an account; an exchange that does not answer several accounts makes
entries wait by its circuit. A breaker sets an ordinary switch, which is shown, explained and
removed like any other. Exits are never stopped.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import trio

from engine.actors.shared import Shared
from engine.decisions.circuit import Circuit
from engine.domain.alert import AlertCode
from engine.domain.holding import Switch, SwitchScope
from engine.ledger import Database
from engine.ledger.alerts import raise_alert
from engine.ledger.breakers import busy_strategies, refused_accounts, switched_at
from engine.ledger.reports import set_switch, switches
from engine.settings.config import EngineConfig

EVERY_S: Final = 1.0
RATE_WINDOW: Final = timedelta(minutes=1)
REFUSED_WINDOW: Final = timedelta(minutes=10)


class Breakers:
    """The watch over rates and refusals, with the circuits of the exchanges."""

    def __init__(
        self, shared: Shared, circuits: Mapping[str, Circuit], config: EngineConfig
    ) -> None:
        self.circuits = circuits
        self._shared = shared
        self._entries_per_minute = config.breaker_entries_per_minute
        self._refusals = config.breaker_refusals
        self._told = dict.fromkeys(circuits, 0)

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self.look()
            await trio.sleep(EVERY_S)

    async def look(self) -> None:
        """Check rates and refusals once."""
        db, now = self._shared.ledger.db, self._shared.clock.now()
        for name, count, newest in busy_strategies(db, now - RATE_WINDOW, self._entries_per_minute):
            cause = f"{count} entries within a minute, {self._entries_per_minute} are allowed"
            if self._is_news(SwitchScope.STRATEGY, name, newest):
                await self._trip(SwitchScope.STRATEGY, name, cause)
        for name, count, why, newest in refused_accounts(db, now - REFUSED_WINDOW, self._refusals):
            if self._is_news(SwitchScope.ACCOUNT, name, newest):
                await self._trip(
                    SwitchScope.ACCOUNT,
                    name,
                    f"the exchange refused {count} entries in a row, the last one: {why}",
                )
        for name, circuit in self.circuits.items():
            if circuit.openings > self._told[name]:
                self._told[name] = circuit.openings
                await self._shared.alert(
                    AlertCode.CIRCUIT_OPEN,
                    name,
                    failures=str(circuit.failures),
                    accounts=str(circuit.accounts),
                    problem=circuit.last_problem,
                    pause_s=str(round(circuit.wait_s(now), 1)),
                )

    def _is_news(self, scope: SwitchScope, target: str, newest: datetime) -> bool:
        if any((each.scope, each.target) == (scope, target) for each in self._shared.switches):
            return False
        turned = switched_at(self._shared.ledger.db, f"{scope.value} {target}")
        return turned is None or newest > turned

    async def _trip(self, scope: SwitchScope, target: str, cause: str) -> None:
        shared = self._shared
        switch = Switch(
            scope=scope,
            target=target,
            note=cause[:200],
            set_by="breaker",
            set_at=shared.clock.now(),
        )
        details = {"scope": switch.label, "cause": cause, "flags": f"--{scope.value} {target}"}

        def trip(db: Database) -> None:
            set_switch(db, switch)
            raise_alert(
                db,
                code=AlertCode.BREAKER_TRIPPED,
                subject=target,
                details=details,
                at=switch.set_at,
                sameness=scope.value,
            )

        await shared.ledger.write(trip, first=True)
        shared.switches = switches(shared.ledger.db)
