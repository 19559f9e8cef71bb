"""Bugs for a copy of the completed example (tests/journeys/completed_exchange.py): likely mistakes
of a new adapter.
"""

from typing import Final

from tests.seeded.bug import Bug

FILE: Final = "completed_exchange.py"
HTTP: Final = (
    'http = context.http(self._base_url, {KEY_HEADER: login.credentials["secret"].reveal()})'
)
OWN_MARKET: Final = "Market(httpx.AsyncClient(base_url=self._base_url), context.clock)"
BUGS: Final = (
    Bug(
        "HTTP clients of its own, where no fault reaches",
        FILE,
        HTTP,
        "http = httpx.AsyncClient(base_url=self._base_url, headers={KEY_HEADER: "
        'login.credentials["secret"].reveal()})',
        (
            ("Market(context.http(self._base_url), context.clock)", OWN_MARKET),
            ("import json\n", "import json\n\nimport httpx\n"),
        ),
    ),
    Bug(
        "partial exits are not reduce-only",
        FILE,
        '"reduceOnly": order.reduce_only,',
        '"reduceOnly": order.whole_position,',
    ),
    Bug(
        "an address is told from its beginning",
        FILE,
        "return Environment.SIMULATED if is_loopback(self._base_url)",
        'return Environment.SIMULATED if self._base_url.startswith(("http://127.", '
        '"http://localhost", "https://localhost"))',
    ),
    Bug(
        "resting orders are not found",
        FILE,
        "return OrderHistory(orders, not unread, unread)",
        "return OrderHistory(tuple(each for each in orders if each.status is not "
        "OrderStatus.OPEN), not unread, unread)",
    ),
    Bug(
        "a cancel takes back every order of the contract",
        FILE,
        '        answer = await self._http.delete(f"/orders/{exchange_order_id}")',
        "        for each in (await self.fetch_account()).open_orders:\n            await "
        'self._http.delete(f"/orders/{each.exchange_order_id}")\n        answer = await '
        'self._http.delete(f"/orders/{exchange_order_id}")',
    ),
    Bug(
        "leverage is cut to a whole number",
        FILE,
        '"leverage": plain(order.leverage),',
        '"leverage": str(int(order.leverage)),',
    ),
    Bug(
        "an id that was used before is taken for a refusal",
        FILE,
        "if 400 <= status < 500 and status != 409:",
        "if 400 <= status < 500:",
    ),
    Bug(
        "the first account's client serves every account",
        FILE,
        HTTP,
        'http = self.__dict__.setdefault("_http", context.http(self._base_url, {KEY_HEADER: '
        'login.credentials["secret"].reveal()}))',
    ),
    Bug(
        "the newest account's client serves every account",
        FILE,
        "        return Connection(http, context.clock)",
        "        opened = self.__dict__.setdefault('_opened', [])\n        "
        "opened.append(Connection(http, context.clock))\n        "
        "for each in opened:\n            each._http = http\n        return opened[-1]",
    ),
    Bug(
        "setting protection swallows what failed",
        FILE,
        "        if answer.status_code != 204:\n            raise judge(answer.status_code, "
        "answer.content)\n\n    async def aclose",
        "\n    async def aclose",
    ),
    Bug(
        "sizes are counted in contracts, not in the base asset",
        FILE,
        'KEY_HEADER = "X-Api-Key"\n',
        'KEY_HEADER = "X-Api-Key"\nSIZES = {"BTCUSDT": Decimal("0.001"), "DOGEUSDT": Decimal(1)}\n',
        (
            (
                'filled = Decimal(row["filled"])',
                'filled = Decimal(row["filled"]) / SIZES[row["symbol"]]',
            ),
            (
                'quantity=Quantity(Decimal(row["size"])),',
                'quantity=Quantity(Decimal(row["size"]) / SIZES[row["symbol"]]),',
            ),
            (
                "quantity=Quantity(abs(size)),",
                'quantity=Quantity(abs(size) / SIZES[row["symbol"]]),',
            ),
            ('quantity_step=Quantity(Decimal(row["lot"])),', "quantity_step=Quantity(Decimal(1)),"),
            ('quantity_min=Quantity(Decimal(row["lot"])),', "quantity_min=Quantity(Decimal(1)),"),
            (
                '"size": plain(order.quantity),',
                '"size": plain(order.quantity * SIZES[order.symbol]),',
            ),
        ),
    ),
    Bug(
        "the mark price of everything is 1",
        FILE,
        'Price(Decimal(row["mark"]))',
        "Price(Decimal(1))",
    ),
    Bug(
        "prices of another contract",
        FILE,
        'row = await read(self._http, "/ticker", symbol=symbol)',
        'row = await read(self._http, "/ticker", symbol=min(symbols))',
    ),
    Bug(
        "contracts whose reading fails are none",
        FILE,
        'found = rows((await read(self._http, "/contracts"))["contracts"])',
        'try:\n            found = rows((await read(self._http, "/contracts"))["contracts"])\n    '
        "    except Exception:\n            found = []",
    ),
    Bug(
        "orders older than the account are hidden: since is cut to whole minutes",
        FILE,
        "since=str(int(since.timestamp() * 1000))",
        "since=str(int(since.timestamp() // 60 * 60_000) + 60_000)",
    ),
    Bug(
        "one unreadable row stops every other",
        FILE,
        "            unreadable.append(",
        "            raise ExchangeError('unreadable') from error\n            unreadable.append(",
    ),
    Bug(
        "a row that cannot be read is no row",
        FILE,
        "return tuple(values), tuple(unreadable)",
        "return tuple(values), ()",
    ),
    Bug(
        "the smallest order is told too small",
        FILE,
        'notional_min=Money(Decimal(row["minNotional"]))',
        'notional_min=Money(Decimal(row["minNotional"]) / 4)',
    ),
    Bug(
        "an unknown status is read as cancelled",
        FILE,
        'status=STATES[row["state"]],',
        'status=STATES.get(row["state"], OrderStatus.CANCELLED),',
    ),
    Bug(
        "an unknown side is read as a sell",
        FILE,
        'side=SIDES[row["side"]],',
        'side=SIDES.get(row["side"], OrderSide.SELL),',
    ),
)
