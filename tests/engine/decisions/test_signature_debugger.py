"""The debugger names common mistakes, and never shows a secret or a valid signature."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decisions.signature_debugger import NamedKey, debug_delivery, read_headers
from engine.decisions.signatures import sign_a, sign_b, verify_signatures
from engine.ports.secret import Secret
from engine.ports.signal_source import Delivery, NotAuthentic

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
TEXT = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLDER = "whsec_" + "00112233445566778899aabbccddeeff" * 2
KEYS = [NamedKey("the current secret", Secret(TEXT)), NamedKey("an older secret", Secret(OLDER))]
BODY = json.dumps({"idempotency_key": "k1", "action": "open"}).encode()


def signed(body: bytes = BODY, key: str = TEXT, at: datetime = NOW) -> dict[str, list[str]]:
    return {name.lower(): [value] for name, value in sign_a(Secret(key), body, at).items()}


def by_hand(key: bytes, body: bytes = BODY) -> dict[str, list[str]]:
    at = str(int(NOW.timestamp()))
    return {
        "x-rexalgo-signature": [
            f"t={at},v1={hmac.new(key, at.encode() + b'.' + body, hashlib.sha256).hexdigest()}"
        ]
    }


def test_a_good_delivery_fits_in_every_part() -> None:
    assert all(each.fits for each in debug_delivery(signed(), BODY, KEYS, NOW))
    of_b = {name: [value] for name, value in sign_b(Secret(TEXT), BODY, "k1", NOW).items()}
    assert all(each.fits for each in debug_delivery(of_b, BODY, KEYS, NOW))
    assert all(each.fits for each in debug_delivery({**signed(), **of_b}, BODY, KEYS, NOW))
    older = debug_delivery(signed(key=OLDER), BODY, KEYS, NOW)
    assert any("an older secret" in each.what for each in older)


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ({}, BODY, "neither"),
        ({"x-rexalgo-signature": ["a", "b"]}, BODY, "came 2 times"),
        ({"x-rexalgo-signature": ["t=1732442400000,v1=" + "a" * 64]}, BODY, "milliseconds"),
        ({"x-rexalgo-signature": ["t=1732442400,v1=" + "A" * 64]}, BODY, "upper case"),
        ({"x-rexalgo-signature": ["t=1732442400"]}, BODY, "no v1="),
        ({"x-rexalgo-signature": ["t=1732442400, v1=" + "a" * 64]}, BODY, "blank after the comma"),
        (signed(at=NOW - timedelta(seconds=75)), BODY, "75 s behind"),
        (signed(at=NOW + timedelta(seconds=90)), BODY, "90 s ahead"),
        (signed(BODY + b"\n"), BODY, "newline at its end was signed"),
        (signed(BODY), BODY + b"\n", "were not signed"),
        (signed(), json.dumps(json.loads(BODY), indent=2).encode(), "rewritten"),
        (by_hand(TEXT.removeprefix("whsec_").encode()), BODY, "without the prefix"),
        (by_hand(hashlib.sha256(TEXT.encode()).digest()), BODY, "hashed before use"),
        (signed(key="whsec_" + "ff" * 32), BODY, "none of this endpoint's secrets"),
        (
            {
                "webhook-id": ["k1"],
                "webhook-timestamp": ["1732442400000"],
                "webhook-signature": ["v1,x"],
            },
            BODY,
            "milliseconds",
        ),
        (
            {"webhook-id": ["k1"], "webhook-timestamp": ["1732442400"]},
            BODY,
            "webhook-signature came 0 times",
        ),
        (
            {"webhook-id": ["k 1"], "webhook-timestamp": ["1"], "webhook-signature": ["v1,x"]},
            BODY,
            "webhook-id has another form",
        ),
        (
            {"webhook-id": ["k1"], "webhook-timestamp": ["1"], "webhook-signature": ["x"]},
            BODY,
            "webhook-signature has another form",
        ),
    ],
)
def test_what_people_get_wrong_is_named(
    headers: dict[str, list[str]], body: bytes, words: str
) -> None:
    found = debug_delivery(headers, body, KEYS, NOW)
    assert any(words in each.what for each in found if not each.fits), found
    assert not found[-1].fits


def test_both_dialects_must_name_the_same_id() -> None:
    of_b = {name: [value] for name, value in sign_b(Secret(TEXT), BODY, "another", NOW).items()}
    found = debug_delivery({**signed(), **of_b}, BODY, KEYS, NOW)
    assert any("differ" in each.what for each in found)


def test_a_secret_that_has_ended_is_named_with_its_end() -> None:
    keys = [KEYS[0], NamedKey("an older secret", Secret(OLDER), NOW - timedelta(hours=1))]
    found = debug_delivery(signed(key=OLDER), BODY, keys, NOW)
    assert any(
        "an older secret, which ended 2026-11-24 09:00:00 UTC" in each.what and not each.fits
        for each in found
    ), found
    assert not found[-1].fits


def test_two_dialects_with_a_secret_each_are_refused_as_the_verification_does() -> None:
    of_b = {name: [value] for name, value in sign_b(Secret(OLDER), BODY, "k1", NOW).items()}
    found = debug_delivery({**signed(), **of_b}, BODY, KEYS, NOW)
    assert any("all together they do not" in each.what for each in found)
    assert not found[-1].fits


@pytest.mark.parametrize(("age_s", "fits"), [(299, True), (301, False)])
def test_the_window_is_that_of_this_place(age_s: int, fits: bool) -> None:
    assert (
        debug_delivery(signed(at=NOW - timedelta(seconds=age_s)), BODY, KEYS, NOW, 300)[-1].fits
        is fits
    )


edits = st.sampled_from(
    [BODY, BODY + b"\n", BODY.replace(b"k1", b"k2"), b"", BODY.replace(b" ", b"")]
)
header_edits = st.sampled_from(
    ["none", "second key", "twice", "upper", "with b", "b of another key", "nine"]
)


@given(
    edits,
    header_edits,
    st.integers(-120, 120),
    st.sampled_from([TEXT, OLDER, "whsec_" + "ff" * 32]),
)
def test_the_last_word_is_that_of_the_verification(
    body: bytes, edit: str, age_s: int, key: str
) -> None:
    headers = signed(key=key, at=NOW - timedelta(seconds=age_s))
    value = headers["x-rexalgo-signature"][0]
    if edit == "second key":
        headers["x-rexalgo-signature"] = [value + ",v1=" + "0" * 64]
    elif edit == "nine":
        headers["x-rexalgo-signature"] = [value + (",v1=" + "0" * 64) * 8]
    elif edit == "twice":
        headers["x-rexalgo-signature"] *= 2
    elif edit == "upper":
        headers["x-rexalgo-signature"] = [value.upper()]
    elif edit in ("with b", "b of another key"):
        signer = Secret(key if edit == "with b" else OLDER)
        headers |= {name: [told] for name, told in sign_b(signer, BODY, "k1", NOW).items()}
    told = tuple((name, each) for name, values in headers.items() for each in values)
    try:
        verify_signatures(Delivery(body, told, "", NOW), [each.secret for each in KEYS], NOW)
        accepted = True
    except NotAuthentic:
        accepted = False
    assert debug_delivery(headers, body, KEYS, NOW)[-1].fits is accepted


def test_headers_are_read_as_they_are_pasted() -> None:
    pasted = "> X-RexAlgo-Signature: t=1,v1=ab\n< nothing\nHost : here\n* noise"
    assert read_headers(pasted) == {"x-rexalgo-signature": ["t=1,v1=ab"], "host": ["here"]}


@given(st.text(max_size=200), st.binary(max_size=200))
def test_nothing_that_is_pasted_breaks_it_or_brings_out_a_secret(text: str, body: bytes) -> None:
    pasted = read_headers(text) | {
        "x-rexalgo-signature": [text],
        "webhook-id": [text],
        "webhook-timestamp": [text],
        "webhook-signature": [text],
    }
    told = str(debug_delivery(pasted, body, KEYS, NOW))
    assert TEXT not in told
    assert TEXT.removeprefix("whsec_") not in told
