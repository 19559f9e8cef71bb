"""The channels telegram and webhook_out against real servers on this machine: what they send, and
what follows a refusal.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h11
import pytest
import trio

from engine.domain.network import LOOPBACK
from engine.transport.alert_delivery import deliver
from plugins import telegram, webhook_out
from rexalgo import Alert, AlertCode, Delivery, InvalidValue, Notifier, Secret, verify_signatures

AT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
WAKING = Alert(
    9,
    AlertCode.CREDENTIALS_REFUSED,
    "ann",
    AT,
    {"problem": "expired", "positions": "LONG 1 BTCUSDT"},
)
QUIET = Alert(
    10, AlertCode.RESIDUE, "ann", AT, {"quantity": "1", "symbol": "BTCUSDT", "cause": "too small"}
)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Server:
    """A server that answers every request with ``status`` and records it."""

    def __init__(self) -> None:
        self.status = 200
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.port = 0

    async def handle(self, stream: trio.SocketStream) -> None:
        wire, body = h11.Connection(h11.SERVER), b""
        head: Any = None
        async with stream:
            while True:
                event = wire.next_event()
                if event is h11.NEED_DATA:
                    wire.receive_data(await stream.receive_some(65_536))
                elif isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    headers = {name.decode(): value.decode() for name, value in head.headers}
                    self.seen.append((head.target.decode(), headers, body))
                    answer = (
                        h11.Response(status_code=self.status, headers=[("content-length", "2")]),
                        h11.Data(data=b"no"),
                        h11.EndOfMessage(),
                    )
                    await stream.send_all(b"".join(wire.send(part) or b"" for part in answer))
                    return
                else:
                    return


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        made.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, made.handle, listeners)
        yield made
        nursery.cancel_scope.cancel()


def secret_file(folder: Path, text: str, mode: int = 0o600) -> str:
    file = folder / "secret"
    file.write_text(text + "\n", encoding="utf-8")
    file.chmod(mode)
    return str(file)


def registered(plugin: Any, **settings: object) -> Notifier:
    found: list[Notifier] = []
    plugin.register_notifiers(found.append, {**plugin.default_settings, **settings})
    return found[0]


async def test_telegram_sends_plain_words_and_tells_the_token_to_nobody(tmp_path: Path) -> None:
    async with server() as there:
        file = secret_file(tmp_path, "123:token")
        notifier = registered(
            telegram, bot_token_file=file, chat_id="-77", base_url=f"http://127.0.0.1:{there.port}"
        )
        await deliver(notifier, WAKING, LOOPBACK)
        target, _, body = there.seen[0]
        sent = json.loads(body)
        assert target == "/bot123:token/sendMessage"
        assert (sent["chat_id"], sent["disable_notification"]) == ("-77", False)
        assert sent["text"].startswith("URGENT: ann: the exchange refuses the key (expired)")
        there.status = 429
        with pytest.raises(telegram.NotDelivered, match="429") as caught:
            await deliver(notifier, WAKING, LOOPBACK)
        assert "token" not in str(caught.value)


async def test_an_unreachable_telegram_does_not_show_its_address(tmp_path: Path) -> None:
    file = secret_file(tmp_path, "123:token")
    notifier = registered(telegram, bot_token_file=file, chat_id="7", base_url="http://127.0.0.1:1")
    with pytest.raises(telegram.NotDelivered) as caught:
        await deliver(notifier, QUIET, LOOPBACK)
    assert "token" not in str(caught.value)


async def test_webhook_out_is_signed_so_that_a_receiver_can_verify_it(tmp_path: Path) -> None:
    async with server() as there:
        url = f"http://127.0.0.1:{there.port}/hook?place=1"
        notifier = registered(
            webhook_out, url=url, secret_file=secret_file(tmp_path, SECRET), only_waking=True
        )
        await deliver(notifier, QUIET, LOOPBACK)
        assert there.seen == []
        await deliver(notifier, WAKING, LOOPBACK)
        target, headers, body = there.seen[0]
        assert target == "/hook?place=1"
        raw = tuple(headers.items())
        delivery = Delivery(body=body, headers=raw, received_at=datetime.now(UTC), peer="127.0.0.1")
        assert (
            verify_signatures(delivery, [Secret(SECRET)], datetime.now(UTC)).dedupe_key == "alert-9"
        )
        told = json.loads(body)
        assert (told["code"], told["wakes"], told["number"]) == ("credentials_refused", True, 9)
        there.status = 500
        with pytest.raises(webhook_out.NotDelivered, match="500"):
            await deliver(notifier, WAKING, LOOPBACK)


async def test_services_get_their_own_form_and_no_error_has_their_address(tmp_path: Path) -> None:
    hostile = replace(QUIET, details={**QUIET.details, "cause": "@everyone <!channel> & more"})
    async with server() as there:
        files = {}
        for name in ("discord", "slack", "ntfy"):
            (tmp_path / name).mkdir()
            files[f"{name}_url_file"] = secret_file(
                tmp_path / name, f"http://127.0.0.1:{there.port}/{name}/capability"
            )
        found: list[Notifier] = []
        webhook_out.register_notifiers(
            found.append,
            {
                **webhook_out.default_settings,
                **files,
                "ntfy_token_file": secret_file(tmp_path, "tk_secret"),
            },
        )
        assert [each.name for each in found] == ["discord", "slack", "ntfy"]
        for each in found:
            await deliver(each, hostile, LOOPBACK)
        discord, slack, ntfy = there.seen
        assert [each[0] for each in there.seen] == [
            "/discord/capability",
            "/slack/capability",
            "/ntfy/capability",
        ]
        assert json.loads(discord[2])["allowed_mentions"] == {"parse": []}
        assert "&lt;!channel&gt; &amp; more" in json.loads(slack[2])["text"]
        assert (ntfy[1]["priority"], ntfy[1]["authorization"]) == ("3", "Bearer tk_secret")
        assert ntfy[2].decode().startswith("ann: 1 BTCUSDT could not be closed")
        await deliver(found[2], WAKING, LOOPBACK)
        assert there.seen[-1][1]["priority"] == "5"
        there.status = 404
        for each in found:
            with pytest.raises(webhook_out.NotDelivered, match="found 404") as caught:
                await deliver(each, QUIET, LOOPBACK)
            assert "capability" not in str(caught.value)
    with pytest.raises(webhook_out.NotDelivered) as caught:
        await deliver(found[0], QUIET, LOOPBACK)
    assert "capability" not in str(caught.value)


@pytest.mark.parametrize(
    ("plugin", "settings", "field"),
    [
        (
            webhook_out,
            {"discord_url_file": "SECRET"},
            "plugin.webhook_out.discord_url_file",
        ),
        (
            telegram,
            {"chat_id": "7", "bot_token_file": "relative"},
            "plugin.telegram.bot_token_file",
        ),
        (
            telegram,
            {"chat_id": "7", "bot_token_file": "/nowhere/at/all"},
            "plugin.telegram.bot_token_file",
        ),
        (telegram, {"chat_id": "no chat", "bot_token_file": "SECRET"}, "plugin.telegram.chat_id"),
        (
            telegram,
            {"chat_id": "7", "bot_token_file": "SECRET", "base_url": "http://example.org"},
            "plugin.telegram.base_url",
        ),
        (
            telegram,
            {
                "chat_id": "7",
                "bot_token_file": "SECRET",
                "base_url": "http://127.0.0.1:@example.org",
            },
            "plugin.telegram.base_url",
        ),
        (
            webhook_out,
            {"url": "http://localhost:x@example.org/", "secret_file": "SECRET"},
            "plugin.webhook_out.url",
        ),
        (
            webhook_out,
            {"url": "http://example.org", "secret_file": "SECRET"},
            "plugin.webhook_out.url",
        ),
        (
            webhook_out,
            {"url": "https://example.org", "secret_file": "SECRET", "only_waking": "yes"},
            "plugin.webhook_out.only_waking",
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(
    plugin: Any, settings: dict[str, object], field: str, tmp_path: Path
) -> None:
    file = secret_file(tmp_path, SECRET)
    with pytest.raises(InvalidValue) as caught:
        registered(
            plugin,
            **{name: file if value == "SECRET" else value for name, value in settings.items()},
        )
    assert caught.value.field == field


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="mode 0600"):
        registered(telegram, chat_id="7", bot_token_file=secret_file(tmp_path, "123:token", 0o644))
