"""The JSON Schema of a body against the real parser: what the schema accepts, the parser accepts."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from plugins.signed_webhook import SignedWebhook
from plugins.signed_webhook.body import read_body, read_draft
from plugins.signed_webhook.schema import body_schema
from rexalgo import Action, DescribedSource, InvalidValue, SignalDraft, Symbol

SCHEMA = body_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
SHORTEST = {"idempotency_key": "k-1", "action": "close", "symbol": "BTCUSDT"}
NUMBERS = st.sampled_from(
    ["1", "0.5", "65000", "0", "00.1", "0.000000000001", "999999999999999.999999999999", "1e5", ""]
)
LEVELS = st.one_of(NUMBERS, st.just("none"))
SIZES = st.one_of(
    st.just({"mode": "follower"}),
    st.builds(lambda each: {"mode": "quantity", "quantity": each}, NUMBERS),
    st.builds(
        lambda each: {"mode": "fraction", "fraction": each},
        st.sampled_from(["0.5", "1", "0.0", "0.999999999999", "0.000000000001"]),
    ),
)
BODIES = st.fixed_dictionaries(
    {
        "idempotency_key": st.from_regex("[A-Za-z0-9_-]{1,12}", fullmatch=True),
        "action": st.sampled_from([each.value for each in Action]),
        "symbol": st.from_regex("[A-Z0-9]{2,28}USDT", fullmatch=True),
    },
    optional={
        "side": st.sampled_from(["LONG", "SHORT", "BUY"]),
        "order_type": st.sampled_from(["MARKET", "LIMIT"]),
        "price": NUMBERS,
        "leverage": NUMBERS,
        "stop_loss": LEVELS,
        "take_profit": LEVELS,
        "size": SIZES,
        "sent_at": st.sampled_from(["2026-11-24T10:00:00Z", "2026-11-24T10:00:00.5+05:30"]),
        "seq": st.integers(0, 10**18),
        "test": st.booleans(),
    },
)


def parse(body: dict[str, Any]) -> SignalDraft:
    return read_draft(read_body(json.dumps(body).encode()), None, needs_key=True)


def test_the_schema_is_sound_and_the_source_offers_it() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    source = SignedWebhook()
    assert isinstance(source, DescribedSource)
    assert source.body_schema() == SCHEMA
    for is_exit in (True, False):
        assert VALIDATOR.is_valid(json.loads(source.example(Symbol("BTCUSDT"), is_exit=is_exit)))


@given(BODIES)
def test_what_the_schema_accepts_the_parser_accepts(body: dict[str, Any]) -> None:
    if VALIDATOR.is_valid(body):
        assert parse(body).action.value == body["action"]


def test_one_builder_of_bodies_may_send_a_size_with_its_close() -> None:
    body = {**SHORTEST, "size": {"mode": "quantity", "quantity": "0.5"}}
    assert VALIDATOR.is_valid(body)
    assert parse(body) == parse(SHORTEST)


@pytest.mark.parametrize(
    "body",
    [
        {**SHORTEST, "idempotency_key": ""},
        {name: SHORTEST[name] for name in ("action", "symbol")},
        {**SHORTEST, "action": "open"},
        {**SHORTEST, "action": "trade"},
        {**SHORTEST, "action": "open", "side": "LONG", "order_type": "LIMIT"},
        {**SHORTEST, "action": "open", "side": "LONG", "price": "0"},
        {**SHORTEST, "action": "open", "side": "LONG", "stop_loss": "none"},
        {**SHORTEST, "action": "reduce"},
        {**SHORTEST, "action": "reduce", "size": {"mode": "fraction", "fraction": "1"}},
        {**SHORTEST, "action": "close", "size": {"mode": "fraction", "fraction": "0.5"}},
        {**SHORTEST, "action": "set_protection"},
        {**SHORTEST, "tevt": True},
    ],
)
def test_what_the_parser_refuses_the_schema_refuses(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        parse(body)
    assert not VALIDATOR.is_valid(body)
