"""Edits of source that still apply after the formatter broke lines elsewhere."""

import re


def places(source: str, text: str) -> list[tuple[int, int]]:
    """Return where ``text`` occurs in ``source``, as (start, end).

    Lines may be broken between any two tokens, and a comma may stand before a closing bracket.
    White space around ``text`` counts.
    """
    tokens = re.findall(r"\w+|[^\w\s]", text)
    inside = r"\s*".join((r",?\s*" if each in ")]}" else "") + re.escape(each) for each in tokens)
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    pattern = re.escape(before) + inside + re.escape(after)
    return [each.span() for each in re.finditer(pattern, source)]


def edited(source: str, place: tuple[int, int], instead: str) -> str:
    """Return ``source`` with ``instead`` at one place."""
    return source[: place[0]] + instead + source[place[1] :]
