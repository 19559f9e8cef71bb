"""Notifier ``smtp``: one message per alert over SMTP, always with TLS; and personal channel
``email``: the same server for everybody who enters the code that was sent to them.

The library of SMTP blocks, so each message is sent in a thread of this plugin's own few. Its
connection is ended at a deadline below the engine's, however slowly the server goes on answering.
A failed delivery raises, and the outbox tries again; a message may therefore arrive twice, with the
same Message-ID. No text of an alert can become a header of its own.
"""

import smtplib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from threading import Lock
from typing import Final

import trio

from rexalgo import (
    Alert,
    ChannelField,
    ConnectError,
    HttpClients,
    InvalidValue,
    Message,
    Notifier,
    NotTaken,
    PersonalChannel,
    RexAlgoError,
    Secret,
    hookimpl,
    read_secret_file,
)

rexalgo_api_version = 1
default_settings: Mapping[str, object] = {
    "host": "",  # the mail server, such as "smtp.example.org"
    "port": 465,
    "security": "tls",  # "tls" from the first byte (port 465), or "starttls" (port 587)
    "user": "",  # "" for a server that asks for no login
    "password_file": "",  # absolute path of a file with the password
    "sender": "",  # such as "rexalgo@example.org"
    "recipients": [],  # the operators, such as ["ada@example.org"]; [] for personal channels alone
    "ca_file": "",  # absolute path of certificates (PEM) of an authority of your own; "" for the system's
    "only_waking": False,  # true: only urgent alerts
}
DEADLINE_S: Final = 8.0
THREADS: Final = 8
"""How many messages are sent at the same time to people, and as many to the operators."""
_SUBJECT_CHARACTERS_MAX: Final = 150


class NotDelivered(RexAlgoError):
    """Raised when the server did not take the message. Its text never contains the password."""


class InDoubt(NotDelivered):
    """Raised when the connection ended before the server's answer: it may have taken the message."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """A mail server and how to log in there. ``user`` is "" for no login. ``threads`` limits how
    many messages are sent at the same time.
    """

    host: str
    port: int
    starts_tls: bool
    user: str
    password: Secret
    trust: ssl.SSLContext
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))


class _Sending:
    """One message that a thread sends, whose connection another thread may end."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_over = False
        self._connection: socket.socket | None = None
        self.is_begun = False

    def connected(self, opened: socket.socket) -> None:
        """Keep a second handle of the connection: TLS takes the first."""
        with self._lock:
            self._go_on()
            self._connection = opened.dup()

    def begin(self) -> None:
        """Note that from now on the server may take the message."""
        with self._lock:
            self._go_on()
            self.is_begun = True

    def end(self) -> None:
        """End the connection: whatever waits for it goes on."""
        with self._lock:
            self._is_over, held, self._connection = True, self._connection, None
        if held is not None:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
            held.close()

    def _go_on(self) -> None:
        if self._is_over:
            raise TimeoutError


class SmtpNotifier:
    """A notifier that sends each alert to some addresses."""

    name = "smtp"

    def __init__(
        self, server: MailServer, sender: str, recipients: tuple[str, ...], *, only_waking: bool
    ) -> None:
        self._server = server
        self._sender = sender
        self._recipients = recipients
        self._only_waking = only_waking

    async def deliver(self, alert: Alert, http: HttpClients) -> None:
        """Send the message. Raise NotDelivered with the server's own words."""
        if self._only_waking and not alert.wakes:
            return
        mail = message(alert, self._sender, self._recipients)
        try:
            addresses = await http.addresses(self._server.host, self._server.port)
        except ConnectError as error:
            raise NotDelivered(str(error)) from None
        await _sent(self._server, addresses[0], mail)


