"""Notifier ``telegram``: one message per alert, from a bot to one chat.

The bot's token is in a file of its own (mode 0600). Messages are plain text, so no text of an alert
can act as markup. A failed delivery raises, and the outbox tries again; a message may therefore
arrive twice, with the same number.
"""

from collections.abc import Callable, Mapping
from typing import Final

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
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {
    "bot_token_file": "",  # absolute path of a file with the bot's token
    "chat_id": "",  # the chat that gets the messages, such as "123456789"
    "only_waking": False,  # true: only alerts that wake somebody
    "base_url": "https://api.telegram.org",
}
CHARACTERS_MAX: Final = 4_000


class NotDelivered(RexAlgoError):
    """Raised when the service did not take the message. Its text never contains the token, which is
    part of the address.
    """


class TelegramNotifier:
    """A notifier that sends each alert to one chat."""

    name = "telegram"

    def __init__(self, token: Secret, chat_id: str, base_url: str, *, only_waking: bool) -> None:
        self._token = token
        self._chat_id = chat_id
        self._base_url = base_url
        self._only_waking = only_waking

    async def deliver(self, alert: Alert, http: HttpClients) -> None:
        """Send the message. Raise NotDelivered with the service's own words."""
        if self._only_waking and not alert.wakes:
            return
        client = http(self._base_url)
        body = {
            "chat_id": self._chat_id,
            "text": message(alert),
            "disable_notification": not alert.wakes,
        }
        try:
            answer = await client.post(f"/bot{self._token.reveal()}/sendMessage", json=body)
        except (
            Exception
        ) as error:  # its text may carry the address, and the address carries the token
            raise NotDelivered(f"the service cannot be reached: {type(error).__name__}") from None
        if answer.status_code == 200:
            return
        raise NotDelivered(f"the service answered {answer.status_code}: {_words(answer.content)}")


def message(alert: Alert) -> str:
    """Return an alert as a message: what happened first, then what to type."""
    head = f"{'WAKE UP: ' if alert.wakes else ''}{alert.sentence}"
    lines = [
        head,
        f"Done: {alert.done}",
        f"Type: {alert.do}",
        f"Otherwise: {alert.otherwise}",
        f"{alert.code.value} #{alert.number}",
    ]
    return "\n".join(lines)[:CHARACTERS_MAX]


def _words(content: bytes) -> str:
    return "".join(
        each if each.isprintable() else " " for each in content[:200].decode("utf-8", "replace")
    )


@hookimpl
def register_notifiers(
    register: Callable[[Notifier], None], settings: Mapping[str, object]
) -> None:
    """Register the notifier. Raise InvalidValue for invalid settings."""
    chat_id, base_url, only_waking = (
        settings["chat_id"],
        settings["base_url"],
        settings["only_waking"],
    )
    if not isinstance(chat_id, str) or not chat_id.lstrip("-@").replace("_", "").isalnum():
        raise InvalidValue(
            "plugin.telegram.chat_id", 'a chat such as "123456789" or "@channel"', chat_id
        )
    if not isinstance(base_url, str) or not (
        base_url.startswith("https://") or is_loopback(base_url)
    ):
        raise InvalidValue("plugin.telegram.base_url", "an https address", base_url)
    if not isinstance(only_waking, bool):
        raise InvalidValue("plugin.telegram.only_waking", "true or false", only_waking)
    token = read_secret_file(settings["bot_token_file"], "plugin.telegram.bot_token_file")
    register(TelegramNotifier(token, chat_id, base_url.rstrip("/"), only_waking=only_waking))
