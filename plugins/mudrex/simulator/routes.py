"""Routes of the SIMULATED exchange: from path and method to a call of the exchange, in the order of
its reference. No HTTP here.
"""

from collections.abc import Mapping
from typing import Any, Final

from plugins.mudrex.simulator.contracts import CONTRACTS, Contract
from plugins.mudrex.simulator.exchange import Exchange
from plugins.mudrex.simulator.messages import Request
from plugins.mudrex.simulator.pages import SHORT_PAGE, born, decoys_of, paged, with_strange
from plugins.mudrex.simulator.values import WORKING, Account, Order, Refusal, number

STEPS_S: Final[Mapping[str, int]] = {
    "1m": 60,
    "3t": 180,
    "5t": 300,
    "10t": 600,
    "15t": 900,
    "30t": 1_800,
    "1h": 3_600,
    "4h": 14_400,
    "6h": 21_600,
    "12h": 43_200,
    "1d": 86_400,
    "1w": 604_800,
    "1mth": 2_592_000,
}
ASSETS_MAX: Final = 25
CANDLES_MAX: Final = 1_440


def route(exchange: Exchange, request: Request, now: float, fate: str) -> tuple[int, Any]:
    """Answer one request of a key, or of nobody if the path is public. Raise Refusal."""
    if request.path in ("/fapi/v1/price/kline", "/fapi/v1/price/mark-kline"):
        return 200, _klines(exchange, request, now)
    account = exchange.account(request.key, now)
    if request.path == "/fapi/v2/futures/order":
        if not exchange.switches.v2_orders:
            raise Refusal(404, "requested resource was not found")
        if request.method != "POST":
            raise Refusal(405, "method not allowed")
        return 202, exchange.place(
            request.key, request.body, now, request.first("symbol"), version=2, fate=fate
        )
    if request.path == "/fapi/v1/wallet/funds":
        return 200, _wallet(account, request)
    rest = request.path.removeprefix("/fapi/v1/futures")
    if rest == request.path:
        raise Refusal(404, "requested resource was not found", bare=True)
    parts = rest.strip("/").split("/")
    match parts[0]:
        case "orders":
            return _orders(exchange, request=request, account=account, parts=parts[1:], now=now)
        case "positions":
            return _positions(
                exchange, request=request, account=account, parts=parts[1:], now=now, fate=fate
            )
        case _:
            return _futures(
                exchange, request=request, account=account, parts=parts, now=now, fate=fate
            )


def _futures(
    exchange: Exchange, request: Request, account: Account, parts: list[str], now: float, fate: str
) -> tuple[int, Any]:
    match request.method, parts:
        case "GET", ["ping"]:
            return 200, "pong"
        case "GET", [""]:
            newest_listed_first = [
                exchange.asset_row(each, now) for each in reversed(CONTRACTS.values())
            ]
            return 200, paged(newest_listed_first, request, exchange.switches, SHORT_PAGE)
        case "GET", ["funds"]:
            if request.first("trade_currency", "USDT") == "INR":
                return 200, {
                    "balance": str(account.inr),
                    "locked_amount": "0",
                    "first_time_user": False,
                }
            return 200, {
                "balance": str(account.balance),
                "locked_amount": str(account.locked),
                "first_time_user": False,
            }
        case "GET", ["fee", "history"]:
            fees = with_strange("fees", born(account.fees, now), account, exchange.switches)
            return 200, paged(fees, request, exchange.switches, SHORT_PAGE)
        case "GET", [asset]:
            return 200, exchange.asset_row(_asset(asset, request), now)
        case _, [asset, "leverage"]:
            return 200, _leverage(exchange, request=request, account=account, asset=asset, now=now)
        case "POST", [asset, "order"]:
            symbol = _asset(asset, request).symbol
            return 202, exchange.place(request.key, request.body, now, symbol, version=1, fate=fate)
        case _:
            raise Refusal(404, "requested resource was not found")


def _orders(
    exchange: Exchange, request: Request, account: Account, parts: list[str], now: float
) -> tuple[int, Any]:
    switches = exchange.switches

    def row(order: Order) -> dict[str, object]:
        return order.row(
            shows_client_order_id=switches.rows_carry_client_order_id,
            as_text=switches.numbers_as_text,
        )

    seen = [each for each in account.orders if each.visible_from <= now]
    match request.method, parts:
        case "GET", []:
            working = [row(each) for each in reversed(seen) if each.status in WORKING]
            return 200, paged(with_strange("orders", working, account, switches), request, switches)
        case "GET", ["history"]:
            newest_first = sorted(seen, key=lambda each: each.created, reverse=True)
            past = [
                each
                for each in newest_first
                if switches.history_shows_working or each.status not in WORKING
            ]
            shown = [
                every
                for each in past
                for every in [
                    *(decoys_of(row(each)) if switches.decoys and each.by == "close" else ()),
                    row(each),
                ]
            ]
            history = with_strange(
                "history", with_strange("orders", shown, account, switches), account, switches
            )
            return 200, paged(history, request, switches, meaning=switches.history_offset)
        case "GET", ["detail"]:
            return 200, row(_detail(exchange, request, seen))
        case "GET", [order_id]:
            return 200, row(exchange.order(request.key, order_id, now)[1])
        case "PATCH", [order_id]:
            exchange.amend(request.key, order_id, request.body, now)
            return 200, {"message": "Order updated successfully"}
        case "DELETE", [order_id]:
            exchange.cancel(request.key, order_id, now)
            return 200, {"message": "", "order_id": "", "status": ""}
        case _:
            raise Refusal(405, "method not allowed")


