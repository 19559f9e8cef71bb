"""Webhook source ``tradingview``: alerts of TradingView, which can neither sign nor set headers.

What proves an alert is the address it was sent to (``rexalgo.AddressSource``). It is weaker than a
signature: whoever reads the address can send. So the sender's address must be one of TradingView's
own as well (setting ``addresses``; the host believes a proxy's word only where the operator trusts
that proxy). ``authenticate`` and ``parse`` are pure, and every input ends in a SignalDraft,
NotAuthentic or InvalidValue.
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
"""From where TradingView says that its alerts come."""
default_settings: Mapping[str, object] = {"addresses": list(ADDRESSES)}
SELL: Final = EndpointSetting(
    "sell",
    "A bare order of the other side, such as sell BTCUSDT while long",
    (("close", "closes what is held"), ("reverse", "turns to the other side")),
    "The messages below tell the position before and after each order, and do what it says, "
    "whichever you choose here.",
)


class TradingView:
    """Verify and read alerts; pure, without state."""

    name = "tradingview"
    guide = AddressGuide(
        "TradingView",
        "It is taken from TradingView’s own addresses only.",
        "In TradingView: create an alert on your strategy, tick Webhook URL and paste the address; "
        "put this into Message:",
        STRATEGY_MESSAGE,
        "One message for every order of a strategy script. The same bytes within 60 s are a "
        "repetition. timenow is when the alert fired: an entry that arrives too late is not copied.",
    )
    endpoint_settings = (SELL,)

    def __init__(self, addresses: Sequence[str] = ADDRESSES) -> None:
        self._addresses = frozenset(addresses)

    def new_secret(self) -> Secret:
        """Make the hash of a token of nobody: a dummy key for an address that does not exist."""
        return capability_key(secrets.token_urlsafe(32))

    def authenticate(
        self, delivery: Delivery, keys: Sequence[Secret], now: datetime
    ) -> Authenticated:
        """Compare the address's token with every key in constant time, then look from where it
        came; raises NotAuthentic.
        """
        proof = verify_capability(delivery, keys)
        if delivery.peer not in self._addresses:
            raise NotAuthentic
        return proof

    def parse(self, delivery: Delivery, proof: Authenticated) -> SignalDraft:
        """Read an alert's text, JSON or plain; raises InvalidValue naming the field. Called only
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
    """Register the source; raises InvalidValue for an unknown setting or an address that is none."""
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
