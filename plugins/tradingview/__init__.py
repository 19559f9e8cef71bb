"""Webhook source ``tradingview``: alerts of TradingView, which can neither sign nor set headers.

An alert is authenticated by the address it was sent to: the host passes the token of that address
in the header ``x-capability-token``, and the token's SHA-256 as the key. That is weaker than a
signature, because anybody who reads the address can send. So the sender's IP address must also be
one of TradingView's own (setting ``addresses``; the host believes a proxy about it only if the
operator trusts that proxy). Both methods are pure. Every input ends in a SignalDraft, NotAuthentic
or InvalidValue.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address

from plugins.tradingview.alert import read_alert
from rexalgo import (
    Authenticated,
    Delivery,
    InvalidValue,
    NotAuthentic,
    Secret,
    SignalDraft,
    WebhookSource,
    hookimpl,
)

rexalgo_api_version = 1
ADDRESSES = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")
"""The addresses that TradingView publishes for its alerts."""
default_settings: Mapping[str, object] = {"addresses": list(ADDRESSES)}
TOKEN_HEADER = "x-capability-token"  # noqa: S105 - the name of a header
SELL_HEADER = "x-endpoint-sell"


class TradingView:
    """A webhook source that authenticates and parses alerts; pure, without state."""

    name = "tradingview"

    def __init__(self, addresses: Sequence[str] = ADDRESSES) -> None:
        self._addresses = frozenset(addresses)

    def new_secret(self) -> Secret:
        """Return the hash of a random token: a dummy key for an address that does not exist."""
        return Secret(hashlib.sha256(secrets.token_bytes(32)).hexdigest())

    def authenticate(
        self, delivery: Delivery, keys: Sequence[Secret], now: datetime
    ) -> Authenticated:
        """Compare the token's hash with every key in constant time, then check the sender's
        address. Raise NotAuthentic.
        """
        tokens = delivery.header(TOKEN_HEADER)
        digest = hashlib.sha256(
            (tokens[0] if tokens else "").encode(errors="surrogatepass")
        ).hexdigest()
        fits = [hmac.compare_digest(digest.encode(), key.reveal().encode()) for key in keys]
        if len(tokens) != 1 or not any(fits) or delivery.peer not in self._addresses:
            raise NotAuthentic
        return Authenticated(key_index=fits.index(True), signed_at=None)

    def parse(self, delivery: Delivery, proof: Authenticated) -> SignalDraft:
        """Parse an alert's text, JSON or plain. Raise InvalidValue with the field. Called only
        after ``authenticate``.
        """
        return read_alert(
            delivery.body,
            delivery.received_at,
            reverses=delivery.header(SELL_HEADER) == ["reverse"],
        )


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
