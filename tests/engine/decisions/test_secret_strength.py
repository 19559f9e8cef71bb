"""Values that people type or copy are found; values that a generator makes are taken."""

import base64
import random

import pytest

from engine.decisions.secret_strength import why_guessable, why_made_by_hand


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("changeme" * 5, "a template or a common word"),
        ("CHANGE-ME-to-a-long-random-value-please", "a template or a common word"),
        ("correct horse battery staple and four more", "words"),
        ("x" * 44, "a repetition"),
        ("k3J9" * 11, "a repetition"),
        ("Zq8fK2mW0xY7" * 3 + "Zq8f", "a repetition"),
        ("ABCDGHIJKLMNOPQRSTUVWXYZ0123abcghijk", "characters in a row"),
        ("0011010010110100101110101011010001101001", "characters in a row"),
        ("a9a8a7z9z8z7a7a9z7z9a8a8z8z9a7a8z7a9", "few different characters"),
        (base64.b64encode(bytes(40)).decode(), "a repetition"),
        (base64.b64encode(b"open sesame, open sesame, let me in").decode(), "readable text"),
        (base64.b64encode(bytes(range(7, 47))).decode(), "counting bytes"),
    ],
)
def test_what_a_person_types_or_copies_is_found(text: str, why: str) -> None:
    assert why_guessable(text) == why


def test_what_a_generator_makes_is_taken() -> None:
    made = random.Random(15)
    for _ in range(2_000):
        key = made.randbytes(32)
        assert why_made_by_hand(key) == ""
        for text in (
            base64.b64encode(key).decode(),
            base64.urlsafe_b64encode(key).decode().rstrip("="),
            key.hex(),
        ):
            assert why_guessable(text) == "", text
