"""Turns: which account is served first when several wait.

Whoever is first fills at the better price. So the order of accounts is drawn anew for every signal,
and over many signals each account has the same mean turn. What lowers risk goes before entries.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from engine.domain.identifiers import AccountId, SignalId


@dataclass(frozen=True, slots=True)
class Waiting:
    """A signal that waits for an account; ``is_entry`` if its leg there is an entry."""

    account: AccountId
    signal: SignalId
    is_entry: bool


def draw(signal: SignalId, account: AccountId) -> bytes:
    """Draw an account's turn in a signal; lower goes first.

    The signal's id is the seed: random, stored, and known to nobody before the signal was recorded.
    With both ids anybody can draw again.
    """
    return blake2b(account.encode(), key=signal.encode()[:64], digest_size=8).digest()


def in_turn(waiting: Iterable[Waiting]) -> list[AccountId]:
    """Return the accounts in the order in which they are served, each once: exits first."""
    turns: dict[AccountId, tuple[bool, bytes]] = {}
    for each in waiting:
        turn = (each.is_entry, draw(each.signal, each.account))
        if each.account not in turns or turn < turns[each.account]:
            turns[each.account] = turn
    return sorted(turns, key=turns.__getitem__)
