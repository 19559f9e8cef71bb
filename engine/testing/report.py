"""What a kit found: one result for each numbered case, and what the plugin says it can do. Plain values, for terminals, files and tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Verdict(Enum):
    """How a case ended."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CaseResult:
    """Hold one case: its number, the promise it checks, and for a failure what was expected and found."""

    number: str
    promise: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class KitReport:
    """Hold everything that a kit found about one plugin's object."""

    kind: str
    name: str
    results: tuple[CaseResult, ...]
    capabilities: Mapping[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        """Return the cases that failed."""
        return tuple(each for each in self.results if each.verdict is Verdict.FAIL)

    @property
    def passed(self) -> bool:
        """Tell whether no case failed and at least one was run."""
        return not self.failures and any(each.verdict is Verdict.PASS for each in self.results)

    def raise_failures(self) -> None:
        """Raise AssertionError that lists every failed case; for pytest."""
        if not self.passed:
            lines = [f"{each.number}: {each.promise}\n    {each.detail}" for each in self.failures]
            raise AssertionError(f"{self.kind} {self.name} fails {len(lines)} of {len(self.results)} cases:\n" + "\n".join(lines))


class CaseFailed(Exception):
    """Say that a promise was not kept: expected and found in one sentence."""


class CaseSkipped(Exception):
    """Say why a case does not concern this plugin."""


def expect(holds: bool, detail: str) -> None:
    """Raise CaseFailed with ``detail`` (expected ..., found ...) unless ``holds``."""
    if not holds:
        raise CaseFailed(detail)
