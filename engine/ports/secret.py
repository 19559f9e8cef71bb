"""A text that must not leak by accident."""

from typing import NoReturn


class Secret:
    """Wrap a secret text; only ``reveal()`` gives it back.

    repr, str, format, pickling and comparing never show or compare it, so that logs, tracebacks and pages cannot carry one.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("a Secret is not compared; reveal it and use a constant-time comparison")

    __hash__ = None  # type: ignore[assignment]  # not hashable on purpose: a set or dict of secrets would compare them

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
