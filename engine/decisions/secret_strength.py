"""Whether a secret is plainly not random: a template, a repetition, a pattern, readable words.

No rule can prove that a value is random. These find what people type or copy, and refuse a random
value about once in a hundred thousand.
"""

import base64
import binascii
import itertools
import math
from collections import Counter
from typing import Final

_DISTINCT_BYTES_MIN: Final = 16
"""32 random bytes hold about 30 distinct values; fewer than 16 does not happen by chance."""
_BITS_MIN: Final = 128
_NEIGHBOURS_MAX: Final = 1 / 2
_TEMPLATES: Final = (
    "changeme",
    "change-me",
    "change_me",
    "secret",
    "passwor",
    "passphrase",
    "example",
    "placeholder",
    "replace",
    "default",
    "rexalgo",
    "generate",
    "your-",
    "your_",
    "qwerty",
    "asdfgh",
    "123456",
    "abcdef",
    "deadbeef",
)


def why_made_by_hand(key: bytes) -> str:
    """Return why bytes of a key are plainly not random; empty if nothing shows it."""
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    if all(0x20 <= byte < 0x7F for byte in key):
        return "readable text"
    if len(set(key)) < _DISTINCT_BYTES_MIN:
        return "few different bytes"
    return "counting bytes" if len(steps) == 1 else ""


def why_guessable(text: str) -> str:
    """Return why the text of a secret can be guessed; empty if nothing shows it. Never quotes it."""
    folded = text.casefold()
    body = text.rstrip("=")  # the padding of base64 says nothing
    if any(each in folded for each in _TEMPLATES):
        return "a template or a common word"
    if any(each.isspace() for each in body):
        return "words"
    if _repeats(body):
        return "a repetition"
    if _neighbours(body) > _NEIGHBOURS_MAX:
        return "characters in a row"
    if _bits(body) < _BITS_MIN:
        return "few different characters"
    decoded = _decoded(text)
    return why_made_by_hand(decoded) if len(decoded) >= 32 else ""


def _repeats(text: str) -> bool:
    """Return whether a text is its own beginning again, at least once and a half."""
    return any(
        text[length:] == text[: len(text) - length] for length in range(1, len(text) * 2 // 3 + 1)
    )


def _neighbours(text: str) -> float:
    """Return the part of the pairs that stand beside each other in the alphabet, or are equal."""
    pairs = list(itertools.pairwise(text))
    near = sum(1 for one, next_ in pairs if abs(ord(one) - ord(next_)) <= 1)
    return near / max(1, len(pairs))


def _bits(text: str) -> float:
    """Return the bits of the whole text by the frequency of its characters (Shannon)."""
    counts = Counter(text)
    return sum(count * math.log2(len(text) / count) for count in counts.values())


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return b""
