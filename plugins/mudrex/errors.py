"""What the exchange's answers prove, as data: which text means what, and what a status says about a write.

Texts are compared in lower case and by substring, because the exchange's casing and wording are unsteady. A text that is not listed is
a refusal of kind OTHER, and is counted, so that somebody looks at it.
"""

import json
import re
from collections import Counter
from typing import Final

from rexalgo import ExchangeError, NotExecuted, OutcomeUnknown, Rejected, RejectionKind

TEXTS: Final[tuple[tuple[str, RejectionKind], ...]] = (
    ("insufficient balance", RejectionKind.BALANCE),
    ("insufficient funds", RejectionKind.BALANCE),
    ("order value less than minimum", RejectionKind.BELOW_MINIMUM),
    ("position is not open", RejectionKind.POSITION_NOT_OPEN),
    ("position not found", RejectionKind.POSITION_NOT_OPEN),
    ("invalid authentication", RejectionKind.CREDENTIALS),
    ("params error", RejectionKind.OTHER),
    ("invalid trigger type", RejectionKind.OTHER),
    ("invalid order type", RejectionKind.OTHER),
    ("order price out of permissible range", RejectionKind.OTHER),
    ("quantity not a multiple", RejectionKind.OTHER),
    ("order quantity out of permissible range", RejectionKind.OTHER),
    ("leverage out of permissible range", RejectionKind.OTHER),
    ("leverage not found", RejectionKind.OTHER),
    ("invalid trade currency", RejectionKind.OTHER),
    ("asset not found", RejectionKind.OTHER),
    ("order not found", RejectionKind.OTHER),
    ("reduce only", RejectionKind.OTHER),
)
unmapped: Counter[str] = Counter()
"""Texts that were met and are not listed, with their count since the start."""
_WAIT: Final = re.compile(r"try again in (\d{1,4}) seconds?", re.IGNORECASE)
NOT_TAKEN: Final = frozenset({423, 429})
REFUSED: Final = frozenset({400, 403, 404, 405})


def text_of(content: bytes) -> str:
    """Find the sentence in an error's body, whatever shape it has: listed errors, a message, a message with JSON inside, HTML."""
    try:
        document = json.loads(content)
    except ValueError:
        return "an answer that is not JSON" if content.strip() else "an empty answer"
    if not isinstance(document, dict):
        return "an answer of an unknown shape"
    errors = document.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("text") or "no text")[:200]
    message = document.get("message") or document.get("text")
    if isinstance(message, str) and message.lstrip().startswith("{"):
        return text_of(message.encode())
    return str(message or "no text")[:200]


def refusal(text: str) -> Rejected:
    """Return the refusal that a text stands for."""
    folded = text.lower()
    for part, kind in TEXTS:
        if part in folded:
            return Rejected(text, kind)
    unmapped[text[:80]] += 1
    return Rejected(f"{text} (not a known text of this exchange)", RejectionKind.OTHER)


def judge_write(status: int, content: bytes) -> ExchangeError:
    """Say what a write's failure proves: refused, not taken, or nothing (then it may have been executed)."""
    text = text_of(content)
    if status == 401:
        return Rejected(f"the exchange refused the key: {text}", RejectionKind.CREDENTIALS)
    if status in NOT_TAKEN:
        found = _WAIT.search(text)
        return NotExecuted(f"the exchange is busy ({status}): {text}", float(found[1]) if found else None)
    if status in REFUSED:
        return refusal(text)
    return OutcomeUnknown(f"the exchange answered {status}: {text}")


def judge_read(status: int, content: bytes) -> ExchangeError:
    """Say why a read failed; a read proves nothing about orders."""
    text = text_of(content)
    if status == 401:
        return Rejected(f"the exchange refused the key: {text}", RejectionKind.CREDENTIALS)
    return ExchangeError(f"the exchange answered {status}: {text}")
