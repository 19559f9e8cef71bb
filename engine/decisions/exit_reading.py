"""Guess from the raw body of a delivery whether its sender meant an exit. Pure; it decides who is
alerted, never what is traded.

A refused delivery could not be parsed, so this looks at words only, and prefers a false yes: a
person woken for an entry loses minutes, one who sleeps through a lost exit loses money. Field names
mean nothing (``"close": 65000`` is a price), except those that switch a close on, describe one
(``"exit": {...}``, ``exit_reason``) or state a position of zero. A ``buy`` is an exit only if the
strategy is short.
"""

import re
from typing import Final
from urllib.parse import unquote_plus

_PLACEHOLDER: Final = re.compile(r"\{\{[^{}]{0,80}\}\}")
_SWITCHED_ON: Final = re.compile(
    r"(?:close|exit|flat|reduce|liquidat)[\w. -]{0,24}[\"']?\s{0,9}[:=]\s{0,9}"
    r"(?:[\"']?(?:true|yes|y|on|1)(?![\w.])|\[?\{(?!\{))"
    r"|(?:close|exit)[ _-]?reason[\"']?\s{0,9}[:=]\s{0,9}[\"']?(?!null|none)\w"
)
_NOTHING_HELD: Final = re.compile(
    r"(?:position|contracts_after|pos)[\w "
    r"]{0,24}[\"']?\s{0,9}[:=]\s{0,9}[\"']?-?0(?:\.0{0,20})?(?![\w.])"
)
_FIELD: Final = re.compile(
    r"[\"'][^\"'\\\n]{0,80}[\"']\s{0,9}:|(?<![\w-])[\w.-]{1,40}\s{0,3}=(?!=)"
)
_EXIT: Final = re.compile(
    r"(?<![a-z])(?:(?:long|short|partial|full)[ _-]?)?"
    r"(?:exit|clos(?:e|ing)|flat|sell|sold|cover|reduc|liquidat|unwind|square.?off|stop|trail|target"
    r"|take.?profit|end.?(?:long|short)|(?:sl|tp)[0-9]*(?![a-z0-9]))"
)
_BUY: Final = re.compile(r"(?<![a-z])(?:buy|bought|bull)")


def reads_like_exit(body: bytes, *, is_short: bool = False) -> bool:
    """Return whether a body contains words of an exit; ``is_short``: the strategy is short
    somewhere, so a ``buy`` may close it.
    """
    text = body.decode("utf-8", "replace").replace("\0", "").lower()
    if "%" in text:
        text = unquote_plus(text)
    text = _PLACEHOLDER.sub(" ", text)
    if _SWITCHED_ON.search(text) or _NOTHING_HELD.search(text):
        return True
    words = _FIELD.sub(" ", text)
    return _EXIT.search(words) is not None or (is_short and _BUY.search(words) is not None)
