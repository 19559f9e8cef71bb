"""For whom passkeys are made, and which answers of authenticators prove something."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import InvalidValue
from engine.identity.passkeys import (
    NewPasskey,
    PasskeyRefused,
    RelyingParty,
    assertion_options,
    parse_answer,
    parse_relying_party,
    read_assertion,
    read_registration,
    registration_options,
)
from tests.soft_authenticator import PRESENT, VERIFIED, SoftAuthenticator, decoded, encoded

HERE = RelyingParty("copy.example.org", "https://copy.example.org", "Acme")
CHALLENGE = bytes(range(56))


@pytest.mark.parametrize(
    ("address", "host", "origin"),
    [
        ("https://copy.example.org", "copy.example.org", "https://copy.example.org"),
        ("https://Copy.Example.org:443/base", "copy.example.org", "https://copy.example.org"),
        ("https://copy.example.org:8443", "copy.example.org", "https://copy.example.org:8443"),
        ("http://localhost:8000", "localhost", "http://localhost:8000"),
        ("http://localhost:80", "localhost", "http://localhost"),
        ("https://localhost", "localhost", "https://localhost"),
    ],
)
def test_passkeys_are_for_exactly_the_public_address(address: str, host: str, origin: str) -> None:
    assert parse_relying_party(address, "Acme") == RelyingParty(host, origin, "Acme")


@pytest.mark.parametrize(
    "address",
    [
        "http://copy.example.org",
        "http://127.0.0.1:8000",
        "https://127.0.0.1",
        "https://192.0.2.7:8443",
        "https://[::1]:8000",
        "https://bücher.example",
        "http://localhost.example.org",
        "",
    ],
)
def test_an_address_for_which_no_browser_makes_passkeys_is_refused(address: str) -> None:
    with pytest.raises(InvalidValue, match=r"web\.public_url: expected https:// and a name"):
        parse_relying_party(address, "Acme")


def made(device: SoftAuthenticator, **changes: object) -> NewPasskey:
    options = registration_options(HERE, "per_1", "ada", CHALLENGE, [])
    return read_registration(HERE, parse_answer(device.create(options, **changes)))


def signed(
    device: SoftAuthenticator, key: NewPasskey, person: str = "per_1", **changes: object
) -> int:
    options = assertion_options(HERE, CHALLENGE, [key.credential])
    answer = parse_answer(device.sign(options, **changes))
    assert answer.challenge == CHALLENGE
    return read_assertion(HERE, answer, person, key.public_key)


def test_a_passkey_is_made_and_signs_and_counts() -> None:
    device = SoftAuthenticator(count=7)
    key = made(device)
    assert (key.credential, key.sign_count) == (device.id, 7)
    assert [signed(device, key) for _ in range(3)] == [8, 9, 10]


def test_a_browser_is_asked_for_a_discoverable_verified_passkey_without_attestation() -> None:
    asked = json.loads(registration_options(HERE, "per_1", "ada", CHALLENGE, [b"known"]))
    assert asked["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert asked["attestation"] == "none"
    assert decoded(asked["excludeCredentials"][0]["id"]) == b"known"
    asked = json.loads(assertion_options(HERE, CHALLENGE, []))
    assert (asked["rpId"], asked["userVerification"]) == (HERE.id, "required")
    assert asked["allowCredentials"] == []


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://copy.example.org.evil.example"},
        {"origin": "https://example.org"},
        {"origin": "http://copy.example.org"},
        {"origin": "https://copy.example.org:8443"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"flags": 0},
        {"rp_id": "evil.example"},
        {"is_framed": True},
    ],
)
def test_an_answer_from_elsewhere_or_without_its_person_is_refused(lie: dict[str, object]) -> None:
    device = SoftAuthenticator()
    key = made(device)
    for name, value in lie.items():
        setattr(device, name, value)
    with pytest.raises(PasskeyRefused):
        signed(device, key)
    if "rp_id" not in lie:  # a new passkey takes the one that it is asked for
        with pytest.raises(PasskeyRefused):
            made(SoftAuthenticator(**lie))  # type: ignore[arg-type]


def test_another_key_another_person_or_another_kind_of_answer_is_refused() -> None:
    device, other = SoftAuthenticator(), SoftAuthenticator()
    key, theirs = made(device), made(other)
    for refused in (
        lambda: signed(device, theirs),
        lambda: signed(device, key, "per_2"),
        lambda: signed(device, key, rawId=encoded(b"another")),
        lambda: signed(device, key, type="password"),
        lambda: read_registration(
            HERE, parse_answer(device.sign(assertion_options(HERE, CHALLENGE, [])))
        ),
        lambda: made(SoftAuthenticator(), id=encoded(b"another")),
    ):
        with pytest.raises(PasskeyRefused):
            refused()


PARTS = ("clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle")
HOSTILE = st.one_of(
    st.binary(max_size=300).map(encoded),
    st.text(max_size=40),
    st.integers(),
    st.none(),
    st.lists(st.integers(), max_size=2),
)


@given(st.sampled_from((*PARTS, "id", "rawId", "type", "response")), HOSTILE)
def test_a_hostile_answer_is_refused_and_raises_nothing_else(part: str, hostile: object) -> None:
    device = SoftAuthenticator()
    key = made(device)
    for whole in (
        device.create(registration_options(HERE, "per_1", "ada", CHALLENGE, [])),
        device.sign(assertion_options(HERE, CHALLENGE, [])),
    ):
        sent = json.loads(whole)
        (sent["response"] if part in PARTS else sent)[part] = hostile
        for read in (
            lambda answer: read_registration(HERE, answer),
            lambda answer: read_assertion(HERE, answer, "per_1", key.public_key),
        ):
            with suppress(PasskeyRefused):  # what the kind of answer does not need may be anything
                read(parse_answer(json.dumps(sent)))


@given(
    st.sampled_from(("clientDataJSON", "authenticatorData", "signature")),
    st.integers(0, 1_000),
    st.integers(1, 255),
)
def test_no_byte_of_what_was_signed_can_be_changed(part: str, place: int, change: int) -> None:
    device = SoftAuthenticator()
    key = made(device)
    sent = json.loads(device.sign(assertion_options(HERE, CHALLENGE, [])))
    raw = bytearray(decoded(sent["response"][part]))
    raw[place % len(raw)] ^= change
    sent["response"][part] = encoded(bytes(raw))
    with pytest.raises(PasskeyRefused):
        read_assertion(HERE, parse_answer(json.dumps(sent)), "per_1", key.public_key)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"id": 1}', "[" * 5_000, "x" * 20_000])
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(PasskeyRefused):
        parse_answer(text)
