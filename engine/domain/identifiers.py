"""Identifiers: opaque ids, and the client order id that ties an order at the exchange to its copy.

Ids that people or bots see carry 128 random bits. The ledger's callers create them; nothing here is
random.
"""

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Final, NewType

from engine.domain.errors import InvalidValue

SignalId = NewType("SignalId", str)
CopyId = NewType("CopyId", str)
AccountId = NewType("AccountId", str)
StrategyId = NewType("StrategyId", str)
EndpointId = NewType("EndpointId", str)
PersonId = NewType("PersonId", str)
ReceiptId = NewType("ReceiptId", str)
ClientOrderId = NewType("ClientOrderId", str)
Symbol = NewType("Symbol", str)
"""A contract's name such as BTCUSDT: 4 to 32 characters of A-Z and 0-9."""

CLIENT_ORDER_ID_PREFIX: Final = "rx"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SYMBOL: Final = re.compile(r"[A-Z0-9]{4,32}")
_LISTED_AT: Final = re.compile(r"[A-Z0-9_]+:(?=[A-Z0-9])")
_PERPETUAL: Final = re.compile(r"(?:[._-](?:P|PERP|SWAP)|PERP)\Z")
_PAIR: Final = re.compile(r"([A-Z0-9]+)(?:[/_-]([A-Z0-9]+)(?::([A-Z0-9]+))?)?")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def parse_symbol(value: object, field: str = "symbol") -> Symbol:
    """Read a contract's name; raises InvalidValue unless it is 4 to 32 characters of A-Z and 0-9."""
    if not isinstance(value, str) or not _SYMBOL.fullmatch(value):
        raise InvalidValue(field, "4 to 32 of A-Z and 0-9, such as BTCUSDT", value)
    return Symbol(value)


def read_contract(value: object, field: str = "symbol") -> Symbol:
    """Read a contract's name as charts, libraries and exchanges write it.

    ``BINANCE:BTCUSDT.P``, ``btc-usdt-swap`` and ``BTC/USDT:USDT`` are BTCUSDT. Raises InvalidValue
    for anything but a contract settled in its quote currency: ``BTC/USD:BTC`` is another contract
    than BTCUSD.
    """
    text = value.strip().upper() if isinstance(value, str) and len(value) <= 64 else value
    if not isinstance(text, str):
        return parse_symbol(text, field)
    pair = (
        text
        if "/" in text and ":" not in text.partition("/")[0]
        else _LISTED_AT.sub("", text, count=1)
    )
    whole = _PAIR.fullmatch(_PERPETUAL.sub("", pair))
    if whole is None or whole[3] not in (None, whole[2]):
        raise InvalidValue(
            field, "a contract such as BTCUSDT, BINANCE:BTCUSDT.P, BTC/USDT or BTC-USDT-SWAP", value
        )
    return parse_symbol(whole[1] + (whole[2] or ""), field)


def parse_name(value: object, field: str = "name") -> str:
    """Read a name that a person chose for a master, strategy, follower or plugin; raises
    InvalidValue.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidValue(
            field, "1 to 64 of a-z, 0-9, '_', '.', '-', starting with a letter or digit", value
        )
    if reads_as_former(value):
        raise InvalidValue(
            field, "a name without '.gone', which marks disconnected accounts", value
        )
    return value


_FORMER: Final = ".gone."


def reads_as_former(name: str) -> bool:
    """Return whether a name reads like that of a disconnected account, or would once its own account
    is disconnected.
    """
    return _FORMER in f"{name}."


def former_name(name: str, mark: str) -> str:
    """Return the name that a disconnected account is kept under, which frees its own name."""
    return f"{name}{_FORMER}{mark}"


def former_names(name: str) -> tuple[str, str]:
    """Return bounds between which are the names of disconnected accounts that had a name."""
    return f"{name}{_FORMER}", f"{name}{_FORMER}\uffff"


def own_name(name: str) -> str:
    """Return the name that a disconnected account had while it was connected."""
    return name.rpartition(_FORMER)[0] or name


def copy_id(at: datetime, random: bytes) -> CopyId:
    """Build a copy's id: ``at`` in microseconds, then 72 random bits.

    Ids of one moment are neighbours in the ledger's indexes, so a signal's copies share index pages
    however long the history is.
    """
    return CopyId(f"cp_{(at - _EPOCH) // timedelta(microseconds=1):014x}{random.hex()}")


def client_order_id(copy: CopyId, leg: int) -> ClientOrderId:
    """Derive the client order id of a copy's leg: at most 36 characters of [a-zA-Z0-9-], the same
    for every attempt of an entry.

    ``rx`` followed by 26 base32 characters (130 bits) of SHA-256 over copy id and leg number. It is
    deterministic, so a restarted engine recognises at the exchange what it sent before a crash.
    """
    digest = hashlib.sha256(f"rexalgo/client-order-id/v1|{copy}|{leg}".encode()).digest()
    return ClientOrderId(CLIENT_ORDER_ID_PREFIX + base64.b32encode(digest).decode().lower()[:26])


def exit_client_order_id(copy: CopyId, leg: int, attempt: int) -> ClientOrderId:
    """Derive the client order id of one exit attempt. An exit may repeat once its failure is
    proven, so each attempt has its own id.
    """
    return client_order_id(CopyId(f"{copy}|exit|{attempt}"), leg)
