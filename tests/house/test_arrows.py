"""The import rules of the architecture: contracts in pyproject.toml, and lists of modules that few
may import.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@cache
def imports(file: Path) -> tuple[str, ...]:
    """Return every imported module; ``from engine import x`` counts as ``engine.x``."""
    return tuple(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = ".".join(
                    [*package[: len(package) - node.level + 1], node.module or ""]
                ).strip(".")
                yield base
            elif node.module in ("engine", "web", "plugins"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def sources(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


PRODUCT = sources("engine", "web", "plugins", "rexalgo")


def within(name: str, *allowed: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


def strays(files: list[Path], *allowed: str) -> list[str]:
    """Return the project's own modules that are imported and not allowed."""
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in imports(file)
        if within(name, "engine", "web", "plugins", "rexalgo") and not within(name, *allowed)
    ]


def test_import_contracts_hold() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command; lint_imports_command()",
            "--no-cache",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "0 broken" in told.stdout


def test_web_knows_only_the_service_and_what_it_shows() -> None:
    assert (
        strays(
            sources("web"),
            "web",
            "engine.views",
            "engine.ports",
            "engine.domain",
            "engine.services",
            "engine.context",
        )
        == []
    )


def test_plugin_authors_door_is_only_the_plugin_api() -> None:
    assert strays([ROOT / "rexalgo" / "__init__.py"], "engine.plugin.api") == []


@pytest.mark.parametrize(
    ("libraries", "room"),
    [
        (("apsw", "sqlite3"), "engine/ledger"),
        (("nacl",), "engine/keys"),
        (("pluggy",), "engine/plugin"),
        (("webauthn",), "engine/identity"),
    ],
)
def test_only_one_room_imports_a_library(libraries: tuple[str, ...], room: str) -> None:
    users = [file for file in PRODUCT if any(within(name, *libraries) for name in imports(file))]
    assert [
        name for file in users if not (name := str(file.relative_to(ROOT))).startswith(f"{room}/")
    ] == []


@cache
def calls(file: Path) -> set[str]:
    """Return the name of every method that a file calls on something."""
    tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {
        node.func.attr
        for node in tree
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


NURSERIES = {
    "engine/run.py",
    "engine/web_role.py",
    "engine/actors/callbacks.py",
    "engine/control/to_engine.py",
    "engine/control/to_web.py",
    "engine/market/comparing.py",
    "engine/market/feed.py",
    "engine/actors/follower.py",
    "engine/actors/account_tasks.py",
    "engine/actors/place_watch.py",
    "engine/actors/telling.py",
    "web/asgi.py",
    "web/guarded_server.py",
    "web/live.py",
    "web/pulse.py",
    "web/server.py",
    "rexalgo/cli/demo.py",
    "rexalgo/cli/serve.py",
    "rexalgo/cli/serving.py",
    "rexalgo/cli/simulate.py",
}
"""Whoever is not here starts no task. The kits in ``engine/testing`` run plugins as the engine
does.
"""


def test_who_opens_nurseries_is_named() -> None:
    opened = {str(file.relative_to(ROOT)) for file in PRODUCT if "open_nursery" in calls(file)}
    assert {each for each in opened if not each.startswith("engine/testing/")} == NURSERIES


@pytest.mark.parametrize(
    ("method", "caller"),
    [
        ("place_order", "engine/actors/exchange_session.py"),
        ("market_data", "engine/market/feed.py"),
    ],
)
def test_only_one_file_calls_an_adapter(method: str, caller: str) -> None:
    callers = [
        str(file.relative_to(ROOT))
        for file in sources("engine", "web", "rexalgo")
        if method in calls(file)
    ]
    assert [each for each in callers if not each.startswith("engine/testing/")] == [caller]


ONLY_THE_ENGINE = (
    "audited(",
    ".changed()",
    ".feeds",
    ".ledger.write(",
    ".live",
    ".open_vault()",
    ".receive(",
    ".task(",
)
"""What a service can do only in the engine's process."""


def test_what_only_the_engine_can_do_is_asked_of_it() -> None:
    """A page of a web process beside the engine would fail otherwise, and only there."""
    unmarked = []
    for file in sorted((ROOT / "engine/services").glob("*.py")):
        for kind in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(kind, ast.ClassDef):
                unmarked += [f"{file.name}: {name}" for name in _unmarked(kind)]
    assert unmarked == []


def _unmarked(kind: ast.ClassDef) -> list[str]:
    """Return the public methods of a service that need the engine, themselves or by private ones of
    the same service, and are not marked.
    """
    methods = {
        each.name: each
        for each in kind.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and each.name != "task"  # the services' own way to an account's task
    }
    texts = {name: ast.unparse(each) for name, each in methods.items()}
    needing = {
        name for name, text in texts.items() if any(each in text for each in ONLY_THE_ENGINE)
    }
    while True:
        private = [name for name in needing if name.startswith("_")]
        more = {
            name for name, text in texts.items() if any(f"self.{each}(" in text for each in private)
        }
        if more <= needing:
            break
        needing |= more
    return [
        name
        for name in sorted(needing)
        if not name.startswith("_")
        and "asked" not in [ast.unparse(each) for each in methods[name].decorator_list]
    ]
