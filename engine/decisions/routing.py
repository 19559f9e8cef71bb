"""The legs of a signal, and the switches that stop an entry. Nothing here decides size or risk."""

from collections.abc import Iterable
from typing import Final, assert_never

from engine.domain.holding import Switch, SwitchScope
from engine.domain.signal import Action
from engine.views import StillOpenView

ENTRY: Final = "entry"
EXIT: Final = "exit"
CANCEL: Final = "cancel"
PROTECTION: Final = "protection"


def legs(action: Action) -> tuple[str, ...]:
    """Return the kinds of legs that a copy of the action needs, in the order in which they must
    end.
    """
    match action:
        case Action.OPEN | Action.ADD:
            return (ENTRY,)
        case Action.CLOSE | Action.REDUCE:
            return (EXIT,)
        case Action.REVERSE:
            return (EXIT, ENTRY)
        case Action.CANCEL:
            return (CANCEL,)
        case Action.SET_PROTECTION:
            return (PROTECTION,)
        case _:
            assert_never(action)


def concerns(
    switch: Switch,
    *,
    account_id: str,
    account_name: str,
    strategy_id: str,
    strategy_name: str,
    exchange: str,
) -> bool:
    """Return whether a *no new entries* switch stops entries of this account, strategy and
    exchange; a target is an id or a name.
    """
    match switch.scope:
        case SwitchScope.ALL:
            return True
        case SwitchScope.ACCOUNT:
            return switch.target in (account_id, account_name)
        case SwitchScope.STRATEGY:
            return switch.target in (strategy_id, strategy_name)
        case SwitchScope.EXCHANGE:
            return switch.target == exchange
        case _:
            assert_never(switch.scope)


def within(switch: Switch, open_shares: Iterable[StillOpenView]) -> list[StillOpenView]:
    """Return the open shares that a switch concerns."""
    return [
        each
        for each in open_shares
        if concerns(
            switch,
            account_id=each.account_id,
            account_name=each.account,
            strategy_id=each.strategy_id,
            strategy_name=each.strategy,
            exchange=each.exchange,
        )
    ]


def concerning(
    switches: Iterable[Switch],
    *,
    account_id: str,
    account_name: str,
    strategy_id: str,
    strategy_name: str,
    exchange: str,
) -> tuple[Switch, ...]:
    """Return the switches that apply to an entry, the widest first, and an owner's own last: the
    first is the one a person is told about.
    """
    width = {
        SwitchScope.ALL: 0,
        SwitchScope.EXCHANGE: 1,
        SwitchScope.STRATEGY: 2,
        SwitchScope.ACCOUNT: 3,
    }
    names = {
        "account_id": account_id,
        "account_name": account_name,
        "strategy_id": strategy_id,
        "strategy_name": strategy_name,
        "exchange": exchange,
    }
    return tuple(
        sorted(
            (each for each in switches if concerns(each, **names)),
            key=lambda each: (width[each.scope], each.is_owners),
        )
    )
