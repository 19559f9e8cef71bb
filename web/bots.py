"""The bots' room: signed webhooks in, receipts out, and whether this place is well.

What must hold: verification, parsing and recording are the engine's; this file caps size and time,
hands over the raw delivery, and turns the answer into one status. Nothing of the input is repeated,
no input gives a 5xx but 503, and nothing that must happen stands after ``ingress.receive``: a
sender that hangs up cancels its handler.
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from quart import Response
from quart import request as http
from quart_trio import QuartTrio

from engine.ports.signal_source import Delivery
from engine.views import ReadinessView, ReceiptView, Reception, ReceptionKind
from web.engine_port import Ingress, Monitor
from web.requests import asks_locally, client, header_pairs
from web.settings import WebSettings

log = logging.getLogger("rexalgo.web")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{20,80}")
_FIELD: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_RETRY_AFTER_S: Final = 5
UNAVAILABLE: Final = Reception(kind=ReceptionKind.UNAVAILABLE, retry_after_s=_RETRY_AFTER_S)
_NOT_AUTHENTIC: Final = Reception(kind=ReceptionKind.NOT_AUTHENTIC)

_STATUS: Final[Mapping[ReceptionKind, int]] = {
    ReceptionKind.ACCEPTED: 202,
    ReceptionKind.DUPLICATE: 200,
    ReceptionKind.CONFLICT: 409,
    ReceptionKind.NOT_AUTHENTIC: 401,
    ReceptionKind.MALFORMED: 400,
    ReceptionKind.INVALID: 422,
    ReceptionKind.GONE: 410,
    ReceptionKind.LIMITED: 429,
    ReceptionKind.UNAVAILABLE: 503,
}
_WORDS: Final[Mapping[ReceptionKind, tuple[str, str]]] = {
    ReceptionKind.CONFLICT: (
        "conflict",
        "This id was already used with another body. Send a new signal under a new id.",
    ),
    ReceptionKind.NOT_AUTHENTIC: (
        "not_authentic",
        "The signature, the endpoint or the time does not fit. Check all three.",
    ),
    ReceptionKind.MALFORMED: ("malformed", "The body is not the JSON that was expected."),
    ReceptionKind.INVALID: ("invalid", "A field of the body does not fit."),
    ReceptionKind.GONE: ("gone", "This endpoint was deleted. Stop sending to it."),
    ReceptionKind.LIMITED: (
        "limited",
        "Too many signals. Send this one again, with the same id, after Retry-After seconds.",
    ),
    ReceptionKind.UNAVAILABLE: (
        "unavailable",
        "Not recorded. Send it again, with the same id, after Retry-After seconds.",
    ),
}


def register_bots(
    app: QuartTrio,
    ingress: Ingress,
    monitor: Monitor,
    settings: WebSettings,
    now: Callable[[], datetime],
) -> None:
    """Add the rooms under /api to the app."""

    @app.post("/api/webhooks/copy-trading/<path:endpoint>")
    async def receive(endpoint: str) -> Response:
        body = await http.get_data(
            cache=False, as_text=False, parse_form_data=False
        )  # 413 and 408 come from here
        if not _ID.fullmatch(endpoint):
            return reception_answer(_NOT_AUTHENTIC)
        delivery = Delivery(body, header_pairs(), client(settings), now())
        return reception_answer(await _receive(ingress.receive, endpoint, delivery))

    @app.post("/hooks/tv/<path:token>")
    async def receive_alert(token: str) -> Response:
        body = await http.get_data(cache=False, as_text=False, parse_form_data=False)
        if not _TOKEN.fullmatch(token):
            return reception_answer(_NOT_AUTHENTIC)
        delivery = Delivery(body, header_pairs(), client(settings), now())
        return reception_answer(await _receive(ingress.receive_by_token, token, delivery))

    @app.get("/api/receipts/<path:receipt_id>")
    async def receipt(receipt_id: str) -> Response:
        view = await monitor.receipt(receipt_id) if _ID.fullmatch(receipt_id) else None
        return (
            error_answer(404, "not_found", "There is no such receipt.")
            if view is None
            else json_answer(200, _receipt(view))
        )

    @app.get("/api/health")
    async def health() -> Response:
        view = monitor.health()
        told = {
            "ok": view.ok,
            "version": view.version,
            "uptime_s": round(view.uptime_s, 1),
            "problems": list(view.problems),
        }
        return json_answer(200 if view.ok else 503, told)

    @app.get("/api/ready")
    async def ready() -> Response:
        view = monitor.readiness()
        return json_answer(
            200 if view.ready else 503, _readiness(view, names=asks_locally(settings))
        )


def reception_answer(reception: Reception) -> Response:
    """Turn a reception into its one HTTP answer."""
    status = _STATUS[reception.kind]
    if reception.kind in (ReceptionKind.ACCEPTED, ReceptionKind.DUPLICATE):
        return json_answer(status, _taken(reception))
    code, message = _WORDS[reception.kind]
    told: dict[str, object] = {"ok": False, "error": code, "message": message}
    if reception.kind in (ReceptionKind.MALFORMED, ReceptionKind.INVALID):
        told |= {
            "field": _safe_field(reception.field),
            "expected": reception.expected or "JSON as the webhook guide shows it",
        }
    answer = json_answer(status, told)
    if reception.kind in (ReceptionKind.LIMITED, ReceptionKind.UNAVAILABLE):
        answer.headers["Retry-After"] = str(max(1, reception.retry_after_s or _RETRY_AFTER_S))
    return answer


def error_answer(status: int, code: str, message: str) -> Response:
    """Answer a failure as JSON."""
    return json_answer(status, {"ok": False, "error": code, "message": message})


def json_answer(status: int, told: Mapping[str, object]) -> Response:
    """Answer with compact JSON."""
    return Response(
        json.dumps(told, separators=(",", ":")), status=status, content_type="application/json"
    )


async def _receive(
    take: Callable[[str, Delivery], Awaitable[Reception]], endpoint: str, delivery: Delivery
) -> Reception:
    """Ask the engine; an unexpected failure is told as "not now", because a signal may safely be
    sent again.
    """
    reception = UNAVAILABLE
    try:
        reception = await take(endpoint, delivery)
    except* Exception as group:  # the web boundary; a cancellation beside the error goes on upwards
        log.error("a delivery could not be taken and was answered with 503", exc_info=group)
    return reception


def _taken(reception: Reception) -> dict[str, object]:
    told: dict[str, object] = {
        "ok": True,
        "signal_id": reception.signal_id,
        "duplicate": reception.kind is ReceptionKind.DUPLICATE,
        "receipt": f"/api/receipts/{reception.receipt_id}",
    }
    if reception.ignored_fields:
        told |= {"ignored_fields": reception.ignored_fields}
    if not reception.mirrored:
        told |= {"mirrored": False, "reason": reception.reason}
    return told


def _safe_field(field: str | None) -> str:
    """Return the field's path, or "body" where it carries more than a name: an unknown key is the
    sender's own text.
    """
    return field if field is not None and _FIELD.fullmatch(field) else "body"


def _receipt(view: ReceiptView) -> dict[str, object]:
    return {
        "signal_id": view.signal_id,
        "action": view.action,
        "symbol": view.symbol,
        "received_at": view.received_at.astimezone(UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "copies": view.copies,
        "open": view.open,
        "outcomes": dict(view.outcomes),
        "latency_ms": {"p50": view.latency_ms_p50, "p95": view.latency_ms_p95},
        "environments": list(view.environments),
    }


def _readiness(view: ReadinessView, *, names: bool) -> dict[str, object]:
    """List what may be shown; the names of failed accounts only to a person on this machine."""
    told: dict[str, object] = {
        "ready": view.ready,
        "ledger": view.ledger,
        "accounts": view.accounts,
        "accounts_reconciled": view.accounts_reconciled,
        "accounts_failed": len(view.accounts_failed),
    }
    return told | {"failures": dict(view.accounts_failed)} if names else told
