"""docs/plugin-reference.md, made from `import rexalgo`: every hook, Protocol, value, error and
function that a plugin may use, with its docstring.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any, Final

import rexalgo
from engine.plugin import hookspecs

HEAD: Final = """# Plugin reference

Everything that `import rexalgo` gives. Made from the docstrings; after a change there: `python tests/house/test_docs.py`.
The guides are [exchange](plugin-exchange.md), [signal source](plugin-source.md) and [rate limiter](plugin-limiter.md).
"""
_MODULE: Final = re.compile(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])")


def text(thing: object) -> str:
    """Return a docstring as one paragraph a line, in Markdown."""
    paragraphs = (inspect.getdoc(thing) or "").split("\n\n")
    told = "\n\n".join(" ".join(each.split()) for each in paragraphs)
    return told.replace("``", "`")


def signature(function: Any) -> str:
    """Return name, arguments and result without the modules of the types."""
    called = re.sub(r"\bself, |\bself\b", "", str(inspect.signature(function)), count=1)
    return f"{function.__name__}{_MODULE.sub('', called)}".replace("'", "")


def type_of(annotation: object) -> str:
    """Return a type as a plugin author writes it."""
    named = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return _MODULE.sub("", named).replace("|", "\\|")


def members(protocol: type) -> Iterator[str]:
    """Yield one line for each field and method of a Protocol."""
    for name, annotation in protocol.__annotations__.items():
        yield f"- `{name}: {type_of(annotation)}`"
    for name, member in vars(protocol).items():
        if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        if isinstance(member, property):
            yield f"- `{name}` {' '.join(text(member).split())}"
        else:
            awaits = "async " if inspect.iscoroutinefunction(member) else ""
            yield f"- `{awaits}{signature(member)}` {' '.join(text(member).split())}"


def value(kind: type) -> Iterator[str]:
    """Yield one line for each field of a value, or for each member of an enum."""
    if issubclass(kind, Enum):
        yield ", ".join(f"`{each.name}`" for each in kind)
    elif is_dataclass(kind):
        for each in fields(kind):
            default = "" if each.default is MISSING else f" = {each.default!r}"
            yield f"- `{each.name}: {type_of(each.type)}{default}`"


def section(title: str, things: dict[str, Any], lines: Any) -> str:
    """Return one part of the page."""
    parts = [f"## {title}\n"]
    for name, thing in things.items():
        below = "\n".join(lines(thing))
        parts.append(f"### `{name}`\n\n{text(thing)}\n" + (f"\n{below}\n" if below else ""))
    return "\n".join(parts)


def is_protocol(thing: Any) -> bool:
    """Return whether a name of the API is a Protocol."""
    return isinstance(thing, type) and getattr(thing, "_is_protocol", False)


def reference_page() -> str:
    """Return docs/plugin-reference.md as the code has it."""
    api = {name: getattr(rexalgo, name) for name in sorted(rexalgo.__all__)}
    hooks = {
        name: hook
        for name, hook in vars(hookspecs).items()
        if name.startswith("register_") and inspect.isfunction(hook)
    }
    protocols = {name: each for name, each in api.items() if is_protocol(each)}
    classes = {
        name: each
        for name, each in api.items()
        if isinstance(each, type) and each.__module__.startswith("engine") and name not in protocols
    }
    errors = {name: each for name, each in classes.items() if issubclass(each, Exception)}
    values = {name: each for name, each in classes.items() if name not in errors}
    functions = {name: each for name, each in api.items() if inspect.isfunction(each)}
    rest = sorted(set(api) - set(protocols) - set(classes) - set(functions))
    return "\n".join(
        [
            HEAD,
            section("Hooks", hooks, lambda each: [f"`{signature(each)}`"]),
            section("Protocols", protocols, members),
            section("Values", values, value),
            section("Errors", errors, lambda _: []),
            section("Functions", functions, lambda each: [f"`{signature(each)}`"]),
            "## Other names\n\n" + ", ".join(f"`{each}`" for each in rest) + "\n",
        ]
    )
