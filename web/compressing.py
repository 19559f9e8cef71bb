"""Compressed answers, and which pages are never compressed.

The length of a compressed page depends on whether two parts of it are equal. Whoever can make
somebody's browser load pages with a text of their choice, and sees the lengths, can guess a secret
of the page letter by letter (BREACH). Two things stand against it. The token of forms is the one
secret on nearly every page: it is masked anew for each page, so it is never the same twice. A page
that shows another secret (a webhook's, a recovery code, a link) is not compressed at all, and tells
proxies so. Besides, the session's cookie is never sent with a request that another site caused.
"""

import gzip
import secrets
from typing import Final

import trio
from quart import Response, request
from quart.wrappers.response import DataBody

LEAST_BYTES: Final = 1_024
_LEVEL: Final = 5
_IN_A_THREAD_FROM: Final = 65_536
_TOKEN_BYTES: Final = 32
SHOWS_SECRETS: Final = frozenset(
    {
        "identity/codes.html",
        "identity/second_factor.html",
        "identity/token.html",
        "identity/welcome.html",
        "identity/join.html",
        "identity/confirm.html",
        "identity/again.html",
        "operators/people.html",
        "operators/people_parts.html",
        "operators/person.html",
        "studio/addresses.html",
        "studio/debugger.html",
        "studio/secret.html",
        "studio/strategy.html",
        "traders/channels.html",
    }
)
"""The templates of pages that show a secret, or repeat a form that may carry one."""
AS_IT_IS: Final = "no-store, no-transform"
"""The Cache-Control of these pages: a proxy must not compress them either (RFC 9111, 5.2.2.6)."""
_TYPES: Final = (
    "text/html",
    "text/css",
    "text/javascript",
    "image/svg+xml",
    "text/csv",
    "application/json",
)


def masked(token: str) -> str:
    """Return a token of 32 bytes in hex in a form that is different each time."""
    pad = secrets.token_bytes(_TOKEN_BYTES)
    return (pad + _xor(pad, bytes.fromhex(token))).hex()


def unmasked(text: str) -> str:
    """Return the token behind a masked one; empty if the text is none."""
    try:
        both = bytes.fromhex(text) if text.isascii() and " " not in text else b""
    except ValueError:
        return ""
    if len(both) != 2 * _TOKEN_BYTES:
        return ""
    return _xor(both[:_TOKEN_BYTES], both[_TOKEN_BYTES:]).hex()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=True))


async def compress(answer: Response) -> Response:
    """Compress an answer in place if the browser takes gzip, it is a text and long enough, and
    nothing says that it goes as it is.
    """
    if "Content-Encoding" in answer.headers:  # the answer to a form that was sent twice
        return answer
    if answer.headers.get("Cache-Control") == AS_IT_IS:
        return answer
    if not isinstance(answer.response, DataBody):  # it is written while it is sent
        return answer
    answer.vary.add("Accept-Encoding")
    is_text = (answer.mimetype or "") in _TYPES
    if not is_text or not takes_gzip(request.headers.get("Accept-Encoding", "")):
        return answer
    data = await answer.get_data(as_text=False)
    if len(data) < LEAST_BYTES:
        return answer
    if len(data) < _IN_A_THREAD_FROM:
        small = gzip.compress(data, _LEVEL, mtime=0)
    else:  # what takes more than a millisecond or two must not hold up orders
        small = await trio.to_thread.run_sync(gzip.compress, data, _LEVEL)
    answer.set_data(small)
    answer.headers["Content-Encoding"] = "gzip"
    return answer


def takes_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding header takes gzip (RFC 9110, 12.5.3)."""
    for each in accepted.lower().split(","):
        name, _, rest = (part.strip() for part in each.partition(";"))
        if name in ("gzip", "*"):
            return rest.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
