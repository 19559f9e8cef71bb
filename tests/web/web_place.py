"""A whole installation in one process without sockets: a real engine on paper, the real app, and
browsers with cookies and forms.
"""

import json
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pyotp
import trio
from quart_trio import QuartTrio

from engine.context import EngineContext
from engine.decisions.signatures import sign_a
from engine.domain.identifiers import EndpointId
from engine.domain.person import Role
from engine.keys.sealed_secrets import endpoint_keys, new_person
from engine.keys.vault import new_root_key
from engine.ledger import Database, identity
from engine.ledger.identity import give_role
from engine.ledger.people import insert_person
from engine.ledger.query import fetch_one
from engine.ports.signal_source import Delivery
from engine.run import Engine, run_engine
from engine.services import Services
from engine.services.identity import make_link
from engine.services.mastering import become_master
from engine.settings.config import load_config
from engine.views import Reception
from engine.web_role import run_web
from web.app import create_app
from web.settings import WebSettings

PASSWORD = "several calm words in a row"
SETTINGS = """[plugins]
enabled = ["paper", "signed_webhook", "tradingview", "gcra", "log"]
[plugin.paper]
price_fixed = { BTCUSDT = "65000" }
flush = "inline"
[web]
sign_up = "open"
"""
_INPUT = re.compile(r"<input[^>]*>")
_ATTRIBUTE = re.compile(r'([a-z_-]+)="([^"]*)"')
_TAG = re.compile(r"<[^>]+>")


@dataclass
class Ahead:
    """A clock that runs ahead of the real one by what a test lets pass."""

    passed: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.passed


@dataclass
class Browser:
    """One person's browser: ``text`` is the open page, ``path`` its address, ``status`` its status
    code.
    """

    place: "WebPlace"
    client: Any
    text: str = ""
    path: str = ""
    status: int = 0
    query: str = ""
    totp: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Return the visible text: the page without its tags, each run of blanks as one."""
        return re.sub(r"\s+", " ", unescape(_TAG.sub("", self.text)))

    def value(self, name: str, nth: int = 0) -> str:
        """Return the value of an input of the open page."""
        inputs = [dict(_ATTRIBUTE.findall(each)) for each in _INPUT.findall(self.text)]
        return unescape([each for each in inputs if each.get("name") == name][nth].get("value", ""))

    def hidden(self, action: str) -> dict[str, str]:
        """Return the hidden fields of the open page's form for an address."""
        form = self.text.partition(f'action="{action}"')[2].partition("</form>")[0]
        inputs = [dict(_ATTRIBUTE.findall(each)) for each in _INPUT.findall(form)]
        return {
            each["name"]: unescape(each.get("value", ""))
            for each in inputs
            if each.get("type") == "hidden"
        }

    async def get(self, path: str, status: int = 200) -> str:
        """Open a page, following redirects."""
        answer = await self.client.get(path, headers=self.headers)
        return await self._took(answer, path, status)

    async def post(
        self,
        path: str,
        status: int = 200,
        *,
        bare: bool = False,
        follow: bool = True,
        **fields: str | list[str],
    ) -> str:
        """Send the open page's form for an address: its hidden fields (``bare``: only ``fields``),
        and typed values.
        """
        data = {**({} if bare else {"csrf": self.csrf, **self.hidden(path)}), **fields}
        answer = await self.client.post(
            path, form=data, headers={"Origin": "http://localhost", **self.headers}
        )
        if not follow:
            self.status = answer.status_code
            return str(answer.headers.get("location", ""))
        return await self._took(answer, path, status)

    @property
    def csrf(self) -> str:
        token = re.search(r'name="csrf" value="([^"]+)"', self.text)
        return token[1] if token else ""

    async def _took(self, answer: Any, path: str, status: int) -> str:
        while answer.status_code in (302, 303):
            path = answer.headers["location"]
            answer = await self.client.get(path, headers=self.headers)
        self.text, self.status = await answer.get_data(as_text=True), answer.status_code
        self.path, _, self.query = path.partition("?")
        assert self.status == status, (path, self.status, self.words[-1500:])
        return self.text


