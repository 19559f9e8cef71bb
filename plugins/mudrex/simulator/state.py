"""The SIMULATED exchange's durable record: a file of one JSON object per line, replayed at the next
start.

``event`` is ``accepted`` (an order, on the disk before any answer; tests read it) or ``changed``
(the current orders, and the account without them). The last line about an order or an account is
valid. A kill may leave an incomplete last line, which is ignored.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from plugins.mudrex.simulator.values import Account, Order, Position

_LISTS = ("closed", "fees", "wallet")


def accepted_row(name: str, order: Order) -> dict[str, object]:
    """Return an accepted order for the record: its wire row, with the exact quantity and whether it
    only reduces.
    """
    return {
        "account": name,
        "reduce_only": order.reduce_only,
        **order.row(),
        "quantity": str(order.quantity),
    }


class Record:
    """An append-only file, or nothing if there is no file."""

    def __init__(self, file: Path | None) -> None:
        self._handle = (
            None if file is None else os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        )
        self._written: dict[str, dict[str, int]] = {}

    def knows(self, name: str, account: Account) -> None:
        """Record that this account's closed positions, fees and wallet changes are in the file
        already.
        """
        self._written[name] = {each: len(getattr(account, each)) for each in _LISTS}

    def write(
        self, name: str, account: Account, orders: Sequence[Order], row: Mapping[str, object] | None
    ) -> None:
        """Write a change. ``row`` is an accepted order, which is on the disk when this returns."""
        if self._handle is None:
            return
        seen = self._written.setdefault(name, dict.fromkeys(_LISTS, 0))
        line: dict[str, object] = (
            {"event": "changed"} if row is None else {"event": "accepted", **row}
        )
        plain = {
            each.name: getattr(account, each.name)
            for each in fields(Account)
            if each.name not in ("orders", *_LISTS)
        }
        line |= {"name": name, "state": plain, "orders": [asdict(each) for each in orders]}
        for each in _LISTS:
            rows = getattr(account, each)
            line[each], seen[each] = rows[seen[each] :], len(rows)
        os.write(self._handle, json.dumps(line, default=_plain).encode() + b"\n")
        if row is not None:
            os.fdatasync(self._handle)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, Position):
        return asdict(value)
    raise TypeError(f"cannot write {value!r}")


def replay(file: Path) -> tuple[dict[str, Account], list[dict[str, object]]]:
    """Return the accounts and the accepted orders of the file, or nothing without a file. Raise
    ValueError for an older form.
    """
    accounts: dict[str, Account] = {}
    accepted: list[dict[str, object]] = []
    for line in _lines(file):
        if line["event"] == "accepted":
            accepted.append(
                {
                    key: value
                    for key, value in line.items()
                    if key not in ("event", "name", "state", "orders", *_LISTS)
                }
            )
        before = accounts.get(line["name"])
        orders = {} if before is None else {each.id: each for each in before.orders}
        orders |= {each["id"]: _made(Order, each) for each in line["orders"]}
        state = line["state"]
        lists = {
            each: [*(getattr(before, each) if before else ()), *line.get(each, ())]
            for each in _LISTS
        }
        accounts[line["name"]] = Account(
            balance=Decimal(state["balance"]),
            spot=Decimal(state["spot"]),
            inr=Decimal(state["inr"]),
            leverage={symbol: Decimal(each) for symbol, each in state["leverage"].items()},
            orders=list(orders.values()),
            positions={
                symbol: _made(Position, each) for symbol, each in state["positions"].items()
            },
            client_order_ids=set(state["client_order_ids"]),
            freed=[(when, Decimal(amount)) for when, amount in state["freed"]],
            strange=state.get("strange", {}),
            **lists,
        )
    return accounts, accepted


def _lines(file: Path) -> Iterable[dict[str, Any]]:
    if not file.exists():
        return
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if "event" not in line:
            raise ValueError(
                f"state {file}: expected a file of this version, found lines of an older one; "
                "give another file"
            )
        yield line


def _made(kind: type[Any], table: Mapping[str, Any]) -> Any:
    exact = {each.name for each in fields(kind) if each.type in (Decimal, Decimal | None)}
    return kind(
        **{
            name: Decimal(value) if name in exact and value is not None else value
            for name, value in table.items()
        }
    )
