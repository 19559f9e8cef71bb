"""The routes for bots and probes: signed webhooks, TradingView alerts, receipts, health, readiness.

The engine verifies, parses and records a delivery. This module caps its size and time, hands it
over raw, and turns the result into one status. An answer repeats nothing of the input, and no input
gives a 5xx but 503. Nothing that must happen comes after ``ingress.receive``: a sender that hangs
up cancels its handler.
"""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec
from quart import Response
from quart import request as http

from engine.domain.wording import meant_instead, squashed
from engine.ports.signal_source import Delivery
from engine.views import ReadinessView, ReceiptView, Reception, ReceptionKind
from web.answers import DryRun, Refused, Taken
from web.engine_port import Ingress, Monitor
from web.requests import asks_locally, client, header_pairs
from web.routes import Route, Who, get, post
from web.settings import WebSettings

log = logging.getLogger("rexalgo.web")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{20,80}")
_FIELD: Final = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_RETRY_AFTER_S: Final = 5
UNAVAILABLE: Final = Reception(kind=ReceptionKind.UNAVAILABLE, retry_after_s=_RETRY_AFTER_S)
_TRIES: Final = ("dry", "test", "simulat", "rehears", "preview")
"""What names of a query begin with that may mean a dry run: taken for a signal, it would trade."""
_NO: Final = frozenset(("0", "false", "no", "off"))
_NOT_AUTHENTIC: Final = Reception(kind=ReceptionKind.NOT_AUTHENTIC)

_STATUS: Final[Mapping[ReceptionKind, int]] = {
    ReceptionKind.ACCEPTED: 202,
    ReceptionKind.DUPLICATE: 200,
    ReceptionKind.DRY_RUN: 200,
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
        "A signal of this id is recorded, from another body: signal_id and receipt are its own. If "
        "this repeats it, send nothing more. Only a new signal needs a new id.",
    ),
    ReceptionKind.NOT_AUTHENTIC: (
        "not_authentic",
        "The signature, the endpoint or the time is wrong. Check all three.",
    ),
    ReceptionKind.MALFORMED: ("malformed", "The body is not the JSON that was expected."),
    ReceptionKind.INVALID: ("invalid", "A field of the body is wrong."),
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


class Bots:
    """The routes for bots and probes of one app."""

    def __init__(
        self,
        ingress: Ingress,
        monitor: Monitor,
        settings: WebSettings,
        now: Callable[[], datetime],
    ) -> None:
        self._ingress = ingress
        self._monitor = monitor
        self._settings = settings
        self._now = now

    def routes(self) -> tuple[Route, ...]:
        """Return the routes, all without a session."""
        return (
            post("/api/webhooks/copy-trading/<path:endpoint>", Who.BOT, self.receive),
            post("/hooks/tv/<path:token>", Who.BOT, self.receive_alert),
            get("/api/receipts/<path:receipt_id>", Who.BOT, self.receipt),
            get("/api/health", Who.ANYONE, self.health),
            get("/api/ready", Who.ANYONE, self.ready),
        )

    async def receive(self, endpoint: str) -> Response:
        """Take a signed delivery, or rehearse it with ``?dry_run=1``."""
        return await self._take(self._ingress.receive, endpoint, _ID)

    async def receive_alert(self, token: str) -> Response:
        """Take or rehearse a delivery whose address has a secret token instead of a signature."""
        return await self._take(self._ingress.receive_by_token, token, _TOKEN)

    async def _take(
        self, take: Callable[..., Awaitable[Reception]], address: str, form: re.Pattern[str]
    ) -> Response:
        delivery = await self._delivery()
        if not form.fullmatch(address):
            return reception_answer(_NOT_AUTHENTIC)
        take = partial(take, dry_run=_is_dry_run(list(http.args.items(multi=True))))
        return reception_answer(await _receive(take, address, delivery))

    async def receipt(self, receipt_id: str) -> Response:
        """Answer what became of a signal."""
        view = await self._monitor.receipt(receipt_id) if _ID.fullmatch(receipt_id) else None
        if view is None:
            return error_answer(404, "not_found", "There is no such receipt.")
        return json_answer(200, _receipt(view))

    async def health(self) -> Response:
        """Answer whether the process works."""
        view = await self._monitor.health()
        fields = {
            "ok": view.ok,
            "version": view.version,
            "uptime_s": round(view.uptime_s, 1),
            "problems": list(view.problems),
        }
        return json_answer(200 if view.ok else 503, fields)

    async def ready(self) -> Response:
        """Answer whether orders can flow."""
        view = await self._monitor.readiness()
        fields = _readiness(view, names=asks_locally(self._settings))
        return json_answer(200 if view.ready else 503, fields)

    async def _delivery(self) -> Delivery:
        # 413 and 408 come from reading the body
        body = await http.get_data(cache=False, as_text=False, parse_form_data=False)
        return Delivery(body, header_pairs(), client(self._settings), self._now())


