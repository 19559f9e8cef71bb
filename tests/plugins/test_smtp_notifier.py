"""The channel smtp against a real mail server with TLS on this machine."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from test_notifiers import QUIET, WAKING, secret_file

from engine.domain.network import LOOPBACK, PUBLIC
from engine.transport.alert_delivery import deliver
from engine.transport.personal_delivery import with_client
from plugins import smtp
from rexalgo import InvalidValue, Message, Notifier, NotTaken, PersonalChannel, RexAlgoError

AUTHORITY = trustme.CA()
MESSAGE = Message(id="message-7", title="bob", text="filled", at=WAKING.at)


class MailServer:
    """A server of SMTP that takes one message per connection, or answers as the test sets."""

    def __init__(self, *, starts_tls: bool) -> None:
        self.starts_tls = starts_tls
        self.answers: dict[bytes, bytes] = {}
        self.commands: list[bytes] = []
        self.mails: list[bytes] = []
        self.breaks_off = False
        self.drips_at = b""
        self.threads_of_all: int | None = None
        self.left = trio.Event()
        self.port = 0
        self._trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        AUTHORITY.issue_cert("localhost").configure_cert(self._trust)

    async def handle(self, tcp: trio.SocketStream) -> None:
        stream: Any = tcp
        if not self.starts_tls:
            stream = trio.SSLStream(tcp, self._trust, server_side=True, https_compatible=True)
        try:
            await stream.send_all(b"220 here\r\n")
            await self._talk(stream)
        except (trio.BrokenResourceError, ssl.SSLError):
            await trio.lowlevel.checkpoint()
        finally:
            self.left.set()
            await trio.aclose_forcefully(stream)

    async def _talk(self, stream: Any) -> None:
        held = b""
        while True:
            while b"\r\n" not in held:
                more = await stream.receive_some(65_536)
                if not more:
                    return
                held += more
            line, _, held = held.partition(b"\r\n")
            word = line.split(b" ")[0].upper()
            self.commands.append(line)
            if word == self.drips_at:
                all_threads = trio.to_thread.current_default_thread_limiter()
                self.threads_of_all = all_threads.borrowed_tokens
                while True:
                    await stream.send_all(b"250-wait\r\n")
            if word == b"STARTTLS":
                await stream.send_all(b"220 go on\r\n")
                stream = trio.SSLStream(
                    stream, self._trust, server_side=True, https_compatible=True
                )
                continue
            if word == b"EHLO":
                tls = b"250-STARTTLS\r\n" if self.starts_tls else b""
                answer = b"250-here\r\n" + tls + b"250 AUTH PLAIN"
            else:
                answer = self.answers.get(
                    word, {b"DATA": b"354 go on", b"AUTH": b"235 yes"}.get(word, b"250 ok")
                )
            await stream.send_all(answer + b"\r\n")
            if word == b"DATA" and answer.startswith(b"354"):
                while not held.endswith(b"\r\n.\r\n"):
                    held += await stream.receive_some(65_536)
                self.mails.append(held[:-3])
                held = b""
                if self.breaks_off:
                    return
                await stream.send_all(b"250 taken\r\n")


@asynccontextmanager
async def serving(*, starts_tls: bool) -> AsyncIterator[MailServer]:
    made = MailServer(starts_tls=starts_tls)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        made.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, made.handle, listeners)
        yield made
        nursery.cancel_scope.cancel()


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[dict[str, object]]:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return {
        **smtp.default_settings,
        "host": "localhost",
        "user": "rex",
        "password_file": secret_file(tmp_path, "the-password"),
        "sender": "rex@example.org",
        "recipients": ["ada@example.org", "bob@example.org"],
        "ca_file": str(tmp_path / "ca.pem"),
    }


def registered(settings: dict[str, object], **changes: object) -> Notifier:
    found: list[Notifier] = []
    smtp.register_notifiers(found.append, settings | changes)
    return found[0]


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_a_message_arrives_over_tls_and_the_login_never_goes_in_clear(
    security: str, settings: dict[str, object]
) -> None:
    async with serving(starts_tls=security == "starttls") as there:
        notifier = registered(settings, port=there.port, security=security)
        await deliver(notifier, WAKING, LOOPBACK)
        mail = message_from_bytes(there.mails[0], policy=SMTP)
        assert mail["Subject"].startswith("URGENT: ann: the exchange refuses the key")
        assert (mail["To"], mail["Importance"]) == ("ada@example.org, bob@example.org", "high")
        assert mail["Message-ID"] == "<alert-9.20261124T030000@example.org>"
        assert "Type: " in mail.get_content()
        commands = [each.split(b" ")[0].upper() for each in there.commands]
        if security == "starttls":
            assert commands.index(b"STARTTLS") < commands.index(b"AUTH")
        assert sum(each == b"RCPT" for each in commands) == 2


async def test_no_text_of_an_alert_becomes_a_header(settings: dict[str, object]) -> None:
    hostile = replace(QUIET, subject="ann\r\nBcc: eve@example.org\r\n\r\nhello")
    async with serving(starts_tls=False) as there:
        await deliver(registered(settings, port=there.port), hostile, LOOPBACK)
        mail = message_from_bytes(there.mails[0], policy=SMTP)
        assert mail["Bcc"] is None
        assert "Bcc: eve@example.org" in mail["Subject"]
        assert [each for each in there.commands if b"eve" in each] == []


async def test_a_refusal_is_told_without_the_password(settings: dict[str, object]) -> None:
    async with serving(starts_tls=False) as there:
        notifier = registered(settings, port=there.port)
        for word, answer, told in (
            (b"AUTH", b"535 no the-password", "refuses the login of rex"),
            (b"MAIL", b"550 no", "answered 550"),
            (b"DATA", b"451 later", "answered 451"),
            (b"RCPT", b"550 unknown", "took no message: SMTPRecipientsRefused"),
        ):
            there.answers = {word: answer}
            with pytest.raises(smtp.NotDelivered, match=told) as caught:
                await deliver(notifier, QUIET, LOOPBACK)
            assert "the-password" not in str(caught.value)
        assert there.mails == []
        there.answers = {}
        quiet = registered(settings, port=there.port, only_waking=True)
        await deliver(quiet, QUIET, LOOPBACK)
        assert there.mails == []


async def test_only_a_mail_that_broke_off_may_have_arrived(settings: dict[str, object]) -> None:
    target = {"address": "bob@example.org"}

    async def is_in_doubt(**changes: object) -> bool:
        found: list[PersonalChannel] = []
        smtp.register_channels(found.append, settings | changes)
        with pytest.raises(RexAlgoError) as caught:
            await with_client(lambda http: found[0].send(target, MESSAGE, http), LOOPBACK)
        return not isinstance(caught.value, NotTaken)

    async with serving(starts_tls=False) as there:
        assert not await is_in_doubt(port=there.port, ca_file="")
        for word in (b"AUTH", b"MAIL", b"RCPT", b"DATA"):
            there.answers = {word: b"550 no"}
            assert not await is_in_doubt(port=there.port), word
        there.answers, there.breaks_off = {}, True
        assert await is_in_doubt(port=there.port)
        assert len(there.mails) == 1
    assert not await is_in_doubt(port=there.port), "nobody listens"


async def test_a_server_that_never_ends_its_answer_keeps_no_thread(
    settings: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[PersonalChannel] = []
    async with serving(starts_tls=False) as there:
        smtp.register_channels(found.append, settings | {"port": there.port})
        there.drips_at = b"MAIL"
        monkeypatch.setattr(smtp, "DEADLINE_S", 2.0)
        with pytest.raises(RexAlgoError, match="within 2 s"):
            await with_client(
                lambda http: found[0].send({"address": "bob@example.org"}, MESSAGE, http), LOOPBACK
            )
        assert not there.threads_of_all, "the threads that all share are not used"
        with trio.fail_after(60):
            await there.left.wait()


async def test_a_server_without_trust_or_without_tls_gets_no_login(
    settings: dict[str, object],
) -> None:
    async with serving(starts_tls=True) as there:
        strangers = registered(settings, port=there.port, ca_file="", security="starttls")
        with pytest.raises(smtp.NotDelivered, match="SSLCertVerificationError"):
            await deliver(strangers, QUIET, LOOPBACK)
        with pytest.raises(smtp.NotDelivered):
            await deliver(registered(settings, port=there.port), QUIET, LOOPBACK)
        assert [each for each in there.commands if each.startswith(b"AUTH")] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"port": True}, "port"),
        ({"security": "none"}, "security"),
        ({"user": 7}, "user"),
        ({"password_file": "relative"}, "password_file"),
        ({"sender": "a@b\r\nBcc: c@d"}, "sender"),
        ({"sender": "Ada <ada@example.org>"}, "sender"),
        ({"recipients": None}, "recipients"),
        ({"recipients": "ada@example.org"}, "recipients"),
        ({"recipients": ["ada@example.org", "x, y@z"]}, "recipients[1]"),
        ({"ca_file": "ca.pem"}, "ca_file"),
        ({"ca_file": "/nowhere/at/all"}, "ca_file"),
        ({"only_waking": "no"}, "only_waking"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    changes: dict[str, object], field: str, settings: dict[str, object]
) -> None:
    with pytest.raises(InvalidValue) as caught:
        registered(settings, **changes)
    assert caught.value.field == f"plugin.smtp.{field}"


async def test_a_server_of_this_machine_is_not_called_unless_the_operator_allows_it(
    settings: dict[str, object],
) -> None:
    async with serving(starts_tls=False) as there:
        with pytest.raises(smtp.NotDelivered, match=r"outgoing\.internal"):
            await deliver(registered(settings, port=there.port), QUIET, PUBLIC)
        assert there.commands == []
