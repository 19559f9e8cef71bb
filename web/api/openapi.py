"""The OpenAPI 3.1 document of the API, written from the table of its endpoints."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

import msgspec

from web.api.models import Error
from web.api.table import ROOT, Endpoint, Parameter

_REFUSALS: Final = {
    401: "The token is missing, wrong, expired or revoked.",
    403: "The token's scope does not include this.",
    404: "There is no such thing, or it is not yours.",
    409: "It was refused as things stand; the message says why.",
    422: "A parameter is wrong; the message names it and what was expected.",
    429: "Too many requests: ask again after Retry-After seconds.",
    503: "The engine does not answer: ask again after Retry-After seconds.",
}
_ABOUT: Final = (
    "What your pages show, and what lowers risk. A token is made under Security, API tokens. Money, "
    "prices and quantities are decimal numbers as text; times are UTC (ISO 8601); null is not known."
)
_ONCE: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A request that is repeated with the same key within a week is not carried out again.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
}
_TEMPLATE: Final = "#/components/schemas/{name}"


def openapi_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document."""
    types = [*(each.answer for each in endpoints), Error]
    refs, schemas = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint, answer in zip(endpoints, refs, strict=False):
        address = re.sub(r"<(\w+)>", r"{\1}", endpoint.address)
        paths.setdefault(address, {})[endpoint.method.lower()] = _operation(endpoint, answer)
    return {
        "openapi": "3.1.0",
        "info": {"title": "RexAlgo", "version": version("rexalgo"), "description": _ABOUT},
        "servers": [{"url": ROOT}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
            "responses": {
                str(status): {
                    "description": words,
                    "content": {"application/json": {"schema": refs[-1]}},
                }
                for status, words in _REFUSALS.items()
            },
        },
    }


def _operation(endpoint: Endpoint, answer: dict[str, Any]) -> dict[str, Any]:
    summary, _, more = endpoint.summary.partition("\n\n")
    refused = {
        str(each): {"$ref": f"#/components/responses/{each}"}
        for each in _REFUSALS
        if each != 409 or endpoint.method == "POST"
    }
    return {
        "operationId": endpoint.name,
        "summary": " ".join(summary.split()),
        "description": " ".join([f"Needs the scope {endpoint.scope.value}.", *more.split()]),
        "parameters": [
            *(
                {"name": each, "in": "path", "required": True, "schema": {"type": "string"}}
                for each in endpoint.parts
            ),
            *map(_query, endpoint.query),
            *([_ONCE] if endpoint.method == "POST" else []),
        ],
        "responses": {
            "200": {
                "description": HTTPStatus.OK.phrase,
                "content": {"application/json": {"schema": answer}},
            },
            **refused,
        },
    }


def _query(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema)
    if parameter.default:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.words,
        "schema": schema,
    }
