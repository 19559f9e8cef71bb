"""`make audit` and `make release` judge strictly: what cannot be read or was not asked is no pass.
The tools themselves run there, not here.
"""

import json

import pytest

from tests.supply.audit import ROOT
from tests.supply.audit import told as told_by_the_audit
from tests.supply.findings import (
    Finding,
    Result,
    Unreadable,
    advisories,
    bill,
    components,
    images,
    licences,
    pins,
)
from tests.supply.release import changelog_problems

LOCK = "trio==0.35.0 \\\n    --hash=sha256:aa\nquart_trio==0.12.0 ; python_version < '4' \\\n"
GOOD = {
    "dependencies": [
        {"name": "trio", "version": "0.35.0", "vulns": []},
        {"name": "Quart-Trio", "version": "0.12.0", "vulns": []},
    ]
}
FAULT = {"id": "PYSEC-1", "fix_versions": ["0.36.0"], "aliases": [], "description": "x"}


def told(**changes: object) -> str:
    first, second = GOOD["dependencies"]
    return json.dumps({"dependencies": [{**first, **changes}, second]})


@pytest.mark.parametrize(
    ("code", "output", "errors", "result", "words"),
    [
        (0, json.dumps(GOOD), "", Result.GOOD, "no known fault in 2 packages"),
        (1, told(vulns=[FAULT]), "", Result.BAD, "trio 0.35.0: PYSEC-1 (fixed in 0.36.0)"),
        (0, told(vulns=[FAULT]), "", Result.BAD, "PYSEC-1"),
        (1, "", "ERROR: Name or service not known", Result.UNKNOWN, "Name or service not known"),
        (0, "", "", Result.UNKNOWN, "no output"),
        (1, json.dumps(GOOD), "ERROR: died", Result.UNKNOWN, "exit code 1"),
        (0, json.dumps({"dependencies": []}), "", Result.UNKNOWN, "none about quart-trio, trio"),
        (0, told(skip_reason="not found"), "", Result.UNKNOWN, "none about trio"),
        (0, json.dumps(GOOD)[:-3], "", Result.UNKNOWN, "no output"),
        (0, "[]", "", Result.UNKNOWN, "no output"),
        (0, '{"dependencies": 7}', "", Result.UNKNOWN, "no output"),
        (0, '{"dependencies": [{"name": 7}]}', "", Result.UNKNOWN, "no output"),
        (0, "[" * 200_000, "", Result.UNKNOWN, "no output"),
        (0, " " * (64 * 1024 * 1024 + 1), "", Result.UNKNOWN, "no output"),
    ],
)
def test_only_an_answer_about_every_package_is_a_pass(
    code: int, output: str, errors: str, result: Result, words: str
) -> None:
    finding = advisories(LOCK, "run.txt", code, output, errors)
    assert finding.result is result
    assert words in finding.what
    assert finding.do or result is Result.GOOD


def cyclonedx(*parts: object) -> str:
    return json.dumps({"bomFormat": "CycloneDX", "components": list(parts)})


def part(name: str = "trio", version: str = "0.35.0", *said: object) -> dict[str, object]:
    return {"name": name, "version": version, "licenses": list(said)}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", cyclonedx(), cyclonedx(7), cyclonedx({"name": "x"}), "\0" * 9),
        cyclonedx(part())[:-1],
        '{"components": [{"name": "trio", "version": "1"}]}',
        '{"a":' * 100_000,
    ],
)
def test_a_bill_that_cannot_be_read_passes_nothing(text: str) -> None:
    with pytest.raises(Unreadable):
        components(text)
    assert bill(text, LOCK, "x").result is Result.UNKNOWN
    assert licences(text).result is Result.UNKNOWN


def test_a_bill_names_the_locked_versions() -> None:
    assert bill(cyclonedx(part()), LOCK, "x").result is Result.GOOD
    finding = bill(cyclonedx(part(version="0.34.0")), LOCK, "x")
    assert (finding.result, "trio 0.35.0, found 0.34.0" in finding.what) == (Result.BAD, True)


@pytest.mark.parametrize(
    ("said", "result"),
    [
        ([{"expression": "MIT OR Apache-2.0"}], Result.GOOD),
        ([{"expression": "MIT AND BSD-3-Clause"}], Result.GOOD),
        ([{"expression": "GPL-3.0-only OR MIT"}], Result.GOOD),
        ([{"expression": "MIT AND GPL-3.0-only"}], Result.BAD),
        ([{"license": {"id": "AGPL-3.0-only"}}], Result.BAD),
        ([{"license": {"name": "License :: OSI Approved :: MIT License"}}], Result.GOOD),
        ([{"license": {"name": "read the file"}}, {"license": {"id": "ISC"}}], Result.GOOD),
        ([{"license": {"name": "MIT-like"}}], Result.BAD),
        ([{"license": 7}, 7], Result.BAD),
        ([], Result.BAD),
    ],
)
def test_a_licence_that_is_not_known_to_be_permissive_is_named(
    said: list[object], result: Result
) -> None:
    finding = licences(cyclonedx(part("trio", "0.35.0", *said)))
    assert finding.result is result
    assert (result is Result.GOOD) is ("trio" not in finding.what)


@pytest.mark.parametrize(
    ("results", "code", "words"),
    [
        ([Result.GOOD], 0, "audit passed"),
        ([Result.GOOD, Result.UNKNOWN], 3, "NOT PASSED: 0 bad, 1 could not be checked"),
        ([Result.UNKNOWN, Result.BAD], 1, "NOT PASSED: 1 bad, 1 could not be checked"),
    ],
)
def test_what_could_not_be_asked_is_neither_passed_nor_bad(
    results: list[Result], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told_by_the_audit([Finding(each, "it") for each in results]) == code
    said = capsys.readouterr()
    assert words in said.out + said.err


def test_an_image_without_its_digest_is_named() -> None:
    by_digest = "FROM python:3.11-slim@sha256:" + "a" * 64 + " AS build\n"
    assert images({"Dockerfile": by_digest}).result is Result.GOOD
    finding = images(
        {"Dockerfile": by_digest + "from python:3.11-slim\n", "c": "  image: caddy:2\n"}
    )
    assert finding.result is Result.UNKNOWN
    assert "caddy:2 in c, python:3.11-slim in Dockerfile" in finding.what


@pytest.mark.parametrize(
    ("changelog", "problems"),
    [
        ("# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2026-11-29\n\n- It is.\n", 0),
        ("## [Unreleased]\n\n- More.\n\n## [1.0.0]\n\n- It is.\n", 1),
        ("## [Unreleased]\n\n## [1.0.0]\n\n## [0.9.0]\n- It was.\n", 1),
        ("## [Unreleased]\n- More.\n", 2),
        ("", 1),
    ],
)
def test_a_release_needs_a_finished_changelog(changelog: str, problems: int) -> None:
    assert len(changelog_problems(changelog, "1.0.0")) == problems


def test_every_lock_of_the_project_is_read_whole() -> None:
    for name in ("run.txt", "dev.txt", "audit.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        lines = [each for each in text.splitlines() if each[:1].isalnum()]
        assert len(pins(text)) == len(lines) > 20, name
