"""Signing and verifying: the published vectors, one flipped bit anywhere, strict headers, windows,
rotation.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions import signatures
from engine.decisions.signatures import (
    capability_key,
    sign_a,
    sign_b,
    verify_capability,
    verify_signatures,
)
from engine.domain.errors import InvalidValue
from engine.ports.secret import Secret
from engine.ports.signal_source import Authenticated, Delivery, NotAuthentic

BODY = b'{"test": 2432232314}'
T = 1614265330
AT = datetime.fromtimestamp(T, UTC)
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SHORT = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
HEX = Secret("whsec_" + 2 * "00112233445566778899aabbccddeeff")
KEY = Secret("whsec_" + base64.b64encode(bytes(range(100, 132))).decode())
OTHER = Secret("whsec_" + base64.b64encode(bytes(range(7, 39))).decode())

VECTORS = [
    (
        SHORT,
        "2e37df5d4a028c51a7f3133d64ae1e300d2c2c900f1b1d49d4369ad2530f8964",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        HEX,
        "9b21dd00fe6d7ca3af24e7635bdbe293f8003e471a27415afd7ca7a1bf8312aa",
        "v1,o5jHnIXpLvhmKE9ZazxSiD1gmAqw9pIaEh7TWAB8Kig=",
    ),
]


def delivery(headers: dict[str, str] | Sequence[tuple[str, str]], body: bytes = BODY) -> Delivery:
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Delivery(body, tuple((name.lower(), value) for name, value in pairs), "192.0.2.1", AT)


def verify(
    headers: dict[str, str] | Sequence[tuple[str, str]],
    *keys: Secret,
    body: bytes = BODY,
    now: datetime = AT,
) -> Authenticated:
    return verify_signatures(delivery(headers, body), keys or (KEY,), now)


def header_a(*macs: str, t: str = str(T)) -> dict[str, str]:
    return {"X-RexAlgo-Signature": f"t={t}" + "".join(f",v1={mac}" for mac in macs)}


def headers_b(signature: str, id: str = ID, t: str = str(T)) -> dict[str, str]:
    return {"webhook-id": id, "webhook-timestamp": t, "webhook-signature": signature}


def refused(
    headers: dict[str, str] | Sequence[tuple[str, str]],
    *keys: Secret,
    body: bytes = BODY,
    now: datetime = AT,
) -> None:
    with pytest.raises(NotAuthentic) as caught:
        verify(headers, *keys, body=body, now=now)
    assert caught.value.args == ()


MAC_A = sign_a(KEY, BODY, AT)["X-RexAlgo-Signature"].partition("v1=")[2]
SIGNATURE_B = sign_b(KEY, BODY, ID, AT)["webhook-signature"]


@pytest.mark.parametrize(("secret", "a", "b"), VECTORS)
def test_published_vectors_are_signed_and_verified_exactly(secret: Secret, a: str, b: str) -> None:
    assert sign_a(secret, BODY, AT) == header_a(a)
    assert sign_b(secret, BODY, ID, AT) == headers_b(b)
    assert verify(header_a(a), secret) == Authenticated(0, AT, None)
    assert verify(headers_b(b), secret) == Authenticated(0, AT, ID)
    assert verify(header_a(a) | headers_b(b), secret) == Authenticated(0, AT, ID)


@pytest.mark.parametrize("bit", range(256))
def test_one_flipped_bit_anywhere_in_a_signature_is_refused(bit: int) -> None:
    flip = (1 << bit).to_bytes(32, "big")

    def flipped(mac: bytes) -> bytes:
        return bytes(x ^ y for x, y in zip(mac, flip, strict=True))

    refused(header_a(flipped(bytes.fromhex(MAC_A)).hex()))
    refused(
        headers_b("v1," + base64.b64encode(flipped(base64.b64decode(SIGNATURE_B[3:]))).decode())
    )


@pytest.mark.parametrize("same", ["prefix", "suffix", "length", "permuted", "zero"])
def test_a_signature_that_only_resembles_the_right_one_is_refused(same: str) -> None:
    mac = bytes.fromhex(MAC_A)
    fake = {
        "prefix": mac[:31] + bytes([mac[31] ^ 1]),
        "suffix": bytes([mac[0] ^ 0x80]) + mac[1:],
        "length": bytes(255 - byte for byte in mac),
        "permuted": mac[::-1],
        "zero": bytes(32),
    }[same]
    refused(header_a(fake.hex()))


@given(index=st.integers(0, len(BODY) * 8 - 1))
def test_one_flipped_bit_in_the_body_is_refused(index: int) -> None:
    changed = bytearray(BODY)
    changed[index // 8] ^= 1 << index % 8
    refused(header_a(MAC_A), body=bytes(changed))
    refused(headers_b(SIGNATURE_B), body=bytes(changed))


def test_signature_covers_time_and_id() -> None:
    refused(header_a(MAC_A, t=str(T + 1)))
    refused(headers_b(SIGNATURE_B, t=str(T + 1)))
    refused(headers_b(SIGNATURE_B, id="other"))
    refused(header_a(MAC_A, t="0" + str(T)))


def test_signature_of_one_dialect_is_not_taken_for_the_other() -> None:
    refused(header_a(base64.b64decode(SIGNATURE_B[3:]).hex()))
    refused(headers_b("v1," + base64.b64encode(bytes.fromhex(MAC_A)).decode()))


@pytest.mark.parametrize("place", range(8))
def test_right_signature_is_found_at_any_of_eight_places(place: int) -> None:
    macs = ["00" * 32] * 8
    macs[place] = MAC_A
    assert verify(header_a(*macs)).key_index == 0
    listed = ["v1," + base64.b64encode(bytes(32)).decode()] * 8
    listed[place] = SIGNATURE_B
    assert verify(headers_b(" ".join(listed))).key_index == 0


def test_current_and_previous_secret_both_verify_and_the_answer_says_which() -> None:
    assert verify(header_a(MAC_A), OTHER, KEY).key_index == 1
    assert verify(headers_b(SIGNATURE_B), KEY, OTHER).key_index == 0
    refused(header_a(MAC_A), OTHER)
    refused(header_a(MAC_A), OTHER, SHORT, HEX)


def test_every_signature_is_compared_with_every_key_without_early_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def spy(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return compare(left, right)

    compare = hmac.compare_digest
    monkeypatch.setattr(signatures.hmac, "compare_digest", spy)
    verify(header_a(MAC_A, "00" * 32, "11" * 32), KEY, OTHER)
    assert len(compared) == len(set(compared)) == 6
    assert all(len(left) == len(right) == 32 for left, right in compared)


def test_no_key_at_all_is_refused() -> None:
    with pytest.raises(NotAuthentic):
        verify_signatures(delivery(header_a(MAC_A)), (), AT)


def test_both_dialects_must_both_verify_with_one_key() -> None:
    refused(header_a(MAC_A) | headers_b("v1," + base64.b64encode(bytes(32)).decode()))
    refused(header_a("00" * 32) | headers_b(SIGNATURE_B))
    by_other = sign_b(OTHER, BODY, ID, AT)
    refused(header_a(MAC_A) | by_other, KEY, OTHER)
    refused(header_a(MAC_A) | {"webhook-id": ID})


A_VALUE = f"t={T},v1={MAC_A}"
BAD_A = [
    "",
    "t=,v1=" + MAC_A,
    f"t={T}",
    f"v1={MAC_A}",
    f"v1={MAC_A},t={T}",
    f"t={T},v1={MAC_A.upper()}",
    f"t={T}, v1={MAC_A}",
    A_VALUE + ",",
    A_VALUE + "\n",
    " " + A_VALUE,
    f"t=-{T},v1={MAC_A}",
    f"t=+{T},v1={MAC_A}",
    f"t=1234567890123,v1={MAC_A}",
    f"t={T},v1={MAC_A[:-1]}",
    f"t={T},v1={MAC_A}0",
    f"t={T},v0={MAC_A}",
    f"t={T}" + 9 * f",v1={MAC_A}",
    f"t={T},t={T},v1={MAC_A}",
    f"T={T},V1={MAC_A}",
    f"t=١٦١٤٢٦٥٣٣٠,v1={MAC_A}",
    A_VALUE.replace("a", "а"),
]


@pytest.mark.parametrize("value", BAD_A)
def test_header_of_dialect_a_is_read_strictly(value: str) -> None:
    refused({"X-RexAlgo-Signature": value})


NONCANONICAL_B = SIGNATURE_B[:-2] + chr(ord(SIGNATURE_B[-2]) + 1) + "="
BAD_B = [
    ("webhook-signature", ""),
    ("webhook-signature", SIGNATURE_B + " "),
    ("webhook-signature", SIGNATURE_B[:-1]),
    ("webhook-signature", SIGNATURE_B.replace("v1,", "v1a,")),
    ("webhook-signature", SIGNATURE_B + "\n"),
    ("webhook-signature", " ".join([SIGNATURE_B] * 9)),
    ("webhook-signature", SIGNATURE_B + "," + SIGNATURE_B),
    ("webhook-signature", SIGNATURE_B + "  " + SIGNATURE_B),
    ("webhook-signature", NONCANONICAL_B),
    ("webhook-signature", SIGNATURE_B[3:]),
    ("webhook-timestamp", ""),
    ("webhook-timestamp", "1234567890123"),
    ("webhook-timestamp", f"{T}.0"),
    ("webhook-timestamp", f"{T}\n"),
    ("webhook-id", ""),
    ("webhook-id", "a" * 129),
    ("webhook-id", "a.b"),
    ("webhook-id", "ä"),
    ("webhook-id", ID + "\n"),
]


@pytest.mark.parametrize(("name", "value"), BAD_B)
def test_headers_of_dialect_b_are_read_strictly(name: str, value: str) -> None:
    assert base64.b64decode(NONCANONICAL_B[3:]) == base64.b64decode(
        SIGNATURE_B[3:]
    )  # lenient decoding would take it
    refused(headers_b(SIGNATURE_B) | {name: value})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_of_dialect_b_is_needed_exactly_once(name: str) -> None:
    whole = headers_b(SIGNATURE_B)
    refused([pair for pair in whole.items() if pair[0] != name])
    refused([*whole.items(), (name, whole[name])])


def test_header_of_dialect_a_given_twice_and_no_header_at_all_are_refused() -> None:
    refused([("x-rexalgo-signature", A_VALUE)] * 2)
    refused({})
    refused({"authorization": "Bearer x"})


@pytest.mark.parametrize(("name", "window_s"), [("a", 60), ("b", 300)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_window_is_inclusive_to_the_microsecond_on_both_sides(
    name: str, window_s: int, sign: int
) -> None:
    headers = header_a(MAC_A) if name == "a" else headers_b(SIGNATURE_B)
    edge = AT + sign * timedelta(seconds=window_s)
    assert verify(headers, now=edge).signed_at == AT
    refused(headers, now=edge + sign * timedelta(microseconds=1))


def test_window_of_dialect_a_is_a_setting_and_does_not_concern_b() -> None:
    late = AT + timedelta(seconds=900)
    assert verify_signatures(delivery(header_a(MAC_A)), [KEY], late, 900).signed_at == AT
    with pytest.raises(NotAuthentic):
        verify_signatures(delivery(headers_b(SIGNATURE_B)), [KEY], late, 900)


def test_with_both_dialects_each_time_has_its_own_window_and_the_older_time_counts() -> None:
    older = sign_b(KEY, BODY, ID, AT - timedelta(seconds=200))
    assert verify(header_a(MAC_A) | older).signed_at == AT - timedelta(seconds=200)
    stale_a = sign_a(KEY, BODY, AT - timedelta(seconds=61))
    refused(stale_a | headers_b(SIGNATURE_B))


def test_time_beyond_the_calendar_is_refused_even_when_signed() -> None:
    mac = hmac.digest(KEY.reveal().encode(), b"999999999999." + BODY, "sha256").hex()
    refused(header_a(mac, t="999999999999"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZI",
        "whsec_" + "g" * 63,
        "whsec_" + "g" * 64,
        "whsec_ä",
        "whsec_" + base64.b64encode(bytes(31)).decode(),
        "whsec_" + base64.b64encode(bytes(32)).decode()[:-2] + "B=",
    ],
)
def test_secret_of_another_form_is_refused_without_being_shown(text: str) -> None:
    for act in (lambda: sign_a(Secret(text), BODY, AT), lambda: sign_b(Secret(text), BODY, ID, AT)):
        with pytest.raises(InvalidValue) as caught:
            act()
        assert caught.value.found is None
        assert caught.value.field == "secret"


@pytest.mark.parametrize("id", ["", "a b", "a" * 129, "a.b", "a\n"])
def test_sender_cannot_sign_under_an_id_that_would_be_refused(id: str) -> None:
    with pytest.raises(InvalidValue, match=r"^id: expected"):
        sign_b(KEY, BODY, id, AT)


def test_derived_keys_have_no_useful_repr() -> None:
    assert repr(signatures._Key.of(KEY)) == "***"


headers_of_any_kind = st.lists(
    st.tuples(
        st.sampled_from(
            ["x-rexalgo-signature", "webhook-id", "webhook-timestamp", "webhook-signature", "other"]
        ),
        st.one_of(
            st.text(max_size=100), st.sampled_from([A_VALUE, ID, str(T), SIGNATURE_B, *BAD_A])
        ),
    ),
    max_size=6,
)


@given(
    headers=headers_of_any_kind,
    body=st.binary(max_size=50),
    keys=st.lists(st.sampled_from([OTHER, SHORT, HEX]), max_size=3),
)
def test_nothing_but_the_key_verifies_and_nothing_else_is_ever_raised(
    headers: list[tuple[str, str]], body: bytes, keys: list[Secret]
) -> None:
    with pytest.raises(NotAuthentic):
        verify_signatures(delivery(headers, body), keys, AT)


def test_an_address_is_proven_by_its_token_against_every_key_and_by_nothing_else() -> None:
    keys = [capability_key("the-old-token"), capability_key("the-token")]

    def at(token: str | None) -> Delivery:
        capability = None if token is None else Secret(token)
        return Delivery(BODY, (), "192.0.2.1", AT, capability=capability)

    assert verify_capability(at("the-token"), keys) == Authenticated(key_index=1, signed_at=None)
    assert verify_capability(at("the-old-token"), keys).key_index == 0
    for stranger in ("another", "", None, "the-token ", "\udc80"):
        with pytest.raises(NotAuthentic):
            verify_capability(at(stranger), keys)
    with pytest.raises(NotAuthentic):
        verify_capability(at("the-token"), [])
