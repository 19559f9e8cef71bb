"""The words that traders use are the only ones: what they replaced is nowhere."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from engine.domain.outcome import EXPLANATIONS, OutcomeCode
from web.labels import LABELS, LIMITS, reason_label, setting_label

ROOT: Final = Path(__file__).parents[2]
READ: Final = ("web", "engine", "plugins", "rexalgo", "docs", "config", "README.md", "SECURITY.md")
KINDS: Final = (".html", ".py", ".md", ".toml", ".js")
REPLACED: Final = {
    r"loss of (a|the) day": "Daily loss limit",
    r"one entry at most|value of an entry": "Max. order value",
    r"the account at most|value on the account": "Max. exposure",
    r"late at most|\bage of an entry": "Max. signal age",
    r"deepest fall": "Max. drawdown",
    r"result of the day": "Today's P&L",
    r"running result": "Cumulative P&L",
    r"takes (a )?margin|an entry takes": "Margin needed",
    r"how it is taken over": "Leverage: fixed at",
    r"whose move\b": "What to do",
    r"stop something": "Stop trading",
    r"half within|95 % within": "Median, p95",
    r"dialect (a|b)\b|dialects": "RexAlgo signature, Standard Webhooks",
    r"(that|it) did not fit|(?<!field )that was wrong": "Name, password or code is wrong",
    r"orders in question|(?-i:\bUnknowns\b)": "Unknown orders",
}
"""What was said before, as a pattern without case, and what is said instead."""


def texts() -> list[tuple[str, str]]:
    """Return the text of every file of the project that people read."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *READ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [
        (name, (ROOT / name).read_text(encoding="utf-8"))
        for name in listed
        if name.endswith(KINDS) and (ROOT / name).exists()
    ]


@pytest.mark.parametrize("pattern", REPLACED)
def test_no_page_no_help_and_no_document_says_it_the_old_way(pattern: str) -> None:
    said = re.compile(pattern, re.IGNORECASE)
    found = [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if said.search(line)
    ]
    assert not found, (REPLACED[pattern], found)


def test_each_idea_has_one_label() -> None:
    labels = [*LABELS.values(), *(label for label, _, _ in LIMITS.values())]
    assert sorted({each for each in labels if labels.count(each) > 1}) == ["Max. drawdown"]


def test_no_page_names_a_setting_as_a_file_does() -> None:
    named = {each.setting for each in EXPLANATIONS.values() if each.setting}
    assert {each for each in named if setting_label(each) == each} == set()
    ends = {each.value for each in OutcomeCode if each.family in ("skipped", "denied", "rejected")}
    assert {each for each in ends if "." in reason_label(each).removeprefix("Limit: Max.")} <= {
        "skipped.test",
        "skipped.already_open",
        "skipped.not_open",
        "skipped.carried",
        "skipped.cannot_protect",
        "skipped.nothing_to_close",
    }, "what no missed entry ends with"