def reception_answer(reception: Reception) -> Response:
    """Return the HTTP answer for a reception."""
    status = _STATUS[reception.kind]
    if reception.kind in (ReceptionKind.ACCEPTED, ReceptionKind.DUPLICATE):
        return _answer(status, _taken(reception))
    if reception.kind is ReceptionKind.DRY_RUN:
        return _answer(status, _rehearsed(reception))
    code, message = _WORDS[reception.kind]
    refused = Refused(ok=False, error=code, message=message)
    if reception.kind in (ReceptionKind.MALFORMED, ReceptionKind.INVALID):
        refused = msgspec.structs.replace(
            refused,
            field=_safe_field(reception.field),
            expected=reception.expected or "JSON as the webhook guide shows it",
        )
    if reception.kind is ReceptionKind.CONFLICT and reception.signal_id is not None:
        refused = msgspec.structs.replace(
            refused, signal_id=reception.signal_id, receipt=_receipt_address(reception)
        )
    answer = _answer(status, refused)
    if reception.kind in (ReceptionKind.LIMITED, ReceptionKind.UNAVAILABLE):
        answer.headers["Retry-After"] = str(max(1, reception.retry_after_s or _RETRY_AFTER_S))
    return answer


def error_answer(status: int, code: str, message: str) -> Response:
    """Answer a failure as JSON."""
    return json_answer(status, {"ok": False, "error": code, "message": message})


def json_answer(status: int, fields: Mapping[str, object]) -> Response:
    """Answer with compact JSON."""
    body = json.dumps(fields, separators=(",", ":")).encode("ascii")
    return Response(body, status=status, content_type="application/json")


def _is_dry_run(query: Sequence[tuple[str, str]]) -> bool | None:
    """Return whether a query asks for a dry run; None if it may and does not say it clearly."""
    said = {
        _yes_or_no(value, is_sure=squashed(name) == "dryrun")
        for name, value in query
        if _may_mean_dry_run(name)
    }
    return said.pop() if len(said) == 1 else None if said else False


def _may_mean_dry_run(name: str) -> bool:
    form = squashed(name).removeprefix("is")
    return (
        "dryrun" in form or form.startswith(_TRIES) or meant_instead(name, ("dry_run",)) is not None
    )


def _yes_or_no(value: str, *, is_sure: bool) -> bool | None:
    said = value.strip().lower()
    return False if said in _NO else True if is_sure and said == "1" else None


async def _receive(
    take: Callable[[str, Delivery], Awaitable[Reception]], endpoint: str, delivery: Delivery
) -> Reception:
    """Hand a delivery to the engine; an unexpected failure becomes UNAVAILABLE (503).

    The sender may safely send the signal again.
    """
    reception = UNAVAILABLE
    try:
        reception = await take(endpoint, delivery)
    except* Exception as group:  # a cancellation beside the error propagates
        log.error("a delivery could not be taken and was answered with 503", exc_info=group)
    return reception


def _answer(status: int, fields: Taken | DryRun | Refused) -> Response:
    return json_answer(status, msgspec.to_builtins(fields))


def _taken(reception: Reception) -> Taken:
    return Taken(
        ok=True,
        signal_id=reception.signal_id or "",
        duplicate=reception.kind is ReceptionKind.DUPLICATE,
        receipt=_receipt_address(reception),
        ignored_fields=reception.ignored_fields,
        mirrored=reception.mirrored,
        reason=None if reception.mirrored else reception.reason,
    )


def _receipt_address(reception: Reception) -> str:
    return f"/api/receipts/{reception.receipt_id}"


def _rehearsed(reception: Reception) -> DryRun:
    return DryRun(
        ok=True,
        dry_run=True,
        message="This was a dry run: no signal was recorded, and nothing is sent.",
        duplicate=reception.is_known,
        copies=reception.copies,
        would=dict(sorted((reception.would or {}).items())),
        ignored_fields=reception.ignored_fields,
        mirrored=reception.mirrored,
        reason=None if reception.mirrored else reception.reason,
    )


def _safe_field(field: str | None) -> str:
    """Return the field's path, or "body" where it is no plain name: it may be the sender's text."""
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
    """Return the fields of readiness; ``names`` adds the names of failed accounts."""
    fields: dict[str, object] = {
        "ready": view.ready,
        "ledger": view.ledger,
        "accounts": view.accounts,
        "accounts_reconciled": view.accounts_reconciled,
        "accounts_failed": len(view.accounts_failed),
    }
    if names:
        fields["failures"] = dict(view.accounts_failed)
    return fields
