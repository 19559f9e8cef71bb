"""Bugs for a copy of the mudrex adapter: each edits one of its files, and each would lose money or
report something false about it.
"""

from pathlib import Path
from typing import Final

from tests.seeded.bug import Bug

FOLDER: Final = Path("plugins/mudrex")
A, C, Q, P, E, M = (
    "adapter.py",
    "connection.py",
    "requests.py",
    "parsing.py",
    "errors.py",
    "market.py",
)
R, D, X = "rows.py", "readings.py", "exit_proof.py"
ENTRY: Final = (
    'answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), '
    "symbol=order.symbol)"
)
SENT: Final = "        sent = self._clock.now()\n        if self._uses_v2:"
FITS: Final = "fits = shown == (order.symbol, order.position_side.value)"
ERRORS: Final = (
    (
        "    Position,\n",
        "    Position,\n    ReadError,\n    ReadTimeout,\n    RemoteProtocolError,\n",
    ),
)
"""The names that some bugs catch, imported."""
BUGS: Final = (
    # The 30 of the first edition of the kit.
    Bug(
        "wrong side",
        Q,
        '"order_type": order.position_side.value,\n        "quantity": plain(order.quantity),\n   '
        '     "trade',
        '"order_type": "LONG",\n        "quantity": plain(order.quantity),\n        "trade',
    ),
    Bug(
        "quantity through float",
        Q,
        '"quantity": plain(order.quantity),\n        "trade',
        '"quantity": str(float(order.quantity) * 1.0001)[:6],\n        "trade',
    ),
    Bug(
        "quantity doubled",
        Q,
        '"quantity": plain(order.quantity),\n        "trade',
        '"quantity": plain(order.quantity * 2),\n        "trade',
    ),
    Bug("no client order id", Q, '        "client_order_id": order.client_order_id,\n', ""),
    Bug(
        "wrong client order id",
        Q,
        '"client_order_id": order.client_order_id,',
        '"client_order_id": "x" + order.client_order_id[:30],',
    ),
    Bug(
        "swallowed 5xx: taken for a refusal",
        E,
        '    return OutcomeUnknown(f"the exchange answered {status}: {text}")',
        "    return Rejected(text)",
    ),
    Bug(
        "5xx taken for proof",
        E,
        '    return OutcomeUnknown(f"the exchange answered {status}: {text}")',
        "    return NotExecuted(text)",
    ),
    Bug(
        "429 taken for a refusal",
        E,
        "NOT_TAKEN: Final = frozenset({423, TOO_MANY})",
        "NOT_TAKEN: Final = frozenset({423})",
    ),
    Bug(
        "retried POST",
        C,
        ENTRY,
        'answer = await self._write("POST", "/v2/futures/order", requests.entry_v2(order), '
        "symbol=order.symbol)\n            if answer.status_code >= 500:\n                answer "
        '= await self._write("POST", "/v2/futures/order", requests.entry_v2(order), '
        "symbol=order.symbol)",
    ),
    Bug(
        "retried after a reset",
        C,
        ENTRY,
        'try:\n                answer = await self._write("POST", "/v2/futures/order", '
        "requests.entry_v2(order), symbol=order.symbol)\n            except ReadError:\n    "
        '            answer = await self._write("POST", "/v2/futures/order", '
        "requests.entry_v2(order), symbol=order.symbol)",
        ERRORS,
    ),
    Bug(
        "a reset is taken for a refusal",
        C,
        ENTRY,
        'try:\n                answer = await self._write("POST", "/v2/futures/order", '
        "requests.entry_v2(order), symbol=order.symbol)\n            except ReadError:\n    "
        '            raise Rejected("reset") from None',
        ERRORS,
    ),
    Bug(
        "an unreadable acceptance is taken for a refusal",
        C,
        'raise OutcomeUnknown("the exchange accepted the order, but its answer cannot be read") '
        "from None",
        'raise Rejected("cannot be read") from None',
    ),
    Bug(
        "wrong exchange order id",
        C,
        'identifier = str(parsing.data_of(answer.content)["order_id"])',
        'identifier = "1" + str(parsing.data_of(answer.content)["order_id"])',
    ),
    Bug(
        "leverage is not set",
        C,
        'answer = await self._write("POST", path, requests.leverage(order.leverage), '
        'is_symbol="1")',
        "answer = seen",
    ),
    Bug(
        "closes a part where all was meant",
        Q,
        "    if closes_all(row, order):\n",
        "    if False:\n        pass\n    if closes_all(row, order):\n        return "
        'f"{path}/partial", {"trade_currency": CURRENCY, "order_type": "MARKET", "quantity": '
        "plain(order.quantity / 2)}\n    if False:\n",
    ),
    Bug(
        "closes all where a part was meant", Q, "    if closes_all(row, order):\n", "    if True:\n"
    ),
    Bug(
        "stop is not sent",
        Q,
        '    if order.stop_loss is not None:\n        body |= {"is_stoploss"',
        '    if False:\n        body |= {"is_stoploss"',
    ),
    Bug(
        "stop and target exchanged when they are set",
        Q,
        '(("stoploss", wanted.stop_loss), ("takeprofit", wanted.take_profit))',
        '(("takeprofit", wanted.stop_loss), ("stoploss", wanted.take_profit))',
    ),
    Bug(
        "a removed target stays",
        Q,
        "            remove += [] if leg is None else [leg.order_id]\n",
        "            pass\n",
    ),
    Bug(
        "fills are read as floats",
        R,
        "filled_quantity=Quantity(filled),",
        "filled_quantity=float(filled),",
    ),
    Bug(
        "history comes oldest first",
        D,
        "key=lambda each: each.created_at, reverse=True)",
        "key=lambda each: each.created_at)",
    ),
    Bug(
        "history ignores since",
        D,
        "if each.symbol == symbol and each.created_at >= floor]",
        "if each.symbol == symbol]",
    ),
    Bug(
        "cancelled is read as filled",
        R,
        '"CANCELLED": OrderStatus.CANCELLED,',
        '"CANCELLED": OrderStatus.FILLED,',
    ),
    Bug(
        "short positions are read as long",
        R,
        'side = _one_of(row, "order_type", PositionSide.__members__)',
        "side = PositionSide.LONG",
    ),
    Bug(
        "resting orders are not shown",
        C,
        "open_orders=resting.values,",
        "open_orders=(),",
    ),
    Bug(
        "local time without a zone",
        P,
        "return read.astimezone(UTC)",
        "return read.replace(tzinfo=None)",
    ),
    Bug(
        "a list that cannot be read is empty",
        D,
        "            raise ExchangeError(f\"the exchange's answer to {path} cannot be read: "
        '{error}") from None',
        "            return []",
    ),
    Bug(
        "positions are not read",
        C,
        "await self._readings.whole(POSITIONS), self._position)",
        "[], self._position)",
    ),
    Bug(
        "an exit without a position is accepted",
        C,
        'raise Rejected(f"{named} is not open", RejectionKind.POSITION_NOT_OPEN)',
        'raise Rejected(f"{named} is not open")',
    ),
    Bug(
        "a cancelled order is an error",
        C,
        "if answer.status_code != 200 and not is_done:",
        "if answer.status_code != 200:",
    ),
    # What that edition let pass, or was never asked.
    Bug(
        "a read timeout is taken for proof",
        C,
        ENTRY,
        f"try:\n                {ENTRY}\n            except ReadTimeout:\n             "
        "   raise NotExecuted('timed out') from None",
        ERRORS,
    ),
    Bug(
        "a hang-up without an answer is taken for proof",
        C,
        ENTRY,
        f"try:\n                {ENTRY}\n            except RemoteProtocolError:\n          "
        "      raise NotExecuted('closed') from None",
        ERRORS,
    ),
    Bug(
        "503 is taken for proof",
        E,
        "NOT_TAKEN: Final = frozenset({423, TOO_MANY})",
        "NOT_TAKEN: Final = frozenset({423, TOO_MANY, 503})",
    ),
    Bug(
        "a closing call is sent again after 502",
        C,
        'answer = await self._write("POST", path, body)\n        if answer.status_code not in '
        "(200, 202):",
        'answer = await self._write("POST", path, body)\n        if answer.status_code == 502:\n  '
        '          answer = await self._write("POST", path, body)\n        if answer.status_code '
        "not in (200, 202):",
    ),
    Bug(
        "a cancel that failed is taken for done",
        C,
        "if answer.status_code != 200 and not is_done:",
        "if answer.status_code == 401:",
    ),
    Bug(
        "leverage that could not be set is swallowed",
        C,
        "            if answer.status_code != 200:\n                raise _nothing_done(answer)",
        "",
    ),
    Bug(
        "leverage is set once and never again",
        C,
        "leverage_set is not None and leverage_set[0] == order.leverage and now - leverage_set[1] < "
        "timedelta(seconds=LEVERAGE_HOLDS_S)",
        "leverage_set is not None",
    ),
    Bug(
        "protection that failed is taken for set",
        C,
        "            if answer.status_code not in (200, 202):\n                raise "
        "judge_write(answer.status_code, answer.content)\n        if not requests.stands((await "
        "self._held(protection))[0], protection):",
        "        if False:",
    ),
    Bug(
        "stop and target of shorts are exchanged",
        Q,
        "def _attached(order: OrderIntent) -> Body:\n    body: Body = {}\n",
        "def _attached(order: OrderIntent) -> Body:\n    body: Body = {}\n    if order.side.value "
        '== "SELL" and order.stop_loss and order.take_profit:\n        return {"is_stoploss": '
        'True, "stoploss_price": plain(order.take_profit), "is_takeprofit": True, '
        '"takeprofit_price": plain(order.stop_loss)}\n',
    ),
    Bug(
        "orders of shorts are read back as buys",
        R,
        '"SHORT": OrderSide.SELL}',
        '"SHORT": OrderSide.BUY}',
    ),
    Bug(
        "an exit closes the first position, whichever contract",
        Q,
        FITS,
        'fits = row.get("order_type") == order.position_side.value',
    ),
    Bug(
        "an exit closes whichever side is held",
        Q,
        FITS,
        'fits = row.get("symbol") == order.symbol',
    ),
    Bug(
        "every order row is taken for the asked contract",
        D,
        "        matching = [each for each in read.values if each.symbol == symbol and "
        "each.created_at >= floor]",
        "        from dataclasses import replace\n        matching = [replace(each, symbol=symbol) "
        "for each in read.values if each.created_at >= floor]",
    ),
    Bug(
        "history ends after 20 rows and is called complete",
        D,
        "        past, end = await self._pages(ORDER_HISTORY, _reaches(floor), HISTORY_ROWS)",
        "        past, end = await self.page(ORDER_HISTORY, LEAST_PAGE_ROWS), End.ENOUGH",
    ),
    Bug(
        "orders are created when they are read",
        R,
        'created_at=moment(row["created_at"]),',
        'created_at=datetime.now(__import__("datetime").UTC),',
    ),
    Bug(
        "resting orders that cannot be read are none",
        C,
        "        resting = rows.orders(await self._readings.whole(ORDERS))",
        "        try:\n            resting = rows.orders(await self._readings.whole(ORDERS))\n    "
        "    except Exception:\n            resting = rows.orders([])",
    ),
    Bug(
        "positions whose reading fails are none",
        C,
        '        positions = rows.read_each("position", await self._readings.whole(POSITIONS), '
        "self._position)",
        "        try:\n            listed = await self._readings.whole(POSITIONS)\n        except "
        'ExchangeError:\n            listed = []\n        positions = rows.read_each("position", '
        "listed, self._position)",
    ),
    Bug(
        "free money and total are exchanged",
        P,
        "return Balance(Money(free), Money(free + locked))",
        "return Balance(Money(free + locked), Money(free))",
    ),
    Bug(
        "margin in use is told as free",
        P,
        "return Balance(Money(free), Money(free + locked))",
        "return Balance(Money(free + locked), Money(free + locked))",
    ),
    Bug(
        "an acceptance is told as a fill",
        C,
        "status=OrderStatus.OPEN, filled_quantity=Quantity(Decimal(0)), average_price=None,",
        "status=OrderStatus.FILLED, filled_quantity=order.quantity,\n"
        "            average_price=Price(Decimal(1)),",
    ),
    Bug(
        "exits are read back as entries",
        R,
        "reduce_only=False if has_id else None if opening is None else side is not opening,",
        "reduce_only=False,",
    ),
    Bug(
        "a part that filled is told as the whole",
        R,
        "filled_quantity=Quantity(filled),",
        'filled_quantity=Quantity(number(row, "quantity") if filled else filled),',
    ),
    Bug(
        "one key for all accounts",
        A,
        "        http = context.http(self._settings.base_url, headers)",
        "        http = self._shared.readers[0] if self._shared.readers else "
        "context.http(self._settings.base_url, headers)",
    ),
    Bug(
        "prices ten times too high",
        M,
        'price = Price(parsing.number(row, "price"))',
        'price = Price(parsing.number(row, "price") * 10)',
    ),
    Bug(
        "the running candle is given as closed",
        P,
        "if each.opened_at.timestamp() + each.interval_s <= now_s][-count:]",
        "][-count:]",
    ),
    Bug(
        "candles come newest first",
        P,
        "if each.opened_at.timestamp() + each.interval_s <= now_s][-count:]",
        "if each.opened_at.timestamp() + each.interval_s <= now_s][-count:][::-1]",
    ),
    Bug(
        "two orders at once are mixed up",
        C,
        SENT,
        "        self._now = order\n        await trio.sleep(0.01)\n        order = "
        f"self._now\n{SENT}",
    ),
    Bug(
        "the key stands in an error text",
        C,
        "        if answer.status_code != 202:\n            raise judge_write",
        '        if answer.status_code == 502:\n            raise OutcomeUnknown(f"no answer to a '
        'request by {self._http._inner._prepare}")\n        if answer.status_code != 202:\n   '
        "         raise judge_write",
    ),
    Bug(
        "every address is told as simulated",
        A,
        "Environment.SIMULATED if is_loopback(self._settings.base_url) else Environment.LIVE",
        "Environment.SIMULATED",
    ),
    Bug(
        "fees are promised and never told",
        D,
        "return FeeHistory(tuple(reports),",
        "return FeeHistory((),",
    ),
    # What proves an exit, whole lists, money, and rows that nobody can read.
    Bug(
        "another position's row is believed",
        X,
        "(each.position_id, each.symbol, each.side) == (self.position_id, self._order.symbol, "
        "self._order.side)",
        "(each.symbol, each.side) == (self._order.symbol, self._order.side)",
    ),
    Bug(
        "an opening row is believed",
        X,
        "(each.position_id, each.symbol, each.side) == (self.position_id, self._order.symbol, "
        "self._order.side)",
        "(each.position_id, each.symbol) == (self.position_id, self._order.symbol)",
        (("each.closed_by is ClosedBy.ORDER or", "True or"),),
    ),
    Bug(
        "a row of another quantity is believed",
        X,
        "is_close and each.quantity == self._quantity and",
        "is_close and",
    ),
    Bug(
        "a page that was cut is called complete",
        D,
        "is_whole = end is End.ENOUGH or (end is End.REPEATED and len(past) < LEAST_PAGE_ROWS)",
        "is_whole = True",
    ),
    Bug(
        "a rebate is told as paid",
        R,
        "-stated if kind is FeeKind.REBATE",
        "stated if kind is FeeKind.REBATE",
    ),
    Bug(
        "the tax is counted twice",
        R,
        'stated if currency == "USDT" else stated + tax',
        "stated + tax",
    ),
    Bug(
        "one unreadable row stops every other",
        R,
        "            unread.append(_unread(what, row, error))",
        '            raise ValueError("unreadable") from error',
    ),
    Bug(
        "an unreadable row is left out without a word",
        R,
        "            unread.append(_unread(what, row, error))",
        "            pass",
    ),
    Bug(
        "unreadable positions are left out without a word",
        C,
        "positions.unreadable + resting.unreadable",
        "resting.unreadable",
    ),
    Bug(
        "a history with an unreadable row is called complete",
        D,
        "is_whole and not unreadable",
        "is_whole",
    ),
    Bug(
        "orders name their own id as the position",
        R,
        "        position_id=position_of(row),\n        closed_by",
        "        position_id=_id(row),\n        closed_by",
    ),
    Bug(
        "a closed position is named by the row's own id",
        R,
        'position_id=named if isinstance(named, str) else "",',
        "position_id=_id(row),",
    ),
    Bug(
        "every closed position is told as liquidated",
        R,
        '{"CLOSED": None,',
        '{"CLOSED": ClosedBy.LIQUIDATION,',
    ),
    Bug(
        "closed positions are told at their entry price",
        R,
        "exit_price=Price(closed) if closed > 0 else None,",
        'exit_price=Price(_positive(row, "entry_price") * 2),',
    ),
    Bug(
        "an exit closes the owner's position in place of ours",
        Q,
        'return fits and order.position_id in ("", rows.id_of_position(row))',
        "return fits",
    ),
    Bug(
        "a whole exit takes what the owner added",
        Q,
        "held is not None and held <= order.quantity",
        "held is not None",
    ),
    Bug(
        "a whole exit of what shrank asks for more than is there",
        Q,
        "held is not None and held <= order.quantity",
        "held is not None and held == order.quantity",
    ),
    Bug(
        "our stop is set on the owner's position in place of ours",
        C,
        "        for step in requests.protection_steps(",
        "        from dataclasses import replace\n        protection = replace(protection, "
        'position_id="")\n        for step in requests.protection_steps(',
    ),
)
