"""Which addresses are called: public ones, and what the operator allowed; a name is looked up once,
and its address is both checked and called.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.actors import heartbeat
from engine.domain.alert import Alert, AlertCode
from engine.domain.network import LOOPBACK, PUBLIC, Reach
from engine.ports.http import ConnectError, HttpClients
from engine.settings.config import ConfigErrors, load_config
from engine.transport import HttpClientFactory
from engine.transport.alert_delivery import deliver

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
INTERNAL = (
    *("127.0.0.1", "127.255.0.1", "::1", "0.0.0.0", "::", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
    *("100.64.0.1", "100.100.100.200", "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0"),
    *("fd00:ec2::254", "fc00::1", "168.63.129.16", "224.0.0.1", "ff02::1", "255.255.255.255"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "240.0.0.1", "localhost", "0x7f.1", "2130706433", ""),
)


@pytest.mark.parametrize("address", INTERNAL)
def test_what_is_not_public_is_out_of_reach(address: str) -> None:
    assert PUBLIC.why_not(address)


@pytest.mark.parametrize(
    "address", ["52.89.214.238", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_what_is_public_is_within_reach(address: str) -> None:
    assert PUBLIC.why_not(address) == ""


@pytest.mark.parametrize(
    ("allowed", "address", "may"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("10.0.0.0/24", "10.0.0.77", True),
        ("10.0.0.0/24", "10.0.1.1", False),
        ("10.0.0.0/24", "169.254.169.254", False),
        ("::1", "::1", True),
        ("fc00::/7", "fd00:ec2::254", True),
    ],
)
def test_the_operator_allows_what_is_named_and_nothing_else(
    allowed: str, address: str, may: bool
) -> None:
    assert (Reach((ip_network(allowed),)).why_not(address) == "") is may


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, list[str]]]:
    """Answer on this machine; yield the port, and the address of everybody who connected."""
    came: list[str] = []

    async def answer(stream: trio.SocketStream) -> None:
        came.append(str(stream.socket.getsockname()[0]))
        await stream.receive_some(65_536)
        await stream.send_all(ANSWER)

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(partial(trio.serve_listeners, answer, [listener]))
        yield listener.socket.getsockname()[1], came
        nursery.cancel_scope.cancel()


class Resolver(trio.abc.HostnameResolver):
    """A name server whose answer changes with every question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        return [(socket.AF_INET, type, 6, "", (each, port)) for each in self.answers.pop(0)]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


async def ask(url: str, reach: Reach, *, through_httpx: bool) -> int:
    factory = HttpClientFactory(reach=reach)
    try:
        if through_httpx:
            return int((await factory.httpx(url).get("/")).status_code)
        return int((await factory(url).post("/", json={})).status_code)
    finally:
        await factory.aclose()


@pytest.mark.parametrize("through_httpx", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"])
async def test_an_address_of_this_machine_is_not_called_unless_it_is_allowed(
    host: str, through_httpx: bool
) -> None:
    async with listening() as (port, came):
        url = f"http://{host}:{port}"
        with pytest.raises(ConnectError, match=r"outgoing\.internal"):
            await ask(url, PUBLIC, through_httpx=through_httpx)
        assert came == []
        assert await ask(url, LOOPBACK, through_httpx=through_httpx) == 200


async def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
    trio.socket.set_custom_hostname_resolver(resolver)
    async with listening() as (port, came):
        assert await ask(f"http://rebinding.example:{port}", LOOPBACK, through_httpx=False) == 200
        assert (came, len(resolver.answers)) == (["127.0.0.1"], 1)
        with pytest.raises(ConnectError, match="a cloud tells this machine its secrets"):
            await ask(f"http://rebinding.example:{port}", LOOPBACK, through_httpx=False)


async def test_of_several_addresses_only_those_within_reach_are_called() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver(["10.0.0.1", "127.0.0.2", "127.0.0.1"]))
    async with listening() as (port, came):  # 127.0.0.2 refuses, and the next one answers
        assert await ask(f"http://several.example:{port}", LOOPBACK, through_httpx=False) == 200
        assert came == ["127.0.0.1"]


class Poster:
    """A notifier that posts to one address."""

    name = "poster"

    def __init__(self, url: str) -> None:
        self._url = url

    async def deliver(self, alert: Alert, http: HttpClients) -> None:
        await http(self._url).post("/", json={"number": alert.number})


async def test_notifiers_and_the_heartbeat_keep_within_reach(
    caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    alert = Alert(number=1, code=AlertCode.TEST, subject="x", at=datetime.now(UTC), details={})
    async with listening() as (port, came):
        url = f"http://127.0.0.1:{port}"
        with pytest.raises(ConnectError, match=r"outgoing\.internal"):
            await deliver(Poster(url), alert, PUBLIC)
        with trio.move_on_after(1):
            await heartbeat.beat(url, lambda: True, PUBLIC, every_s=60)
        assert came == []
    assert "the heartbeat cannot be sent" in caplog.text


@pytest.mark.parametrize(
    "internal", ['"127.0.0.1"', '["8.8.8.8"]', '["0.0.0.0/0"]', '["127.0.0.1/8"]', "[1]", '["x"]']
)
def test_a_setting_that_is_no_list_of_internal_networks_is_refused(
    internal: str, tmp_path: Path
) -> None:
    (tmp_path / "rexalgo.toml").write_text(f"[outgoing]\ninternal = {internal}\n")
    with pytest.raises(ConfigErrors, match=r"outgoing\.internal"):
        load_config(tmp_path, {})


def test_nothing_internal_is_within_reach_by_default(tmp_path: Path) -> None:
    assert load_config(tmp_path, {}).outgoing.reach == PUBLIC
    (tmp_path / "rexalgo.toml").write_text('[outgoing]\ninternal = ["127.0.0.1", "10.0.0.0/24"]\n')
    assert load_config(tmp_path, {}).outgoing.reach.why_not("10.0.0.5") == ""
