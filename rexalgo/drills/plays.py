"""What is rehearsed: each play says what it does as it goes, and returns what must hold with
whether it held.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from rexalgo.drills.stage import Stage

ORDER: Final = "/v2/futures/order"
CLOSE: Final = "/close"
STORM: Final = (
    {"path": CLOSE, "method": "POST", "fault": "fill_partly", "times": 0, "probability": 0.3},
    {"fault": "rate_limit", "times": 0, "probability": 0.25},
    {"fault": "rate_limit_wait", "times": 0, "probability": 0.05},
)


@dataclass(frozen=True, slots=True)
class Held:
    """Hold one thing that must hold at the end of a play."""

    what: str
    held: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Play:
    """Hold one drill: what it rehearses, and how it is played."""

    about: str
    run: Callable[[Stage], list[Held]]


def _open_all(stage: Stage) -> int:
    stage.say(f"a signed open over {stage.followers} followers")
    stage.send(action="open", side="LONG")
    stage.wait(
        "every follower's order to be filled",
        lambda: len(stage.positions()) == stage.followers and stage.settled(),
        120,
    )
    return len(stage.orders())


def flatten(stage: Stage) -> list[Held]:
    """Flatten while the exchange storms, fills in parts, one key has died, and the server is killed
    in the middle.
    """
    _open_all(stage)
    dead = f"sim-{stage.followers:04}"
    stage.say(
        "the exchange answers one request in three with 429 and fills closes in parts; the key of "
        "one account dies"
    )
    stage.rules(*STORM)
    stage.rotate(dead)
    stage.say("rexalgo halt flatten --all --yes")
    stage.cli("halt", "flatten", "--all", "--yes", "--wait", "0", "--json", may_fail=True)
    stage.wait(
        "the first positions to be closed", lambda: len(stage.positions()) < stage.followers, 60
    )
    stage.say(
        f"SIGKILL: every account's task dies with the server; {len(stage.positions())} accounts "
        "are still open at the exchange"
    )
    stage.kill()
    stage.say("the server is started again; the switch stands, and closing goes on")
    stage.serve()
    told = json.loads(
        stage.cli("halt", "flatten", "--all", "--yes", "--wait", "120", "--json", may_fail=True)
    )
    at_exchange = {
        (name, _quantity(each)) for name, rows in stage.positions().items() for each in rows
    }
    named = {
        (each["account"].replace("f", "sim-"), Decimal(each["share"])) for each in told["left"]
    }
    for each in told["left"]:
        stage.say(
            f"left: {each['account']} {each['side']} {each['share']} {each['symbol']}: "
            f"{each['why']}"
        )
    closed = sum(
        1 for each in stage.orders() if each.get("reduce_only") or each.get("kind") == "close"
    )
    stage.say(f"left at the exchange: {_words(at_exchange)}; named by the engine: {_words(named)}")
    return [
        Held(
            "the account whose key died is named, for nobody here can close it",
            dead in {name for name, _ in named},
            _words(named),
        ),
        Held(
            "flat, or what is left is named exactly, by the exchange's own count",
            at_exchange == named,
            _words(at_exchange),
        ),
        Held(
            "each that is left has its reason",
            all(each["why"] for each in told["left"]),
            f"{len(told['left'])} left",
        ),
        Held(
            "nothing was closed twice: no position turned to the other side",
            _no_shorts(stage),
            f"{closed} closing orders",
        ),
    ]


def storm(stage: Stage) -> list[Held]:
    """Close while the exchange answers one request in three with 429; a try that met one pauses,
    longer each time, up to a minute.
    """
    _open_all(stage)
    stage.say("the exchange answers one request in three with 429")
    stage.rules(
        {"fault": "rate_limit", "times": 0, "probability": 0.25},
        {"fault": "rate_limit_wait", "times": 0, "probability": 0.08},
    )
    stage.say("a signed close")
    stage.send(action="close")
    took = stage.wait("every position to be closed", lambda: not stage.positions(), 240)
    return [
        Held(
            "every position is closed during the storm",
            not stage.positions(),
            f"after {took:.0f} s",
        ),
        Held(
            "one opening order for each follower",
            _one_each(stage),
            f"{len(stage.orders())} orders in all",
        ),
    ]


def lost_answers(stage: Stage) -> list[Held]:
    """Accept every order, and lose every answer."""
    stage.say("the exchange accepts the next orders and answers 503, or drops the connection")
    half = stage.followers // 2
    stage.rules(
        {"path": ORDER, "method": "POST", "fault": "accept_then_503", "times": half},
        {
            "path": ORDER,
            "method": "POST",
            "fault": "accept_then_drop",
            "times": stage.followers - half,
        },
    )
    stage.say(
        f"a signed open over {stage.followers} followers: every answer is lost, and every order "
        "is looked up, not repeated"
    )
    stage.send(action="open", side="LONG")
    took = stage.wait(
        "every order's fate to be proven",
        lambda: len(stage.orders()) >= stage.followers and stage.settled(),
        120,
    )
    return [
        Held(
            "one order for each follower at the exchange",
            _one_each(stage),
            f"{len(stage.orders())} orders",
        ),
        Held(
            "nothing is in question any more",
            not stage.status()["open_orders"],
            f"proven after {took:.0f} s",
        ),
    ]


def restart(stage: Stage) -> list[Held]:
    """Stop the server while orders are out, and start it again."""
    stage.say("the exchange takes four seconds to answer")
    stage.rules(
        {
            "path": ORDER,
            "method": "POST",
            "fault": "slow",
            "seconds": 4.0,
            "times": 0,
            "probability": 1.0,
        }
    )
    stage.say(
        f"a signed open over {stage.followers} followers, and SIGTERM as soon as the first order "
        "is out"
    )
    stage.send(action="open", side="LONG")
    stage.wait("the first order to reach the exchange", lambda: bool(stage.orders()), 30)
    took = stage.stop()
    accepted = len(stage.orders())
    stage.say(f"the server ended after {took:.1f} s; the exchange has accepted {accepted} orders")
    stage.rules()
    stage.serve()
    stage.wait("what was out to be looked up", stage.settled, 120)
    seen = stage.status()
    filled, positions = seen["copies"].get("filled", 0), len(stage.positions())
    return [
        Held("it ended within 10 s", took <= 10, f"{took:.1f} s"),
        Held(
            "no follower has two orders",
            max(_per_account(stage).values(), default=0) <= 1,
            f"{len(stage.orders())} orders",
        ),
        Held(
            "what the engine calls filled is what the exchange holds",
            filled == positions,
            f"{filled} filled, {positions} positions",
        ),
    ]


def _per_account(stage: Stage) -> Counter[str]:
    return Counter(
        each["account"]
        for each in stage.orders()
        if not each.get("reduce_only") and each.get("kind") != "close"
    )


def _one_each(stage: Stage) -> bool:
    counts = _per_account(stage)
    return len(counts) == stage.followers and set(counts.values()) == {1}


def _no_shorts(stage: Stage) -> bool:
    return all(
        str(each.get("order_type", each.get("side", "LONG"))).upper() != "SHORT"
        for rows in stage.positions().values()
        for each in rows
    )


def _quantity(position: Mapping[str, object]) -> Decimal:
    return Decimal(str(position["quantity"]))


def _words(left: set[tuple[str, Decimal]]) -> str:
    return ", ".join(f"{name} {quantity}" for name, quantity in sorted(left)) or "nothing"


PLAYS: Final[Mapping[str, Play]] = {
    "flatten": Play(
        "close everything while the exchange storms, fills in parts, a key has died and the "
        "server is killed",
        flatten,
    ),
    "storm": Play("close while one request in three is answered with 429", storm),
    "lost-answers": Play("every order is accepted and every answer lost", lost_answers),
    "restart": Play("stop the server while orders are out, and start it again", restart),
}
