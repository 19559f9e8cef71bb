"""The built-in personal channels: the form of each, and which failures prove that nothing arrived."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import trio

from engine.domain.network import LOOPBACK
from engine.plugin.api import (
    Delivery,
    InvalidValue,
    Message,
    NotTaken,
    PersonalChannel,
    Secret,
    verify_signatures,
)
from engine.transport.personal_delivery import with_client
from plugins import smtp, telegram, webhook_out
from tests.plugins.test_notifiers import SECRET, server

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
MESSAGE = Message(
    id="message-7", title="bob: open BTCUSDT filled", text="trend: all of it.", at=AT, kind="orders"
)
AGAIN = replace(MESSAGE, is_repeated=True, is_urgent=True)


def channel(name: str) -> Any:
    return next(each for each in webhook_out.CHANNELS if each.name == name)


async def send(way: PersonalChannel, target: Mapping[str, str], message: Message) -> None:
    await with_client(lambda http: way.send(target, message, http), LOOPBACK)


async def test_a_webhook_is_signed_and_its_repetition_has_the_same_id() -> None:
    async with server() as there:
        target = {"address": f"http://127.0.0.1:{there.port}/me?x=1", "secret": SECRET}
        await send(channel("webhook"), target, MESSAGE)
        await send(channel("webhook"), target, AGAIN)
        for number, (path, headers, body) in enumerate(there.seen):
            assert path == "/me?x=1"
            now = datetime.now(UTC)
            delivery = Delivery(
                body=body, headers=tuple(headers.items()), received_at=now, peer="127.0.0.1"
            )
            proven = verify_signatures(delivery, [Secret(SECRET)], now)
            assert proven.dedupe_key == "message-7"
            told = json.loads(body)
            assert (told["kind"], told["is_repeated"]) == ("orders", number == 1)


async def test_ntfy_is_told_in_words_with_its_priority_and_token() -> None:
    async with server() as there:
        target = {"address": f"http://127.0.0.1:{there.port}/topic", "token": "tk_1"}
        await send(channel("ntfy"), target, MESSAGE)
        await send(channel("ntfy"), {**target, "token": ""}, AGAIN)
        (_, first, body), (_, second, again) = there.seen
        assert (first["authorization"], first["priority"]) == ("Bearer tk_1", "3")
        assert ("authorization" in second, second["priority"]) == (False, "5")
        assert body.decode().startswith("bob: open BTCUSDT filled\n")
        assert again.decode().startswith("You may have this already.\nbob: open")


@pytest.mark.parametrize(
    ("status", "is_certain"), [(400, True), (403, True), (429, True), (500, False), (503, False)]
)
async def test_only_a_refusal_proves_that_nothing_arrived(status: int, is_certain: bool) -> None:
    ways: list[tuple[PersonalChannel, str]] = [
        (channel("webhook"), "/"),
        (channel("ntfy"), "/"),
    ]
    async with server() as there:
        there.status = status
        base = f"http://127.0.0.1:{there.port}"
        bot = telegram.TelegramChannel(Secret("123:token"), base)
        targets = [
            *((way, {"address": base + path, "secret": SECRET, "token": ""}) for way, path in ways),
            (bot, {"chat": "7", "shown": "bob"}),
        ]
        for way, target in targets:
            with pytest.raises(Exception, match=str(status)) as caught:
                await send(way, target, MESSAGE)
            assert isinstance(caught.value, NotTaken) == is_certain, way.name
            assert "token" not in str(caught.value)
            assert SECRET not in str(caught.value)


async def test_what_was_never_written_is_certain_and_what_broke_off_is_not() -> None:
    async def breaks_off(stream: trio.SocketStream) -> None:
        await stream.receive_some(10_000)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, breaks_off, [listener])
        for address, is_certain in (
            (f"http://127.0.0.1:{port}", False),
            ("http://127.0.0.1:1", True),
        ):
            bot = telegram.TelegramChannel(Secret("123:token"), address)
            for way, target in (
                (channel("ntfy"), {"address": address}),
                (bot, {"chat": "7", "shown": "bob"}),
            ):
                with pytest.raises(Exception) as caught:  # noqa: PT011 (which one is asserted)
                    await send(way, target, MESSAGE)
                assert isinstance(caught.value, NotTaken) == is_certain, (way.name, address)
                assert "token" not in str(caught.value)
        nursery.cancel_scope.cancel()


def test_a_mail_for_one_person_has_no_header_of_its_text_and_keeps_its_id() -> None:
    hostile = replace(MESSAGE, title="bob\r\nBcc: eve@example.org", is_urgent=True)
    mail = smtp.personal_mail(hostile, "rex@example.org", "bob@example.org")
    assert (mail["To"], mail["Bcc"]) == ("bob@example.org", None)
    assert (
        mail["Message-ID"]
        == smtp.personal_mail(
            replace(hostile, is_repeated=True), "rex@example.org", "bob@example.org"
        )["Message-ID"]
    )


@pytest.mark.parametrize(
    ("name", "given", "field"),
    [
        ("webhook", {"address": "http://example.org/", "secret": SECRET}, "address"),
        ("webhook", {"address": "https://example.org/\r\nX: y", "secret": SECRET}, "address"),
        ("webhook", {"address": "https://bob@example.org/", "secret": SECRET}, "address"),
        ("webhook", {"address": "https://exämple.org/", "secret": SECRET}, "address"),
        ("webhook", {"address": "https://example.org:99999/", "secret": SECRET}, "address"),
        ("webhook", {"address": "https:///x", "secret": SECRET}, "address"),
        ("webhook", {"address": "https://example.org/", "secret": "whsec_AAAA"}, "secret"),
        ("ntfy", {"address": "https://ntfy.sh/x", "token": "a\r\nb: c"}, "token"),
        ("ntfy", {"address": "file:///etc/passwd", "token": ""}, "address"),
    ],
)
def test_what_cannot_be_used_is_named_by_its_field(
    name: str, given: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidValue) as caught:
        channel(name).target(given)
    assert caught.value.field == field


def test_a_page_shows_no_secret_of_a_target() -> None:
    assert channel("ntfy").shown({"address": "https://ntfy.sh/a-secret-topic"}) == "ntfy.sh"
    mail = smtp.EmailChannel(Any, "rex@example.org")  # type: ignore[arg-type]  # no server is asked
    assert mail.shown({"address": "bob@example.org"}) == "b…@example.org"
