"""The output of ``rexalgo plugin test``: each case as it ends, then the traits and a summary."""

from typing import Any

import click

from engine.plugin.kit_record import KIT_VERSION
from rexalgo.testing import CaseResult, KitReport, Verdict

INDENT = " " * 14


class CasePrinter:
    """A printer of case results. It prints a skip reason once when consecutive cases share it."""

    def __init__(self) -> None:
        self._skipped = ""

    def begin(self, kind: str, name: str, environment: str) -> None:
        """Print the heading of one kit's run."""
        click.echo(f"{kind} {name}" + (f" [{environment}]" if environment else ""))

    def print(self, result: CaseResult) -> None:
        """Print one result; a failure with what was expected, what was found, and what to do."""
        word = {Verdict.PASS: "pass", Verdict.SKIPPED: "skipped", Verdict.FAIL: "FAIL"}[
            result.verdict
        ]
        click.echo(f"  {word:<8}{result.number} {result.promise}")
        is_repeated = result.verdict is Verdict.SKIPPED and result.detail == self._skipped
        self._skipped = result.detail if result.verdict is Verdict.SKIPPED else ""
        if result.detail and not is_repeated:
            click.echo(f"{INDENT}{result.detail}")
        if result.do:
            click.echo(f"{INDENT}to do: {result.do}")


def print_summary(reports: list[KitReport], command: str, file: str | None) -> None:
    """Print the plugin's traits, the counts, the case to start with, and the verdict.

    ``command`` is the command line of this run, ``file`` the record of its result.
    """
    for report in reports:
        if report.capabilities:
            click.echo(f"traits that {report.name} declares:")
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
                f"; to run only that case: {command} --case {first}"
                if report.kind == "exchange" and "--case" not in command
                else ""
            )
            click.echo(f"start with {first}{alone}")
    verdict = "PASSED" if all(each.passed for each in reports) else "FAILED"
    click.echo(f"{verdict}; " + (f"recorded in {file}" if file else "nothing was recorded"))


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
