"""The findings of a kit: one result for each numbered case, and what the plugin says it can do.
Plain values, for terminals, files and tests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from traceback import extract_tb


class Verdict(Enum):
    """How a case ended."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case: its number, the promise it checks, for a failure what was expected and found, and
    what to do about it.
    """

    number: str
    promise: str
    verdict: Verdict
    detail: str = ""
    do: str = ""


@dataclass(frozen=True, slots=True)
class KitReport:
    """Everything that a kit found about one plugin's object."""

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
        """Return whether no case failed and at least one was run."""
        return not self.failures and any(each.verdict is Verdict.PASS for each in self.results)

    def raise_failures(self) -> None:
        """Raise AssertionError that lists every failed case; for pytest."""
        if not self.passed:
            lines = [
                f"{each.number}: {each.promise}\n    {each.detail}\n    {each.do}".rstrip()
                for each in self.failures
            ]
            raise AssertionError(
                f"{self.kind} {self.name} fails {len(lines)} of {len(self.results)} cases:\n"
                + "\n".join(lines)
            )


class CaseFailed(Exception):
    """Raised when a promise was not kept: expected and found in one sentence."""


class CaseSkipped(Exception):
    """Raised when a case does not concern this plugin, with the reason."""


def expect(holds: bool, detail: str) -> None:
    """Raise CaseFailed with ``detail`` (expected ..., found ...) unless ``holds``."""
    if not holds:
        raise CaseFailed(detail)


def told(error: BaseException, plugin: object) -> str:
    """Return what a plugin raised although nothing was to be raised, and the line of the plugin's
    own code that it came from.
    """
    package = type(plugin).__module__.partition(".")[0]
    own = [
        each
        for each in extract_tb(error.__traceback__)
        if f"/{package}/" in each.filename or each.filename.endswith(f"/{package}.py")
    ]
    where = (
        f" ({'/'.join(own[-1].filename.split('/')[-2:])}:{own[-1].lineno}, in {own[-1].name})"
        if own
        else ""
    )
    return f"expected no error, found {type(error).__name__}: {error}"[:300] + where


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
