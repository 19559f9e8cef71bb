"""`make release`: wheel and source archive, tried in an empty environment without the checkout, with
checksums and the bill of materials of that environment.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

from tests.supply.audit import ROOT, write_bill
from tests.supply.findings import Result, bill

DIST: Final = ROOT / "dist"
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:(?:a|b|rc)[0-9]+)?")


class NotReleased(Exception):
    """Raised with everything that keeps a release from being made."""


def run(tools: Path, *, snapshot: bool) -> int:
    """Build, try and describe a release in ``dist/``; return the exit code."""
    try:
        version = released_version(snapshot=snapshot)
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "dist"
            _build(made)
            _only(made, "*.tar.gz")
            environment = _installed(Path(folder), _only(made, "*.whl"))
            _try(environment, Path(folder), version)
            _describe(tools, environment, made, version)
            shutil.rmtree(DIST, ignore_errors=True)
            shutil.copytree(made, DIST)
    except (NotReleased, OSError, subprocess.SubprocessError) as error:
        print(f"NOT RELEASED, dist/ is as it was: {error}", file=sys.stderr)
        return 1
    kind = " (a snapshot: not to be published)" if snapshot else ""
    print(f"rexalgo {version}{kind} in {DIST}:")
    print((DIST / "SHA256SUMS").read_text(encoding="ascii"), end="")
    return 0


def released_version(*, snapshot: bool) -> str:
    """Return the version to release; raises NotReleased unless it is ready. A snapshot needs no
    finished changelog and no clean checkout.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version, problems = str(project["version"]), []
    if not _VERSION.fullmatch(version):
        problems.append(f"pyproject.toml: expected a version such as 1.2.3, found {version!r}")
    if not snapshot:
        changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        problems += changelog_problems(changelog, version)
        if changed := _output("git", "status", "--porcelain"):
            problems.append(f"expected no uncommitted change, found {changed.splitlines()[0]}")
    if problems:
        raise NotReleased("; ".join(problems))
    return version


def changelog_problems(changelog: str, version: str) -> list[str]:
    """Return what keeps a changelog from describing a version."""
    sections = re.split(r"^## \[([^\]]*)\].*$", changelog, flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    problems = []
    if texts.get("Unreleased", "").strip():
        problems.append(
            f"CHANGELOG.md: expected nothing under [Unreleased], found entries; move them under "
            f"[{version}], or raise the version"
        )
    if not texts.get(version, "").strip():
        problems.append(f"CHANGELOG.md: expected a section [{version}], found none with entries")
    return problems


def _build(to: Path) -> None:
    """Build from a copy of what is committed or listed, so that no leftover gets into it."""
    to.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        for name in _output("git", "ls-files", "-z").split("\0"):
            if name and (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, source / name)
        code = (  # the first command changes sys.argv
            "import sys; to = sys.argv[1]; from setuptools import build_meta as made; "
            "made.build_wheel(to); made.build_sdist(to)"
        )
        made = _output("git", "log", "-1", "--format=%ct")
        env = {**os.environ, "SOURCE_DATE_EPOCH": made}
        _run([sys.executable, "-c", code, str(to)], cwd=source, env=env)


def _installed(folder: Path, wheel: Path) -> Path:
    """Install the locked packages and the wheel into an empty environment."""
    environment = folder / "environment"
    _run([sys.executable, "-m", "venv", str(environment)], cwd=folder)
    python = environment / "bin" / "python"
    pip = [
        str(python),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "install",
        "--no-deps",
    ]
    _run([*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "run.txt")], cwd=folder)
    _run([*pip, str(wheel)], cwd=folder)
    return environment


def _try(environment: Path, folder: Path, version: str) -> None:
    """Run the installed command from an empty folder: its version, and a demo that trades."""
    empty = folder / "empty"
    empty.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = str(environment / "bin" / "rexalgo")
    told = _run([command, "--version"], cwd=empty, env=env)
    if version not in told:
        raise NotReleased(f"expected version {version} of the installed command, found {told!r}")
    where = [str(environment / "bin" / "python"), "-c", "import rexalgo; print(rexalgo.__file__)"]
    if not _run(where, cwd=empty, env=env).startswith(str(environment.resolve())):
        raise NotReleased("the installed command runs from somewhere else")
    _run([command, "demo", "--once"], cwd=empty, env=env)


def _describe(tools: Path, environment: Path, made: Path, version: str) -> None:
    """Write the bill of materials of the environment, and the checksums of everything."""
    file = made / f"rexalgo-{version}.cdx.json"
    if problem := write_bill(tools, environment, file):
        raise NotReleased(f"bill of materials: {problem}")
    lock = (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")
    finding = bill(file.read_text(encoding="utf-8"), lock, "the release")
    if finding.result is not Result.GOOD:
        raise NotReleased(finding.what)
    sums = [
        f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n"
        for each in sorted(made.iterdir())
    ]
    (made / "SHA256SUMS").write_text("".join(sums), encoding="ascii")


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise NotReleased(f"expected one {pattern}, found {[each.name for each in found]}")
    return found[0]


def _output(*command: str) -> str:
    return _run(list(command), cwd=ROOT).strip()


def _run(command: list[str], cwd: Path, env: "dict[str, str] | None" = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise NotReleased(f"{' '.join(command[:6])} ended with {done.returncode}: {said}")
    return done.stdout
