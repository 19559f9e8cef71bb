"""Notifier ``webhook_out``: one signed POST with JSON per alert, to an address of the operator.

It signs as Standard Webhooks (``webhook-id``, ``webhook-timestamp``, ``webhook-signature``), so any
library of that standard verifies it. The id is the alert's number, so a receiver recognises a
repeated delivery. Any answer but a 2xx is tried again.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from rexalgo import (
    Alert,
    HttpClients,
    InvalidValue,
    Notifier,
    RexAlgoError,
    Secret,
    hookimpl,
    is_loopback,
    read_secret_file,
    sign_b,
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {
    "url": "",  # where alerts are posted; https, or http on this machine
    "secret_file": "",  # absolute path of a file with the secret: whsec_ and base64 of 32 bytes
    "only_waking": False,  # true: only alerts that wake somebody
}


class NotDelivered(RexAlgoError):
    """Raised when the receiver did not take the alert."""


class WebhookNotifier:
    """A notifier that posts each alert to one address."""

    name = "webhook_out"

    def __init__(self, url: str, secret: Secret, *, only_waking: bool) -> None:
        self._url = url
        self._secret = secret
        self._only_waking = only_waking

    async def deliver(self, alert: Alert, http: HttpClients) -> None:
        """Post the alert. Raise NotDelivered unless the answer is 2xx."""
        if self._only_waking and not alert.wakes:
            return
        body = json.dumps(document(alert)).encode()
        signed = sign_b(self._secret, body, f"alert-{alert.number}", datetime.now(UTC))
        parts = urlsplit(self._url)
        client = http(f"{parts.scheme}://{parts.netloc}")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        answer = await client.post(
            path, content=body, headers={**signed, "content-type": "application/json"}
        )
        if not 200 <= answer.status_code < 300:
            raise NotDelivered(
                f"expected a 2xx answer of {parts.netloc}, found {answer.status_code}"
            )


def document(alert: Alert) -> dict[str, object]:
    """Return an alert as a JSON object."""
    return {
        "number": alert.number,
        "code": alert.code.value,
        "subject": alert.subject,
        "at": alert.at.isoformat(),
        "count": alert.count,
        "environment": alert.environment,
        "wakes": alert.wakes,
        "sentence": alert.sentence,
        "done": alert.done,
        "do": alert.do,
        "otherwise": alert.otherwise,
        "details": dict(alert.details),
    }


@hookimpl
def register_notifiers(
    register: Callable[[Notifier], None], settings: Mapping[str, object]
) -> None:
    """Register the notifier. Raise InvalidValue for invalid settings."""
    url, only_waking = settings["url"], settings["only_waking"]
    if not isinstance(url, str) or not (url.startswith("https://") or is_loopback(url)):
        raise InvalidValue(
            "plugin.webhook_out.url", "an https address, or http on this machine", url
        )
    if not isinstance(only_waking, bool):
        raise InvalidValue("plugin.webhook_out.only_waking", "true or false", only_waking)
    secret = read_secret_file(settings["secret_file"], "plugin.webhook_out.secret_file")
    sign_b(
        secret, b"", "check", datetime.now(UTC)
    )  # refuse an invalid secret now, not at the first alert
    register(WebhookNotifier(url, secret, only_waking=only_waking))
