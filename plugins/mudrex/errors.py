"""What the exchange's answers prove, as data: the meaning of each text, and of a status in answer
to a write.

Texts are compared in lower case and by substring, because the exchange's casing and wording vary.
An unlisted text is a refusal of kind OTHER. It is counted, so that somebody looks at it (``rexalgo
account check``).
"""

import json
import re
from collections import Counter
from typing import Final

from rexalgo import (
    ExchangeError,
    NotExecuted,
    OutcomeUnknown,
    Rejected,
    RejectionKind,
    TooManyRequests,
)

_OTHER, _FUNDS, _CLOSED = (
    RejectionKind.OTHER,
    RejectionKind.BALANCE,
    RejectionKind.POSITION_NOT_OPEN,
)
BUSY: Final = "busy"
"""The meaning of a text that is no refusal: nothing was done now, and a retry may succeed."""
TOO_FAST: Final = "too fast"
"""The meaning of a text that says so much of the rate."""

TEXTS: Final[tuple[tuple[str, "RejectionKind | str"], ...]] = (
    # any call
    ("invalid authentication", RejectionKind.CREDENTIALS),
    ("api rate limit exceeded", TOO_FAST),
    ("too many requests", TOO_FAST),
    ("position not in sync with exchange", BUSY),
    ("invalid trade currency", _OTHER),
    ("asset not found", _OTHER),
    ("resource was not found", _OTHER),
    # entries
    ("params error", _OTHER),
    ("invalid trigger type", _OTHER),
    ("invalid order type", _OTHER),
    ("order price out of permissible range", _OTHER),
    ("quantity not a multiple of the quantity step", _OTHER),
    ("order quantity out of permissible range", _OTHER),
    ("order value less than minimum required value", RejectionKind.BELOW_MINIMUM),
    ("insufficient balance", _FUNDS),
    ("insufficient funds", _FUNDS),
    ("reduce only", _OTHER),
    # leverage
    ("leverage out of permissible range", _OTHER),
    ("leverage not found", _OTHER),
    # orders
    ("order not found", _OTHER),
    # positions
    ("position is not open", _CLOSED),
    ("position is not in open state", _CLOSED),
    ("position not found", _CLOSED),
    # protection: a missing leg has triggered or was removed; the position is read again, and the
    # rest is sent again
    ("risk order id missing", BUSY),
    ("risk order creation failed", _OTHER),
    ("invalid request", _OTHER),
    # transfers, which this plugin never makes
    ("from and to wallet types must be different", _OTHER),
)
unmapped: Counter[str] = Counter()
"""Unlisted texts that the exchange sent, with their count since the start."""
_WAIT: Final = re.compile(r"try again in (\d{1,4}) seconds?", re.IGNORECASE)
AGAIN_S: Final = 1.0
TOO_MANY: Final = 429
NOT_TAKEN: Final = frozenset({423, TOO_MANY})
REFUSED: Final = frozenset({400, 403, 404, 405})


def text_of(content: bytes) -> str:
    """Return the message in an error's body, in any of its shapes: listed errors, a message, a
    message with JSON inside, HTML.
    """
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


def refusal(text: str) -> Rejected | NotExecuted:
    """Return the meaning of a text: a refusal of one kind, or a no for now."""
    folded = text.lower()
    for part, stands_for in TEXTS:
        if part in folded:
            if isinstance(stands_for, RejectionKind):
                return Rejected(text, stands_for)
            made = TooManyRequests if stands_for == TOO_FAST else NotExecuted
            return made(text, AGAIN_S)
    unmapped[text[:80]] += 1
    return Rejected(f"{text} (not a known text of this exchange)", RejectionKind.OTHER)


def judge_write(status: int, content: bytes) -> ExchangeError:
    """Return what a failed write proves: refused, not taken, or nothing (then it may have been
    executed).
    """
    text = text_of(content)
    if status == 401:
        return Rejected(f"the exchange refused the key: {text}", RejectionKind.CREDENTIALS)
    if status in NOT_TAKEN:
        return _busy(status, text)
    if status in REFUSED:
        return refusal(text)
    return OutcomeUnknown(f"the exchange answered {status}: {text}")


def _busy(status: int, text: str) -> NotExecuted:
    wait = _WAIT.search(text)
    made = TooManyRequests if status == TOO_MANY else NotExecuted
    return made(f"the exchange is busy ({status}): {text}", float(wait[1]) if wait else None)


def judge_read(status: int, content: bytes) -> ExchangeError:
    """Return why a read failed. A read proves nothing about orders."""
    text = text_of(content)
    if status == 401:
        return Rejected(f"the exchange refused the key: {text}", RejectionKind.CREDENTIALS)
    if status == TOO_MANY:
        return _busy(status, text)
    return ExchangeError(f"the exchange answered {status}: {text}")
