"""The arrows of the architecture: contracts in pyproject.toml, and allow-lists where few modules may be imported."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imports(file: Path) -> Iterator[str]:
    """Yield every imported module; ``from engine import x`` counts as ``engine.x``."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], node.module or ""]).strip(".")
                yield base
            elif node.module in ("engine", "web", "plugins"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def sources(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def within(name: str, *allowed: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


def strays(files: list[Path], *allowed: str) -> list[str]:
    """List the project's own modules that are imported and not allowed."""
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in imports(file)
        if within(name, "engine", "web", "plugins", "rexalgo") and not within(name, *allowed)
    ]


def test_import_contracts_hold() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "0 broken" in told.stdout


def test_web_knows_only_the_service_and_what_it_shows() -> None:
    assert strays(sources("web"), "web", "engine.views", "engine.ports", "engine.domain", "engine.desks", "engine.office") == []


@pytest.mark.parametrize("plugin", sorted(each.name for each in (ROOT / "plugins").iterdir() if each.is_dir() and each.name[0] != "_"))
def test_built_in_plugin_imports_what_a_stranger_may(plugin: str) -> None:
    assert strays(sources(f"plugins/{plugin}"), "rexalgo", f"plugins.{plugin}") == []


def test_plugin_authors_door_is_only_the_plugin_api() -> None:
    assert strays([ROOT / "rexalgo" / "__init__.py"], "engine.plugin.api") == []


def test_only_the_ledger_opens_a_database() -> None:
    opened = [f for f in sources("engine", "web", "plugins", "rexalgo") if any(within(name, "apsw", "sqlite3") for name in imports(f))]
    assert [str(f.relative_to(ROOT)) for f in opened if not f.is_relative_to(ROOT / "engine" / "ledger")] == []


def test_only_actors_and_run_open_nurseries() -> None:
    allowed = {ROOT / "engine" / "run.py", *sources("engine/actors", "engine/testing")}
    opened = [f for f in sources("engine", "plugins") if "open_nursery(" in f.read_text(encoding="utf-8") and f not in allowed]
    assert [str(f.relative_to(ROOT)) for f in opened] == []
