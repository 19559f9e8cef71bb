"""The pages of a web that reaches the engine over its control socket: each shows and does what it
does in one process.
"""

from pathlib import Path

from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.person import Role
from engine.services import Services
from engine.views import ReceptionKind
from web.routes import Who

TERMS = {
    "mode": "live",
    "sizing": "fixed_margin",
    "size": "50",
    "leverage_mode": "capped",
    "leverage": "5",
    "symbols": "BTCUSDT",
}


async def follow(place: WebPlace, strategy: str, follower: Browser) -> None:
    """Agree to a strategy with the account of the follower's name."""
    page = f"/strategies/{strategy}/follow"
    await follower.get(page)
    await follower.post(page, do="agree", **TERMS)
    await follower.post(page, factor=PASSWORD)


async def test_every_page_is_shown_and_a_signal_reaches_its_follower(tmp_path: Path) -> None:
    async with web_place(tmp_path, two_roles=True) as place:
        master = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(master)
        bob = await place.person("bob", balance="1000")
        operator = await place.person("olga", Role.OPERATOR)
        await follow(place, strategy, bob)
        reception = await place.signal(
            strategy, action="open", symbol="BTCUSDT", side="LONG", order_type="MARKET"
        )
        assert reception.kind is ReceptionKind.ACCEPTED
        await place.until(lambda: "filled" in _codes(place, str(reception.signal_id)))

        own = {
            "<name>": "bob",
            "<account>": "bob",
            "<identifier>": strategy,
            "<signal>": str(reception.signal_id),
        }
        people = {
            Who.SIGNED_IN: bob,
            Who.FOLLOWER: bob,
            Who.MASTER: master,
            Who.OPERATOR: operator,
        }
        shown = 0
        for route in place.app.config["ROUTES"]:
            address = route.address
            for part, value in own.items():
                address = address.replace(part, value)
            if route.method != "GET" or route.who not in people or "<" in address:
                continue
            if address == "/pulse":
                continue
            answer = await people[route.who].client.get(address)
            words = (await answer.get_data())[:2_000]
            assert answer.status_code in (200, 303, 404), (address, answer.status_code, words)
            shown += answer.status_code == 200
        assert shown > 30
        await bob.get("/home")
        assert "BTCUSDT" in bob.words


def _codes(place: WebPlace, signal: str) -> list[str]:
    rows = place.context.ledger.db.execute(
        "SELECT code FROM copy JOIN signal ON number = signal_number WHERE signal.id = ?",
        (signal,),
    ).fetchall()
    return [str(row[0]) for row in rows]


async def test_forms_are_refused_in_the_same_words(tmp_path: Path) -> None:
    async with web_place(tmp_path, two_roles=True) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/security/password")
        await bob.post(
            "/security/password", password="short", again="other", factor=PASSWORD, status=422
        )
        assert "10 to 200 characters" in bob.words
        stranger = place.browser()
        await stranger.get("/sign-in")
        await stranger.post("/sign-in", 422, name="bob", password="wrong words entirely")
        assert "/sign-in" in stranger.path
        await bob.get("/home")
        await bob.post("/accounts/bob/pause")
        await bob.get("/home")
        assert "aused" in bob.words


async def test_signing_out_ends_the_session_at_once(tmp_path: Path) -> None:
    async with web_place(tmp_path, two_roles=True) as place:
        bob = await place.person("bob", balance="1000")
        await bob.get("/security")
        await bob.post("/sign-out")
        await bob.get("/home")
        assert bob.path != "/home"


def test_what_pages_ask_of_the_engine_travels_by_name() -> None:
    names = {
        f"{kind.__name__}.{name}"
        for kind in (each.type for each in Services.__dataclass_fields__.values())
        if isinstance(kind, type) and kind.__module__.startswith("engine.services.")
        for name, method in vars(kind).items()
        if getattr(method, "is_asked", False)
    }
    assert len(names) > 40
    assert "IdentityService.user" not in names, "a page is shown while the engine is away"
