"""What ``rexalgo plugin test`` prints: each case as it ends, then what the plugin can do, and what
to do next.
"""

from typing import Any

import click

from engine.plugin.kit_record import KIT_VERSION
from rexalgo.testing import CaseResult, KitReport, Verdict

INDENT = " " * 14


class Telling:
    """Print results as they come; a reason to skip that repeats is printed once."""

    def __init__(self) -> None:
        self._skipped = ""

    def begin(self, kind: str, name: str, environment: str) -> None:
        """Print the heading of one kit's run."""
        click.echo(f"{kind} {name}" + (f" [{environment}]" if environment else ""))

    def tell(self, result: CaseResult) -> None:
        """Print one result: a failure with what was expected, what was found, and what to do."""
        word = {Verdict.PASS: "pass", Verdict.SKIPPED: "skipped", Verdict.FAIL: "FAIL"}[
            result.verdict
        ]
        click.echo(f"  {word:<8}{result.number} {result.promise}")
        is_told_already = result.verdict is Verdict.SKIPPED and result.detail == self._skipped
        self._skipped = result.detail if result.verdict is Verdict.SKIPPED else ""
        if result.detail and not is_told_already:
            click.echo(f"{INDENT}{result.detail}")
        if result.do:
            click.echo(f"{INDENT}to do: {result.do}")


def tell_end(reports: list[KitReport], again: str) -> None:
    """Print what the plugin says it can do, the count, and where to begin; ``again`` is the command
    that was typed.
    """
    for report in reports:
        if report.capabilities:
            click.echo(f"what {report.name} says that it can (traits):")
            width = max(map(len, report.capabilities))
            for name, value in report.capabilities.items():
                click.echo(f"  {name:<{width}}  {value}")
        ran = [each for each in report.results if each.verdict is not Verdict.SKIPPED]
        click.echo(
            f"{len(ran) - len(report.failures)} of {len(ran)} cases pass, "
            f"{len(report.results) - len(ran)} skipped"
        )
        if report.failures:
            first = report.failures[0].number
            alone = (
                f"; that case alone: {again} --case {first}"
                if report.kind == "exchange" and "--case" not in again
                else ""
            )
            click.echo(f"begin with {first}{alone}")


def as_json(
    reports: list[KitReport], environment: str, passed: bool, file: str | None
) -> dict[str, Any]:
    """Return a run as one JSON value."""
    return {
        "passed": passed,
        "environment": environment,
        "record": file,
        "kit_version": KIT_VERSION,
        "reports": [_json(each) for each in reports],
    }


def _json(report: KitReport) -> dict[str, Any]:
    cases = [
        {
            "number": each.number,
            "promise": each.promise,
            "verdict": each.verdict.value,
            "detail": each.detail,
            "do": each.do,
        }
        for each in report.results
    ]
    return {
        "kind": report.kind,
        "name": report.name,
        "cases": cases,
        "capabilities": dict(report.capabilities),
    }
