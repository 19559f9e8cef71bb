"""Every endpoint of the API by every scope and every kind of asker, generated from the table; every
answer is held against the OpenAPI document as a program reads it.
"""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from api_place import ROOT, Program, program
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_web_api import traded
from test_web_home import SETTINGS
from web_place import PASSWORD, Browser, WebPlace, web_place

from engine.domain.person import Role
from engine.domain.token import TokenScope
from engine.ledger.query import fetch_all, fetch_one
from web.api.dispatch import ENDPOINTS
from web.api.openapi import openapi_document
from web.api.table import Endpoint, WrongQuery

ENDED = ("suspended", "expired", "revoked")
ROLES = {
    "follower": {Role.FOLLOWER},
    "master": {Role.MASTER},
    "stranger": {Role.MASTER, Role.FOLLOWER},
    "operator": {Role.OPERATOR},
}


class Document:
    """The OpenAPI document of a place; an answer must be exactly what it says."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        strict = deepcopy(told)
        for schema in strict["components"]["schemas"].values():
            if "properties" in schema:
                schema["additionalProperties"] = False
        self._strict = strict

    def check(self, endpoint: Endpoint, status: int, answer: object) -> None:
        """Fail unless the document says that the endpoint answers so."""
        responses = self.operation(endpoint)["responses"]
        assert str(status) in responses, (endpoint.address, status)
        said = responses[str(status)]
        if "$ref" in said:
            said = self._strict["components"]["responses"][str(status)]
        schema = {**said["content"]["application/json"]["schema"], **self._strict}
        errors = list(Draft202012Validator(schema).iter_errors(answer))
        assert not errors, (endpoint.address, status, errors[:3], answer)

    def operation(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return what the document says about an endpoint."""
        address = re.sub(r"<(\w+)>", r"{\1}", endpoint.address)
        found: dict[str, Any] = self._strict["paths"][address][endpoint.method.lower()]
        return found


async def asked(
    place: WebPlace, asks: Program, endpoint: Endpoint, address: str
) -> tuple[int, Any]:
    """Ask, whatever the answer; time passes, so that the rate allows the next one."""
    place.clock.passed += timedelta(seconds=1)
    answer = await asks.client.open(
        f"/api/v1{address}",
        method=endpoint.method,
        headers={"Authorization": f"Bearer {asks.token}"} if asks.token else {},
    )
    return answer.status_code, await answer.get_json(force=True)


async def test_every_endpoint_by_every_scope_and_every_asker(tmp_path: Path) -> None:
    """The strategy is private: who neither owns nor follows it may not see that there is one."""
    async with web_place(tmp_path, SETTINGS) as place:
        strategy, ada, bob = await traded(place)
        await ada.get(f"/studio/strategies/{strategy}")
        await ada.post(f"/studio/strategies/{strategy}/state", state="private", factor=PASSWORD)
        own = await _own_things(place, strategy)
        document = Document(await program_document(place))
        askers = await _askers(place, ada, bob)
        judged = 0
        for endpoint in ENDPOINTS:
            address = endpoint.path({part: own[part] for part in endpoint.parts})
            for (who, scope), asks in askers.items():
                status, answer = await asked(place, asks, endpoint, address)
                told = (endpoint.method, address, who, scope, status, answer)
                document.check(endpoint, status, answer)
                assert status == _expected(endpoint, who, scope), told
                if who in ("stranger", "operator"):
                    assert not [
                        each for each in ("bob", "trend", own["signal"]) if each in str(answer)
                    ]
                judged += 1
        assert judged == len(ENDPOINTS) * len(askers)
        done = fetch_all(
            place.context.ledger.db,
            "SELECT by, act FROM audit WHERE act IN ('switched_on', 'strategy_paused', "
            "'position_closed') ORDER BY number",
        )
        may = [
            "ada" if each.role is Role.MASTER else "bob"
            for each in ENDPOINTS
            for scope in TokenScope
            if each.method == "POST" and scope.includes(each.scope)
        ]
        assert [by for by, _ in done] == may, "nobody else did anything"


