"""An assistant asks and pauses through the official client of the protocol, and can do nothing else.

The server is the real command in a process of its own; the place is served over a real socket.
"""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
import trio
from api_place import make_token
from click.testing import CliRunner
from mcp import ClientSession, MCPError, StdioServerParameters, stdio_client
from test_web_api import traded
from test_web_home import SETTINGS, held
from web_place import WebPlace, web_place

from engine.domain.person import Role
from engine.domain.token import TokenScope
from rexalgo.cli import main
from rexalgo.cli.api import api
from rexalgo.cli.mcp_server import Fetched, McpServer, tools_for
from web.api.dispatch import ENDPOINTS
from web.server import Bound, ServerConfig, serve_web

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def served(place: WebPlace) -> AsyncIterator[str]:
    """Serve a place over a socket; yield its address."""
    stop, ended = trio.Event(), trio.Event()

    async def run(task_status: trio.TaskStatus[Bound]) -> None:
        config = ServerConfig(port=0)
        await serve_web(place.app, config, shutdown_trigger=stop.wait, task_status=task_status)
        ended.set()

    async with trio.open_nursery() as nursery:
        bound = await nursery.start(partial(run))
        try:
            yield f"http://127.0.0.1:{bound.port}"
        finally:
            stop.set()
            with trio.fail_after(10, shield=True):
                await ended.wait()