@dataclass
class WebPlace:
    """A running place: app, engine, services and clock."""

    app: QuartTrio
    engine: Engine
    services: Services
    clock: Ahead

    @property
    def context(self) -> EngineContext:
        return self.services.context

    def browser(self) -> Browser:
        """Open a browser without a session."""
        return Browser(self, self.app.test_client())

    async def person(self, name: str, *roles: Role, balance: str = "") -> Browser:
        """Return a signed-in user with a password; with ``balance``, also a paper account of the
        same name.
        """
        new = new_person(await self.context.open_vault(), name)

        def write(db: Database) -> None:
            insert_person(db, name, new.key, self.clock.now())
            for role in roles or (Role.FOLLOWER,):
                give_role(db, new.id, role, "test", self.clock.now())
            if Role.MASTER in roles:
                become_master(db, identity.person(db, new.id))

        await self.context.ledger.write(write)
        browser = self.browser()
        await browser.post(
            f"/welcome/{await make_link(self.context, new.id, 'test', '')}", bare=True
        )
        await browser.get("/security/password")
        await browser.post("/security/password", password=PASSWORD, again=PASSWORD)
        if Role.OPERATOR in roles:
            await browser.get("/security/second-factor")
            browser.totp = browser.value("secret")
            await browser.post(
                "/security/second-factor", code=pyotp.TOTP(browser.totp).at(self.clock.now())
            )
        if balance:
            await browser.get("/accounts/connect?exchange=paper")
            await browser.post(
                "/accounts/connect", exchange="paper", balance=balance, factor=PASSWORD
            )
            assert browser.path == f"/accounts/{name}", browser.words
            task = None if self.context.live is None else self.context.live.named(name)
            assert task is not None
            await task.account.wait_read()
        return browser

    async def strategy(
        self, master: Browser, name: str = "trend", state: str = "published", **described: str
    ) -> str:
        """Make and publish a strategy of a master; return its id."""
        await master.get("/studio/copy-trading/new")
        said = {"name": name, "about": "", "symbols": "BTCUSDT", "leverage": "5", **described}
        await master.post("/studio/copy-trading/new", factor=PASSWORD, **said)
        row = self.context.ledger.db.execute(
            "SELECT id FROM strategy WHERE name = ?", (name,)
        ).fetchone()
        assert row is not None, master.words
        await master.get(f"/studio/strategies/{row[0]}")
        await master.post(f"/studio/strategies/{row[0]}/state", state=state, factor=PASSWORD)
        return str(row[0])

    async def signal(self, strategy: str, **body: object) -> Reception:
        """Send a signal to a strategy's own door, signed as its bot would."""
        row = fetch_one(
            self.context.ledger.db,
            "SELECT id FROM endpoint WHERE strategy_id = ? AND token_hash IS NULL",
            (strategy,),
        )
        assert row is not None
        now, endpoint = self.clock.now(), EndpointId(row[0])
        key = endpoint_keys(self.context.ledger.db, await self.context.open_vault(), endpoint, now)[
            0
        ]
        content = json.dumps({"idempotency_key": secrets.token_hex(8), **body}).encode()
        headers = tuple(
            (name.lower(), value) for name, value in sign_a(key.secret, content, now).items()
        )
        return await self.engine.ingress.receive(
            endpoint, Delivery(content, headers, "192.0.2.1", now)
        )

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds, checking after each commit."""
        news = trio.Event()

        def committed() -> None:
            nonlocal news
            news.set()
            news = trio.Event()

        self.context.ledger.on_commit(committed)
        with trio.fail_after(60):
            while not holds():
                await news.wait()


@asynccontextmanager
async def web_place(
    folder: Path, settings: str = SETTINGS, *, two_roles: bool = False, **web: Any
) -> AsyncIterator[WebPlace]:
    """Run a place in a folder while the block runs; with ``two_roles`` the app reaches the engine
    over the control socket, as a process of its own does.
    """
    (folder / "rexalgo.toml").write_text(settings)
    clock = Ahead()
    secret = {"JWT_SECRET": secrets.token_urlsafe(48)} if two_roles else {}
    config = load_config(folder, {"ENCRYPTION_KEY": new_root_key(), **secret})
    async with run_engine(config, clock=clock, beside_web=two_roles) as engine:
        if not two_roles:
            app = create_app(engine, WebSettings(**web), now=clock.now)
            yield WebPlace(app, engine, engine.services, clock)
            return
        async with run_web(config, clock=clock) as role:
            with trio.fail_after(60):
                await role.reached.wait()
            app = create_app(role, WebSettings(**web), now=clock.now)
            yield WebPlace(app, engine, engine.services, clock)
