"""Rendering of pages, and the static files. Templates escape every value.

Everything is a file of this package, read once at start; nothing is loaded from another host. The
address of a static file carries a hash of its content, so that a browser may keep the file.
"""

import hashlib
import secrets
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import FileSystemLoader, StrictUndefined
from markupsafe import Markup
from quart import Response, abort

from engine.domain.amounts import grouped
from web import labels, words
from web.compressing import compress
from web.devices import device
from web.rows import copy_look, state_look
from web.templating import Templates

_HERE: Final = Path(__file__).parent
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_FILES: Final = {
    path.name: path.read_bytes()
    for path in sorted((_HERE / "static").iterdir())
    if path.suffix in _TYPES
}


_ADDRESSES: Final = {
    name: f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"
    for name, content in _FILES.items()
}


def static_address(name: str) -> str:
    """Return the address of a static file."""
    return _ADDRESSES[name]


def read_static(name: str) -> bytes:
    """Return the content of a static file."""
    return _FILES[name]


_TEMPLATES: Final = Templates(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.globals["static"] = static_address
_TEMPLATES.globals["label"] = labels.LABELS
_TEMPLATES.globals["label_of"] = labels.field_label
_TEMPLATES.globals["to_do"] = labels.to_do
_TEMPLATES.globals["leverages"] = labels.LEVERAGES
_TEMPLATES.filters["reason"] = labels.reason_label
_TEMPLATES.filters["reason_of_followers"] = labels.reason_of_followers
_TEMPLATES.filters["reason_of_copies"] = labels.reason_of_copies
_TEMPLATES.filters["setting"] = labels.setting_label
_TEMPLATES.filters["setting_act"] = labels.setting_act
_TEMPLATES.filters["field_label"] = labels.field_label
_TEMPLATES.globals["once_token"] = lambda: secrets.token_urlsafe(12)
_TEMPLATES.globals["ago"] = words.ago
_TEMPLATES.globals["not_accepted"] = words.not_accepted
_TEMPLATES.globals["span"] = words.span
_TEMPLATES.globals["steps"] = words.steps
_TEMPLATES.globals["look_of"] = copy_look
_TEMPLATES.globals["state_look"] = state_look
_TEMPLATES.globals["operator_sees"] = words.OPERATOR_SEES
_TEMPLATES.globals["ended_by"] = words.ended_by
_TEMPLATES.globals["unknown"] = words.unknown
_TEMPLATES.globals["env"] = words.environment_badge
_TEMPLATES.filters["account"] = words.account_name
_TEMPLATES.globals["order_words"] = words.order_words
_TEMPLATES.filters.update(
    when=words.when,
    money=words.money,
    fixed=words.fixed,
    signed=words.signed,
    cost=words.cost,
    percent=words.percent,
    plain=words.plain_number,
    price=words.price,
    grouped=grouped,
    moment=words.moment,
    period=words.period_name,
    cause=words.cause_word,
    clock=words.clock,
    device=device,
)


_TABS: Final = (
    "/home",
    "/strategies",
    "/positions",
    "/performance",
    "/accounts",
    "/studio",
    "/operate",
)
_HISTORY: Final = ("/signals", "/orders", "/trades", "/funding", "/calendar")


def _here(path: str) -> str:
    """Return which address of the navigation a page belongs to; empty if to none."""
    path = "/positions" if "/positions/" in path else f"/{path[1:].partition('/')[0]}"
    return "/signals" if path in _HISTORY else path if path in _TABS else ""


@cache
def _navigation(here: str, *, is_follower: bool, is_operator: bool) -> Markup:
    shown = render("navigation.html", here=here, is_follower=is_follower, is_operator=is_operator)
    return Markup(shown)  # noqa: S704 - a template, which escapes


def navigation(roles: Collection[str], path: str) -> Markup:
    """Return the navigation. It is kept for each set of roles and each of its addresses: it shows
    nothing else.
    """
    return _navigation(
        _here(path), is_follower="follower" in roles, is_operator="operator" in roles
    )


_TEMPLATES.globals["navigation"] = navigation


def render(template: str, **values: object) -> str:
    """Fill a template; a missing value is an error."""
    return _TEMPLATES.get_template(template).render(**values)


def page(template: str, status: int = 200, **values: object) -> Response:
    """Answer with a whole page."""
    return Response(
        render(template, **values), status=status, content_type="text/html; charset=utf-8"
    )


def error_page(status: int, message: str) -> Response:
    """Answer a failure with a plain page."""
    return page("error.html", status, code=status, message=message)


async def static_file(name: str) -> Response:
    """Answer with a static file."""
    if name not in _FILES:
        abort(404)
    answer = Response(_FILES[name], content_type=_TYPES[Path(name).suffix])
    answer.headers["Cache-Control"] = "public, max-age=86400"
    return await compress(answer)
