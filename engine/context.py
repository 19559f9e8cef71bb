"""What everything that acts for a person works with: the ledger, the vault, the clock, the plugins,
and the running accounts.

Commands (the operator's shell) and services (the pages) hold one each; it is created with an
engine, or without one on the opened ledger.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from engine.decisions.learned_rate import LearnedRate
from engine.decisions.measuring import Measured
from engine.domain.account import AccountReport
from engine.identity.challenges import Challenges
from engine.keys.keyring import Keyring
from engine.keys.session_keys import SessionKeys
from engine.keys.vault import Vault
from engine.ledger import Ledger
from engine.ledger.audit import AuditKey
from engine.live import EngineCounts, LiveAccounts, TurnTimes
from engine.market.feed import MarketFeed
from engine.plugin.host import Plugins
from engine.ports.clock import Clock
from engine.ports.secret import Secret
from engine.ports.signal_source import Delivery
from engine.recovery.ledger_place import MarkKeeper
from engine.settings.config import Config
from engine.views import Reception

TryLogin = Callable[[str, Mapping[str, Secret]], Awaitable[AccountReport]]
"""Reads an account with credentials that are not stored yet; raises what the exchange's adapter
raises.
"""

Receive = Callable[[str, Delivery], Awaitable[Reception]]
"""Takes one delivery of an endpoint, exactly as the web does."""


OWN_PAGE: Final = "this page"
"""The peer of a test that a master sends from the studio: its answer is shown on that page."""


Ask = Callable[[str, Sequence[object], Mapping[str, object]], Awaitable[Any]]
"""Asks the engine of another process for ``Class.method`` of a service; raises what the method
raises, or EngineAway.
"""


@dataclass(slots=True)
class EngineContext:
    """What commands work with. ``live`` are the accounts' tasks, None if no engine runs here;
    ``silent`` is a server that holds the folder and did not answer (``what``, ``pid``, ``since``).
    ``web`` returns where webhooks and pages are served: in this process, by a connected one, or
    nowhere.

    If an engine runs, ``mark`` records where the ledger ends, ``feeds`` read each exchange's
    market, ``rates`` are what each exchange taught about its limits, ``loop_turns`` returns how
    long the turns of its loop take, and ``counts`` are its plain numbers for metrics; ``measured`` counts the ledger's events for them. ``ask`` is set in a web
    process beside the engine's: what is ``asked`` goes there. ``keyring`` is set wherever root keys
    can be changed; ``one_at_a_time`` keeps provisioning and changes of keys apart.
    ``session_keys`` sign the cookies, ``challenges`` are what passkeys sign.
    """

    config: Config
    ledger: Ledger
    clock: Clock
    plugins: Callable[[], Plugins]
    open_vault: Callable[[], Awaitable[Vault]]
    changed: Callable[[], Awaitable[None]]
    live: LiveAccounts | None = None
    try_login: TryLogin | None = None
    receive: Receive | None = None
    keyring: Keyring | None = None
    mark: MarkKeeper | None = None
    feeds: Mapping[str, MarketFeed] = field(default_factory=dict)
    rates: Mapping[str, LearnedRate] = field(default_factory=dict)
    loop_turns: Callable[[], TurnTimes] | None = None
    counts: EngineCounts | None = None
    measured: Measured = field(default_factory=Measured)
    ask: Ask | None = None
    web: Callable[[], str] = lambda: "away"
    silent: Mapping[str, object] | None = None
    one_at_a_time: trio.Lock = field(default_factory=trio.Lock)
    challenges: Challenges = field(default_factory=Challenges)
    _session_keys: SessionKeys | None = field(default=None, init=False, repr=False)

    @property
    def session_keys(self) -> SessionKeys:
        """Return the keys that sign session cookies, the same at each call."""
        if self._session_keys is None:
            config = self.config
            self._session_keys = SessionKeys(config.session_key_place, config.secrets.jwt_secret)
        return self._session_keys

    @property
    def webhook_address(self) -> str:
        """Return the base address for bots: the configured public address, else where the web
        server listens.
        """
        web = self.config.web
        scheme = "http" if web.tls_certificate is None else "https"
        host = f"[{web.host}]" if ":" in web.host else web.host
        return web.public_url or f"{scheme}://{host}:{web.port}"

    async def audit_key(self) -> AuditKey:
        """Return the key that seals audit rows."""
        vault = await self.open_vault()
        return AuditKey(vault.active_kid, vault.derive("audit"))
