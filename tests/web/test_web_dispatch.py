"""A page for a failure of the server says only that it failed."""

from types import SimpleNamespace
from typing import cast

import pytest
from quart import Response
from web_helpers import NOW, MemoryEngine

from engine.domain.text import may_be_kept
from engine.keys.vault import VaultError
from engine.ledger import LedgerError
from engine.services import Services
from web.app import create_app
from web.dispatch import Dispatcher
from web.routes import Handler, Who, form, get
from web.settings import WebSettings
from web.visit import Visit


@pytest.mark.parametrize(
    ("path", "headers", "by_itself"),
    [("/shows", {}, False), ("/shows", {"X-Only-Looks": "yes"}, True), ("/pulse", {}, True)],
)
async def test_a_page_that_renews_itself_keeps_no_session_alive(
    path: str, headers: dict[str, str], by_itself: bool
) -> None:
    looked: list[bool] = []

    async def user(cookie: str, address: str, *, only_looks: bool) -> None:
        looked.append(only_looks)

    settings = WebSettings()
    engine = MemoryEngine()
    app = create_app(engine, settings)
    services = cast(Services, SimpleNamespace(identity=SimpleNamespace(user=user)))
    dispatcher = Dispatcher(app, services, engine, settings, lambda: NOW)
    never_reached = cast(Handler, None)  # nobody is signed in
    dispatcher.add([get(path, Who.SIGNED_IN, never_reached)])
    await app.test_client().get(path, headers={"Cookie": "rexalgo=x", **headers})
    assert looked == [by_itself]


@pytest.mark.parametrize(
    ("address", "typed", "status"),
    [
        ("/shows/plain?q=%C3%A9", {"note": "fine"}, 200),
        ("/shows/plain?q=%ED%A0%80", {"note": "fine"}, 200),  # no UTF-8: replaced as it is read
        ("/shows/plain?q=a%00b", {"note": "fine"}, 400),
        ("/shows/plain?%00=a", {"note": "fine"}, 400),
        ("/shows/pl%00ain", {"note": "fine"}, 400),
        ("/shows/plain", {"note": "a\x00"}, 422),
        ("/shows/plain", {"\x00": "a"}, 400),
    ],
)
async def test_text_that_no_ledger_keeps_reaches_no_handler(
    address: str, typed: dict[str, str], status: int
) -> None:
    async def show(visit: Visit, name: str) -> Response:
        assert may_be_kept("".join((name, *visit.query.values(), *visit.form.values())))
        return Response("shown")

    async def show_form(visit: Visit) -> Response:
        assert visit.form["note"] == "a\ufffd"
        return Response(visit.errors["note"], 422)

    settings = WebSettings()
    engine = MemoryEngine()
    app = create_app(engine, settings)
    dispatcher = Dispatcher(app, cast(Services, None), engine, settings, lambda: NOW)
    route = form("/shows/<name>", Who.ANYONE, show, page="/shows", keeps=("note",), answers=True)
    dispatcher.add([route])
    dispatcher.add([get("/shows", Who.ANYONE, show_form)])
    client = app.test_client()
    answer = await client.post(address, form=typed, headers={"Origin": "http://localhost"})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "error",
    [
        LedgerError("UNIQUE constraint failed: person.name"),
        VaultError("the data key of per_1 does not open"),
    ],
)
async def test_a_page_that_fails_inside_says_so_without_the_insides(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    settings = WebSettings()
    engine = MemoryEngine()
    app = create_app(engine, settings)
    services = SimpleNamespace(identity=SimpleNamespace(place="here", contact=""))
    dispatcher = Dispatcher(app, cast(Services, services), engine, settings, lambda: NOW)

    async def fails(visit: Visit) -> Response:
        raise error

    dispatcher.add([get("/fails", Who.ANYONE, fails)])
    answer = await app.test_client().get("/fails")
    assert answer.status_code == 503
    assert str(error) not in await answer.get_data(as_text=True)
    assert str(error) in caplog.text
