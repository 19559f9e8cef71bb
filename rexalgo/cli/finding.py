"""What a check of ``rexalgo doctor`` found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check: ``level`` is ok, warn or wrong; ``do`` is the next step, or empty."""

    level: str
    what: str
    do: str = ""
