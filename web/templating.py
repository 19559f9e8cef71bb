"""Jinja for the pages, with what it asks at each value decided beforehand.

A page is some hundred values in a handful of nested templates. Plain Jinja passes each piece of text
through every template around it, copies markup to mark it as markup, and asks of each function what
it takes. None of this changes a character.
"""

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from types import CodeType, FunctionType
from typing import Any, Final

from jinja2 import Environment, Template, nodes
from jinja2.runtime import Context, Macro
from markupsafe import Markup, _escape_inner, escape  # type: ignore[attr-defined]

_OF_JINJA: Final = "Undefined, escape, "
"""Of the names that a compiled template imports."""


def _escape_once(value: object) -> str:
    """Return a value as text of a page; what is markup already, or becomes part of a page at once, is
    not copied to be marked as markup.
    """
    if type(value) is str:
        return _escape_inner(value)
    return value if type(value) is Markup else escape(value)


def filled(element: str, *values: object) -> Markup:
    """Fill the places of an element, such as ``%s`` and ``%.1f``. Each text is escaped; Markup does
    the same, in twice the time.
    """
    safe = [each if isinstance(each, int | float) else _escape_once(each) for each in values]
    return Markup(element % tuple(safe))  # noqa: S704 - each text is escaped


class Templates(Environment):
    """The templates of the pages; none has globals of its own."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """Return the globals as they are: a plain dict takes a tenth of a chain of two."""
        assert d is None, "no template here has globals of its own"
        return self.globals

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        """Return a template as Python, in which every value passes ``_escape_once``."""
        code = super()._generate(source, name, filename, defer_init)
        imports, line, rest = code.partition("\n")
        assert _OF_JINJA in imports, "expected a template that escapes"
        ours = f"from {__name__} import {_escape_once.__name__} as escape"
        return f"{imports.replace(_OF_JINJA, 'Undefined, ')}; {ours}{line}{rest}"


class _Template(Template):
    """A template that returns its text in one piece."""

    @classmethod
    def from_code(
        cls,
        environment: Environment,
        code: CodeType,
        globals: MutableMapping[str, Any],
        uptodate: Callable[[], bool] | None = None,
    ) -> Template:
        """Make a template of compiled Python."""
        made = super().from_code(environment, code, globals, uptodate)
        made.root_render_func = _whole(made.root_render_func)
        return made


class _Context(Context):
    """The values of a page, and how a template calls a function."""

    def call(self, called: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        """Call a macro, or a function that takes nothing but its arguments, without asking more."""
        is_plain = type(called) is FunctionType and not hasattr(called, "jinja_pass_arg")
        if not is_plain and type(called) is not Macro:
            return super().call(called, *args, **named)
        named.pop("_block_vars", None)
        named.pop("_loop_vars", None)
        return called(*args, **named)


def _whole(render: Callable[[Context], Iterable[str]]) -> Callable[[Context], Iterator[str]]:
    def whole(context: Context) -> Iterator[str]:
        yield "".join(render(context))

    return whole


Templates.template_class = _Template
Templates.context_class = _Context