class EmailChannel:
    """A personal channel: one mail address."""

    name = "email"
    title = "E-mail"
    fields: Sequence[ChannelField] = (ChannelField(name="address", label="Mail address"),)
    calls_address_of_person = False
    repeats = (
        "A mail that was being sent when the engine or the connection ended is sent once more with "
        "the same Message-ID, by which many mail programs show it once."
    )

    def __init__(self, server: MailServer, sender: str) -> None:
        self._server = server
        self._sender = sender

    def target(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return the address. Raise InvalidValue unless it is one."""
        return {"address": _address(given["address"], "address")}

    def shown(self, target: Mapping[str, str]) -> str:
        """Return the address with the middle of its name left out."""
        name, _, domain = target["address"].partition("@")
        return f"{name[:1]}…@{domain}"

    async def send(self, target: Mapping[str, str], message: Message, http: HttpClients) -> None:
        """Send the message. Raise NotTaken with the server's own words."""
        mail = personal_mail(message, self._sender, target["address"])
        try:
            addresses = await http.addresses(self._server.host, self._server.port)
            await _sent(self._server, addresses[0], mail)
        except InDoubt:
            raise
        except (ConnectError, NotDelivered) as error:
            raise NotTaken(str(error)) from None


def personal_mail(message: Message, sender: str, recipient: str) -> EmailMessage:
    """Return a message for one person as a mail."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = " ".join(message.title.split())[:_SUBJECT_CHARACTERS_MAX]
    mail["From"] = sender
    mail["To"] = recipient
    mail["Date"] = message.at
    mail["Message-ID"] = f"<{message.id}.{message.at:%Y%m%dT%H%M%S}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    if message.is_urgent:
        mail["Importance"] = "high"
    mail.set_content(f"{message.words}\n")
    return mail


def message(alert: Alert, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """Return an alert as a message: what happened in the subject, then what to type."""
    mail = EmailMessage(policy=SMTP)
    head = f"{'URGENT: ' if alert.wakes else ''}{alert.sentence}"
    mail["Subject"] = " ".join(head.split())[:_SUBJECT_CHARACTERS_MAX]
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = alert.at
    mail["Message-ID"] = (
        f"<alert-{alert.number}.{alert.at:%Y%m%dT%H%M%S}@{sender.rpartition('@')[2]}>"
    )
    mail["Auto-Submitted"] = "auto-generated"
    if alert.wakes:
        mail["Importance"] = "high"
    mail.set_content(
        f"{head}\n\nDone: {alert.done}\nType: {alert.do}\nOtherwise: {alert.otherwise}\n\n"
        f"{alert.code.value} #{alert.number}, {alert.at:%Y-%m-%d %H:%M:%S} UTC\n"
    )
    return mail


async def _sent(server: MailServer, address: str, mail: EmailMessage) -> None:
    sending = _Sending()
    try:
        with trio.fail_after(DEADLINE_S):
            await trio.to_thread.run_sync(
                _send,
                server,
                address,
                mail,
                sending,
                abandon_on_cancel=True,
                limiter=server.threads,
            )
    except trio.TooSlowError:
        ended = f"{server.host} took no message within {DEADLINE_S:g} s"
        sending.end()
        raise (InDoubt if sending.is_begun else NotDelivered)(ended) from None
    finally:
        sending.end()  # an abandoned thread ends too


def _send(server: MailServer, address: str, mail: EmailMessage, sending: _Sending) -> None:
    try:
        smtp = _connected(server, address, sending)
        try:
            if server.user:
                smtp.login(server.user, server.password.reveal())
            sending.begin()
            refused = smtp.send_message(mail)
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()  # the message is taken, whatever is answered now
        finally:
            smtp.close()
    except smtplib.SMTPAuthenticationError as error:  # its words may repeat what was sent
        raise NotDelivered(
            f"{server.host} refuses the login of {server.user} ({error.smtp_code})"
        ) from None
    except smtplib.SMTPResponseException as error:
        raise NotDelivered(f"{server.host} answered {error.smtp_code}") from None
    except (smtplib.SMTPException, OSError) as error:
        is_certain = not sending.is_begun or isinstance(error, smtplib.SMTPRecipientsRefused)
        ended = f"{server.host} took no message: {type(error).__name__}"
        raise (NotDelivered if is_certain else InDoubt)(ended) from None
    if refused:
        raise NotDelivered(f"{server.host} refuses {len(refused)} of the recipients")


class _Smtp(smtplib.SMTP):
    """A client that connects to the address that was checked, and has the name in its certificate
    checked.
    """

    def __init__(self, server: MailServer, address: str, sending: _Sending) -> None:
        self._sending = sending
        self._server = server
        self._address = address
        super().__init__(server.host, server.port, timeout=DEADLINE_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        # smtplib's one place that connects, which SMTP_SSL overrides in the same way (Python 3.11)
        opened = socket.create_connection((self._address, port), timeout)
        try:
            self._sending.connected(opened)
        except BaseException:
            opened.close()
            raise
        if self._server.starts_tls:
            return opened
        return self._server.trust.wrap_socket(opened, server_hostname=host)


def _connected(server: MailServer, address: str, sending: _Sending) -> smtplib.SMTP:
    smtp = _Smtp(server, address, sending)
    if not server.starts_tls:
        return smtp
    try:
        smtp.starttls(context=server.trust)
    except BaseException:
        smtp.close()
        raise
    return smtp


@hookimpl
def register_notifiers(
    register: Callable[[Notifier], None], settings: Mapping[str, object]
) -> None:
    """Register the notifier if there are recipients. Raise InvalidValue for invalid settings."""
    only_waking = settings["only_waking"]
    if not isinstance(only_waking, bool):
        raise InvalidValue("plugin.smtp.only_waking", "true or false", only_waking)
    server, sender = _server(settings)
    told = settings["recipients"]
    if not isinstance(told, list | tuple):
        raise InvalidValue("plugin.smtp.recipients", 'a list such as ["ada@example.org"]', told)
    recipients = tuple(
        _address(each, f"plugin.smtp.recipients[{index}]") for index, each in enumerate(told)
    )
    if recipients:
        register(SmtpNotifier(server, sender, recipients, only_waking=only_waking))


@hookimpl
def register_channels(
    register: Callable[[PersonalChannel], None], settings: Mapping[str, object]
) -> None:
    """Register the personal channel. Raise InvalidValue for invalid settings."""
    register(EmailChannel(*_server(settings)))


def _server(settings: Mapping[str, object]) -> tuple[MailServer, str]:
    host, port, security = settings["host"], settings["port"], settings["security"]
    if not isinstance(host, str) or not host or not host.isprintable() or " " in host:
        raise InvalidValue("plugin.smtp.host", 'a mail server such as "smtp.example.org"', host)
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        raise InvalidValue("plugin.smtp.port", "a whole number from 1 to 65535", port)
    if security not in ("tls", "starttls"):
        raise InvalidValue("plugin.smtp.security", '"tls" or "starttls"', security)
    user = settings["user"]
    if not isinstance(user, str):
        raise InvalidValue("plugin.smtp.user", 'a name, or ""', user)
    password = (
        read_secret_file(settings["password_file"], "plugin.smtp.password_file")
        if user
        else Secret("")
    )
    sender = _address(settings["sender"], "plugin.smtp.sender")
    server = MailServer(
        host, port, security == "starttls", user, password, _trust(settings["ca_file"])
    )
    return server, sender


def _address(value: object, field: str) -> str:
    """Read a mail address: ASCII, one @, nothing that separates addresses or headers."""
    if (
        not isinstance(value, str)
        or not value.isascii()
        or not value.isprintable()
        or any(each in value for each in ' ,;:<>"()[]\\')
        or not all(value.partition("@")[::2])
        or value.count("@") != 1
    ):
        raise InvalidValue(field, 'a mail address such as "ada@example.org"', value)
    return value


def _trust(file: object) -> ssl.SSLContext:
    if file == "":
        return ssl.create_default_context()
    expected = 'the absolute path of certificates in PEM, or ""'
    if not isinstance(file, str) or not Path(file).is_absolute():
        raise InvalidValue("plugin.smtp.ca_file", expected, file)
    try:
        return ssl.create_default_context(cafile=file)
    except OSError:  # ssl.SSLError too
        raise InvalidValue("plugin.smtp.ca_file", expected, file) from None
