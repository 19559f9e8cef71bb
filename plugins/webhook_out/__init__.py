"""Personal channels ``webhook`` (signed JSON) and ``ntfy``, each to an address of the person's own;
and notifiers that post each alert to an address: ``webhook_out`` as signed JSON, and ``discord``,
``slack`` and ``ntfy`` in the form of those services. Each is registered if its address is set.

``webhook_out`` signs as Standard Webhooks (``webhook-id``, ``webhook-timestamp``,
``webhook-signature``), so any library of that standard verifies it. The id is the alert's number, so
a receiver recognises a repeated delivery. The address of a service is its own secret, so it is in a
file and in no message. Any answer but a 2xx is tried again.
"""

import base64
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from rexalgo import (
    Alert,
    ChannelField,
    HttpClients,
    InvalidValue,
    Message,
    Notifier,
    NotSent,
    NotTaken,
    PersonalChannel,
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
    "discord_url_file": "",  # absolute path of a file with the webhook's address at Discord
    "slack_url_file": "",  # absolute path of a file with the incoming webhook's address at Slack
    "ntfy_url_file": "",  # absolute path of a file with the topic's address, such as https://ntfy.sh/TOPIC
    "ntfy_token_file": "",  # absolute path of a file with an access token of ntfy; "" for none
    "only_waking": False,  # true: only urgent alerts
}
_DISCORD_CHARACTERS_MAX: Final = 2_000
_SLACK_CHARACTERS_MAX: Final = 3_000
_NTFY_BYTES_MAX: Final = 4_000
_TITLE_CHARACTERS_MAX: Final = 120

Post = tuple[bytes, dict[str, str]]
"""The content and the headers of one request."""


class NotDelivered(RexAlgoError):
    """Raised when the receiver did not take the alert. Its text never contains the address."""


@dataclass(frozen=True, slots=True)
class PostNotifier:
    """A notifier that posts each alert to one address, in the form that ``posted`` gives it."""

    name: str
    address: Secret
    posted: Callable[[Alert], Post]
    only_waking: bool

    async def deliver(self, alert: Alert, http: HttpClients) -> None:
        """Post the alert. Raise NotDelivered unless the answer is 2xx."""
        if self.only_waking and not alert.wakes:
            return
        content, headers = self.posted(alert)
        parts = urlsplit(self.address.reveal())
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            client = http(f"{parts.scheme}://{parts.netloc}")
            answer = await client.post(path, content=content, headers=headers)
        except Exception as error:  # its text may carry the address
            raise NotDelivered(
                f"{parts.hostname} cannot be reached: {type(error).__name__}"
            ) from None
        if not 200 <= answer.status_code < 300:
            raise NotDelivered(
                f"expected a 2xx answer of {parts.hostname}, found {answer.status_code}"
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


def words(alert: Alert) -> str:
    """Return an alert as plain text: what happened first, then what to type."""
    return (
        f"{'URGENT: ' if alert.wakes else ''}{alert.sentence}\nDone: {alert.done}\n"
        f"Type: {alert.do}\nOtherwise: {alert.otherwise}\n{alert.code.value} #{alert.number}"
    )


def signed(secret: Secret, alert: Alert) -> Post:
    """Return an alert as Standard Webhooks has it."""
    body = json.dumps(document(alert)).encode()
    headers = sign_b(secret, body, f"alert-{alert.number}", datetime.now(UTC))
    return body, {**headers, "content-type": "application/json"}


def for_discord(alert: Alert) -> Post:
    """Return an alert for Discord, which mentions nobody whatever the text says."""
    body = {"content": words(alert)[:_DISCORD_CHARACTERS_MAX], "allowed_mentions": {"parse": []}}
    return json.dumps(body).encode(), {"content-type": "application/json"}


def for_slack(alert: Alert) -> Post:
    """Return an alert for Slack, with the three characters escaped by which a text becomes markup."""
    text = words(alert)[:_SLACK_CHARACTERS_MAX]
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, escaped)
    return json.dumps({"text": text}).encode(), {"content-type": "application/json"}


def for_ntfy(token: Secret | None, alert: Alert) -> Post:
    """Return an alert for ntfy: priority 5 makes a phone ring in silent mode."""
    title = alert.code.value.replace("_", " ")[:_TITLE_CHARACTERS_MAX]
    headers = {
        "content-type": "text/plain; charset=utf-8",
        "title": f"RexAlgo: {title}",
        "priority": "5" if alert.wakes else "3",
    }
    if token is not None:
        headers["authorization"] = f"Bearer {token.reveal()}"
    return words(alert).encode()[:_NTFY_BYTES_MAX].decode(errors="ignore").encode(), headers


