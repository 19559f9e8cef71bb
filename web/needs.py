"""What only the owner of an account can do: the same on the home page and in the API."""

from engine.services.following import AccountCard


def needs_of(card: AccountCard) -> list[tuple[str, str, str]]:
    """Return what needs the owner of an account: what it is, what to do, and the page for it."""
    needs = []
    if card.told.state.is_up_to_the_owner:
        needs.append(
            (f"{card.row.name}: {card.told.why}", card.told.do, f"/accounts/{card.row.name}")
        )
    needs += [
        (
            f"{card.row.name}: the master of {each.strategy_name} changed its contracts or "
            "leverage: its entries are skipped.",
            "Look and agree.",
            f"/strategies/{each.strategy}",
        )
        for each in card.agreements
        if each.needs_consent
    ]
    return needs
