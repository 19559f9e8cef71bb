"""Wire the web's process beside an engine of its own: it verifies and shows, and asks the engine for
everything else.

What always holds: it writes nothing to the ledger and holds no root key, so it opens no exchange
key; one web process per folder (its own lock). It may start first: until it reached the engine once
it has nothing to show, and answers 503.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any, Final, NoReturn

import trio

from engine.actors.clock import SystemClock
from engine.context import EngineContext
from engine.control.folder_lock import FolderLock
from engine.control.link import Greeting
from engine.control.to_engine import EngineLink
from engine.domain.errors import EngineAway
from engine.ingress import Ingress, chosen_limiter, open_ingress
from engine.ingress.endpoints import read_endpoints
from engine.keys.sealed_secrets import EndpointKey
from engine.ledger import Ledger
from engine.ledger.schema import MIGRATIONS
from engine.monitor import Monitor
from engine.plugin.host import Plugins, load_plugins
from engine.ports.clock import Clock
from engine.services import Services, open_services
from engine.settings.config import Config
from engine.settings.files import make_folder

WEB_LOCK: Final = "web.lock"


@dataclass(frozen=True, slots=True)
class AskedCommands:
    """The operator's commands, run by the engine."""

    link: EngineLink

    async def run(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run one command; raises RexAlgoError."""
        return await self.link.command(method, params)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRole:
    """The interfaces that the web works with, as ``run.Engine`` has them in one process."""

    ingress: Ingress
    monitor: Monitor
    services: Services
    commands: AskedCommands
    link: EngineLink
    reached: trio.Event
    """Set once the engine was reached: until then nothing can be answered."""

    def why_waiting(self) -> str:
        """Return why nothing can be answered yet; empty once the engine was reached."""
        return "" if self.reached.is_set() else self.link.why_away


@asynccontextmanager
async def run_web(
    config: Config,
    *,
    clock: Clock | None = None,
    extra_modules: Mapping[str, Any] | None = None,
    what: str = "rexalgo serve --role web",
) -> AsyncIterator[WebRole]:
    """Run the web's side of a folder while the block runs; raises RexAlgoError for what must be
    fixed before it can start. ``what`` and ``extra_modules``: see ``run_engine``.
    """
    config.secrets.require_jwt_secret()
    config = replace(config, secrets=replace(config.secrets, encryption_key=None), key_place=None)
    make_folder(config.data_dir)
    clock, ledger = clock or SystemClock(), Ledger.of_another()
    with FolderLock(config.data_dir, what, clock.now(), name=WEB_LOCK):
        plugins = load_plugins(config.plugins.enabled, config.plugin_settings, extra_modules or {})
        async with trio.open_nursery() as nursery:
            link = EngineLink(
                config.data_dir,
                Greeting(version("rexalgo"), len(MIGRATIONS)),
                version=version("rexalgo"),
            )
            ingress = open_ingress(
                config,
                plugins,
                ledger=ledger,
                clock=clock,
                recording=link,
                nursery=nursery,
                limiter=chosen_limiter(config, plugins),
            )
            context = EngineContext(
                config=config,
                ledger=ledger,
                clock=clock,
                plugins=lambda: plugins,
                open_vault=_only_the_engine,
                changed=_only_the_engine,
                ask=link.service,
            )
            monitor, reached = Monitor(ledger, link), trio.Event()

            def use_keys(keys: Mapping[str, Sequence[EndpointKey]]) -> None:
                _use_keys(ingress, ledger, plugins, keys)
                reached.set()

            nursery.start_soon(
                partial(
                    link.run,
                    attached=lambda: ledger.read_from(config.ledger.path),
                    use_keys=use_keys,
                    tell=monitor.tell,
                    answers=lambda: ingress.answers,
                )
            )
            try:
                yield WebRole(
                    ingress=ingress,
                    monitor=monitor,
                    services=open_services(context),
                    commands=AskedCommands(link),
                    link=link,
                    reached=reached,
                )
            finally:
                ingress.notes.close()
                monitor.close()
                nursery.cancel_scope.cancel()
        await ledger.aclose()


def _use_keys(
    ingress: Ingress,
    ledger: Ledger,
    plugins: Plugins,
    keys: Mapping[str, Sequence[EndpointKey]],
) -> None:
    ingress.use_endpoints(
        read_endpoints(ledger.db, plugins, lambda each: tuple(keys.get(each, ())))
    )
    ingress.notes.write_now()


async def _only_the_engine() -> NoReturn:
    raise EngineAway("Only the engine can do this, and it was not asked.")
