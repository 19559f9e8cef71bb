"""Errors of a provisioning file: everything at once, each with file, key, expected and found; never
a secret.
"""

from dataclasses import dataclass

from engine.domain.errors import UnusableFile


@dataclass(frozen=True, slots=True)
class ProvisionProblem:
    """One error. ``key`` is a path such as ``follower[3].sizing.margin`` (counted from 0), ``name``
    the name it belongs to.
    """

    key: str
    expected: str
    found: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        owner = "" if self.name is None else f" ({self.name})"
        tail = "" if self.found is None else f", found {self.found}"
        return f"{self.key}{owner}: expected {self.expected}{tail}"


class ProvisionErrors(UnusableFile):
    """Raised with everything that is wrong with the file at once; nothing of it was applied:
    correct each and run again.
    """

    def __init__(self, file: str, problems: list[ProvisionProblem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        head = f"{file}: {len(problems)} problem(s), nothing was changed"
        super().__init__("\n".join([head, *(f"{file}: {each}" for each in problems)]))
