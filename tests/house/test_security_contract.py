"""SECURITY.md is a contract: every promised area has a row, and every row that is kept names tests
that exist.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AREAS = (
    "HTTPS",
    "Webhook authenticity",
    "Webhook rate limits",
    "Sign-in limits",
    "Repeats and orders",
    "CORS",
    "Headers and CSP",
    "Forms",
    "Cookies",
    "Sessions",
    "API tokens",
    "Second factor",
    "Secrets at rest",
    "Secrets in use",
    "Files",
    "Key rotation",
    "Dependencies",
    "Audit trail",
    "Backups",
    "Answers of exchanges",
    "Outgoing addresses",
    "Two processes",
    "Plugins",
    "Disclosure",
)
STATUSES = ("kept", "kept in part", "not yet")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(text: str) -> dict[str, tuple[str, str, str, str]]:
    """Return the table of areas: status, promise, limits and tests by area."""
    table = text.partition("\n| area | status |")[2].partition("\n\n")[0]
    found: dict[str, tuple[str, str, str, str]] = {}
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        assert len(cells) == 5, f"expected 5 cells, found {len(cells)}: {line[:80]}"
        area, status, promise, limits, tests = cells
        assert area not in found, f"two rows for {area}"
        found[area] = (status, promise, limits, tests)
    return found


@cache
def functions(file: str) -> frozenset[str]:
    """Return the names of the tests in a file; none if there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    )


def faults(text: str) -> Iterator[str]:
    """Yield what is wrong with the contract."""
    table = rows(text)
    yield from (f"no row for {area}" for area in AREAS if area not in table)
    yield from (f"{area}: not among the promised areas" for area in table if area not in AREAS)
    for area, (status, promise, limits, tests) in table.items():
        if status not in STATUSES:
            yield f"{area}: expected one of {', '.join(STATUSES)}, found {status!r}"
        if not promise or not limits:
            yield f"{area}: expected a promise and its limits"
        named = _TEST.findall(tests)
        if not named and status != "not yet":
            yield f"{area}: names no test"
        if _TEST.sub("", tests).replace("<br>", "").strip():
            yield f"{area}: expected tests as `path::name`, found {tests!r}"
        yield from (
            f"{area}: no test {name} in {file}"
            for file, name in named
            if name not in functions(file)
        )


def contract() -> str:
    return (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_promised_area_has_a_row_and_every_row_a_living_test() -> None:
    assert list(faults(contract())) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("| CORS | kept |", "| Cors | kept |", "no row for CORS"),
        ("::test_no_answer_permits_another_site`", "::test_gone`", "CORS: no test test_gone in"),
        ("| CORS | kept |", "| CORS | fine |", "CORS: expected one of"),
        (
            "`tests/house/test_security_contract.py::"
            "test_a_fault_is_reported_in_private_and_the_supported_version_is_named`",
            "",
            "Disclosure: names no test",
        ),
    ],
)
def test_a_row_that_is_lost_or_names_no_test_is_told(old: str, new: str, fault: str) -> None:
    text = contract()
    assert old in text
    assert any(fault in each for each in faults(text.replace(old, new)))


def test_a_fault_is_reported_in_private_and_the_supported_version_is_named() -> None:
    text = contract()
    reporting = text.partition("## Reporting\n")[2].partition("\n## ")[0]
    assert "`operator.contact`" in reporting
    assert "do not open a public issue" in reporting
    assert "Supported:" in reporting
    assert "contact" in (ROOT / "web/templates/identity/connect_fields.html").read_text(
        encoding="utf-8"
    )


def test_the_reading_against_the_standard_covers_each_chapter_with_a_test_or_a_reason() -> None:
    text = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
    table = text.partition("\n| chapter |")[2].splitlines()[2:]
    chapters, found = set[int](), []
    for line in table:
        chapter, asked, verdict, why = (each.strip() for each in line.strip("| ").split(" | "))
        chapters.add(int(re.match(r"V(\d+) ", chapter)[1]))  # type: ignore[index]
        named = _TEST.findall(why)
        if verdict not in ("met", "not met", "not applicable") or not asked:
            found.append(f"{chapter}: expected a question and a verdict, found {verdict!r}")
        if verdict == "met" and not named:
            found.append(f"{chapter}: met, and names no test")
        if not why:
            found.append(f"{chapter}: expected a test or a reason")
        found += [
            f"{chapter}: no test {name} in {file}"
            for file, name in named
            if name not in functions(file)
        ]
    assert found == []
    assert chapters == set(range(1, 18))
