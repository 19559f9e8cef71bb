"""The plays: each rehearses one incident, prints its steps, and returns its checks."""

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
    """A check at the end of a play: what must hold, whether it held, and what was seen."""

    what: str
    held: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Play:
    """One drill: a description, and the function that plays it."""

    about: str
    run: Callable[[Stage], list[Held]]


def _open_all(stage: Stage) -> int:
    stage.say(f"a signed open for {stage.followers} followers")
    stage.send(action="open", side="LONG")
    stage.wait(
        "every follower's order to be filled",
        lambda: len(stage.positions()) == stage.followers and stage.settled(),
        120,
    )
    return len(stage.orders())


def flatten(stage: Stage) -> list[Held]:
    """Flatten while the exchange limits requests and fills in parts, one key is dead, and the
    server is killed halfway.
    """
    _open_all(stage)
    dead = f"sim-{stage.followers:04}"
    stage.say(
        "the exchange answers one request in three with 429 and fills closes in parts; one "
        "account's key stops working"
    )
    stage.rules(*STORM)
    stage.rotate(dead)
    stage.say("rexalgo halt flatten --all --yes")
    stage.cli("halt", "flatten", "--all", "--yes", "--wait", "0", "--json", may_fail=True)
    stage.wait(
        "the first positions to be closed", lambda: len(stage.positions()) < stage.followers, 60
    )
    stage.say(
        f"SIGKILL: the server and all account tasks end; {len(stage.positions())} accounts still "
        "have an open position at the exchange"
    )
    stage.kill()
    stage.say("the server starts again; the switch is still set, and closing continues")
    stage.serve()
    answer = json.loads(
        stage.cli("halt", "flatten", "--all", "--yes", "--wait", "120", "--json", may_fail=True)
    )
    for position in answer["left"]:
        stage.say(
            f"left: {position['account']} {position['side']} {position['share']} "
            f"{position['symbol']}: {position['why']}"
        )
    return _checks_of_flatten(stage, dead, answer["left"])


def _checks_of_flatten(stage: Stage, dead: str, left: list[dict[str, str]]) -> list[Held]:
    at_exchange = {
        (name, _quantity(each)) for name, rows in stage.positions().items() for each in rows
    }
    named = {(each["account"].replace("f", "sim-"), Decimal(each["share"])) for each in left}
    closed = sum(
        1 for each in stage.orders() if each.get("reduce_only") or each.get("kind") == "close"
    )
    stage.say(f"left at the exchange: {_words(at_exchange)}; named by the engine: {_words(named)}")
    return [
        Held(
            "the account with the dead key is named, because RexAlgo cannot close it",
            dead in {name for name, _ in named},
            _words(named),
        ),
        Held(
            "flat, or exactly the positions left at the exchange are named",
            at_exchange == named,
            _words(at_exchange),
        ),
        Held(
            "every position left has a reason",
            all(each["why"] for each in left),
            f"{len(left)} left",
        ),
        Held(
            "nothing was closed twice: no position changed to the other side",
            _no_shorts(stage),
            f"{closed} closing orders",
        ),
    ]


def storm(stage: Stage) -> list[Held]:
    """Close while the exchange answers one request in three with 429.

    A try that gets a 429 pauses before the next, longer each time, up to a minute.
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
    """Open while the exchange accepts every order and loses every answer."""
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
        f"a signed open for {stage.followers} followers: every answer is lost; the engine looks up "
        "every order and repeats none"
    )
    stage.send(action="open", side="LONG")
    took = stage.wait(
        "every order's result to be proven",
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
            "no order is unproven any more",
            not stage.status()["open_orders"],
            f"proven after {took:.0f} s",
        ),
    ]


def restart(stage: Stage) -> list[Held]:
    """Stop the server while orders are in flight, and start it again."""
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
        f"a signed open for {stage.followers} followers, and SIGTERM as soon as the exchange has "
        "an order"
    )
    stage.send(action="open", side="LONG")
    stage.wait("the first order to reach the exchange", lambda: bool(stage.orders()), 30)
    took = stage.stop()
    accepted = len(stage.orders())
    stage.say(f"the server ended after {took:.1f} s; the exchange has accepted {accepted} orders")
    stage.rules()
    stage.serve()
    stage.wait("the orders in flight to be looked up", stage.settled, 120)
    seen = stage.status()
    filled, positions = seen["copies"].get("filled", 0), len(stage.positions())
    return [
        Held("the server ended within 10 s", took <= 10, f"{took:.1f} s"),
        Held(
            "no follower has two orders",
            max(_per_account(stage).values(), default=0) <= 1,
            f"{len(stage.orders())} orders",
        ),
        Held(
            "the engine's filled copies match the positions at the exchange",
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
        "close everything while the exchange limits requests and fills in parts, a key is dead, "
        "and the server is killed",
        flatten,
    ),
    "storm": Play("close while the exchange answers one request in three with 429", storm),
    "lost-answers": Play("open while the exchange loses every answer", lost_answers),
    "restart": Play("stop the server while orders are in flight, and start it again", restart),
}
