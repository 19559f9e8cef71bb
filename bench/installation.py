"""The measured process: an engine with its web server over a real ledger file, and nothing else.

``provision FOLDER`` takes a table of people on its input and prints the addresses and secrets of
its webhooks. ``serve FOLDER`` prints one line once orders can flow, and answers requests until its
input ends. Its settings are the folder's; its keys come from the environment.
"""

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import trio

from bench import http_exchange
from bench.instruments import Clocks, StatementCount, Turns, memory_kib
from engine.monitor import Monitor
from engine.run import run_engine
from engine.settings.config import Config, load_config
from engine.transport.pool import shared_tls
from engine.views import ReadinessView
from engine.web_role import run_web
from rexalgo.cli.process import collect_rarely, settle_memory
from web.app import create_app
from web.server import ServerConfig, serve_web
from web.settings import WebSettings

MODULES: Final[Mapping[str, ModuleType]] = {"bench_http": http_exchange}
PEOPLE: Final = (
    ("follower:f00001", "trader"),
    ("master:alpha", "master"),
    ("operator", "operator"),
)
LOOKS_EVERY_S: Final = 0.1
"""Between two looks at readiness: a look goes through every account."""


def say(value: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(value), flush=True)


async def provision(config: Config) -> None:
    """Write the people of the table on our input, and the operator of the pages, into the ledger."""
    table = json.loads(sys.stdin.readline())
    async with run_engine(config, extra_modules=MODULES, what="bench") as engine:
        made = await engine.commands.run("provision", {"table": table, "file": "bench"})
        await engine.commands.run("operator_create", {"name": "operator", "by": "the bench"})
        say(made)


class Answers:
    """The answers to requests, given from a thread of their own: the loop is not woken for clocks
    and memory.
    """

    def __init__(self, monitor: Monitor, token: trio.lowlevel.TrioToken) -> None:
        self._clocks = Clocks()
        self._token = token
        self._count = StatementCount(monitor._ledger)
        self._turns = Turns()

    def give(self) -> None:
        """Answer each line of the input until it ends."""
        for line in sys.stdin:
            say(self._answer(json.loads(line)["what"]))

    def _answer(self, what: str) -> Mapping[str, Any]:
        match what:
            case "clocks":
                return self._clocks.read()
            case "memory":
                gc.collect()
                return {"kib": memory_kib()}
            case "count":
                trio.from_thread.run(self._count.start, trio_token=self._token)
                return {}
            case "counted":
                return trio.from_thread.run(self._count.stop, trio_token=self._token)
            case "turns":
                self._turns = Turns()
                trio.from_thread.run_sync(self._turns.start, trio_token=self._token)
                return {}
            case "turned":
                return trio.from_thread.run_sync(self._turns.stop, trio_token=self._token)
        raise ValueError(f"expected a request of the bench, found {what!r}")


async def serve(config: Config, *, with_pages: bool) -> None:
    """Run the installation until the input ends."""
    stop = trio.Event()
    collect_rarely()  # this and what settles memory below: as rexalgo serve does
    async with (
        run_engine(config, extra_modules=MODULES, what="bench") as engine,
        trio.open_nursery() as nursery,
    ):
        app = create_app(
            engine if with_pages else replace(engine, services=None),
            WebSettings(demo_people=PEOPLE if with_pages else ()),
        )
        bound = await nursery.start(
            partial(serve_web, app, ServerConfig(port=0), shutdown_trigger=stop.wait)
        )
        while not (readiness := await engine.monitor.readiness()).ready:  # noqa: ASYNC110 - asked as by any probe; there is no event
            await trio.sleep(LOOKS_EVERY_S)
        await settle_memory(engine.monitor.readiness, stop)
        await tell_and_answer(engine.monitor, readiness, bound.url)
        stop.set()


async def serve_engine(config: Config) -> None:
    """Run the engine alone until the input ends."""
    collect_rarely()
    async with run_engine(config, extra_modules=MODULES, what="bench", beside_web=True) as engine:
        while not (readiness := await engine.monitor.readiness()).ready:  # noqa: ASYNC110 - as above
            await trio.sleep(LOOKS_EVERY_S)
        await settle_memory(engine.monitor.readiness, trio.Event())
        await tell_and_answer(engine.monitor, readiness, "")


async def serve_web_alone(config: Config) -> None:
    """Run the web alone, beside a running engine, until the input ends."""
    stop = trio.Event()
    collect_rarely()
    async with run_web(config, extra_modules=MODULES) as role, trio.open_nursery() as nursery:
        app = create_app(role, WebSettings(), why_waiting=role.why_waiting)
        bound = await nursery.start(
            partial(serve_web, app, ServerConfig(port=0), shutdown_trigger=stop.wait)
        )
        await role.reached.wait()
        await settle_memory(role.monitor.readiness, stop)
        say({"url": bound.url})
        await trio.to_thread.run_sync(sys.stdin.read)  # the engine's process is the measured one
        stop.set()


async def tell_and_answer(monitor: Monitor, readiness: ReadinessView, url: str) -> None:
    """Print that everything runs, and answer requests until the input ends."""
    answers = Answers(monitor, trio.lowlevel.current_trio_token())
    say(
        {
            "url": url,
            "ready_ns": time.monotonic_ns(),
            "cpu_s": time.process_time(),
            "unread": readiness.accounts - readiness.accounts_reconciled,
        }
    )
    await trio.to_thread.run_sync(answers.give)


def main() -> None:
    """Provision or serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("does", choices=("provision", "serve"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ca", type=Path, help="trust this authority for exchanges, too")
    parser.add_argument("--pages", action="store_true")
    parser.add_argument("--role", choices=("web", "engine"))
    options = parser.parse_args()
    if options.ca is not None:
        shared_tls().load_verify_locations(options.ca)
    config = load_config(options.folder, os.environ)
    if options.does == "provision":
        trio.run(provision, config)
    elif options.role == "engine":
        trio.run(serve_engine, config)
    elif options.role == "web":
        trio.run(serve_web_alone, config)
    else:
        trio.run(partial(serve, config, with_pages=options.pages))


if __name__ == "__main__":
    main()
