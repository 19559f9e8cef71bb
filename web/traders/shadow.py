"""The shadow books of a strategy's page: for each account that watches, what was not traded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final

from engine.domain.errors import EngineAway
from engine.domain.subscription import Mode
from engine.services.performance import Compared
from engine.services.shadowing import LOOKED_BACK, NoShadow, Shadow
from engine.services.terms_form import terms_fields
from web.charts import result_chart
from web.traders.follow import hidden_terms
from web.visit import Visit
from web.words import steps

_WHY_NONE: Final = {
    NoShadow.NOT_READ: "The account has not been read yet, or the engine does not answer.",
    NoShadow.NO_SIGNAL: (
        "No signal in the last 30 days, or none since prices have been recorded. The first one will "
        "appear here."
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowShown:
    """The shadow book of an agreement (None: ``why_none``), its curve, and the fields that ask to go
    live with the same terms. ``price_steps`` and ``quantity_steps`` align its trades. ``followers``
    are the figures of the same time and environment.
    """

    shadow: Shadow | None
    why_none: str
    curve: str
    price_steps: Mapping[str, Decimal]
    quantity_steps: Mapping[str, Decimal]
    as_live: Sequence[tuple[str, str]]
    followers: Compared


async def shadows_of(
    visit: Visit, strategy: Any, agreements: Sequence[Any]
) -> dict[str, ShadowShown]:
    """Return the shadow books of the agreements that watch."""
    performance = visit.services.performance
    accounts = {each.id: each for each in performance.accounts(visit.who)}
    shown = {}
    for each in agreements:
        if each.policy.mode is not Mode.WATCH:
            continue
        found: Shadow | NoShadow
        try:
            found = await visit.services.shadowing.shadow(
                accounts[each.account], each.strategy, each.policy
            )
        except EngineAway:  # the rest of the page is read from the ledger
            found = NoShadow.NOT_READ
        shadow = None if isinstance(found, NoShadow) else found
        fields = {**terms_fields(each.policy), "mode": Mode.LIVE.value}
        shown[each.id] = ShadowShown(
            shadow=shadow,
            why_none=_WHY_NONE[found] if isinstance(found, NoShadow) else "",
            curve="" if shadow is None else _curve(visit, shadow, each.account_name),
            price_steps=_steps(shadow, "entry_price", "exit_price"),
            quantity_steps=_steps(shadow, "quantity"),
            as_live=hidden_terms(each.account_name, fields),
            followers=await performance.record(strategy, each.environment, LOOKED_BACK.days),
        )
    return shown


def _curve(visit: Visit, shadow: Shadow, account: str) -> str:
    points = [(at, Decimal(value)) for at, value in shadow.curve]
    return result_chart(
        points,
        f"P&L that was not traded on {account}",
        shadow.currency,
        visit.who.person.zone,
        shadow.until,
        shadow.since,
    )


def _steps(shadow: Shadow | None, *names: str) -> Mapping[str, Decimal]:
    trades = () if shadow is None else shadow.trades
    return steps(
        [
            SimpleNamespace(
                symbol=each.symbol, **{name: getattr(each.trade, name) for name in names}
            )
            for each in trades
        ],
        *names,
    )
