"""Requests and answers of the SIMULATED exchange, and the forms of errors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass


class Dropped(Exception):
    """Raised to close the connection without an answer."""


@dataclass(slots=True)
class Request:
    """One request."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    key: str
    body: Mapping[str, object]

    def first(self, name: str, default: str = "") -> str:
        """Return a query parameter's first value."""
        return self.query.get(name, [default])[0]


@dataclass(slots=True)
class Answer:
    """One answer, and how it fails on the wire: cut after so many bytes, sent slowly over so many
    seconds, sent twice.
    """

    status: int
    content: bytes
    cut_after: int | None = None
    drip_s: float = 0.0
    twice: bool = False

    @property
    def kind(self) -> bytes:
        """Return the content type."""
        return b"text/html" if self.content.startswith(b"<") else b"application/json"


def data(value: object, status: int = 200) -> Answer:
    """Return a success."""
    return Answer(status, json.dumps({"success": True, "data": value}).encode())


def error(status: int, code: int, text: str) -> Answer:
    """Return an error in the listed form."""
    return Answer(
        status, json.dumps({"success": False, "errors": [{"code": code, "text": text}]}).encode()
    )


def bare_error(code: int, text: str) -> Answer:
    """Return an error in the form of paths outside the exchange."""
    return Answer(code, json.dumps({"code": code, "text": text}).encode())


def nested_error(status: int, code: int, text: str) -> Answer:
    """Return an error in the doubly encoded form that was recorded for 429."""
    inner = json.dumps({"errors": [{"code": code, "text": text}]})
    return Answer(status, json.dumps({"success": False, "message": inner}).encode())


def page(status: int, title: str) -> Answer:
    """Return an answer in the form of the gateway before the exchange."""
    return Answer(status, f"<html><body><h1>{title}</h1></body></html>".encode())
