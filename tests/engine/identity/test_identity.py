"""Passwords, one-time codes, recovery codes and session references: what is valid, what is not, and
what nobody may learn.
"""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import jwt
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import InvalidValue
from engine.identity.references import (
    BYTES_MAX,
    Named,
    References,
    capability_hash,
    new_secret_id,
    parse_reference_keys,
)
from engine.identity.second_factor import (
    new_recovery_codes,
    new_totp_secret,
    parse_totp_secret,
    qr_svg,
    recovery_hash,
    totp_address,
    totp_step,
)
from engine.keys.passwords import Passwords, check_password
from engine.ports.secret import Secret
from tests.cheap_hashes import REAL_COST, hash_at

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
KEY = References(Secret("k" * 40))


@pytest.fixture
def at_real_cost() -> Iterator[None]:
    hash_at(REAL_COST)
    yield
    hash_at()


@pytest.mark.usefixtures("at_real_cost")
async def test_a_password_fits_its_own_hash_and_nobody_elses() -> None:
    passwords = Passwords()
    hashed = await passwords.hash(Secret("four random words here"))
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert await passwords.verify(hashed, Secret("four random words here"))
    assert not await passwords.verify(hashed, Secret("four random words heré"))
    assert not await passwords.verify(None, Secret("nobody has this one"))


@pytest.mark.parametrize(
    "text", ["", "short", "aaaaaaaaaaaa", "password123", "alice12345", "x" * 201]
)
def test_a_password_that_is_easily_guessed_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        check_password(text, "alice")
    assert not text or text not in str(caught.value)


def test_a_code_holds_for_one_step_of_drift_and_once() -> None:
    secret = new_totp_secret()
    code = pyotp.TOTP(secret.reveal()).at(NOW)
    step = totp_step(secret, f"{code[:3]} {code[3:]}", NOW, 0)
    assert step is not None
    assert totp_step(secret, code, NOW + timedelta(seconds=30), 0) == step
    assert totp_step(secret, code, NOW - timedelta(seconds=30), 0) == step
    assert totp_step(secret, code, NOW + timedelta(seconds=61), 0) is None
    assert totp_step(secret, code, NOW, step) is None


@given(st.text(max_size=12))
def test_no_text_but_the_code_is_one(text: str) -> None:
    secret = Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    right = {
        pyotp.TOTP(secret.reveal()).at(NOW + timedelta(seconds=30 * each)) for each in (-1, 0, 1)
    }
    assert (totp_step(secret, text, NOW, 0) is not None) == ("".join(text.split()) in right)


@pytest.mark.parametrize("text", ["", "x", "JBSWY3DPEHPK3PXP", "é" * 32, "1" * 32, "A" * 200])
def test_a_secret_that_was_not_offered_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_totp_secret(text)


def test_the_qr_code_carries_the_address_and_no_inline_style() -> None:
    address = totp_address(Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"), "ada", "A place")
    assert (
        address
        == "otpauth://totp/A%20place:ada?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=A%20place"
    )
    drawn = qr_svg(address)
    assert drawn.startswith("<svg")
    assert "style=" not in drawn


def test_recovery_codes_differ_and_are_read_as_people_type_them() -> None:
    codes = [each.reveal() for each in new_recovery_codes()]
    assert len(set(codes)) == 10
    assert recovery_hash(codes[0]) == recovery_hash(f" {codes[0].replace('-', ' ').upper()} ")
    assert recovery_hash(codes[0]) != recovery_hash(codes[1])


# Session references


def written(**claims: object) -> str:
    """Return a token as the server would write it, with changed claims; None leaves one out."""
    at = NOW.timestamp()
    told = {
        "iss": "rexalgo",
        "aud": "rexalgo-web",
        "sub": "p",
        "sid": "s",
        "jti": "j",
        "iat": at,
        "nbf": at,
        "exp": at + 60,
        **claims,
    }
    kept = {name: value for name, value in told.items() if value is not None}
    return jwt.encode(
        kept, KEY._bytes, algorithm="HS256", headers={"kid": KEY.kid, "typ": "rexalgo-session+jwt"}
    )


def test_a_reference_names_its_session_until_it_runs_out() -> None:
    token = KEY.write("per_1", "sid-1", NOW, NOW + timedelta(hours=1))
    assert KEY.read(token, NOW) == Named("per_1", "sid-1")
    assert KEY.read(token, NOW + timedelta(hours=1)) is None
    assert KEY.read(token, NOW - timedelta(seconds=5)) is None
    assert References(Secret("other" * 10)).read(token, NOW) is None
    assert KEY.read(written(), NOW) == Named("p", "s")


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"])
def test_a_reference_without_a_claim_is_none(claim: str) -> None:
    assert KEY.read(written(**{claim: None}), NOW) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "a.b.c",
        "é.é.é",
        "x" * (BYTES_MAX + 1),
        written(iss="another"),
        written(aud="another"),
        written(sid=7),
        written(sub=7),
        written(exp="soon"),
        jwt.encode({"sid": "s"}, KEY._bytes, algorithm="HS256"),
        jwt.encode(
            {"sid": "s"},
            "",
            algorithm="none",
            headers={"kid": KEY.kid, "typ": "rexalgo-session+jwt"},
        ),
    ],
)
def test_what_this_place_did_not_write_names_nobody(token: str) -> None:
    assert KEY.read(token, NOW) is None


def test_another_algorithm_or_a_changed_payload_names_nobody() -> None:
    head, payload, seal = written().split(".")
    changed = base64.urlsafe_b64encode(json.dumps({"sid": "other"}).encode()).decode().rstrip("=")
    assert KEY.read(f"{head}.{changed}.{seal}", NOW) is None
    stronger = jwt.encode(
        jwt.decode(written(), options={"verify_signature": False}),
        KEY._bytes * 2,
        algorithm="HS512",
        headers={"kid": KEY.kid, "typ": "rexalgo-session+jwt"},
    )
    assert KEY.read(stronger, NOW) is None
    assert payload not in repr(KEY)


def test_after_a_rotation_the_former_key_reads_and_the_new_one_writes() -> None:
    before = parse_reference_keys(Secret("k" * 40))
    after = parse_reference_keys(Secret("n" * 40 + "," + "k" * 40))
    token = before.write("per_1", "sid-1", NOW, NOW + timedelta(hours=1))
    assert after.read(token, NOW) == Named("per_1", "sid-1")
    assert after.is_csrf_token("sid-1", before.csrf_token("sid-1"))
    new = after.write("per_1", "sid-1", NOW, NOW + timedelta(hours=1))
    assert jwt.get_unverified_header(new)["kid"] == after.kids[0] != before.kids[0]
    assert after.csrf_token("sid-1") != before.csrf_token("sid-1")
    assert parse_reference_keys(Secret("n" * 40)).read(token, NOW) is None


def test_a_form_token_belongs_to_one_session() -> None:
    assert KEY.is_csrf_token("s1", KEY.csrf_token("s1"))
    assert not KEY.is_csrf_token("s1", KEY.csrf_token("s2"))
    assert not KEY.is_csrf_token("s1", "é")


def test_a_capability_is_stored_as_a_hash() -> None:
    first, second = new_secret_id(), new_secret_id()
    assert len(first) >= 43
    assert capability_hash(first) != capability_hash(second)
    assert first.encode() not in capability_hash(first)
