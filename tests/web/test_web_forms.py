"""Every form of the place, from the table of routes: it has a page that answers it, no secret of it
is shown again, and whatever is typed into it is taken or refused beside its field, with nothing half
done and nothing lost.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pyotp
import pytest
from test_web_home import follow, held
from web_forms import Control, Form, forms_of
from web_place import PASSWORD, SETTINGS, Browser, WebPlace, web_place

from engine.domain.identifiers import PersonId
from engine.domain.person import Role
from engine.domain.text import for_people
from engine.ledger import Database
from engine.ledger.messages import begin_channel, confirm_channel
from engine.ledger.query import fetch_all
from engine.services.accounts import exchange_choices
from web.app import PAGES
from web.operators import commands
from web.routes import Route, Who
from web.visit import Visit

FORMS = [route for route in PAGES if route.method == "POST"]
_PART = re.compile("<([a-z]+)>")
SECRETS = {"password", "again", "factor", "passkey", "code", "csrf", "secret"}


def test_every_form_and_every_button_has_a_page_that_whoever_may_send_it_may_see() -> None:
    pages = {route.address: route.who for route in PAGES if route.method == "GET"}
    for route in FORMS:
        assert route.page in pages, f"{route.address}: no page has this form"
        assert pages[route.page] in (route.who, Who.SIGNED_IN, Who.ANYONE), route.address
        given = {*_PART.findall(route.address)}
        if not callable(route.keeps):
            given |= {*route.keeps}
            assert not SECRETS & {*route.keeps}, route.address
        assert {*_PART.findall(route.page)} <= given, route.address


async def test_no_secret_is_shown_again_where_a_factor_is_missing_or_wrong(
    tmp_path: Path,
) -> None:
    typed = {
        "/accounts/bob-2/key": {"secret": "typed-key"},
        "/security/password": {"password": "typed-password", "again": "typed-password"},
        "/security/second-factor": {"code": "135791"},
    }
    async with web_place(tmp_path) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/accounts/connect?exchange=paper")
        await bob.post("/accounts/connect", exchange="paper", balance="50", factor=PASSWORD)
        await place.context.ledger.write(
            lambda db: db.execute(
                "UPDATE account SET environment = 'simulated' WHERE name = 'bob-2'"
            )
        )
        place.clock.passed += timedelta(minutes=6)
        for page, fields in typed.items():
            for factor in ({}, {"factor": "wrong"}):
                await bob.get(page)
                await bob.post(page, 422, **fields, **factor)
                assert (bob.path, 'id="factor-error"' in bob.text) == (page, True)
                assert "Secrets were not kept: enter them again" in bob.words
                assert all(each not in bob.text for each in fields.values())


LONG = "x" * 100_000
HOSTILE = (
    "1.000,50",
    "\u0661\u0662\u0663",
    "\uff15\uff10",
    "1\u00a0000\u202f0",
    "10^400",
    "9" * 401,
    "-0",
    "NaN",
    "1e-30",
    "a\x00b",
    "\u200f\u202egnp.exe\u2066",
    "\U0001f680\U0001f937\U0001f3fd\u200d\u2640\ufe0f",
    "<script>alert(1)</script>\"'>",
    "{{ 7 * 7 }} %s ../../etc/passwd",
    "line\r\nSet-Cookie: a=b",
    "",
)
READS = {"1.000,50", "1\u00a0000\u202f0"}
"""Numbers with one meaning, typed as people of some country type them."""
VALID = {
    "name": "fine",
    "note": "looked at it",
    "symbols": "BTCUSDT",
    "leverage": "5",
    "size": "50",
    "url": "https://bot.example/settled",
    "password": "another calm row of words",
    "again": "another calm row of words",
    "secret": "paper:100:00",
    "code": "ABCDEFGHIJ",
    "credential": "{}",
    "headers": "webhook-id: 1",
    "body": "{}",
    "target": "",
}
AT = {
    "/accounts/<name>/key": {"name": "bob-2"},
    "/channels/<name>/wants": {"name": "webhook"},
    "/channels/<name>/test": {"name": "webhook"},
    "/channels/<name>/begin": {"name": "ntfy"},
    "/channels/<name>/confirm": {"name": "ntfy"},
    "/operate/people/suspend": {"name": "eve"},
}
WHO = {
    Who.ANYONE: "",
    Who.SIGNED_IN: "bob",
    Who.FOLLOWER: "bob",
    Who.MASTER: "ada",
    Who.OPERATOR: "ops",
}
FROM_HERE = {
    "Origin": "http://localhost",
    "Content-Type": "application/x-www-form-urlencoded",
}
QUERIES = {"/join": "exchange=paper", "/accounts/connect": "exchange=paper"}
UNKNOWN = {
    "side": "LONG",
    "quantity": "1",
    "symbol": "BTCUSDT",
    "account": "bob",
    "environment": "paper",
    "state": "not_confirmed",
    "exchange": "paper",
    "claimed_at": "2026-11-29T10:00:00+00:00",
    "cause": "",
    "signal_id": "sg_1",
    "opens": True,
    "client_order_id": "c1",
}
REMEMBERED = (
    "api_token",
    "audit",
    "callback",
    "endpoint",
    "endpoint_secret",
    "master_request",
    "passkey",
    "person",
    "recovery_code",
    "signal",
    "strategy",
    "subscription",
    "switch",
    "ticket",
)
"""Tables that only people and their forms change: a change and its audit row are one transaction."""


def filled(address: str, parts: Mapping[str, str]) -> str:
    return _PART.sub(lambda part: parts.get(part[1], "nonsense"), address)


@dataclass
class Walk:
    """The forms of a running place, each opened by somebody who may send it."""

    place: WebPlace
    named: Mapping[str, Browser]
    parts: Mapping[str, str]
    wrong: list[str] = field(default_factory=list)
    sent: int = 0

    async def forms(self) -> AsyncIterator["Walked"]:
        for route in FORMS:
            if route.asks:
                parts = {**self.parts, **AT.get(route.address, {})}
                page, action = filled(route.page, parts), filled(route.address, parts)
                page = f"{page}?{QUERIES.get(route.address, '')}".rstrip("?")
                yield Walked(self, route, self.sender(route), action, page)

    def sender(self, route: Route) -> Browser:
        """Return who sends a form."""
        return self.named[WHO[route.who]]

    def look(self, browser: Browser) -> None:
        """Blame a field of the open page that its route does not declare: it would be taken for a
        secret, and lost on the way to a factor.
        """
        routes = {route.endpoint: route for route in FORMS}
        for form in forms_of(browser.text):
            endpoint, given = self.place.app.url_map.bind("").match(form.action, method="POST")
            route = routes.get(str(endpoint))
            if route is None:
                continue
            sent = {name: "".join(value[:1]) for name, value in form.sends().items()}
            known = route.kept(self.place.services, {**sent, **given}) | {*route.redraws}
            for one in form.controls.values():
                if one.kind != "password" and one.name not in known | SECRETS | {"once"}:
                    secret = route.asks and one.is_text
                    if not secret:
                        self.wrong.append(f"{route.address} does not declare {one.name}")

    def state(self) -> list[object]:
        """Return what the place remembers of what people did."""
        db = self.place.context.ledger.db
        return [(name, fetch_all(db, f"SELECT * FROM {name}")) for name in REMEMBERED]


@dataclass
class Walked:
    """One form of the walk."""

    walk: Walk
    route: Route
    browser: Browser
    action: str
    page: str
    form: Form = field(default_factory=lambda: Form(""))

    async def open(self) -> bool:
        """Open the page; return whether it has the form."""
        await self.browser.get(self.page)
        self.walk.look(self.browser)
        found = [each for each in forms_of(self.browser.text) if each.action == self.action]
        if found:
            self.form = found[0]
        return bool(found)

    async def send(self, *, other: tuple[int, ...] = (), **typed: str) -> tuple[Form | None, str]:
        """Send the form with what is typed; return it as it is shown again, None where it was taken,
        and what stands above it. ``other``: the status may be one of these.
        """
        walk, said = self.walk, {**self.form.sends(), **typed}
        pairs = [
            (name, each)
            for name, value in said.items()
            for each in ([value] if isinstance(value, str) else value)
        ]
        walk.sent += 1
        await walk.place.context.ledger.write(lambda db: db.execute("DELETE FROM throttle"))
        walk.place.services.telling._sent.clear()
        before = walk.state()
        answer = await self.browser.client.post(
            self.action,
            data=urlencode(pairs),
            headers=FROM_HERE,
        )
        text = str(await answer.get_data(as_text=True))
        shown = {name: value[:20] for name, value in typed.items()}
        if answer.status_code == 303:
            onward = answer.headers["Location"]
            if onward.startswith("/confirm") or "typed=" in onward:
                self.blame(f"asks for a factor or a session: {shown}")
            return None, text
        if answer.status_code == 200 and self.route.answers:
            return None, text
        if answer.status_code in other:
            return None, text
        if answer.status_code != 422:
            self.blame(f"answers {answer.status_code}: {shown}")
            return None, text
        changed = [one for one, two in zip(before, walk.state(), strict=True) if one != two]
        if changed:
            self.blame(f"refused, and half done: {shown}, {changed!r:.200}")
        found = [each for each in forms_of(text) if each.action == self.action]
        if not found:
            if not other:
                self.blame(f"is gone from its page: {shown}")
            return None, text
        if not any(each.error for each in found[0].controls.values()) and "tone-bad" not in text:
            self.blame(f"refused without a word: {shown}")
        above = text.partition('role="alert"')[2].partition("</div></div>")[0]
        return found[0], unescape(above)

    async def choose(self) -> None:
        """Choose the last of everything, and send it with texts that are refused: it is still chosen.
        Then send what is no choice.
        """
        chosen = {
            one.name: one.choices[-1]
            for one in self.form.controls.values()
            if one.kind in ("select", "radio", "checkbox")
        }
        if self.form.texts:
            again, _ = await self.send(**chosen, **{one.name: "NaN" for one in self.form.texts})
            for name, choice in {} if again is None else chosen.items():
                if again is not None and again.controls[name].values != [choice]:
                    self.blame(f"{name}: chose {choice}, shown {again.controls[name].values}")
        nonsense = {
            one.name: "nonsense \u0661"
            for one in self.form.controls.values()
            if not one.is_text and one.name not in {*SECRETS, "once"}
        }
        if nonsense:
            await self.send(other=(404, 409), **nonsense)
            await undo(self.walk, self)
            await self.open()

    def blame(self, what: str) -> None:
        self.walk.wrong.append(f"{self.route.address} {what}")

    def keeps(self, control: Control) -> bool:
        """Return whether what is typed into a control may be shown again."""
        given = {**{name: value[0] for name, value in self.form.sends().items()}, **self.walk.parts}
        given |= AT.get(self.route.address, {})
        return control.name in self.route.kept(self.walk.place.services, given)

    def judge(self, again: Form, above: str, value: str, typed: Iterable[Control]) -> None:
        """Blame what is lost, what is shown that must not be, and what is not refused."""
        for control in typed:
            if f"{control.name}: " in above:
                self.blame(f"{control.name} is told above the form, not beside it: {above[:200]}")
            now = again.controls.get(control.name)
            kept = for_people(value) if self.keeps(control) else ""
            if now is None:
                self.blame(f"lost the field {control.name}")
            elif "".join(now.values).split() != kept.split():
                self.blame(f"{control.name}: typed {value[:20]!r}, shown {now.values!r:.60}")
            elif len(now.error) > 400:
                self.blame(f"{control.name}: an error that nobody reads: {now.error[:80]}")
            elif (
                control.inputmode in ("numeric", "decimal")
                and self.keeps(control)
                and not now.error
                and value.strip()
                and value not in READS
            ):
                self.blame(f"{control.name}: {value[:20]!r} is taken for a number")


@asynccontextmanager
async def walked_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Walk]:
    """Run a place in which every form is on its page."""
    settings = SETTINGS.replace('"log"]', '"log", "webhook_out"]')
    settings += 'public_url = "https://copy.example.org"\n'
    async with web_place(folder, settings) as place:
        context = place.context
        monkeypatch.setattr(
            place.services.identity, "exchange_doors", lambda: exchange_choices(context)
        )
        ops = await place.person("ops", Role.OPERATOR)
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada)
        await place.person("eve")
        bob = await place.person("bob", balance="1000")
        await bob.get("/accounts/connect?exchange=paper")
        await bob.post("/accounts/connect", exchange="paper", balance="50", factor=PASSWORD)
        await follow(bob, strategy, "bob", "BTCUSDT")
        await place.signal(strategy, action="open", symbol="BTCUSDT", side="LONG")
        await place.until(lambda: held(place) == [("bob", "BTCUSDT")])

        def prepare(db: Database) -> None:
            db.execute("UPDATE account SET environment = 'simulated' WHERE name = 'bob-2'")
            (row,) = fetch_all(db, "SELECT id FROM person WHERE name = 'bob'")
            person, now = PersonId(str(row[0])), place.clock.now()
            for channel in ("ntfy", "webhook"):
                begin_channel(db, person, channel, b"sealed", 1, "https://x", b"hash", now)
            confirm_channel(db, person, "webhook", 1, b"hash", now, "2026-11-29")

        await context.ledger.write(prepare)
        named = {"": place.browser(), "bob": bob, "ada": ada, "ops": ops}
        parts = {
            "name": "bob",
            "symbol": "BTCUSDT",
            "identifier": strategy,
            "source": "tradingview",
            "token": "none",
        }
        yield Walk(place, named, parts)


async def undo(walk: Walk, taken: Walked) -> None:
    """Undo what a form did where it would not be on its page a second time."""
    forgotten = {
        "/security/become-master": "DELETE FROM master_request",
        "/operate/switches/on": "DELETE FROM switch",
        "/operate/people/suspend": "DELETE FROM suspension",
        "/security/tokens": "DELETE FROM api_token",
    }
    if taken.route.address == "/security/password":
        await taken.open()
        await taken.browser.post(taken.action, password=PASSWORD, again=PASSWORD)
    statement = forgotten.get(taken.route.address)
    if statement is not None:
        await walk.place.context.ledger.write(lambda db: db.execute(statement))


async def press_nonsense(walk: Walk, route: Route) -> None:
    """Press a button with what its page never puts there."""
    browser, parts = walk.sender(route), {**walk.parts, **AT.get(route.address, {})}
    assert not callable(route.keeps)
    await browser.get(filled(route.page, parts))
    walk.look(browser)
    pressed = [(parts, dict.fromkeys(route.keeps, "nonsense ١"))] if route.keeps else []
    if _PART.findall(route.address):
        pressed.append((dict.fromkeys(parts, "nonsense"), {}))
    for at, fields in pressed:
        walk.sent += 1
        before = walk.state()
        answer = await browser.client.post(
            filled(route.address, at),
            form={"csrf": browser.csrf, **fields},
            headers={"Origin": "http://localhost"},
        )
        is_done = walk.state() != before
        if is_done or answer.status_code not in (303, 404, 409, 422):
            where = answer.headers.get("Location", "")
            walk.wrong.append(f"{route.address} answers nonsense {answer.status_code} {where}")


async def come_back(walk: Walk, name: str, after: timedelta) -> None:
    """Send every form and press every button of somebody after their session ended, then sign in:
    each page comes back with what was typed, or with what is offered.
    """
    place, led = walk.place, list[tuple[Route, str, list[str]]]()
    browser = walk.named[name]
    forms = {each.route.address: each async for each in walk.forms() if each.browser is browser}
    for each in forms.values():
        await each.open()
    place.clock.passed += after
    for route in FORMS:
        if route.who is Who.ANYONE or walk.sender(route) is not browser or route.page == "/":
            continue
        parts, typed, fields = {**walk.parts, **AT.get(route.address, {})}, [], [("name", "eve")]
        if route.address in forms:
            each, fields = forms[route.address], []
            for name_of, values in each.form.sends().items():
                one = each.form.controls[name_of]
                if one.is_text and each.keeps(one):
                    typed.append(f"kept {name_of}")
                    values = typed[-1:]
                fields += [(name_of, value) for value in values]
        answer = await browser.client.post(
            filled(route.address, parts), data=urlencode(fields), headers=FROM_HERE
        )
        path, _, query = answer.headers.get("Location", "").partition("?")
        given = dict(parse_qsl(query))
        if path != "/sign-in" or not given.get("done", "").startswith("ended-"):
            walk.wrong.append(f"{route.address} after the session: {answer.status_code} {path}")
        led.append((route, given.get("next", ""), typed))
    await browser.get("/sign-in")
    code = pyotp.TOTP(browser.totp).at(place.clock.now()) if browser.totp else ""
    await browser.post("/sign-in", bare=True, name=name, password=PASSWORD, code=code)
    for route, onward, typed in led:
        await browser.get(onward or "/nowhere")
        shown = [
            value
            for form in forms_of(browser.text)
            for one in form.controls.values()
            for value in one.values
        ]
        lost = [] if route.again else [value for value in typed if value not in shown]
        if "Not done yet" not in browser.words or lost:
            walk.wrong.append(f"{route.address} after signing in, at {browser.path}: lost {lost}")


async def test_whatever_is_typed_is_taken_or_refused_beside_its_field_and_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = commands.run

    async def run_with_unknown(visit: Visit, method: str, **params: Any) -> dict[str, Any]:
        return {"unknown": [UNKNOWN]} if method == "unknown" else await run(visit, method, **params)

    monkeypatch.setattr("web.operators.unknowns.run", run_with_unknown)
    async with walked_place(tmp_path, monkeypatch) as walk:
        async for each in walk.forms():
            if not await each.open():
                each.blame(f"is not on {each.page}")
                continue
            for one in each.form.texts:
                again, above = await each.send(**{one.name: LONG})
                if again is None:
                    each.blame(f"{one.name} takes 100,000 characters")
                else:
                    each.judge(again, above, LONG, [one])
            await each.choose()
            for value in HOSTILE if each.form.texts else ():
                again, above = await each.send(**{one.name: value for one in each.form.texts})
                if again is None:
                    await undo(walk, each)
                    await each.open()
                    continue
                each.judge(again, above, value, each.form.texts)
                alone = {one.name for one in again.controls.values() if one.error}
                if value != "NaN" or len(each.form.texts) < 2:
                    continue
                for one in each.form.texts:
                    valid = {other.name: VALID.get(other.name, "") for other in each.form.texts}
                    valid |= {
                        other.name: other.values[0]
                        for other in each.form.texts
                        if "".join(other.values)
                    }
                    single, _ = await each.send(**{**valid, one.name: value})
                    if single is None:
                        await undo(walk, each)
                        await each.open()
                    elif one.name not in {*alone, "again"} and single.controls[one.name].error:
                        each.blame(f"{one.name} is told only once the other fields are right")
        for route in FORMS:
            if not route.asks:
                await press_nonsense(walk, route)
        await come_back(walk, "ops", timedelta(minutes=31))
        await come_back(walk, "bob", timedelta(hours=13))
        await come_back(walk, "ada", timedelta(0))
        assert not walk.wrong, "\n".join(walk.wrong)
        assert walk.sent > 500
