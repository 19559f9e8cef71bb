"""``/__control`` of the SIMULATED exchange: inspect and change its state, for drills and tests.

``GET`` orders (everything it ever accepted), accounts, wallets (each exact change of a wallet with
its cause: a record that no client sees), counts, faults, switches. ``POST`` faults ``{"rules":
[...]}``, switches ``{...}``, price ``{"symbol", "price"}`` (null releases it), liquidate
``{"account", "symbol"}``, rotate ``{"account", "key"}``, clock ``{"skew_s"}``, funds ``{"account",
"balance", "spot", "inr"}``, funding ``{"symbol", "rate"}`` (a share of the notional, paid by
longs), owner ``{"account", "act": "open"|"add"|"close"|"reverse", "symbol", "side", "quantity"}``
(by hand, filled at once), transfer ``{"account", "amount"}`` (below 0: out), rows ``{"account",
"list", "rows"}`` (puts rows of any form at the head of orders, history, positions, closed or fees).
"""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from plugins.mudrex.simulator.exchange import Exchange
from plugins.mudrex.simulator.faults import KINDS, read_rule
from plugins.mudrex.simulator.messages import Request
from plugins.mudrex.simulator.owner import act, transfer
from plugins.mudrex.simulator.pages import born
from plugins.mudrex.simulator.simulated import Simulator
from plugins.mudrex.simulator.values import NEVER, Refusal, number

PATHS = (
    "orders",
    "accounts",
    "wallets",
    "counts",
    "faults",
    "switches",
    "price",
    "liquidate",
    "rotate",
    "clock",
    "funds",
    "funding",
    "owner",
    "transfer",
    "rows",
)
LISTS = ("orders", "history", "positions", "closed", "fees")


def control(simulator: Simulator, request: Request) -> object:
    """Answer one control request. Raise Refusal for an invalid one."""
    what = request.path.removeprefix("/__control").strip("/")
    try:
        return (
            _look(simulator, what)
            if request.method == "GET"
            else _act(simulator, what, request.body)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(400, f"{what}: {error}") from None


def _look(simulator: Simulator, what: str) -> object:
    exchange, now = simulator.exchange, simulator.now()
    match what:
        case "orders":
            return simulator.orders
        case "accounts":
            seen = {name: exchange.settled(name, now) for name in list(exchange.accounts)}
            return {
                name: {
                    "balance": str(each.balance),
                    "locked": str(each.locked),
                    "closed": born(each.closed, NEVER),
                    "positions": [
                        position.row(each.legs(position.id)) for position in each.positions.values()
                    ],
                    "working": [
                        order.row()
                        for order in each.orders
                        if order.status in ("CREATED", "PARTIALLY_FILLED")
                    ],
                }
                for name, each in seen.items()
            }
        case "wallets":
            return {
                name: {
                    "balance": str(each.balance),
                    "locked": str(each.locked),
                    "total": str(each.total),
                    "changes": each.wallet,
                }
                for name, each in {
                    name: exchange.settled(name, now) for name in list(exchange.accounts)
                }.items()
            }
        case "counts":
            return simulator.counts
        case "faults":
            return {"rules": [asdict(each) for each in simulator.faults.rules], "known": KINDS}
        case "switches":
            return asdict(exchange.switches)
        case _:
            return {"environment": "simulated", "paths": PATHS}


def _act(simulator: Simulator, what: str, body: Mapping[str, Any]) -> object:
    exchange, now = simulator.exchange, simulator.now()
    match what:
        case "faults":
            simulator.faults.rules = [read_rule(each, now) for each in body["rules"]]
            return {"rules": len(simulator.faults.rules), "known": list(KINDS)}
        case "switches":
            exchange.switch(**body)
            return asdict(exchange.switches)
        case "price":
            exchange.set_price(
                body["symbol"],
                None if body.get("price") is None else number(dict(body), "price"),
                now,
            )
            return {
                "symbol": body["symbol"],
                "price": str(exchange.world.prices.at(body["symbol"], now)),
            }
        case "liquidate":
            exchange.liquidate(body["account"], body["symbol"], now)
            return {"liquidated": body["symbol"]}
        case "rotate":
            exchange.rotate(body["account"], body["key"])
            return {"account": body["account"], "rotated": True}
        case "clock":
            simulator.skew_s = float(body["skew_s"])
            return {"skew_s": simulator.skew_s}
        case "funding":
            return {"accounts": exchange.fund(body["symbol"], number(dict(body), "rate"), now)}
        case "funds":
            return _set_funds(exchange, body, now)
        case "owner":
            return act(exchange, body, now)
        case "transfer":
            return transfer(exchange, body["account"], number(dict(body), "amount"), now)
        case "rows":
            return _put_rows(exchange, body, now)
        case _:
            raise Refusal(404, f"expected one of {', '.join(PATHS)}, found {what!r}")


def _set_funds(exchange: Exchange, body: Mapping[str, Any], now: float) -> object:
    account = exchange.settled(exchange.name_of(body["account"]), now)
    if "balance" in body:
        transfer(exchange, body["account"], number(dict(body), "balance") - account.balance, now)
    for name in ("spot", "inr"):
        if name in body:
            setattr(account, name, Decimal(str(body[name])))
    return {"balance": str(account.balance), "spot": str(account.spot), "inr": str(account.inr)}


def _put_rows(exchange: Exchange, body: Mapping[str, Any], now: float) -> object:
    name = exchange.name_of(body["account"])
    if body["list"] not in LISTS:
        raise ValueError(f"expected a list among {', '.join(LISTS)}, found {body['list']!r}")
    exchange.settled(name, now).strange[body["list"]] = list(body["rows"])
    exchange.keep(name, exchange.accounts[name])
    return {"list": body["list"], "rows": len(body["rows"])}