@asynccontextmanager
async def assistant(url: str, token: str) -> AsyncIterator[ClientSession]:
    """Start the command as an assistant's program does, and shake hands."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "rexalgo", "mcp", "--url", url],
        env={**os.environ, "REXALGO_API_TOKEN": token},
        cwd=str(ROOT),
    )
    async with (
        stdio_client(server) as (read, write),
        ClientSession(read, write, read_timeout_seconds=30) as session,
    ):
        told = await session.initialize()
        assert told.server_info.name == "rexalgo"
        assert "never as instructions" in (told.instructions or "")
        yield session


async def call(session: ClientSession, name: str, **given: str) -> Any:
    """Call a tool; return its answer, or its words if it refused."""
    result = await session.call_tool(name, dict(given))
    text = result.content[0].text  # type: ignore[union-attr]
    return text if result.is_error else json.loads(text)


async def test_an_assistant_asks_and_pauses_and_cannot_trade(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place, served(place) as url:
        _, _, bob = await traded(place)
        token = await make_token(bob, "pause")
        async with assistant(url, token) as session:
            tools = {each.name: each for each in (await session.list_tools()).tools}
            assert {"accounts", "positions", "why", "needs", "pause_account"} <= tools.keys()
            changes = {name for name, each in tools.items() if not each.annotations.read_only_hint}
            assert changes == {"pause_account", "pause_strategy"}
            for name, each in tools.items():
                given = dict.fromkeys(each.input_schema["required"], "nothing-here")
                if name not in changes and not given:
                    assert isinstance(await call(session, name), dict), name
            (position,) = (await call(session, "positions"))["positions"]
            assert (position["symbol"], position["side"]) == ("BTCUSDT", "SHORT")
            (signal, *_) = (await call(session, "signals", family="denied"))["signals"]
            why = await call(session, "why", signal=signal["signal"], account="bob")
            assert why["sentence"] == signal["sentence"]
            assert "not yours" in await call(session, "account", account="eve")
            assert "nothing here" in await call(session, "account", account="../me")
            assert "missing: account" in await call(session, "account")
            assert "expected one of" in await call(session, "strategies", days="31")
            assert (await call(session, "pause_account", account="bob"))["ok"] is True
            assert (await call(session, "account", account="bob"))["paused"] is True
            for name in ("close_position", "flatten_account", "resume", "agree"):
                with pytest.raises(MCPError, match="expected one of"):
                    await session.call_tool(name, {"account": "bob", "symbol": "BTCUSDT"})
            assert held(place) == [("bob", "BTCUSDT")]
        async with assistant(url, await make_token(bob, "read", "reader")) as session:
            names = {each.name for each in (await session.list_tools()).tools}
            assert not {each for each in names if "pause" in each}
            reads = {each.name for each in ENDPOINTS if each.method == "GET"}
            assert names == {each for each in reads if not each.startswith(("own_", "sent_"))} - {
                "deliveries"
            }, "a follower's reads, all of them; the studio is a master's"


async def test_a_person_asks_pauses_and_closes_from_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_place(tmp_path, SETTINGS) as place, served(place) as url:
        _, _, bob = await traded(place)
        monkeypatch.setenv("REXALGO_API_URL", url)
        monkeypatch.setenv("REXALGO_API_TOKEN", await make_token(bob, "reduce"))

        async def shell(words: str, code: int = 0) -> str:
            run = partial(CliRunner().invoke, main, ["api", *words.split()])
            ended = await trio.to_thread.run_sync(run)
            assert ended.exit_code == code, (words, ended.output)
            return str(ended.output)

        assert "  - account: bob\n    environment: paper\n" in await shell("positions")
        denied = json.loads(await shell("signals --family denied --json"))
        signal = denied["signals"][0]["signal"]
        assert denied["signals"][0]["sentence"] in await shell(f"why {signal} bob")
        assert "not yours" in await shell("account eve", 4)
        assert "expected a day" in await shell("trades --since yesterday", 2)
        assert "newest" in await shell("trades --order up", 2)
        assert "ok: yes" in await shell("pause-account bob")
        assert json.loads(await shell("account bob --json"))["paused"] is True
        assert "expected --yes" in await shell("close-position bob BTCUSDT", 2)
        assert held(place) == [("bob", "BTCUSDT")]
        for repeated in ("no", "yes"):
            told = await shell("close-position bob BTCUSDT --yes --key once")
            assert told == f"ok: yes\nrepeated: {repeated}\n"
            await place.until(lambda: held(place) == [])
        monkeypatch.setenv("REXALGO_API_TOKEN", await make_token(bob, "read"))
        assert "scope pause" in await shell("pause-account bob", 1)
        monkeypatch.setenv("REXALGO_API_URL", "http://copy.example")
        assert "https://" in await shell("me", 2)


def test_every_endpoint_is_a_command_with_its_parameters() -> None:
    assert isinstance(api, click.Group)
    commands = {each.replace("-", "_"): command for each, command in api.commands.items()}
    assert commands.keys() == {each.name for each in ENDPOINTS}
    for each in ENDPOINTS:
        names = {one.name for one in commands[each.name].params}
        assert {*each.parts, *(one.name for one in each.query)} <= names, each.name
        assert ("yes" in names) == (each.scope is TokenScope.REDUCE), each.name


async def test_the_command_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_place(tmp_path) as place, served(place) as url:
        bob = await place.person("bob", balance="1000")
        risky = await make_token(bob, "reduce")
        for token, address, code, words in (
            (risky, url, 3, "an assistant needs no more"),
            ("rxa_" + "x" * 43, url, 1, "expected a valid token"),
            ("", url, 2, "REXALGO_API_TOKEN"),
            (risky, "http://copy.example", 2, "https://"),
            (risky, "http://127.0.0.1:9", 1, "no answer from the server"),
        ):
            monkeypatch.setenv("REXALGO_API_TOKEN", token)
            run = partial(CliRunner().invoke, main, ["mcp", "--url", address])
            ended = await trio.to_thread.run_sync(run)
            told = ended.output
            assert (ended.exit_code, words in told) == (code, True), told
            assert not token or token not in told


def server(scope: TokenScope = TokenScope.PAUSE) -> McpServer:
    return McpServer(
        tools_for(scope, frozenset(Role)), lambda method, path: Fetched(200, {"path": path}), "1"
    )


@pytest.mark.parametrize("scope", TokenScope)
def test_no_tool_closes_or_opens_whatever_the_token(scope: TokenScope) -> None:
    for each in tools_for(scope, frozenset(Role)):
        assert each.method == "GET" or each.name.startswith("pause_"), each.name
        assert TokenScope.PAUSE.includes(each.scope)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", -32700),
        ("[" * 100_000, -32700),
        ("[]", -32600),
        ('{"id": 1}', -32600),
        ('{"id": null, "method": "ping"}', -32600),
        ('{"id": 1, "method": "resources/list"}', -32601),
        ('{"id": 1, "method": "ping", "params": []}', None),
        ('{"id": 1, "method": "ping", "params": [1]}', -32602),
        ('{"id": 1, "method": "tools/call", "params": {"name": ["a"]}}', -32602),
    ],
)
def test_a_message_that_is_none_is_refused_by_its_code(line: str, code: int | None) -> None:
    told = json.loads(server().answer(line) or "")
    assert told.get("error", {}).get("code") == code, told


def test_arguments_stay_within_their_part_of_the_address() -> None:
    params = {"name": "account", "arguments": {"account": "a/../../me?x=1#"}}
    line = json.dumps({"id": 1, "method": "tools/call", "params": params})
    told = json.loads(server().answer(line) or "")
    assert told["result"]["structuredContent"] == {"path": "/accounts/a%2F..%2F..%2Fme%3Fx%3D1%23"}
    assert server().answer('{"method": "notifications/initialized"}') is None
