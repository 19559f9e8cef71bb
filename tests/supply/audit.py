"""`make audit`: known faults and licences of what is locked, the bill of materials, base images."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.supply.findings import Finding, Result, advisories, bill, images, licences

ROOT: Final = Path(__file__).resolve().parents[2]
BILL: Final = ROOT / "build" / "rexalgo.cdx.json"
DEADLINE_S: Final = 300
UNCHECKED: Final = 3


def run(tools: Path) -> int:
    """Check everything with the tools of an environment; print each finding; return the exit code:
    1 if something is bad, 3 if nothing is and something could not be checked.
    """
    return told(list(checked(tools)))


def told(findings: Sequence[Finding]) -> int:
    """Print findings; return the exit code."""
    for each in findings:
        do = f"\n        do: {each.do}" if each.do else ""
        print(f"{each.result.value:<7} {each.what}{do}")
    unknown = sum(each.result is Result.UNKNOWN for each in findings)
    bad = sum(each.result is Result.BAD for each in findings)
    if bad or unknown:
        print(f"NOT PASSED: {bad} bad, {unknown} could not be checked", file=sys.stderr)
        return 1 if bad else UNCHECKED
    print("audit passed")
    return 0


def checked(tools: Path) -> Iterator[Finding]:
    """Yield every finding."""
    for name in ("run.txt", "dev.txt"):
        yield _advisories(tools, ROOT / "requirements" / name)
    lock = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    BILL.parent.mkdir(exist_ok=True)
    problem = write_bill(tools, Path(sys.prefix), BILL)
    text = BILL.read_text(encoding="utf-8") if not problem else ""
    if problem:
        yield Finding(Result.UNKNOWN, f"bill of materials: {problem}", "make clean, then again")
    else:
        yield bill(text, lock, "the development environment")
        yield licences(text)
    names = ("Dockerfile", "compose.yaml")
    yield images({each: (ROOT / "deploy" / each).read_text(encoding="utf-8") for each in names})


def _advisories(tools: Path, lock: Path) -> Finding:
    command = [
        str(tools / "bin" / "pip-audit"),
        *("--strict", "--require-hashes", "--disable-pip", "--format", "json"),
        *("--progress-spinner", "off", "--requirement", str(lock)),
    ]
    text = lock.read_text(encoding="utf-8")
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=DEADLINE_S
        )
    except subprocess.TimeoutExpired:
        return advisories(text, lock.name, 1, "", f"no answer within {DEADLINE_S} s")
    return advisories(text, lock.name, done.returncode, done.stdout, done.stderr)


def write_bill(tools: Path, environment: Path, to: Path) -> str:
    """Write the bill of materials of an environment; return why not, empty if it is written."""
    command = [
        *(str(tools / "bin" / "cyclonedx-py"), "environment", str(environment / "bin" / "python")),
        *("--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"),
        *("--output-format", "JSON", "--output-file", str(to)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    return "" if done.returncode == 0 else (done.stderr.strip() or "no output")[-300:]
