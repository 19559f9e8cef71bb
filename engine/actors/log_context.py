"""The account, signal and copy that a task works for, so that every record of the log can name them.

A task inherits what its parent works for. Ids only: names are for people and change.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_NOBODY: Final[Mapping[str, str]] = {}
_about: Final[ContextVar[Mapping[str, str]]] = ContextVar("about", default=_NOBODY)


def working_for() -> Mapping[str, str]:
    """Return the ids that this task works for, by ``account``, ``signal`` and ``copy``."""
    return _about.get()


@contextmanager
def logged(**ids: object) -> Iterator[None]:
    """Name these ids in every record of the log while the block runs."""
    token = _about.set({**_about.get(), **{name: str(each) for name, each in ids.items()}})
    try:
        yield
    finally:
        _about.reset(token)
