"""A person's request is one transaction: no path through a service or a command writes the ledger
twice.

Counted are ``ledger.write`` and ``audited`` and calls of the module's own functions that write; a
write within a loop counts as two. A path that must write twice (because the first write stands by
itself, such as a counted attempt) is listed with its reason.
"""

import ast
from pathlib import Path
from typing import Final

import pytest

ENGINE: Final = Path(__file__).parents[2] / "engine"
MODULES: Final = sorted([*(ENGINE / "services").glob("*.py"), *(ENGINE / "commands").glob("*.py")])
EXCEPT: Final = {
    "identity.py": (
        "signing in counts a try, uses a code up and begins a session, each of which stands "
        "though what follows fails"
    ),
    "keys.py": "moving everything under a new root key takes many batches, and goes on after a kill",
}
FROM_OTHERS: Final = {"audited", "bind", "apply_corrections", "provision", "rotate_secret"}


def functions(tree: ast.AST) -> dict[str, ast.AsyncFunctionDef]:
    return {each.name: each for each in ast.walk(tree) if isinstance(each, ast.AsyncFunctionDef)}


class Writes:
    """A counter of the writes on the path through a function with the most of them."""

    def __init__(self, tree: ast.AST) -> None:
        self._functions = functions(tree)
        self._known: dict[str, int] = {}

    def of(self, name: str) -> int:
        if name not in self._known:
            self._known[name] = 0  # a function that calls itself
            self._known[name] = self._all(self._functions[name].body)
        return self._known[name]

    def _all(self, nodes: list[ast.stmt]) -> int:
        return sum(self._one(each) for each in nodes)

    def _one(self, node: ast.AST) -> int:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda() | ast.ClassDef():
                return 0
            case ast.If():
                return self._one(node.test) + max(self._all(node.body), self._all(node.orelse))
            case ast.IfExp():
                return self._one(node.test) + max(self._one(node.body), self._one(node.orelse))
            case ast.For() | ast.AsyncFor() | ast.While():
                return 2 * self._all(node.body)
            case ast.Await(value=ast.Call() as call):
                return self._call(call) + sum(
                    self._one(each) for each in ast.iter_child_nodes(call)
                )
            case _:
                return sum(self._one(each) for each in ast.iter_child_nodes(node))

    def _call(self, call: ast.Call) -> int:
        name = (
            call.func.attr
            if isinstance(call.func, ast.Attribute)
            else call.func.id
            if isinstance(call.func, ast.Name)
            else ""
        )
        if (
            name == "write"
            and isinstance(call.func, ast.Attribute)
            and ast.unparse(call.func.value).endswith("ledger")
        ):
            return 1
        if name in self._functions and (
            isinstance(call.func, ast.Name) or ast.unparse(call.func.value) == "self"
        ):
            return self.of(name)
        return 1 if name in FROM_OTHERS else 0


@pytest.mark.parametrize(
    "module",
    [each for each in MODULES if each.name not in EXCEPT],
    ids=lambda each: f"{each.parent.name}/{each.name}",
)
def test_no_way_through_what_a_person_asks_for_writes_twice(module: Path) -> None:
    writes = Writes(ast.parse(module.read_text(encoding="utf-8")))
    assert [
        name
        for name in functions(ast.parse(module.read_text(encoding="utf-8")))
        if writes.of(name) > 1
    ] == []


def test_a_second_write_is_seen_wherever_it_stands() -> None:
    told = """
async def one(self): await self._context.ledger.write(f)
async def two(self):
    await self.one()
    for each in shown: await audited(each)
async def either(self):
    if x: await self.one()
    else: await audited(f)
"""
    writes = Writes(ast.parse(told))
    assert [writes.of(name) for name in ("one", "two", "either")] == [1, 3, 1]