def _detail(exchange: Exchange, request: Request, seen: list[Order]) -> Order:
    wanted, client = request.first("order_id"), request.first("client_order_id")
    for each in seen:
        by_client = (
            bool(client)
            and each.client_order_id == client
            and exchange.switches.detail_finds_client_order_id
        )
        if each.id == wanted or by_client:
            return each
    raise Refusal(404, "order not found")


def _positions(
    exchange: Exchange, request: Request, account: Account, parts: list[str], now: float, fate: str
) -> tuple[int, Any]:
    key, body = request.key, request.body
    match request.method, parts:
        case "GET", []:
            open_ = [each.row(account.legs(each.id)) for each in account.positions.values()]
            return 200, paged(
                with_strange("positions", open_, account, exchange.switches),
                request,
                exchange.switches,
            ) or None
        case "GET", ["history"]:
            closed = with_strange(
                "closed", born(account.closed, now, by_opening=True), account, exchange.switches
            )
            return 200, paged(closed, request, exchange.switches)
        case "POST", [position_id, "close"]:
            exchange.close(key, position_id, None, now, fate)
            return 200, {"position_id": position_id, "status": "CREATED", "message": "OK"}
        case "POST", [position_id, "close", "partial"]:
            exchange.close(key, position_id, number(body, "quantity"), now, fate)
            return 200, True
        case "POST" | "PATCH", [position_id, "riskorder"] if fate == "drop_protection":
            return 200, {
                "position_id": position_id,
                "status": "CREATED",
                "message": "Risk order placed successfully",
            }
        case "POST", [position_id, "riskorder"]:
            exchange.protect(key, position_id, body, now, amends=False)
            return 200, {
                "position_id": position_id,
                "status": "CREATED",
                "message": "Risk order placed successfully",
            }
        case "PATCH", [position_id, "riskorder"]:
            exchange.protect(key, position_id, body, now, amends=True)
            return 200, {"message": "Risk order amended successfully"}
        case "POST", [position_id, "add-margin"]:
            position = exchange.add_margin(key, position_id, number(body, "margin"), now)
            return 200, {
                "message": "OK",
                "initial_margin": str(position.margin),
                "liquidation_price": str(position.liquidation_price),
                "trade_currency": "USDT",
            }
        case _:
            raise Refusal(405, "method not allowed")


def _leverage(
    exchange: Exchange, request: Request, account: Account, asset: str, now: float
) -> dict[str, object]:
    contract = _asset(asset, request)
    if request.method == "POST":
        exchange.set_leverage(request.key, contract, number(request.body, "leverage"), now)
    elif contract.symbol not in account.leverage:
        raise Refusal(404, "leverage not found")
    return {
        "margin_type": "ISOLATED",
        "leverage": str(account.leverage[contract.symbol]),
        "collateral_currency_id": 0,
    }


def _wallet(account: Account, request: Request) -> dict[str, object]:
    amount = float(account.inr if request.first("currency") == "INR" else account.spot)
    zeros = dict.fromkeys(("rewards", "invested"), 0)
    places = dict.fromkeys(
        ("withdrawable", "coin_investable", "coinset_investable", "vault_investable"), amount
    )
    return {"total": amount, **zeros, **places}


def _klines(exchange: Exchange, request: Request, now: float) -> dict[str, object]:
    assets = [each for each in request.first("assets").split(",") if each]
    if not assets:
        raise Refusal(400, "assets are required")
    if len(assets) > ASSETS_MAX:
        raise Refusal(400, f"allowed assets size is {ASSETS_MAX}")
    step_s = STEPS_S.get(request.first("aggregation"))
    if step_s is None:
        raise Refusal(400, f"{request.first('aggregation')} aggregation not supported")
    start, end = (
        int(number({"n": request.first(name) or 0}, "n")) for name in ("start_time", "end_time")
    )
    if start <= 0 or end <= 0:
        raise Refusal(400, "start and end time should be greater than 0")
    if end <= start:
        raise Refusal(400, "end time should be greater than start time")
    width = 6 if request.path.endswith("/kline") else 5
    ticks = {}
    for asset in assets:
        symbol = asset.replace("/", "").upper()
        if symbol in CONTRACTS:
            candles = exchange.world.prices.candles(symbol, step_s, start, end, now, CANDLES_MAX)
            ticks[asset.lower()] = [each[:width] for each in candles]
    return {"asset_ticks": ticks} if ticks else {}


def _asset(asset: str, request: Request) -> Contract:
    for contract in CONTRACTS.values():
        if asset == (contract.symbol if "is_symbol" in request.query else contract.id):
            return contract
    raise Refusal(404, "Asset not found")
