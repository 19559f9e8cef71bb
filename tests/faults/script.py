"""The script of a story, as data made from its seed: what masters send, what owners and operators
do, when the process ends.

The same seed makes the same steps, and leaving out a step does not change the others.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from engine.domain.signal import Action, PositionSide
from rexalgo import Symbol
from tests.faults.fault_exchange import SYMBOLS

STRATEGIES: Final = ("s1", "s2")
ACCOUNTS: Final = ("a0", "a1", "a2")
PAUSES_S: Final = (0.0, 0.05, 0.3, 1.0, 3.0, 8.0, 20.0, 70.0)
_KINDS: Final = {
    "say": 66,
    "burst": 5,
    "again": 4,
    "switch": 3,
    "resume": 9,
    "owner": 5,
    "decide": 8,
    "key_window": 1,
    "price_window": 1,
    "renew": 1,
    "release": 2,
    "end": 3,
    "look": 22,
}
_WHEN_FLAT: Final = {
    Action.OPEN: 70,
    Action.REVERSE: 8,
    Action.CLOSE: 6,
    Action.ADD: 4,
    Action.REDUCE: 4,
    Action.SET_PROTECTION: 3,
}
_WHEN_OPEN: Final = {
    Action.OPEN: 5,
    Action.REVERSE: 14,
    Action.CLOSE: 21,
    Action.ADD: 34,
    Action.REDUCE: 28,
    Action.SET_PROTECTION: 6,
}
_OF_ANY_OTHER: Final = 4
_SYMBOL_SHARES: Final = {"s1": (5, 3, 1), "s2": (1, 3, 5)}


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the script: do ``kind`` after a pause. ``number`` is its place in the whole script,
    whatever is left out.
    """

    number: int
    pause_s: float
    kind: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Saying:
    """One signal of a master. ``late_s`` is its travel time, ``times`` the number of deliveries."""

    strategy: str
    symbol: Symbol
    action: Action
    side: PositionSide
    late_s: float = 0.0
    times: int = 1
    fraction: str = "0.5"
    is_limit: bool = False
    drops_target: bool = False


def script(seed: int, length: int) -> tuple[Step, ...]:
    """Return the steps of a seed."""
    random, believed = Random(f"script {seed}"), dict[tuple[str, Symbol], PositionSide | None]()
    return tuple(_step(random, number, believed) for number in range(length))


def _step(
    random: Random, number: int, believed: dict[tuple[str, Symbol], PositionSide | None]
) -> Step:
    kind = random.choices(tuple(_KINDS), tuple(_KINDS.values()))[0]
    args: dict[str, Any] = {}
    account, symbol = random.choice(ACCOUNTS), random.choice(SYMBOLS)
    match kind:
        case "say":
            args = {"sayings": (_saying(random, believed),)}
        case "burst":
            args = {
                "sayings": tuple(_saying(random, believed, Action.OPEN, each) for each in SYMBOLS)
            }
        case "again":
            args = {"back": random.randint(1, 12)}
        case "switch":
            scope = random.choice(("account", "account", "strategy", "all"))
            args = {
                "scope": scope,
                "target": {"account": account, "strategy": random.choice(STRATEGIES)}.get(
                    scope, ""
                ),
                "level": random.choices(("entries", "reduce", "flatten"), (4, 3, 1))[0],
            }
        case "owner":
            acts = {
                "closes": 6,
                "closes_part": 2,
                "opens": 3,
                "rests": 1,
                "stopped": 2,
                "liquidated": 1,
            }
            what = random.choices(tuple(acts), tuple(acts.values()))[0]
            args = {
                "what": what,
                "account": account,
                "symbol": symbol,
                "side": random.choice(tuple(PositionSide)),
            }
        case "key_window" | "price_window":
            args = {"account": account, "seconds": random.uniform(5.0, 40.0)}
        case "renew":
            args = {"account": account}
        case "end":
            # Most of the time just after signals, so that orders are out.
            sayings = (
                tuple(_saying(random, believed, Action.OPEN, each) for each in SYMBOLS)
                if random.random() < 0.7
                else ()
            )
            args = {"how": random.choice(("stopped", "killed", "killed")), "sayings": sayings}
    return Step(number, random.choice(PAUSES_S), kind, args)


def _saying(
    random: Random,
    believed: dict[tuple[str, Symbol], PositionSide | None],
    action: Action | None = None,
    symbol: Symbol | None = None,
) -> Saying:
    """Return a signal that makes sense for the master, most of the time; every action may occur."""
    strategy = random.choice(STRATEGIES)
    symbol = symbol or random.choices(SYMBOLS, _SYMBOL_SHARES[strategy])[0]
    side = believed.get((strategy, symbol))
    weights = _WHEN_FLAT if side is None else _WHEN_OPEN
    if action is None:
        action = random.choices(
            tuple(Action), [weights.get(each, _OF_ANY_OTHER) for each in Action]
        )[0]
    said = random.choice(tuple(PositionSide))
    if side is not None and action in (Action.ADD, Action.REVERSE):
        said = side if action is Action.ADD else side.opposite
    if action in (Action.OPEN, Action.REVERSE):
        believed[strategy, symbol] = said
    elif action is Action.CLOSE:
        believed[strategy, symbol] = None
    return Saying(
        strategy,
        symbol,
        action,
        said,
        random.uniform(0.5, 8.0) if random.random() < 0.15 else 0.0,
        2 if random.random() < 0.1 else 1,
        random.choice(("0.25", "0.5", "0.333")),
        action is Action.OPEN and random.random() < 0.12,
        random.random() < 0.3,
    )
