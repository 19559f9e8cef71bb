"""A webhook secret or an exchange key leaked: what is refused from then on, and what goes on."""

import json
from pathlib import Path

import pytest
from web_place import WebPlace, web_place

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
