"""Notifier ``telegram``: one message per alert, from a bot to one chat; and personal channel
``telegram``: the same bot for everybody who writes their code to it.

The bot's token is in a file of its own (mode 0600). Messages are plain text, so no text of an alert
can act as markup. A failed delivery raises, and the outbox tries again; a message may therefore
arrive twice, with the same number.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from rexalgo import (
    Alert,
    ChannelField,
    HttpAnswer,
    HttpClients,
    InvalidValue,
    Message,
    Notifier,
    NotSent,
    NotTaken,
    PersonalChannel,
    RexAlgoError,
    Said,
    Secret,
    hookimpl,
    is_loopback,
    read_secret_file,
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {
    "bot_token_file": "",  # absolute path of a file with the bot's token
    "chat_id": "",  # the operator's chat, such as "123456789"; "" for personal channels alone
    "only_waking": False,  # true: only urgent alerts
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


class TelegramChannel:
    """A personal channel: the chat in which somebody wrote their code to the bot."""

    name = "telegram"
    title = "Telegram"
    fields: Sequence[ChannelField] = ()
    calls_address_of_person = False
    repeats = (
        "Telegram cannot tell a repetition, so a message that was being sent when the engine or the "
        "connection ended arrives a second time at most, and begins with “You may have this already”."
    )

    def __init__(self, token: Secret, base_url: str) -> None:
        self._token = token
        self._base_url = base_url

    def target(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Raise InvalidValue: a chat is linked by its code."""
        raise InvalidValue("chat", "a code that is written to the bot", "an entered chat")

    def shown(self, target: Mapping[str, str]) -> str:
        """Return the chat's own name."""
        return target["shown"]

    async def send(self, target: Mapping[str, str], message: Message, http: HttpClients) -> None:
        """Send the message. Raise NotTaken with the service's own words."""
        body = {
            "chat_id": target["chat"],
            "text": message.words[:CHARACTERS_MAX],
            "disable_notification": not message.is_urgent,
        }
        await self._call("sendMessage", body, http)

    async def invitation(self, code: str, http: HttpClients) -> str:
        """Return the address that opens a chat with the bot and writes the code there."""
        bot = (await self._call("getMe", {}, http)).get("username", "")
        return f"https://t.me/{quote(str(bot), safe='')}?start={code}"

    async def heard(self, after: int, http: HttpClients) -> tuple[int, Sequence[Said]]:
        """Return what was written to the bot since an update."""
        asked = {"offset": after, "timeout": 0, "allowed_updates": ["message"]}
        updates = await self._call("getUpdates", asked, http)
        said = []
        for update in updates if isinstance(updates, list) else ():
            after = max(after, int(update["update_id"]) + 1)
            written = update.get("message") or {}
            chat, text = written.get("chat") or {}, written.get("text")
            if isinstance(chat.get("id"), int) and isinstance(text, str):
                named = str(
                    chat.get("username") or chat.get("title") or chat.get("first_name") or ""
                )
                shown = "".join(each for each in named if each.isprintable())[:40]
                said.append(Said({"chat": str(chat["id"]), "shown": shown or "a chat"}, text[:200]))
        return after, said

    async def _call(self, method: str, body: dict[str, object], http: HttpClients) -> Any:
        try:
            answer = await http(self._base_url).post(
                f"/bot{self._token.reveal()}/{method}", json=body
            )
        except NotSent as error:
            raise NotTaken(f"Telegram cannot be reached: {type(error).__name__}") from None
        except Exception as error:  # its text may carry the address, and the address the token
            raise NotDelivered(f"Telegram did not answer: {type(error).__name__}") from None
        if answer.status_code == 200:
            return _result(answer)
        refused = f"Telegram answered {answer.status_code}{_described(answer)}"
        # a server that failed may have sent it all the same
        raise (NotTaken if answer.status_code < 500 else NotDelivered)(refused)


def _described(answer: HttpAnswer) -> str:
    """Return why the service refused, in its own words; empty without any."""
    try:
        said = answer.json().get("description")
    except (ValueError, AttributeError):
        said = None
    return f": {_words(said.encode(errors='replace'))}" if isinstance(said, str) and said else ""


def _result(answer: HttpAnswer) -> Any:
    try:
        return answer.json().get("result")
    except (ValueError, AttributeError):
        raise NotDelivered("Telegram answered 200 with something that is no answer") from None


def message(alert: Alert) -> str:
    """Return an alert as a message: what happened first, then what to type."""
    head = f"{'URGENT: ' if alert.wakes else ''}{alert.sentence}"
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
    """Register the notifier if the operator's chat is set. Raise InvalidValue for invalid settings."""
    chat_id, only_waking = settings["chat_id"], settings["only_waking"]
    if not isinstance(chat_id, str) or (
        chat_id and not chat_id.lstrip("-@").replace("_", "").isalnum()
    ):
        raise InvalidValue(
            "plugin.telegram.chat_id", 'a chat such as "123456789" or "@channel", or ""', chat_id
        )
    if not isinstance(only_waking, bool):
        raise InvalidValue("plugin.telegram.only_waking", "true or false", only_waking)
    token, base_url = _bot(settings)
    if chat_id:
        register(TelegramNotifier(token, chat_id, base_url, only_waking=only_waking))


@hookimpl
def register_channels(
    register: Callable[[PersonalChannel], None], settings: Mapping[str, object]
) -> None:
    """Register the personal channel. Raise InvalidValue for invalid settings."""
    register(TelegramChannel(*_bot(settings)))


def _bot(settings: Mapping[str, object]) -> tuple[Secret, str]:
    base_url = settings["base_url"]
    if not isinstance(base_url, str) or not (
        base_url.startswith("https://") or is_loopback(base_url)
    ):
        raise InvalidValue("plugin.telegram.base_url", "an https address", base_url)
    token = read_secret_file(settings["bot_token_file"], "plugin.telegram.bot_token_file")
    return token, base_url.rstrip("/")
