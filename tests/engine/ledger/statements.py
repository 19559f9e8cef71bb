"""Find every statement that the ledger's source gives to the database, without running it.

A call of a function of ``engine.ledger.query``, of ``execute`` or of ``executemany`` is a place. Its text is
computed from the source: literals, module constants, local names, both sides of a condition, loops
over literals, and parameters by what callers in the same module pass. If a text cannot be computed,
the place has no statements, and the test that uses this fails.
"""

import ast
import builtins
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[3]
LEDGER: Final = ROOT / "engine" / "ledger"
NO_STATEMENTS_OF_THE_RECORD: Final = (
    "database.py",
    "migrating.py",
    "query.py",
    "schema.py",
    "writer.py",
)
"""They open and migrate the file, hand texts on, and begin and end transactions."""

_QUERY: Final = "engine.ledger.query"
_BY_NAME: Final = ("fetch_one", "fetch_all", "fetch_each", "run", "insert")
_BY_METHOD: Final = ("execute", "executemany")
_Names = Mapping[str, Any]
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Place:
    """One call: ``where`` is file and line, ``verb`` is module and function, ``texts`` are all
    statements that it can run.
    """

    where: str
    verb: str
    texts: tuple[str, ...]


class Unreadable(Exception):
    """Raised when an expression cannot be computed from the source."""


@cache
def places(folder: Path = LEDGER, package: str = "engine.ledger") -> tuple[Place, ...]:
    """Return the places of every module of a folder, read once."""
    files = [
        each for each in sorted(folder.glob("*.py")) if each.name not in NO_STATEMENTS_OF_THE_RECORD
    ]
    return tuple(
        place
        for file in files
        for place in places_in(file, importlib.import_module(f"{package}.{file.stem}"))
    )


def places_in(file: Path, module: ModuleType) -> list[Place]:
    """Return the places of one module."""
    source = _Source(ast.parse(file.read_text(encoding="utf-8")), module)
    return [
        Place(f"{file.name}:{line}", f"{file.stem}.{verb}", texts)
        for line, verb, texts in source.places()
    ]


def strangers(
    folders: tuple[str, ...] = ("engine", "plugins", "web", "rexalgo", "config"),
) -> list[str]:
    """Return the calls outside the ledger's folder that look like statements."""
    found = []
    for file in (
        each
        for folder in folders
        for each in sorted((ROOT / folder).rglob("*.py"))
        if LEDGER not in each.parents
    ):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found += [
            f"{file.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if (isinstance(node, ast.Attribute) and node.attr in _BY_METHOD)
            or (isinstance(node, ast.ImportFrom) and node.module == _QUERY)
        ]
    return found


def _asking(tree: ast.Module) -> frozenset[str]:
    """Return the functions that ask the database, as far as a module imports them."""
    return frozenset(
        each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == _QUERY
        for each in node.names
        if each.name in _BY_NAME
    )


