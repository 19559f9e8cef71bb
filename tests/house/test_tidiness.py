"""Repository rules: secrets are listed, no registry address, a docstring everywhere, a light
``import rexalgo``.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.settings.secrets import SECRETS

ROOT = Path(__file__).parents[2]
_SKIPPED = {".git", ".venv", "bin", "build", "dist", "data", "__pycache__", "node_modules"}
_REGISTRIES = [
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "npmjs" + ".org",
    "npmjs" + ".com",
    "crates" + ".io",
    "docker" + ".io",
    "rubygems" + ".org",
]


def project_files() -> Iterator[Path]:
    for file in ROOT.rglob("*"):
        parts = file.relative_to(ROOT).parts
        if file.is_file() and not any(
            part in _SKIPPED or part.endswith(("_cache", ".egg-info")) or part == ".hypothesis"
            for part in parts
        ):
            yield file


def test_env_example_names_exactly_the_secrets_of_the_code() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)) == sorted(
        (name, "") for name in SECRETS
    )


def test_no_file_names_a_package_registry() -> None:
    found = []
    for file in project_files():
        text = file.read_bytes().decode("utf-8", errors="replace").lower()
        found += [f"{file.relative_to(ROOT)}: {host}" for host in _REGISTRIES if host in text]
    assert found == []


def test_locks_are_hashed_and_point_nowhere() -> None:
    for name in ("run.txt", "dev.txt", "audit.txt"):
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|file://|^--(?!hash)", text, re.MULTILINE), name
        pins = re.findall(r"^[a-z0-9].*$", text, re.MULTILINE | re.IGNORECASE)
        assert pins
        assert all("==" in pin and pin.endswith("\\") for pin in pins), name


def public(
    tree: ast.AST, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{prefix}{node.name}.")


def test_everything_public_in_the_engine_has_a_docstring() -> None:
    bare = []
    for file in sorted((ROOT / "engine").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        where = file.relative_to(ROOT)
        bare += [] if ast.get_docstring(tree) else [f"{where}: module"]
        bare += [f"{where}: {name}" for name, node in public(tree) if not ast.get_docstring(node)]
    assert bare == []


def test_importing_rexalgo_stays_light() -> None:
    code = (
        "import sys, rexalgo; print(sorted({'trio', 'apsw', 'quart', 'httpx', 'hypercorn', "
        "'nacl'} & set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_the_formatter_is_excused_nowhere() -> None:
    """Where a tuple does not fit, its parts get names."""
    word = "fmt: " + "skip"
    sources = (
        each
        for folder in ("bench", "config", "engine", "plugins", "rexalgo", "tests", "web")
        for each in (ROOT / folder).rglob("*.py")
    )
    assert [str(each) for each in sources if word in each.read_text(encoding="utf-8")] == []
