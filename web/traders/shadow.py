"""The shadow books of a strategy's page: for each account that watches, what was not traded."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from engine.domain.errors import EngineAway
from engine.domain.subscription import Mode
from engine.services.shadowing import Shadow
from engine.services.terms_form import terms_fields
from web.charts import result_chart
from web.traders.follow import hidden_terms
from web.visit import Visit


async def shadows_of(visit: Visit, agreements: Sequence[Any]) -> dict[str, tuple[Any, ...]]:
    """Return by agreement: the shadow book (None if no engine has read the account), its curve, and
    the fields that ask to go live with the same terms.
    """
    accounts = {each.id: each for each in visit.services.performance.accounts(visit.who)}
    shown = {}
    for each in agreements:
        if each.policy.mode is not Mode.WATCH:
            continue
        try:
            shadow = await visit.services.shadowing.shadow(
                accounts[each.account], each.strategy, each.policy
            )
        except EngineAway:  # the rest of the page is read from the ledger
            shadow = None
        fields = {**terms_fields(each.policy), "mode": Mode.LIVE.value}
        curve = "" if shadow is None else _curve(visit, shadow, each.account_name)
        shown[each.id] = (shadow, curve, hidden_terms(each.account_name, fields))
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
