"""What runs before and after every handler of the API: token, rate, scope, role and query before;
one form of JSON after, also for every error.

A cookie is never read here, so no page of another site can act with one, and no form token is
needed. Another person's object is a 404, like one that does not exist.
"""

import logging
import re
from functools import partial
from typing import Final

import msgspec
from quart import Response, request

from engine.domain.errors import EngineAway, InvalidValue, NothingThere, OwnFault, RexAlgoError
from engine.domain.text import may_be_kept
from engine.domain.token import DoneBefore, KeyUsed, Once, ScopeExceeded, TokenScope
from engine.services import Services
from engine.services.tokens import TokenRefused, TooOften
from engine.services.user import FormErrors, NeedsConfirmation, User
from web.api import deeds, figures, reading, studio
from web.api.openapi import openapi_document
from web.api.table import ROOT, Ask, Endpoint, WrongQuery
from web.bots import error_answer, json_answer
from web.compressing import compress
from web.requests import client, header_pairs
from web.routes import Route, Who, get
from web.settings import WebSettings

log = logging.getLogger("rexalgo.web")
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *reading.ENDPOINTS,
    *figures.ENDPOINTS,
    *studio.ENDPOINTS,
    *deeds.ENDPOINTS,
)
_KEY: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_CHALLENGE: Final = 'Bearer realm="RexAlgo"'
_NOT_FOUND: Final = "There is no such thing, or it is not yours."
_FAILED: Final = "Something here failed, and it was logged. Try again shortly."


class Api:
    """The endpoints of one app."""

    def __init__(self, services: Services, settings: WebSettings) -> None:
        self._services = services
        self._settings = settings
        self._document: bytes = b""

    def routes(self) -> tuple[Route, ...]:
        """Return the routes, all without a session."""
        served = [
            Route(
                method=each.method,
                address=f"{ROOT}{each.address}",
                who=Who.PROGRAM,
                handler=partial(self._serve, each),
            )
            for each in ENDPOINTS
        ]
        return (*served, get(f"{ROOT}/openapi.json", Who.ANYONE, self.show_document))

    async def show_document(self) -> Response:
        """Answer with the OpenAPI document."""
        if not self._document:
            self._document = msgspec.json.encode(openapi_document(ENDPOINTS))
        return await compress(Response(self._document, content_type="application/json"))

    async def _serve(self, endpoint: Endpoint, /, **parts: str) -> Response:
        await request.get_data()  # an unread body ends the connection
        try:
            value = await self._answer(endpoint, parts)
        except DoneBefore:
            value = deeds.REPEATED
        except (EngineAway, OwnFault, RexAlgoError) as error:
            return error_of(error)
        body = msgspec.json.encode(value)
        return await compress(Response(body, content_type="application/json"))

    async def _answer(self, endpoint: Endpoint, parts: dict[str, str]) -> object:
        user = await self._user(endpoint.scope)
        user.require_scope(endpoint.scope)
        if endpoint.role is not None and not user.person.reaches(endpoint.role):
            raise NothingThere("a person without this role")
        if not all(map(may_be_kept, parts.values())):
            raise NothingThere("no name has such characters")
        given = endpoint.read_query(request.args.to_dict(flat=False))
        ask = Ask(user, self._services, None if endpoint.method == "GET" else _once())
        return await endpoint.handler(ask, *(parts[each] for each in endpoint.parts), **given)

    async def _user(self, scope: TokenScope) -> User:
        told = [value for name, value in header_pairs() if name == "authorization"]
        scheme, _, token = (told[0] if len(told) == 1 else "").partition(" ")
        return await self._services.tokens.user(
            token.strip() if scheme.lower() == "bearer" else "",
            client(self._settings),
            lowers_risk=scope is not TokenScope.READ,
        )


def _once() -> Once | None:
    """Return what the request does once, None without an idempotency key; raises InvalidValue."""
    keys = [value for name, value in header_pairs() if name == "idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidValue("Idempotency-Key", "one key of 1 to 128 letters, digits or -_.:")
    return Once(keys[0], f"{request.method} {request.path}")


def _invalid(error: WrongQuery) -> Response:
    told = {"ok": False, "error": "invalid", "message": str(error), "fields": error.errors}
    return json_answer(422, told)


def error_of(error: RexAlgoError) -> Response:
    """Return the answer to an error; it repeats nothing of the request."""
    match error:
        case TokenRefused():
            answer = error_answer(401, "unauthorized", str(error))
            answer.headers["WWW-Authenticate"] = _CHALLENGE
        case TooOften():
            answer = error_answer(429, "too_many", str(error))
            answer.headers["Retry-After"] = str(error.wait_s)
        case ScopeExceeded():
            answer = error_answer(403, "insufficient_scope", str(error))
        case NeedsConfirmation():
            answer = error_answer(403, "not_for_tokens", "No token may do this: use the pages.")
        case NothingThere():
            answer = error_answer(404, "not_found", _NOT_FOUND)
        case WrongQuery():
            answer = _invalid(error)
        case InvalidValue():
            answer = _invalid(WrongQuery({error.field: f"expected {error.expected}"}))
        case KeyUsed():
            answer = error_answer(409, "conflict", str(error))
        case FormErrors():
            answer = error_answer(409, "refused", str(error))
        case EngineAway():
            reads = request.method == "GET"
            answer = error_answer(503, "engine_away", error.to_reader if reads else str(error))
            answer.headers["Retry-After"] = "5"
        case OwnFault():
            log.error("a request of the API failed, and was answered with 503", exc_info=error)
            answer = error_answer(503, "failed", _FAILED)
            answer.headers["Retry-After"] = "5"
        case _:
            answer = error_answer(409, "refused", str(error))
    return answer
