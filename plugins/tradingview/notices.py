"""Whether an alert only tells of an order that came to nothing, or of the bot that sends it. Pure.

Bots send such notices to the address that takes their orders, with the side in a field: taken for an
order, a notice would enter. What closes does not come here.

| the field                                                             | is a notice                    |
|-----------------------------------------------------------------------|--------------------------------|
| a status with cancelled, rejected, expired or failed in it            | beside every entry             |
| ``cancel``, ``rejected`` ... with yes                                 | beside a bare order or side    |
| a label of nothing but that and words that say little                 | beside a bare order or side    |
| (``entry_cancel``, ``order rejected``); a kind of message (``status``) |                                |

Any other word in a label makes it a name of an entry (``Failed breakdown``).
"""

import re
from typing import Final

from plugins.tradingview.fields import Field, Fields
from plugins.tradingview.words import (
    KINDS_OF_MESSAGES,
    LABELS,
    NOTICE_KINDS,
    NOTICE_SWITCHES,
    STATUSES,
    TRUE,
)
from rexalgo import InvalidValue, squashed

_EXPECTED: Final = (
    "an order for an entry; beside it nothing that says that an order was cancelled, rejected or "
    "expired, or failed"
)
_NOTHING: Final = re.compile("cancel|reject|expire|fail")
_LITTLE: Final = "order|orders|entry|exit|trade|the|was|is|has|been|by|user|exchange|broker"
_ENDED: Final = re.compile(
    rf"(?:{_LITTLE}|buy|sell|long|short)*+"
    r"(?:cancel(?:s|ed|led|ing|ling|lation)?|reject(?:s|ed|ion)?)"
    rf"(?:{_LITTLE}|buy|sell|long|short)*+"
    rf"|(?:{_LITTLE})*+(?:expired?|failed|failure)(?:{_LITTLE})*+"
)
_SIGNS: Final = re.compile(r"[\W0-9]+")
_LABEL_MAX: Final = 200


def refuse_notices(fields: Fields, *, is_bare: bool) -> None:
    """Raise InvalidValue for an entry that is a notice; ``is_bare``: no word and no position says
    that it enters.
    """
    for each in fields.own:
        said = squashed(each.text or "")
        is_status = each.name in STATUSES and _NOTHING.search(said) is not None
        if is_status or (is_bare and _tells_the_end(each, said)):
            raise InvalidValue(each.shown, _EXPECTED, each.text)


def _tells_the_end(field: Field, said: str) -> bool:
    if field.name.removeprefix("is") in NOTICE_SWITCHES:
        return said in TRUE
    if field.name not in LABELS or len(said) > _LABEL_MAX:
        return False
    is_kind = field.name in KINDS_OF_MESSAGES and said in NOTICE_KINDS
    return is_kind or _ENDED.fullmatch(_SIGNS.sub("", said)) is not None
