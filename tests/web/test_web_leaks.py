"""A webhook secret or an exchange key leaked: what is refused from then on, and what goes on."""

import json
import re
from pathlib import Path

import pytest
from web_place import PASSWORD, WebPlace, web_place

from engine.decisions.signatures import sign_a
from engine.domain.errors import NothingThere
from engine.domain.identifiers import AccountId, EndpointId
from engine.domain.person import Role
from engine.keys.sealed_secrets import endpoint_keys
from engine.ledger.identity import is_login_leaked
from engine.ledger.query import fetch_all
from engine.ledger.reports import switches
from engine.ports.secret import Secret
from engine.ports.signal_source import Delivery
from engine.views import ReceptionKind


async def deliver(place: WebPlace, endpoint: str, secret: Secret, key: str) -> ReceptionKind:
    content = json.dumps({"idempotency_key": key, "action": "close", "symbol": "BTCUSDT"}).encode()
    now = place.clock.now()
    headers = tuple((name.lower(), value) for name, value in sign_a(secret, content, now).items())
    delivery = Delivery(content, headers, "192.0.2.1", now)
    return (await place.engine.ingress.receive(endpoint, delivery)).kind


async def test_a_leaked_webhook_secret_is_refused_at_once_and_the_new_one_is_taken(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        await place.strategy(await place.person("ada", Role.MASTER))
        db = place.context.ledger.db
        ((endpoint,),) = fetch_all(db, "SELECT id FROM endpoint WHERE token_hash IS NULL")
        (old,) = endpoint_keys(
            db, await place.context.open_vault(), EndpointId(endpoint), place.clock.now()
        )
        assert await deliver(place, endpoint, old.secret, "1") is ReceptionKind.ACCEPTED
        told = await place.engine.commands.run("rotate", {"strategy": "trend", "overlap_hours": 0})
        assert await deliver(place, endpoint, old.secret, "2") is ReceptionKind.NOT_AUTHENTIC
        new = Secret(told["secret"])
        assert await deliver(place, endpoint, new, "3") is ReceptionKind.ACCEPTED
        addresses = await place.engine.commands.run("leaked_addresses", {"strategy": "trend"})
        assert addresses["addresses"] == 0


async def test_a_leaked_exchange_key_signs_nobody_in_and_its_account_takes_no_entries(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        owner = await place.person("ada", balance="1000")
        db, run = place.context.ledger.db, place.engine.commands.run
        (before,) = fetch_all(db, "SELECT account_id FROM login_print")
        told = await run("leaked_account", {"name": "ada", "by": "ops"})
        assert (told["owner"], told["exchange"]) == ("ada", "paper")
        assert told["sessions_ended"] == 1
        await owner.get("/home")
        assert owner.path == "/sign-in"
        assert fetch_all(db, "SELECT account_id FROM login_print") == [before]
        assert is_login_leaked(db, AccountId(str(before[0])))
        on = [(each.scope.value, each.target, each.level.value) for each in switches(db)]
        assert on == [("account", "ada", "entries")]
        (row,) = (await run("audit", {"search": "exchange_key_leaked"}))["audit"]
        assert (row["by"], row["subject"]) == ("ops", "ada")
        with pytest.raises(NothingThere, match="did you mean ada"):
            await run("leaked_account", {"name": "adaa"})
        exposed = await run("leaked_exposed", {})
        assert exposed == {"accounts": ["ada"], "strategies": [], "second_factors": []}


async def test_leaked_addresses_are_refused_at_once_and_each_has_another(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        master = await place.person("ada", Role.MASTER)
        strategy, run = await place.strategy(master), place.engine.commands.run
        with pytest.raises(NothingThere, match="rexalgo key leaked webhook trend"):
            await run("leaked_capabilities", {"strategy": "trend"})
        with pytest.raises(NothingThere, match="did you mean trend"):
            await run("leaked_capabilities", {"strategy": "trent"})
        way, old = f"/studio/strategies/{strategy}/addresses/tradingview", []
        for symbols in ("BTCUSDT", ""):
            await master.get(way)
            scope = {"setting_sell": "close", "only": "exits", "days": "30", "symbols": symbols}
            await master.post(way, factor=PASSWORD, **scope)
            url = re.search(r'id="url">([^<]+)<', master.text)
            assert url is not None, master.words
            old.append(url[1])
        made, *_ = (await run("audit", {"search": "capability_made"}))["audit"]
        assert '"sell"' not in made["data"], "an operator reads the words of the page"
        assert 'while long":"closes the position"' in made["data"]

        async def alert(url: str, order: str) -> ReceptionKind:
            """Deliver as TradingView does."""
            now = place.clock.now()
            body = {"action": "close", "symbol": "BTCUSDT", "order_id": order, "time": order}
            delivery = Delivery(json.dumps(body).encode(), (), "52.89.214.238", now)
            receive = place.engine.ingress.receive_by_token
            return (await receive(url.rpartition("/")[2], delivery)).kind

        assert [await alert(url, "1") for url in old] == [ReceptionKind.ACCEPTED] * 2
        told = await run("leaked_capabilities", {"strategy": "trend", "by": "ops"})
        assert told["owner"] == "ada"
        new = [each["url"] for each in told["addresses"]]
        assert len({*old, *new}) == 4
        assert [await alert(url, "2") for url in old] == [ReceptionKind.NOT_AUTHENTIC] * 2
        assert [await alert(url, "3") for url in new] == [ReceptionKind.ACCEPTED] * 2
        kept = [each["settings"] for each in told["addresses"]]
        assert [each.get("symbols") for each in kept] == [["BTCUSDT"], []]
        (row,) = (await run("audit", {"search": "capabilities_leaked"}))["audit"]
        assert (row["by"], row["subject"], row["data"]) == ("ops", "trend", '{"renewed":2}')
        whole = b"".join(each.read_bytes() for each in (tmp_path / "data").glob("ledger.sqlite3*"))
        for url in new:
            assert url.rpartition("/")[2].encode() not in whole
