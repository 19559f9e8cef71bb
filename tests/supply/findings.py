"""What the tools of `make audit` said, read strictly: what cannot be read is a failure, never a pass.

A check has one of three results: good, bad, or unknown, with the reason. Only a run in which every
check is good passes.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

ALLOWED: Final = frozenset(
    (
        *("MIT", "MIT-0", "MIT-CMU", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Apache-2.0"),
        *("PSF-2.0", "Python-2.0", "MPL-2.0", "Zlib", "Unlicense", "any-OSI", "CNRI-Python"),
    )
)
"""Licences that ask for nothing but their own text, or (MPL) for changes to the files themselves."""
NAMES: Final[Mapping[str, str]] = {
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "The MIT License (MIT)": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "zlib/libpng License": "Zlib",
}
"""Names of licences as packages write them, by classifier or in words."""
READ: Final[Mapping[str, str]] = {"axe-playwright-python 0.1.8": "MIT"}
"""Licences that a person read in the package, because its metadata names none; by version."""
_PIN: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
_FROM: Final = re.compile(r"^FROM\s+(\S+)", re.MULTILINE | re.IGNORECASE)
_IMAGE: Final = re.compile(r"^\s*image:\s*(\S+)", re.MULTILINE)
_DIGEST: Final = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
DOCUMENT_MAX: Final = 64 * 1024 * 1024


class Result(Enum):
    """The result of a check."""

    GOOD = "good"
    BAD = "BAD"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what to do about it."""

    result: Result
    what: str
    do: str = ""


class Unreadable(ValueError):
    """Raised for a document that is not what it should be."""


def pins(lock: str) -> dict[str, str]:
    """Return the version of every package in a lock, by its normal name."""
    return {_normal(name): version for name, version in _PIN.findall(lock)}


def advisories(lock: str, name: str, code: int, output: str, errors: str) -> Finding:
    """Judge a run of pip-audit over a lock; it is good only if every package was asked about."""
    unread = f"{name}: expected an answer about each of {len(pins(lock))} packages, "
    do = "run it where the advisory source can be reached; nothing is known about these packages"
    try:
        told = _document(output)["dependencies"]
        asked = {_normal(each["name"]): each for each in told if "skip_reason" not in each}
        faults = [
            f"{each['name']} {each['version']}: {fault['id']} (fixed in "
            f"{', '.join(fault['fix_versions']) or 'no version'})"
            for each in asked.values()
            for fault in each["vulns"]
        ]
    except (Unreadable, KeyError, TypeError, AttributeError):
        last = next((line for line in reversed(errors.splitlines()) if line.strip()), "no output")
        return Finding(Result.UNKNOWN, f"{unread}found {last.strip()[:300]}", do)
    if faults:
        do = "raise the version in pyproject.toml, then make lock"
        return Finding(Result.BAD, f"{name}: " + "; ".join(faults), do)
    if missing := sorted(pins(lock).keys() - asked.keys()):
        return Finding(Result.UNKNOWN, f"{unread}found none about {', '.join(missing)}", do)
    if code != 0:
        return Finding(Result.UNKNOWN, f"{unread}found exit code {code} without a fault", do)
    return Finding(Result.GOOD, f"{name}: no known fault in {len(asked)} packages")


def components(bill: str) -> list[dict[str, Any]]:
    """Return the components of a CycloneDX bill of materials; raises Unreadable."""
    document = _document(bill)
    found = document.get("components")
    if document.get("bomFormat") != "CycloneDX" or not isinstance(found, list) or not found:
        raise Unreadable("expected a CycloneDX document with components")
    for each in found:
        if not isinstance(each, dict) or not all(
            isinstance(each.get(name), str) for name in ("name", "version")
        ):
            raise Unreadable("expected a name and a version of each component")
    return found


def bill(text: str, lock: str, name: str) -> Finding:
    """Judge a bill of materials: it names every package of a lock, in the locked version."""
    try:
        named = {_normal(each["name"]): each["version"] for each in components(text)}
    except Unreadable as error:
        return Finding(Result.UNKNOWN, f"bill of materials: {error}", "see what wrote it")
    wrong = [
        f"{each} {version}, found {named.get(each, 'none')}"
        for each, version in pins(lock).items()
        if each in named and named[each] != version
    ]
    if wrong:
        return Finding(Result.BAD, f"bill of materials: expected {'; '.join(wrong)}", "make clean")
    return Finding(Result.GOOD, f"bill of materials: {len(named)} components of {name}")


def licences(text: str) -> Finding:
    """Judge the licences of a bill's components."""
    try:
        unfit = sorted(_unfit(components(text)))
    except Unreadable as error:
        return Finding(Result.UNKNOWN, f"licences: {error}", "see what wrote the bill")
    if unfit:
        do = "read the licence; add it to tests/supply/findings.py, or take another package"
        return Finding(
            Result.BAD, "licences: expected a permissive one, found " + "; ".join(unfit), do
        )
    return Finding(Result.GOOD, f"licences: all {len(components(text))} are permissive")


def _unfit(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in found:
        read = READ.get(f"{_normal(each['name'])} {each['version']}")
        said = [read] if read else [_said(licence) for licence in each.get("licenses") or ()]
        if not any(_is_allowed(text) for text in said):
            yield f"{each['name']} ({', '.join(text[:60] for text in said) or 'none'})"


def _said(licence: object) -> str:
    if not isinstance(licence, dict):
        return ""
    inner = licence.get("license")
    inner = inner if isinstance(inner, dict) else {}
    return str(licence.get("expression") or inner.get("id") or inner.get("name") or "")


def _is_allowed(text: str) -> bool:
    """Return whether one alternative of an SPDX expression, or a name in words, is allowed."""
    text = NAMES.get(text.removeprefix("License :: OSI Approved :: "), text)
    alternatives = re.split(r"\s+OR\s+", text.strip("() "))
    return any(
        all(part.strip("() ") in ALLOWED for part in re.split(r"\s+AND\s+", alternative))
        for alternative in alternatives
    )


def images(files: Mapping[str, str]) -> Finding:
    """Judge the base images of deployment files: each is named by its digest."""
    loose = sorted(
        {
            f"{image} in {name}"
            for name, text in files.items()
            for image in (*_FROM.findall(text), *_IMAGE.findall(text))
            if not _DIGEST.fullmatch(image)
        }
    )
    if not loose:
        return Finding(Result.GOOD, "base images: each by its digest")
    do = "ask the image registry: docker buildx imagetools inspect IMAGE, then write IMAGE@sha256:..."
    return Finding(Result.UNKNOWN, f"base images: no digest of {', '.join(loose)}", do)


def _document(text: str) -> dict[str, Any]:
    if len(text) > DOCUMENT_MAX:
        raise Unreadable(f"expected at most {DOCUMENT_MAX} characters, found {len(text)}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"expected JSON, found {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise Unreadable("expected a JSON object")
    return document


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