def _expected(endpoint: Endpoint, who: str, scope: TokenScope | None) -> int:
    """Return the status that an asker must get for what is bob's, or ada's as a master."""
    if scope is None or who in ENDED:
        return 401
    if not scope.includes(endpoint.scope):
        return 403
    if endpoint.role is not None and endpoint.role not in ROLES[who]:
        return 404
    return 404 if endpoint.parts and who not in ("master", "follower") else 200


HOSTILE = (
    "",
    " ",
    "\u0663",
    "1e999",
    "-0,5",
    "2026-02-30",
    "2099-12-31",
    "' OR 1=1 --",
    "../../me",
    "<script>",
    "\u202e\U0001f4a9",
    "a\x00b",
    "9" * 19,
    "x" * 201,
)
"""Values that a person, another country's keyboard or an attacker may send."""


async def test_every_hostile_value_gets_one_sentence_for_each_field(tmp_path: Path) -> None:
    async with web_place(tmp_path) as place:
        people = {
            Role.MASTER: await place.person("ada", Role.MASTER),
            Role.FOLLOWER: await place.person("bob", balance="1000"),
        }
        askers = {each: await program(place, people[each], "reduce") for each in people}
        document = Document(await program_document(place))
        for endpoint, text in product(ENDPOINTS, HOSTILE):
            asks = askers[endpoint.role or Role.FOLLOWER]
            query = {each.name: text for each in endpoint.query}
            address = endpoint.path({**dict.fromkeys(endpoint.parts, text), **query})
            status, answer = await asked(place, asks, endpoint, address)
            told = (endpoint.method, address, status, answer)
            if endpoint.parts and (not text or "/" in text):
                assert status in (200, 404), told  # an address of another route, or of none
                continue
            document.check(endpoint, status, answer)
            wrong = {each.name for each in endpoint.query if not _validator(each.schema)(text)}
            if status == 422:
                assert wrong <= answer["fields"].keys() <= query.keys(), told
                assert all(each.startswith("expected ") for each in answer["fields"].values()), told
                assert answer["message"].count("expected ") == len(answer["fields"]), told
            else:
                assert not wrong or endpoint.parts, told
                assert status == (404 if endpoint.parts or "account" in query else 200), told


async def test_nothing_answers_below_the_root_but_the_endpoints_of_the_table(
    tmp_path: Path,
) -> None:
    async with web_place(tmp_path) as place:
        served = {
            (method, str(rule.rule))
            for rule in place.app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
            if str(rule.rule).startswith(ROOT)
        }
        said = {(each.method, f"{ROOT}{each.address}") for each in ENDPOINTS}
        assert served == said | {("GET", f"{ROOT}/openapi.json")}


def test_what_changes_something_needs_more_than_reading() -> None:
    for each in ENDPOINTS:
        assert (each.method == "GET") == (each.scope is TokenScope.READ), each.address
        assert each.method in ("GET", "POST"), each.address


async def program_document(place: WebPlace) -> dict[str, Any]:
    """Read the document as anybody may."""
    answer = await place.app.test_client().get("/api/v1/openapi.json")
    told: dict[str, Any] = await answer.get_json(force=True)
    return told


async def _own_things(place: WebPlace, strategy: str) -> dict[str, str]:
    """Return a thing of bob's or ada's for each part of an address; a new part is named here."""
    db = place.context.ledger.db
    signal = fetch_one(db, "SELECT id FROM signal ORDER BY number LIMIT 1")
    trade = fetch_one(db, "SELECT id FROM trade")
    assert signal is not None
    assert trade is not None
    return {
        "account": "bob",
        "signal": str(signal[0]),
        "strategy": strategy,
        "symbol": "BTCUSDT",
        "trade": str(trade[0]),
    }


