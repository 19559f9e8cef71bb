"""Names and secrets of many followers: one text with the field ``{n}``, which may carry a
whole-number format such as ``{n:04}``.

Strict on purpose: there is one field, it has no attributes, indexes or conversions, and a brace has
no other meaning; Python's own format language never sees the text. No message quotes the text,
because it may be a secret.
"""

import re
from dataclasses import dataclass
from typing import Final

from engine.domain.errors import InvalidValue

COUNT_MAX: Final = 10_000
_FIELD: Final = re.compile(r"\{n(?::(0?)([1-9][0-9]?)?d?)?\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text; ``is_numbered`` is whether it has the field, without which every number gives
    the same text.
    """

    parts: tuple[str | tuple[str, int], ...]

    @property
    def is_numbered(self) -> bool:
        """Return whether different numbers give different texts."""
        return any(not isinstance(part, str) for part in self.parts)

    def fill(self, number: int) -> str:
        """Return the text for one number."""
        return "".join(
            part if isinstance(part, str) else _padded(number, *part) for part in self.parts
        )


def _padded(number: int, fill: str, width: int) -> str:
    return str(number).rjust(width, fill or " ")


def parse_template(text: str, field: str) -> Template:
    """Read a text with ``{n}``; raises InvalidValue for any other use of a brace."""
    parts: list[str | tuple[str, int]] = []
    end = 0
    for match in _FIELD.finditer(text):
        parts += [text[end : match.start()], (match[1] or "", int(match[2] or 0))]
        end = match.end()
    parts.append(text[end:])
    if any(brace in part for part in parts if isinstance(part, str) for brace in "{}"):
        raise InvalidValue(field, "braces only as {n} or {n:04}, with any width from 1 to 99")
    return Template(tuple(part for part in parts if part))


def parse_count(value: object, field: str) -> int:
    """Read how many followers a table declares; they are numbered from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= COUNT_MAX:
        raise InvalidValue(field, f"a whole number from 1 to {COUNT_MAX}", value)
    return value


def numbered(text: str, count: int | None, field: str) -> list[str]:
    """Return one text per number from 1 to ``count``, or the text itself if no count is given.

    Raises InvalidValue if the text lacks ``{n}`` although more than one text is made from it.
    """
    if count is None:
        return [text]
    template = parse_template(text, field)
    if count > 1 and not template.is_numbered:
        raise InvalidValue(
            field, "{n} or {n:04} in the text, because count makes more than one of it"
        )
    return [template.fill(number) for number in range(1, count + 1)]
