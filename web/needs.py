"""What only the owner of an account can do: the same on the home page and in the API."""

from collections.abc import Mapping

from engine.domain.strategy import StrategyState
from engine.services.following import AccountCard


def needs_of(card: AccountCard, titles: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return what needs the owner of an account: what it is, what to do, and the page for it;
    ``titles`` are what the owner calls their accounts, by name.
    """
    needs, name = [], titles.get(card.row.name, card.row.name)
    if card.told.state.is_up_to_the_owner:
        needs.append((f"{name}: {card.told.why}", card.told.do, f"/accounts/{card.row.name}"))
    needs += [
        (
            f"{name}: the master of {each.strategy_name} changed its contracts or "
            "leverage: its entries are skipped.",
            "Look and agree.",
            f"/strategies/{each.strategy}",
        )
        for each in card.agreements
        if each.needs_consent and each.strategy_state is not StrategyState.RETIRED
    ]
    return needs