@dataclass(frozen=True, slots=True)
class PostChannel:
    """A personal channel that posts each message to an address, in the form that ``posted`` gives
    it with what the person entered.
    """

    name: str
    title: str
    fields: Sequence[ChannelField]
    repeats: str
    posted: Callable[[Mapping[str, str], Message], Post]
    calls_address_of_person: bool = True

    def target(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return what was entered. Raise InvalidValue unless it can be used."""
        address = given["address"]
        if not address.startswith("https://") or not address.isprintable() or " " in address:
            raise InvalidValue("address", "an https address", "another form")
        try:
            parts = urlsplit(address)
            is_usable = bool(parts.hostname) and parts.username is None and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable or not address.isascii():
            raise InvalidValue("address", "an https address without a user name", "another form")
        example = Message(id="check", title="", text="", at=datetime.now(UTC))
        _, headers = self.posted(given, example)  # refuses a secret that cannot be used
        if not all(each.isascii() and each.isprintable() for each in headers.values()):
            raise InvalidValue("token", "ASCII characters", "others")
        return given

    def shown(self, target: Mapping[str, str]) -> str:
        """Return the host: the rest of the address may be its secret."""
        return urlsplit(target["address"]).hostname or ""

    async def send(self, target: Mapping[str, str], message: Message, http: HttpClients) -> None:
        """Post the message. Raise NotTaken for an answer that refuses it."""
        content, headers = self.posted(target, message)
        parts = urlsplit(target["address"])
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            client = http(f"{parts.scheme}://{parts.netloc}")
            answer = await client.post(path, content=content, headers=headers)
        except NotSent as error:
            reason = f"{parts.hostname} cannot be reached: {type(error).__name__}"
            raise NotTaken(reason) from None
        except Exception as error:  # its text may carry the address
            reason = f"{parts.hostname} did not answer: {type(error).__name__}"
            raise NotDelivered(reason) from None
        if not 200 <= answer.status_code < 300:
            refused = f"expected a 2xx answer of {parts.hostname}, found {answer.status_code}"
            raise (NotTaken if answer.status_code < 500 else NotDelivered)(refused)


def _personal_webhook(target: Mapping[str, str], message: Message) -> Post:
    body = json.dumps(
        {
            "id": message.id,
            "kind": message.kind,
            "at": message.at.isoformat(),
            "is_urgent": message.is_urgent,
            "is_repeated": message.is_repeated,
            "title": message.title,
            "text": message.text,
            **message.details,
        }
    ).encode()
    try:
        headers = sign_b(Secret(target["secret"]), body, message.id, datetime.now(UTC))
    except InvalidValue:
        raise InvalidValue("secret", "whsec_ and base64 of 32 bytes", "another form") from None
    return body, {**headers, "content-type": "application/json"}


def _personal_ntfy(target: Mapping[str, str], message: Message) -> Post:
    headers = {
        "content-type": "text/plain; charset=utf-8",
        "title": "RexAlgo",
        "priority": "5" if message.is_urgent else "3",
    }
    if target.get("token"):
        headers["authorization"] = f"Bearer {target['token']}"
    return message.words.encode()[:_NTFY_BYTES_MAX].decode(errors="ignore").encode(), headers


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


CHANNELS: Final[Sequence[PersonalChannel]] = (
    PostChannel(
        name="ntfy",
        title="ntfy",
        fields=(
            ChannelField(
                name="address",
                label="Address of your topic",
                hint="Such as https://ntfy.sh/ and a long name that nobody guesses.",
                is_secret=True,
            ),
            ChannelField(
                name="token",
                label="Access token",
                hint="If the topic needs one.",
                is_secret=True,
                is_optional=True,
            ),
        ),
        repeats=(
            "ntfy cannot tell a repetition, so a message that was being sent when the engine or the "
            "connection ended arrives a second time at most, and begins with “You may have this "
            "already”."
        ),
        posted=_personal_ntfy,
    ),
    PostChannel(
        name="webhook",
        title="Webhook",
        fields=(
            ChannelField(name="address", label="Your https address", is_secret=True),
            ChannelField(
                name="secret",
                label="Signing secret",
                hint="Copy it to your receiver, which verifies signatures of Standard Webhooks.",
                suggested=_new_secret,
            ),
        ),
        repeats=(
            "A repetition has the same webhook-id, and is_repeated is true: a receiver that keeps the "
            "ids acts on each message once."
        ),
        posted=_personal_webhook,
    ),
)


@hookimpl
def register_channels(
    register: Callable[[PersonalChannel], None], settings: Mapping[str, object]
) -> None:
    """Register the personal channels: they need no settings."""
    for channel in CHANNELS:
        register(channel)


@hookimpl
def register_notifiers(
    register: Callable[[Notifier], None], settings: Mapping[str, object]
) -> None:
    """Register each notifier whose address is set. Raise InvalidValue for invalid settings."""
    only_waking = settings["only_waking"]
    if not isinstance(only_waking, bool):
        raise InvalidValue("plugin.webhook_out.only_waking", "true or false", only_waking)
    token = (
        read_secret_file(settings["ntfy_token_file"], "plugin.webhook_out.ntfy_token_file")
        if settings["ntfy_token_file"]
        else None
    )
    forms: Mapping[str, Callable[[Alert], Post]] = {
        "discord": for_discord,
        "slack": for_slack,
        "ntfy": lambda alert: for_ntfy(token, alert),
    }
    services = [each for each in forms if settings[f"{each}_url_file"]]
    if settings["url"]:
        register(_signing(settings, only_waking=only_waking))
    for name in services:
        field = f"plugin.webhook_out.{name}_url_file"
        address = read_secret_file(settings[f"{name}_url_file"], field)
        if not _is_usable(address.reveal()):
            raise InvalidValue(
                field, "a file with an https address, or http on this machine", "another form"
            )
        register(PostNotifier(name, address, forms[name], only_waking))


def _signing(settings: Mapping[str, object], *, only_waking: bool) -> PostNotifier:
    url = settings["url"]
    if not isinstance(url, str) or not _is_usable(url):
        raise InvalidValue(
            "plugin.webhook_out.url", "an https address, or http on this machine", url
        )
    secret = read_secret_file(settings["secret_file"], "plugin.webhook_out.secret_file")
    sign_b(
        secret, b"", "check", datetime.now(UTC)
    )  # refuse an invalid secret now, not at the first alert
    return PostNotifier(
        "webhook_out", Secret(url), lambda alert: signed(secret, alert), only_waking
    )


def _is_usable(url: str) -> bool:
    if not url.isprintable() or " " in url:
        return False
    return url.startswith("https://") or is_loopback(url)
