"""Webhook source ``tradingview``: alerts of TradingView, which can neither sign nor set headers.

An alert is authenticated by the address it was sent to (``rexalgo.AddressSource``). That is weaker
than a signature, because anybody who reads the address can send. So the sender's IP address must
also be one of TradingView's own (setting ``addresses``; the host believes a proxy about it only if
the operator trusts that proxy). ``authenticate`` and ``parse`` are pure. Every input ends in a
SignalDraft, NotAuthentic or InvalidValue.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Final

from plugins.tradingview.alert import read_alert
from plugins.tradingview.messages import MESSAGES, STRATEGY_MESSAGE
from rexalgo import (
    AddressGuide,
    Authenticated,
    Delivery,
    EndpointSetting,
    InvalidValue,
    NotAuthentic,
    ReadyMessage,
    Secret,
    SignalDraft,
    Symbol,
    WebhookSource,
    capability_key,
    hookimpl,
    verify_capability,
)

rexalgo_api_version = 1
ADDRESSES = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")
"""The addresses that TradingView publishes for its alerts."""
default_settings: Mapping[str, object] = {"addresses": list(ADDRESSES)}
SELL: Final = EndpointSetting(
    "sell",
    "A bare order of the opposite side, for example sell BTCUSDT while long",
    (("close", "closes the position"), ("reverse", "reverses the position")),
    "The messages below carry the position before and after each order; they do what it says, "
    "whichever you choose here.",
)


class TradingView:
    """A webhook source that authenticates and parses alerts; pure, without state."""

    name = "tradingview"
    guide = AddressGuide(
        title="TradingView",
        about="It works only from TradingView’s own addresses.",
        paste="In TradingView: create an alert on your strategy, tick Webhook URL and paste the "
        "address; put this into Message:",
        message=STRATEGY_MESSAGE,
        hint="One message for every order of a strategy script. The same text sent again within "
        "60 s counts as a duplicate. timenow is when the alert fired: an entry that arrives too "
        "late is not copied.",
    )
    endpoint_settings = (SELL,)

    def __init__(self, addresses: Sequence[str] = ADDRESSES) -> None:
        self._addresses = frozenset(addresses)

    def new_secret(self) -> Secret:
        """Return the hash of a random token: a dummy key for an address that does not exist."""
        return capability_key(secrets.token_urlsafe(32))

    def authenticate(
        self, delivery: Delivery, keys: Sequence[Secret], now: datetime
    ) -> Authenticated:
        """Compare the token's hash with every key in constant time, then check the sender's
        address. Raise NotAuthentic.
        """
        proof = verify_capability(delivery, keys)
        if delivery.peer not in self._addresses:
            raise NotAuthentic
        return proof

    def parse(self, delivery: Delivery, proof: Authenticated) -> SignalDraft:
        """Parse an alert's text, JSON or plain. Raise InvalidValue with the field. Called only
        after ``authenticate``.
        """
        return read_alert(
            delivery.body,
            delivery.received_at,
            reverses=delivery.settings.get(SELL.name) == "reverse",
        )

    def ready_messages(self, symbol: Symbol) -> Sequence[ReadyMessage]:
        """Return a message for each kind of strategy, with what TradingView makes of it."""
        return [each.ready(symbol) for each in MESSAGES]

    def example(self, symbol: Symbol, *, is_exit: bool) -> str:
        """Return the shortest alert that closes, or the message that does whatever a script does."""
        return f"close {symbol}" if is_exit else STRATEGY_MESSAGE


@hookimpl
def register_signal_sources(
    register: Callable[[WebhookSource], None], settings: Mapping[str, object]
) -> None:
    """Register the source. Raise InvalidValue for an unknown setting or an invalid address."""
    for unknown in sorted(set(settings) - set(default_settings)):
        raise InvalidValue(
            f"plugin.tradingview.{unknown}", "no such setting: tradingview has only addresses"
        )
    given = settings.get("addresses", list(ADDRESSES))
    if not isinstance(given, list | tuple) or not given:
        raise InvalidValue(
            "plugin.tradingview.addresses", 'a list of addresses such as ["52.89.214.238"]', given
        )
    try:
        register(TradingView([str(ip_address(str(each))) for each in given]))
    except ValueError:
        raise InvalidValue(
            "plugin.tradingview.addresses", 'a list of addresses such as ["52.89.214.238"]', given
        ) from None
