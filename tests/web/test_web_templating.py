"""Templates render as plain Jinja renders them, and the navigation is that of the roles and the page."""

from typing import Any

import pytest
from jinja2 import DictLoader, Environment, StrictUndefined, UndefinedError, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from web.pages import _TEMPLATES, navigation
from web.templating import Templates, filled

PARTS = {
    "frame": "<h1>{% block title %}{{ name }}{% endblock %}</h1>{% block body %}{% endblock %}",
    "macros": "{% macro cell(text, kind='') %}<td class='{{ kind }}'>{{ text }}</td>{% endmacro %}"
    "{% macro room() %}<p>{{ caller() }}</p>{% endmacro %}",
    "row": "<tr>{% for each in row %}{{ cell(each, kind=loop.index) }}{% endfor %}</tr>",
    "page": "{% extends 'frame' %}{% from 'macros' import cell, room with context %}"
    "{% block title %}{{ super() }} & {{ name ~ '<' ~ drawn }}{% endblock %}"
    "{% block body %}{% for row in rows %}{% include 'row' %}{% endfor %}"
    "{% call room() %}{{ drawn }}{{ number }}{{ nothing }}{% endcall %}{{ shown('name') }}"
    "{{ twice(name) }}{{ Text(name) }}{% filter upper %}{{ name }}{% endfilter %}"
    "{{ text }}{{ name|safe }}{{ page_name(self) }}{% endblock %}",
    "missing": "{{ nobody }}",
}


class Text(str):
    """A text that is not plain, without a mark-up of its own."""


class Drawn:
    """Something that draws itself."""

    def __html__(self) -> str:
        return "<svg/>"

    def __str__(self) -> str:
        return "<drawn>"


@pass_context
def shown(context: Context, name: str) -> str:
    return str(context[name])


def page_name(_: object) -> Markup:
    return Markup("<i>") + "a & b"


def page_of(kind: type[Environment], name: str) -> str:
    made = kind(loader=DictLoader(PARTS), autoescape=True, undefined=StrictUndefined)
    made.globals.update(
        shown=shown, twice=lambda text: Markup("%s<br>%s") % (text, text), page_name=page_name
    )
    values: dict[str, Any] = {
        "name": """<b> & "quoted" 'text'""",
        "drawn": Drawn(),
        "number": 1.5,
        "nothing": None,
        "text": Text("<sub>"),
        "Text": Text,
        "rows": [["<a>", Markup("<em>x</em>")], ["&", Drawn()]],
    }
    return made.get_template(name).render(**values)


def test_a_page_is_what_plain_jinja_makes_of_it() -> None:
    assert page_of(Templates, "page") == page_of(Environment, "page")
    assert "&lt;a&gt;" in page_of(Templates, "page")


def test_an_element_is_what_markup_makes_of_it() -> None:
    element, values = "<b x='%.1f%%' y='%s'>%s%s%s</b>", (0.25, 7, "<i>", Markup("<br>"), Drawn())
    assert filled(element, *values) == Markup(element) % values
    assert type(filled(element, *values)) is Markup


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="nobody"):
        page_of(Templates, "missing")


def test_every_template_escapes_once() -> None:
    assert _TEMPLATES.loader is not None
    for name in _TEMPLATES.list_templates():
        source = _TEMPLATES.loader.get_source(_TEMPLATES, name)[0]
        lines = _TEMPLATES.compile(source, name, raw=True).splitlines()
        assert lines[0].endswith("import _escape_once as escape"), name


@pytest.mark.parametrize(
    ("path", "here"),
    [
        ("/home", "/home"),
        ("/strategies/x/follow", "/strategies"),
        ("/accounts/strategies", "/accounts"),
        ("/accounts/a/positions/BTCUSDT/close", "/positions"),
        ("/signals/s/a", "/signals"),
        ("/trades", "/signals"),
        ("/performance/trades/7", "/performance"),
        ("/operate/people", "/operate"),
        ("/security", ""),
        ("/", ""),
        ("/homes", ""),
    ],
)
def test_the_navigation_marks_where_one_is(path: str, here: str) -> None:
    everything = navigation({"follower", "master", "operator"}, path)
    marked = [each for each in everything.split("<li") if 'aria-current="page"' in each]
    assert [f'href="{here}"' in each for each in marked] == ([True] if here else [])


def test_the_navigation_is_that_of_the_roles() -> None:
    follower, operator = navigation({"follower"}, "/home"), navigation({"operator"}, "/operate")
    assert "/operate" not in follower
    assert "/home" in follower
    assert "/operate" in operator
    assert "/home" not in operator
    assert navigation({"follower"}, "/home") == follower
