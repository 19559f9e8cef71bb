"""What an endpoint may send: its contracts, actions, pace and expiry. Pure; the receiver asks it
once a delivery is verified.

What always holds: a signal that keeps or lowers risk is never refused because a master removed a
contract from the strategy while followers still hold it, and never because of the pace of entries.
If the entry of a reverse may not be sent, or that of an open that turns the position, the closing
half is taken.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from engine.domain.errors import InvalidValue
from engine.domain.identifiers import Symbol
from engine.domain.signal import Action, SignalDraft

ENTRIES_PER_MINUTE_MAX: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an endpoint may send: ``symbols`` are the strategy's; the other fields narrow one
    address, and do not if empty or None.

    ``only`` are the contracts and ``actions`` the actions of this address; ``expires_at`` is when
    it expires.
    """

    symbols: frozenset[Symbol]
    only: frozenset[Symbol] = frozenset()
    actions: frozenset[str] = frozenset()
    expires_at: datetime | None = None
    entries_per_minute: int | None = None


def read_scope(symbols: frozenset[Symbol], settings: Mapping[str, object]) -> Scope:
    """Read the scope of an endpoint from its own settings, for a strategy with these ``symbols``."""
    end, pace = settings.get("expires_at"), settings.get("entries_per_minute")
    return Scope(
        symbols=symbols,
        only=frozenset(Symbol(each) for each in _words(settings, "symbols")),
        actions=frozenset(_words(settings, "actions")),
        expires_at=datetime.fromisoformat(end) if isinstance(end, str) else None,
        entries_per_minute=pace if isinstance(pace, int) else None,
    )


def _words(settings: Mapping[str, object], name: str) -> list[str]:
    value = settings.get(name)
    return [str(each) for each in value] if isinstance(value, list) else []


def admit(
    draft: SignalDraft,
    scope: Scope,
    is_held: Callable[[], bool],
    now: datetime,
    turns: Callable[[], bool] = lambda: False,
) -> SignalDraft:
    """Return the part of a signal that may be sent here: the signal, or a reverse's closing half;
    raises InvalidValue if no part may.

    ``is_held``: followers hold, or are about to enter, this contract. ``turns``: this open will be
    taken for a reverse.
    """
    try:
        check_scope(draft, scope, is_held, now)
    except InvalidValue:
        if draft.action is not Action.REVERSE and not turns():
            raise
        check_scope(draft.closing_half, scope, is_held, now)
        return draft.closing_half
    return draft


def check_scope(
    draft: SignalDraft, scope: Scope, is_held: Callable[[], bool], now: datetime
) -> None:
    """Raise InvalidValue if the signal may not be sent here as it is."""
    if scope.expires_at is not None and now >= scope.expires_at:
        raise InvalidValue(
            "address", "an address that has not expired; the master creates another in the studio"
        )
    if scope.only and draft.symbol not in scope.only:
        raise InvalidValue(
            "symbol", "a contract that this address may send: " + ", ".join(sorted(scope.only))
        )
    if scope.actions and draft.action.value not in scope.actions:
        raise InvalidValue(
            "action", "one that this address may send: " + ", ".join(sorted(scope.actions))
        )
    if draft.symbol not in scope.symbols and (draft.action.is_entry or not is_held()):
        raise InvalidValue(
            "symbol", "a contract of this strategy: " + ", ".join(sorted(scope.symbols))
        )
