"""The words that traders use are the only ones: what they replaced is nowhere."""

import ast
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from engine.domain.outcome import EXPLANATIONS, OutcomeCode, WhoseMove
from web import audit_words
from web.labels import LABELS, LIMITS, reason_label, setting_label, to_do

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
    r"\bup to (you|the (master|follower|operator))\b": "Who acts, and what they do",
    r"\bthis place\b": "This installation",
    r"becomes? (exactly )?one order|gets (exactly )?(one|its own) order": "One copy",
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


def test_what_the_owner_is_to_do_is_an_act() -> None:
    for code, each in EXPLANATIONS.items():
        if each.move is WhoseMove.YOU:
            told = to_do("you", code.value, "")
            assert told.startswith("Yours: ")
            assert each.setting or told != "Yours: change the setting", code
    assert to_do("you", "denied.leverage", "") == "Yours: change the setting"
    assert to_do("you", "denied.leverage", "LONG 2 BTCUSDT is open") == "Yours: see above"
    assert to_do("you", None, "") == "Yours: see above"
    assert to_do("nobody", "filled", "") == "Nothing"


def acts_written() -> set[str]:
    """Return every act that the engine's source writes, where it is a plain text."""
    found = set()
    for file in (ROOT / "engine").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            named = [each.value for each in node.keywords if each.arg == "act"]
            called = ast.unparse(node.func)
            if called.endswith(("record", "_write")) and len(node.args) >= 3:
                named += node.args[1:3]
            for each in named:
                for part in ast.walk(each):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        found.add(part.value)
    return {each for each in found if "_" in each and each.replace("_", "").isalpha()}


def test_every_act_that_is_written_has_a_sentence() -> None:
    known = {act for _, acts in audit_words.KINDS.values() for act in acts}
    written = acts_written()
    assert {"switched_on", "signed_in", "unknown_decided", "session_ended"} <= written, written
    assert {each for each in written if each not in known and each != "strategy_"} == set()
