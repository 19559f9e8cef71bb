"""A dry run passes every check of a signal, counts what would become of it, and leaves nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from test_web_home import SETTINGS, follow, held
from web_place import WebPlace, web_place

from engine.decisions.signatures import sign_a
from engine.domain.identifiers import EndpointId
from engine.domain.person import Role
from engine.keys.sealed_secrets import endpoint_keys
from engine.ledger.query import fetch_all, fetch_one

KEPT = ("delivery", "sqlite_sequence", "equity_point")
"""Tables that may change during a dry run: the master's list of deliveries, and its numbers; what
readings of accounts leave.
"""


class Bot:
    """A bot of one strategy: it signs and posts, as over the network, and holds each answer against
    the contract.
    """

    def __init__(self, place: WebPlace, endpoint: str, secret: Any) -> None:
        self.place, self.endpoint, self.secret = place, endpoint, secret
        self.contract: dict[str, Any] = {}

    async def post(self, query: str = "", **body: object) -> tuple[int, dict[str, Any]]:
        content = json.dumps({"action": "open", "symbol": "BTCUSDT", **body}).encode()
        client = self.place.app.test_client()
        answer = await client.post(
            f"/api/webhooks/copy-trading/{self.endpoint}{query}",
            data=content,
            headers=sign_a(self.secret, content, self.place.clock.now()),
        )
        told = await answer.get_json(force=True)
        if not self.contract:
            self.contract = await (await client.get("/api/webhooks/schema.json")).get_json()
            for each in self.contract["$defs"].values():
                each["additionalProperties"] = False
        said = {**self.contract["answers"][str(answer.status_code)], **self.contract}
        assert not list(Draft202012Validator(said).iter_errors(told)), (answer.status_code, told)
        return answer.status_code, told


async def bot_of(place: WebPlace) -> Bot:
    row = fetch_one(place.context.ledger.db, "SELECT id FROM endpoint WHERE token_hash IS NULL")
    assert row is not None
    keys = endpoint_keys(
        place.context.ledger.db,
        await place.context.open_vault(),
        EndpointId(row[0]),
        place.clock.now(),
    )
    return Bot(place, str(row[0]), keys[0].secret)


def everything(place: WebPlace) -> dict[str, list[Any]]:
    """Return every row of every table that a signal could change."""
    db = place.context.ledger.db
    names = [row[0] for row in fetch_all(db, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {each: fetch_all(db, f"SELECT * FROM {each}") for each in names if each not in KEPT}


@pytest.mark.parametrize("two_roles", [False, True])
async def test_a_dry_run_counts_and_leaves_nothing(tmp_path: Path, two_roles: bool) -> None:
    async with web_place(tmp_path, SETTINGS, two_roles=two_roles) as place:
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada, symbols="BTCUSDT,ETHUSDT")
        people = {}
        for name, symbol in (("bob", "BTCUSDT"), ("eve", "BTCUSDT"), ("kim", "ETHUSDT")):
            people[name] = await place.person(name, balance="1000")
            await follow(people[name], strategy, name, symbol)
        await people["eve"].get(f"/strategies/{strategy}")
        await people["eve"].post(
            f"/strategies/{strategy}/pause", bare=True, csrf=people["eve"].csrf, account="eve"
        )
        bot = await bot_of(place)
        entry = {"idempotency_key": "e-1", "side": "LONG"}
        before = everything(place)
        status, told = await bot.post("?dry_run=1", **entry)
        assert (status, told["ok"], told["dry_run"]) == (200, True, True)
        assert "no signal was recorded" in told["message"]
        assert told["copies"] == 3
        assert told["would"] == {
            "denied.symbol_not_agreed": 1,
            "order": 1,
            "skipped.paused": 1,
        }
        status, told = await bot.post("?dry_run=1", idempotency_key="c-1", action="close")
        assert told["would"] == {"skipped.nothing_to_close": 3}
        assert told["reason"] == "no follower holds anything of the strategy in BTCUSDT"
        assert (await bot.post("?dry_run=1", idempotency_key="x", action="trade"))[0] == 422
        assert everything(place) == before

        status, told = await bot.post(**entry)
        assert (status, told["duplicate"]) == (202, False), "the id stayed free"
        await place.until(lambda: held(place) == [("bob", "BTCUSDT")])
        outcomes = {
            row[0]
            for row in fetch_all(place.context.ledger.db, "SELECT code FROM copy ORDER BY code")
        }
        assert outcomes == {"denied.symbol_not_agreed", "filled", "skipped.paused"}
        status, told = await bot.post("?dry_run=1", **entry)
        assert (told["duplicate"], told["would"]) == (True, {})
        assert (await bot.post("?dry_run=1", **{**entry, "side": "SHORT"}))[0] == 409
        status, told = await bot.post("?dry_run=1", idempotency_key="c-1", action="close")
        assert told["would"] == {"order": 1, "skipped.nothing_to_close": 2}
        await place.until(
            lambda: fetch_all(
                place.context.ledger.db, "SELECT 1 FROM delivery WHERE kind = 'dry_run'"
            )
        )
        await ada.get(f"/studio/strategies/{strategy}/deliveries")
        assert "Dry run" in ada.words


NEARLY = (
    "?dry_run=true",
    "?dry_run=maybe",
    "?dry_run",
    "?dry_run=0&dry_run=1",
    "?dry_rnu=1",
    "?dryrunn=1",
    "?drt_run=no_idea",
    "?is_dry_run=1",
    "?dry=1",
    "?test=1",
    "?testnet=yes",
    "?preview",
    "?simulate=1",
    "?source=a&?dry_run=1",
)


async def test_what_is_nearly_a_dry_run_does_not_trade(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        await place.strategy(await place.person("ada", Role.MASTER))
        bot = await bot_of(place)
        for query in NEARLY:
            status, told = await bot.post(query, idempotency_key="e-1", side="LONG")
            assert (status, told["field"]) == (422, "dry_run"), query
        for query in ("?dryrun=1", "?dry-run=1", "?DRY_RUN=1", "?source=a&Dry_Run=1"):
            status, told = await bot.post(query, idempotency_key="e-1", side="LONG")
            assert (status, told["dry_run"]) == (200, True), query
        assert (await bot.post("?source=a", idempotency_key="e-1", side="LONG"))[0] == 202
        bot.secret = type(bot.secret)("whsec_" + "A" * 43 + "=")
        for query in ("?dry_run=1", *NEARLY):
            assert (await bot.post(query, idempotency_key="e-2", side="LONG"))[0] == 401, query


async def test_what_asks_for_no_dry_run_is_delivered(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        await place.strategy(await place.person("ada", Role.MASTER))
        bot = await bot_of(place)
        for n, query in enumerate(
            (
                "?dry_run=0",
                "?dry_run=false",
                "?DryRun=NO",
                "?dry-run=off",
                "?is_dry_run=0",
                "?test=false",
                "?preview=0",
                "?testnet=0",
                "?paper=1",
                "?strategy=dryrun_v2",
                "?run=dry-run",
            )
        ):
            status, told = await bot.post(query, idempotency_key=f"c-{n}", action="close")
            assert (status, told.get("dry_run")) == (202, None), (query, told)


@pytest.mark.parametrize("two_roles", [False, True])
async def test_an_exit_that_is_nearly_a_dry_run_is_noted_and_told(
    tmp_path: Path, two_roles: bool
) -> None:
    async with web_place(tmp_path, SETTINGS, two_roles=two_roles) as place:
        ada = await place.person("ada", Role.MASTER)
        strategy = await place.strategy(ada)
        bot = await bot_of(place)
        db = place.context.ledger.db
        noted = "SELECT kind, field, reads_exit FROM delivery WHERE kind != 'not_authentic'"
        told = "SELECT code FROM alert WHERE code IN ('exit_refused', 'signal_refused')"

        proven = bot.secret
        bot.secret = type(proven)("whsec_" + "A" * 43 + "=")
        assert (await bot.post("?dry_rnu=1", idempotency_key="c-1", action="close"))[0] == 401
        await place.until(lambda: fetch_all(db, "SELECT 1 FROM delivery"))
        assert (fetch_all(db, noted), fetch_all(db, told)) == ([], [])

        bot.secret = proven
        assert (await bot.post("?dry_rnu=1", idempotency_key="c-1", action="close"))[0] == 422
        await place.until(lambda: fetch_all(db, noted))
        assert fetch_all(db, noted) == [("invalid", "dry_run", 1)]
        assert fetch_all(db, told) == [("exit_refused",)]
        await ada.get(f"/studio/strategies/{strategy}")
        assert "an exit was refused" in ada.words
        assert (await bot.post(idempotency_key="c-1", action="close"))[0] == 202


async def test_a_dry_run_counts_against_the_rate(tmp_path: Path) -> None:
    settings = SETTINGS + "[engine]\nwebhook_rate_per_minute = 4\n"
    async with web_place(tmp_path, settings) as place:
        await place.strategy(await place.person("ada", Role.MASTER))
        bot = await bot_of(place)
        statuses = [
            (await bot.post("?dry_run=1", idempotency_key=f"e-{n}", side="LONG"))[0]
            for n in range(5)
        ]
        assert (statuses[0], statuses[-1]) == (200, 429)


async def test_dry_runs_have_a_rate_of_their_own(tmp_path: Path) -> None:
    async with web_place(tmp_path, SETTINGS) as place:
        await place.strategy(await place.person("ada", Role.MASTER))
        bot = await bot_of(place)
        body = {"idempotency_key": "e-1", "side": "LONG"}
        statuses = [(await bot.post("?dry_run=1", **body))[0] for _ in range(9)]
        assert statuses[:4] == [200] * 4
        assert statuses[-1] == 429
        assert (await bot.post(**body))[0] == 202, "a signal does not wait for dry runs"
