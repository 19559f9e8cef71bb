"""What the exchange's answers prove, as data: the meaning of each text, and of a status in answer
to a write.

Texts are compared in lower case and by substring, because the exchange's casing and wording vary.
An unlisted text is a refusal of kind OTHER. It is counted, so that somebody looks at it (``rexalgo
account check``). A refusal in a form that is not the exchange's own is none: the edge before it
passed nothing on.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

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
    ("rate limited", TOO_FAST),
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
_OF_SIZE: Final = (
    "order quantity out of permissible range",
    "quantity not a multiple of the quantity step",
)
"""Texts that refuse a size that is too small, or too large, or off the step."""
unmapped: Counter[str] = Counter()
"""Unlisted texts that the exchange sent, with their count since the start."""
_WAIT: Final = re.compile(r"try again in (\d{1,4}) seconds?", re.IGNORECASE)
AGAIN_S: Final = 1.0
TOO_MANY: Final = 429
NOT_TAKEN: Final = frozenset({423, TOO_MANY})
REFUSED: Final = frozenset({400, 403, 404, 405})
"""Statuses of a refusal, if the exchange itself answered: the edge before it uses them too."""


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


def _object_in(content: bytes) -> Mapping[str, Any]:
    """Return the object of a body; an empty one if there is none."""
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def is_own(content: bytes) -> bool:
    """Return whether the exchange itself answered: in one of the recorded forms of its errors, or
    with a known text. HTML or any other JSON comes from the edge before it, which passed nothing on.
    """
    document = _object_in(content)
    has_form = "success" in document or "errors" in document or {"code", "text"} <= document.keys()
    return has_form or _known(text_of(content)) is not None


def denies(content: bytes) -> bool:
    """Return whether an envelope says ``success`` false, whatever the status."""
    return _object_in(content).get("success") is False


def refused_by(content: bytes) -> Rejected | NotExecuted | None:
    """Return the refusal in the envelope of a 2xx: ``success`` false with a known text. Any other
    text may stand beside something that was done.
    """
    return _known(text_of(content)) if denies(content) else None


def refusal(text: str) -> Rejected | NotExecuted:
    """Return the meaning of a text: a refusal of one kind, or a no for now."""
    known = _known(text)
    if known is not None:
        return known
    unmapped[text[:80]] += 1
    return Rejected(f"{text} (not a known text of this exchange)", RejectionKind.OTHER)


def is_of_size(text: str) -> bool:
    """Return whether a refusal may mean that the quantity is too small."""
    return any(part in text.lower() for part in _OF_SIZE)


def _known(text: str) -> Rejected | NotExecuted | None:
    folded = text.lower()
    for part, stands_for in TEXTS:
        if part in folded:
            if isinstance(stands_for, RejectionKind):
                return Rejected(text, stands_for)
            made = TooManyRequests if stands_for == TOO_FAST else NotExecuted
            return made(text, AGAIN_S)
    return None


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
        return (
            refusal(text)
            if is_own(content)
            else NotExecuted(f"stopped before the exchange ({status}): {text}")
        )
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