class _ListOfTwo(ast.NodeTransformer):
    """Takes every list of parameters as one of two: its length is known to the caller only."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        is_list = isinstance(node.func, ast.Name) and node.func.id == "in_list"
        return ast.copy_location(ast.Constant("(?, ?)"), node) if is_list else node


class _Source:
    """One parsed module, with the values of its expressions."""

    def __init__(self, tree: ast.Module, module: ModuleType) -> None:
        self._tree = tree
        tree = _ListOfTwo().visit(tree)
        self._globals = {**vars(builtins), **vars(module)}
        self._functions = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        self._innermost = {  # a walk meets what is inside a function after it
            id(inner): each for each in self._functions for inner in ast.walk(each)
        }
        self._calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self._asking = _asking(tree)

    def places(self) -> Iterator[tuple[int, str, tuple[str, ...]]]:
        """Yield (line, function, texts); a database word that is not called there and then is a
        place without texts.
        """
        called = {id(call.func): call for call in self._calls}
        for word in ast.walk(self._tree):
            if (isinstance(word, ast.Attribute) and word.attr in _BY_METHOD) or (
                isinstance(word, ast.Name) and word.id in self._asking
            ):
                function, call = self._innermost.get(id(word)), called.get(id(word))
                yield (
                    word.lineno,
                    function.name if function else "",
                    () if call is None else self._texts(call, function),
                )

    def _texts(self, call: ast.Call, function: _Function | None) -> tuple[str, ...]:
        position = 1 if isinstance(call.func, ast.Name) else 0
        try:
            found = [
                text
                for wanted in _branches(call.args[position])
                for way in (
                    [{}]
                    if function is None
                    else self._passed(function, self._needed(wanted, function))
                )
                for text in self._values(wanted, function, way)
            ]
        except (Unreadable, IndexError):
            return ()
        return tuple(dict.fromkeys(found)) if all(isinstance(each, str) for each in found) else ()

    def _values(self, wanted: ast.expr, function: _Function | None, way: _Names) -> list[Any]:
        """Return the values of an expression, one for each path through its conditions and local
        names; ``way`` binds the parameters.
        """
        found = []
        for each in _branches(wanted):
            ways = [way]
            for name in sorted(_free(each) - set(way)):
                local = self._assigned(name, function, way) if function else []
                ways = (
                    [{**known, name: value} for known, value in product(ways, local)]
                    if local
                    else ways
                )
            code = compile(ast.fix_missing_locations(ast.Expression(each)), "<statement>", "eval")
            for names in ways:
                try:
                    found.append(eval(code, {**self._globals, **names}))
                except Exception as error:  # whatever it needs is not in the source
                    raise Unreadable from error
        return found

    def _needed(self, wanted: ast.expr, function: _Function) -> list[str]:
        """Return the parameters of a function that an expression needs, through local names too."""
        seen: set[str] = set()
        names = _free(wanted)
        while names - seen:
            seen |= names
            names = {
                free
                for name in names
                for given in _givers(name, function)
                for way in _branches(given)
                for free in _free(way)
            }
        return [
            each.arg
            for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
            if each.arg in seen
        ]

    def _passed(self, function: _Function, wanted: list[str]) -> list[dict[str, Any]]:
        """Return parameters bound together, as each caller in this module passes them."""
        if not wanted:
            return [{}]
        taken = [
            each.arg
            for each in (*function.args.posonlyargs, *function.args.args)
            if each.arg != "self"
        ]
        ways: list[dict[str, Any]] = []
        for call in self._calls:
            if ast.unparse(call.func) in (function.name, f"self.{function.name}"):
                given = {
                    **dict(zip(taken, call.args, strict=False)),
                    **{each.arg: each.value for each in call.keywords if each.arg},
                }
                if any(name not in given for name in wanted):
                    raise Unreadable
                caller = self._innermost.get(id(call))
                ways += [
                    dict(zip(wanted, values, strict=True))
                    for way in (
                        [{}]
                        if caller is None
                        else self._passed(
                            caller, self._needed(ast.Tuple([given[n] for n in wanted]), caller)
                        )
                    )
                    for values in product(
                        *(self._values(given[name], caller, way) for name in wanted)
                    )
                ]
        if not ways:
            raise Unreadable
        return ways

    def _assigned(self, name: str, function: _Function, way: _Names) -> list[Any]:
        """Return the values of a local name, from assignments and from loops over literals."""
        values: list[Any] = []
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _names(node.targets, name):
                values += self._values(node.value, function, way)
            elif isinstance(node, ast.For) and _names([node.target], name):
                values += [
                    _picked(node.target, name, row)
                    for rows in self._values(node.iter, function, way)
                    for row in rows
                ]
        return values


def _free(wanted: ast.AST) -> set[str]:
    """Return the free names of an expression."""
    names = [node for node in ast.walk(wanted) if isinstance(node, ast.Name)]
    return {each.id for each in names if isinstance(each.ctx, ast.Load)} - {
        each.id for each in names if isinstance(each.ctx, ast.Store)
    }


def _givers(name: str, function: _Function) -> Iterator[ast.expr]:
    """Yield the expressions that a local name is assigned from."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and _names(node.targets, name):
            yield node.value
        elif isinstance(node, ast.For) and _names([node.target], name):
            yield node.iter


def _names(targets: Sequence[ast.expr], name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name
        for each in targets
        for node in ast.walk(each)
    )


def _picked(target: ast.expr, name: str, row: Any) -> Any:
    if isinstance(target, ast.Name):
        return row
    assert isinstance(target, ast.Tuple)
    return next(
        value
        for part, value in zip(target.elts, row, strict=True)
        if isinstance(part, ast.Name) and part.id == name
    )


def _branches(wanted: ast.expr) -> list[ast.expr]:
    """Return an expression once for each path through its conditions."""
    if isinstance(wanted, ast.IfExp):
        return [*_branches(wanted.body), *_branches(wanted.orelse)]
    for node in ast.walk(wanted):
        for field, inner in ast.iter_fields(node):
            parts = inner if isinstance(inner, list) else [inner]
            for index, part in enumerate(parts):
                if isinstance(part, ast.IfExp):
                    return [
                        each
                        for side in (part.body, part.orelse)
                        for each in _branches(_with(wanted, node, field, index, side))
                    ]
    return [wanted]


def _with(whole: ast.expr, node: ast.AST, field: str, index: int, side: ast.expr) -> ast.expr:
    """Return a copy of ``whole`` in which one condition is replaced by one of its sides."""
    inner = getattr(node, field)
    before = list(inner) if isinstance(inner, list) else inner
    setattr(
        node,
        field,
        [*before[:index], side, *before[index + 1 :]] if isinstance(before, list) else side,
    )
    copied = ast.parse(ast.unparse(whole), mode="eval").body
    setattr(node, field, before)
    return copied
