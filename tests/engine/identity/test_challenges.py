"""A challenge is valid for its purpose and session, for three minutes, once."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.identity.challenges import LASTS, Challenges, Purpose

NOW = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)


def test_a_challenge_is_used_once_for_what_it_was_made_for() -> None:
    made = Challenges()
    challenge = made.new(Purpose.SIGN_IN, "form", NOW)
    assert not made.use(challenge, Purpose.CONFIRM, "form", NOW)
    assert not made.use(challenge, Purpose.SIGN_IN, "another form", NOW)
    assert not Challenges().use(challenge, Purpose.SIGN_IN, "form", NOW)  # after a restart
    assert made.use(challenge, Purpose.SIGN_IN, "form", NOW)
    assert not made.use(challenge, Purpose.SIGN_IN, "form", NOW)


@pytest.mark.parametrize(
    ("passed", "holds"), [(LASTS - timedelta(seconds=1), True), (LASTS, False)]
)
def test_a_challenge_expires(passed: timedelta, holds: bool) -> None:
    made = Challenges()
    challenge = made.new(Purpose.CONFIRM, "ses_1", NOW)
    assert made.use(challenge, Purpose.CONFIRM, "ses_1", NOW + passed) is holds


def test_what_was_used_is_remembered_as_long_as_it_could_be_used_and_no_longer() -> None:
    made = Challenges()
    for second in range(1_000):
        at = NOW + timedelta(seconds=second)
        challenge = made.new(Purpose.SIGN_IN, "form", at)
        assert made.use(challenge, Purpose.SIGN_IN, "form", at)
        assert not made.use(challenge, Purpose.SIGN_IN, "form", at + LASTS - timedelta(seconds=1))
    assert len(made._used) <= LASTS.total_seconds() + 1


@given(st.binary(max_size=100), st.integers(0, 55), st.integers(1, 255))
def test_a_guessed_or_changed_challenge_is_none(guess: bytes, place: int, change: int) -> None:
    made = Challenges()
    assert not made.use(guess, Purpose.SIGN_IN, "form", NOW)
    challenge = bytearray(made.new(Purpose.SIGN_IN, "form", NOW))
    challenge[place] ^= change
    assert not made.use(bytes(challenge), Purpose.SIGN_IN, "form", NOW)
