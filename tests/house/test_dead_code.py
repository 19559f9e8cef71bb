"""No public function that nobody calls: what is only tested is not needed."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import rexalgo
import rexalgo.testing

ROOT: Final = Path(__file__).resolve().parents[2]
PRODUCT: Final = [
    file
    for folder in ("engine", "web", "plugins", "rexalgo", "config")
    for file in sorted((ROOT / folder).rglob("*.py"))
]
CALLED_FROM_OUTSIDE: Final = {
    *rexalgo.__all__,
    *rexalgo.testing.__all__,
    "raise_failures",  # of a kit's report: plugin authors end their test with it
    "read_journal",  # plugins/paper/README.md: whoever reads the paper exchange's own record
    *("head", "put", "patch"),  # of HttpClient: plugin authors send with them
    "in_memory",  # the ledger of every test under a virtual clock
    "get_command",  # click calls these three
    "format_commands",
    "exit_code",
    *("before_io_wait", "after_io_wait"),  # trio calls these two of an instrument
    "handleError",  # logging calls it of a handler that could not write
    "make_globals",  # jinja calls it of an environment
    "spawn_app",  # hypercorn calls it of a group of tasks
}


def public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield functions and methods without a leading underscore and without a decorator that hands
    them to somebody else (a route, a command, a hook); a property is asked by its name.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            handed_over = [
                each
                for each in node.decorator_list
                if ast.unparse(each) not in ("property", "staticmethod", "classmethod")
            ]
            if not node.name.startswith("_") and not handed_over:
                yield node


def words_used() -> Counter[str]:
    """Count every name that is read, called or imported in the product and its templates."""
    used: Counter[str] = Counter()
    for file in PRODUCT:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name):
                used[node.id] += 1
            elif isinstance(node, ast.Attribute):
                used[node.attr] += 1
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.update(re.findall(r"^[a-z_]+$", node.value))
    for file in (ROOT / "web" / "templates").rglob("*.html"):
        used.update(re.findall(r"\w+", file.read_text(encoding="utf-8")))
    return used


def test_every_public_function_is_called() -> None:
    used = words_used()
    dead = [
        f"{file.relative_to(ROOT)}: {node.name}"
        for file in PRODUCT
        for node in public_functions(ast.parse(file.read_text(encoding="utf-8")))
        if not used[node.name] and node.name not in CALLED_FROM_OUTSIDE
    ]
    assert dead == []
