"""SIMULATED exchange: accounts, orders that fill a little later, one netted isolated position per
contract. Time is passed in.

It knows nothing of HTTP. Every rule comes from the exchange's public documentation and published
captures of it; a question that neither answers is a switch (``switches.py``). ``saved`` is called
with every order at its acceptance, before any answer, and after every change.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

from plugins.mudrex.simulator import checks
from plugins.mudrex.simulator.contracts import Contract
from plugins.mudrex.simulator.netting import FEE, Books, pay_funding
from plugins.mudrex.simulator.prices import Prices
from plugins.mudrex.simulator.settling import World, crosses, liquidate, set_leg, settle
from plugins.mudrex.simulator.switches import Switches
from plugins.mudrex.simulator.values import (
    NEVER,
    STOP,
    TARGET,
    WORKING,
    Account,
    Order,
    Position,
    Refusal,
    contract_of,
    number,
)

LATE_S = 6.0
MINTED_BEFORE_S = 0.0025
"""A position gets its id this much earlier than the order that opens it."""
FATES: Final = ("reject_later", "fill_partly", "fill_part_only", "late", "drop_protection")
Saved = Callable[[str, Account, Sequence[Order], bool], None]


def _nothing(_name: str, _account: Account, _orders: Sequence[Order], _accepted: bool) -> None:
    return None


class Exchange:
    """The whole simulated exchange. ``saved(account name, account, orders, accepted)`` stores what
    must survive a restart.
    """

    def __init__(
        self,
        seed: int = 1,
        fill_s: tuple[float, float] = (0.2, 0.8),
        balance: Decimal = Decimal(10_000),
        saved: Saved = _nothing,
        switches: Switches | None = None,
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a simulated market guards nothing
        self._fill_s = fill_s
        self._balance = balance
        self._saved = saved
        self._count = 0
        switches = switches or Switches()
        self.world = World(
            Prices(seed, moves=switches.prices_move),
            Books(switches, self.new_id, random.Random(seed)),  # noqa: S311 - the same
        )
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, str] = {}
        """Current key -> account, for accounts with a rotated key."""
        self.dead_keys: set[str] = set()

    @property
    def switches(self) -> Switches:
        """Return the current switches."""
        return self.world.switches

    def switch(self, **changes: object) -> None:
        """Change switches. Raise ValueError for a wrong one."""
        self.world.books.switches = self.switches.changed(changes)
        self.world.prices.moves = self.world.switches.prices_move

    # Accounts

    def name_of(self, key: str) -> str:
        """Return the account of a key. Refuse a key that is too short, starts with bad, or was
        rotated away.
        """
        if len(key) < 3 or key.startswith("bad") or key in self.dead_keys:
            raise Refusal(401, "Invalid Authentication", 3100)
        return self.keys.get(key, key)

    def account(self, key: str, now: float) -> Account:
        """Return a key's account with everything due applied. An unknown key opens an account."""
        return self.settled(self.name_of(key), now)

    def settled(self, name: str, now: float) -> Account:
        """Return an account by its name after applying everything due."""
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = Account(self._balance)
            account.change(now, "deposit", self._balance)
        touched = settle(account, now, self.world)
        if touched is not None:
            self._saved(name, account, touched, False)
        return account

    def rotate(self, key: str, new_key: str) -> None:
        """Give an account a new key. The old one is refused from now on."""
        name = self.name_of(key)
        self.dead_keys.add(key)
        self.keys[new_key] = name

    def set_price(self, symbol: str, price: Decimal | None, now: float) -> None:
        """Set a contract's price for all accounts (None: it follows its path again) and apply at
        once what that triggers.
        """
        contract_of(symbol)
        for name in list(self.accounts):
            self.settled(name, now)
        self.world.prices.set(symbol, price, now)
        for name in list(self.accounts):
            self.settled(name, now)

    def liquidate(self, key: str, symbol: str, now: float) -> None:
        """Liquidate a position at any price."""
        name = self.name_of(key)
        account = self.settled(name, now)
        position = account.positions.get(symbol)
        if position is None:
            raise Refusal(404, "Position not found")
        legs = list(account.legs(position.id).values())
        self._saved(name, account, [*legs, liquidate(account, position, now, self.world)], False)

    def fund(self, symbol: str, rate: Decimal, now: float) -> int:
        """Charge funding: longs pay ``rate`` of the position's notional, shorts receive it. Return
        the number of accounts.
        """
        price, paid = self.world.prices.at(contract_of(symbol).symbol, now), 0
        for name in list(self.accounts):
            account = self.settled(name, now)
            position = account.positions.get(symbol)
            if position is not None:
                pay_funding(
                    account,
                    position=position,
                    rate=rate,
                    price=price,
                    at=now,
                    books=self.world.books,
                )
                self._saved(name, account, [], False)
                paid += 1
        return paid

    def new_id(self, now: float) -> str:
        """Return a UUID of version 7: its first 48 bits are milliseconds since 1970."""
        self._count += 1
        bits = (
            (int(now * 1000) << 80)
            | (7 << 76)
            | (self._count & 0xFFF) << 64
            | (2 << 62)
            | self._random.getrandbits(62)
        )
        return str(UUID(int=bits))

    # Orders

    def place(
        self,
        key: str,
        body: Mapping[str, object],
        now: float,
        symbol: str,
        *,
        version: int,
        fate: str = "",
    ) -> dict[str, object]:
        """Accept an order. The checks follow the exchange's order: parameters, types, price, step,
        range, leverage, notional, balance.
        """
        account, contract = self.account(key, now), contract_of(symbol)
        cid = body.get("client_order_id") if version == 2 else None
        if cid is not None and cid in account.client_order_ids:
            raise Refusal(409, "client order id already exists")
        trigger, side = _trigger_and_side(body)
        market = self.world.prices.at(symbol, now)
        needs_price = trigger == "LIMIT" or (version == 1 and self.switches.v1_market_needs_price)
        price = checks.price_of(contract, body, market, needed=needs_price)
        quantity = number(body, "quantity")
        checks.quantity(contract, quantity)
        leverage = self._leverage(account, contract, body, version)
        if quantity * price < contract.notional_min:
            raise Refusal(400, "order value less than minimum required value")
        reduce_only = body.get("reduce_only") is True
        position = account.positions.get(symbol)
        reduces = checks.reduces(
            position,
            side,
            quantity,
            is_capped=self.switches.reduce_only_larger_is_capped,
            reduce_only=reduce_only,
        )
        if not reduces and quantity * price / leverage + quantity * price * FEE > account.balance:
            raise Refusal(400, "insufficient balance")
        order = self.new_order(
            account,
            contract=contract,
            side=side,
            trigger=trigger,
            quantity=quantity,
            price=price,
            leverage=leverage,
            now=now,
            fate=fate,
        )
        order.reduce_only, order.client_order_id = reduce_only, None if cid is None else str(cid)
        order.stop = number(body, "stoploss_price") if body.get("is_stoploss") else None
        order.target = number(body, "takeprofit_price") if body.get("is_takeprofit") else None
        if cid is not None:
            account.client_order_ids.add(str(cid))
        self._saved(self.name_of(key), account, [order], True)
        return _acceptance(order, price, version)

    def _leverage(
        self, account: Account, contract: Contract, body: Mapping[str, object], version: int
    ) -> Decimal:
        if version == 1:
            leverage = number(body, "leverage")
            self._set_leverage(account, contract, leverage)
            return leverage
        return account.leverage.get(contract.symbol, Decimal(1))

    def new_order(
        self,
        account: Account,
        contract: Contract,
        side: str,
        trigger: str,
        quantity: Decimal,
        price: Decimal,
        leverage: Decimal,
        now: float,
        fate: str = "",
    ) -> Order:
        """Add an order that fills a little later. A position that it opens has its id already."""
        order = Order(
            id=self.new_id(now),
            symbol=contract.symbol,
            side=side,
            trigger=trigger,
            quantity=quantity,
            price=price,
            leverage=leverage,
            created=now,
            due=NEVER,
        )
        if trigger == "MARKET" or crosses(order, self.world.prices.at(contract.symbol, now)):
            order.due = now + self._random.uniform(*self._fill_s)
        position = account.positions.get(contract.symbol)
        order.position_id = self.new_id(now - MINTED_BEFORE_S) if position is None else position.id
        order.visible_from = now + LATE_S if fate == "late" else now
        order.fate = "" if fate == "late" else fate
        account.orders.append(order)
        return order

    def order(self, key: str, order_id: str, now: float) -> tuple[Account, Order]:
        """Return an order by its id."""
        account = self.account(key, now)
        match = next(
            (each for each in account.orders if each.id == order_id and each.visible_from <= now),
            None,
        )
        if match is None:
            raise Refusal(404, "order not found")
        return account, match

    def cancel(self, key: str, order_id: str, now: float) -> None:
        """Cancel a resting order, or remove a stop or a target. A filled part stays."""
        account, order = self.order(key, order_id, now)
        if order.status not in WORKING:
            raise Refusal(400, "order already " + order.status.lower())
        order.status, order.updated, order.due = "CANCELLED", now, NEVER
        self._saved(self.name_of(key), account, [order], False)

    def amend(self, key: str, order_id: str, body: Mapping[str, object], now: float) -> None:
        """Change a resting order's price and quantity. Both are required."""
        account, order = self.order(key, order_id, now)
        if "quantity" not in body:
            raise Refusal(400, "order quantity out of permissible range")
        if order.status not in WORKING:
            raise Refusal(400, "order already " + order.status.lower())
        contract = contract_of(order.symbol)
        quantity, price = number(body, "quantity"), number(body, "order_price")
        checks.quantity(contract, quantity)
        if price % contract.price_step:
            raise Refusal(400, "order price out of permissible range")
        order.quantity, order.price, order.updated = quantity, price, now
        self._saved(self.name_of(key), account, [order], False)

    # Positions

    def _position(self, key: str, position_id: str, now: float) -> tuple[Account, Position]:
        account = self.account(key, now)
        position = next(
            (each for each in account.positions.values() if each.id == position_id), None
        )
        if position is None:
            raise Refusal(404, "Position not found")
        return account, position

    def close(
        self, key: str, position_id: str, quantity: Decimal | None, now: float, fate: str = ""
    ) -> Order:
        """Close a position, or part of it. Its order appears in the history without a client order
        id.
        """
        try:
            account, position = self._position(key, position_id, now)
        except Refusal:
            raise Refusal(400, "position is not open") from None
        if quantity is not None and quantity >= position.quantity:
            raise Refusal(400, "order quantity out of permissible range")
        order = self.closing_order(
            account, position=position, quantity=quantity, now=now, fate=fate
        )
        self._saved(self.name_of(key), account, [order], True)
        return order

    def closing_order(
        self,
        account: Account,
        position: Position,
        quantity: Decimal | None,
        now: float,
        fate: str = "",
        by: str = "close",
    ) -> Order:
        """Add the order that closes a position or part of it. A switch delays its row."""
        contract = contract_of(position.symbol)
        closing = position.quantity if quantity is None else quantity
        checks.quantity(contract, closing)
        if closing > position.quantity:
            raise Refusal(400, "order quantity out of permissible range")
        price = self.world.prices.at(position.symbol, now)
        order = self.new_order(
            account,
            contract=contract,
            side=position.closing_side,
            trigger="MARKET",
            quantity=closing,
            price=price,
            leverage=position.leverage,
            now=now,
            fate=fate,
        )
        order.reduce_only, order.position_id, order.by = True, position.id, by
        late_s = {"at_once": 0.0, "late": self.switches.closing_row_late_s, "never": NEVER}[
            self.switches.closing_row
        ]
        order.visible_from = max(order.visible_from, now + late_s)
        return order

    def protect(
        self, key: str, position_id: str, body: Mapping[str, object], now: float, *, amends: bool
    ) -> None:
        """Set the stop and target of a whole position, or move them (with the ids of the legs)."""
        account, position = self._position(key, position_id, now)
        legs, wanted = account.legs(position.id), {}
        for kind, flag, name in (
            (STOP, "is_stoploss", "stoploss"),
            (TARGET, "is_takeprofit", "takeprofit"),
        ):
            if not body.get(flag):
                continue
            if amends and (kind not in legs or body.get(f"{name}_order_id") != legs[kind].id):
                raise Refusal(400, "risk order id missing")
            wanted[kind] = number(body, f"{name}_price")
            checks.leg(position, kind, wanted[kind], self.world.prices.at(position.symbol, now))
        if not wanted:
            raise Refusal(400, "Invalid request")
        placed = [
            set_leg(account, position=position, kind=kind, price=price, at=now, world=self.world)
            for kind, price in wanted.items()
        ]
        self._saved(self.name_of(key), account, placed, False)

    def add_margin(self, key: str, position_id: str, margin: Decimal, now: float) -> Position:
        """Add margin to a position; a negative amount removes margin."""
        account, position = self._position(key, position_id, now)
        if margin > account.balance or position.margin + margin <= 0:
            raise Refusal(400, "Insufficient funds")
        account.balance -= margin
        position.added += margin
        self._saved(self.name_of(key), account, [], False)
        return position

    def keep(
        self, name: str, account: Account, orders: Sequence[Order] = (), *, accepted: bool = False
    ) -> None:
        """Store an account, with orders that changed or were accepted."""
        self._saved(name, account, orders, accepted)

    # Settings

    def set_leverage(self, key: str, contract: Contract, leverage: Decimal, now: float) -> None:
        """Set the leverage of a contract."""
        account = self.account(key, now)
        if (
            contract.symbol in account.positions
            and not self.switches.leverage_changes_with_position
        ):
            raise Refusal(400, "leverage cannot be changed while a position is open")
        self._set_leverage(account, contract, leverage)
        self._saved(self.name_of(key), account, [], False)

    def _set_leverage(self, account: Account, contract: Contract, leverage: Decimal) -> None:
        if not 1 <= leverage <= contract.leverage_max or leverage % Decimal("0.01"):
            raise Refusal(400, "leverage out of permissible range")
        account.leverage[contract.symbol] = leverage

    def asset_row(self, contract: Contract, now: float) -> dict[str, object]:
        """Return a contract's row with its current price."""
        return {**contract.row(), "price": str(self.world.prices.at(contract.symbol, now))}


def _trigger_and_side(body: Mapping[str, object]) -> tuple[str, str]:
    trigger, side = body.get("trigger_type"), body.get("order_type")
    if trigger not in ("MARKET", "LIMIT"):
        raise Refusal(400, "invalid trigger type")
    if side not in ("LONG", "SHORT"):
        raise Refusal(400, "invalid order type")
    if str(body.get("trade_currency", "USDT")) not in ("USDT", "INR"):
        raise Refusal(400, "Invalid trade currency")
    return str(trigger), str(side)


def _acceptance(order: Order, price: Decimal, version: int) -> dict[str, object]:
    answer: dict[str, object] = {"order_id": order.id, "status": "CREATED"}
    if version == 2:
        return {**answer, "client_order_id": order.client_order_id}
    return {
        **answer,
        "leverage": str(order.leverage),
        "amount": str(order.quantity * price),
        "quantity": str(order.quantity),
        "price": str(price),
        "message": "OK",
    }