async def _askers(
    place: WebPlace, ada: Browser, bob: Browser
) -> dict[tuple[str, TokenScope | None], Program]:
    """Return a program of each kind: who owns things and who does not with each scope, and each
    that has ended.
    """
    eve = await place.person("eve", Role.MASTER, Role.FOLLOWER, balance="1000")
    olga = await place.person("olga", Role.OPERATOR)
    askers: dict[tuple[str, TokenScope | None], Program] = {
        ("nobody", None): Program(place.app.test_client(), "")
    }
    for who in ENDED:
        askers |= await _ended(place, who)
    people = {"master": ada, "follower": bob, "stranger": eve, "operator": olga}
    for who, browser in people.items():
        for scope in TokenScope:
            askers[(who, scope)] = await program(place, browser, scope.value)
    return askers


async def _ended(place: WebPlace, who: str) -> dict[tuple[str, TokenScope | None], Program]:
    """Return the programs of a person whose tokens have all ended in one way."""
    person, ledger = await place.person(who), place.context.ledger
    ended: dict[tuple[str, TokenScope | None], Program] = {}
    for scope in TokenScope:
        ended[(who, scope)] = await program(place, person, scope.value)
        await ended[(who, scope)].ask("/me")
    if who == "suspended":
        await place.engine.commands.run("user_suspend", {"name": who, "by": "olga"})
    elif who == "revoked":
        await person.get("/security/tokens")
        for (row,) in fetch_all(
            ledger.db,
            "SELECT api_token.id FROM api_token JOIN person ON person.id = person_id WHERE "
            "person.name = ?",
            (who,),
        ):
            await person.post(f"/security/tokens/{row}/revoke")
    else:
        await ledger.write(
            lambda db: db.execute(
                "UPDATE api_token SET expires_us = created_us + 1 WHERE person_id = (SELECT id FROM "
                "person WHERE name = ?)",
                (who,),
            )
        )
    return ended


def test_the_document_is_sound_and_says_what_is_served() -> None:
    told = openapi_document(ENDPOINTS)
    served = {
        (each.method.lower(), re.sub(r"<(\w+)>", r"{\1}", each.address)) for each in ENDPOINTS
    }
    said = {(method, path) for path, each in told["paths"].items() for method in each}
    assert said == served
    names = [each["operationId"] for path in told["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
    for schema in told["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for ref in _refs(told):
        kind, name = ref.removeprefix("#/components/").split("/")
        assert name in told["components"][kind], ref
    for path, methods in told["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            assert operation["summary"].endswith("."), path


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from _refs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _refs(each)


WITH_QUERY = [each for each in ENDPOINTS if each.query]
TEXTS = st.one_of(
    st.text(max_size=250),
    st.dates().map(str),
    st.sampled_from(["", "0", "-1", "newest", "all", "live", "2026-02-30", "\x00", "٢026-01-01"]),
)


@given(endpoint=st.sampled_from(WITH_QUERY), text=TEXTS, which=st.integers(0, 20))
def test_a_query_is_taken_exactly_where_the_document_takes_it(
    endpoint: Endpoint, text: str, which: int
) -> None:
    parameter = endpoint.query[which % len(endpoint.query)]
    is_valid = _validator(parameter.schema)(text)
    if is_valid:
        endpoint.read_query({parameter.name: [text]})
        return
    with pytest.raises(WrongQuery) as refused:
        endpoint.read_query({parameter.name: [text]})
    assert refused.value.errors.keys() == {parameter.name}
    assert len(text) < 5 or text not in str(refused.value), "it repeats nothing of the request"


def _validator(schema: dict[str, object]) -> Callable[[str], bool]:
    """Return whether a text is valid; ``format`` and what no document can say are checked here."""
    validator = Draft202012Validator(schema)

    def is_valid(text: str) -> bool:
        if not validator.is_valid(text) or "\x00" in text:
            return False
        if schema.get("format") == "date":
            try:
                date.fromisoformat(text)
            except ValueError:
                return False
        return not any("\ud800" <= each <= "\udfff" for each in text)

    return is_valid
