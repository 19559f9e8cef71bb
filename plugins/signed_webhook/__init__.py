"""Webhook source ``signed_webhook``: deliveries signed with a shared secret, as RexAlgo, Standard Webhooks or
both.

``authenticate`` works on raw bytes and headers; ``parse`` reads the body of an authenticated
delivery (``body.py``). Every input ends in a SignalDraft, NotAuthentic or InvalidValue, and in
nothing else. Its setting ``window_a_s`` is how many seconds the timestamp of a RexAlgo signature may differ
from now (30 to 900).
"""

import base64
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from plugins.signed_webhook.body import BODY_BYTES_MAX, read_body, read_draft, read_idempotency_key
from plugins.signed_webhook.schema import body_schema
from rexalgo import (
    SIGNATURE_HEADER,
    WINDOW_A_S,
    WINDOW_A_S_MAX,
    WINDOW_A_S_MIN,
    Authenticated,
    Delivery,
    InvalidValue,
    NotAuthentic,
    Secret,
    SignalDraft,
    Symbol,
    WebhookSource,
    hookimpl,
    sign_a,
    verify_signatures,
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {"window_a_s": WINDOW_A_S}

__all__ = [
    "BODY_BYTES_MAX",
    "SignedWebhook",
    "default_settings",
    "register_signal_sources",
    "rexalgo_api_version",
]


class SignedWebhook:
    """A webhook source that verifies and parses signed deliveries; pure, without state."""

    name = "signed_webhook"

    def __init__(self, window_a_s: int = WINDOW_A_S) -> None:
        self._window_a_s = window_a_s

    def new_secret(self) -> Secret:
        """Return ``whsec_`` + base64 of 32 random bytes; also used as the dummy key of an endpoint
        that does not exist.
        """
        return Secret("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())

    def authenticate(
        self, delivery: Delivery, keys: Sequence[Secret], now: datetime
    ) -> Authenticated:
        """Verify every signature of both kinds, then the time. Raise NotAuthentic, whatever the
        cause.

        With the headers of both kinds, ``webhook-id`` must also equal the body's
        ``idempotency_key``. That is checked last, once the body is proven to come from a holder of
        the key.
        """
        proof = verify_signatures(delivery, keys, now, self._window_a_s)
        has_both = proof.dedupe_key is not None and delivery.header(SIGNATURE_HEADER.lower())
        if has_both and _carries_other_id(delivery.body, proof.dedupe_key):
            raise NotAuthentic
        return proof

    def parse(self, delivery: Delivery, proof: Authenticated) -> SignalDraft:
        """Parse the body, version 1. Raise InvalidValue with the field. Called only after
        ``authenticate``.

        The RexAlgo signature requires ``idempotency_key`` in the body. In Standard Webhooks ``webhook-id`` replaces it,
        and a key in the body must equal it.
        """
        needs_key = bool(delivery.header(SIGNATURE_HEADER.lower()))
        return read_draft(read_body(delivery.body), proof.dedupe_key, needs_key)

    def body_schema(self) -> dict[str, object]:
        """Return the JSON Schema of a body in its plain form."""
        return body_schema()

    def example(self, symbol: Symbol, *, is_exit: bool) -> str:
        """Return the shortest body that closes or opens."""
        rest = '"action": "close"' if is_exit else '"action": "open", "side": "LONG"'
        return f'{{"idempotency_key": "A-NEW-ID-EACH-TIME", {rest}, "symbol": "{symbol}"}}'


def _carries_other_id(body: bytes, signed_id: str | None) -> bool:
    try:
        key = read_idempotency_key(read_body(body))
    except InvalidValue:
        # the sender is proven; ``parse`` reads the same body and reports what is wrong with it
        return False
    return key is not None and key != signed_id


@hookimpl
def register_signal_sources(
    register: Callable[[WebhookSource], None], settings: Mapping[str, object]
) -> None:
    """Register the source. Raise InvalidValue for an unknown setting or a window outside 30 to 900
    seconds.
    """
    for unknown in sorted(set(settings) - set(default_settings)):
        raise InvalidValue(
            f"plugin.signed_webhook.{unknown}",
            "no such setting: signed_webhook has only window_a_s",
        )
    window = settings.get("window_a_s", WINDOW_A_S)
    if type(window) is not int or not WINDOW_A_S_MIN <= window <= WINDOW_A_S_MAX:
        raise InvalidValue(
            "plugin.signed_webhook.window_a_s",
            f"a whole number from {WINDOW_A_S_MIN} to {WINDOW_A_S_MAX}",
            window,
        )
    register(SignedWebhook(window))


sign_for_kit = sign_a
"""The signature of a sender, for the kit of signal sources."""
body_for_kit = b'{"idempotency_key":"kit-1","action":"open","symbol":"BTCUSDT","side":"LONG"}'
